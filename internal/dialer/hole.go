package dialer

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

const (
	// smallWrite surely fits into one segment of any path (RFC 9293 section
	// 3.7.1: 536 bytes without options).
	smallWrite = 64
	// ethernetSegment is the payload of a full Ethernet packet over IPv4.
	ethernetSegment = 1460
	// holeSizes is how many sizes are tried at once, each of them holeTwice times:
	// what is lost at random is seldom lost on two connections.
	holeSizes = 6
	holeTwice = 2
	// holeTimeout is how long a write has to arrive at least while the size is
	// looked for, proofTimeout where it decides.
	holeTimeout  = 2 * time.Second
	proofTimeout = 3 * time.Second
	// holeChecks is how often the smallest size that failed, and the largest that
	// passed, are tried again before the one is condemned.
	holeChecks = 6
	// holeConns is how many connections may fail to open or to be proved before
	// nothing is said of a size.
	holeConns = 3
	// holeTime bounds the whole search, in timeouts: where most connections fail for
	// another cause, each step waits for all of its own.
	holeTime = 7
	// resends is how often a segment has to be sent again in vain before it counts
	// as one that vanishes.
	resends = 2
)

// A crossing is what became of one size.
type crossing int

const (
	crossUnknown crossing = iota // no connection to try it on, or it was not sent as one segment
	crossed
	vanished // sent several times, and it never arrived
)

// A tally counts crossings of one size.
type tally struct{ tried, crossed int }

func (t *tally) add(c crossing) {
	switch c {
	case crossUnknown:
		return
	case crossed:
		t.crossed++
	}
	t.tried++
}

// chanceLevel is how unlikely it has to be that only chance kept the large ones
// from crossing.
const chanceLevel = 0.01

// neverCrosses reports whether size is what keeps large ones from crossing: none
// of them did, and with the share of the small ones that did, chance does not
// explain it.
func neverCrosses(small, large tally) bool {
	return large.crossed == 0 && large.tried > 0 && small.crossed > 0 && chance(small, large) < chanceLevel
}

// chance is how likely it is that none of as many as few crossed, with the share
// of those others that did (binomial; as if one more of those had failed, so that
// little is not taken for much).
func chance(others, few tally) float64 {
	return math.Pow(1-float64(others.crossed)/float64(others.tried+1), float64(few.tried))
}

