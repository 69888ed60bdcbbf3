package survey

import (
	"context"
	"net/netip"

	"dialtone/internal/dialer"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// tracing is of ways to compare others with.
type tracing struct {
	*bothEnds
	openWay map[netip.Addr]*result.Trace // of an open forward path to an address
}

// traceOpen traces an open forward path to each address to which another was
// traced: it names the devices behind the one where that other path stops.
func (s *tracing) traceOpen(ctx context.Context) {
	s.openWay = map[netip.Addr]*result.Trace{}
	for _, j := range s.attempts() {
		if j.direction != plan.Forward || j.initiator.Trace == nil || s.openWay[j.to] != nil {
			continue
		}
		if way, ok := s.contacts.To(j.to, s.expectedAt(j.to)); ok && ctx.Err() == nil {
			s.openWay[j.to] = dialer.Trace(ctx, s.Bind.For(j.family), way.Target)
		}
	}
}
