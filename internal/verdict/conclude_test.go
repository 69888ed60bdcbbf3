package verdict

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

func TestExitCode(t *testing.T) {
	path := func(v result.Verdict, attempts int, counted bool) result.Path {
		return result.Path{Verdict: v, OK: v == result.Open, Attempts: attempts, Counted: counted}
	}
	for _, c := range []struct {
		name  string
		paths []result.Path
		want  int
	}{
		{"every counted path ok", []result.Path{path(result.Open, 1, true), path(result.Open, 1, true)}, 0},
		{"an uncounted path broken", []result.Path{path(result.Open, 1, true), path(result.Filtered, 1, false)}, 0},
		{"nothing counted", []result.Path{path(result.Filtered, 1, false)}, 0},
		{"a counted path broken", []result.Path{path(result.Open, 1, true), path(result.Filtered, 1, true)}, 1},
		{"a counted path untested", []result.Path{path(result.Open, 1, true), path(result.Untested, 0, true)}, 1},
		{"every counted path broken", []result.Path{path(result.Silent, 1, true)}, 1},
		{"nothing attempted", []result.Path{path(result.Untested, 0, true), path(result.Unresolved, 0, true)}, 3},
		{"no paths", nil, 3},
	} {
		r := &result.Report{Paths: c.paths}
		Conclude(r, Facts{})
		if got := ExitCode(r); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
		if c.want != 0 {
			continue
		}
		// What was asked for, such as --hold, was not done to its end.
		r = &result.Report{Paths: c.paths, Interrupted: true}
		Conclude(r, Facts{})
		if ExitCode(r) != 1 || r.Summary.OK {
			t.Errorf("%s, and interrupted: %d, %+v", c.name, ExitCode(r), r.Summary)
		}
	}
}

func TestSummaryCountsVerdicts(t *testing.T) {
	r := &result.Report{Paths: []result.Path{
		{Verdict: result.Open, OK: true, Counted: true}, {Verdict: result.Open, OK: true},
		{Verdict: result.Silent, Counted: true}, {Verdict: result.Refused},
	}}
	Conclude(r, Facts{})
	s := r.Summary
	if s.OK || s.Counted != 2 || s.Failed != 1 || s.Verdicts[result.Open] != 2 || s.Verdicts[result.Silent] != 1 || s.Verdicts[result.Refused] != 1 {
		t.Errorf("got %+v", s)
	}
}

