package dialer

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

const (
	// maxHops is how far a trace looks: further than any path within and
	// between institutions is usually long.
	maxHops = 30
	// hopsAtOnce is how many TTLs are tried together. After the last hopsQuiet
	// of them stayed silent nothing more is expected.
	hopsAtOnce = 6
	hopsQuiet  = 3
	// hopTimeout is long enough for one retransmission of the SYN (RFC 6298
	// section 2: after one second), since routers limit their ICMP errors.
	hopTimeout = 1500 * time.Millisecond
	// maxTraces bounds the traces under way in this process. One that finds no
	// place is left out: where a thousand paths stop, a few tell it.
	maxTraces = 64
)

var traces = make(chan struct{}, maxTraces)

// Trace finds out how far the SYN of a TCP path gets.
func Trace(ctx context.Context, source netip.Addr, target netip.AddrPort) *result.Trace {
	if !sock.CanTrace() {
		return &result.Trace{Unknown: "this system does not tell a program which device ended a packet's life", Hops: []result.Hop{}}
	}
	select {
	case traces <- struct{}{}:
		defer func() { <-traces }()
	default:
		return &result.Trace{Unknown: "many other paths were being traced", Hops: []result.Hop{}}
	}
	var hops []result.Hop
	var unanswered []uint16
	for len(hops) < maxHops && !sock.IsOver(ctx) {
		more, from, err := someHops(ctx, source, target, len(hops)+1)
		if err != nil {
			return &result.Trace{Unknown: "this machine could not make the attempts: " + err.Error(), Hops: []result.Hop{}}
		}
		for i, h := range more {
			if h.What == result.HopSilent && from[i] != 0 {
				unanswered = append(unanswered, from[i])
			}
		}
		hops = append(hops, more...)
		if ends(hops) {
			break
		}
	}
	t := trimmed(hops)
	t.Unanswered = unanswered
	t.Varies = varies(t, func(ttl int) (result.Hop, error) {
		within, cancel := context.WithTimeout(ctx, hopTimeout)
		defer cancel()
		h, from, err := oneHop(within, source, target, ttl)
		if err == nil && h.What == result.HopSilent && from != 0 {
			t.Unanswered = append(t.Unanswered, from)
		}
		return h, err
	})
	return t
}

// resetsAgain is how often the reset at the end of a trace has to come again: a device
// that resets half of all connections does so that often once in 32 traces.
const resetsAgain = 5

// varies reports whether what ended a trace by RST does not reset every connection that
// lives so long: then the first that it did reset does not show where it stands.
func varies(t *result.Trace, again func(ttl int) (result.Hop, error)) bool {
	if len(t.Hops) == 0 || t.Hops[len(t.Hops)-1].What != result.HopRST {
		return false
	}
	for range resetsAgain {
		h, err := again(t.Distance)
		if err != nil {
			return false // this machine could not
		}
		if h.What != result.HopRST {
			return true
		}
	}
	return false
}

// A lateTrace is a trace of a path that begins while an attempt still waits for
// an answer that has become unlikely, so that both end together. A nil one
// traces nothing.
type lateTrace struct {
	begin  *time.Timer
	trace  func() *result.Trace // made once
	cancel context.CancelFunc
}

// traceLate arranges the trace of a path whose attempt takes timeout at most.
func traceLate(ctx context.Context, p Path, timeout time.Duration) *lateTrace {
	ctx, cancel := context.WithCancel(ctx)
	trace := sync.OnceValue(func() *result.Trace { return Trace(ctx, p.Source.Addr(), p.Target) })
	return &lateTrace{
		begin:  time.AfterFunc(max(timeout/2, timeout-hopTimeout), func() { trace() }),
		trace:  trace,
		cancel: cancel,
	}
}

// result returns the trace, and makes it now if it was not begun.
func (l *lateTrace) result() *result.Trace {
	if l == nil {
		return nil
	}
	l.begin.Stop()
	return l.trace()
}

// hold keeps the trace from beginning by itself: a connection opened.
func (l *lateTrace) hold() {
	if l != nil {
		l.begin.Stop()
	}
}

// end ends the trace, if it is under way still.
func (l *lateTrace) end() {
	if l != nil {
		l.begin.Stop()
		l.cancel()
	}
}

// someHops tries hopsAtOnce TTLs from first on, each from a source port of its own. Its
// error is this machine's.
func someHops(ctx context.Context, source netip.Addr, target netip.AddrPort, first int) ([]result.Hop, []uint16, error) {
	ctx, cancel := context.WithTimeout(ctx, hopTimeout)
	defer cancel()
	hops, from := make([]result.Hop, hopsAtOnce), make([]uint16, hopsAtOnce)
	var all errgroup.Group
	for i := range hops {
		all.Go(func() (err error) {
			hops[i], from[i], err = oneHop(ctx, source, target, first+i)
			return err
		})
	}
	return hops, from, all.Wait()
}

func oneHop(ctx context.Context, source netip.Addr, target netip.AddrPort, ttl int) (result.Hop, uint16, error) {
	h := result.Hop{TTL: ttl, What: result.HopSilent}
	d := sock.DialTTL(ctx, netip.AddrPortFrom(source, 0), target, ttl)
	switch c := sock.Classify(d.Err); {
	case d.ICMP != nil && d.ICMP.IsExceeded():
		h.What, h.From = result.HopExceeded, d.ICMP.From
	case d.ICMP != nil:
		h.What, h.From = result.HopICMP, d.ICMP.From
	case c == result.ConnectOpen:
		h.What = result.HopOpen
	case c == result.ConnectRST:
		h.What = result.HopRST
	case c != result.ConnectTimeout:
		return h, 0, d.Err // nothing was sent: that is no silence
	}
	return h, d.Source.Port(), nil
}

// ends reports whether more hops would tell nothing more.
func ends(hops []result.Hop) bool {
	quiet := 0
	for _, h := range hops {
		switch h.What {
		case result.HopSilent:
			quiet++
		case result.HopExceeded:
			quiet = 0
		default:
			return true
		}
	}
	return quiet >= hopsQuiet
}

// trimmed cuts what stands behind the end of the path: the first answer that
// is not a router's to a packet that died there, or the first silence behind
// the last answer.
func trimmed(hops []result.Hop) *result.Trace {
	last := 0 // index behind the last hop that anybody answered for
	for i, h := range hops {
		switch h.What {
		case result.HopSilent:
		case result.HopExceeded:
			last = i + 1
		default:
			return &result.Trace{Hops: hops[:i+1], Distance: h.TTL}
		}
	}
	return &result.Trace{Hops: append([]result.Hop{}, hops[:min(last+1, len(hops))]...)}
}
