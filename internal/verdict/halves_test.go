package verdict

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// anyInitiator and anyAcceptor are halves as any report may hold them: absent, empty,
// and with each value that a verdict or its words depend on.
func anyInitiator() map[string]*result.Initiator {
	all := map[string]*result.Initiator{"none": nil, "empty": {}}
	whole := &result.Transfer{Outcome: result.TransferIntact, Want: 1, Intact: 1}
	for _, c := range []result.ConnectOutcome{"", result.ConnectOpen, result.ConnectTimeout, result.ConnectRST, result.ConnectICMP} {
		for _, a := range []result.AnswerOutcome{"", result.AnswerKeyed, result.AnswerWrongKey, result.AnswerForbidden, result.AnswerVersion, result.AnswerForeign,
			result.AnswerEchoed, result.AnswerClosed, result.AnswerReset, result.AnswerSilent, result.AnswerICMP} {
			name := fmt.Sprintf("connect %q, answer %q", c, a)
			all[name] = &result.Initiator{Connect: c, Answer: a, Attempts: 2}
			all[name+", whole"] = &result.Initiator{Connect: c, Answer: a, Sent: whole, Received: whole, ICMP: &result.ICMP{Type: 3, Code: 1}}
			all[name+", conversation"] = &result.Initiator{Connect: c, Answer: a, Sent: whole, Received: whole, Conversation: &result.Conversation{}, Repeated: &result.Repeated{}}
			all[name+", transfers"] = &result.Initiator{Connect: c, Answer: a, Sent: &result.Transfer{}, Received: &result.Transfer{Hole: &result.Hole{}},
				Connections: []result.Connection{{Purpose: result.PurposeProof, Reached: result.ReachedDone, Ended: result.EndedWell},
					{Purpose: result.PurposeSample, Reached: result.ReachedNothing, Ended: result.EndedSilent}},
				Idle: []result.Idle{{Outcome: result.IdleSilent}}, Relay: &result.Relay{Acknowledged: 9999}, TCP: &result.TCP{Retransmits: 9}}
		}
	}
	return all
}

func anyAcceptor() map[string]*result.Acceptor {
	all := map[string]*result.Acceptor{"none": nil, "empty": {}}
	for _, p := range []result.PortState{result.PortUnknown, result.PortBound, result.PortBusy, result.PortUnbound} {
		for _, s := range []result.Sighting{result.SawUnknown, result.SawNothing, result.SawHalfOpen, result.SawAccepted} {
			all[fmt.Sprintf("port %s, saw %s", p, s)] = &result.Acceptor{Port: p, Saw: s, Proved: s == result.SawAccepted, Joined: &result.Joined{}}
		}
	}
	return all
}

// A report from elsewhere may pair any verdict with any halves. Nothing that is
// said of it may fail, and what is not ok is always explained.
func TestEveryVerdictIsExplainedWhateverTheHalvesHold(t *testing.T) {
	rows := []plan.Row{{ID: "there", To: "client", From: []plan.Role{"server"}, Transport: plan.TCP, PlanPort: 80}}
	said := func(what string, mode result.Mode, p result.Path) (f *result.Finding) {
		defer func() {
			if r := recover(); r != nil {
				t.Errorf("%s: %v", what, r)
				f = &result.Finding{Text: "panic", Advice: "panic"}
			}
		}()
		notesOf(p, true, netip.Addr{})
		m := Mirror(&result.Report{Mode: mode, Paths: []result.Path{p}, Contact: &result.Contact{}}, rows)
		Conclude(m, Facts{})
		return explain(p, Context{Mode: mode})
	}
	for _, v := range result.Verdicts {
		for iname, i := range anyInitiator() {
			for aname, a := range anyAcceptor() {
				for _, expect := range []plan.Expect{plan.ExpectOpen, plan.ExpectClosed} {
					for _, mode := range []result.Mode{result.ModePaths, result.ModeEgress} {
						p := result.Path{Flow: "x", From: "client", To: "server", Port: 80, PlanPort: 80, Transport: plan.TCP, Direction: plan.Forward, Family: result.IP4,
							Expect: expect, Verdict: v, Initiator: i, Acceptor: a, Stop: &result.Stop{}}
						what := fmt.Sprintf("%s, initiator %s, acceptor %s, expected %s, mode %s", v, iname, aname, expect, mode)
						f := said(what, mode, p)
						switch {
						case v == result.Open && expect == plan.ExpectOpen:
							if f != nil {
								t.Errorf("%s: %+v", what, f)
							}
						case f == nil || f.Text == "" || f.Advice == "":
							t.Errorf("%s: not explained: %+v", what, f)
						}
					}
				}
			}
		}
	}
}

