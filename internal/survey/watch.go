package survey

import (
	"net/netip"
	"slices"
	"time"

	"dialtone/internal/dialer"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// An Attempt is how far one attempt of a run is, for whoever watches it. What it
// says when it is over is what this end saw: the verdict is in the report, once
// the other end told its half.
type Attempt struct {
	Flows     []string // the rows that share it
	Direction plan.Direction
	Transport plan.Transport
	Port      int        // 0: not known
	To        netip.Addr // invalid: it leads here
	Host      string     // where each attempt of the run has its own; "": it is the run's
	// Real: it is the real software that is asked, and not our listener.
	Real bool
	// Half is nil while it is under way, for no longer than Within if that is known.
	Within time.Duration // 0: it is not
	Half   *result.Initiator
}

// tell tells whoever watches how far an attempt is.
func (s *survey) tell(j *job, half *result.Initiator) {
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

// tell tells whoever watches how far a visit is.
func (v *visit) tell(f plan.Flow, host string, to netip.AddrPort, half *result.Initiator) {
	if v.OnAttempt == nil {
		return
	}
	a := Attempt{Flows: []string{f.Row.ID}, Direction: f.Direction, Transport: f.Row.Transport, Port: int(to.Port()), To: to.Addr(), Real: true, Half: half}
	if v.Egress {
		a.Host = host
	}
	v.OnAttempt(a)
}

// Phases are the names that OnPhase may be told, in order.
func Phases() []string {
	var out []string
	for _, p := range phases {
		out = append(out, p.name)
	}
	return out
}
