// Package witness says what an accepting end saw of one attempt, from what it
// remembers and what its kernel showed. It looks at nothing by itself.
package witness

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// Slack widens a window when something is looked for in it, against the time that
// the question itself took.
const Slack = 2 * time.Second

// A Question is about one attempt.
type Question struct {
	Transport plan.Transport
	Source    result.Endpoint // as the end that made it knows it
	// SourceChanged: a device on the way changes its address or port, so that Source is
	// not what the accepting end sees.
	SourceChanged bool
	// AlsoSilent are source ports of other connections that the same end made to that
	// port, as it knows them, and to which nobody answered anything either.
	AlsoSilent []uint16
	// PortsKept: what changes its address left it its source port on every other path of
	// its run (RFC 4787 section 4.2.1).
	PortsKept bool
	AsSeen    netip.Addr // that end's address as it arrives here
	From, To  time.Time  // when it was made, by the accepting end's clock
	// Connect is how it ended, where From is the very moment of its first packet; "":
	// not known, or the moment is not.
	Connect result.ConnectOutcome
}

// A View is what an accepting end knows of one attempt, and of what else came to its
// port at that time.
type View struct {
	Instance string // listener process that has seen it
	Port     result.PortState
	Holder   *result.Holder
	Probed   *Arrival // that carried the attempt's probe; nil: none did
	// Exact and ExactHalf came without the key from the attempt's very source, where that
	// is no other run's; nil: nothing did. Where one of the three is known, the rest may be
	// left out.
	Exact     *Arrival
	ExactHalf *HalfOpen

	// Accepted and Half came to the port between From and To, give or take Slack, without
	// the key, and are not known to be another run's. TooMuch: there are too many.
	Accepted []Arrival
	Half     []HalfOpen
	TooMuch  bool
	Before   bool // something came from AsSeen in the minutes before, that no run explains
	Crowded  bool // another run came from AsSeen between From and To, give or take Slack
	// Lingering are half-open connections of earlier attempts that were still there then.
	Lingering     []HalfOpen
	TooManyLinger bool

	Since           time.Time // when the memory of the port begins
	Blind           string    // why seeing nothing between From and To proves nothing; "": it does
	Trouble         string    // why this program could not do its part at that time; "": it could
	QueueOverflowed bool      // connections found its queue full at that time
	LedElsewhere    bool      // a translation on that machine may lead a busy port elsewhere
	// Fate tells what became of a SYN that its machine did not answer. It is asked of one
	// at most. nil: nothing is known of any.
	Fate func(HalfOpen) Fate
}

// An Arrival is a connection that was accepted, or a datagram.
type Arrival struct {
	Remote, Local netip.AddrPort
	At            time.Time
	Keyed         bool        // it carried a probe
	Lasts         bool        // the connection is still open
	Kind          string      // what it was recorded as; "" while it lasts
	Foreign       int64       // bytes that were no proof
	TCP           *result.TCP // what the system knew of it at its end
	Shed          string      // why it was ended for a newer one; "": it was not
}

// A HalfOpen is an attempt whose packets reached the machine, whether or not anybody
// accepted it.
type HalfOpen struct {
	Source, Local netip.AddrPort
	First         time.Time
	Answered      bool // the TCP stack answered its SYN; false: that was seen at an interface only
	Reset         bool // a RST for it arrived
}

// A Fate is what became of a SYN that was not answered.
type Fate struct {
	NoRoute bool        // the machine knows no way back
	Dropped result.Drop // "": not known
	Detail  string
}

// Half is the accepting end's half of an attempt. A sighting that may be something
// else's is unknown: a false "nothing came" accuses a firewall.
func Half(q Question, v View) result.Acceptor {
	a := result.Acceptor{Instance: v.Instance, Port: v.Port, Holder: v.Holder, Saw: result.SawUnknown}
	switch {
	case v.Probed != nil:
		return accepted(a, *v.Probed, result.MatchProbe)
	case v.Port == result.PortBusy && (q.Connect != result.ConnectTimeout || q.Transport != plan.TCP):
		return unknown(a, "other software holds the port")
	case v.Exact != nil:
		return accepted(a, *v.Exact, result.MatchAddress)
	case v.ExactHalf != nil:
		a.Match = result.MatchAddress
		return q.halfOpen(v, a, *v.ExactHalf)
	case v.TooMuch:
		return unknown(a, "more reached that port in that time than can be looked through")
	case q.SourceChanged:
		return q.byTime(a, v)
	}
	return q.byAddress(a, v)
}

