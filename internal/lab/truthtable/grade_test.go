package main

import (
	"testing"

	"dialtone/internal/lab"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

func TestGradesOfOtherTools(t *testing.T) {
	tcp := func(v result.Verdict) truth { return truth{verdict: v, transport: plan.TCP} }
	bare := func(v result.Verdict) truth { return truth{verdict: v, transport: plan.TCP, bare: true} }
	for _, tt := range []struct {
		truth truth
		claim claim
		want  grade
	}{
		{tcp(result.Open), claimOpen, right},
		{tcp(result.Open), claimOpenOrBlocked, ambiguous},
		{tcp(result.Open), claimSilence, wrong},
		{tcp(result.Open), claimNothing, wrong},
		{tcp(result.Occupied), claimOpen, ambiguous},
		{tcp(result.Occupied), claimClosed, wrong},
		{tcp(result.Filtered), claimSilence, ambiguous},
		{tcp(result.ReplyLost), claimSilence, ambiguous},
		{tcp(result.Silent), claimOpenOrBlocked, ambiguous},
		{tcp(result.Filtered), claimClosed, wrong},
		{tcp(result.Rejected), claimError, right},
		{tcp(result.Rejected), claimSilence, ambiguous},
		{tcp(result.Rejected), claimClosed, ambiguous},
		{bare(result.Rejected), claimClosed, right},
		{tcp(result.Refused), claimClosed, ambiguous},
		{bare(result.Refused), claimClosed, right},
		{tcp(result.Refused), claimSilence, wrong},
		{tcp(result.Unreachable), claimError, ambiguous},
		{tcp(result.Unreachable), claimLocal, right},
		{tcp(result.BlockedLocally), claimLocal, right},
		{tcp(result.BlockedLocally), claimClosed, wrong},
		{tcp(result.Stalled), claimClosed, wrong},
		{tcp(result.Stalled), claimNothing, ambiguous},
	} {
		if got := gradeOther(tt.truth, tt.claim); got != tt.want {
			t.Errorf("%s, claim %d: %s, want %s", tt.truth, tt.claim, marks[got], marks[tt.want])
		}
	}
}

// Whatever else is planted, open is the worst that can be said of it.
func TestOpenIsFalseForEveryOtherTruth(t *testing.T) {
	for _, v := range result.Verdicts {
		tr := truth{verdict: v, transport: plan.TCP}
		if got := gradeDial(tr, result.Open); (got == falseOpen) != (v != result.Open) {
			t.Errorf("dial says open of %s: %s", v, marks[got])
		}
		if v == result.Occupied || v == result.Arrived { // something is there, and whether it works nobody knows
			continue
		}
		if got := gradeOther(tr, claimOpen); (got == falseOpen) != (v != result.Open) {
			t.Errorf("another tool says open of %s: %s", v, marks[got])
		}
	}
}

func TestDialIsGradedByTheSameMeasure(t *testing.T) {
	with, without := lab.Scenario{Contact: "some"}, lab.Scenario{Contact: "none"}
	without.Listen.Node = "server"
	nobody := lab.Scenario{Contact: "none", Listen: lab.Listen{Node: "none"}}
	for _, tt := range []struct {
		s         lab.Scenario
		want, got result.Verdict
		grade     grade
	}{
		{with, result.Filtered, result.Filtered, right},
		{with, result.Filtered, result.ReplyLost, wrong},
		{with, result.Open, result.Filtered, wrong},
		{without, result.Silent, result.Silent, ambiguous},
		{without, result.Answered, result.Answered, ambiguous},
		{with, result.Stalled, result.Stalled, right},
		{without, result.Stalled, result.Stalled, ambiguous},
		{without, result.Reset, result.Reset, ambiguous},
		{without, result.Refused, result.Refused, ambiguous},
		{nobody, result.Refused, result.Refused, right},
	} {
		if got := gradeDial(truthOf(tt.s, plan.TCP, tt.want), tt.got); got != tt.grade {
			t.Errorf("%s, dial says %s: %s, want %s", tt.want, tt.got, marks[got], marks[tt.grade])
		}
	}
}
