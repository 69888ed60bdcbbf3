package verdict

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// pathOf returns the path of a report that a case becomes.
func pathOf(c question) result.Path {
	r := judge(c)
	p := result.Path{
		Flow: "sql-client", Service: "SQL Server (TDS)", Port: c.Port, PlanPort: c.Port, Transport: c.Transport,
		Direction: plan.Forward, Family: result.IP4, From: "client", To: "database", Need: plan.Required,
		Why: "Every ILLiad Client works directly on the database.", Counted: true, Expect: c.Expect,
		Verdict: r.Verdict, Proof: r.Proof, OK: r.OK, At: result.TimeOf(time.Date(2026, 11, 3, 9, 30, 5, 0, time.UTC)),
		Initiator: c.Initiator, Acceptor: c.Acceptor,
	}
	if i := c.Initiator; i != nil {
		p.Source, p.Target, p.SeenAs, p.Attempts = i.Source, i.Target, i.SeenAs, i.Attempts
	}
	return p
}

// wellFormed fails the test unless s is one or more whole sentences.
func wellFormed(t *testing.T, p result.Path, s string) {
	t.Helper()
	first, _ := utf8.DecodeRuneInString(s)
	switch {
	case s == "":
		t.Fatalf("%s: empty", p.Verdict)
	case !strings.HasSuffix(s, "."):
		t.Fatalf("%s: %q does not end as a sentence", p.Verdict, s)
	case unicode.IsLower(first):
		t.Fatalf("%s: %q does not begin as a sentence", p.Verdict, s)
	}
	for _, bad := range []string{"%!", "  ", "..", ". .", "invalid", "<nil>", " .", " ,", "()", ": .", "port 0 ", "the the "} {
		if strings.Contains(s, bad) {
			t.Fatalf("%s: %q contains %q", p.Verdict, s, bad)
		}
	}
}

func TestEveryFindingIsWellFormed(t *testing.T) {
	codes := map[result.Code]bool{}
	check := func(c question) {
		p := pathOf(c)
		f := explain(p, Context{Mode: result.ModePaths})
		if p.OK {
			if f != nil {
				t.Fatalf("%s is ok and has the finding %+v", p.Verdict, *f)
			}
			return
		}
		if f == nil {
			t.Fatalf("%s is not ok and has no finding", p.Verdict)
		}
		codes[f.Code] = true
		wellFormed(t, p, f.Text)
		wellFormed(t, p, f.Advice)
	}
	everyCase(func(c question) {
		if c.Instance == "" || isLikeOthers(c) {
			return
		}
		check(c)
		c.Expect = plan.ExpectClosed
		check(c)
	})
	for _, want := range []result.Code{"should-be-closed", "redirected-port", "redirected-host", "stalled-half-open", "reset-someone-else", "filtered", "refused-on-the-way"} {
		if !codes[want] {
			t.Errorf("no case has the finding %s: the enumeration is broken", want)
		}
	}
}

// isLikeOthers reports whether a case is explained like another one: payloads
// matter only after a proof, and a probe always says how one ended.
func isLikeOthers(c question) bool {
	for _, t := range []*result.Transfer{c.Initiator.Sent, c.Initiator.Received} {
		if t != nil && (t.Outcome == "" || c.Initiator.Connect != result.ConnectOpen || c.Initiator.Answer != result.AnswerKeyed) {
			return true
		}
	}
	return false
}

func TestEvidenceThatIsMissingLeavesNoHole(t *testing.T) {
	everyCase(func(c question) {
		if c.Instance != here || isLikeOthers(c) {
			return
		}
		i := *c.Initiator
		i.Source, i.Target = result.Endpoint{}, result.Endpoint{}
		c.Initiator, c.Port = &i, 0 // an FTP data port that nobody named
		p := pathOf(c)
		p.Why = ""
		if f := explain(p, Context{Mode: result.ModePaths}); f != nil && p.Verdict != result.Redirected { // that one has an origin
			wellFormed(t, p, f.Text)
			wellFormed(t, p, f.Advice)
		}
	})
}