const (
	// Where the moment of an attempt is known, its first packet arrives at it, or a
	// second later if that one is lost (RFC 6298 section 2), give or take what
	// clocks, the way and the watch take.
	momentBefore = 700 * time.Millisecond
	momentAfter  = 1700 * time.Millisecond
)

// byAddress goes by the source address and port, which nothing on the way
// changes.
func (q Question) byAddress(a result.Acceptor, v View) result.Acceptor {
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
	for _, e := range v.Accepted {
		if is(e.Remote) {
			return accepted(a, e, a.Match)
		}
	}
	if h := furthest(v.Half, is); h != nil && h.Answered {
		return q.halfOpen(v, a, *h)
	}
	if h := furthest(v.Half, q.isSibling); h != nil && h.Answered && q.Connect != result.ConnectRST && q.Connect != result.ConnectICMP {
		// What became of its answer became of the attempt's, which did not come from there.
		if a = q.halfOpen(v, a, *h); a.Saw == result.SawHalfOpen {
			a.Detail = fmt.Sprintf("of another of its connections, from port %d: %s", h.Source.Port(), a.Detail)
			a.Source = result.Endpoint{}
		}
		return a
	}
	mayBe := func(ap netip.AddrPort) bool { return !is(ap) && !q.isSibling(ap) }
	// Something that nobody claims may be this attempt under another address.
	for _, e := range v.Accepted {
		if !is(e.Remote) {
			return unknown(a, fmt.Sprintf("in that time something connected from %s, which may be this attempt with its address changed on the way", e.Remote))
		}
	}
	for _, h := range v.Half {
		if mayBe(h.Source) && h.Answered {
			return unknown(a, fmt.Sprintf("in that time a half-open connection came from %s, which may be this attempt with its address changed on the way", h.Source))
		}
	}
	return q.nothing(a, v, furthest(v.Half, is))
}

// isSibling reports whether something came from another connection of the end that made
// the attempt, which got no answer either.
func (q Question) isSibling(ap netip.AddrPort) bool {
	return slices.Contains(q.AlsoSilent, ap.Port()) && result.IsSameAddr(ap.Addr(), q.Source.Addr())
}

// byTime goes by the address that this run's other paths come from and by the
// time alone, since a device on the way changes addresses or ports.
func (q Question) byTime(a result.Acceptor, v View) result.Acceptor {
	// Where the address is only feared to change, it may not.
	exact := func(ap netip.AddrPort) bool {
		return ap.Port() == q.Source.Port() && ap.Port() != 0 && result.IsSameAddr(ap.Addr(), q.Source.Addr())
	}
	// An attempt that never opened is none of those that were accepted.
	if h := furthest(v.Half, exact); h != nil && (len(v.Accepted) == 0 || h.Answered && q.Connect == result.ConnectTimeout) {
		a.Match = result.MatchAddress
		if h.Answered {
			return q.halfOpen(v, a, *h)
		}
		return q.nothing(a, v, h)
	}
	a.Match = result.MatchTime
	if len(v.Accepted)+len(v.Half) == 0 {
		return q.nothing(a, v, nil) // whatever its address would be here
	}
	if q.Source.IsValid() && result.FamilyOf(q.Source.Addr()) != result.FamilyOf(q.AsSeen) {
		return unknown(a, "no path of that address family shows which address the attempt would have here")
	}
	if v.Crowded {
		return unknown(a, "another run came from the same address at that time, and the addresses are changed on the way")
	}
	is := func(ap netip.AddrPort) bool { return result.IsSameAddr(ap.Addr(), q.AsSeen) }
	if h := v.portKept(q, is); h != nil {
		return q.halfOpen(v, a, *h)
	}
	if q.PortsKept && v.anyFrom(is) && !v.anyFrom(func(ap netip.AddrPort) bool { return is(ap) && q.isOwnPort(ap.Port()) }) {
		return unknown(a, "what came from the same address on that port left from other source ports than this end's, which are kept on its other paths: it is somebody else's behind it")
	}
	if why := v.neighbour(q, is); why != "" {
		return unknown(a, why)
	}
	for _, e := range v.Accepted {
		if is(e.Remote) {
			return accepted(a, e, result.MatchTime)
		}
	}
	if h := furthest(v.Half, is); h != nil && h.Answered {
		return q.halfOpen(v, a, *h)
	}
	if n := len(v.Accepted) + len(v.Half); n > 0 && furthest(v.Half, is) == nil {
		return unknown(a, "in that time something came from another address, which may be this attempt: addresses are changed on the way")
	}
	return q.nothing(a, v, furthest(v.Half, is))
}

