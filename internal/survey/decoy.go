package survey

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"

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
			if s.hasUnproved(to) && s.opensDecoys(ctx, to, s.isTaken(f)) {
				s.answersAll = append(s.answersAll, to)
			}
		}
	}
}

// opensDecoys reports whether connections to ports of an address open which nobody
// uses: those that the plan does not have and that are not taken.
func (c Config) opensDecoys(ctx context.Context, to netip.Addr, isTaken func(port int) bool) bool {
	for range decoys {
		if !c.opens(ctx, netip.AddrPortFrom(to, c.decoyPort(isTaken))) {
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
		if i.Ordinary != nil && j.acceptor != nil && j.acceptor.Saw == result.SawAccepted {
			continue // it is known who accepted
		}
		switch i.Answer {
		case result.AnswerKeyed, result.AnswerWrongKey, result.AnswerForbidden, result.AnswerVersion, result.AnswerOwn:
		default:
			return true
		}
	}
	return false
}

// isTaken tells of ports whether the far end's listener has them, or says who does.
func (s *survey) isTaken(f result.Family) func(port int) bool {
	h, _ := s.contacts.HelloOf(f)
	return func(port int) bool {
		for _, bound := range h.Bound {
			if slices.Contains(bound, port) {
				return true
			}
		}
		return slices.ContainsFunc(h.Busy, func(b result.BusyPort) bool { return b.Port == port })
	}
}

// decoyPort is a port that nobody has, and that systems do not hand out by
// themselves (RFC 6335 section 6 ff. leaves many of these to nobody).
func (c Config) decoyPort(isTaken func(port int) bool) uint16 {
	for {
		p := 20000 + rand.N(10000)
		if !isTaken(p) && !slices.ContainsFunc(c.Plan.Rows, func(r plan.Row) bool { return r.Port == p }) {
			return uint16(p)
		}
	}
}

// opens reports whether a connection to at opens.
func (c Config) opens(ctx context.Context, at netip.AddrPort) bool {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	d := sock.Dial(ctx, "tcp", netip.AddrPortFrom(c.Bind.For(result.FamilyOf(at.Addr())), 0), at)
	if d.Err != nil {
		return false
	}
	d.Conn.Close()
	return true
}