// Whoever gets a request must not need to ask back.
func TestRequestsNameTheFlowTheServiceAndTheReason(t *testing.T) {
	want := []string{"TCP", "10.1.0.2", "10.2.0.5", "port 1433", "client", "database", "SQL Server (TDS)",
		"Every ILLiad Client works directly on the database."}
	everyCase(func(c question) {
		if c.Transport != plan.TCP || isLikeOthers(c) {
			return
		}
		p := pathOf(c)
		f := explain(p, Context{Mode: result.ModePaths})
		if f == nil || !strings.HasPrefix(f.Advice, "Please ") {
			return
		}
		for _, w := range want {
			if !strings.Contains(f.Advice, w) {
				t.Fatalf("%s: %q does not say %q", f.Code, f.Advice, w)
			}
		}
	})
	// These are for a firewall team; the others are for whoever runs dial or listen.
	for _, c := range []question{
		{Initiator: new(failed(result.ConnectTimeout))},
		{Initiator: new(failed(result.ConnectTimeout)), Acceptor: acceptor(result.PortBound, result.SawNothing)},
		{Initiator: new(failed(result.ConnectTimeout)), Acceptor: acceptor(result.PortBound, result.SawHalfOpen)},
		{Initiator: new(rejectedBy(result.ICMP{Type: 3, Code: 13, From: router}))},
		{Initiator: new(failed(result.ConnectRST)), Acceptor: acceptor(result.PortBound, result.SawNothing)},
		{Initiator: new(connected(result.AnswerForeign)), Acceptor: acceptor(result.PortBound, result.SawNothing)},
		{Initiator: new(connected(result.AnswerReset))},
		{Initiator: new(connected(result.AnswerSilent))},
	} {
		c.Transport, c.Port = plan.TCP, 1433
		p := pathOf(c)
		if f := explain(p, Context{Mode: result.ModePaths}); !strings.HasPrefix(f.Advice, "Please ") {
			t.Errorf("%s (%s) asks nobody for anything: %q", p.Verdict, f.Code, f.Advice)
		}
	}
}