func TestFindingsOfTheWholeRun(t *testing.T) {
	of := func(i result.Initiator) result.Path {
		p := pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: &i})
		p.Finding = explain(p, Context{Mode: result.ModePaths})
		return p
	}
	contact := &result.Contact{Plan: "illiad"}
	portUnreachable := rejectedBy(result.ICMP{Type: 3, Code: 3, From: target.Addr()})
	unreachable := pathOf(question{Transport: plan.UDP, Port: 1434, Initiator: &portUnreachable})
	unreachable.Finding = explain(unreachable, Context{Mode: result.ModePaths})
	wire := Route{netip.MustParseAddr("10.1.0.10"), "eth0"}
	since := time.Date(2026, 11, 27, 12, 34, 36, 178_000_000, time.UTC)
	wrong := Reroute{Was: wire, Is: Route{netip.MustParseAddr("172.16.0.2"), "vpn0"}, From: since}
	lost := Reroute{Was: wire, From: since, Until: since.Add(2500 * time.Millisecond)}
	for _, c := range []struct {
		name  string
		r     result.Report
		f     Facts
		codes string
		says  []string
	}{
		{"all well", result.Report{Plan: "illiad", Contact: contact, Paths: []result.Path{of(proved())}}, Facts{}, "", nil},
		{"no address", result.Report{Paths: []result.Path{of(result.Initiator{ResolveError: "x"})}}, Facts{ResolveError: "illiad.example.edu: no such name"}, "name-not-found", []string{"illiad.example.edu: no such name."}},
		{"every port refused", result.Report{To: result.End{Host: "illiad.example.edu"}, Paths: []result.Path{of(failed(result.ConnectRST)), of(failed(result.ConnectRST))}}, Facts{},
			"no-contact", []string{"Every port of illiad.example.edu is refused", "give dial the same"}},
		{"every port refused, UDP as UDP does it", result.Report{To: result.End{Host: "illiad.example.edu"}, Paths: []result.Path{of(failed(result.ConnectRST)), unreachable}}, Facts{},
			"no-contact", []string{"Every port of illiad.example.edu is refused"}},
		{"silence", result.Report{To: result.End{Host: "illiad.example.edu"}, Paths: []result.Path{of(failed(result.ConnectRST)), of(failed(result.ConnectTimeout))}}, Facts{Shift: 10000},
			"no-contact", []string{"Nothing at illiad.example.edu proved the key", "--port-shift 10000, leave it out"}},
		{"interrupted says nothing of contact", result.Report{Interrupted: true, Paths: []result.Path{of(failed(result.ConnectTimeout))}}, Facts{}, "", nil},
		{"nothing attempted says nothing of contact", result.Report{Paths: []result.Path{of(result.Initiator{NotTried: "x"})}}, Facts{}, "", nil},
		{"wrong key once, on however many paths", result.Report{Paths: []result.Path{of(connected(result.AnswerWrongKey)), of(connected(result.AnswerWrongKey))}}, Facts{}, "wrong-key", nil},
		{"other version", result.Report{Paths: []result.Path{of(connected(result.AnswerVersion))}}, Facts{}, "other-version", nil},
		{"not allowed", result.Report{Paths: []result.Path{of(connected(result.AnswerForbidden))}}, Facts{}, "not-allowed", nil},
		{"the listener was stopped for a while", result.Report{To: result.End{Host: "illiad.example.edu"}, Plan: "illiad", Contact: contact, Paths: []result.Path{of(proved())}}, Facts{Paused: 5_040_000_000},
			"listener-paused", []string{"For about 5s of this run the listener on illiad.example.edu"}},
		{"this machine's interface was down", result.Report{Plan: "illiad", Contact: contact, Paths: []result.Path{of(proved())}}, Facts{Away: Away{Addrs: []netip.Addr{target.Addr()}, For: 3 * time.Second}, ContactLost: "x"},
			"interface-down", []string{"For about 3s of this run this machine could send nothing from " + target.Addr().String(), "Nothing to ask of the firewall team"}},
		{"everything stopped with this machine's interface", result.Report{Plan: "illiad", Contact: contact, Paths: []result.Path{of(proved())}}, Facts{Away: Away{Addrs: []netip.Addr{target.Addr()}, For: 3 * time.Second}, CutOff: &CutOff{Away: true}},
			"interface-down", nil},
		{"this machine's route changed", result.Report{To: result.End{Host: "illiad.example.edu"}, Plan: "illiad", Contact: contact, Paths: []result.Path{of(proved())}}, Facts{CutOff: &CutOff{Reroute: &wrong, At: wrong.From, After: 1200 * time.Millisecond}},
			"route-changed", []string{"At 12:34:36.178 UTC, 1.2 s after this run began, this machine's route to illiad.example.edu changed (from 10.1.0.10 by eth0 to 172.16.0.2 by vpn0). What came after that is untested", "Nothing to ask of the firewall team"}},
		{"this machine's route was another for a while", result.Report{To: result.End{Host: "illiad.example.edu"}, Plan: "illiad", Contact: contact, Paths: []result.Path{of(proved())}}, Facts{Reroutes: []Reroute{lost}},
			"route-changed", []string{"From 12:34:36.178 UTC on, for about 2.5s, this machine's route to illiad.example.edu was another (from 10.1.0.10 by eth0 to none: no route is left)"}},
		{"a port whose touching bans", result.Report{From: result.End{Addresses: result.ParseAddrs("10.1.0.10")}, Plan: "illiad", Contact: contact, Paths: []result.Path{of(proved())}},
			Facts{Bans: []Ban{{result.Ban{Port: 1344, Transport: plan.TCP, At: result.TimeOf(wrong.From), ForMS: 4123}, netip.MustParseAddr("10.2.0.10")}}},
			"port-bans", []string{"The firewall bans whoever touches TCP port 1344 of 10.2.0.10:", "at 12:34:36.178 UTC it was tried on purpose, and for 4.1s no port answered 10.1.0.10", "allow TCP port 1344, or at least not to ban 10.1.0.10 for it"}},
		{"a port whose touching bans for long", result.Report{From: result.End{Addresses: result.ParseAddrs("10.1.0.10")}, To: result.End{Host: "illiad.example.edu"}, Plan: "illiad", Contact: contact, Paths: []result.Path{of(proved())}},
			Facts{CutOff: &CutOff{At: wrong.From, Touched: &result.Ban{Port: 1344, Transport: plan.TCP}}},
			"cut-off", []string{"this run tried TCP port 1344, and from then on nothing between 10.1.0.10 and illiad.example.edu got an answer", "lift its ban of 10.1.0.10"}},
		{"the listener was crowded", result.Report{To: result.End{Host: "illiad.example.edu"}, Plan: "illiad", Contact: contact, Paths: []result.Path{of(proved())}}, Facts{Shed: 1234},
			"listener-crowded", []string{"illiad.example.edu was crowded", "ended 1234 in a minute", "No device on the way did that"}},
		{"its queue was full", result.Report{To: result.End{Host: "illiad.example.edu"}, Plan: "illiad", Contact: contact, Paths: []result.Path{of(proved())}}, Facts{Full: []int{443, 1433}},
			"listener-crowded", []string{"came at once to TCP port 443, 1433 of illiad.example.edu than may wait there", "tells nothing of the network and was left out"}},
		{"its queues were full", result.Report{To: result.End{Host: "illiad.example.edu"}, Plan: "illiad", Contact: contact, Paths: []result.Path{of(proved())}}, Facts{Full: []int{1, 2, 3, 4, 5, 6, 7, 8, 9}},
			"listener-crowded", []string{"TCP port 1, 2, 3, 4, 5, 6, 7, 8 and others of"}},
		{"it opens connections and is silent", result.Report{To: result.End{Host: "illiad.example.edu"}, Plan: "illiad", Contact: contact, Paths: []result.Path{of(proved())}}, Facts{CutOff: &CutOff{Mute: true, Ended: result.EndedSilent, At: wrong.From, After: 1200 * time.Millisecond}},
			"cut-off", []string{"the listener on illiad.example.edu stopped answering, also on ports that had worked before; connections to it open still", "First make sure that listen goes on running on illiad.example.edu", "If it never did, ask whether intrusion prevention"}},
		{"other plan", result.Report{Plan: "illiad-2006", Contact: contact, Paths: []result.Path{of(proved())}}, Facts{}, "other-plan", []string{`"illiad"`, `"illiad-2006"`}},
		{"other shift", result.Report{Plan: "illiad", Contact: contact, Paths: []result.Path{of(proved())}}, Facts{Shift: 0, FarShift: 100}, "other-shift", []string{"--port-shift 100"}},
	} {
		Conclude(&c.r, c.f)
		var codes []string
		text := ""
		for _, f := range c.r.Findings {
			codes = append(codes, string(f.Code))
			text += f.Text + " " + f.Advice + " "
			wellFormed(t, result.Path{}, f.Text)
			wellFormed(t, result.Path{}, f.Advice)
		}
		if got := strings.Join(codes, ","); got != c.codes {
			t.Errorf("%s: findings %q, want %q", c.name, got, c.codes)
		}
		for _, w := range c.says {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %q does not say %q", c.name, text, w)
			}
		}
	}
}

