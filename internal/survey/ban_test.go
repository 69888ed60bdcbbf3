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

// Where something got through right after a port was touched, that set off no ban; not
// if it only began then, and a later packet of it got through.
func TestWhatPassesRightAfterATouchRulesOutABan(t *testing.T) {
	began := time.Date(2026, 11, 27, 12, 35, 4, 0, time.UTC)
	to := netip.MustParseAddr("10.2.0.10")
	for name, c := range map[string]struct {
		after, took time.Duration
		ended       result.Ended
		family      result.Family
		want        bool
	}{
		"right after":         {500 * time.Millisecond, 2 * time.Millisecond, result.EndedWell, result.IP4, true},
		"together with it":    {20 * time.Millisecond, 2 * time.Millisecond, result.EndedWell, result.IP4, false},
		"by its third packet": {500 * time.Millisecond, 3500 * time.Millisecond, result.EndedWell, result.IP4, false},
		"once it was over":    {5 * time.Second, 2 * time.Millisecond, result.EndedWell, result.IP4, false},
		"nothing did":         {500 * time.Millisecond, time.Second, result.EndedReset, result.IP4, false},
		"another family":      {500 * time.Millisecond, 2 * time.Millisecond, result.EndedWell, result.IP6, false},
	} {
		s := newSurvey(Config{})
		one := result.Connection{Purpose: result.PurposeSample, At: result.TimeOf(began.Add(c.after)), ElapsedMS: result.Milliseconds(c.took), Reached: result.ReachedDone, Ended: c.ended}
		k := jobKey{direction: plan.Forward, transport: plan.UDP, port: 1434, family: c.family, to: to}
		s.jobs[k] = &job{jobKey: k, port: 1434, initiator: &result.Initiator{Connections: []result.Connection{one}}}
		touched := &job{jobKey: jobKey{family: result.IP4}, initiator: &result.Initiator{At: result.TimeOf(began)}}
		if got := s.passedSoonAfter(touched); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