func TestFindingsSayWhoAndWhere(t *testing.T) {
	nginx := acceptor(result.PortBusy, result.SawUnknown)
	nginx.Holder = &result.Holder{Name: "nginx", PID: 812}
	hostFirewall := acceptor(result.PortBound, result.SawNothing)
	hostFirewall.Detail = "the SYN arrived at this machine's network interface"
	foreign := connected(result.AnswerForeign)
	foreign.Software = "nginx/1.22.1"
	changed := proved()
	changed.Sent = &result.Transfer{Outcome: result.TransferCorrupted, Want: 262144, Intact: 77, Changed: "41 became 42"}
	cut := proved()
	cut.Received = &result.Transfer{Outcome: result.TransferStalled, Want: 262144, Intact: 1380}
	narrow := proved()
	narrow.Sent = holed()
	natted := failed(result.ConnectTimeout)
	natted.SeenAs = result.EndpointFrom(netip.MustParseAddrPort("198.51.100.7:61000"))
	version := connected(result.AnswerVersion)
	version.Software, version.FarVersion = "dialtone 9.0", 9
	elsewhere := proved()
	elsewhere.Origin = result.EndpointFrom(netip.MustParseAddrPort("10.2.0.5:21433"))
	for _, c := range []struct {
		code result.Code
		i    result.Initiator
		a    *result.Acceptor
		says []string
	}{
		{"rejected", rejectedBy(result.ICMP{Type: 3, Code: 13, From: router}), nil, []string{"10.9.0.1", "communication administratively prohibited (type 3 code 13)"}},
		{"rejected", rejectedBy(result.ICMP{Type: 3, Code: 13}), nil, []string{"does not tell from whom"}},
		{"rejected", rejectedBy(result.ICMP{Type: 1, Code: 0, V6: true, From: router}), nil, []string{"no route to destination", "check the routing"}},
		{"rejected", rejectedBy(result.ICMP{Type: 3, Code: 99, From: router}), nil, []string{"type 3 code 99"}},
		{"rejected-by-host", rejectedBy(result.ICMP{Type: 3, Code: 10, From: target.Addr()}), nil, []string{"target machine's own firewall"}},
		{"blocked-locally", rejectedBy(result.ICMP{Type: 3, Code: 13, From: source.Addr(), Local: true}), nil, []string{"own address 10.1.0.2", "outbound TCP"}},
		{"refused-on-the-way", failed(result.ConnectRST), acceptor(result.PortBound, result.SawNothing), []string{"although the listener holds port 1433", "never saw"}},
		{"nothing-listens", failed(result.ConnectRST), acceptor(result.PortUnbound, result.SawUnknown), []string{"--port-shift"}},
		{"refused-busy", failed(result.ConnectRST), nginx, []string{"nginx (pid 812)"}},
		{"refused", failed(result.ConnectRST), nil, []string{"no contact"}},
		{"reply-lost", failed(result.ConnectTimeout), acceptor(result.PortBound, result.SawHalfOpen), []string{"Packets from 10.2.0.5 source port 1433 to 10.1.0.2"}},
		{"filtered", failed(result.ConnectTimeout), acceptor(result.PortBound, result.SawNothing), []string{"watched all the time"}},
		{"filtered-by-host", failed(result.ConnectTimeout), hostFirewall, []string{"interface of 10.2.0.5", "On 10.2.0.5, allow inbound"}},
		{"silent", natted, nil, []string{"seen as 198.51.100.7"}},
		{"occupied", foreign, nginx, []string{"nginx (pid 812)", "as nginx/1.22.1", "Stop nginx (pid 812)"}},
		{"intercepted", foreign, acceptor(result.PortBound, result.SawNothing), []string{"nginx/1.22.1", "in its place"}},
		{"intercepted", connected(result.AnswerEchoed), acceptor(result.PortBound, result.SawNothing), []string{"Our own bytes"}},
		{"intercepted", foreign, acceptor(result.PortBound, result.SawAccepted), []string{"changes what is said"}},
		{"answered", foreign, nil, []string{"nginx/1.22.1", "no proof"}},
		{"wrong-key", connected(result.AnswerWrongKey), nil, []string{"another key", "--key-file"}},
		{"not-allowed", connected(result.AnswerForbidden), nil, []string{"10.1.0.2", "--allow"}},
		{"other-version", version, nil, []string{"dialtone 9.0", "version 9", "same release"}},
		{"redirected-port", elsewhere, nil, []string{"Port 1433 was dialed and port 21433"}},
		{"corrupted", changed, nil, []string{"from client to database", "byte 77 of 262144", "41 became 42"}},
		{"stalled-payload", cut, nil, []string{"from database to client: stalled after 1380 of 262144 bytes"}},
		{"mtu-hole", narrow, nil, []string{"from client to database, 1348 bytes", "more than 1400 bytes vanish", "MSS to 1360"}},
		{"stalled-half-open", connected(result.AnswerSilent), acceptor(result.PortBound, result.SawHalfOpen), []string{"half-open"}},
		{"stalled-someone-else", connected(result.AnswerSilent), acceptor(result.PortBound, result.SawNothing), []string{"Something else accepted it"}},
		{"stalled-listener", connected(result.AnswerSilent), acceptor(result.PortBound, result.SawAccepted), []string{"our data never came there"}},
		{"stalled-holder", connected(result.AnswerSilent), nginx, []string{"nginx (pid 812)"}},
		{"stalled-unknown", connected(result.AnswerSilent), nil, []string{"no contact"}},
		{"reset-someone-else", connected(result.AnswerClosed), acceptor(result.PortBound, result.SawNothing), []string{"closed (FIN)"}},
		{"reset-listener", connected(result.AnswerReset), acceptor(result.PortBound, result.SawAccepted), []string{"reset (RST)"}},
		{"name-not-found", result.Initiator{ResolveError: "illiad.example.edu: no such name"}, nil, []string{"illiad.example.edu"}},
		{"no-route", failed(result.ConnectNoRoute), nil, []string{"no route to 10.2.0.5"}},
		{"not-reached", func() result.Initiator { i := failed(result.ConnectNoRoute); i.ICMPUntold = true; return i }(), nil, []string{"10.2.0.5", "does not tell", "a device on the way said so"}},
		{"no-neighbour", func() result.Initiator {
			i := rejectedBy(result.ICMP{Type: 3, Code: 1, From: source.Addr(), Local: true})
			i.ConnectMS = 3100
			return i
		}(), nil, []string{"10.2.0.5", "gateway"}},
		{"untested", result.Initiator{NotTried: "interrupted"}, nil, []string{"interrupted"}},
	} {
		p := pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: &c.i, Acceptor: c.a, Instance: here})
		f := explain(p, Context{Mode: result.ModePaths})
		if f == nil || f.Code != c.code {
			t.Errorf("%s: got %+v", c.code, f)
			continue
		}
		for _, w := range c.says {
			if !strings.Contains(f.Text+" "+f.Advice, w) {
				t.Errorf("%s: %q + %q does not say %q", c.code, f.Text, f.Advice, w)
			}
		}
	}
}

