package dialer

import (
	"context"
	"net"
	"net/netip"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/sock"
)

// A path that has just been proved opens another connection at once, or a
// device limits how many there may be: then waiting would only keep other
// paths out.
const (
	openTimeout     = time.Second
	relayTimeout    = 3 * time.Second
	relayRoundTrips = 8
)

// relay finds out, over a second connection beside the proved one, whether one
// connection reaches from end to end or something in the middle has two. What
// cannot be found out stays unknown: the path's verdict does not depend on it.
func (a *attempt) relay(ctx context.Context, conn net.Conn, proved *echo.Conn) {
	if _, ok := sock.CountersOf(conn); !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, min(a.Timeout, relayTimeout+relayRoundTrips*proved.RTT))
	defer cancel()
	opening, cancel := context.WithTimeout(ctx, openTimeout+relayRoundTrips*proved.RTT)
	defer cancel()
	// The path's own source port, if it has one, is busy with the first connection.
	d := sock.Dial(opening, "tcp", netip.AddrPortFrom(a.Source.Addr(), 0), a.Target)
	if d.Err != nil {
		return
	}
	defer abort(d.Conn)
	c, err := echo.Prove(opening, d.Conn, a.ask())
	if err != nil || c.Instance != proved.Instance {
		return
	}
	if r, err := c.Backlog(ctx, proved); err == nil {
		a.seen.Relay = &r
	}
}

// abort closes a connection and drops what was not sent yet.
func abort(c net.Conn) {
	if l, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(0)
	}
	c.Close()
}
