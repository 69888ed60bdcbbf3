package verdict

import (
	"fmt"
	"time"

	"dialtone/internal/result"
)

// joinedWords says by which times the accepting end's half was found in that
// end's own report, and what that rests on; "" if it was told while the run
// lasted.
func joinedWords(a *result.Acceptor) string {
	if a == nil || a.Joined == nil {
		return ""
	}
	j := a.Joined
	since, until := j.Since.UTC(), j.Until.UTC().Format(time.TimeOnly)
	if since.Format(time.DateOnly) != j.Until.UTC().Format(time.DateOnly) {
		until = j.Until.UTC().Format(time.DateTime)
	}
	text := fmt.Sprintf("The attempt left at %s UTC; the other end listened from %s to %s UTC by its own clock",
		j.Attempt.UTC().Format(time.DateTime), since.Format(time.DateTime), until)
	if !j.Arrived.IsZero() {
		text += ", and saw it at " + j.Arrived.UTC().Format(time.TimeOnly)
	}
	switch {
	case j.ClockMS != nil:
		return text + ". " + clockWords(*j.ClockMS)
	case j.WithinMS > 0:
		return fmt.Sprintf("%s. How far the two clocks differ is not known: this holds if they differ by less than %s.", text, spanWords(time.Duration(j.WithinMS)*time.Millisecond))
	}
	return text + "."
}

// clockWords says in a sentence how far the other end's clock is from this
// end's.
func clockWords(ms int64) string {
	d := (time.Duration(ms) * time.Millisecond).Round(time.Second)
	switch {
	case d > 0:
		return fmt.Sprintf("That clock is %s ahead.", spanWords(d))
	case d < 0:
		return fmt.Sprintf("That clock is %s behind.", spanWords(-d))
	}
	return "The two clocks agree."
}

// spanWords is a span of time in whole seconds, never more than it is.
func spanWords(d time.Duration) string {
	h, m, s := int(d/time.Hour), int(d/time.Minute)%60, int(d/time.Second)%60
	switch {
	case h > 0:
		return fmt.Sprintf("%d h %d min", h, m)
	case m > 0:
		return fmt.Sprintf("%d min %d s", m, s)
	}
	return fmt.Sprintf("%d s", s)
}