// anyFrom reports whether anything came from such an address, which a SYN did that was
// answered.
func (v View) anyFrom(is func(netip.AddrPort) bool) bool {
	return slices.ContainsFunc(v.Accepted, func(e Arrival) bool { return is(e.Remote) }) ||
		slices.ContainsFunc(v.Half, func(h HalfOpen) bool { return h.Answered && is(h.Source) })
}

// isOwnPort reports whether the attempt left from a port, or another connection to that
// port that got no answer either; so does any where its own is not known.
func (q Question) isOwnPort(port uint16) bool {
	return q.Source.Port() == 0 || port == q.Source.Port() || slices.Contains(q.AlsoSilent, port)
}

// portKept returns what stayed half-open and came from the attempt's address
// with the attempt's own source port, nil if nothing did: a NAT that keeps ports
// (RFC 4787 section 4.2.1) gives that one to no second connection to the same
// endpoint, so it is no neighbour's. Where something opened, that may be the
// attempt instead.
func (v View) portKept(q Question, is func(netip.AddrPort) bool) *HalfOpen {
	port := q.Source.Port()
	if port == 0 || len(v.Accepted) > 0 {
		return nil
	}
	h := furthest(v.Half, func(ap netip.AddrPort) bool { return is(ap) && ap.Port() == port })
	if h == nil || !h.Answered {
		return nil
	}
	return h
}

// neighbour says why what came from the attempt's address may be somebody
// else's behind the same NAT; "": count and moment leave no other reading, or
// nothing came from it.
func (v View) neighbour(q Question, is func(netip.AddrPort) bool) string {
	var first time.Time
	count, opened := 0, false
	see := func(at time.Time) {
		if count++; first.IsZero() || at.Before(first) {
			first = at
		}
	}
	for _, e := range v.Accepted {
		if is(e.Remote) {
			see(e.At)
			opened = true
		}
	}
	for _, h := range v.Half {
		if is(h.Source) && h.Answered {
			see(h.First)
		}
	}
	switch {
	case count == 0:
		return ""
	case v.Before:
		return "somebody else behind the same address connects to that port as well, and the addresses are changed on the way"
	case count == 1 && len(q.AlsoSilent) > 0 && q.Connect == result.ConnectTimeout && q.Transport == plan.TCP:
		return "one connection came from the same address on that port in that time, and more were made that got no answer: it may be somebody else's behind it"
	case q.Connect == "" || q.Transport != plan.TCP:
		return "" // neither its moment nor how it ended is known
	case opened && q.Connect == result.ConnectTimeout:
		return "in that time a connection from the same address opened on that port, and this attempt never did: it is somebody else's behind the same address, or a device's on the way"
	case first.Before(q.From.Add(-momentBefore)) || first.After(q.From.Add(momentAfter)):
		return "what came from the same address on that port did not come when the attempt was made, and may be somebody else's behind it"
	}
	return ""
}

