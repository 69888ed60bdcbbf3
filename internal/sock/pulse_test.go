package sock

import (
	"testing"
	"time"
)

func TestPulseTellsGapsOfSeconds(t *testing.T) {
	var now time.Duration
	p := newPulse(func() time.Duration { return now }, PulseLost)
	for _, c := range []struct{ passed, want time.Duration }{
		{pulseEvery, 0}, {PulseLost - time.Millisecond, 0}, {pulseEvery, 0}, {12 * time.Second, 12 * time.Second}, {pulseEvery, 0},
	} {
		now += c.passed
		if gap := p.beat(); gap != c.want {
			t.Errorf("after %v: a gap of %v, want %v", c.passed, gap, c.want)
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
