package survey

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// startAccepting opens the ports of the reverse rows, if there are any, unless a
// door was given to this run.
func (s *bothEnds) startAccepting(ctx context.Context) {
	if ports := s.bindings(); s.door == nil && len(ports) > 0 {
		s.door = s.OpenDoor(ctx, With{ID: s.id, Own: s.own}, ports, s.dialedFrom(), listener.Config{})
	}
}

// bindings are the ports that this run's reverse rows need.
func (s *bothEnds) bindings() []plan.Binding {
	var legs []Leg
	for _, l := range s.legs {
		legs = append(legs, l.Leg)
	}
	return Bindings(legs)
}

// OpenDoor opens ports for what the far end dials back to a run. sources are the
// addresses that this machine dials it from. more holds what goes beyond answering
// that run.
func (c Config) OpenDoor(ctx context.Context, w With, ports []plan.Binding, sources []netip.Addr, more listener.Config) *listener.Door {
	more.Key, more.Software, more.Plan, more.Roles = c.Key, c.Software, c.Plan, c.Local
	more.Ports, more.Shift, more.Addrs, more.Instance = ports, c.Shift, c.Bind, w.Own
	return listener.OpenDoor(ctx, listener.DoorConfig{Config: more, Run: w.ID, From: sources, Timeout: c.Timeout})
}

// Bindings lists the ports that this end accepts on for some legs.
func Bindings(legs []Leg) []plan.Binding {
	rows := plan.Plan{}
	for _, l := range legs {
		known := slices.ContainsFunc(rows.Rows, func(r plan.Row) bool { return r.ID == l.Row.ID && r.Port == l.Row.Port })
		if l.Direction == plan.Reverse && !known {
			rows.Rows = append(rows.Rows, l.Row)
		}
	}
	return rows.Ports(nil)
}

// dialedFrom are the addresses that forward attempts left from.
func (s *evidence) dialedFrom() []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempts().dialedFrom()
}

// askSiblings finds out whether the siblings still hold their ports at the end of
// a run.
func (s *bothEnds) askSiblings(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	for _, j := range s.attempts() {
		j.vacated = j.direction == plan.Reverse && s.door.Vacated(ctx, j.transport, j.port, j.family)
	}
}

// sinceVacated is a half where the sibling that accepted let go of the port
// meanwhile: what failed after the last connection that passed is no sign of the
// network, and where none passed nothing is known.
func sinceVacated(i *result.Initiator, port int) {
	if !isWhole(i) {
		i.NotTried = fmt.Sprintf("another dial or listen, on this machine, held port %d when this run began and ended during it; run this again once it has ended", port)
		return
	}
	i.Connections = slices.Clone(i.Connections)
	for n := range slices.Backward(i.Connections) { // in order of time
		c := &i.Connections[n]
		if c.IsPassed() {
			return
		}
		if !c.IsFailed() {
			continue
		}
		c.Ended = result.EndedUnknown
		if c.Purpose == result.PurposeConversation {
			i.Conversation = nil
		}
	}
}

// noAcceptor says why a reverse job cannot be attempted at all, "" if it can. What
// other software answers on its port is worth knowing.
func (s *bothEnds) noAcceptor(j *job) string {
	switch _, not := s.door.Expects(j.transport, j.port, j.family); {
	case not == nil, not.InUse:
		return ""
	case not.NoPermission:
		return fmt.Sprintf("this machine may not open port %d (%v); run dial as root or administrator, or use --port-shift on both sides", j.port, not.Err)
	default:
		return fmt.Sprintf("this machine could not open port %d: %v", j.port, not.Err)
	}
}
