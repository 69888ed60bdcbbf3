package lab

import (
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// TestEveryScenarioFileIsValid needs no privilege: a mistyped file fails on any
// machine.
func TestEveryScenarioFileIsValid(t *testing.T) {
	all, err := Load("scenarios")
	if err != nil {
		t.Fatal(err)
	}
	about := map[string]string{}
	for _, s := range all {
		if other, ok := about[s.About]; ok {
			t.Errorf("%s and %s are about the same", other, s.Name)
		}
		about[s.About] = s.Name
	}
}

func TestABadScenarioIsRefusedWithFileLineAndValue(t *testing.T) {
	const good = "about: x\ndial: {args: [server.lab]}\n"
	for _, tt := range []struct{ name, src, want string }{
		{"no about", "dial: {args: [server.lab]}", "bad.yaml:1: about is missing"},
		{"no host", "about: x\n", "bad.yaml:1: dial.args is missing"},
		{"unknown key", good + "expects: []\n", `unknown field "expects"`},
		{"unknown key inside", good + "expect:\n  - {flaw: x, verdict: open}\n", `unknown field "flaw"`},
		{"duplicate key", good + "about: y\n", "already defined"},
		{"not YAML", "about: [", "bad.yaml"},
		{"verdict", good + "expect:\n  - {flow: x, verdict: opne}\n", `bad.yaml:4: no verdict "opne": one of unresolved, `},
		{"no verdict", good + "expect:\n  - {flow: x}\n", "bad.yaml:4: verdict is missing: one of "},
		{"default", good + "default: fine\n", `bad.yaml:3: no verdict "fine"`},
		{"direction", good + "expect:\n  - {direction: back, verdict: open}\n", `bad.yaml:4: no direction "back": one of forward, reverse`},
		{"family", good + "expect:\n  - {family: ipv4, verdict: open}\n", `bad.yaml:4: no family "ipv4": one of ip4, ip6`},
		{"proof", good + "expect:\n  - {verdict: open, proof: sure}\n", `bad.yaml:4: no proof "sure": one of keyed, seen, service, browser, plain, none`},
		{"contact", good + "contact: yes please\n", `bad.yaml:3: no contact "yes please"`},
		{"listen node", good + "listen: {node: servre}\n", `bad.yaml:3: no node "servre"`},
		{"node of another listener", good + "also:\n  - {node: databse}\n", `bad.yaml:4: no node "databse": one of client, `},
		{"no node for another listener", good + "also:\n  - {args: [--json]}\n", "bad.yaml:4: node is missing"},
		{"two listeners on one node", good + "also:\n  - {node: server}\n", "bad.yaml:4: a listener runs on server already"},
		{"plant node", good + "plant:\n  - {node: fwx, run: 'true'}\n", `bad.yaml:4: no node "fwx": one of client, `},
		{"two plants in one", good + "plant:\n  - {node: fws, run: a, nft: b}\n", "bad.yaml:4: a plant is one of nft, run, before and stun"},
		{"empty plant", good + "plant:\n  - {node: fws}\n", "bad.yaml:4: a plant is one of"},
		{"port without program", good + "plant:\n  - {node: fws, run: a, port: 80}\n", "bad.yaml:4: port goes with before"},
		{"program without port", good + "plant:\n  - {node: fws, before: a}\n", "bad.yaml:4: before wants a port"},
		{"port", good + "plant:\n  - {node: fws, before: a, port: 70000}\n", "bad.yaml:4: port 70000 is not a port"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("scenarios/bad.yaml", []byte(tt.src))
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error\n  %v\nlacks\n  %s", err, tt.want)
			}
		})
	}
}

