package result

import (
	"fmt"
	"time"
)

// A Time is a moment as reports give it: in UTC, to the millisecond, always
// with three decimals so that times also sort as text. Its zero value, of what
// never happened or is not known, is null.
type Time struct{ time.Time }

// TimeOf returns t as a report gives it, in UTC. It keeps its precision until it
// is written.
func TimeOf(t time.Time) Time { return Time{t.UTC()} }

const timeForm = "2006-01-02T15:04:05.000Z"

// MarshalJSON writes the time, or null for the zero time. It fails for a year
// that RFC 3339 cannot write.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	utc := t.UTC().Round(time.Millisecond)
	if y := utc.Year(); y < 0 || y > 9999 {
		return nil, fmt.Errorf("time: year %d is outside of 0 to 9999", y)
	}
	return []byte(utc.Format(`"` + timeForm + `"`)), nil
}

// UnmarshalJSON reads any time of RFC 3339, in UTC; null is the zero time.
func (t *Time) UnmarshalJSON(b []byte) error {
	var read time.Time
	if err := read.UnmarshalJSON(b); err != nil {
		return err
	}
	*t = TimeOf(read)
	return nil
}
