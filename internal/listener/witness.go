package listener

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// slack widens a window when something is looked for in it, against the time
// that the question itself took.
const slack = 2 * time.Second

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
	if a.Dropped == "" && a.Port != result.PortUnknown {
		if why := l.troubles.during(now.Add(-time.Duration(q.BeganMS)*time.Millisecond), now.Add(-time.Duration(q.EndedMS)*time.Millisecond)); why != "" {
			a.Dropped, a.Detail = result.DropListener, why
		}
	}
	if a.Saw == result.SawUnknown && a.Port == result.PortBound && q.Connect == result.ConnectTimeout && l.OnUnseen != nil {
		l.OnUnseen(q.Transport, q.Port, q.Source.Addr())
	}
	return a
}

func (l *Listener) saw(q echo.WitnessQuery, asSeen netip.Addr, run echo.ID, now time.Time) result.Acceptor {
	if q.EndedMS < 0 || q.BeganMS < q.EndedMS || q.BeganMS > maxAge {
		return unknown(result.Acceptor{Instance: l.Instance.String(), Port: result.PortUnknown}, "the question's span of time makes no sense")
	}
	from := now.Add(-time.Duration(q.BeganMS) * time.Millisecond)
	to := now.Add(-time.Duration(q.EndedMS) * time.Millisecond)
	a := result.Acceptor{Instance: l.Instance.String(), Saw: result.SawUnknown}
	a.Port, a.Holder = l.portState(q.Transport, q.Port, q.Source.Addr(), asSeen)

	if e, ok := l.ledger.byProbe(q.Probe, q.Transport, q.Source.AddrPort); ok && q.Probe != (echo.ID{}) {
		return accepted(a, e, result.MatchProbe)
	}
	switch {
	case a.Port != result.PortBusy:
	case q.Moment != "" && q.Transport == plan.TCP:
		return l.heldNow(a, q, asSeen, run)
	case q.Connect != result.ConnectTimeout || q.Transport != plan.TCP:
		return unknown(a, "other software holds the port")
	}
	if got, ok := l.exactly(a, q, run, from, to); ok {
		return got
	}
	v, why := l.viewOf(q, run, from.Add(-slack), to.Add(slack))
	if why != "" {
		return unknown(a, why)
	}
	if !q.SourceChanged {
		return l.byAddress(a, q, v, from, to)
	}
	v.before = l.strangersBefore(q, asSeen, from.Add(-slack))
	return l.byTime(a, q, v, asSeen, run, from, to)
}

// maxLooked is how much of what came to a port in a window one question looks
// at. Where more came, nobody could tell one attempt from it but by its probe or
// its source.
const maxLooked = 4096

// exactly finds an attempt by its source address and port, which nothing on the
// way changes, however much else came to the port.
func (l *Listener) exactly(a result.Acceptor, q echo.WitnessQuery, run echo.ID, from, to time.Time) (result.Acceptor, bool) {
	if q.SourceChanged || !q.Source.IsValid() || q.Source.Port() == 0 || l.ledger.isAnothers(q.Source.Addr(), run, l.Instance) {
		return a, false
	}
	if e, ok := l.ledger.strangerFrom(q.Transport, q.Port, q.Source.AddrPort, from.Add(-slack), to.Add(slack)); ok {
		return accepted(a, e, result.MatchAddress), true
	}
	if q.Transport != plan.TCP {
		return a, false
	}
	half := slices.DeleteFunc(l.watch.From(q.Source.AddrPort, q.Port, from.Add(-slack), to.Add(slack)), func(h sock.HalfOpen) bool {
		return !h.Answered || l.ledger.has(h.Source, h.Local) || !l.binds(h.Local)
	})
	if len(half) == 0 {
		return a, false
	}
	a.Match = result.MatchAddress
	return l.halfOpen(a, half[0], from, to), true
}