func TestDefaultsOfAScenario(t *testing.T) {
	s, err := Parse("scenarios/short.yaml", []byte("about: x\ndial: {args: [server.lab]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "short" || s.Listen.Node != "server" || s.Dial.Node != "client" || s.Contact != "some" || s.Default != result.Open {
		t.Errorf("%+v", s)
	}
}

func TestJudge(t *testing.T) {
	path := func(flow string, d plan.Direction, v result.Verdict) result.Path {
		return result.Path{Flow: flow, Direction: d, Family: result.IP4, PlanPort: 1433, Verdict: v, OK: v == result.Open, Proof: result.ProofNone,
			Finding: &result.Finding{Code: "found", Text: "by <10.2.0.1>"}, Notes: []result.Note{{Code: result.NoteNAT}}}
	}
	report := func(paths ...result.Path) result.Report {
		return result.Report{Schema: result.Schema, Contact: &result.Contact{Flow: "x"}, Paths: paths}
	}
	no := false
	filtered := Scenario{Contact: "some", Default: result.Open, Exit: 1, Expect: []Expect{
		{Flow: "sql", Direction: plan.Forward, Verdict: result.Filtered, OK: &no, Finding: "found",
			Notes: []result.NoteCode{result.NoteNAT}, Says: []string{"<10.2.0.1>"}},
	}}
	right := path("sql", plan.Forward, result.Filtered)
	back := path("sql", plan.Reverse, result.Open)

	for _, tt := range []struct {
		name   string
		change func(*Scenario, *result.Report)
		exit   int
		want   string // what it says; "" is nothing wrong
		opens  int
	}{
		{"right", func(*Scenario, *result.Report) {}, 1, "", 0},
		{"exit status", func(*Scenario, *result.Report) {}, 0, "exit status 0, want 1", 0},
		{"false open", func(_ *Scenario, r *result.Report) { r.Paths[0] = path("sql", plan.Forward, result.Open) }, 1, "FALSE OPEN, want filtered", 1},
		{"other verdict", func(_ *Scenario, r *result.Report) { r.Paths[1].Verdict = result.Silent }, 1, "sql reverse ip4 (port 1433): silent, want open", 0},
		{"missing saying", func(_ *Scenario, r *result.Report) { r.Paths[0].Finding = &result.Finding{Code: "found"} }, 1, `does not say "<10.2.0.1>"`, 0},
		{"other finding", func(s *Scenario, _ *result.Report) { s.Expect[0].Finding = "lost" }, 1, "finding found, want lost", 0},
		{"other proof", func(s *Scenario, _ *result.Report) { s.Expect[0].Proof = result.ProofService }, 1, "proof none, want service", 0},
		{"missing note", func(_ *Scenario, r *result.Report) { r.Paths[0].Notes = nil }, 1, "note nat is missing", 0},
		{"ok", func(_ *Scenario, r *result.Report) { r.Paths[0].OK = true }, 1, "ok is true, want false", 0},
		{"no contact", func(_ *Scenario, r *result.Report) { r.Contact = nil }, 1, "no contact, want one", 0},
		{"unwanted contact", func(s *Scenario, _ *result.Report) { s.Contact = "none" }, 1, "contact over x, want none", 0},
		{"no such path", func(s *Scenario, _ *result.Report) { s.Expect = append(s.Expect, Expect{Flow: "sqx"}) }, 1, "expect number 2 (flow: sqx)", 0},
		{"no paths", func(s *Scenario, r *result.Report) { s.Expect, r.Paths = nil, nil }, 1, "the report has no paths", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, r := filtered, report(right, back)
			s.Expect = append([]Expect(nil), s.Expect...)
			tt.change(&s, &r)
			j := Judge(s, Run{Report: r, Exit: tt.exit})
			got := strings.Join(j.Wrong, "\n")
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("said %q, want %q", got, tt.want)
			}
			if j.FalseOpens() != tt.opens {
				t.Errorf("%d false open, want %d", j.FalseOpens(), tt.opens)
			}
		})
	}
}

func TestFlagsGoWhereDialTakesThem(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"--role client server.lab", "dial --format json --out r.txt --role client server.lab"},
		{"egress --only oclc", "dial egress --format json --out r.txt --only oclc"},
		{"odyssey peer.lab", "dial odyssey --format json --out r.txt peer.lab"},
	} {
		if got := strings.Join(dialArgv("dial", strings.Fields(tt.args), "r.txt"), " "); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}
