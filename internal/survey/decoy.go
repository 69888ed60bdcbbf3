package survey

import (
	"context"
	"net/netip"
	"slices"

	"dialtone/internal/dialer"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// tryDecoys finds out, where a connection opened and no proof came, whether
// something on the way opens connections to any port. It looks no further where
// every connection that opened was proved.
func (s *survey) tryDecoys(ctx context.Context) {
	for _, f := range s.families() {
		for _, to := range s.target.Use[f] {
			if s.hasUnproved(to) && dialer.OpensDecoys(ctx, to, s.Bind.For(f), s.Timeout, s.Plan, s.isTaken(f)) {
				s.answersAll = append(s.answersAll, to)
			}
		}
	}
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