// viewOf is what reached a port in a window and is not known to be another
// run's, or why that cannot be told.
func (l *Listener) viewOf(q echo.WitnessQuery, run echo.ID, from, to time.Time) (v view, why string) {
	const tooMuch = "more reached that port in that time than can be looked through"
	var whole bool
	if v.accepted, whole = l.ledger.strangersBetween(q.Transport, q.Port, from, to, maxLooked); !whole {
		return v, tooMuch
	}
	v.accepted = slices.DeleteFunc(v.accepted, func(e entry) bool { return l.ledger.isAnothers(e.Remote.Addr(), run, l.Instance) })
	if q.Transport != plan.TCP {
		return v, ""
	}
	if v.half, whole = l.watch.Between(q.Port, from, to, maxLooked); !whole {
		return v, tooMuch
	}
	v.half = slices.DeleteFunc(v.half, func(h sock.HalfOpen) bool {
		// Who else listens here, at another address, accepts what is not in our ledger.
		return l.ledger.has(h.Source, h.Local) || !l.binds(h.Local) || l.ledger.isAnothers(h.Source.Addr(), run, l.Instance)
	})
	return v, ""
}

// view is what reached one port in one window and is not known to be another
// run's.
type view struct {
	accepted []entry
	half     []sock.HalfOpen
	before   bool // something came before it from the address that no run explains
}

// byAddress goes by the source address and port, which nothing on the way
// changes.
func (l *Listener) byAddress(a result.Acceptor, q echo.WitnessQuery, v view, from, to time.Time) result.Acceptor {
	is := func(ap netip.AddrPort) bool {
		return ap.Port() == q.Source.Port() && result.IsSameAddr(ap.Addr(), q.Source.Addr())
	}
	if !q.Source.IsValid() || q.Source.Port() == 0 {
		// That system does not tell the source port of a failed attempt.
		is = func(ap netip.AddrPort) bool { return result.IsSameAddr(ap.Addr(), q.Source.Addr()) }
		a.Match = result.MatchTime
	} else {
		a.Match = result.MatchAddress
	}
	for _, e := range v.accepted {
		if is(e.Remote) {
			return accepted(a, e, a.Match)
		}
	}
	if h := furthest(v.half, is); h != nil && h.Answered {
		return l.halfOpen(a, *h, from, to)
	}
	// Something that nobody claims may be this attempt under another address.
	for _, e := range v.accepted {
		if !is(e.Remote) {
			return unknown(a, fmt.Sprintf("in that time something connected from %s, which may be this attempt with its address changed on the way", e.Remote))
		}
	}
	for _, h := range v.half {
		if !is(h.Source) && h.Answered {
			return unknown(a, fmt.Sprintf("in that time a half-open connection came from %s, which may be this attempt with its address changed on the way", h.Source))
		}
	}
	return l.nothing(a, q, furthest(v.half, is), from, to)
}

// byTime goes by the address that this run's other paths come from and by the
// time alone, since a device on the way changes addresses or ports.
func (l *Listener) byTime(a result.Acceptor, q echo.WitnessQuery, v view, asSeen netip.Addr, run echo.ID, from, to time.Time) result.Acceptor {
	// Where the address is only feared to change, it may not.
	exact := func(ap netip.AddrPort) bool {
		return ap.Port() == q.Source.Port() && ap.Port() != 0 && result.IsSameAddr(ap.Addr(), q.Source.Addr())
	}
	if h := furthest(v.half, exact); h != nil && len(v.accepted) == 0 {
		a.Match = result.MatchAddress
		if h.Answered {
			return l.halfOpen(a, *h, from, to)
		}
		return l.nothing(a, q, h, from, to)
	}
	a.Match = result.MatchTime
	if len(v.accepted)+len(v.half) == 0 {
		return l.nothing(a, q, nil, from, to) // whatever its address would be here
	}
	if q.Source.IsValid() && result.FamilyOf(q.Source.Addr()) != result.FamilyOf(asSeen) {
		return unknown(a, "no path of that address family shows which address the attempt would have here")
	}
	if l.ledger.runsFrom(asSeen, from.Add(-slack), to.Add(slack), run, l.Instance) {
		return unknown(a, "another run came from the same address at that time, and the addresses are changed on the way")
	}
	is := func(ap netip.AddrPort) bool { return result.IsSameAddr(ap.Addr(), asSeen) }
	if h := v.portKept(q, is); h != nil {
		return l.halfOpen(a, *h, from, to)
	}
	if why := v.neighbour(q, is, from); why != "" {
		return unknown(a, why)
	}
	for _, e := range v.accepted {
		if is(e.Remote) {
			return accepted(a, e, result.MatchTime)
		}
	}
	if h := furthest(v.half, is); h != nil && h.Answered {
		return l.halfOpen(a, *h, from, to)
	}
	if n := len(v.accepted) + len(v.half); n > 0 && furthest(v.half, is) == nil {
		return unknown(a, "in that time something came from another address, which may be this attempt: addresses are changed on the way")
	}
	return l.nothing(a, q, furthest(v.half, is), from, to)
}