// A verdict that the report's halves do not bear asks nobody for anything.
func TestVerdictWithoutItsHalfAccusesNobody(t *testing.T) {
	needsNone := []result.Verdict{result.Open, result.Untested}
	needsBoth := []result.Verdict{result.Filtered, result.ReplyLost, result.Occupied, result.Intercepted}
	for _, v := range result.Verdicts {
		if slices.Contains(needsNone, v) {
			continue
		}
		p := result.Path{Port: 80, Transport: plan.TCP, Verdict: v, Expect: plan.ExpectOpen, Acceptor: &result.Acceptor{Port: result.PortBound}}
		if f := explain(p, Context{Mode: result.ModePaths}); f.Code != "no-evidence" || strings.Contains(f.Advice, "Please") {
			t.Errorf("%s without what the dialing end saw: %+v", v, f)
		}
		if p.Initiator, p.Acceptor = (&result.Initiator{Connect: result.ConnectOpen}), nil; !slices.Contains(needsBoth, v) {
			continue
		}
		if f := explain(p, Context{Mode: result.ModePaths}); f.Code != "no-evidence" || strings.Contains(f.Advice, "Please") {
			t.Errorf("%s without what the accepting end saw: %+v", v, f)
		}
	}
}

// Whatever is said of a path follows from what its report carries: whoever reads
// the report can say the same.
func TestWhatIsSaidSurvivesBeingWritten(t *testing.T) {
	for _, m := range []result.Mode{result.ModePaths, result.ModeInstalled, result.ModeEgress} {
		for iname, i := range anyInitiator() {
			r := &result.Report{Schema: result.Schema, Run: "r", Mode: m}
			for _, a := range anyAcceptor() {
				if a != nil && a.Saw == "" {
					continue
				}
				p := result.Path{Flow: "x", From: "client", To: "server", Host: "host.example.edu", Port: 80, PlanPort: 80, Transport: plan.TCP, Direction: plan.Forward,
					Family: result.IP4, Expect: plan.ExpectOpen, Initiator: i, Acceptor: a, OthersSeenAs: result.ParseAddr("192.0.2.1"), OthersOrigin: result.ParseAddr("192.0.2.2")}
				ruling := judge(question{Transport: p.Transport, Port: p.Port, Initiator: i, Acceptor: a, Expect: p.Expect, Mode: m})
				p.Verdict, p.Proof, p.OK = ruling.Verdict, ruling.Proof, ruling.OK
				p.Finding, p.Notes = explain(p, Context{Mode: m}), notesOf(p, false, netip.Addr{})
				r.Paths = append(r.Paths, p)
			}
			b, err := result.Encode(r)
			if err != nil {
				t.Fatal(err)
			}
			back, err := result.ParseReport(b, result.MaxReport)
			if err != nil {
				t.Fatalf("%s: %v", iname, err)
			}
			for n, p := range back.Paths {
				if got := explain(p, Context{Mode: back.Mode}); got != nil && *got != *r.Paths[n].Finding || (got == nil) != (r.Paths[n].Finding == nil) {
					t.Errorf("%s, initiator %s: said %+v, and after reading %+v", m, iname, r.Paths[n].Finding, got)
				}
				if got := notesOf(p, false, netip.Addr{}); !slices.Equal(got, r.Paths[n].Notes) {
					t.Errorf("%s, initiator %s: noted %+v, and after reading %+v", m, iname, r.Paths[n].Notes, got)
				}
			}
		}
	}
}
