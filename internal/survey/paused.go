package survey

import (
	"slices"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/result"
)

// A pause is a span in which the far end's listener could not do its part, by
// this end's clock.
type pause struct{ from, to time.Time }

// aboutPauses is how much less exact a span is here than there: it took its time
// to be told, and to be noticed.
const aboutPauses = 500 * time.Millisecond

// pausedThere keeps what the far end tells of its pauses.
func (s *survey) pausedThere(spans []echo.Span, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pauses = s.pauses[:0] // it tells all of them each time
	for _, p := range spans {
		if p.EndedMS < 0 || p.BeganMS < p.EndedMS || p.BeganMS > int64(24*time.Hour/time.Millisecond) {
			continue
		}
		ago := func(ms int64) time.Time { return now.Add(-time.Duration(ms) * time.Millisecond) }
		s.pauses = append(s.pauses, pause{ago(p.BeganMS).Add(-aboutPauses), ago(p.EndedMS).Add(aboutPauses)})
	}
}

// pausedFor is for how long the far end's listener could not do its part since
// the run began.
func (s *survey) pausedFor(now time.Time) time.Duration {
	sum := time.Duration(0)
	for _, p := range s.pauses {
		from, to := p.from.Add(aboutPauses), p.to.Add(-aboutPauses)
		if from.Before(s.started) {
			from = s.started
		}
		if to.After(now) {
			to = now
		}
		sum += max(0, to.Sub(from))
	}
	return sum
}

// besidePauses takes back what connections seem to tell that got no answer, or
// were closed, while the far end's listener could not answer.
func besidePauses(all []result.Connection, pauses []pause) []result.Connection {
	if len(pauses) == 0 {
		return all
	}
	all = slices.Clone(all)
	for i := range all {
		c := &all[i]
		if c.Ended != result.EndedSilent && c.Ended != result.EndedClosed {
			continue
		}
		if slices.ContainsFunc(pauses, func(p pause) bool { return !c.At.After(p.to) && !c.Over().Before(p.from) }) {
			c.Ended = result.EndedUnknown
		}
	}
	return all
}
