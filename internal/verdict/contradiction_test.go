package verdict

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A claim is what a finding says in so many words, and what of the evidence has
// to bear it. Words that no claim knows are free; a finding that uses these
// without the evidence denies it.
type claim struct {
	words string      // in text or advice
	code  result.Code // or: the finding's code
	bears func(result.Path) bool
}

func saw(s result.Sighting) func(result.Path) bool {
	return func(p result.Path) bool { return p.Acceptor != nil && p.Acceptor.Saw == s }
}

func port(s result.PortState) func(result.Path) bool {
	return func(p result.Path) bool { return p.Acceptor != nil && p.Acceptor.Port == s }
}

func not(f func(result.Path) bool) func(result.Path) bool {
	return func(p result.Path) bool { return !f(p) }
}

func lacking(p result.Path) bool { return p.Initiator != nil && p.Initiator.Lacks != "" }

func droppedBy(d ...result.Drop) func(result.Path) bool {
	return func(p result.Path) bool { return p.Acceptor != nil && slices.Contains(d, p.Acceptor.Dropped) }
}

// claims hold for the finding of every path.
var claims = []claim{
	{code: result.CodeNothingListens, bears: port(result.PortUnbound)},
	{code: "filtered", bears: saw(result.SawNothing)},
	{code: "filtered-by-host", bears: saw(result.SawNothing)},
	{words: "saw nothing arrive", bears: saw(result.SawNothing)},
	{words: "never saw", bears: saw(result.SawNothing)},
	{words: "Something else accepted it", bears: saw(result.SawNothing)},
	{words: "nothing of it reached", bears: saw(result.SawNothing)},
	{words: "Nobody accepted it", bears: saw(result.SawHalfOpen)},
	{words: "saw it only half-open", bears: saw(result.SawHalfOpen)},
	{words: "The listener accepted it", bears: saw(result.SawAccepted)},
	{words: "although the listener holds", bears: port(result.PortBound)},
	{words: "does not hold", bears: not(port(result.PortBound))},
	{words: "is held by", bears: port(result.PortBusy)},
	{words: "no contact", bears: func(p result.Path) bool { return p.Acceptor == nil }},
	{words: "nobody to ask", bears: func(p result.Path) bool { return p.Acceptor == nil || p.Acceptor.Port == result.PortUnknown }},
	// What its own system answered, that machine's firewall did not turn away.
	{code: "refused-by-host", bears: func(p result.Path) bool { return !saw(result.SawHalfOpen)(p) && !saw(result.SawAccepted)(p) }},
	{words: "own firewall dropped it", bears: droppedBy("", result.DropFirewall)},
	{words: "reverse path", bears: droppedBy(result.DropReversePath)},
	{code: "reverse-path", bears: droppedBy(result.DropReversePath)},
	{code: "conntrack-full", bears: droppedBy(result.DropConntrack)},
	{code: "listener-busy", bears: droppedBy(result.DropQueue)},
	{code: "listener-paused", bears: droppedBy(result.DropListener)},
	// Who is not at fault is asked for nothing.
	{words: "Please ", bears: not(lacking)},
	{words: "Please ", bears: func(p result.Path) bool {
		return p.Verdict == result.Stalled && saw(result.SawNothing)(p) || p.Expect == plan.ExpectClosed || !droppedBy(result.DropReversePath, result.DropConntrack, result.DropQueue, result.DropListener)(p)
	}},
	{code: "no-local-port", bears: lacking},
	{code: "closed-or-off", bears: func(p result.Path) bool { return p.Expect == plan.ExpectClosed && p.Verdict.Row().Closed }},
	{code: "should-be-closed", bears: func(p result.Path) bool { return !p.Verdict.Row().Closed || p.Initiator.Repeat() != nil }},
	// A machine is no hop on the way to itself, and there is no hop 0.
	{words: target.Addr().String() + " (hop", bears: func(result.Path) bool { return false }},
	{words: "hop 0", bears: func(result.Path) bool { return false }},
	// A NAT that is told to allow does not know where to.
	{words: "Please allow TCP", bears: func(p result.Path) bool { return !p.OthersOrigin.IsValid() }},
	{words: "NAT", bears: func(p result.Path) bool {
		return p.OthersOrigin.IsValid() || p.Stop != nil || p.Initiator.ICMP != nil || p.Verdict == result.Intercepted || p.SeenAs != p.Source
	}},
}