// Where all is silent, what was tried and is not needed may be why: that is said, and
// only then.
func TestSilenceMayBeABan(t *testing.T) {
	path := func(port int, counted bool, v result.Verdict) result.Path {
		return result.Path{Direction: plan.Forward, Transport: plan.TCP, Port: port, Counted: counted, Verdict: v,
			Initiator: &result.Initiator{Attempts: 1, Connect: result.ConnectTimeout}}
	}
	for name, c := range map[string]struct {
		paths []result.Path
		said  bool
	}{
		"all silent":                {[]result.Path{path(1433, true, result.Silent), path(1344, false, result.Silent)}, true},
		"nothing else was tried":    {[]result.Path{path(1433, true, result.Silent), path(443, true, result.Silent)}, false},
		"one was refused":           {[]result.Path{path(1433, true, result.Refused), path(1344, false, result.Silent)}, false},
		"nothing depends on any":    {[]result.Path{path(1344, false, result.Silent)}, false},
		"the other one was refused": {[]result.Path{path(1433, true, result.Silent), path(1344, false, result.Refused)}, false},
	} {
		r := &result.Report{Mode: result.ModePaths, Paths: c.paths}
		Conclude(r, Facts{})
		if len(r.Findings) != 1 || r.Findings[0].Code != result.CodeNoContact || strings.Contains(r.Findings[0].Advice, "a device bans this machine for having tried TCP port 1344, which") != c.said {
			t.Errorf("%s: %+v", name, r.Findings)
		}
	}
}

// Where large packets vanish, or go in pieces, the answers to questions do: nothing
// began to block anybody.
func TestContactIsLostWhereLargePacketsVanish(t *testing.T) {
	i := proved()
	hole := pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: &i, Instance: here})
	hole.Verdict = result.MTUHole
	slow, open := hole, hole
	slow.Verdict, slow.Finding = result.Stalled, &result.Finding{Code: result.CodeWindowScale}
	open.Verdict = result.Open
	for _, c := range []struct {
		p           result.Path
		says, never string
	}{{hole, "large packets", "began to block"}, {slow, "window scale", "began to block"}, {open, "began to block", "large packets"}} {
		r := &result.Report{Paths: []result.Path{c.p}, To: result.End{Host: "server"}}
		f := provedWithoutContact(r, provedPaths(r.Paths))
		if f.Code != result.CodeContactLost || !strings.Contains(f.Advice, c.says) || strings.Contains(f.Advice, c.never) {
			t.Errorf("%s: %+v", c.p.Verdict, f)
		}
		r.Contact = &result.Contact{}
		late := findings(r, Facts{ContactLost: "i/o timeout"})
		if len(late) != 1 || late[0].Code != result.CodeContactLost || !strings.Contains(late[0].Advice, c.says) || strings.Contains(late[0].Advice, c.never) {
			t.Errorf("%s, lost at the end: %+v", c.p.Verdict, late)
		}
	}
}
