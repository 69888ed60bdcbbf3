package verdict

import (
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

func held(seconds int64, first result.Speaker, o result.IdleOutcome) result.Idle {
	return result.Idle{GapMS: seconds * 1000, First: first, Outcome: o}
}

func TestIdleLimitIsTheShortestGapFromWhichOnNoneSurvives(t *testing.T) {
	const a, b = result.SpeakerInitiator, result.SpeakerAcceptor
	const lives, silent, reset, none = result.IdleSurvived, result.IdleSilent, result.IdleReset, result.IdleNotHeld
	type limit struct {
		first          result.Speaker
		survived, died time.Duration
	}
	for name, c := range map[string]struct {
		idle []result.Idle
		want []limit
	}{
		"all survive":                     {[]result.Idle{held(1, a, lives), held(2, a, lives), held(1, b, lives)}, nil},
		"the longer ones die":             {[]result.Idle{held(1, a, lives), held(2, a, lives), held(4, a, silent), held(8, a, reset)}, []limit{{a, 2 * time.Second, 4 * time.Second}}},
		"none survives":                   {[]result.Idle{held(1, b, reset), held(2, b, reset)}, []limit{{b, 0, time.Second}}},
		"a longer one survives":           {[]result.Idle{held(1, a, lives), held(2, a, silent), held(4, a, lives)}, nil},
		"each end has its own":            {[]result.Idle{held(1, a, lives), held(2, a, silent), held(1, b, lives), held(2, b, lives)}, []limit{{a, time.Second, 2 * time.Second}}},
		"what was not held tells nothing": {[]result.Idle{held(1, a, lives), held(2, a, none)}, nil},
		"nothing was held":                {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []limit
			for _, l := range idleLimits(c.idle) {
				got = append(got, limit{l.first, l.survived, time.Duration(l.died.GapMS) * time.Millisecond})
			}
			if len(got) != len(c.want) {
				t.Fatalf("got %v, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("got %v, want %v", got[i], c.want[i])
				}
			}
		})
	}
}

func TestPathThatDropsIdleConnectionsIsNotOpen(t *testing.T) {
	c := question{Transport: "tcp", Port: 1433, Instance: here, Initiator: &result.Initiator{
		Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Origin: target, Instance: here, Sent: intact(), Received: intact(),
		Idle: []result.Idle{held(1, result.SpeakerInitiator, result.IdleSurvived), held(2, result.SpeakerInitiator, result.IdleSilent)},
	}}
	if r := judge(c); r.Verdict != result.IdleDropped || r.OK || r.Proof != result.ProofKeyed {
		t.Errorf("%+v", r)
	}
	c.Initiator.Idle = c.Initiator.Idle[:1]
	if r := judge(c); r.Verdict != result.Open || !r.OK {
		t.Errorf("with none that died: %+v", r)
	}
}