func banned(i result.Initiator) result.Initiator {
	i.Ban = &result.Ban{Port: 1344, Transport: plan.TCP, ForMS: 4123}
	return i
}

// studied has all but the first two connections opened while no other path was tried.
func studied(i result.Initiator) result.Initiator {
	for n := range i.Connections[2:] {
		i.Connections[n+2].Purpose = result.PurposeStudy
	}
	return i
}

// A port that must be closed is not open because this machine cannot send.
func TestFindingSaysHowManyConnectionsPassed(t *testing.T) {
	inTurn := proved()
	inTurn.Repeated = &result.Repeated{Tried: 2, Proved: 2, Origin: result.EndpointFrom(netip.MustParseAddrPort("10.2.0.7:1433")), Instance: other}
	// Ports of which some were tried three times: below 49152 all fail, above all pass.
	ranged := proved()
	for n, c := range connections("+++++-----") {
		at := []uint16{49553, 51002, 53377, 56016, 60418, 33011, 34500, 38220, 45019, 48936}[n]
		for range 3 {
			c.Source = result.EndpointFrom(netip.AddrPortFrom(c.Source.Addr(), at))
			ranged.Connections = append(ranged.Connections, c)
		}
	}
	hashed := ranged
	hashed.Connections = slices.Clone(ranged.Connections)
	for n := range 3 { // one that passes lies among those that fail
		hashed.Connections[n].Source = result.EndpointFrom(netip.AddrPortFrom(source.Addr(), 40000))
	}
	for _, c := range []struct {
		i            result.Initiator
		code         result.Code
		text, advice string // beginnings
	}{
		{ranged, "unsteady-ports", "Of 30 connections 15 passed and 15 failed (15 without an answer). The source port decides: from 49553 to 60418 all pass, and from 33011 to 48936 none does.",
			"Please let every connection pass, not only some: TCP from 10.1.0.2 (client) to 10.2.0.5 (database) port 1433, for SQL Server (TDS). A rule that allows it is there. It seems to name source ports"},
		{hashed, "unsteady-ports", "Of 30 connections 15 passed and 15 failed (15 without an answer). The source port decides: what failed from a port failed from it again", "Please let every"},
		{sampled(proved(), "+-+-+-"), "unsteady-ports", "Of 6 connections 3 passed and 3 failed (3 without an answer). The source port decides: from even ports all pass, and from odd ones none does (40001, 40003, 40005 failed).",
			"Please let every connection pass, not only some: TCP from 10.1.0.2"},
		{sampled(proved(), "+rr+-+"), "unsteady", "Of 6 connections 3 passed and 3 failed (1 without an answer, 2 by RST). Those that failed have nothing in common",
			"Please let every connection pass, not only some: TCP from 10.1.0.2"},
		{sampled(proved(), "+---"), "unsteady", "Of 4 connections 1 passed and 3 failed (3 without an answer). Those that failed have nothing in common", "Please let every"},
		{sampled(proved(), "++----"), "unsteady-number", "Of 6 connections 2 passed and 4 failed (4 without an answer). The first ones passed and none after them.", "Please let every"},
		{sampled(proved(), "r++++++++"), "unsteady-first", "Of 9 connections 8 passed and 1 failed (1 by RST). What failed was the first, reset before any handshake, and all 8 after it passed.",
			"Please let every connection pass, not only some: TCP from 10.1.0.2 (client) to 10.2.0.5 (database) port 1433, for SQL Server (TDS). A rule that allows it is there. A device that tells real clients"},
		{studied(sampled(proved(), "r++++++++")), "unsteady-first", "Of 9 connections 8 passed and 1 failed (1 by RST). What failed was the first", "Please let every"},
		{studied(sampled(proved(), "-++++++++")), "unsteady", "Of 9 connections 8 passed and 1 failed (1 without an answer). Those that failed have nothing in common", "Please let every"},
		{studied(sampled(proved(), "-"+strings.Repeat("+", 24))), "unsteady-at-once", "Of 25 connections 24 passed and 1 failed (1 without an answer). Those that failed were opened while many others were", "Please let every"},
		{studied(sampled(proved(), "--+++++++")), "unsteady-at-once", "Of 9 connections 7 passed and 2 failed (2 without an answer). What failed were the first 2; all 7 after them passed", "Please let every"},
		{studied(sampled(proved(), "+r+++++++")), "unsteady", "Of 9 connections 8 passed and 1 failed (1 by RST).", "Please let every"},
		{banned(sampled(proved(), "--+++++++")), "unsteady-banned", "Of 9 connections 7 passed and 2 failed (2 without an answer). What failed was tried after this run had touched TCP port 1344. " +
			"Left alone, this port answered; when that one was touched on purpose, nothing got an answer for 4.1s.",
			"Please allow TCP port 1344 from 10.1.0.2 (client) to 10.2.0.5, or at least do not ban who touches it."},
		{sampled(proved(), "rr+++++++"), "unsteady", "Of 9 connections 7 passed and 2 failed (2 by RST). Those that failed have nothing in common", "Please let every"},
		{inTurn, "redirected-in-turn", "Connections to port 1433 do not all lead to the same listener: one was answered by instance here-ins at 10.2.0.5:1433, another by instance other-in at 10.2.0.7:1433.",
			"Please lead to one machine only TCP from"},
	} {
		f := explain(pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: &c.i, Acceptor: acceptor(result.PortBound, result.SawNothing), Instance: here}), Context{Mode: result.ModePaths})
		if f == nil || f.Code != c.code || !strings.HasPrefix(f.Text, c.text) || !strings.HasPrefix(f.Advice, c.advice) {
			t.Errorf("got %+v, want %s", f, c.code)
		}
	}
}