func holdTo(t *testing.T, p result.Path) {
	t.Helper()
	f := p.Finding
	if f == nil {
		return
	}
	for _, c := range claims {
		said := c.code != "" && f.Code == c.code || c.words != "" && strings.Contains(f.Text+"\n"+f.Advice, c.words)
		if said && !c.bears(p) {
			t.Fatalf("the evidence does not bear %q of the finding %+v\ninitiator %+v\nacceptor %+v\nstop %+v, NAT to %q", c.words+string(c.code), *f, p.Initiator, p.Acceptor, p.Stop, p.OthersOrigin)
		}
	}
	if f.IsOwn() && strings.HasPrefix(f.Advice, "Please ") {
		t.Fatalf("what the two ends have to mend is asked of others: %+v", *f)
	}
	if s := p.Stop; p.Verdict == result.Refused && s != nil && s.ByHop > 0 && s.LastHop == 0 && strings.Contains(f.Text, "TTL") && !strings.Contains(f.Text, "the machine that dials") {
		t.Fatalf("a RST before the first hop may be this machine's own, and %q does not say so", f.Text)
	}
}

// evidence returns paths of every kind: each combination of what both ends saw,
// and what a trace and a NAT add to it.
func evidence() []result.Path {
	var out []result.Path
	var cases []question
	everyCase(func(c question) {
		if c.Instance == here && !isLikeOthers(c) && (c.Initiator.Sent == nil) == (c.Initiator.Received == nil) {
			cases = append(cases, c)
		}
	})
	for _, m := range []result.ICMP{
		{Type: 3, Code: 3, From: target.Addr()}, {Type: 3, Code: 1, From: target.Addr()}, {Type: 3, Code: 13, From: target.Addr()}, {Type: 3, Code: 1, From: router},
	} {
		for _, a := range acceptors {
			for _, transport := range []plan.Transport{plan.TCP, plan.UDP} {
				cases = append(cases, question{Transport: transport, Port: 1433, Initiator: new(rejectedBy(m)), Acceptor: a, Instance: here})
			}
		}
	}
	for _, l := range []result.Lack{result.LackPort, result.LackDescriptor} {
		i := failed(result.ConnectFailed)
		i.Lacks = l
		cases = append(cases, question{Transport: plan.TCP, Port: 1433, Initiator: &i, Instance: here})
	}
	for _, d := range []result.Drop{result.DropFirewall, result.DropReversePath, result.DropConntrack, result.DropQueue, result.DropListener} {
		for _, s := range []result.Sighting{result.SawNothing, result.SawHalfOpen, result.SawUnknown, result.SawAccepted} {
			if d != result.DropListener && s != result.SawNothing && s != result.SawHalfOpen {
				continue
			}
			for _, i := range []result.Initiator{failed(result.ConnectTimeout), connected(result.AnswerSilent)} {
				a := acceptor(result.PortBound, s)
				a.Dropped, a.Detail = d, "the words of that end"
				if d == result.DropReversePath {
					a.Detail = "its reverse path filter dropped it"
				}
				cases = append(cases, question{Transport: plan.TCP, Port: 1433, Initiator: &i, Acceptor: a, Instance: here})
			}
		}
	}
	stops := []*result.Stop{nil, {NextHop: 1}, {NextHop: 1, ByHop: 1}, {ByHop: 1, ByHost: true, NextHop: 1}, {LastHop: 2, Last: router, NextHop: 3, ByHop: 3},
		{LastHop: 2, Last: target.Addr(), NextHop: 3, Next: target.Addr(), ByHop: 3}, {LastHop: 2, Last: router, NextHop: 3, OpenHop: 3}, {NextHop: 1, OpenHop: 1, Relayed: true}, {Relayed: true}}
	for n, c := range cases {
		p := pathOf(c)
		for m, origin := range []string{"", "192.168.7.7"} {
			p.OthersOrigin, p.Stop = result.ParseAddr(origin), stops[(n+3*m)%len(stops)]
			for _, expect := range []plan.Expect{plan.ExpectOpen, plan.ExpectClosed} {
				c.Expect = expect
				r := judge(c)
				p.Expect, p.Verdict, p.Proof, p.OK = expect, r.Verdict, r.Proof, r.OK
				p.Finding = explain(p, Context{Mode: result.ModePaths})
				out = append(out, p)
			}
		}
	}
	return out
}

