package verdict

import (
	"net/netip"

	"dialtone/internal/result"
)

// locate says where a path to target stops. open is the trace of an open path
// to the same machine, which names the devices behind the stop; nil if there is
// none. It returns nil where nothing is known.
//
// It returns nil, too, where a trace's reset does not come again, and where a trace
// that ends in silence missed a device before its end that open shows: each hop is a
// connection of its own, and some of them got lost nearer than that end.
//
// A device that speaks in the target's own name is not called by it: a NAT
// gives the errors of what stands behind it its own address (RFC 5508 section
// 4.2), so that address belongs to the NAT, and the device may be any behind it.
func locate(t, open *result.Trace, target netip.Addr) *result.Stop {
	if t == nil || t.Unknown != "" || len(t.Hops) == 0 {
		return nil
	}
	s := &result.Stop{}
	name := func(a netip.Addr) netip.Addr {
		if a == target {
			return netip.Addr{}
		}
		return a
	}
	for _, h := range t.Hops {
		if h.What == result.HopExceeded {
			s.LastHop, s.Last = h.TTL, name(h.From)
			if h.From == target && target.IsValid() {
				s.NATHop = h.TTL
			}
		}
	}
	end := t.Hops[len(t.Hops)-1]
	if t.Varies || t.EndsSilent() && missesKnown(t, open) {
		return nil // what met one connection met the next elsewhere, or not at all
	}
	if end.What == result.HopOpen && (!sameWay(t, open) || end.TTL >= open.Distance) {
		return nil // it opens at the target, as far as is known
	}
	if end.What == result.HopICMP {
		s.NextHop, s.Next = end.TTL, name(end.From)
		return s
	}
	s.NextHop = s.LastHop + 1
	if sameWay(t, open) {
		for _, h := range open.Hops {
			if h.TTL == s.NextHop && h.What == result.HopExceeded {
				s.Next = name(h.From)
			}
		}
		s.NextIsTarget = open.Distance == s.NextHop
	}
	if end.What == result.HopOpen {
		s.OpenHop = end.TTL
	}
	if end.What == result.HopRST {
		s.ByHop = end.TTL
		if sameWay(t, open) && open.Distance > 0 {
			s.ByHost = s.ByHop >= open.Distance
		}
	}
	return s
}

// isElsewhere reports whether something else than the listener that ought to
// accept a path's connection did, and led it nowhere.
func isElsewhere(p *result.Path) bool {
	if a := p.Acceptor; p.Initiator.Connect != result.ConnectOpen || a == nil || a.Port != result.PortBound || a.Saw != result.SawNothing {
		return false
	}
	switch p.Initiator.Answer {
	case result.AnswerSilent, result.AnswerReset, result.AnswerClosed:
		return true
	}
	return false
}

// atRelay completes where a path stops that opened at something else than the
// target, where open ones to the same machine go through a relay. Those open at it
// too, so that their distance is the relay's and not the target's.
func atRelay(s *result.Stop, t, open *result.Trace, target netip.Addr) *result.Stop {
	if s == nil {
		s = &result.Stop{}
		if t != nil && t.Distance > 0 && (open == nil || open.Unknown != "" || open.Distance == t.Distance) {
			if at := locate(t, &result.Trace{Hops: t.Hops, Distance: t.Distance + 1}, target); at != nil {
				s, s.NextIsTarget = at, false
			}
		}
	}
	s.Relayed = true
	return s
}

// missesKnown reports whether a device that another trace shows said nothing to this one,
// and one behind it did.
func missesKnown(t, other *result.Trace) bool {
	if !sameWay(t, other) {
		return false
	}
	last := 0
	for _, h := range t.Hops {
		if h.What == result.HopExceeded {
			last = h.TTL
		}
	}
	for i := range min(last-1, len(t.Hops), len(other.Hops)) {
		if t.Hops[i].What == result.HopSilent && other.Hops[i].What == result.HopExceeded {
			return true
		}
	}
	return false
}

// sameWay reports whether both traces meet the same devices as far as both
// were answered.
func sameWay(a, b *result.Trace) bool {
	if b == nil || b.Unknown != "" {
		return false
	}
	for i := range min(len(a.Hops), len(b.Hops)) {
		x, y := a.Hops[i], b.Hops[i]
		if x.What == result.HopExceeded && y.What == result.HopExceeded && x.From != y.From {
			return false
		}
	}
	return true
}