func TestClosedPortThatCouldNotBeTriedIsNotCalledReachable(t *testing.T) {
	for _, i := range []result.Initiator{
		failed(result.ConnectNoRoute), failed(result.ConnectDenied), {ResolveError: "no such name"}, {NotTried: "interrupted"},
	} {
		p := pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: &i, Expect: plan.ExpectClosed})
		if f := explain(p, Context{Mode: result.ModePaths}); f == nil || f.Code == "should-be-closed" {
			t.Errorf("%s: %+v", p.Verdict, f)
		}
	}
}

func TestNotes(t *testing.T) {
	at := func(s string) result.Endpoint { return result.EndpointFrom(netip.MustParseAddrPort(s)) }
	base := func(change func(*result.Path)) result.Path {
		i := proved()
		p := pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: &i, Acceptor: acceptor(result.PortBound, result.SawAccepted), Instance: here})
		change(&p)
		return p
	}
	for _, c := range []struct {
		name    string
		p       result.Path
		assumed bool
		want    []result.NoteCode
		says    string
		leftOut []netip.Addr
	}{
		{"nothing to note", base(func(*result.Path) {}), false, nil, "", nil},
		{"source address translated", base(func(p *result.Path) { p.SeenAs = at("198.51.100.7:61000") }), false, []result.NoteCode{result.NoteNAT}, "198.51.100.7", nil},
		{"one cable, two names of it", base(func(p *result.Path) {
			p.Source, p.SeenAs, p.Target, p.Initiator.Origin = at("[fe80::10%tob]:61000"), at("[fe80::10]:61000"), at("[fe80::20%tob]:1433"), at("[fe80::20%toa]:1433")
		}), false, nil, "", nil},
		{"source port translated", base(func(p *result.Path) { p.SeenAs = at("10.1.0.2:61000") }), false, []result.NoteCode{result.NoteNAT}, "61000", nil},
		{"port of another attempt", base(func(p *result.Path) {
			p.Initiator.SeenAs, p.Initiator.Attempts, p.Verdict, p.SeenAs = result.Endpoint{}, 2, result.Rejected, at("10.1.0.2:61000")
			p.Acceptor.Match = result.MatchProbe
		}), false, nil, "", nil},
		{"target address translated", base(func(p *result.Path) { p.Initiator.Origin = at("192.168.7.7:1433") }), false, []result.NoteCode{result.NoteNAT}, "192.168.7.7", nil},
		{"both translated", base(func(p *result.Path) { p.SeenAs, p.Initiator.Origin = at("198.51.100.7:61000"), at("192.168.7.7:1433") }), false,
			[]result.NoteCode{result.NoteNAT, result.NoteNAT}, "", nil},
		{"source not known", base(func(p *result.Path) { p.Source = result.Endpoint{} }), false, nil, "", nil},
		{"matched by time", base(func(p *result.Path) { p.Acceptor.Match = result.MatchTime }), false, []result.NoteCode{result.NoteMatchedByTime}, "", nil},
		{"second attempt", base(func(p *result.Path) { p.Initiator.Attempts = 2 }), false, []result.NoteCode{result.NoteRetried}, "2", nil},
		{"lost its SYN", base(func(p *result.Path) {
			p.Initiator.TCP, p.Initiator.ConnectMS = &result.TCP{Retransmits: 1, RTTMS: 41}, 1042
		}), false, []result.NoteCode{result.NoteLossy}, "connecting took 1.0 s", nil},
		{"its SYN was sent again, since the way is so long", base(func(p *result.Path) {
			p.Initiator.TCP, p.Initiator.ConnectMS = &result.TCP{Retransmits: 1, RTTMS: 1600}, 1640
		}), false, nil, "", nil},
		{"so long, and no round trip was measured", base(func(p *result.Path) {
			p.Initiator.TCP, p.Initiator.RTTMS, p.Initiator.ConnectMS = nil, nil, 3004
			p.Initiator.Connections = []result.Connection{{Reached: result.ReachedDone, Ended: result.EndedWell, ConnectMS: 3003}}
		}), false, nil, "", nil},
		{"one of two lost its SYN, and no round trip was measured", base(func(p *result.Path) {
			p.Initiator.TCP, p.Initiator.RTTMS, p.Initiator.ConnectMS = nil, nil, 3004
			p.Initiator.Connections = []result.Connection{{Reached: result.ReachedDone, Ended: result.EndedWell, ConnectMS: 5}}
		}), false, []result.NoteCode{result.NoteLossy}, "connecting took 3.0 s", nil},
		{"lost some segments", base(func(p *result.Path) { p.Initiator.TCP = &result.TCP{Retransmits: 9} }), false, []result.NoteCode{result.NoteLossy}, "packets get lost on the way: from client to database segments had to be sent again 9 times", nil},
		{"lost one segment", base(func(p *result.Path) { p.Initiator.TCP = &result.TCP{Retransmits: 1} }), false, nil, "", nil},
		{"the far end lost some segments", base(func(p *result.Path) {
			p.Initiator.TCP, p.Acceptor = &result.TCP{}, &result.Acceptor{TCP: &result.TCP{Retransmits: 8}}
		}), false, []result.NoteCode{result.NoteLossy}, "from database to client segments had to be sent again 8 times", nil},
		{"one connection", base(func(p *result.Path) { p.Initiator.Relay = &result.Relay{Acknowledged: 65001, Arrived: 65000} }), false, nil, "", nil},
		{"two connections", base(func(p *result.Path) { p.Initiator.Relay = &result.Relay{Acknowledged: 200001, Arrived: 65000} }), false, []result.NoteCode{result.NoteRelayed}, "confirmed 200001 bytes when only 65000", nil},
		{"slow", base(func(p *result.Path) {
			p.Initiator.RTTMS, p.Initiator.Received = new(30.0), &result.Transfer{Outcome: result.TransferIntact, Want: 262144, ElapMS: 4000}
		}), false, []result.NoteCode{result.NoteSlow}, "only 524 kbit/s back", nil},
		{"far away", base(func(p *result.Path) {
			p.Initiator.RTTMS, p.Initiator.Received = new(600.0), &result.Transfer{Outcome: result.TransferIntact, Want: 262144, ElapMS: 4000}
		}), false, nil, "", nil},
		{"from 20", base(func(p *result.Path) { p.SourcePort = 20 }), false, nil, "", nil},
		{"from a shifted 20", base(func(p *result.Path) { p.SourcePort = 10020 }), false, []result.NoteCode{result.NoteNotFrom20}, "10020", nil},
		{"20 could not be had", base(func(p *result.Path) { p.SourcePort, p.Initiator.SourceError = 20, "permission denied" }), false, []result.NoteCode{result.NoteNotFrom20}, "permission denied", nil},
		{"port assumed", base(func(*result.Path) {}), true, []result.NoteCode{result.NoteAssumedPort}, "--port sql-client=N", nil},
		{"no half at all", base(func(p *result.Path) { p.Initiator, p.Acceptor = nil, nil }), false, nil, "", nil},
		{"other family left out", base(func(*result.Path) {}), false, []result.NoteCode{result.NoteOneFamily}, "2001:db8::5", []netip.Addr{netip.MustParseAddr("2001:db8::5")}},
	} {
		notes := notesOf(c.p, c.assumed, c.leftOut...)
		var codes []result.NoteCode
		text := ""
		for _, n := range notes {
			codes = append(codes, n.Code)
			text += n.Text
		}
		if !slices.Equal(codes, c.want) || !strings.Contains(text, c.says) || strings.Contains(text, "%!") {
			t.Errorf("%s: got %v", c.name, notes)
		}
		if notes == nil {
			t.Errorf("%s: nil, which is null in JSON", c.name)
		}
	}
}

