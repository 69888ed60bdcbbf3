package sock

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/windows"
)

// soExclusiveAddrUse keeps other programs from binding the same port with
// SO_REUSEADDR and taking our connections (winsock.h: ~SO_REUSEADDR).
const soExclusiveAddrUse = ^windows.SO_REUSEADDR

func listenOptions(_ string, _ bool, rc syscall.RawConn) error {
	var err error
	if cerr := rc.Control(func(fd uintptr) {
		err = windows.SetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, soExclusiveAddrUse, 1)
	}); cerr != nil {
		return cerr
	}
	if err != nil {
		return fmt.Errorf("SO_EXCLUSIVEADDRUSE: %w", err)
	}
	return nil
}
