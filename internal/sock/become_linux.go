package sock

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// CanBecome says that this system has Become.
const CanBecome = true

// Become makes this program, which runs as root, run as u for good: user, group
// and groups of every thread, and no capability but one, CAP_NET_BIND_SERVICE, on
// one thread alone, which does nothing but bind the ports that Dial is to leave
// from. (FTP's active data comes from port 20.)
//
// shared are this program's listeners on such ports: they become sockets of u, since
// two sockets share a port only if they are one user's (socket(7), SO_REUSEPORT).
func Become(u User, shared []net.Listener) error {
	if os.Geteuid() != 0 {
		return errors.New("only root can become another user")
	}
	for _, l := range shared {
		if err := give(l, u); err != nil {
			return fmt.Errorf("give port %s to %s: %w", l.Addr(), u.Name, err)
		}
	}
	done := make(chan error)
	go binder.serve(u, done)
	return <-done
}

// give makes a socket u's.
func give(l net.Listener, u User) error {
	c, ok := l.(syscall.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	if cerr := rc.Control(func(fd uintptr) { err = unix.Fchown(int(fd), u.UID, u.GID) }); cerr != nil {
		return cerr
	}
	return err
}

// A portBinder binds sockets to ports that the rest of the program may not have.
type portBinder struct {
	mu    sync.Mutex
	binds chan bindRequest // nil: there is no such thread
}

type bindRequest struct {
	fd   int
	at   unix.Sockaddr
	done chan error
}

var binder portBinder

// serve makes the program u's, keeps one capability for its own thread, and binds
// what it is asked to, for as long as the program runs. The thread is locked: Go
// starts no other from it, so none inherits what it kept.
func (b *portBinder) serve(u User, done chan<- error) {
	runtime.LockOSThread()
	if err := becomeOn(u); err != nil {
		done <- err
		return // and the thread ends
	}
	binds := make(chan bindRequest)
	b.mu.Lock()
	b.binds = binds
	b.mu.Unlock()
	done <- nil
	for r := range binds {
		r.done <- unix.Bind(r.fd, r.at)
	}
}

// becomeOn becomes u, and keeps what it may for the calling thread.
func becomeOn(u User) error {
	had, err := capabilities()
	if err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	// Of this thread alone: the others lose every capability with setuid (capabilities(7)).
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keep a capability: %w", err)
	}
	for _, set := range []struct {
		what string
		err  func() error
	}{
		{"its groups", func() error { return syscall.Setgroups(u.Groups) }},
		{"its group", func() error { return syscall.Setgid(u.GID) }},
		{"its user", func() error { return syscall.Setuid(u.UID) }},
	} {
		if err := set.err(); err != nil {
			return fmt.Errorf("take %s (CAP_SETUID and CAP_SETGID are wanted): %w", set.what, err)
		}
	}
	kept := had & (1 << capNetBindService)
	if err := setCapabilities(kept); err != nil {
		return fmt.Errorf("give up the capabilities: %w", err)
	}
	_ = unix.Prctl(unix.PR_SET_KEEPCAPS, 0, 0, 0, 0) // nothing follows that it would be for
	if syscall.Setuid(0) == nil || os.Getuid() != u.UID || os.Geteuid() != u.UID {
		return errors.New("root could be had again")
	}
	return nil
}

// capabilities are those that the calling thread may make effective (capget(2)).
func capabilities() (uint64, error) {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capget(&h, &d[0]); err != nil {
		return 0, err
	}
	return uint64(d[1].Permitted)<<32 | uint64(d[0].Permitted), nil
}

// setCapabilities leaves the calling thread with these alone.
func setCapabilities(keep uint64) error {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	low, high := uint32(keep), uint32(keep>>32)
	d := [2]unix.CapUserData{{Effective: low, Permitted: low}, {Effective: high, Permitted: high}}
	return unix.Capset(&h, &d[0])
}

// bind binds a socket, if need be on the thread that may.
func bind(fd int, at unix.Sockaddr) error {
	err := unix.Bind(fd, at)
	if !errors.Is(err, unix.EACCES) {
		return err
	}
	binder.mu.Lock()
	binds := binder.binds
	binder.mu.Unlock()
	if binds == nil {
		return err
	}
	r := bindRequest{fd, at, make(chan error, 1)}
	binds <- r
	return <-r.done
}

// Open opens what Run needs a privilege for. What came before Run is seen by it.
func (w *Watch) Open() {
	if c, err := openCapture(); err == nil {
		w.capture = c
	}
}