const (
	// Where the moment of an attempt is known, its first packet arrives at it, or a
	// second later if that one is lost (RFC 6298 section 2), give or take what
	// clocks, the way and the watch take.
	momentBefore = 700 * time.Millisecond
	momentAfter  = 1700 * time.Millisecond
	// neighbourTime is how long before an attempt others of its address count.
	neighbourTime = 10 * time.Minute
	// aroundRun is how far from a run's proofs its other connections may be.
	aroundRun = time.Minute
)

// portKept returns what stayed half-open and came from the attempt's address
// with the attempt's own source port, nil if nothing did: a NAT that keeps ports
// (RFC 4787 section 4.2.1) gives that one to no second connection to the same
// endpoint, so it is no neighbour's. Where something opened, that may be the
// attempt instead.
func (v view) portKept(q echo.WitnessQuery, is func(netip.AddrPort) bool) *sock.HalfOpen {
	port := q.Source.Port()
	if port == 0 || len(v.accepted) > 0 {
		return nil
	}
	h := furthest(v.half, func(ap netip.AddrPort) bool { return is(ap) && ap.Port() == port })
	if h == nil || !h.Answered {
		return nil
	}
	return h
}

// neighbour says why what came from the attempt's address may be somebody
// else's behind the same NAT; "": count and moment leave no other reading, or
// nothing came from it.
func (v view) neighbour(q echo.WitnessQuery, is func(netip.AddrPort) bool, from time.Time) string {
	var first time.Time
	count, opened := 0, false
	see := func(at time.Time) {
		if count++; first.IsZero() || at.Before(first) {
			first = at
		}
	}
	for _, e := range v.accepted {
		if is(e.Remote) {
			see(e.At)
			opened = true
		}
	}
	for _, h := range v.half {
		if is(h.Source) && h.Answered {
			see(h.First)
		}
	}
	switch {
	case count == 0:
		return ""
	case v.before:
		return "somebody else behind the same address connects to that port as well, and the addresses are changed on the way"
	case q.Connect == "" || q.Transport != plan.TCP:
		return "" // neither its moment nor how it ended is known
	case opened && q.Connect == result.ConnectTimeout:
		return "in that time a connection from the same address opened on that port, and this attempt never did: it is somebody else's behind the same address, or a device's on the way"
	case first.Before(from.Add(-momentBefore)) || first.After(from.Add(momentAfter)):
		return "what came from the same address on that port did not come when the attempt was made, and may be somebody else's behind it"
	}
	return ""
}

// strangersBefore reports whether anything came to a port from an address in the
// time before, while no run came from it that would explain it.
func (l *Listener) strangersBefore(q echo.WitnessQuery, addr netip.Addr, until time.Time) bool {
	if l.ledger.isStrangerKnown(q.Transport, q.Port, addr, until.Add(-neighbourTime), until, aroundRun) {
		return true
	}
	if q.Transport != plan.TCP {
		return false
	}
	half, whole := l.watch.Between(q.Port, until.Add(-neighbourTime), until, maxLooked)
	return !whole || slices.ContainsFunc(half, func(h sock.HalfOpen) bool {
		return result.IsSameAddr(h.Source.Addr(), addr) && !l.ledger.runsFrom(addr, h.First.Add(-aroundRun), h.First.Add(aroundRun)) && !l.ledger.has(h.Source, h.Local)
	})
}