func TestNoFindingDeniesItsOwnEvidence(t *testing.T) {
	paths := evidence()
	said := map[result.Code]bool{}
	for _, p := range paths {
		holdTo(t, p)
		if p.Finding != nil {
			said[p.Finding.Code] = true
			wellFormed(t, p, p.Finding.Text)
			wellFormed(t, p, p.Finding.Advice)
		}
	}
	// A claim whose finding never comes up holds nothing.
	for _, c := range claims {
		if c.code != "" && !said[c.code] {
			t.Errorf("no path has the finding %s", c.code)
		}
	}
}

// runClaims hold for the findings of a run, against every row of it.
var runClaims = []struct {
	words string
	code  result.Code
	bears func([]result.Path) bool
}{
	{words: "Nothing at", bears: noneProved},
	{words: "neither got through", bears: noneProved},
	{code: "no-contact", bears: noneProved},
	{code: "no-contact", bears: func(ps []result.Path) bool { return !slices.ContainsFunc(ps, lacking) }},
	{code: "contact-lost", bears: func(ps []result.Path) bool { return !slices.ContainsFunc(ps, lacking) }},
	{words: "proved the key over UDP, and over TCP it did not", bears: func(ps []result.Path) bool {
		return !noneProved(ps) && !slices.ContainsFunc(provedPaths(ps), func(p result.Path) bool { return p.Transport == plan.TCP })
	}},
	{words: "Every port of", bears: func(ps []result.Path) bool {
		return !slices.ContainsFunc(ps, func(p result.Path) bool { return p.Initiator.Attempts > 0 && !isRefusal(p) })
	}},
	{words: "every path to it is blocked", bears: func(ps []result.Path) bool {
		return !slices.ContainsFunc(ps, func(p result.Path) bool {
			return p.Verdict == result.Open || p.Transport == plan.TCP && p.Initiator.Connect == result.ConnectOpen
		})
	}},
	{words: "has no local port left", bears: func(ps []result.Path) bool { return slices.ContainsFunc(ps, lacking) }},
}

func noneProved(ps []result.Path) bool {
	return !slices.ContainsFunc(ps, func(p result.Path) bool {
		return p.Initiator.Answer == result.AnswerKeyed || p.Initiator.Repeated != nil
	})
}