// hole finds the largest single write that crosses in a direction in which the
// payload stalled, on fresh connections: a write that is no larger than a
// segment, and than the window, travels as one packet. There is none if even
// small writes fail, or as many bytes in small ones, or if loss explains it;
// anySize if full segments cross: then size is not the cause.
func (a *attempt) hole(ctx context.Context, m move) (h *result.Hole, anySize bool) {
	fails, segment := int64(ethernetSegment+1), int64(ethernetSegment)
	if a.seen.TCP != nil {
		segment = int64(a.seen.TCP.MSS)
		fails = max(fails, segment+1)
	}
	largest := int64(0)
	ctx, cancel := context.WithTimeout(ctx, holeTime*max(a.Timeout, a.resendTime()))
	defer cancel()
	h = narrow(ctx, 0, fails, func(sizes []int64, decides bool) []tally {
		timeout := holeTimeout
		if decides {
			timeout = proofTimeout
		}
		tallies := a.crossAll(ctx, sizes, max(timeout, a.resendTime()), m)
		for i, n := range sizes {
			if tallies[i].crossed > 0 {
				largest = max(largest, n)
			}
		}
		return tallies
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

// resendTime is how long a segment takes to be sent four times and answered,
// together with the far end's share of the time (it gives up sooner): the
// retransmission timeout is three round trips after the first measurement
// (RFC 6298 section 2), and doubles each time.
func (a *attempt) resendTime() time.Duration {
	rtt := a.rtt() // as short as the kernels saw it: a listener that stood still makes no way longer
	return min(patience*a.Timeout, (7*3*rtt+rtt)*4/3)
}

// narrow finds the largest size that crosses, of those from passes, which is
// known to (0: none is), to one below fails. It returns nil if not even the
// smallest does, or all do, or too little is known of them: then size is not
// the cause, or not the only one. try tries each size so often; decides says
// that the sizes are those that a hole is claimed by.
func narrow(ctx context.Context, passes, fails int64, try func(sizes []int64, decides bool) []tally) *result.Hole {
	top := fails
	for range narrowings {
		low, high, ok := bisect(ctx, passes, top, try)
		if !ok || low == top-1 {
			return nil
		}
		var small, large tally
		sizes := slices.Concat(slices.Repeat([]int64{low}, holeChecks/holeTwice), slices.Repeat([]int64{high}, holeChecks/holeTwice))
		for i, t := range try(sizes, true) {
			of := &small
			if sizes[i] == high {
				of = &large
			}
			of.tried, of.crossed = of.tried+t.tried, of.crossed+t.crossed
		}
		switch {
		case sock.IsOver(ctx):
			return nil
		case neverCrosses(small, large):
			return &result.Hole{Passes: low, Fails: high, FailsTried: large.tried, PassesTried: small.tried, PassesCrossed: small.crossed}
		case large.crossed == 0 || high == top-1:
			return nil
		}
		passes = high // it was lost by chance before
	}
	return nil
}

// narrowings is how often the search goes on above a size that was lost by
// chance.
const narrowings = 3

// bisect narrows the gap between a size that crosses and one that does not to
// nothing; false: not even the smallest crosses, or nobody knows.
func bisect(ctx context.Context, passes, fails int64, try func(sizes []int64, decides bool) []tally) (low, high int64, ok bool) {
	for fails-passes > 1 {
		if sock.IsOver(ctx) {
			return 0, 0, false
		}
		sizes := between(passes, fails)
		tallies := try(sizes, false)
		low, high = passes, fails
		for i, n := range sizes {
			if t := tallies[i]; t.crossed == 0 && t.tried >= holeTwice {
				fails = min(fails, n)
			}
		}
		for i, n := range sizes {
			if tallies[i].crossed > 0 && n < fails {
				passes = max(passes, n)
			}
		}
		if passes == 0 || passes == low && fails == high {
			return 0, 0, false
		}
	}
	return passes, fails, true
}

// crossAll tries single writes of these sizes, each holeTwice times, all at once.
func (a *attempt) crossAll(ctx context.Context, sizes []int64, timeout time.Duration, m move) []tally {
	tallies := make([]tally, len(sizes))
	var mu sync.Mutex
	var all sync.WaitGroup
	for i, n := range sizes {
		for range holeTwice {
			all.Go(func() {
				c := a.cross(ctx, n, timeout, m)
				mu.Lock()
				defer mu.Unlock()
				tallies[i].add(c)
			})
		}
	}
	all.Wait()
	return tallies
}

// cross tries one write on a connection of its own. That none can be had says
// nothing of its size.
func (a *attempt) cross(ctx context.Context, n int64, timeout time.Duration, m move) crossing {
	for range holeConns {
		l, err := a.proveAlone(ctx, min(a.Timeout, max(timeout, holeTimeout)))
		if err != nil {
			continue
		}
		defer l.Close()
		moving, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		t := m.bytes(l.Conn, moving, n)
		switch {
		case t.Outcome == result.TransferIntact:
			return crossed
		case t.Outcome != result.TransferStalled && t.Outcome != result.TransferUnknown || sock.IsOver(ctx):
			return crossUnknown // reset, closed or changed: it did not vanish
		}
		if f, ok := sock.FlightOf(l.Stream); ok && m.ours && !hasVanished(f, n) {
			return crossUnknown
		}
		return vanished
	}
	return crossUnknown
}

// hasVanished reports whether n bytes were sent as one segment, again and again,
// and never acknowledged.
func hasVanished(f sock.Flight, n int64) bool {
	return f.Unacknowledged > 0 && f.Resent >= resends && (f.Window == 0 || int64(f.Window) >= n) && int64(f.MSS) >= n
}

// crossInPieces reports whether more than total bytes cross one connection in
// writes of n. If they do not, a device counts what a connection carries, and
// the size of a packet is not the cause.
func (a *attempt) crossInPieces(ctx context.Context, n, total int64, m move) bool {
	wait := max(holeTimeout, a.resendTime())
	pieces := m
	pieces.bytes = func(c *echo.Conn, ctx context.Context, n int64) result.Transfer {
		t := result.Transfer{Outcome: result.TransferUnknown}
		for moved := int64(0); moved <= total; moved += n {
			piece, cancel := context.WithTimeout(ctx, wait)
			t = m.bytes(c, piece, n)
			cancel()
			if t.Outcome != result.TransferIntact {
				break
			}
		}
		return t
	}
	timeout := wait * time.Duration(2+total/n)
	for range 2 { // a loss at random gets another chance
		if a.alone(ctx, n, timeout, pieces).Outcome == result.TransferIntact {
			return true
		}
	}
	return false
}

// between returns up to holeSizes sizes inside the open interval, smallWrite
// first if nothing is known to pass yet, and the largest.
func between(passes, fails int64) []int64 {
	var out []int64
	if passes == 0 {
		passes = smallWrite
		out = append(out, smallWrite)
	}
	n := min(holeSizes, fails-passes-1)
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
