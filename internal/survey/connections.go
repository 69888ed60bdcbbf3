package survey

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
	"dialtone/internal/verdict"
)

// A beside is a connection that this run opened to a forward path's port beside
// its attempt: to ask the far end, or to keep it idle.
type beside struct {
	target netip.AddrPort
	result.Connection
}

// record keeps a connection that was opened beside the attempts, and returns
// what its end is told to. One that this end gave up, because the phase it
// belongs to was over, tells nothing.
func (s *evidence) record(phase context.Context, target netip.AddrPort, c result.Connection) (ended func(error)) {
	givenUp := func() bool { return sock.IsOver(phase) }
	if c.Ended != result.EndedWell && givenUp() {
		c.Ended = result.EndedUnknown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.besides)
	s.besides = append(s.besides, beside{target, c})
	return func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		b := &s.besides[n]
		b.ElapsedMS = result.Milliseconds(sock.Since(b.At.Time))
		switch {
		case err == nil || b.Ended != result.EndedWell:
		case givenUp():
			b.Ended = result.EndedUnknown
		default:
			b.Ended = endedBy(err)
		}
	}
}

// endedBy says how a conversation's connection ended by the error that ended it.
func endedBy(err error) result.Ended {
	var refused *echo.RefusedError
	switch {
	case errors.As(err, &refused):
		return result.EndedUnknown // by agreement
	case sock.IsReset(err):
		return result.EndedReset
	case sock.IsClosed(err):
		return result.EndedClosed
	case sock.Classify(err) == result.ConnectTimeout:
		return result.EndedSilent
	}
	return result.EndedUnknown
}

// connectionsOf are all connections of a job, in order of time.
func (s *evidence) connectionsOf(j *job) []result.Connection {
	if j.initiator == nil {
		return nil
	}
	all := slices.Concat(s.earlier[j.jobKey], j.initiator.Connections)
	if j.direction == plan.Forward && j.transport == plan.TCP && j.sourcePort == 0 {
		for _, b := range s.besides {
			if b.target == j.initiator.Target.AddrPort {
				all = append(all, b.of(j.initiator))
			}
		}
	}
	if j.initiator.Ordinary != nil {
		for i := range all {
			if c := &all[i]; c.Purpose != result.PurposeOrdinary && c.Reached != result.ReachedNothing {
				c.Ended = result.EndedUnknown // what live software makes of a proof tells nothing
			}
		}
	}
	slices.SortStableFunc(all, func(a, b result.Connection) int { return a.At.Compare(b.At.Time) })
	return all
}

// of is the connection as one of a path's: it names the listener that proved
// itself only where that is another one.
func (b beside) of(i *result.Initiator) result.Connection {
	c := b.Connection
	switch {
	case c.Instance == "" || i.Instance == "":
	case c.Instance != i.Instance || c.Origin.Port() != i.Origin.Port():
		c.Ended = result.EndedElsewhere
		return c
	}
	c.Instance, c.Origin = "", result.Endpoint{}
	return c
}

// connectionsFor are the connections of an attempt as those of a path that is told
// by another one: where another listener proved itself, they name it.
func connectionsFor(told *result.Initiator, i result.Initiator) []result.Connection {
	if told.Answer != result.AnswerKeyed || i.Answer != result.AnswerKeyed || i.Instance == told.Instance {
		return i.Connections
	}
	all := slices.Clone(i.Connections)
	for n := range all {
		if c := &all[n]; c.Instance == "" && (c.Reached == result.ReachedProved || c.Reached == result.ReachedDone) {
			c.Ended, c.Origin, c.Instance = result.EndedElsewhere, i.Origin, i.Instance
		}
	}
	return all
}

// everyConnection lists those of all jobs that are known by now.
func (s *evidence) everyConnection() []result.Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []result.Connection
	for _, j := range s.attempts() {
		all = append(all, s.connectionsOf(j)...)
	}
	return all
}

// took moves the connection of a conversation to the list of its path.
func (j *job) took(c *result.Conversation) {
	if c.Connection != nil {
		j.initiator.Connections = append(j.initiator.Connections, *c.Connection)
		c.Connection = nil
	}
	j.initiator.Connections = append(j.initiator.Connections, c.Looks...)
	c.Looks = nil
}

// loss is the chance that a packet or the answer to it gets lost, as all that
// this run saw shows it for a transport.
func (s *evidence) loss(t plan.Transport) float64 {
	var near []*result.Initiator
	var far []*result.Acceptor
	for _, j := range s.attempts() {
		if j.initiator != nil {
			i := *j.initiator
			i.Connections = s.connectionsOf(j)
			near, far = append(near, &i), append(far, j.acceptor)
		}
	}
	return verdict.LossOf(near, far...).RoundTripOf(t)
}

// failures counts the connections of all jobs that failed by now.
func (s *evidence) failures() (n int) {
	for _, c := range s.everyConnection() {
		if c.IsFailed() {
			n++
		}
	}
	return n
}
