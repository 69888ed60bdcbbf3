package dialer

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// move is one direction of a payload: (*echo.Conn).Send or Receive.
type move func(c *echo.Conn, ctx context.Context, n int64) result.Transfer

func send(c *echo.Conn, ctx context.Context, n int64) result.Transfer    { return c.Send(ctx, n) }
func receive(c *echo.Conn, ctx context.Context, n int64) result.Transfer { return c.Receive(ctx, n) }

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
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	return m(c, ctx, a.Bytes)
}

// alone moves n bytes over a connection of their own. Connecting and proving
// get as long as moving.
func (a *attempt) alone(ctx context.Context, n int64, timeout time.Duration, m move) result.Transfer {
	failed := func(err error) result.Transfer {
		return result.Transfer{Want: n, Outcome: result.TransferUnknown, Detail: "no further connection to try it: " + err.Error()}
	}
	step, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// The path's own source port, if it has one, is busy with the first connection.
	d := sock.Dial(step, "tcp", netip.AddrPortFrom(a.Source.Addr(), 0), a.Target)
	if d.Err != nil {
		return failed(d.Err)
	}
	defer d.Conn.Close()
	c, err := echo.Prove(step, d.Conn, a.ask())
	if err != nil {
		return failed(err)
	}
	moving, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return m(c, moving, n)
}

const (
	// smallWrite surely fits into one segment of any path (RFC 9293 section
	// 3.7.1: 536 bytes without options).
	smallWrite = 64
	// ethernetSegment is the payload of a full Ethernet packet over IPv4.
	ethernetSegment = 1460
	// holeTries is how many sizes are tried at once, holeTimeout how long a
	// write of one has to arrive: two retransmissions and more.
	holeTries   = 12
	holeTimeout = 1500 * time.Millisecond
	// holeChecks is how often the smallest size that failed gets another chance
	// before it is condemned: lost at random is not lost for its size.
	holeChecks = 4
)

// hole finds the largest single write that crosses in a direction in which the
// payload stalled, on fresh connections: a write that is no larger than a
// segment travels as one packet. There is none if even small writes fail, or as many
// bytes in small ones; anySize if full segments cross: then size is not the cause.
func (a *attempt) hole(ctx context.Context, m move) (h *result.Hole, anySize bool) {
	fails, segment := int64(ethernetSegment+1), int64(ethernetSegment)
	if a.seen.TCP != nil {
		segment = int64(a.seen.TCP.MSS)
		fails = max(fails, segment+1)
	}
	largest := int64(0)
	h = narrow(ctx, 0, fails, func(sizes []int64) []bool {
		crossed := a.cross(ctx, sizes, m)
		for i, n := range sizes {
			if crossed[i] {
				largest = max(largest, n)
			}
		}
		return crossed
	})
	switch {
	case h == nil:
		return nil, largest >= segment
	case h.Passes == segment:
		return nil, true // one crosses, and more than one do not
	case !a.crossInPieces(ctx, h.Passes, h.Fails, m):
		return nil, false
	}
	if a.seen.TCP != nil {
		h.Packet = int(h.Passes) + headers(a.Target.Addr().Is4(), a.seen.TCP.Timestamps)
	}
	return h, false
}

// narrow finds the largest size that crosses, of those from passes, which is
// known to (0: none is), to one below fails. It returns nil if not even the
// smallest does, or all do: then size is not the cause.
func narrow(ctx context.Context, passes, fails int64, cross func(sizes []int64) []bool) *result.Hole {
	largest := fails - 1
	for fails-passes > 1 && ctx.Err() == nil {
		sizes := between(passes, fails)
		crossed := cross(sizes)
		for i, n := range sizes {
			if !crossed[i] {
				fails = min(fails, n)
			}
		}
		for i, n := range sizes {
			if crossed[i] && n < fails {
				passes = max(passes, n)
			}
		}
		if passes == 0 {
			return nil // not even the smallest
		}
	}
	if passes == largest || slices.Contains(cross(slices.Repeat([]int64{fails}, holeChecks)), true) || ctx.Err() != nil {
		return nil
	}
	return &result.Hole{Passes: passes, Fails: fails}
}

// cross tries single writes of these sizes, all at once, and returns which
// crossed.
func (a *attempt) cross(ctx context.Context, sizes []int64, m move) []bool {
	crossed := make([]bool, len(sizes))
	var all sync.WaitGroup
	for i, n := range sizes {
		all.Go(func() { crossed[i] = a.alone(ctx, n, holeTimeout, m).Outcome == result.TransferIntact })
	}
	all.Wait()
	return crossed
}

// crossInPieces reports whether more than total bytes cross one connection in
// writes of n. If they do not, a device counts what a connection carries, and
// the size of a packet is not the cause.
func (a *attempt) crossInPieces(ctx context.Context, n, total int64, m move) bool {
	pieces := func(c *echo.Conn, ctx context.Context, n int64) result.Transfer {
		t := result.Transfer{Outcome: result.TransferUnknown}
		for moved := int64(0); moved <= total; moved += n {
			piece, cancel := context.WithTimeout(ctx, holeTimeout)
			t = m(c, piece, n)
			cancel()
			if t.Outcome != result.TransferIntact {
				break
			}
		}
		return t
	}
	timeout := holeTimeout * time.Duration(2+total/n)
	for range 2 { // a loss at random gets another chance
		if a.alone(ctx, n, timeout, pieces).Outcome == result.TransferIntact {
			return true
		}
	}
	return false
}

// between returns up to holeTries sizes inside the open interval, smallWrite
// first if nothing is known to pass yet, and the largest.
func between(passes, fails int64) []int64 {
	var out []int64
	if passes == 0 {
		passes = smallWrite
		out = append(out, smallWrite)
	}
	n := min(holeTries, fails-passes-1)
	for i := int64(1); i <= n; i++ {
		out = append(out, passes+i*(fails-passes)/(n+1))
	}
	if last := fails - 1; len(out) > 0 && out[len(out)-1] != last && passes == smallWrite {
		out = append(out, last)
	}
	return out
}

// headers is what IP and TCP add to a segment's payload: 20 or 40 and 20 bytes,
// and 12 for timestamps (RFC 7323 section 3.2, padded).
func headers(v4, timestamps bool) int {
	n := 60
	if v4 {
		n = 40
	}
	if timestamps {
		n += 12
	}
	return n
}
