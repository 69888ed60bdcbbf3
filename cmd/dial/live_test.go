package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/survey"
)

func TestEveryPhaseHasItsWords(t *testing.T) {
	for _, p := range survey.Phases() {
		if phaseWords[p] == "" {
			t.Errorf("%q has no words", p)
		}
	}
}

// liveOf is a run with so many attempts, of which the first are over.
func liveOf(all, over int, now time.Time) *live {
	l := &live{ends: now.Add(5 * time.Minute), phase: "trying every path"}
	for n := range all {
		r := &liveRow{Attempt: survey.Attempt{
			Flows: []string{fmt.Sprintf("flow-%d", n), fmt.Sprintf("also-%d", n)}, Direction: plan.Forward, Transport: plan.TCP,
			Port: 1000 + n, To: netip.MustParseAddr("192.0.2.1"), Within: 41 * time.Second,
		}, until: now.Add(41 * time.Second)}
		if n < over {
			r.Half = &result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerKeyed}
		}
		l.rows = append(l.rows, r)
	}
	return l
}

func TestWhatIsUnderWayIsShownFirstWhereThereIsNoRoomForAll(t *testing.T) {
	now := time.Now()
	l := liveOf(40, 38, now)
	got := l.lines(now.Add(time.Second), 79, 10)
	want := []string{
		"  1038/tcp  flow-38, also-38  trying, at most 40s more",
		"  1039/tcp  flow-39, also-39  trying, at most 40s more",
		"  1000/tcp  flow-0, also-0    proved",
		"  1001/tcp  flow-1, also-1    proved",
		"  1002/tcp  flow-2, also-2    proved",
		"  1003/tcp  flow-3, also-3    proved",
		"  1004/tcp  flow-4, also-4    proved",
		"  and 33 more",
		"",
		"trying every path (the run ends by itself within 4m59s)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for most := 4; most < 60; most++ {
		if n := len(l.lines(now, 79, most)); n > most {
			t.Errorf("%d lines, %d fit", n, most)
		}
	}
}

// What is shown while a run lasts is what this end saw, and no verdict.
func TestEachOutcomeHasItsWords(t *testing.T) {
	words := map[string]bool{}
	for _, c := range []struct {
		transport plan.Transport
		half      result.Initiator
		want      string
	}{
		{plan.TCP, result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerKeyed}, "proved"},
		{plan.TCP, result.Initiator{NotTried: "no contact"}, "not tried"},
		{plan.TCP, result.Initiator{Connect: result.ConnectTimeout}, "no answer"},
		{plan.UDP, result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerSilent}, "no answer"},
		{plan.TCP, result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerSilent}, "connected, and not proved"},
		{plan.TCP, result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerWrongKey}, "another key"},
		{plan.TCP, result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerForeign}, "something else answers"},
		{plan.TCP, result.Initiator{Connect: result.ConnectRST}, "turned away by a reset"},
		{plan.UDP, result.Initiator{Connect: result.ConnectICMP}, "turned away by an ICMP error"},
		{plan.TCP, result.Initiator{Connect: result.ConnectDenied}, "forbidden by this machine"},
		{plan.TCP, result.Initiator{Connect: result.ConnectNoRoute}, "no route"},
		{plan.TCP, result.Initiator{Connect: result.ConnectFailed}, "failed here"},
	} {
		r := liveRow{Attempt: survey.Attempt{Transport: c.transport, Half: &c.half}}
		if got := r.state(time.Now()); got != c.want {
			t.Errorf("%+v: %q, want %q", c.half, got, c.want)
		}
		words[c.want] = true
	}
	// Real software proves nothing, and answers.
	for want, half := range map[string]result.Initiator{
		"answers in its own language": {Connect: result.ConnectOpen, Answer: result.AnswerForeign, Conversation: &result.Conversation{Outcome: result.ConversationCompleted}},
		"something answers":           {Connect: result.ConnectOpen, Answer: result.AnswerForeign},
		"connected":                   {Connect: result.ConnectOpen, Answer: result.AnswerSilent},
	} {
		r := liveRow{Attempt: survey.Attempt{Transport: plan.TCP, Real: true, Half: &half}}
		if got := r.state(time.Now()); got != want {
			t.Errorf("%+v: %q, want %q", half, got, want)
		}
	}
	for v := range words {
		if slices.Contains(result.Verdicts, result.Verdict(v)) {
			t.Errorf("%q is a verdict, and nobody has judged yet", v)
		}
	}
}
