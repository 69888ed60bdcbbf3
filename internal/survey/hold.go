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

// holdAll keeps connections idle on every forward TCP path that proved itself
// whole: the counted ones, or those that were asked for by name.
func (s *survey) holdAll(ctx context.Context) {
	gaps := dialer.Gaps(s.Hold)
	if len(gaps) == 0 {
		return
	}
	stop := s.countDown(ctx)
	defer stop()
	var g errgroup.Group
	for _, j := range s.jobs {
		if j.direction == plan.Forward && j.transport == plan.TCP && j.hold && isWhole(j.initiator) {
			g.Go(func() error {
				s.hold(ctx, j, gaps)
				return nil
			})
		}
	}
	_ = g.Wait() // what became of them is in the jobs
}

func isWhole(i *result.Initiator) bool {
	return i.Answer == result.AnswerKeyed && i.Sent != nil && i.Sent.Outcome == result.TransferIntact &&
		i.Received != nil && i.Received.Outcome == result.TransferIntact
}

func (s *survey) hold(ctx context.Context, j *job, gaps []time.Duration) {
	held := dialer.Hold(ctx, dialer.Path{
		Flow: j.flow, Transport: j.transport, Target: j.initiator.Target.AddrPort,
		Source: netip.AddrPortFrom(s.bindFor(j.family), 0),
	}, dialer.Options{Key: s.Key, Run: s.run, Timeout: s.Timeout}, gaps)
	s.askWhetherOpen(ctx, j, held)
	for _, h := range held {
		j.initiator.Idle = append(j.initiator.Idle, h.Idle)
	}
}

// askWhetherOpen asks the far end which of the connections that died here it
// still has.
func (s *survey) askWhetherOpen(ctx context.Context, j *job, held []dialer.Held) {
	var q []echo.WitnessQuery
	var of []*dialer.Held
	for i := range held {
		if o := held[i].Outcome; o != result.IdleSurvived && o != result.IdleNotHeld {
			q = append(q, echo.WitnessQuery{Probe: held[i].Probe, Transport: plan.TCP, Port: j.port, Source: held[i].Source, SourceChanged: true})
			of = append(of, &held[i])
		}
	}
	if len(q) == 0 {
		return
	}
	err := s.talk(ctx, j.family, false, s.Timeout, func(ctx context.Context, c *echo.Conn) error {
		answers, err := c.Witness(ctx, q)
		for i, a := range answers {
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

// countDown tells every second how long the idle connections still have; the
// function it returns ends that.
func (s *survey) countDown(ctx context.Context) func() {
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
