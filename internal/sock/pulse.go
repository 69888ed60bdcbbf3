package sock

import (
	"context"
	"time"
)

const (
	// pulseEvery is how often it makes sure that it runs, and pulseLost how long
	// a gap has to be that a busy machine alone does not explain: less than what
	// a datagram's sender waits.
	pulseEvery = 200 * time.Millisecond
	pulseLost  = 1500 * time.Millisecond
)

// pulse tells when it looks at the clock how long this program did not run.
// clock goes on while the machine sleeps.
type pulse struct {
	clock func() time.Duration
	at    time.Duration // when it last ran, by that clock
	wall  time.Time     // and by the other
}

func newPulse(clock func() time.Duration) *pulse {
	return &pulse{clock: clock, at: clock(), wall: Now()}
}

// beat returns since when and for how long it did not run; 0: it did.
func (p *pulse) beat() (since time.Time, gap time.Duration) {
	now := p.clock()
	gap, since = now-p.at, p.wall
	p.at, p.wall = now, Now()
	if gap < pulseLost {
		return since, 0
	}
	return since, gap
}

// KeepPulse tells until ctx ends of each span in which this program did not run: it
// was stopped, or its machine asleep or overloaded. What it missed then is no fault
// of the network's.
func KeepPulse(ctx context.Context, stood func(since time.Time, gap time.Duration)) {
	p := newPulse(Running)
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if since, gap := p.beat(); gap > 0 {
			stood(since, gap)
		}
	}
}
