package dialer

import (
	"context"
	"net"
	"net/netip"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/result"
)

const (
	// openTimeout bounds the opening of the second connection, beside the first:
	// where a device limits how many there may be, waiting longer would keep
	// other paths out.
	openTimeout    = 2 * time.Second
	openRoundTrips = 8
	// furtherTries is how many more are tried, one after the other, if that one
	// failed, and furtherFailures how many of them have to fail before the first
	// is called the exception.
	furtherTries    = 4
	furtherFailures = 2
)

// again proves the path once more, over a second connection beside the proved
// one: a load balancer, a limit on connections or a rule that counts may let
// the first through and not the next. Over the same connection it finds out
// whether the first reaches from end to end.
func (a *attempt) again(ctx context.Context, conn net.Conn, proved *echo.Conn) {
	if a.Source.Port() != 0 {
		return // it is busy with the first connection, and from another port other rules may hold
	}
	second := a.further()
	opened, c := second.open(ctx, min(a.Timeout, openTimeout+openRoundTrips*proved.RTT))
	if opened != nil {
		defer abort(opened)
	}
	switch {
	case c == nil:
		conn.Close()
		a.oneByOne(ctx)
	case isElsewhere(proved, c):
		a.ledElsewhere(second, 2)
	default:
		a.relay(ctx, conn, proved, c)
	}
}

// isElsewhere reports whether two proofs of one path are not of the same
// listener and port.
func isElsewhere(a, b *echo.Conn) bool {
	return a.Instance != b.Instance || a.Origin.Port() != b.Origin.Port()
}

// ledElsewhere records that one of so many connections led elsewhere.
func (a *attempt) ledElsewhere(other *attempt, tried int) {
	a.seen.Repeated = &result.Repeated{Tried: tried, Proved: tried, Origin: other.seen.Origin, Instance: other.seen.Instance}
}

// oneByOne tries more connections. If several fail, what the first of them saw
// takes the place of what the proved one did.
func (a *attempt) oneByOne(ctx context.Context) {
	r := result.Repeated{Tried: 1, Proved: 1, Origin: a.seen.Origin, Instance: a.seen.Instance}
	var failed *attempt
	for range furtherTries {
		if !pauseFor(ctx, settle) {
			return
		}
		f := a.further()
		conn, c := f.open(ctx, a.Timeout)
		if conn != nil {
			conn.Close()
		}
		if ctx.Err() != nil {
			return
		}
		r.Tried++
		switch {
		case c == nil && failed == nil:
			failed = f
		case c != nil && (c.Instance.String() != a.seen.Instance || c.Origin.Port() != a.seen.Origin.Port()):
			a.ledElsewhere(f, r.Tried)
			return
		case c != nil:
			r.Proved++
		}
		if r.Tried-r.Proved == furtherFailures {
			break
		}
	}
	if failed == nil {
		return
	}
	if r.Tried-r.Proved >= furtherFailures {
		failed.seen.Attempts = a.seen.Attempts
		a.seen = failed.seen
	}
	a.seen.Repeated = &r
}

// further is one more connection of the same path, with a probe of its own.
func (a *attempt) further() *attempt {
	p := a.Path
	p.Probe, p.Source = echo.NewID(), netip.AddrPortFrom(a.Source.Addr(), 0)
	f := newAttempt(p, a.Options)
	f.seen.Attempts = 1
	return f
}

// open connects and proves. The caller closes the connection, if there is one.
func (a *attempt) open(ctx context.Context, timeout time.Duration) (net.Conn, *echo.Conn) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer func() { a.seen.ElapsedMS = result.Milliseconds(time.Since(a.seen.At)) }()
	conn := a.connect(ctx)
	if conn == nil {
		return nil, nil
	}
	return conn, a.prove(ctx, conn)
}
