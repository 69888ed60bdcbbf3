package survey

import (
	"slices"
	"time"

	"dialtone/internal/dialer"
	"dialtone/internal/result"
)

// An Attempt is how far one attempt of a run is.
type Attempt = dialer.Progress

// A Watch is who is told how a run goes; nil: nobody is.
type Watch struct {
	// OnUnresolved is told of each name of the far end's that gives no address while
	// another does.
	OnUnresolved func(host string, err error)
	// OnHold is told every second how long connections are still kept idle.
	OnHold func(left time.Duration)
	// OnRestart is told that the run begins again, since the far end's listener was
	// started anew.
	OnRestart func()
	// OnProgress is told how many of all known attempts are over.
	OnProgress func(done, all int)
	// OnAttempt is told when an attempt begins, and when it is over; OnPhase what
	// the run does once all were attempted, one of Phases. They are called by many
	// at once, and must not wait.
	OnAttempt func(Attempt)
	OnPhase   func(name string)
}

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
	return append(out, phaseLend)
}
