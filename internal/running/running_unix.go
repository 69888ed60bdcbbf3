//go:build unix

package running

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Here is where records are on this machine: root's in one directory that everybody may
// look into (on systems with /run that is memory, and gone when the machine starts
// again), those of others in one of their own.
func Here() Place {
	shared := "/var/run/dialtone"
	if info, err := os.Stat("/run"); err == nil && info.IsDir() {
		shared = "/run/dialtone"
	}
	if os.Geteuid() == 0 {
		users, _ := filepath.Glob("/run/user/*/dialtone")
		return Place{shared, append([]string{shared}, users...)}
	}
	own := os.Getenv("XDG_RUNTIME_DIR")
	if own == "" {
		own, _ = os.UserCacheDir()
	}
	if own == "" {
		return Place{dirs: []string{shared}}
	}
	own = filepath.Join(own, "dialtone")
	return Place{own, []string{own, shared}}
}

// dirMode is its mode: a user's own is that user's alone.
func dirMode() os.FileMode {
	if os.Geteuid() == 0 {
		return 0o755
	}
	return 0o700
}

// open opens a file to read, and waits for nobody: in another user's directory a name
// may lead anywhere.
func open(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
}

// lock takes a file for this program, as long as it has it open.
func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// isLocked reports whether a program has taken it.
func isLocked(f *os.File) bool {
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}
