package survey

import (
	"context"
	"math/rand/v2"
	"net/netip"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// decoys is how many ports on which nothing ought to listen have to answer
// before something on the way is said to answer for all. One may be taken.
const decoys = 2

// tryDecoys finds out, where a connection opened and no proof came, whether
// something on the way opens connections to any port. It looks no further where
// every connection that opened was proved.
func (s *survey) tryDecoys(ctx context.Context) {
	for _, f := range s.families() {
		for _, to := range s.target.Use[f] {
			if s.hasUnproved(to) && s.decoysOpen(ctx, to) {
				s.answersAll = append(s.answersAll, to)
			}
		}
	}
}

// decoysOpen reports whether connections to ports of an address of the far end
// which nobody uses open.
func (s *survey) decoysOpen(ctx context.Context, to netip.Addr) bool {
	for range decoys {
		if !s.opens(ctx, netip.AddrPortFrom(to, s.decoyPort(result.FamilyOf(to)))) {
			return false
		}
	}
	return true
}

// hasUnproved reports whether a forward TCP path to an address opened a
// connection on which no proof came.
func (s *survey) hasUnproved(to netip.Addr) bool {
	for _, j := range s.jobs {
		i := j.initiator
		if i == nil || j.direction != plan.Forward || j.to != to || j.transport != plan.TCP || i.Connect != result.ConnectOpen {
			continue
		}
		switch i.Answer {
		case result.AnswerKeyed, result.AnswerWrongKey, result.AnswerForbidden, result.AnswerVersion, result.AnswerOwn:
		default:
			return true
		}
	}
	return false
}

// decoyPort is a port that neither the plan nor the far end's listener has, and
// that systems do not hand out by themselves (RFC 6335 section 6 ff. leaves
// many of these to nobody).
func (s *survey) decoyPort(f result.Family) uint16 {
	taken := map[int]bool{}
	for _, r := range s.Plan.Rows {
		taken[r.Port] = true
	}
	if h, ok := s.contacts.helloOf(f); ok {
		for _, ports := range h.Bound {
			for _, p := range ports {
				taken[p] = true
			}
		}
		for _, b := range h.Busy {
			taken[b.Port] = true
		}
	}
	for {
		if p := 20000 + rand.N(10000); !taken[p] {
			return uint16(p)
		}
	}
}

// opens reports whether a connection to at opens.
func (s *survey) opens(ctx context.Context, at netip.AddrPort) bool {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	d := sock.Dial(ctx, "tcp", netip.AddrPortFrom(s.bindFor(result.FamilyOf(at.Addr())), 0), at)
	if d.Err != nil {
		return false
	}
	d.Conn.Close()
	return true
}
