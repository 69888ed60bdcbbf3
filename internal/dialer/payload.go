package dialer

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// move is one direction of a payload.
type move struct {
	bytes func(c *echo.Conn, ctx context.Context, n int64) result.Transfer
	ours  bool // this end sends, so its system knows what became of a segment
}

var (
	send    = move{func(c *echo.Conn, ctx context.Context, n int64) result.Transfer { return c.Send(ctx, n) }, true}
	receive = move{func(c *echo.Conn, ctx context.Context, n int64) result.Transfer { return c.Receive(ctx, n) }, false}
)

// payload moves the payload each way over a proved connection. Where one
// stalls, it finds the size of what still passes.
func (a *attempt) payload(ctx context.Context, conn net.Conn, c *echo.Conn) {
	sent := a.transfer(ctx, c, send)
	a.seen.TCP = sock.TCPInfoOf(conn)
	a.seen.Sent = &sent
	if sent.Detail == "" {
		received := a.transfer(ctx, c, receive)
		a.seen.Received = &received
	} else {
		// The stream is out of step: the other direction gets a connection of its own.
		conn.Close()
		received := a.alone(ctx, a.Bytes, a.Timeout, receive)
		a.seen.Received = &received
	}
	var searches sync.WaitGroup
	for t, m := range map[*result.Transfer]move{a.seen.Sent: send, a.seen.Received: receive} {
		if t.Outcome == result.TransferStalled {
			searches.Go(func() { a.secondChance(ctx, t, m) })
		}
	}
	searches.Wait()
}

func isWhole(t *result.Transfer) bool {
	return t != nil && t.Outcome == result.TransferIntact && t.Attempts <= 1
}

// patience is how much longer than usual a payload may take that was on its way
// when its time was up.
const patience = 3

// secondChance looks into a payload that stalled. If some of it crossed, the
// line may only be slow or lossy, and it gets more time on another connection;
// else, or if that does not help, the size of what crosses is looked for.
func (a *attempt) secondChance(ctx context.Context, t *result.Transfer, m move) {
	if m.ours && a.seen.TCP.IsThrottled() {
		return // it crawls, and no segment is sent that is as large as what would be tried
	}
	if t.Intact > 0 {
		if again := a.alone(ctx, a.Bytes, patience*a.Timeout, m); again.Outcome == result.TransferIntact {
			again.Attempts = 2
			*t = again
			return
		}
	}
	t.Hole, t.AnySize = a.hole(ctx, m)
}

func (a *attempt) transfer(ctx context.Context, c *echo.Conn, m move) result.Transfer {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout+openRoundTrips*a.rtt())
	defer cancel()
	return m.bytes(c, ctx, a.Bytes)
}

// alone moves n bytes over a connection of their own. Connecting and proving
// get as long as moving, within reason: they took one Timeout before.
func (a *attempt) alone(ctx context.Context, n int64, timeout time.Duration, m move) result.Transfer {
	l, err := a.proveAlone(ctx, min(timeout, 2*a.Timeout))
	if err != nil {
		return result.Transfer{Want: n, Outcome: result.TransferUnknown, Detail: "no further connection to try it: " + err.Error()}
	}
	defer l.Close()
	moving, cancel := context.WithTimeout(ctx, timeout+openRoundTrips*a.rtt())
	defer cancel()
	return m.bytes(l.Conn, moving, n)
}

// proveAlone opens a further connection of the path and has it proved. The
// caller closes it.
func (a *attempt) proveAlone(ctx context.Context, timeout time.Duration) (*echo.Link, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout+openRoundTrips*a.rtt())
	defer cancel()
	// The path's own source port, if it has one, is busy with the first connection.
	return echo.Open(ctx, netip.AddrPortFrom(a.Source.Addr(), 0), a.Target, a.ask())
}