// nothing says that nothing came, if that is known.
func (l *Listener) nothing(a result.Acceptor, q echo.WitnessQuery, syn *sock.HalfOpen, from, to time.Time) result.Acceptor {
	if syn != nil && !hasRoute(syn.Source) {
		a = halfOpen(a, *syn)
		a.Detail = "its SYN arrived, and this machine has no route for the answer"
		return a
	}
	a.Match = ""
	if since := l.ledger.startOf(q.Transport, q.Port); since.After(from) {
		return unknown(a, "the listener was started, or its memory was full, in that time")
	}
	switch {
	case a.Port == result.PortBusy && sock.MayBeLedElsewhere():
		return unknown(a, "a translation on that machine may lead the port elsewhere")
	case a.Port != result.PortBound && a.Port != result.PortBusy:
		return unknown(a, "the listener does not hold that port")
	}
	if syn != nil {
		// It arrived: what became of it needs no watching throughout.
		a.Saw, a.Source, a.Local = result.SawNothing, result.EndpointFrom(syn.Source), result.EndpointFrom(syn.Local)
		a.Dropped, a.Detail = l.watch.Dropped(*syn)
		if why := l.watch.Blind(q.Port, from, to); why == "" || a.Dropped != result.DropFirewall {
			return a
		}
		// The kernel may have answered, or turned it away, unseen.
		a.Source, a.Local, a.Dropped, a.Detail = result.Endpoint{}, result.Endpoint{}, "", ""
	}
	if q.Transport == plan.TCP {
		if why := l.watch.Blind(q.Port, from, to); why != "" {
			return unknown(a, why)
		}
		half, whole := l.watch.Lingering(q.Port, from.Add(-slack), maxLooked)
		if !whole {
			return unknown(a, "more half-open connections of earlier attempts were still there than can be looked through")
		}
		for _, h := range half {
			if (q.SourceChanged || h.Source == q.Source.AddrPort) && !l.ledger.has(h.Source, h.Local) {
				return unknown(a, fmt.Sprintf("a half-open connection of an earlier attempt from %s was still there", h.Source))
			}
		}
	}
	a.Saw = result.SawNothing
	return a
}

// hasRoute reports whether this machine knows a way to an address.
func hasRoute(to netip.AddrPort) bool {
	_, err := sock.SourceFor(to)
	return err == nil
}

func accepted(a result.Acceptor, e entry, m result.Match) result.Acceptor {
	a.Saw, a.Match = result.SawAccepted, m
	a.Source, a.Local = result.EndpointFrom(e.Remote), result.EndpointFrom(e.Local)
	a.Proved, a.BytesIn = e.Probe != echo.ID{}, int64(e.Foreign)
	a.TCP = e.TCP
	a.Lasts = e.Kind == "" && e.Transport == plan.TCP
	if e.Kind != "" {
		a.Detail = "the listener recorded it as " + string(e.Kind)
	}
	if e.Kind == echo.KindShed {
		a.Dropped, a.Detail = result.DropListener, whyShed
	}
	return a
}

// halfOpen says that an attempt was answered and nobody took its connection,
// unless that is this program's own fault: what it cannot take in time waits in
// the kernel, and is no half-open connection at all or is one for that cause.
func (l *Listener) halfOpen(a result.Acceptor, h sock.HalfOpen, from, to time.Time) result.Acceptor {
	why := l.troubles.during(from, to)
	switch {
	case why == "":
		return halfOpen(a, h)
	case l.watch.QueueOverflowed(from, to):
		a = halfOpen(a, h)
		a.Dropped, a.Detail = result.DropQueue, why+", and the queue of connections that wait for it was full"
		return a
	}
	return unknown(a, why)
}

func halfOpen(a result.Acceptor, h sock.HalfOpen) result.Acceptor {
	a.Saw = result.SawHalfOpen
	a.Source, a.Local = result.EndpointFrom(h.Source), result.EndpointFrom(h.Local)
	a.Detail = "its SYN-ACK was never acknowledged"
	if h.Reset {
		a.Detail = "its SYN-ACK was answered with RST"
	}
	return a
}

func unknown(a result.Acceptor, why string) result.Acceptor {
	a.Saw, a.Match, a.Reason = result.SawUnknown, "", why
	return a
}

// furthest returns the matching attempt that got furthest, nil if none matches.
func furthest(half []sock.HalfOpen, is func(netip.AddrPort) bool) *sock.HalfOpen {
	var best *sock.HalfOpen
	for i := range half {
		if is(half[i].Source) && (best == nil || half[i].Answered && !best.Answered) {
			best = &half[i]
		}
	}
	return best
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
		addr, err := netip.ParseAddr(b.Address)
		if b.InUse && b.Port == port && b.Transport == t && (err != nil || addr.Is4() == peer.Unmap().Is4()) {
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