func TestEventAndAgeAreNoIdleness(t *testing.T) {
	const a = result.SpeakerInitiator
	const lives, dies, reset, none = result.IdleSurvived, result.IdleSilent, result.IdleReset, result.IdleNotHeld
	died := func(busy result.IdleOutcome, again *result.Idle) []result.Idle {
		i := held(4, a, dies)
		i.Busy, i.Again = busy, again
		return []result.Idle{held(2, a, lives), i}
	}
	again := func(o, busy result.IdleOutcome) *result.Idle {
		return &result.Idle{GapMS: 4000, First: a, Outcome: o, Busy: busy}
	}
	for name, c := range map[string]struct {
		idle       []result.Idle
		idles, age bool
	}{
		"it died twice, and a busy one lived":         {died(lives, again(dies, lives)), true, false},
		"reset the second time":                       {died(lives, again(reset, lives)), true, false},
		"it lived the second time":                    {died(lives, again(lives, lives)), false, false},
		"the busy one died too, and nobody did later": {died(dies, again(lives, lives)), false, false},
		"the busy one died too, both times":           {died(dies, again(dies, reset)), false, true},
		"the busy one died the second time":           {died(lives, again(dies, dies)), false, false},
		"there was no busy one":                       {died(none, again(dies, lives)), false, false},
		"it could not be repeated":                    {died(lives, nil), false, false},
		"nobody could be connected the second time":   {died(lives, again(none, none)), false, false},
		"an older release kept no busy one":           {died("", nil), true, false},
	} {
		if got := len(idleLimits(c.idle)) > 0; got != c.idles {
			t.Errorf("%s: an idle limit: %t", name, got)
		}
		if got := len(ageLimits(c.idle)) > 0; got != c.age {
			t.Errorf("%s: a limit on age: %t", name, got)
		}
		i := &result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Origin: target, Instance: here, Sent: intact(), Received: intact(), Idle: c.idle}
		want := result.Open
		switch {
		case c.idles:
			want = result.IdleDropped
		case c.age:
			want = result.Unsteady
			if f := explain(result.Path{Verdict: want, Initiator: i}, Context{Mode: result.ModePaths}); f == nil || f.Code != "session-age" {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if r := judge(question{Transport: "tcp", Port: 1433, Instance: here, Initiator: i}); r.Verdict != want {
			t.Errorf("%s: %s, want %s", name, r.Verdict, want)
		}
		if words := eventWords(c.idle); (words == "") != (c.idles || c.age) {
			t.Errorf("%s: said %q", name, words)
		}
	}
}

// What is said after a gap is lost like any other packet. Where that is as likely as
// that a limit ended the connections, nobody is asked to raise one.
func TestConnectionsThatLossMayHaveEndedShowNoLimit(t *testing.T) {
	const a = result.SpeakerInitiator
	const lives, silent, reset = result.IdleSurvived, result.IdleSilent, result.IdleReset
	died := func(seconds int64, o, busy, again, busyAgain result.IdleOutcome) result.Idle {
		i := held(seconds, a, o)
		i.Busy = busy
		if again != "" {
			i.Again = &result.Idle{GapMS: seconds * 1000, First: a, Outcome: again, Busy: busyAgain}
		}
		return i
	}
	twice, flushed := died(4, silent, lives, silent, lives), died(4, reset, lives, silent, lives)
	old := died(4, silent, silent, silent, silent)
	longer := func(n int) []result.Idle { // that died as well
		all := []result.Idle{held(2, a, lives), twice}
		for i := range n {
			all = append(all, died(8<<i, silent, lives, "", ""))
		}
		return all
	}
	for name, c := range map[string]struct {
		idle []result.Idle
		loss float64 // of round trips
		want result.Verdict
	}{
		"nothing is lost":                         {[]result.Idle{held(2, a, lives), twice}, 0, result.IdleDropped},
		"a tenth is lost each way":                {[]result.Idle{held(2, a, lives), twice}, 0.19, result.IdleDropped},
		"29 of 100 are lost each way":             {[]result.Idle{held(2, a, lives), twice}, 0.496, result.Open},
		"and one was reset":                       {[]result.Idle{held(2, a, lives), flushed}, 0.496, result.IdleDropped},
		"and three longer gaps were deadly":       {longer(3), 0.496, result.IdleDropped},
		"a limit on age, and a tenth is lost":     {[]result.Idle{held(2, a, lives), old}, 0.19, result.Unsteady},
		"a limit on age, and most is lost":        {[]result.Idle{held(2, a, lives), old}, 0.7, result.Open},
		"half is lost, but all survived the gaps": {[]result.Idle{held(2, a, lives), held(4, a, lives)}, 0.5, result.Open},
	} {
		i := proved()
		i.Origin, i.Idle = target, c.idle
		q := question{Transport: "tcp", Port: 1433, Instance: here, Initiator: &i, Loss: c.loss}
		if r := judge(q); r.Verdict != c.want {
			t.Errorf("%s: %s, want %s", name, r.Verdict, c.want)
		}
		p := pathOf(q)
		survived := c.idle[len(c.idle)-1].Outcome == lives
		if code, text := idleWords(p.Initiator); c.want == result.Open && !survived && (code != result.NoteIdleUnknown || !strings.Contains(text, "idle for 4s or longer, and the loss of packets")) {
			t.Errorf("%s: %s: %s", name, code, text)
		} else if survived && code != result.NoteIdleSurvived {
			t.Errorf("%s: %s: %s", name, code, text)
		}
	}
}

// A report that is read again is judged by the loss that its own connections show.
func TestRetoldIdlePathIsHeldAgainstTheLossOfItsReport(t *testing.T) {
	i := proved()
	died := held(4, result.SpeakerInitiator, result.IdleSilent)
	i.Idle = []result.Idle{died}
	i.TCP = &result.TCP{MSS: 1448, Segments: 200, Retransmits: 100}
	p := pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: &i, Instance: here})
	if loss := lossIn(&result.Report{Paths: []result.Path{p}}, &p); loss < 0.4 {
		t.Errorf("a loss of %.2f", loss)
	}
}
