package survey

import (
	"net/netip"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A ban explains what got no answer while it lasted, as it was set off unknowingly and
// again on purpose. What failed at another time or in another way it does not explain.
func TestABanExplainsWhatFailedWhileItLasted(t *testing.T) {
	began := time.Date(2026, 11, 27, 12, 35, 4, 0, time.UTC)
	at := func(after time.Duration, ended result.Ended) result.Connection {
		c := result.Connection{Purpose: result.PurposeSample, At: result.TimeOf(began.Add(after)), Reached: result.ReachedDone, Ended: ended}
		if ended != result.EndedWell {
			c.Reached = result.ReachedNothing
		}
		return c
	}
	jobOf := func(port int, all ...result.Connection) *job {
		return &job{jobKey: jobKey{direction: plan.Forward, transport: plan.TCP, port: port, family: result.IP4, to: netip.MustParseAddr("10.2.0.10")},
			port: port, initiator: &result.Initiator{At: result.TimeOf(began), ElapsedMS: 4000, Connections: all}}
	}
	passed := at(9*time.Second, result.EndedWell)
	honey := jobOf(1344, at(0, result.EndedSilent))
	s := newSurvey(Config{})
	s.bans = []ban{{by: honey, from: began.Add(10 * time.Second), to: began.Add(14 * time.Second)}}
	for name, c := range map[string]struct {
		j    *job
		want bool
	}{
		"the port itself":                {honey, true},
		"right after it was touched":     {jobOf(1433, at(400*time.Millisecond, result.EndedSilent), passed), true},
		"while its last SYN was banned":  {jobOf(1433, at(7*time.Second, result.EndedSilent), passed), true},
		"on purpose":                     {jobOf(1433, passed, at(11*time.Second, result.EndedSilent)), true},
		"between the two":                {jobOf(1433, passed, at(9*time.Second, result.EndedSilent)), false},
		"later":                          {jobOf(1433, passed, at(15*time.Second, result.EndedSilent)), false},
		"one of several at another time": {jobOf(1433, passed, at(time.Second, result.EndedSilent), at(15*time.Second, result.EndedSilent)), false},
		"by a reset":                     {jobOf(1433, passed, at(time.Second, result.EndedReset)), false},
		"all the time":                   {jobOf(1433, at(time.Second, result.EndedSilent)), false},
		"not at all":                     {jobOf(1433, passed), false},
	} {
		b := s.banOf(c.j, c.j.initiator.Connections)
		if (b != nil) != c.want || b != nil && (b.Port != 1344 || b.ForMS != 4000) {
			t.Errorf("%s: %+v", name, b)
		}
	}
}
