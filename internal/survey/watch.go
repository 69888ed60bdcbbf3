package survey

import (
	"slices"

	"dialtone/internal/dialer"
	"dialtone/internal/result"
)

// An Attempt is how far one attempt of a run is.
type Attempt = dialer.Progress

// tell tells whoever watches how far an attempt is.
func (s *dials) tell(j *job, half *result.Initiator) {
	if s.OnAttempt == nil {
		return
	}
	a := Attempt{
		Direction: j.direction, Transport: j.transport, Port: j.port, To: j.to,
		Within: dialer.Longest(s.Timeout), Half: half,
	}
	s.mu.Lock()
	for _, l := range s.legs {
		if l.job == j && !slices.Contains(a.Flows, l.Row.ID) {
			a.Flows = append(a.Flows, l.Row.ID)
		}
	}
	s.mu.Unlock()
	s.OnAttempt(a)
}

// Phases are the names that OnPhase may be told, in order.
func Phases() []string {
	var out []string
	for _, p := range phases {
		out = append(out, p.name)
	}
	return out
}
