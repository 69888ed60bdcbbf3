package listener

import (
	"net/netip"
	"slices"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
	"dialtone/internal/witness"
)

// slack is by how much what is looked for may lie outside of its window.
const slack = witness.Slack

// sightings says what this listener saw of each attempt. asSeen is the asking
// end's address as it arrives here, run its run.
func (l *Listener) sightings(queries []echo.WitnessQuery, asSeen netip.Addr, run echo.ID) []result.Acceptor {
	asked := sock.Now() // the queries' times count from here
	l.watch.Look()
	out := make([]result.Acceptor, len(queries))
	for i, q := range queries {
		out[i] = l.sighting(q, asSeen, run, asked)
	}
	return out
}

// maxAge is how far back a query may reach, in milliseconds. Memory is shorter.
const maxAge = int64(24 * time.Hour / time.Millisecond)

// sighting says what this listener saw of one attempt, and whether it was able
// to do its part at that time.
func (l *Listener) sighting(q echo.WitnessQuery, asSeen netip.Addr, run echo.ID, now time.Time) result.Acceptor {
	a := l.saw(q, asSeen, run, now)
	unheard := a.Saw == result.SawHalfOpen && q.Connect == result.ConnectTimeout // the kernel did its part
	if a.Dropped == "" && a.Port != result.PortUnknown && !unheard {
		if why := l.troubles.during(now.Add(-time.Duration(q.BeganMS)*time.Millisecond), now.Add(-time.Duration(q.EndedMS)*time.Millisecond)); why != "" {
			a.Dropped, a.Detail = result.DropListener, why
		}
	}
	if (a.Saw == result.SawHalfOpen || a.Saw == result.SawAccepted) && a.Source.IsValid() {
		if ttl := sock.TTLTowards(a.Source.AddrPort); result.IsFewHops(ttl) {
			a.TTL = ttl
		}
	}
	if a.Saw == result.SawUnknown && a.Port == result.PortBound && q.Connect == result.ConnectTimeout && l.OnUnseen != nil {
		l.OnUnseen(q.Transport, q.Port, q.Source.Addr())
	}
	return a
}

// maxSiblings bounds how many other connections a query may name.
const maxSiblings = 256

func (l *Listener) saw(q echo.WitnessQuery, asSeen netip.Addr, run echo.ID, now time.Time) result.Acceptor {
	if q.EndedMS < 0 || q.BeganMS < q.EndedMS || q.BeganMS > maxAge {
		return unknown(result.Acceptor{Instance: l.Instance.String(), Port: result.PortUnknown}, "the question's span of time makes no sense")
	}
	of := witness.Question{
		Transport: q.Transport, Source: q.Source, SourceChanged: q.SourceChanged, AsSeen: asSeen, Connect: q.Connect,
		AlsoSilent: q.AlsoSilent[:min(len(q.AlsoSilent), maxSiblings)], PortsKept: q.PortsKept,
		From: now.Add(-time.Duration(q.BeganMS) * time.Millisecond), To: now.Add(-time.Duration(q.EndedMS) * time.Millisecond),
	}
	v := witness.View{Instance: l.Instance.String()}
	v.Port, v.Holder = l.portState(q.Transport, q.Port, q.Source.Addr(), asSeen)
	if e, ok := l.arrivals.byProbe(q.Probe, q.Transport, q.Source.AddrPort); ok && q.Probe != (echo.ID{}) {
		v.Probed = e.arrival()
	} else if v.Port == result.PortBusy && q.Moment != "" && q.Transport == plan.TCP {
		return l.busyNow(result.Acceptor{Instance: v.Instance, Port: v.Port, Holder: v.Holder, Saw: result.SawUnknown}, q, asSeen, run)
	} else {
		l.gather(&v, of, q.Port, run)
		l.couldIt(&v, of)
	}
	return witness.Half(of, v)
}

// gather completes what is known of an attempt that its probe does not tell.
func (l *Listener) gather(v *witness.View, q witness.Question, port int, run echo.ID) {
	from, to := q.From.Add(-slack), q.To.Add(slack)
	if l.exactly(v, q, port, run, from, to); v.Exact != nil || v.ExactHalf != nil {
		return // however much else came to the port
	}
	seen := l.between(v, q, port, run, from, to)
	if v.TooMuch {
		return
	}
	if q.SourceChanged {
		v.Before = l.strangersBefore(q.Transport, port, q.AsSeen, from)
		v.Crowded = l.arrivals.runsFrom(q.AsSeen, from, to, run, l.Instance)
	}
	v.Since = l.arrivals.startOf(q.Transport, port)
	v.LedElsewhere = v.Port == result.PortBusy && sock.MayBeLedElsewhere()
	if q.Transport != plan.TCP {
		return
	}
	v.Blind = l.watch.Blind(port, q.From, q.To)
	lingering, whole := l.watch.Lingering(port, from, maxLooked)
	v.TooManyLinger = !whole
	for _, h := range lingering {
		if !l.arrivals.has(h.Source, h.Local) {
			v.Lingering = append(v.Lingering, asSighted(h))
		}
	}
	v.Fate = func(h witness.HalfOpen) (f witness.Fate) {
		if i := slices.IndexFunc(seen, func(s sock.HalfOpen) bool { return asSighted(s) == h }); i >= 0 {
			f.NoRoute = !hasRoute(h.Source)
			f.Dropped, f.Detail = l.watch.Dropped(seen[i])
		}
		return f
	}
}