func TestNoFindingOfARunDeniesItsRows(t *testing.T) {
	// One of each kind of row, so that a few rows drawn at random meet each other often.
	kinds := map[string]result.Path{}
	for _, p := range evidence() {
		code := result.Code("")
		if p.Finding != nil {
			code = p.Finding.Code
		}
		kinds[fmt.Sprint(p.Transport, p.Verdict, p.Proof, code, p.Acceptor == nil)] = p
	}
	var pool []result.Path
	for _, k := range slices.Sorted(func(yield func(string) bool) {
		for k := range kinds {
			if !yield(k) {
				return
			}
		}
	}) {
		pool = append(pool, kinds[k])
	}
	draw := rand.New(rand.NewPCG(10, 4))
	said := map[result.Code]bool{}
	for range 200_000 {
		r := &result.Report{Plan: "illiad", To: result.End{Host: "illiad.example.edu"}}
		for range 1 + draw.IntN(4) {
			p := pool[draw.IntN(len(pool))]
			if draw.IntN(8) == 0 { // as a retry or a second connection leaves it
				i := *p.Initiator
				i.Repeated = &result.Repeated{Tried: 3, Proved: 1, Instance: here, Origin: target}
				p.Initiator = &i
			}
			r.Paths = append(r.Paths, p)
		}
		f := Facts{}
		switch draw.IntN(4) {
		case 0:
			r.Contact = &result.Contact{Plan: "illiad"}
		case 1:
			f.ContactLost = "i/o timeout"
			r.Contact = &result.Contact{Plan: "illiad"}
		case 2:
			f.Waited = 30e9
		}
		Conclude(r, f)
		for _, found := range r.Findings {
			said[found.Code] = true
			for _, c := range runClaims {
				is := c.code != "" && c.code == found.Code || c.words != "" && strings.Contains(found.Text+"\n"+found.Advice, c.words)
				if is && !c.bears(r.Paths) {
					var rows []string
					for _, p := range r.Paths {
						rows = append(rows, fmt.Sprintf("%s %s (%s, %s), repeated %v", p.Transport, p.Verdict, p.Proof, p.Initiator.Connect, p.Initiator.Repeated))
					}
					t.Fatalf("%+v denies the rows\n%s", found, strings.Join(rows, "\n"))
				}
			}
		}
	}
	for _, code := range []result.Code{"no-contact", "contact-lost", "proved-over-udp-only", "no-local-port", "no-descriptor"} {
		if !said[code] {
			t.Errorf("no run has the finding %s", code)
		}
	}
}

