package sock

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/windows"

	"dialtone/internal/result"
)

// dial keeps a duplicate of the socket until the attempt is over: net.Dialer binds
// before it connects, and closes what failed, so that nothing else tells the source
// port that a firewall's log is searched by. That port stays exclusive: SO_REUSEADDR
// would let two programs share it in earnest.
func dial(ctx context.Context, network string, local, remote netip.AddrPort, _ how) Dialed {
	const none = windows.InvalidHandle
	dup := none
	d := Dialed{Source: local}
	nd := net.Dialer{KeepAlive: -1}
	if network == "tcp" {
		nd.LocalAddr = net.TCPAddrFromAddrPort(local)
		nd.SetMultipathTCP(false)
	} else {
		nd.LocalAddr = net.UDPAddrFromAddrPort(local)
	}
	nd.Control = func(_, _ string, rc syscall.RawConn) error {
		if dup != none {
			_ = windows.Closesocket(dup) // net.Dialer tries again after it connected to itself
			dup = none
		}
		if network == "tcp" {
			// Without a duplicate the port stays unknown, and the attempt is as good.
			_ = rc.Control(func(fd uintptr) { dup = duplicate(windows.Handle(fd)) })
		}
		return nil
	}
	d.Conn, d.Err = nd.DialContext(ctx, network, remote.String())
	if dup != none {
		if at := boundTo(dup); d.Err != nil && at.Port() != 0 {
			d.Source = at
		}
		// An open duplicate would keep the connection from sending FIN.
		_ = windows.Closesocket(dup)
	}
	return d
}

// duplicate is another descriptor of a socket; InvalidHandle: none could be had.
func duplicate(s windows.Handle) windows.Handle {
	var info windows.WSAProtocolInfo
	if err := windows.WSADuplicateSocket(s, uint32(os.Getpid()), &info); err != nil {
		return windows.InvalidHandle
	}
	const fromProtocolInfo = -1 // winsock2.h: FROM_PROTOCOL_INFO
	dup, err := windows.WSASocket(fromProtocolInfo, fromProtocolInfo, fromProtocolInfo, &info, 0, windows.WSA_FLAG_OVERLAPPED|windows.WSA_FLAG_NO_HANDLE_INHERIT)
	if err != nil {
		return windows.InvalidHandle
	}
	return dup
}

// boundTo is the local address and port of a socket, zero if it has none.
func boundTo(s windows.Handle) netip.AddrPort {
	got, err := windows.Getsockname(s)
	if err != nil {
		return netip.AddrPort{}
	}
	switch a := got.(type) {
	case *windows.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *windows.SockaddrInet6:
		at := netip.AddrFrom16(a.Addr)
		if a.ZoneId != 0 {
			at = at.WithZone(fmt.Sprint(a.ZoneId))
		}
		return netip.AddrPortFrom(at, uint16(a.Port))
	}
	return netip.AddrPort{}
}

// drawsByParity: what connect and bind draw has nothing to do with parity.
const drawsByParity = false

// CanTrace reports false: this system does not tell an unprivileged program
// which device ended the life of a packet.
func CanTrace() bool { return false }

// ICMPOf returns nil: this system does not tell.
func ICMPOf(net.Conn) *result.ICMP { return nil }
