package report

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// dropped is a path that is filtered, with words as package verdict writes them.
func dropped(flow, service string, port, source int) result.Path {
	p := broken(path(flow, service, port, "", ""), result.Filtered,
		"No answer came, and the listener saw nothing arrive on port "+strconv.Itoa(port)+". It was tried "+strconv.Itoa(source%7)+" times.",
		"Please allow TCP from 192.0.2.5 (client) to 198.51.100.9 (server) port "+strconv.Itoa(port)+", for "+service+". It is dropped by 198.51.100.1 (hop 3). Why it is needed: For "+flow+".")
	p.Source, p.Target = ap("192.0.2.5:"+strconv.Itoa(source)), ap("198.51.100.9:"+strconv.Itoa(port))
	p.Why = "For " + flow + "."
	return p
}

func TestStepsThatAskTheSameForOtherPortsAreAlike(t *testing.T) {
	r := with(base(),
		dropped("a", "Web pages", 443, 50001),
		dropped("b", "Odyssey", 7968, 50002),
		broken(path("c", "Mail", 25, "192.0.2.5:50003", "198.51.100.9:25"), result.Rejected, "198.51.100.1 says no.", "Please allow TCP from 192.0.2.5 (client) to 198.51.100.9 (server) port 25, for Mail. The device 198.51.100.1 rejects it."),
		uncounted(dropped("d", "LDAP", 389, 50004), plan.Optional),
		dropped("e", "Platform", 443, 50001), // the tuple of a
	)
	var got []string
	for _, g := range alike(steps(r)) {
		var ports []string
		for _, s := range g {
			ports = append(ports, strings.Join(labels(r, s.paths, false), "+"))
		}
		got = append(got, stepTitles[g[0].kind]+": "+strings.Join(ports, ", "))
	}
	want := []string{"What to ask for: a+e, b", "What to ask for: c", "Only if this site needs these too: d"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestWhyItIsNeededIsSplitFromWhatToAskFor(t *testing.T) {
	p := dropped("a", "Web pages", 443, 50001)
	if got := withoutWhy(&p); strings.Contains(got, "Why") || !strings.HasSuffix(got, "(hop 3).") {
		t.Error(got)
	}
	p.Why = "Something else."
	if got := withoutWhy(&p); got != p.Finding.Advice {
		t.Errorf("words that are not the plan's were taken away: %s", got)
	}
}

// Paths that a NAT translates alike are one remark, whatever ports they had.
func TestNotesThatDifferByPortsAreOne(t *testing.T) {
	noted := func(flow string, port string) result.Path {
		p := path(flow, "S", 443, "192.0.2.5:"+port, "198.51.100.9:443")
		p.Notes = []result.Note{{Code: result.NoteNAT, Text: "the source 192.0.2.5:" + port + " is seen as [2001:db8::1]:" + port + " there"}}
		return p
	}
	r := with(base(), noted("a", "50001"), noted("b", "50002"))
	if got, want := flat(render(t, Text, r, Options{})), "nat (a, b): the source 192.0.2.5 is seen as [2001:db8::1] there"; !strings.Contains(got, want) {
		t.Errorf("%q is not in %s", want, got)
	}
	if got := flat(render(t, Text, r, Options{Verbose: true})); !strings.Contains(got, "192.0.2.5:50001 is seen") || !strings.Contains(got, "192.0.2.5:50002 is seen") {
		t.Errorf("with all evidence the ports are there: %s", got)
	}
	one := with(base(), noted("a", "50001"))
	if got := flat(render(t, Text, one, Options{})); !strings.Contains(got, "192.0.2.5:50001 is seen") {
		t.Errorf("of one path the port is there: %s", got)
	}
}

// The first lines of the page say which requests to send, by the numbers that they
// have below, and none that is not to be sent.
func TestWhatToDoNextNamesTheRequests(t *testing.T) {
	ask := func(flow string, port int, counted bool) result.Path {
		p := dropped(flow, "Service "+flow, port, 50000+port)
		p.Finding.Advice = "Please allow TCP port " + flow + "."
		p.Counted = counted
		return p
	}
	own := broken(path("own", "Own", 25, "192.0.2.5:50025", "198.51.100.9:25"), result.Refused, "Nothing listens.", "Start it.")
	own.Finding.Code = result.CodeNothingListens
	maybe := own
	maybe.Flow, maybe.Counted, maybe.Port, maybe.Target, maybe.Source = "maybe", false, 26, ap("198.51.100.9:26"), ap("192.0.2.5:50026")
	maybe.Finding = &result.Finding{Code: result.CodeRefused, Text: "RST came back.", Advice: "See whether it runs."}
	opposite := ask("opposite", 90, false)
	opposite.Opposite = true
	noContact := []result.Finding{{Code: result.CodeNoContact, Text: "Nobody proved the key.", Advice: "Make sure that listen runs."}}
	for _, c := range []struct {
		name     string
		paths    []result.Path
		findings []result.Finding
		want     []string
	}{
		{"one", []result.Path{ask("a", 80, true)}, nil, []string{"Send request 1 to those whom it says to ask; a button copies it.", "Then run the same test again."}},
		{"two, and one that is not needed", []result.Path{ask("a", 80, true), ask("b", 81, true), ask("c", 82, false)}, nil,
			[]string{"Send requests 1 and 2 to those whom each says to ask; a button copies each. Send 3 only if this site needs it.", "Then run the same test again."}},
		{"many", []result.Path{ask("a", 80, true), ask("b", 81, true), ask("c", 82, true), ask("d", 83, true), ask("e", 84, false), ask("f", 85, false)}, nil,
			[]string{"Send requests 1 to 4 to those whom each says to ask; a button copies each. Send 5 and 6 only if this site needs them.", "Then run the same test again."}},
		{"to be mended first", []result.Path{own, ask("a", 80, true)}, nil,
			[]string{"See to what concerns the two ends: point A below.", "Send request 1 to those whom it says to ask; a button copies it.", "Then run the same test again."}},
		{"nobody proved the key", []result.Path{ask("a", 80, true)}, noContact,
			[]string{"Make sure that listen runs.", "If listen did run there: send request 1 to those whom it says to ask; a button copies it.", "Then run the same test again."}},
		{"what does not count, and nobody is asked", []result.Path{path("ok", "Fine", 443, "192.0.2.5:50443", "198.51.100.9:443"), maybe, opposite}, nil, []string{nothingToAsk}},
	} {
		r := with(base(), c.paths...)
		r.Findings = c.findings
		var got []string
		for _, x := range next(r) {
			got = append(got, x.Text)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.name, got, c.want)
		}
		isSound(t, parsePage(t, render(t, HTML, r, Options{})))
	}
	// What was left out on purpose is tested by no other command.
	r := with(base(), path("ok", "Fine", 443, "192.0.2.5:50443", "198.51.100.9:443"))
	r.OutOfScope = []result.OutOfScope{{Flow: "z", From: "client", To: "server", Why: "not among the rows asked for"}}
	if got := next(r); len(got) != 1 {
		t.Errorf("%q", got)
	}
	r.OutOfScope = append(r.OutOfScope, result.OutOfScope{Flow: "a", From: "client", To: "oclc", TestedBy: plan.ByEgress}, result.OutOfScope{Flow: "b", From: "server", To: "oclc", TestedBy: plan.ByEgress})
	if got := next(r); len(got) != 2 || !strings.HasPrefix(got[1].Text, "2 more rows ") {
		t.Errorf("%q", got)
	}
}

// Of connections of which only some pass, a log is to be searched for those that failed.
func TestTheLogIsOfTheConnectionsThatFailed(t *testing.T) {
	p := dropped("a", "Odyssey", 7968, 41277)
	p.Verdict, p.Finding.Code = result.Unsteady, result.CodeUnsteadyPorts
	at := func(ms int) result.Time { return result.TimeOf(t0.Add(time.Duration(ms) * time.Millisecond)) }
	p.Initiator = &result.Initiator{Connections: []result.Connection{
		{Purpose: result.PurposeProof, At: at(5), Source: ap("192.0.2.5:38010"), Reached: result.ReachedNothing, Ended: result.EndedSilent},
		{Purpose: result.PurposeProof, At: at(900), Source: ap("192.0.2.5:41277"), Reached: result.ReachedDone, Ended: result.EndedWell},
	}}
	r := with(base(), p)
	const failed, passed = "192.0.2.5:38010 -> 198.51.100.9:7968", "192.0.2.5:41277 -> "
	for _, f := range []Format{Text, Requests, HTML} {
		out := string(render(t, f, r, Options{}))
		if f == HTML {
			out = attr(parsePage(t, render(t, HTML, r, Options{})).all("button")[0], "data-copy")
		} else {
			_, out, _ = strings.Cut(out, "Log")
			out, _, _ = strings.Cut(out, "\n\n")
		}
		if out = flat(out); !strings.Contains(out, at(5).UTC().Format("15:04:05.000 UTC")+" tcp "+failed) || strings.Contains(out, passed) {
			t.Errorf("%s: the log is\n%s", f, out)
		}
	}
}
