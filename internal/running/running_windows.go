package running

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// Here is where records are on this machine: each user's in a directory that is the
// user's alone.
func Here() Place {
	dir, err := os.UserCacheDir()
	if err != nil {
		return Place{}
	}
	dir = filepath.Join(dir, "Dialtone", "running")
	return Place{dir, []string{dir}}
}

func dirMode() os.FileMode { return 0o700 }

func open(name string) (*os.File, error) { return os.Open(name) }

// Locks on Windows keep others from reading, too: the one that is taken lies behind
// all that a record can have.
var behind = windows.Overlapped{Offset: 1 << 30}

func lock(f *os.File) error {
	at := behind
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
}

func isLocked(f *os.File) bool {
	at := behind
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	return errors.Is(err, windows.ERROR_LOCK_VIOLATION)
}

// Network names the network of this program: on Windows there is one.
func Network() string { return "" }
