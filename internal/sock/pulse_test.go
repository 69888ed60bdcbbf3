package sock

import (
	"testing"
	"time"
)

func TestPulseTellsGapsOfSeconds(t *testing.T) {
	var now time.Duration
	p := newPulse(func() time.Duration { return now }, PulseLost)
	for _, c := range []struct{ passed, want time.Duration }{
		{pulseEvery, 0}, {PulseLost - time.Millisecond, 0}, {pulseEvery, 0}, {12 * time.Second, PulseLost - time.Millisecond + pulseEvery + 12*time.Second}, {pulseEvery, 0}, {12 * time.Second, 12 * time.Second},
	} {
		now += c.passed
		if gap := p.beat(); gap != c.want {
			t.Errorf("after %v: a gap of %v, want %v", c.passed, gap, c.want)
		}
	}
}

// A program that is stopped most of the time, and runs for a moment in between, loses as
// much as one that is stopped once; one that runs as long as it is stopped does not.
func TestPulseTellsShortGapsWithMomentsBetween(t *testing.T) {
	for name, c := range map[string]struct {
		gap  time.Duration
		want time.Duration // the first span that is told
	}{
		"a moment between":  {4 * pulseEvery, 14 * pulseEvery}, // 3 are lost in each, 1 is made up for after each
		"as long as it ran": {2 * pulseEvery, 0},
	} {
		var now, got time.Duration
		p := newPulse(func() time.Duration { return now }, PulseLost)
		for range 100 {
			for _, passed := range []time.Duration{c.gap, pulseEvery} {
				now += passed
				if told := p.beat(); got == 0 {
					got = told
				}
			}
		}
		if got != c.want {
			t.Errorf("%s: a span of %v, want %v", name, got, c.want)
		}
	}
}

// Many short gaps in a row lose as much as a long one; those with beats in time between
// them do not, and neither do beats that are a little late.
func TestPulseTellsManyShortGaps(t *testing.T) {
	const most = 500 * time.Millisecond
	for name, c := range map[string]struct {
		gaps []time.Duration
		want time.Duration // the first span that is told
	}{
		"in a row":        {[]time.Duration{2 * pulseEvery, 2 * pulseEvery}, 4 * pulseEvery},
		"one":             {[]time.Duration{most}, most},
		"a shorter one":   {[]time.Duration{most - 1}, 0},
		"in time between": {[]time.Duration{2 * pulseEvery, pulseEvery, 2 * pulseEvery, pulseEvery, 2 * pulseEvery}, 0},
		"a little late":   {[]time.Duration{2*pulseEvery - 1, 2*pulseEvery - 1, 2*pulseEvery - 1, 2*pulseEvery - 1, 2*pulseEvery - 1}, 0},
	} {
		var now, got time.Duration
		p := newPulse(func() time.Duration { return now }, most)
		for _, gap := range c.gaps {
			now += gap
			if told := p.beat(); got == 0 {
				got = told
			}
		}
		if got != c.want {
			t.Errorf("%s: a span of %v, want %v", name, got, c.want)
		}
	}
}
