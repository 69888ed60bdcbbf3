package dialer

import (
	"context"
	"net"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/sock"
)

const (
	relayTimeout    = 3 * time.Second
	relayRoundTrips = 8
)

// relay finds out, over a second connection beside the proved one, whether one
// connection reaches from end to end or something in the middle has two. What
// cannot be found out stays unknown: the path's verdict does not depend on it.
func (a *attempt) relay(ctx context.Context, conn net.Conn, proved, beside *echo.Conn) {
	if _, ok := sock.CountersOf(conn); !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, min(a.Timeout, relayTimeout+relayRoundTrips*proved.RTT))
	defer cancel()
	if r, err := beside.Backlog(ctx, proved); err == nil {
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
