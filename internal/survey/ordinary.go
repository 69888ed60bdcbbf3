package survey

import (
	"context"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"dialtone/internal/dialer"
	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// liveAtOnce bounds the ports of live software that are tried side by side.
const liveAtOnce = 4

// isLive reports whether live software is known to hold a forward job's port, so that
// no byte of the proof may go there.
func (s *farEnd) isLive(j *job) bool {
	return j.direction == plan.Forward && j.transport == plan.TCP && j.sourcePort == 0 && j.port != 0 && s.busyThere(j) != nil
}

// ordinary connections go to live software.
type ordinary struct{ *bothEnds }

// tryLive makes ordinary connections to the ports that live software holds, while the
// far end's listener is asked whether they came there. What was attempted before it
// was known who holds the port says nothing of the path but whether it opened.
func (s *ordinary) tryLive(ctx context.Context) {
	var all errgroup.Group
	all.SetLimit(liveAtOnce)
	if s.Gentle {
		all.SetLimit(1)
	}
	for _, j := range s.attempts() {
		if s.isLive(j) && (j.initiator == nil || j.initiator.NotTried == "") {
			all.Go(func() error {
				s.live(ctx, j)
				return nil
			})
		}
	}
	_ = all.Wait() // what failed is in the jobs
}

// liveTime is how long the ordinary connections of one port may take.
const liveTime = 2*plan.GreetingTime + 40*time.Second

func (s *ordinary) live(ctx context.Context, j *job) {
	busy := s.busyThere(j)
	j.instance = s.expectedAt(j.to)
	var i result.Initiator
	var a *result.Acceptor
	try := func(host string) bool {
		return nil == s.askOf(ctx, s.witnessOf(j), j.family, false, liveTime, func(ctx context.Context, c *echo.Conn) error {
			i, a = dialer.Ordinary(ctx, dialer.Path{
				Flow: j.flow, Transport: j.transport, Probe: j.probe, Speaks: j.speaks,
				Target: netip.AddrPortFrom(j.to, uint16(j.port)), Source: netip.AddrPortFrom(s.Bind.For(j.family), 0),
			}, dialer.Options{Run: s.id, Timeout: s.Timeout, Trace: j.trace, Samples: j.samples(), Pace: s.pace()},
				dialer.Conversation{Speaks: j.speaks, Host: host}, s.Enter, s.lookerOf(j, c))
			return nil
		})
	}
	s.takeTurn(ctx)
	if !try(s.Host) {
		return // it stays as it was, or untested
	}
	if t := i.Conversation; t != nil && impostor(*busy, *t) != "" {
		try(j.to.String()) // a server may have a certificate for each name, and the listener asked for none
		if t := i.Conversation; t != nil {
			t.Impostor = impostor(*busy, *t)
		}
	}
	if before := j.initiator; before != nil {
		i.Connections = append(before.Connections, i.Connections...)
	}
	j.acceptor = a
	if j.acceptor == nil {
		j.acceptor = s.fromHello(j)
	}
	if j.initiator == nil {
		s.finish(j, i)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j.saw(i)
}

// lookerOf asks the listener at the other end of a conversation about ordinary
// connections of a job, and over another conversation once that has ended.
func (s *ordinary) lookerOf(j *job, c *echo.Conn) dialer.Look {
	changed := s.attempts().sourceChanged(plan.Forward, j.family)
	return func(ctx context.Context, source result.Endpoint) (a result.Acceptor, ok bool) {
		q := echo.WitnessQuery{Transport: j.transport, Port: j.port, Source: source, SourceChanged: changed, Moment: echo.MomentNow}
		if !source.IsValid() {
			q.Moment = echo.MomentBefore
		}
		ask := func(ctx context.Context, c *echo.Conn) error {
			told, err := c.Witness(ctx, []echo.WitnessQuery{q})
			if err == nil {
				a, ok = told.Answers[0], true
			}
			return err
		}
		if c == nil || ask(ctx, c) != nil {
			c = nil
			_ = s.askOf(ctx, s.witnessOf(j), j.family, false, s.Timeout, ask)
		}
		return a, ok
	}
}
