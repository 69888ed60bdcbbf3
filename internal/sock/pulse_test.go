package sock

import (
	"testing"
	"time"
)

func TestPulseTellsGapsOfSeconds(t *testing.T) {
	var now time.Duration
	p := newPulse(func() time.Duration { return now })
	for _, c := range []struct{ passed, want time.Duration }{
		{pulseEvery, 0}, {pulseLost - time.Millisecond, 0}, {12 * time.Second, 12 * time.Second}, {pulseEvery, 0},
	} {
		now += c.passed
		if _, gap := p.beat(); gap != c.want {
			t.Errorf("after %v: a gap of %v, want %v", c.passed, gap, c.want)
		}
	}
}
