package survey

import (
	"net/netip"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
	"dialtone/internal/verdict"
)

// dialedAt are the far end's addresses that this run dials.
func (s *farEnd) dialedAt() (out []netip.Addr) {
	for _, f := range s.families() {
		out = append(out, s.target.Use[f]...)
	}
	return out
}

// rerouted keeps that an address of the far end's was sent to by another way, from a
// moment on until another: each time it is told of longer.
func (s *spans) rerouted(r sock.Reroute) {
	s.telling.Lock()
	defer s.telling.Unlock()
	for n := range s.reroutes {
		if o := &s.reroutes[n]; o.To == r.To && o.From.Equal(r.From) {
			*o = r
			return
		}
	}
	s.reroutes = append(s.reroutes, r)
}

// rerouteLong is from when on another way is there to stay.
const rerouteLong = 500 * time.Millisecond

// ledAnotherWay returns the moment from which on this machine sends to the far end by
// another way: what it sees since is no evidence of the first one. Nil: it does not.
func (s *spans) ledAnotherWay() *cutOff {
	s.telling.Lock()
	defer s.telling.Unlock()
	for _, r := range s.reroutes {
		if !r.Returned && r.Until.Sub(r.From) >= rerouteLong {
			return &cutOff{at: r.From, reroute: &r}
		}
	}
	return nil
}

// timesRerouted are those that are over.
func (s *spans) timesRerouted() (out []verdict.Reroute) {
	s.telling.Lock()
	defer s.telling.Unlock()
	for _, r := range s.reroutes {
		if r.Returned {
			out = append(out, rerouteOf(r))
		}
	}
	return out
}

func rerouteOf(r sock.Reroute) verdict.Reroute {
	return verdict.Reroute{To: r.To, Was: verdict.Route(r.Was), Is: verdict.Route(r.Is), From: r.From, Until: r.Until}
}

// otherWays are the spans in which what was sent for a job, or the answer to what came,
// left by another way. It is called with the mutex held.
func (s *spans) otherWays(j *job) (out []pause) {
	for _, r := range s.reroutes {
		if j.direction == plan.Reverse && result.FamilyOf(r.To) == j.family || r.To == j.to {
			out = append(out, pause{from: r.From, to: r.Until, route: true})
		}
	}
	return out
}
