package survey

import (
	"net/netip"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A listener of the far end's side that answers what was dialed back tells where
// that side's own translation leads: nobody dialed this machine.
func TestWhatIsDialedBackToTheFarEndsOwnSideTellsNothingOfThisOne(t *testing.T) {
	s := newSurvey(Config{Host: far.String()})
	add := func(d plan.Direction, i result.Initiator) *job {
		j := &job{jobKey: jobKey{direction: d, transport: plan.TCP, port: 7968, family: result.IP4}, initiator: &i}
		s.jobs[j.jobKey] = j
		return j
	}
	target := result.EndpointFrom(netip.MustParseAddrPort("203.0.113.2:7968"))
	origin := result.EndpointFrom(netip.MustParseAddrPort("10.3.0.10:7968"))
	answered := func(by string) result.Initiator {
		return result.Initiator{Target: target, Origin: origin, Answer: result.AnswerKeyed, Instance: by}
	}
	there := answered("one")
	there.Connections = []result.Connection{{Purpose: result.PurposeSample, Reached: result.ReachedProved, Ended: result.EndedElsewhere, Instance: "other"}}
	add(plan.Forward, there)
	for by, tells := range map[string]bool{"one": false, "other": false, "third": true, s.own.String(): true} {
		back := add(plan.Reverse, answered(by))
		if got := s.half(back); (got.NotTried == "") != tells {
			t.Errorf("answered by %s: %q", by, got.NotTried)
		}
	}
}

// A payload that broke off because another process of this machine, which held
// the port, ended tells nothing of the path.
func TestAPayloadThatAHolderOfThePortCutByEndingTellsNothing(t *testing.T) {
	intact, cut := &result.Transfer{Outcome: result.TransferIntact}, &result.Transfer{Outcome: result.TransferClosed}
	for name, c := range map[string]struct {
		gone     bool
		received *result.Transfer
		tells    bool
	}{
		"it ended":                {true, cut, false},
		"it ended, after all was": {true, intact, true},
		"it went on":              {false, cut, true},
	} {
		s := newSurvey(Config{Host: far.String()})
		j := &job{jobKey: jobKey{direction: plan.Reverse, transport: plan.TCP, port: 7968, family: result.IP4}, port: 7968}
		j.initiator = &result.Initiator{Answer: result.AnswerKeyed, Instance: s.own.String(), Sent: intact, Received: c.received}
		j.vacated = c.gone
		if got := s.half(j); (got.NotTried == "") != c.tells {
			t.Errorf("%s: %q", name, got.NotTried)
		}
	}
}
