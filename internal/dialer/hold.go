package dialer

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// Gaps is the ladder of idle times up to longest: it and its halves, down to
// about a second, shortest first.
func Gaps(longest time.Duration) []time.Duration {
	var gaps []time.Duration
	for g := longest; g >= time.Second && len(gaps) < 12; g /= 2 {
		gaps = append(gaps, g)
	}
	slices.Reverse(gaps)
	return gaps
}

// Hold keeps two connections idle for each gap, all at once: stateful devices
// may treat them differently depending on which end speaks first after it.
// What it returns is in order of the gaps.
func Hold(ctx context.Context, p Path, o Options, gaps []time.Duration) []echo.Held {
	speakers := []result.Speaker{result.SpeakerInitiator, result.SpeakerAcceptor}
	held := make([]echo.Held, len(gaps)*len(speakers))
	var all sync.WaitGroup
	for i := range held {
		h := &held[i]
		h.Probe = echo.NewID()
		gap := gaps[i/len(speakers)]
		h.GapMS, h.First = gap.Milliseconds(), speakers[i%len(speakers)]
		all.Go(func() { hold(ctx, h, p, o, gap) })
	}
	all.Wait()
	return held
}

// hold keeps one connection idle and completes h by what became of it.
func hold(ctx context.Context, h *echo.Held, p Path, o Options, gap time.Duration) {
	h.Outcome = result.IdleNotHeld
	step, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	d := sock.Dial(step, "tcp", netip.AddrPortFrom(p.Source.Addr(), 0), p.Target)
	if d.Err != nil {
		h.Detail = d.Err.Error()
		return
	}
	defer d.Conn.Close()
	h.Source = result.EndpointFrom(d.Source)
	c, err := echo.Prove(step, d.Conn, echo.Ask{Key: o.Key, Run: o.Run, Probe: h.Probe, Flow: p.Flow, Own: o.Own})
	if err != nil {
		h.Detail = err.Error()
		return
	}
	idle, cancel := context.WithTimeout(ctx, gap+o.Timeout)
	defer cancel()
	if h.First == result.SpeakerInitiator {
		err = c.HoldAsker(idle, gap)
	} else {
		err = c.HoldAnswerer(idle, gap)
	}
	h.Outcome = idleOutcome(err)
	if err != nil {
		h.Detail = err.Error()
	}
	if ctx.Err() != nil {
		h.Outcome = result.IdleNotHeld // interrupted: it tells nothing
	}
}

func idleOutcome(err error) result.IdleOutcome {
	var refused *echo.RefusedError
	switch {
	case err == nil:
		return result.IdleSurvived
	case errors.As(err, &refused):
		return result.IdleNotHeld
	case sock.IsReset(err):
		return result.IdleReset
	case sock.IsClosed(err):
		return result.IdleClosed
	}
	return result.IdleSilent
}
