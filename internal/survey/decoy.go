package survey

import (
	"context"
	"net/netip"
	"slices"

	"dialtone/internal/dialer"
	"dialtone/internal/result"
)

// decoys are ports that nobody listens on.
type decoys struct {
	*bothEnds
	answersAll []netip.Addr // in whose name something opens connections to any port
}

// tryDecoys finds out, where a connection opened and no proof came, whether
// something on the way opens connections to any port. It looks no further where
// every connection that opened was proved.
func (s *decoys) tryDecoys(ctx context.Context) {
	for _, f := range s.families() {
		for _, to := range s.target.Use[f] {
			if s.attempts().hasUnproved(to) && dialer.OpensDecoys(ctx, to, s.Bind.For(f), s.Timeout, s.Plan, s.isTaken(f)) {
				s.answersAll = append(s.answersAll, to)
			}
		}
	}
}

// isTaken tells of ports whether the far end's listener has them, or says who does.
func (s *farEnd) isTaken(f result.Family) func(port int) bool {
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
