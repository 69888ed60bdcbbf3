//go:build unix

package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// writeSignals end a program that writes where it cannot, unless it wants to know.
var writeSignals = []os.Signal{unix.SIGPIPE, unix.SIGXFSZ}

// makeLike gives a new file the owner and mode of an old one, or says why that
// cannot be.
func makeLike(f *os.File, path string, old fs.FileInfo) error {
	was, ok := old.Sys().(*syscall.Stat_t)
	info, err := f.Stat()
	if err != nil {
		return err
	}
	is, ok2 := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || !ok2:
		return errors.ErrUnsupported
	case was.Nlink > 1:
		return errors.New("it has several names")
	case hasRules(path):
		return errors.New("it has access rules of its own")
	case was.Uid != is.Uid || was.Gid != is.Gid:
		if err := f.Chown(int(was.Uid), int(was.Gid)); err != nil {
			return err
		}
	}
	return f.Chmod(old.Mode())
}

// hasRules reports whether a file has more than a mode: an access control list, or
// attributes that somebody set. SELinux labels each file by where it is.
func hasRules(path string) bool {
	names := make([]byte, 64<<10)
	n, err := unix.Listxattr(path, names)
	if err != nil {
		return false // the file system has no such thing
	}
	for name := range strings.SplitSeq(string(names[:n]), "\x00") {
		if name != "" && name != "security.selinux" && name != "com.apple.provenance" {
			return true
		}
	}
	return false
}

// giveToCaller gives a new file to the user who called sudo, who could not read
// what is root's alone.
func giveToCaller(f *os.File) {
	uid, err := strconv.Atoi(os.Getenv("SUDO_UID"))
	gid, err2 := strconv.Atoi(os.Getenv("SUDO_GID"))
	if os.Geteuid() == 0 && err == nil && err2 == nil && uid > 0 && gid >= 0 {
		_ = f.Chown(uid, gid) // where it cannot be done the file is root's, as all else there
	}
}

// createPrivate makes a new file in a directory, its owner's alone.
func createPrivate(dir string) (*os.File, error) { return os.CreateTemp(dir, temporary) }

// descriptors are the names of this program's own open files.
var descriptors = regexp.MustCompile(`^(?:/dev/(stdin|stdout|stderr)|/dev/fd/(\d+)|/proc/(?:self|thread-self|(\d+))/fd/(\d+))$`)

// descriptorOf is the open file of this program that a name stands for; -1: none.
// To open it anew would begin at its start, and to follow its link would replace
// what the shell has opened.
func descriptorOf(name string) int {
	m := descriptors.FindStringSubmatch(filepath.Clean(name))
	if m == nil || m[3] != "" && m[3] != strconv.Itoa(os.Getpid()) {
		return -1
	}
	switch m[1] {
	case "stdin":
		return 0
	case "stdout":
		return 1
	case "stderr":
		return 2
	}
	fd, err := strconv.Atoi(m[2] + m[4])
	if err != nil {
		return -1
	}
	return fd
}

// open opens what is no file. A pipe is not waited for.
func (p place) open() (*os.File, error) {
	if p.fd >= 0 {
		fd, err := unix.FcntlInt(uintptr(p.fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, err
		}
		return os.NewFile(uintptr(fd), p.path), nil
	}
	return os.OpenFile(p.path, os.O_WRONLY|unix.O_NONBLOCK, 0)
}

// isUnread reports whether err says that nobody reads a pipe.
func isUnread(err error) bool { return errors.Is(err, unix.ENXIO) }

// isFull reports whether err says that no more can be written there.
func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

// IsReaderGone reports whether err says that what was written to is read by
// nobody any more.
func IsReaderGone(err error) bool { return errors.Is(err, unix.EPIPE) }
