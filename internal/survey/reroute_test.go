package survey

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// What came after this machine's own route had changed is no evidence of the first one,
// whichever way it went; what had been tried to the end before is.
func TestWhatCameAfterTheRouteChangedIsUntested(t *testing.T) {
	began := sock.Now().Add(-20 * time.Second)
	to := netip.MustParseAddr("10.2.0.10")
	changed := sock.Reroute{
		To: to, Was: sock.Route{Source: netip.MustParseAddr("10.1.0.10"), Interface: "eth0"}, Is: sock.Route{Source: netip.MustParseAddr("172.16.0.2"), Interface: "vpn0"},
		From: began.Add(3 * time.Second), Until: began.Add(10 * time.Second),
	}
	one := func(p result.Purpose, after time.Duration, ended result.Ended) result.Connection {
		c := result.Connection{Purpose: p, At: result.TimeOf(began.Add(after)), ElapsedMS: 100, Reached: result.ReachedDone, Ended: ended}
		if ended != result.EndedWell {
			c.Reached = result.ReachedNothing
		}
		return c
	}
	intact := &result.Transfer{Outcome: result.TransferIntact, Want: 1, Intact: 1}
	proved := func(all ...result.Connection) *result.Initiator {
		return &result.Initiator{Attempts: 1, At: result.TimeOf(began), Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Sent: intact, Received: intact, Connections: all}
	}
	silent := func(after time.Duration) *result.Initiator {
		return &result.Initiator{Attempts: 1, At: result.TimeOf(began.Add(after)), ElapsedMS: 2900, Connect: result.ConnectTimeout,
			Connections: []result.Connection{one(result.PurposeProof, after, result.EndedSilent)}}
	}
	well := []result.Connection{one(result.PurposeProof, 0, result.EndedWell), one(result.PurposeSample, time.Second, result.EndedWell)}
	for name, c := range map[string]struct {
		i        *result.Initiator
		returned bool
		untested bool
		failed   int // connections that count
	}{
		"all passed before":                         {proved(well...), false, false, 0},
		"all passed before, and one failed after":   {proved(append(well, one(result.PurposeControl, 5*time.Second, result.EndedSilent))...), false, false, 0},
		"one failed before":                         {proved(append(well, one(result.PurposeControl, time.Second, result.EndedReset))...), false, false, 1},
		"only one passed before":                    {proved(well[0], one(result.PurposeSample, 5*time.Second, result.EndedWell)), false, true, 0},
		"its first attempt was silent before":       {silent(0), false, false, 1},
		"its first attempt came after":              {silent(4 * time.Second), false, true, 0},
		"one failed while it was another for a bit": {proved(append(well, one(result.PurposeControl, 5*time.Second, result.EndedReset))...), true, false, 0},
	} {
		s := newSurvey(Config{Host: to.String()})
		s.started = began
		k := jobKey{direction: plan.Forward, transport: plan.TCP, port: 24601, family: result.IP4, to: to}
		j := &job{jobKey: k, port: 24601, initiator: c.i}
		s.jobs[k] = j
		r := changed
		r.Returned = c.returned
		s.rerouted(r)
		if cut := s.ledAnotherWay(); (cut != nil) == c.returned {
			t.Errorf("%s: %+v", name, cut)
		}
		s.cut = s.ledAnotherWay()
		half := s.half(j)
		const why = "this machine's route there changed at "
		if (half.NotTried != "") != c.untested || c.untested && (!strings.HasPrefix(half.NotTried, why) || !strings.Contains(half.NotTried, "(from 10.1.0.10 by eth0 to 172.16.0.2 by vpn0)")) {
			t.Errorf("%s: not tried %q", name, half.NotTried)
		}
		if _, failed := result.Compare(half.Connections); !c.untested && len(failed) != c.failed {
			t.Errorf("%s: %+v", name, half.Connections)
		}
		if f := s.facts(nil); (f.CutOff != nil && f.CutOff.Reroute != nil) == c.returned || (len(f.Reroutes) == 1) != c.returned {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// A route that is another for one look is not yet taken for one that stays.
func TestARouteThatFlickersEndsNoRun(t *testing.T) {
	s := newSurvey(Config{})
	now := sock.Now()
	s.rerouted(sock.Reroute{To: far, From: now, Until: now.Add(250 * time.Millisecond)})
	if s.isCutOff(context.Background()) {
		t.Errorf("%+v", s.cut)
	}
}
