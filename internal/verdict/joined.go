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
	text := fmt.Sprintf("The attempt left at %s UTC; the other end listened from %s to %s UTC by its own clock",
		j.Attempt.UTC().Format(time.DateTime), j.Since.UTC().Format(time.DateTime), j.Until.UTC().Format(time.DateTime))
	if !j.Arrived.IsZero() {
		text += ", and saw it at " + j.Arrived.UTC().Format(time.TimeOnly)
	}
	switch {
	case j.ClockMS != nil:
		return text + ". " + ClockWords("That clock", *j.ClockMS)
	case j.WithinMS > 0:
		return fmt.Sprintf("%s. How far the two clocks differ is not known: this holds if they differ by less than %v.", text, time.Duration(j.WithinMS)*time.Millisecond/time.Second*time.Second)
	}
	return text + "."
}

// ClockWords says in a sentence how far a clock is from this end's.
func ClockWords(clock string, ms int64) string {
	d := (time.Duration(ms) * time.Millisecond).Round(100 * time.Millisecond)
	switch {
	case d > 0:
		return fmt.Sprintf("%s is %v ahead.", clock, d)
	case d < 0:
		return fmt.Sprintf("%s is %v behind.", clock, -d)
	}
	return clock + " agrees."
}
