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

// idling is which gap connections survive.
type idling struct {
	*bothEnds
	done bool // connections were kept idle
}

// idleAll keeps connections idle on every TCP path that proved itself
// whole: the counted ones, or those that were asked for by name. Each takes
// dozens of connections. Of the others it is said that nothing is known.
func (s *idling) idleAll(ctx context.Context) {
	gaps := dialer.Gaps(s.Hold)
	if len(gaps) == 0 {
		return
	}
	s.done = true
	stop := s.countDown(ctx)
	defer stop()
	var g errgroup.Group
	for _, j := range s.attempts() {
		if j.transport != plan.TCP || !isWhole(j.initiator) {
			continue
		}
		if !j.idle {
			j.initiator.Idle = []result.Idle{notKeptIdle(s.Hold, "only required paths are kept idle, and those that --only names")}
			continue
		}
		g.Go(func() error {
			if j.direction == plan.Forward {
				s.keepIdle(ctx, j, gaps)
			} else {
				s.idleBack(ctx, j)
			}
			return nil
		})
	}
	_ = g.Wait() // what became of them is in the jobs
}

func isWhole(i *result.Initiator) bool {
	return i.Answer == result.AnswerKeyed && i.Sent != nil && i.Sent.Outcome == result.TransferIntact &&
		i.Received != nil && i.Received.Outcome == result.TransferIntact
}

func (s *idling) keepIdle(ctx context.Context, j *job, gaps []time.Duration) {
	held := dialer.Idle(ctx, dialer.Path{
		Flow: j.flow, Transport: j.transport, Target: j.initiator.Target.AddrPort, Speaks: j.speaks,
		Source: netip.AddrPortFrom(s.Bind.For(j.family), 0),
	}, s.options(), gaps)
	s.askWhetherOpen(ctx, j, held)
	for _, h := range held {
		j.initiator.Idle = append(j.initiator.Idle, h.Idle)
		j.opened(h)
	}
}

// opened takes it as evidence of the path where a connection that was to be kept
// idle did not even come about.
func (j *job) opened(h echo.Held) {
	if h.Opening != nil {
		j.initiator.Connections = append(j.initiator.Connections, *h.Opening)
	}
	j.initiator.Connections = append(j.initiator.Connections, h.Beside...)
}

// askWhetherOpen asks the far end which of the connections that died here it
// still has.
func (s *idling) askWhetherOpen(ctx context.Context, j *job, held []echo.Held) {
	var q []echo.WitnessQuery
	var of []*echo.Held
	for i := range held {
		if o := held[i].Outcome; o != result.IdleSurvived && o != result.IdleNotHeld {
			q = append(q, echo.WitnessQuery{Probe: held[i].Probe, Transport: plan.TCP, Port: j.port, Source: held[i].Source, SourceChanged: true})
			of = append(of, &held[i])
		}
	}
	if len(q) == 0 {
		return
	}
	err := s.ask(ctx, j.family, false, s.Timeout, func(ctx context.Context, c *echo.Conn) error {
		told, err := c.Witness(ctx, q)
		for i, a := range told.Answers {
			if a.Match == result.MatchProbe {
				of[i].FarOpen = &a.Lasts
			}
		}
		return err
	})
	if err != nil {
		// Whatever ended the listener, or the way to it, ended them too.
		for _, h := range of {
			h.Outcome, h.Detail = result.IdleNotHeld, "the listener could not be reached any more: "+err.Error()
		}
	}
}

// idleBack has the far end keep connections idle on a reverse job.
func (s *idling) idleBack(ctx context.Context, j *job) {
	path, strict := s.backPath(j)
	order := echo.HoldBack{TimeoutMS: s.Timeout.Milliseconds(), LongestMS: s.Hold.Milliseconds(), Path: path}
	err := s.ask(ctx, j.family, strict, s.Timeout, func(ctx context.Context, c *echo.Conn) error {
		return c.HoldBack(ctx, order)
	})
	if err != nil {
		j.initiator.Idle = []result.Idle{notKeptIdle(s.Hold, "the far end did not keep connections idle: "+err.Error())}
		return
	}
	limit := time.NewTimer(dialer.LongestIdle(s.Hold, s.Timeout))
	defer limit.Stop()
	ask := time.NewTimer(s.Hold)
	defer ask.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-limit.C:
			j.initiator.Idle = []result.Idle{notKeptIdle(s.Hold, "the far end did not say what became of the connections")}
			return
		case <-ask.C:
		}
		var so echo.HeldSoFar
		err := s.ask(ctx, j.family, strict, s.Timeout, func(ctx context.Context, c *echo.Conn) (err error) {
			so, err = c.HeldBack(ctx, j.probe)
			return err
		})
		if err == nil && so.Done {
			for _, h := range so.Held {
				j.initiator.Idle = append(j.initiator.Idle, s.withOwnEnd(j, h))
				j.opened(h)
			}
			return
		}
		ask.Reset(time.Second)
	}
}

// notKeptIdle says why nothing is known of a gap.
func notKeptIdle(gap time.Duration, why string) result.Idle {
	return result.Idle{GapMS: gap.Milliseconds(), First: result.SpeakerInitiator, Outcome: result.IdleNotHeld, Detail: why}
}

// withOwnEnd completes what became of a reverse connection by whether this end
// still has it.
func (s *idling) withOwnEnd(j *job, h echo.Held) result.Idle {
	if h.Outcome == result.IdleSurvived || h.Outcome == result.IdleNotHeld {
		return h.Idle
	}
	q := echo.WitnessQuery{Probe: h.Probe, Transport: plan.TCP, Port: j.port, Source: h.Source, SourceChanged: true}
	if a, ok := s.door.Saw(s.id, q, s.farAddr(j.family)); ok && a.Match == result.MatchProbe {
		h.FarOpen = &a.Lasts
	}
	return h.Idle
}

// countDown tells every second how long the idle connections still have; the
// function it returns ends that.
func (s *idling) countDown(ctx context.Context) func() {
	if s.OnHold == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	until := time.Now().Add(s.Hold)
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			s.OnHold(max(0, time.Until(until)))
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return cancel
}