// couldIt says whether this program could do its part at the time of an attempt.
func (l *Listener) couldIt(v *witness.View, q witness.Question) {
	v.Trouble, v.QueueOverflowed = l.troubles.during(q.From, q.To), l.watch.QueueOverflowed(q.From, q.To)
}

// arrival is an entry as it is judged.
func (e entry) arrival() *witness.Arrival {
	a := &witness.Arrival{
		Remote: e.Remote, Local: e.Local, At: e.At, Keyed: e.isKeyed(), Lasts: e.Kind == "" && e.Transport == plan.TCP,
		Kind: string(e.Kind), Foreign: int64(e.Foreign), TCP: e.TCP,
	}
	if e.Kind == echo.KindShed {
		a.Shed = whyShed
	}
	return a
}

func asSighted(h sock.HalfOpen) witness.HalfOpen {
	return witness.HalfOpen{Source: h.Source, Local: h.Local, First: h.First, Answered: h.Answered, Reset: h.Reset}
}

// maxLooked is how much of what came to a port in a window one question looks
// at. Where more came, nobody could tell one attempt from it but by its probe or
// its source.
const maxLooked = 4096

// exactly finds an attempt by its source address and port, which nothing on the
// way changes.
func (l *Listener) exactly(v *witness.View, q witness.Question, port int, run echo.ID, from, to time.Time) {
	if q.SourceChanged || !q.Source.IsValid() || q.Source.Port() == 0 || l.arrivals.isAnothers(q.Source.Addr(), run, l.Instance) {
		return
	}
	if e, ok := l.arrivals.strangerFrom(q.Transport, port, q.Source.AddrPort, from, to); ok {
		v.Exact = e.arrival()
		return
	}
	if q.Transport != plan.TCP {
		return
	}
	for _, h := range l.watch.From(q.Source.AddrPort, port, from, to) {
		if h.Answered && !l.arrivals.has(h.Source, h.Local) && l.binds(h.Local) {
			half := asSighted(h)
			v.ExactHalf = &half
			return
		}
	}
}

// between finds what reached a port in a window and is not known to be another
// run's; of half-open connections it returns all that is known.
func (l *Listener) between(v *witness.View, q witness.Question, port int, run echo.ID, from, to time.Time) (half []sock.HalfOpen) {
	strangers, whole := l.arrivals.strangersBetween(q.Transport, port, from, to, maxLooked)
	if v.TooMuch = !whole; v.TooMuch {
		return nil
	}
	for _, e := range strangers {
		if !l.arrivals.isAnothers(e.Remote.Addr(), run, l.Instance) {
			v.Accepted = append(v.Accepted, *e.arrival())
		}
	}
	if q.Transport != plan.TCP {
		return nil
	}
	half, whole = l.watch.Between(port, from, to, maxLooked)
	v.TooMuch = !whole
	half = slices.DeleteFunc(half, func(h sock.HalfOpen) bool {
		// Who else listens here, at another address, accepts what is not among our arrivals.
		return l.arrivals.has(h.Source, h.Local) || !l.binds(h.Local) || l.arrivals.isAnothers(h.Source.Addr(), run, l.Instance)
	})
	for _, h := range half {
		v.Half = append(v.Half, asSighted(h))
	}
	return half
}

const (
	// neighbourTime is how long before an attempt others of its address count.
	neighbourTime = 10 * time.Minute
	// aroundRun is how far from a run's proofs its other connections may be.
	aroundRun = time.Minute
)

// strangersBefore reports whether anything came to a port from an address in the
// time before, while no run came from it that would explain it.
func (l *Listener) strangersBefore(t plan.Transport, port int, addr netip.Addr, until time.Time) bool {
	if l.arrivals.isStrangerKnown(t, port, addr, until.Add(-neighbourTime), until, aroundRun) {
		return true
	}
	if t != plan.TCP {
		return false
	}
	half, whole := l.watch.Between(port, until.Add(-neighbourTime), until, maxLooked)
	return !whole || slices.ContainsFunc(half, func(h sock.HalfOpen) bool {
		return result.IsSameAddr(h.Source.Addr(), addr) && !l.arrivals.runsFrom(addr, h.First.Add(-aroundRun), h.First.Add(aroundRun)) && !l.arrivals.has(h.Source, h.Local)
	})
}

// hasRoute reports whether this machine knows a way to an address.
func hasRoute(to netip.AddrPort) bool {
	_, err := sock.SourceFor(to)
	return err == nil
}

func unknown(a result.Acceptor, why string) result.Acceptor {
	a.Saw, a.Match, a.Reason = result.SawUnknown, "", why
	return a
}

// portState says whether this listener holds a port, on the family of the
// attempt: that of its own source if known.
func (l *Listener) portState(t plan.Transport, port int, source, asSeen netip.Addr) (result.PortState, *result.Holder) {
	peer := asSeen
	if source.IsValid() {
		peer = source
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.busy {
		if b.InUse && b.Port == port && b.Transport == t && b.Address.IsOf(result.FamilyOf(peer)) {
			return result.PortBusy, b.Holder
		}
	}
	for _, p := range l.bound {
		if int(p.addr.Port()) == port && p.Transport == t && p.addr.Addr().Is4() == peer.Unmap().Is4() {
			return result.PortBound, nil
		}
	}
	return result.PortUnbound, nil
}
