//go:build unix

package sock

import (
	"fmt"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenOptions prepares a listening socket. A shared port is one from which
// this program also dials (FTP's port 20): Linux then wants SO_REUSEPORT on
// both sockets (socket(7)).
func listenOptions(network string, shared bool, rc syscall.RawConn) error {
	if !shared || runtime.GOOS != "linux" || network[:3] != "tcp" {
		return nil
	}
	return setShared(rc)
}

func setShared(rc syscall.RawConn) error {
	var err error
	if cerr := rc.Control(func(fd uintptr) {
		for _, opt := range []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT} {
			if err == nil {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, opt, 1)
			}
		}
	}); cerr != nil {
		return cerr
	}
	if err != nil {
		return fmt.Errorf("share the port: %w", err)
	}
	return nil
}
