package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// writeSignals are none: writing where that cannot be done is an error here.
var writeSignals = []os.Signal{syscall.SIGPIPE}

// makeLike gives a new file what makes an old one what it is. Its owner and access
// rules come from its directory here, and are not those of the old one.
func makeLike(*os.File, string, fs.FileInfo) error { return errors.ErrUnsupported }

// giveToCaller has nothing to do: whoever raises a program's rights stays its user.
func giveToCaller(*os.File) {}

// createPrivate makes a new file in a directory that inherits nothing of it: its access
// list has this user alone, from the beginning. A file system without access lists (a
// stick with FAT) keeps nobody out.
func createPrivate(dir string) (*os.File, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("find this user: %w", err)
	}
	// Security Descriptor String Format: a protected list; allow, all of a file, the user.
	sd, err := windows.SecurityDescriptorFromString("D:P(A;;FA;;;" + user.User.Sid.String() + ")")
	if err != nil {
		return nil, fmt.Errorf("make an access list: %w", err)
	}
	attributes := windows.SecurityAttributes{SecurityDescriptor: sd}
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	for range 100 { // as os.CreateTemp, whose files have the rights of their directory
		name := filepath.Join(dir, strings.Replace(temporary, "*", strconv.FormatUint(rand.Uint64(), 36), 1))
		path, err := windows.UTF16PtrFromString(name)
		if err != nil {
			return nil, err
		}
		h, err := windows.CreateFile(path, windows.GENERIC_READ|windows.GENERIC_WRITE, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE,
			&attributes, windows.CREATE_NEW, windows.FILE_ATTRIBUTE_NORMAL, 0)
		if err == nil {
			return os.NewFile(uintptr(h), name), nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return nil, fs.ErrExist
}

// descriptorOf is -1: no name stands for an open file of this program.
func descriptorOf(string) int { return -1 }

// open opens what is no file.
func (p place) open() (*os.File, error) { return os.OpenFile(p.path, os.O_WRONLY, 0) }

// isUnread reports whether err says that all of a pipe's ends are taken.
func isUnread(err error) bool { return errors.Is(err, windows.ERROR_PIPE_BUSY) }

// isFull reports whether err says that no more can be written there.
func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) || errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

// IsReaderGone reports whether err says that what was written to is read by
// nobody any more.
func IsReaderGone(err error) bool {
	return errors.Is(err, windows.ERROR_BROKEN_PIPE) || errors.Is(err, windows.ERROR_NO_DATA)
}
