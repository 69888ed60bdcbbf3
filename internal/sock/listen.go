package sock

import (
	"context"
	"net"
	"net/netip"
	"syscall"
)

// ListenTCP listens on one address family only, without Multipath TCP: Go's
// wildcard "tcp" socket takes both families, and its half-open connections
// appear in neither family's own table. shared says that this program also
// dials from that port. Keepalive is off: it would hide what a device on the way
// does to an idle connection.
func ListenTCP(ctx context.Context, at netip.AddrPort, shared bool) (net.Listener, error) {
	network := "tcp" + familyDigit(at)
	lc := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, rc syscall.RawConn) error { return listenOptions(network, shared, rc) }}
	lc.SetMultipathTCP(false)
	return lc.Listen(ctx, network, at.String())
}

// ListenUDP listens for datagrams on one address family only.
func ListenUDP(ctx context.Context, at netip.AddrPort) (*net.UDPConn, error) {
	network := "udp" + familyDigit(at)
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error { return listenOptions(network, false, rc) }}
	c, err := lc.ListenPacket(ctx, network, at.String())
	if err != nil {
		return nil, err
	}
	udp := c.(*net.UDPConn)
	growQueue(udp)
	return udp, nil
}

// udpQueue is how much may wait to be read at a bound UDP port, in bytes as the
// kernel counts them: some thousand datagrams.
const udpQueue = 2 << 20

func familyDigit(at netip.AddrPort) string {
	if at.Addr().Is4() {
		return "4"
	}
	return "6"
}
