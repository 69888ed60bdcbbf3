package sock

import (
	"context"
	"time"
)

const (
	// pulseEvery is how often it makes sure that it runs.
	pulseEvery = 200 * time.Millisecond
	// PulseLost is how much a program that answers others has to lose at once for it to
	// tell: less than what a datagram's sender waits, and more than a busy machine alone
	// explains.
	PulseLost = 1500 * time.Millisecond
)

// pulse tells when it looks at the clock for how long this program did not run.
// clock goes on while the machine sleeps.
type pulse struct {
	clock func() time.Duration
	most  time.Duration // how much it may lose at once
	at    time.Duration // when it last ran, by that clock
	// late is how much it has lost by beats that came late, each by as long as it was to
	// wait or longer, and lateSince since when: at is it else. A beat in time makes up for
	// as much as it took: a program that runs for a moment between two stops stands still.
	late, lateSince time.Duration
}

func newPulse(clock func() time.Duration, most time.Duration) *pulse {
	return &pulse{clock: clock, most: most, at: clock(), lateSince: clock()}
}

// beat returns how long the span was, up to now, in which it did not run for longer
// than it may: in one gap, or in several that leave it little time between. 0: it did run.
func (p *pulse) beat() time.Duration {
	now := p.clock()
	lost := now - p.at - pulseEvery
	p.at = now
	if lost < pulseEvery {
		if p.late -= pulseEvery; p.late <= 0 {
			p.late, p.lateSince = 0, now
		}
		return 0
	}
	if p.late += lost; p.late+pulseEvery < p.most {
		return 0
	}
	gap := now - p.lateSince
	p.late, p.lateSince = 0, now
	return gap
}

// KeepPulse tells until ctx ends of each span in which this program did not run for most
// or longer, at once or in short gaps: it was stopped, or its machine asleep or
// overloaded. What it missed then is no fault of the network's.
func KeepPulse(ctx context.Context, most time.Duration, stood func(since time.Time, gap time.Duration)) {
	p := newPulse(Running, most)
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if gap := p.beat(); gap > 0 {
			stood(Now().Add(-gap), gap)
		}
	}
}