// Findings that name a device, and who else it may have been.
func TestSuspectsAreListedUntilTheEvidenceExcludesThem(t *testing.T) {
	at := func(s string) netip.Addr { return netip.MustParseAddr(s) }
	bound := acceptor(result.PortBound, result.SawNothing)
	for _, c := range []struct {
		name   string
		i      result.Initiator
		a      *result.Acceptor
		udp    bool
		stop   *result.Stop
		origin string // where a NAT leads the other paths
		code   result.Code
		says   []string
		never  []string
	}{
		{"RST before any device", failed(result.ConnectRST), bound, false, &result.Stop{NextHop: 1, ByHop: 1}, "",
			"refused-on-the-way", []string{"security software of the machine that dials"}, []string{"hop 0"}},
		{"RST from behind the NAT", failed(result.ConnectRST), bound, false, &result.Stop{LastHop: 3, NATHop: 3, NextHop: 4, ByHop: 4}, "10.3.0.10",
			"nat-leads-elsewhere", []string{"forwards port 1433 to another machine", "a rule that leads it elsewhere"}, []string{"has no rule"}},
		{"RST of the NAT itself, or from nobody knows where", failed(result.ConnectRST), bound, false, nil, "10.3.0.10",
			"nat-no-forward", []string{"or leads it to another machine", "or one that leads elsewhere", "forward to 10.3.0.10"}, nil},
		{"host unreachable about itself, behind a NAT", rejectedBy(result.ICMP{Type: 3, Code: 1, From: target.Addr()}), bound, false, nil, "10.3.0.10",
			"nat-leads-nowhere", []string{"a NAT's, in front of 10.3.0.10"}, []string{"own firewall"}},
		{"host unreachable about itself, nobody to ask", rejectedBy(result.ICMP{Type: 3, Code: 1, From: target.Addr()}), nil, false, nil, "",
			"rejected", []string{"a NAT's or a router's", "own firewall"}, nil},
		{"host unreachable about itself, and it is no NAT", rejectedBy(result.ICMP{Type: 3, Code: 1, From: target.Addr()}), bound, false, nil, "",
			"rejected-by-host", []string{"although the listener holds port 1433", "own firewall"}, []string{"NAT"}},
		{"UDP port unreachable, and the listener has it", rejectedBy(result.ICMP{Type: 3, Code: 3, From: target.Addr()}), bound, true, nil, "",
			"rejected-by-host", []string{"although the listener holds port 1433", "own firewall"}, []string{"nothing listens"}},
		{"UDP port unreachable, nobody to ask", rejectedBy(result.ICMP{Type: 3, Code: 3, From: target.Addr()}), nil, true, nil, "",
			"rejected-or-nothing-listens", []string{"nothing listens there, or a firewall"}, nil},
		{"UDP port unreachable, and the listener does not have it", rejectedBy(result.ICMP{Type: 3, Code: 3, From: target.Addr()}), acceptor(result.PortUnbound, result.SawUnknown), true, nil, "",
			"nothing-listens", []string{"Start listen"}, []string{"firewall"}},
		{"RST, and half-open there", failed(result.ConnectRST), acceptor(result.PortBound, result.SawHalfOpen), false, &result.Stop{LastHop: 3, Last: router, NextHop: 4, ByHop: 4, ByHost: true}, "",
			"refused-on-the-way", []string{"the system there answered it"}, []string{"firewall of 10.2.0.5 itself"}},
		{"dropped behind a NAT", failed(result.ConnectTimeout), bound, false, &result.Stop{LastHop: 3, NATHop: 3, NextHop: 4}, "10.3.0.10",
			"filtered", []string{"the NAT at 10.2.0.5 (or a device that it speaks for, at hop 3)", "Please forward to 10.3.0.10 what comes to the NAT at 10.2.0.5"}, []string{"allow TCP", "10.2.0.5 (hop"}},
		{"dropped at the last hop, which may not show itself", failed(result.ConnectTimeout), bound, false, &result.Stop{LastHop: 3, Last: at("198.51.100.6"), NextHop: 4, NextIsTarget: true}, "",
			"filtered", []string{"198.51.100.6 (hop 3) or what comes behind it: the target machine itself, or a device that does not show itself"}, nil},
	} {
		transport := plan.TCP
		if c.udp {
			transport = plan.UDP
		}
		p := pathOf(question{Transport: transport, Port: 1433, Initiator: &c.i, Acceptor: c.a, Instance: here})
		p.Stop, p.OthersOrigin = c.stop, result.ParseAddr(c.origin)
		f := explain(p, Context{Mode: result.ModePaths})
		if f == nil || f.Code != c.code {
			t.Errorf("%s: got %+v, want %s", c.name, f, c.code)
			continue
		}
		all := f.Text + " " + f.Advice
		for _, w := range c.says {
			if !strings.Contains(all, w) {
				t.Errorf("%s: %q does not say %q", c.name, all, w)
			}
		}
		for _, w := range c.never {
			if strings.Contains(all, w) {
				t.Errorf("%s: %q says %q", c.name, all, w)
			}
		}
	}
}

// Whoever runs dial has to look at the own machine.
func TestWhatThisMachineLacksIsNobodysFault(t *testing.T) {
	for l, want := range map[result.Lack]string{result.LackPort: "ip_local_port_range", result.LackDescriptor: "ulimit -n"} {
		i := failed(result.ConnectFailed)
		i.Lacks = l
		p := pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: &i, Instance: here})
		if p.Finding = explain(p, Context{Mode: result.ModePaths}); p.Verdict != result.Untested || !strings.Contains(p.Finding.Advice, want) {
			t.Errorf("%s: %s, %+v", l, p.Verdict, p.Finding)
		}
		silent := pathOf(question{Transport: plan.TCP, Port: 443, Initiator: new(failed(result.ConnectTimeout))})
		r := &result.Report{Paths: []result.Path{p, silent}}
		Conclude(r, Facts{ContactLost: "address already in use", Lacks: l})
		if len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Advice, want) {
			t.Errorf("%s: %+v", l, r.Findings)
		}
	}
}
