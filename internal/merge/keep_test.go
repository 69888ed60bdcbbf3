package merge

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/verdict"
)

// A verdict that was added somewhere and not to the table cannot pass as the
// better one.
func TestUnknownVerdictIsTheWorst(t *testing.T) {
	for _, ok := range []bool{false, true} {
		for _, v := range result.Verdicts {
			fresh, known := &result.Path{Verdict: "brand-new", OK: ok}, &result.Path{Verdict: v, OK: ok}
			if !isWorse(fresh, known) || isWorse(known, fresh) {
				t.Errorf("beside %s (ok %v) a verdict that nobody knows is the better one", v, ok)
			}
		}
	}
	for _, v := range result.Verdicts {
		if isWorse(&result.Path{Verdict: result.Open, OK: true}, &result.Path{Verdict: v}) {
			t.Errorf("a path that works is worse than %s", v)
		}
		if v != result.Untested && isWorse(&result.Path{Verdict: result.Untested}, &result.Path{Verdict: v}) {
			t.Errorf("knowing nothing is worse than %s", v)
		}
	}
}

// written is a report as another machine reads it.
func written(t *testing.T, r *result.Report) *result.Report {
	t.Helper()
	b, err := result.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	back, err := result.ParseReport(b, result.MaxReport)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// visited is a report of dial egress or --installed in which a host ended as i
// says.
func visited(m result.Mode, run string, i *result.Initiator) *result.Report {
	p := result.Path{
		Flow: "ldap", Service: "LDAP", Port: 389, PlanPort: 389, Transport: plan.TCP, Direction: plan.Forward, Family: result.IP4, From: "server", To: "ldap",
		Host: "ldap.example.edu", Need: plan.Conditional, Counted: true, Expect: plan.ExpectOpen,
		At: i.At, Source: i.Source, Target: i.Target, Attempts: 1, Initiator: i,
	}
	verdict.Rule(&p, verdict.Context{Mode: m})
	p.Notes = []result.Note{}
	r := &result.Report{Schema: result.Schema, Run: run, Mode: m, Started: noon, Plan: "illiad", From: result.End{Role: "server", Host: "ws"}, Paths: []result.Path{p}}
	verdict.Summarize(r)
	return r
}

// Nobody starts listen on somebody else's LDAP server: what the reports advised
// is what their matrix asks for, whatever became of the paths.
func TestRealHostsKeepTheirAdvice(t *testing.T) {
	ends := map[string]func(*result.Initiator){
		"refused": func(i *result.Initiator) { i.Connect = result.ConnectRST },
		"silent":  func(i *result.Initiator) { i.Connect = result.ConnectTimeout },
		"reset":   func(i *result.Initiator) { i.Connect, i.Answer = result.ConnectOpen, result.AnswerReset },
		"stalled": func(i *result.Initiator) { i.Connect, i.Answer = result.ConnectOpen, result.AnswerSilent },
	}
	for _, m := range []result.Mode{result.ModeEgress, result.ModeInstalled} {
		for want, end := range ends {
			var in []Input
			for n, source := range []string{"10.1.0.10:50001", "10.1.0.11:50002"} {
				i := timeout(source, "192.0.2.7:389", time.Minute)
				end(i)
				in = append(in, Input{Report: written(t, visited(m, string(rune('a'+n)), i))})
			}
			own := in[0].Report.Paths[0]
			if string(own.Verdict) != want {
				t.Fatalf("%s: the report says %s", want, own.Verdict)
			}
			got := Tabulate("test", in)
			if len(got.Requests) != 1 || len(got.Requests[0].Rows) != 2 {
				t.Errorf("%s, %s: %d requests for what both need alike: %+v", m, want, len(got.Requests), got.Requests)
			}
			for _, q := range got.Requests {
				if q.Ends != (want == "refused") { // it may be that nothing listens: not asked for in the letter
					t.Errorf("%s, %s: for the two ends: %v", m, want, q.Ends)
				}
				if strings.Contains(q.Advice, "listen") != strings.Contains(own.Finding.Advice, "listen") || strings.Contains(q.Advice, "that listen runs") {
					t.Errorf("%s, %s: the report advised\n%s\nand the matrix asks\n%s", m, want, own.Finding.Advice, q.Advice)
				}
			}
		}
	}
}

// A firewall behind a NAT sees the NAT's address: that a path got no answer does
// not make it forget the one that other paths show.
func TestRequestsNameTheAddressBehindTheNAT(t *testing.T) {
	r := client(3)
	for i := range r.Paths {
		p := &r.Paths[i]
		p.OthersSeenAs = result.ParseAddr("203.0.113.9")
		verdict.Rule(p, verdict.Context{Mode: r.Mode})
	}
	m := Tabulate("test", []Input{{Report: written(t, r)}})
	for _, q := range m.Requests {
		if len(q.Subnets) != 1 || !slices.Equal(q.Subnets[0].Addresses, []string{"203.0.113.9"}) {
			t.Errorf("%s: %+v", q.Code, q.Subnets)
		}
	}
}

// So does a path that is completed from the other end's report: b knows a by the
// NAT's address from its own paths, which a dialed back over.
func TestJoinedPathKeepsTheNAT(t *testing.T) {
	a, b := halves()
	a.Paths[0].Initiator.Source, a.Paths[0].Source = ap("10.9.0.4:50123"), ap("10.9.0.4:50123")
	a.From.Addresses = result.ParseAddrs("10.9.0.4")
	a.Contact = &result.Contact{Direction: plan.Forward, SeenAs: ap(hostA + ":50001"), ClockMS: new(int64), Instance: b.Listened.Instance}
	got := Join(a, b, Pairing{})
	if p := got.Paths[0]; p.Verdict != result.Filtered || p.OthersSeenAs.String() != hostA || !strings.Contains(p.Finding.Advice, "seen as "+hostA+" on other paths") {
		t.Errorf("%s, others seen as %q: %s", p.Verdict, p.OthersSeenAs, p.Finding.Advice)
	}
}

// What was not tested is not tested afterwards either, whatever else the report
// holds of it and whatever the other end saw.
func TestUntestedStaysUntested(t *testing.T) {
	const why = "the listener was lost before its turn"
	cut := func(r *result.Report) {
		p := &r.Paths[0]
		p.Initiator.NotTried = why
		p.Verdict, p.Proof, p.OK = result.Untested, result.ProofNone, false
		verdict.Rule(p, verdict.Context{Mode: r.Mode})
		verdict.Summarize(r)
	}
	a, b := halves()
	cut(a)
	b.Listened.Arrivals = []result.Arrival{arrival(hostA+":50123", 187*time.Second, result.SawHalfOpen)}
	for name, r := range map[string]*result.Report{"joined": Join(written(t, a), written(t, b), Pairing{}), "sound": Sound(written(t, a))} {
		if p := r.Paths[0]; p.Verdict != result.Untested || !strings.Contains(p.Finding.Text, why) || r.Summary.OK {
			t.Errorf("%s: %s, %s", name, p.Verdict, p.Finding.Text)
		}
	}
	m := Tabulate("test", []Input{{Report: written(t, a)}, {Report: written(t, b)}})
	if c := m.Rows[0].Cells[0]; c.Verdict != result.Untested || c.OK || c.Request != 0 {
		t.Errorf("%+v", c)
	}
	for _, q := range m.Requests {
		if slices.Contains(q.Rows, 0) {
			t.Errorf("something is asked for because of it: %+v", q)
		}
	}
}

// An operator's own mistake is said, and is no request: whoever takes the matrix
// to a firewall's people does not find it among what they are asked for.
func TestOwnMistakeIsNoRequest(t *testing.T) {
	for _, code := range result.OwnCodes {
		for _, v := range result.Verdicts {
			if v == result.Open {
				continue
			}
			r := client(0)
			for i := range r.Paths {
				p := &r.Paths[i]
				p.Verdict, p.OK, p.Proof, p.Finding = v, false, result.ProofNone, &result.Finding{Code: code, Text: "What is wrong.", Advice: "What to mend."}
			}
			m := Tabulate("test", []Input{{Report: written(t, r)}, {Report: written(t, client(1))}})
			for _, q := range m.Requests {
				if q.Code == code || slices.Contains(q.Rows, 0) {
					t.Errorf("%s, %s: asked for: %+v", code, v, q)
				}
			}
			said := slices.ContainsFunc(m.Findings, func(f result.Finding) bool { return f.Code == code && f.Advice == "What to mend." })
			if !said && v != result.Untested {
				t.Errorf("%s, %s: it is not said any more: %+v", code, v, m.Findings)
			}
		}
	}
}

// What a run's loss of packets makes likely is no fault of a path: the report's
// own connections show that loss to whoever reads it.
func TestReadPathIsHeldAgainstTheRunsLoss(t *testing.T) {
	read := func(slow int) *result.Path {
		a, _ := halves()
		p := &a.Paths[0]
		p.Initiator = keyed(hostA+":50123", outsideB+":7968", "x")
		for n := range 21 {
			c := result.Connection{Purpose: result.PurposeSample, At: at(time.Duration(n) * time.Second), Source: ap(hostA + ":50124"), ConnectMS: 1, Reached: result.ReachedDone, Ended: result.EndedWell}
			if n < slow {
				c.ConnectMS = 1100 // its SYN was sent again
			}
			if n == 20 {
				c.Reached, c.Ended = result.ReachedNothing, result.EndedSilent
			}
			p.Initiator.Connections = append(p.Initiator.Connections, c)
		}
		p.Verdict, p.Proof, p.OK, p.Finding = result.Open, result.ProofKeyed, true, nil
		return &Sound(written(t, a)).Paths[0]
	}
	if p := read(5); p.Verdict != result.Open || !p.OK {
		t.Errorf("where a third of the packets gets lost: %s, %+v", p.Verdict, p.Finding)
	}
	if p := read(0); p.Verdict != result.Unsteady || p.OK {
		t.Errorf("where none does: %s", p.Verdict)
	}
}

// Arrivals of a path's further connections are known to be this end's.
func TestFurtherConnectionsAreAttemptsToo(t *testing.T) {
	a, b := halves()
	a.Contact = &result.Contact{ClockMS: new(int64)}
	i := a.Paths[0].Initiator
	i.Connections = []result.Connection{
		{Purpose: result.PurposeProof, At: i.At, ElapsedMS: 4000, Source: i.Source, Reached: result.ReachedNothing, Ended: result.EndedSilent},
		{Purpose: result.PurposeSample, At: i.At, ElapsedMS: 4000, Source: ap(hostA + ":50124"), Reached: result.ReachedNothing, Ended: result.EndedSilent},
	}
	b.Listened.Arrivals = []result.Arrival{arrival(hostA+":50124", 187*time.Second, result.SawHalfOpen)}
	if p := joinOf(t, a, b).Paths[0]; p.Verdict != result.ReplyLost {
		t.Errorf("%s: %+v", p.Verdict, p.Finding)
	}
}
