package listener

import (
	"strings"
	"testing"
	"time"
)

// A window in which the clock was set tells nothing of what did not arrive in it.
func TestClockThatWasSetMakesAWindowBlind(t *testing.T) {
	for name, c := range map[string]struct {
		byClock, passed time.Duration
		said            string
	}{
		"left alone":       {10 * time.Minute, 10 * time.Minute, ""},
		"slewed":           {8*time.Hour + 14*time.Second, 8 * time.Hour, ""},
		"an hour on":       {70 * time.Minute, 10 * time.Minute, "by 1h0m0s"},
		"an hour back":     {-50 * time.Minute, 10 * time.Minute, "by -1h0m0s"},
		"some seconds on":  {15 * time.Second, 10 * time.Second, "by 5s"},
		"ten years before": {-87590 * time.Hour, 10 * time.Hour, "by -87600h0m0s"},
	} {
		if got := clockSet(c.byClock, c.passed); (got == "") != (c.said == "") || !strings.Contains(got, c.said) {
			t.Errorf("%s: %q", name, got)
		}
	}
	l := start(t, Config{})
	since := time.Now()
	if b := l.Listened(since).Blind; b != "" {
		t.Errorf("blind: %s", b)
	}
	l.stop()
}
