package sock

import (
	"net"

	"golang.org/x/sys/unix"
)

// growQueue lets a socket hold more datagrams that wait to be read: a flood, or a
// moment in which this program does not run, must not cost those of the key's
// holder. Beyond net.core.rmem_max it takes CAP_NET_ADMIN (socket(7)).
func growQueue(c *net.UDPConn) {
	_ = c.SetReadBuffer(udpQueue)
	rc, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = rc.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, udpQueue) })
}
