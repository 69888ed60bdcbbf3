package verdict

import "dialtone/internal/result"

// Locate says where a path stops. open is the trace of an open path to the
// same machine, which names the devices behind the stop; nil if there is none.
// It returns nil where nothing is known.
func Locate(t, open *result.Trace) *result.Stop {
	if t == nil || t.Unknown != "" || len(t.Hops) == 0 {
		return nil
	}
	s := &result.Stop{}
	for _, h := range t.Hops {
		if h.What == result.HopExceeded {
			s.LastHop, s.Last = h.TTL, h.From
		}
	}
	end := t.Hops[len(t.Hops)-1]
	if end.What == result.HopOpen && (!sameWay(t, open) || end.TTL >= open.Distance) {
		return nil // it opens at the target, as far as is known
	}
	if end.What == result.HopICMP {
		s.NextHop, s.Next = end.TTL, end.From
		return s
	}
	s.NextHop = s.LastHop + 1
	if sameWay(t, open) {
		for _, h := range open.Hops {
			if h.TTL == s.NextHop && h.What == result.HopExceeded {
				s.Next = h.From
			}
		}
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
