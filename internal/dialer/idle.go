package dialer

import (
	"context"
	"errors"
	"fmt"
	"net"
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

var speakers = []result.Speaker{result.SpeakerInitiator, result.SpeakerAcceptor}

// Idle keeps two connections idle for each gap, all at once: stateful devices
// may treat them differently depending on which end speaks first after it. A
// third of the same age, which is never idle for long, tells idleness from an
// event and from a limit on age. The shortest gap that was deadly is repeated
// once. What it returns is in order of the gaps.
func Idle(ctx context.Context, p Path, o Options, gaps []time.Duration) []echo.Held {
	held := idleGaps(ctx, p, o, gaps)
	idle := make([]result.Idle, len(held))
	for i, h := range held {
		idle[i] = h.Idle
	}
	var again []time.Duration
	for _, first := range speakers {
		if died := result.DeadlyGap(idle, first); died != nil {
			again = append(again, time.Duration(died.GapMS)*time.Millisecond)
		}
	}
	if len(again) == 0 || sock.IsOver(ctx) {
		return held
	}
	slices.Sort(again)
	for _, second := range idleGaps(ctx, p, o, slices.Compact(again)) {
		for i := range held {
			if h := &held[i]; h.GapMS == second.GapMS && h.First == second.First {
				if h.Outcome.IsDead() {
					h.Again = &second.Idle
				}
				h.Beside = append(h.Beside, second.Beside...)
				if second.Opening != nil {
					h.Beside = append(h.Beside, *second.Opening)
				}
			}
		}
	}
	return held
}

// idleGaps keeps the connections of some gaps once.
func idleGaps(ctx context.Context, p Path, o Options, gaps []time.Duration) []echo.Held {
	held := make([]echo.Held, len(gaps)*len(speakers))
	busy := make([]result.IdleOutcome, len(gaps))
	unopened := make([]*result.Connection, len(gaps)) // of the busy ones
	var all sync.WaitGroup
	for i := range held {
		h := &held[i]
		h.Probe = echo.NewID()
		gap := gaps[i/len(speakers)]
		h.GapMS, h.First = gap.Milliseconds(), speakers[i%len(speakers)]
		all.Go(func() { keepIdle(ctx, h, p, o, gap) })
	}
	for i, gap := range gaps {
		all.Go(func() { busy[i], unopened[i] = keepBusy(ctx, p, o, gap) })
	}
	all.Wait()
	for i := range held {
		held[i].Busy = busy[i/len(speakers)]
		if one := unopened[i/len(speakers)]; one != nil && i%len(speakers) == 0 {
			held[i].Beside = append(held[i].Beside, *one)
		}
	}
	return held
}

// busyShare is how much of a gap a busy connection is idle at a time. The ladder
// has half of each gap too, so an idle limit between the two leaves it alone.
const busyShare = 8

// keepBusy keeps a connection as long as a gap, talking all the time. unopened is
// that connection where it did not come about.
func keepBusy(ctx context.Context, p Path, o Options, gap time.Duration) (_ result.IdleOutcome, unopened *result.Connection) {
	conn, c, unopened, err := idleable(ctx, p, o, echo.NewID())
	if err != nil {
		return result.IdleNotHeld, unopened
	}
	defer conn.Close()
	within, cancel := context.WithTimeout(ctx, o.idling(gap, c))
	defer cancel()
	for began := sock.Now(); sock.Since(began) < gap; {
		if err := c.HoldAsker(within, min(gap/busyShare, gap-sock.Since(began))); err != nil {
			if sock.IsOver(ctx) {
				return result.IdleNotHeld, nil
			}
			return idleOutcome(err), nil
		}
	}
	return result.IdleSurvived, nil
}

// idling is how long it takes at most to keep a connection for a gap, what is said
// before and after it as well.
func (o Options) idling(gap time.Duration, c *echo.Conn) time.Duration {
	return gap + o.Timeout + openRoundTrips*c.RTT
}

// LongestIdle is how long Idle takes at most where the longest gap, and each step, has
// so much time: each connection has its gap, a step before it and one after it, and a
// deadly gap is repeated.
func LongestIdle(gap, step time.Duration) time.Duration { return 2 * (gap + 3*step) }

// idleable opens a connection and has it proved. The caller closes it. Where it
// did not come about, while ctx lasted, unopened is how it fared.
func idleable(ctx context.Context, p Path, o Options, probe echo.ID) (_ net.Conn, _ *echo.Conn, unopened *result.Connection, _ error) {
	within, cancel := context.WithTimeout(ctx, o.Timeout+openRoundTrips*o.RTT)
	defer cancel()
	began := sock.Now()
	d := sock.Dial(within, "tcp", netip.AddrPortFrom(p.Source.Addr(), 0), p.Target)
	if d.Err != nil {
		if !sock.IsOver(ctx) {
			unopened = &result.Connection{
				Purpose: result.PurposeHold, At: result.TimeOf(began), ElapsedMS: result.Milliseconds(sock.Since(began)),
				Source: result.EndpointFrom(d.Source), Drawn: result.DrawnConnect, Reached: result.ReachedNothing, Ended: d.Ended(),
			}
		}
		return nil, nil, unopened, fmt.Errorf("connect: %w", d.Err)
	}
	answering, cancel := sock.AfterHandshake(ctx, within, sock.Since(began))
	defer cancel()
	c, err := echo.Prove(answering, d.Conn, p.ask(o, probe))
	if err != nil {
		d.Conn.Close()
		return nil, nil, nil, err
	}
	return d.Conn, c, nil, nil
}

// keepIdle keeps one connection idle and completes h by what became of it.
func keepIdle(ctx context.Context, h *echo.Held, p Path, o Options, gap time.Duration) {
	h.Outcome = result.IdleNotHeld
	conn, c, unopened, err := idleable(ctx, p, o, h.Probe)
	if err != nil {
		h.Opening, h.Detail = unopened, err.Error()
		return
	}
	defer conn.Close()
	h.Source = result.EndpointFrom(sock.AddrPortOf(conn.LocalAddr()))
	idle, cancel := context.WithTimeout(ctx, o.idling(gap, c))
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
	if sock.IsOver(ctx) {
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
