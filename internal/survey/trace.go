package survey

import (
	"context"

	"dialtone/internal/dialer"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// traceOpen traces an open forward path of each family in which another was
// traced: it names the devices behind the one where that other path stops.
func (s *survey) traceOpen(ctx context.Context) {
	s.openWay = map[result.Family]*result.Trace{}
	for _, j := range s.jobs {
		if j.direction != plan.Forward || j.initiator.Trace == nil || s.openWay[j.family] != nil {
			continue
		}
		if target, ok := s.contacts.targetOf(j.family, s.expected); ok && ctx.Err() == nil {
			s.openWay[j.family] = dialer.Trace(ctx, s.bindFor(j.family), target)
		}
	}
}