// Only where the other end was to dial, and nobody knows whether it did, does that end
// have to be asked.
func TestWhoeverDialedIsNotAskedWhetherItDid(t *testing.T) {
	const whether = "Only the other end knows whether it dialed"
	cut := func(attempts int) result.Initiator {
		return result.Initiator{Attempts: attempts, NotTried: "nothing gets through since 12:34:36.178 UTC", Source: source, Target: target}
	}
	for _, c := range []struct {
		direction plan.Direction
		i         result.Initiator
		asked     bool
	}{
		{plan.Forward, cut(2), false}, {plan.Forward, cut(0), false}, {plan.Reverse, cut(2), false}, {plan.Reverse, cut(0), true},
	} {
		for _, saw := range []result.Sighting{result.SawUnknown, result.SawNothing} {
			p := pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: &c.i, Acceptor: acceptor(result.PortBound, saw)})
			p.Direction = c.direction
			f := explain(p, Context{Mode: result.ModePaths})
			if f == nil || strings.Contains(f.Advice, whether) != c.asked || strings.Contains(f.Text, "this end") != c.asked && strings.Contains(f.Text, "This end") != c.asked {
				t.Errorf("%s, %d attempts, %s: %+v", c.direction, c.i.Attempts, saw, f)
			}
		}
	}
}

