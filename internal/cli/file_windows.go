package cli

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// writeSignals are none: writing where that cannot be done is an error here.
var writeSignals = []os.Signal{syscall.SIGPIPE}

// makeLike gives a new file what makes an old one what it is. Its owner and access
// rules come from its directory here, and are not those of the old one.
func makeLike(*os.File, string, fs.FileInfo) error { return errors.ErrUnsupported }

// giveToCaller has nothing to do: whoever raises a program's rights stays its user.
func giveToCaller(*os.File) {}

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
