//go:build !linux && !windows

package sock

import (
	"context"
	"net"
	"net/netip"

	"dialtone/internal/result"
)

// dial leaves the source port of a failed attempt unknown, and so the sender
// of an ICMP error: this system tells neither without privileges.
func dial(ctx context.Context, network string, local, remote netip.AddrPort, h how) Dialed {
	d := Dialed{Source: local}
	nd := net.Dialer{KeepAlive: -1}
	if network == "tcp" {
		nd.LocalAddr = net.TCPAddrFromAddrPort(local)
		nd.SetMultipathTCP(false)
	} else {
		nd.LocalAddr = net.UDPAddrFromAddrPort(local)
	}
	if local.Port() != 0 && !h.drawnHere {
		nd.Control = shareSourcePort
	}
	d.Conn, d.Err = nd.DialContext(ctx, network, remote.String())
	return d
}

// drawsByParity: what connect and bind draw has nothing to do with parity.
const drawsByParity = false

// CanTrace reports false: this system does not tell an unprivileged program
// which device ended the life of a packet.
func CanTrace() bool { return false }

// ICMPOf returns nil: this system does not tell.
func ICMPOf(net.Conn) *result.ICMP { return nil }