// nothing says that nothing came, if that is known.
func (q Question) nothing(a result.Acceptor, v View, syn *HalfOpen) result.Acceptor {
	var fate Fate
	if syn != nil && v.Fate != nil {
		fate = v.Fate(*syn)
	}
	if syn != nil && fate.NoRoute {
		a = halfOpen(a, *syn)
		a.Detail = "its SYN arrived, and this machine has no route for the answer"
		return a
	}
	a.Match = ""
	if v.Since.After(q.From) {
		return unknown(a, "the listener was started, or its memory was full, in that time")
	}
	switch {
	case a.Port == result.PortBusy && v.LedElsewhere:
		return unknown(a, "a translation on that machine may lead the port elsewhere")
	case a.Port != result.PortBound && a.Port != result.PortBusy:
		return unknown(a, "the listener does not hold that port")
	}
	if syn != nil {
		// It arrived: what became of it needs no watching throughout.
		a.Saw, a.Source, a.Local = result.SawNothing, result.EndpointFrom(syn.Source), result.EndpointFrom(syn.Local)
		a.Dropped, a.Detail = fate.Dropped, fate.Detail
		if v.Blind == "" || a.Dropped != result.DropFirewall {
			return a
		}
		// The kernel may have answered, or turned it away, unseen.
		a.Source, a.Local, a.Dropped, a.Detail = result.Endpoint{}, result.Endpoint{}, "", ""
	}
	if q.Transport == plan.TCP {
		if v.Blind != "" {
			return unknown(a, v.Blind)
		}
		if v.TooManyLinger {
			return unknown(a, "more half-open connections of earlier attempts were still there than can be looked through")
		}
		for _, h := range v.Lingering {
			if q.SourceChanged || h.Source == q.Source.AddrPort {
				return unknown(a, fmt.Sprintf("a half-open connection of an earlier attempt from %s was still there", h.Source))
			}
		}
	}
	a.Saw = result.SawNothing
	return a
}

func accepted(a result.Acceptor, e Arrival, m result.Match) result.Acceptor {
	a.Saw, a.Match = result.SawAccepted, m
	a.Source, a.Local = result.EndpointFrom(e.Remote), result.EndpointFrom(e.Local)
	a.Proved, a.BytesIn, a.TCP, a.Lasts = e.Keyed, e.Foreign, e.TCP, e.Lasts
	if e.Kind != "" {
		a.Detail = "the listener recorded it as " + e.Kind
	}
	if e.Shed != "" {
		a.Dropped, a.Detail = result.DropListener, e.Shed
	}
	return a
}

// halfOpen says that an attempt was answered and nobody took its connection,
// unless that is this program's own fault: what it cannot take in time waits in
// the kernel, and is no half-open connection at all or is one for that cause.
func (q Question) halfOpen(v View, a result.Acceptor, h HalfOpen) result.Acceptor {
	switch {
	case v.Trouble == "":
		return halfOpen(a, h)
	case v.QueueOverflowed:
		a = halfOpen(a, h)
		a.Dropped, a.Detail = result.DropQueue, v.Trouble+", and the queue of connections that wait for it was full"
		return a
	case q.isUnheard(h):
		return halfOpen(a, h)
	}
	return unknown(a, v.Trouble)
}

// isUnheard reports whether this machine answered an attempt's SYN when it was sent, and
// the end that made it heard nothing: the kernel answers, whether or not the program
// that listens runs, so that its trouble is not why.
func (q Question) isUnheard(h HalfOpen) bool {
	return q.Transport == plan.TCP && q.Connect == result.ConnectTimeout && h.Answered &&
		!h.First.Before(q.From.Add(-momentBefore)) && !h.First.After(q.From.Add(momentAfter))
}

func halfOpen(a result.Acceptor, h HalfOpen) result.Acceptor {
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
func furthest(half []HalfOpen, is func(netip.AddrPort) bool) *HalfOpen {
	var best *HalfOpen
	for i := range half {
		if is(half[i].Source) && (best == nil || half[i].Answered && !best.Answered) {
			best = &half[i]
		}
	}
	return best
}
