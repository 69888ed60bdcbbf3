package listener

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/dialer"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// visitPause is how long to wait between two looks at what comes to live software.
// Each connection is there for longer (dialer.SeenWithin).
const visitPause = 50 * time.Millisecond

// Visits are the connections that come to a port of live software from one address
// while the far end makes them: nobody asks about each, since it is this end that
// wants to know.
type Visits struct {
	l      *Listener
	a      result.Acceptor // but for what was seen
	port   uint16
	from   netip.Addr
	before []netip.AddrPort
	cancel context.CancelFunc
	done   sync.WaitGroup
	// translated says where this machine leads the port, and whether its table of
	// connections may not show what it leads elsewhere. The system is asked once.
	translated func() (to string, mayBe bool)

	mu   sync.Mutex
	err  error
	last time.Time // when it was looked last
	late bool      // two looks were so far apart that something may have been missed
	seen []*visit
}

// A visit is one of them: what it was like last, and all that was counted of it.
type visit struct {
	sock.Seen
	taken   bool // it was accepted at any time
	counted []result.Counted
}

// Watch watches a port that live software holds for what comes from an address, until
// End; nil: no live software holds it, as far as this end knows.
func (d *Door) Watch(port int, from netip.Addr) *Visits {
	k := d.takenAt(plan.TCP, port, result.FamilyOf(from))
	if k == nil || k.BindError == nil || !k.InUse || k.Sibling != "" {
		return nil
	}
	v := &Visits{l: d.l, port: uint16(port), from: from, a: result.Acceptor{
		Instance: d.l.Instance.String(), Port: result.PortBusy, Holder: k.Holder,
	}, translated: sync.OnceValues(func() (string, bool) { return sock.LedTo(uint16(port)), sock.MayBeLedElsewhere() })}
	conns, err := sock.CameFrom(v.port, from)
	v.err, v.last = err, sock.Now()
	for _, s := range conns {
		v.before = append(v.before, s.Remote)
	}
	ctx, cancel := context.WithCancel(context.Background())
	v.cancel = cancel
	v.done.Go(func() {
		for err == nil && sock.Wait(ctx, visitPause) {
			v.look()
		}
	})
	return v
}

// End ends the watching. What was seen is known on.
func (v *Visits) End() {
	if v != nil {
		v.cancel()
		v.done.Wait()
	}
}

func (v *Visits) look() {
	conns, err := sock.CameFrom(v.port, v.from)
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		v.err = err
		return
	}
	now := sock.Now()
	v.late, v.last = v.late || now.Sub(v.last) >= dialer.SeenWithin, now
	for _, s := range conns {
		if slices.Contains(v.before, s.Remote) || !v.l.isBusy(s.Local) {
			continue
		}
		i := slices.IndexFunc(v.seen, func(w *visit) bool { return w.Remote == s.Remote })
		if i < 0 {
			i = len(v.seen)
			v.seen = append(v.seen, &visit{Seen: s})
		}
		w := v.seen[i]
		taken := s.Taken == nil || *s.Taken
		if w.taken && s.State != sock.ConnOpen && s.State != sock.ConnLeft && !taken {
			w.State = s.State // it was closed here; how many bytes came is known from before
			continue
		}
		w.Seen, w.taken = s, w.taken || taken
		if s.In != nil && s.Out != nil {
			w.counted = append(w.counted, result.Counted{In: *s.In, Out: *s.Out})
		}
	}
}

// Half is the accepting end's half of ordinary connections that the far end made.
func (v *Visits) Half(i *result.Initiator) result.Acceptor {
	to, mayBe := v.translated()
	v.mu.Lock()
	defer v.mu.Unlock()
	a := v.a
	if name := holderNamed(a.Holder); slices.Contains(proxies, name) {
		return unknown(a, name+" holds the port for another machine")
	}
	if to != "" {
		return unknown(a, "this machine leads the port on to "+to)
	}
	if v.err != nil {
		return unknown(a, tableError(v.err))
	}
	isOver := i.Answer == result.AnswerReset || i.Answer == result.AnswerClosed
	w, match := v.of(i)
	switch {
	case w == nil && match == result.MatchTime:
		return unknown(a, "the addresses are changed on the way, and what came in that time cannot be told apart")
	case w == nil && isOver:
		return unknown(a, "the connection may have been over when it was looked for")
	case v.late && (w == nil || !w.taken):
		return unknown(a, "this machine was too slow to see what came in that time")
	case w == nil && mayBe:
		return unknown(a, "the table of connections here does not show it, and a translation on this machine may lead the port elsewhere")
	case w == nil:
		a.Saw = result.SawNothing
		return a
	}
	a.Match = match
	a = seenAs(a, w.Seen)
	if i.Answer == result.AnswerForeign && (a.Saw == result.SawWaiting || a.Saw == result.SawHalfOpen) {
		return unknown(a, "it was seen before it was accepted, and not after")
	}
	if a.Saw == result.SawAccepted {
		a.Counted = countedOf(w.counted, i.Ordinary)
		if v.late && a.Counted != nil && i.Ordinary != nil && a.Counted.In < i.Ordinary.Sent {
			a.Counted = nil // the rest may have come after the last look
		}
	}
	return a
}

// of finds the connection that a half tells of. Where its source is not seen here, it
// is the n-th of those that came, if as many came as were made.
func (v *Visits) of(i *result.Initiator) (*visit, result.Match) {
	made, n := 0, -1
	for _, c := range i.Connections {
		if c.Purpose != result.PurposeOrdinary || c.Reached == result.ReachedNothing {
			continue
		}
		if c.Source == i.Source {
			n = made
		}
		made++
	}
	for _, w := range v.seen {
		if w.Remote.Port() == i.Source.Port() && result.IsSameAddr(w.Remote.Addr(), i.Source.Addr()) {
			return w, result.MatchAddress
		}
	}
	switch {
	case result.IsSameAddr(v.from, i.Source.Addr()):
		return nil, result.MatchAddress // it would be seen by its own address
	case len(v.seen) == made && n >= 0:
		return v.seen[n], result.MatchTime
	}
	return nil, result.MatchTime
}

// countedOf is what was counted at the moment when so much had been sent, or last.
func countedOf(all []result.Counted, o *result.Ordinary) *result.Counted {
	var last *result.Counted
	for i, c := range all {
		last = &all[i]
		if o != nil && c.In == o.Sent && c.Out >= o.Received {
			break
		}
	}
	return last
}

func holderNamed(h *result.Holder) string {
	if h == nil {
		return ""
	}
	return h.Name
}
