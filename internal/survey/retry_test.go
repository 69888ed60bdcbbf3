package survey

import (
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// What a router could not deliver may be delivered a moment later; what one forbids
// is not tried again.
func TestWhatCouldNotBeDeliveredIsTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		icmp result.ICMP
		want doubt
	}{
		"host unreachable":                {result.ICMP{Type: 3, Code: 1}, doubtQuick},
		"a loop":                          {result.ICMP{Type: 11}, doubtQuick},
		"address unreachable":             {result.ICMP{Type: 1, Code: 3, V6: true}, doubtQuick},
		"administratively prohibited":     {result.ICMP{Type: 3, Code: 13}, doubtNone},
		"port unreachable":                {result.ICMP{Type: 3, Code: 3}, doubtNone},
		"administratively prohibited, v6": {result.ICMP{Type: 1, Code: 1, V6: true}, doubtNone},
	} {
		j := &job{jobKey: jobKey{transport: plan.TCP}, initiator: &result.Initiator{Connect: result.ConnectICMP, ICMP: &c.icmp}}
		if got := doubtful(j); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// What failed while one end could not do its part is tried again, whatever it was.
func TestWhatAPauseSpoiltIsTriedAgain(t *testing.T) {
	now := time.Now()
	s := &spans{started: now.Add(-time.Minute)}
	s.pausedThere([]echo.Span{{BeganMS: 20_000, EndedMS: 17_000}, {BeganMS: 9_000, EndedMS: 8_000, Shed: true}}, now)
	s.unplugged(far, now.Add(-5*time.Second), now.Add(-4*time.Second))
	whole := result.Transfer{Outcome: result.TransferIntact, Want: 1, Intact: 1}
	stalled := result.Transfer{Outcome: result.TransferStalled, Want: 1}
	at := func(ago, took float64, i result.Initiator) result.Initiator {
		i.At, i.ElapsedMS = result.TimeOf(now.Add(-time.Duration(ago*float64(time.Second)))), took*1000
		return i
	}
	for name, c := range map[string]struct {
		i    result.Initiator
		want bool
	}{
		"silent in its pause":           {at(19, 2, result.Initiator{Connect: result.ConnectTimeout}), true},
		"silent in this end's":          {at(6, 3, result.Initiator{Connect: result.ConnectTimeout}), true},
		"silent before":                 {at(30, 4, result.Initiator{Connect: result.ConnectTimeout}), false},
		"silent while it shed":          {at(9, 1, result.Initiator{Connect: result.ConnectTimeout}), false},
		"a payload that stood":          {at(22, 4, result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Sent: &stalled, Received: &whole}), true},
		"proved and whole all the same": {at(22, 4, result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Sent: &whole, Received: &whole}), false},
	} {
		if got := s.isSpoilt(&job{jobKey: jobKey{transport: plan.TCP}, initiator: &c.i}); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Beside a path of which some connections fail, one is not said to be better by what asked
// the far end in small packets: a member of a group that takes no large ones lets it by.
func TestAPathBesideOneThatFailsSomeHasToCarryAsMuch(t *testing.T) {
	whole := func() *result.Transfer { return &result.Transfer{Outcome: result.TransferIntact} }
	attempted := func(done, asked, failed int) *job {
		i := &result.Initiator{Answer: result.AnswerKeyed, Sent: whole(), Received: whole()}
		for n := range done + asked + failed {
			c := result.Connection{Purpose: result.PurposeSample, Reached: result.ReachedDone, Ended: result.EndedWell}
			switch {
			case n >= done+asked:
				c.Reached, c.Ended = result.ReachedProved, result.EndedSilent
			case n >= done:
				c.Purpose, c.Reached = result.PurposeControl, result.ReachedProved
			}
			i.Connections = append(i.Connections, c)
		}
		return &job{jobKey: jobKey{transport: plan.TCP}, initiator: i}
	}
	for name, c := range map[string]struct {
		beside, path *job
		want         bool
	}{
		"five carried, and thirteen asked":   {attempted(8, 0, 4), attempted(5, 13, 0), true},
		"twelve carried":                     {attempted(8, 0, 4), attempted(notThin, 0, 0), false},
		"beside one that passes all of them": {attempted(8, 0, 0), attempted(5, 13, 0), false},
	} {
		s := newSurvey(Config{})
		s.jobs = map[jobKey]*job{{port: 1}: c.beside, {port: 2}: c.path}
		if got := s.isThin(c.path); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