// The port that sets a ban off is named where it is judged; those of other rows are not
// said to.
func TestWhoeverTouchesTheBannersPortIsBanned(t *testing.T) {
	for port, want := range map[int]bool{1344: true, 1433: false} {
		i := banned(failed(result.ConnectTimeout))
		p := pathOf(question{Transport: plan.TCP, Port: port, Initiator: &i, Acceptor: acceptor(result.PortBound, result.SawNothing)})
		if f := explain(p, Context{Mode: result.ModePaths}); p.Verdict != result.Filtered || strings.Contains(f.Text, "Whoever touches this port is banned") != want {
			t.Errorf("%d: %s, %+v", port, p.Verdict, f)
		}
	}
}

// A NAT's address that nobody named is asked about before anything is asked for.
func TestAnAssumedAddressIsMadeSureOfFirst(t *testing.T) {
	for _, assumed := range []bool{true, false} {
		i := failed(result.ConnectRST)
		p := pathOf(question{Transport: plan.TCP, Port: 7968, Initiator: &i, Acceptor: acceptor(result.PortBound, result.SawNothing)})
		p.Direction, p.OthersOrigin, p.AddressAssumed = plan.Reverse, result.ParseAddr("10.2.0.10"), assumed
		f := explain(p, Context{Mode: result.ModePaths})
		if want := "First make sure that partners dial " + p.Target.Addr().String() + ": it is where the connections of 10.2.0.10 come from."; f.Code != "nat-no-forward" || strings.Contains(f.Advice, want) != assumed {
			t.Errorf("assumed %v: %+v", assumed, f)
		}
	}
}

func TestATemporaryAddressIsNoAddressForARule(t *testing.T) {
	own := result.EndpointFrom(netip.MustParseAddrPort("[2001:db8:1:0:72f4:31e3:726f:4f45]:36850"))
	for temporary, want := range map[bool]string{
		true:  "TCP from 2001:db8:1::/64 (client; its own address is a temporary one and another tomorrow, RFC 8981) to 10.2.0.5 (database) port 1433",
		false: "TCP from 2001:db8:1:0:72f4:31e3:726f:4f45 (client) to 10.2.0.5 (database) port 1433",
	} {
		i := failed(result.ConnectTimeout)
		p := pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: &i, Acceptor: acceptor(result.PortBound, result.SawNothing)})
		p.Source, p.SourceTemporary = own, temporary
		if f := explain(p, Context{Mode: result.ModePaths}); !strings.Contains(f.Advice, want) {
			t.Errorf("%v: %s", temporary, f.Advice)
		}
	}
}
