package request

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/verdict"
)

func ap(s string) result.Endpoint { return result.EndpointFrom(netip.MustParseAddrPort(s)) }

func report(paths ...result.Path) *result.Report {
	return &result.Report{
		Mode: result.ModePaths, Plan: "illiad", Contact: &result.Contact{},
		From: result.End{Role: "client", Host: "ws-114"}, To: result.End{Role: "server,database", Host: "library.example.edu"}, Paths: paths,
	}
}

// blocked is a required path from the client that is not ok, and its finding.
func blocked(flow string, port int, code result.Code) result.Path {
	return result.Path{
		Flow: flow, Service: "SQL Server (TDS)", Port: port, PlanPort: port, Transport: plan.TCP, Direction: plan.Forward, Family: result.IP4,
		From: "client", To: "database", Need: plan.Required, Counted: true, Expect: plan.ExpectOpen, Why: "It is needed.", Verdict: result.Filtered,
		At:     result.TimeOf(time.Date(2026, 3, 17, 21, 51, 41, 3e8, time.UTC)),
		Source: ap("10.1.0.10:51612"), Target: ap("10.2.0.10:1433"), Attempts: 1,
		Initiator: &result.Initiator{Attempts: 1}, Acceptor: &result.Acceptor{Port: result.PortBound, Saw: result.SawNothing},
		Finding: &result.Finding{Code: code, Text: "Seen.", Advice: "Please allow it."},
	}
}

// requested are the codes that lead to a request, written down once more by hand. A
// code that is not among them leads to none.
var requested = map[Change][]result.Code{
	Allow:   {"rejected", "rejected-by-host", "refused-by-host", "refused-on-the-way", "filtered", "filtered-by-host", "silent"},
	Replies: {"reply-lost"},
	Forward: {"nat-no-forward", "nat-leads-elsewhere", "nat-leads-nowhere", "redirected-port", "redirected-host", "redirected-in-turn"},
	Exempt: {"reset", "reset-listener", "reset-half-open", "reset-someone-else", "reset-unknown", "reset-payload", "stalled", "stalled-listener",
		"stalled-half-open", "stalled-someone-else", "stalled-unknown", "stalled-payload", "answers-for-all", "window-scale", "corrupted",
		"intercepted", "proxy-header", "tls-intercepted", "application-firewall", "portal", "proxy-login"},
	Large: {"mtu-hole"},
	Idle:  {"idle-dropped", "session-age"},
	Every: {"unsteady", "unsteady-ports", "unsteady-at-once", "unsteady-in-turn", "unsteady-number", "unsteady-first", "unsteady-banned", "cut-off-later"},
	Route: {"routing-loop"},
	Block: {"should-be-closed"},
}

// Of every code it is decided whether it becomes a request, under every verdict.
func TestWhichFindingsBecomeRequests(t *testing.T) {
	want := map[result.Code]Change{}
	for change, codes := range requested {
		for _, c := range codes {
			want[c] = change
		}
	}
	n := 0
	for _, g := range result.Codes {
		for _, c := range g.Codes {
			for _, v := range result.Verdicts {
				p := blocked("sql-client", 1433, c.Code)
				p.Verdict = v
				l := Of(Options{}, report(p))
				change, asked := want[c.Code]
				if v == result.Untested {
					asked = false
				}
				n++
				switch {
				case asked && (len(l.Requests) != 1 || l.Requests[0].Change != change || len(l.Left) != 0):
					t.Errorf("%s, %s: want a request to %s: %+v", v, c.Code, change, l)
				case !asked && len(l.Requests) != 0:
					t.Errorf("%s, %s: no request, but %s is asked for", v, c.Code, l.Requests[0].Change)
				case !asked && v != result.Untested && (len(l.Left) != 1 || l.Left[0].Code != c.Code):
					t.Errorf("%s, %s: is not among what is left: %+v", v, c.Code, l.Left)
				}
			}
			if c.Own {
				if _, asked := want[c.Code]; asked {
					t.Errorf("%s is the two ends' own, and asked for", c.Code)
				}
			}
			delete(want, c.Code)
		}
	}
	for c := range want {
		t.Errorf("there is no code %s", c)
	}
	t.Logf("%d pairs of verdict and code", n)
}

// What is ok, was tried only for completeness, or was not tested is no request.
func TestWhatIsFineOrUntestedIsNoRequest(t *testing.T) {
	ok, opposite, untested, silent := blocked("a", 1433, "filtered"), blocked("b", 1433, "filtered"), blocked("c", 1433, "filtered"), blocked("d", 1433, "silent")
	ok.OK, opposite.Opposite, untested.Verdict = true, true, result.Untested
	silent.Verdict, silent.Acceptor = result.Silent, nil
	r := report(ok, opposite, untested, silent)
	r.Interrupted = true
	l := Of(Options{}, r)
	if len(l.Requests) != 0 || l.Untested != 1 || !l.Interrupted || len(l.Left) != 1 || l.Left[0].Flows[0] != "d" {
		t.Errorf("%+v", l)
	}
}

// Evidence of one's own mistakes, judged as a run judges it, becomes no request,
// whatever the other half says.
func TestOwnMistakesBecomeNoRequest(t *testing.T) {
	bound := &result.Acceptor{Port: result.PortBound, Saw: result.SawNothing}
	unbound := &result.Acceptor{Port: result.PortUnbound, Saw: result.SawUnknown}
	busy := &result.Acceptor{Port: result.PortBusy, Saw: result.SawUnknown, Holder: &result.Holder{Name: "sqlservr.exe"}}
	nobody := []*result.Acceptor{nil}
	for name, c := range map[string]struct {
		i    result.Initiator
		also []*result.Acceptor
	}{
		"another key":               {result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerWrongKey}, []*result.Acceptor{nil, bound, unbound, busy}},
		"an address not allowed":    {result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerForbidden}, []*result.Acceptor{nil, bound, unbound, busy}},
		"another release":           {result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerVersion}, []*result.Acceptor{nil, bound, unbound, busy}},
		"blocked locally":           {result.Initiator{Connect: result.ConnectDenied, Error: "operation not permitted"}, []*result.Acceptor{nil, bound, unbound, busy}},
		"no route":                  {result.Initiator{Connect: result.ConnectNoRoute, Error: "network is unreachable"}, []*result.Acceptor{nil, bound, unbound, busy}},
		"a name that is not":        {result.Initiator{ResolveError: "no such host", ResolveFault: "not-found"}, nobody},
		"interrupted":               {result.Initiator{NotTried: "interrupted"}, []*result.Acceptor{nil, bound, unbound, busy}},
		"no descriptor":             {result.Initiator{NotTried: "no descriptor", Lacks: result.LackDescriptor}, []*result.Acceptor{nil, bound, unbound, busy}},
		"nothing listens":           {result.Initiator{Connect: result.ConnectRST}, []*result.Acceptor{nil, unbound, busy}},
		"silence of an unheld port": {result.Initiator{Connect: result.ConnectTimeout}, []*result.Acceptor{unbound}},
		"other software, hung up":   {result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerReset}, []*result.Acceptor{nil, busy}},
		"other software, silent":    {result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerSilent}, []*result.Acceptor{nil, busy}},
		"other software, answers":   {result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerForeign, Reply: `"220 ready"`}, []*result.Acceptor{nil, unbound, busy}},
	} {
		for _, a := range c.also {
			for _, transport := range []plan.Transport{plan.TCP, plan.UDP} {
				if name == "other software, silent" && a == nil && transport == plan.UDP {
					continue // nothing opened, so that it is as likely the network
				}
				p := blocked("sql-client", 1433, "")
				i := c.i
				i.Attempts, i.Source, i.Target = 1, p.Source, p.Target
				p.Initiator, p.Acceptor, p.Verdict, p.Finding, p.Transport = &i, a, "", nil, transport
				verdict.Rule(&p, verdict.Context{Mode: result.ModePaths})
				if p.OK || p.Finding == nil {
					t.Fatalf("%s: %s, %+v", name, p.Verdict, p.Finding)
				}
				if l := Of(Options{}, report(p)); len(l.Requests) > 0 {
					t.Errorf("%s over %s, acceptor %+v: %s (%s) is asked for: %s", name, transport, a, p.Verdict, p.Finding.Code, p.Finding.Text)
				}
			}
		}
	}
	// The same evidence where the other end holds the port and saw nothing is the
	// network's.
	p := blocked("sql-client", 1433, "")
	p.Verdict, p.Finding = "", nil
	p.Initiator = &result.Initiator{Connect: result.ConnectTimeout, Attempts: 2, Source: p.Source, Target: p.Target}
	verdict.Rule(&p, verdict.Context{Mode: result.ModePaths})
	if l := Of(Options{}, report(p)); len(l.Requests) != 1 || l.Requests[0].First != "" {
		t.Errorf("%+v", l)
	}
}

// Rows of one 5-tuple are one request, with all that it is for; what is needed comes
// first.
func TestRowsOfOneTupleAreOneRequest(t *testing.T) {
	optional, a, b := blocked("sql-alt-client", 1344, "filtered"), blocked("sql-client", 1433, "filtered"), blocked("sql-reports", 1433, "filtered")
	optional.Counted, optional.Target = false, ap("10.2.0.10:1344")
	b.Service, b.Counted = "SQL Server (ODBC)", false
	l := Of(Options{}, report(optional, a, b))
	if len(l.Requests) != 2 || l.Needed() != 1 {
		t.Fatalf("%+v", l.Requests)
	}
	q := l.Requests[0]
	if q.Number != 1 || !q.Needed || q.Port != 1433 || !slices.Equal(q.Causes[0].Flows, []string{"sql-client", "sql-reports"}) || q.Causes[0].Paths != 2 ||
		!slices.Equal(q.Needs, []Need{{"SQL Server (TDS)", "It is needed."}, {"SQL Server (ODBC)", "It is needed."}}) || len(q.Log) != 1 {
		t.Errorf("%+v", q)
	}
	if l.Requests[1].Needed || l.Requests[1].Port != 1344 {
		t.Errorf("%+v", l.Requests[1])
	}
}

// What many machines need is one request, for all of them or their subnet; another
// change on the same port is another request.
func TestManyMachinesMakeOneRequest(t *testing.T) {
	var reports []*result.Report
	for _, source := range []string{"10.2.8.11:5000", "10.2.9.12:5001", "10.2.11.250:5002"} {
		p := blocked("sql-client", 1433, "filtered")
		p.Source = ap(source)
		reports = append(reports, report(p))
	}
	lost := blocked("sql-client", 1433, "reply-lost")
	lost.Verdict, lost.Source = result.ReplyLost, ap("10.7.0.1:5003")
	reports = append(reports, report(lost))
	for _, c := range []struct {
		subnet []string
		want   string
	}{
		{nil, "10.2.8.11/32 10.2.9.12/32 10.2.11.250/32"},
		{[]string{"22"}, "10.2.8.0/22"},
		{[]string{"/24"}, "10.2.8.0/24 10.2.9.0/24 10.2.11.0/24"},
		{[]string{"10.2.8.0/23"}, "10.2.8.0/23 10.2.11.250/32"},
	} {
		subnets, err := ParseSubnets(c.subnet)
		if err != nil {
			t.Fatal(err)
		}
		l := Of(Options{Subnets: subnets}, reports...)
		if len(l.Requests) != 2 || l.Requests[1].Change != Replies {
			t.Fatalf("%+v", l.Requests)
		}
		q := l.Requests[0]
		if got := words(q.Ours.From); got != c.want || words(q.Theirs.From) != c.want || words(q.Theirs.To) != "10.2.0.10/32" || len(q.Log) != 3 || q.Causes[0].Paths != 3 {
			t.Errorf("--as-subnet %v: %s, %+v", c.subnet, got, q)
		}
	}
}

func words(list []netip.Prefix) string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return strings.Join(out, " ")
}

// Behind a NAT each party's firewall sees another address.
func TestEachSideHasTheAddressesThatItsFirewallSees(t *testing.T) {
	p := blocked("odyssey-out", 7968, "filtered")
	p.From, p.To, p.OthersSeenAs, p.OthersOrigin = "server", "peer", result.ParseAddr("203.0.113.7"), result.ParseAddr("10.3.0.10")
	p.Target = ap("203.0.113.2:7968")
	subnets, err := ParseSubnets([]string{"24"})
	if err != nil {
		t.Fatal(err)
	}
	q := Of(Options{Subnets: subnets}, report(p)).Requests[0]
	if q.Ours.Inbound || words(q.Ours.From) != "10.1.0.0/24" || words(q.Ours.To) != "203.0.113.2/32" || q.Ours.Behind != nil {
		t.Errorf("ours: %+v", q.Ours)
	}
	if !q.Theirs.Inbound || words(q.Theirs.From) != "203.0.113.7/32" || words(q.Theirs.To) != "203.0.113.2/32" || words(q.Theirs.Behind) != "10.3.0.10/32" {
		t.Errorf("theirs: %+v", q.Theirs)
	}
	// The other way round: they open, and we let in.
	p.Direction, p.From, p.To = plan.Reverse, "peer", "server"
	p.Source, p.Target, p.OthersSeenAs, p.OthersOrigin = ap("10.3.0.10:40000"), ap("10.1.0.10:7968"), result.ParseAddr("203.0.113.2"), result.Addr{}
	q = Of(Options{}, report(p)).Requests[0]
	if !q.Ours.Inbound || words(q.Ours.From) != "203.0.113.2/32" || words(q.Ours.To) != "10.1.0.10/32" || q.Theirs.Inbound || words(q.Theirs.From) != "10.3.0.10/32" {
		t.Errorf("%+v", q)
	}
	if q.From.Host != "library.example.edu" || q.To.Host != "ws-114" {
		t.Errorf("%+v", q)
	}
}

// Where silence may be a machine that is off, that comes first.
func TestWhatIsToBeMadeSureOfFirstIsSaid(t *testing.T) {
	p := blocked("sql-client", 1433, "silent")
	p.Verdict, p.Acceptor = result.Silent, nil
	r := report(p)
	r.Contact = nil
	if got := Of(Options{}, r).Requests[0].First; !strings.Contains(got, "that listen ran on library.example.edu (10.2.0.10)") {
		t.Error(got)
	}
	r.Mode = result.ModeEgress
	if got := Of(Options{}, r).Requests[0].First; !strings.Contains(got, "that the service runs there") {
		t.Error(got)
	}
	r.To.Host, r.Paths[0].Host = "", "webservices.oclc.org"
	if q := Of(Options{}, r).Requests[0]; q.Named != "webservices.oclc.org" || q.To.Host != q.Named {
		t.Errorf("%+v", q)
	}
	// Where nobody said which address partners dial, that is to be made sure of.
	in := blocked("odyssey-in", 7968, "nat-no-forward")
	in.Direction, in.From, in.To, in.OthersOrigin, in.AddressAssumed = plan.Reverse, "peer", "server", result.ParseAddr("10.2.0.10"), true
	in.Source, in.Target = ap("10.3.0.10:56698"), ap("198.51.100.77:7968")
	if got := Of(Options{}, report(in)).Requests[0].First; !strings.HasPrefix(got, "See to it that partners dial 198.51.100.77:") {
		t.Error(got)
	}
	p = blocked("sql-client", 1433, "rejected")
	p.Initiator.ICMP = &result.ICMP{Type: 3, Code: 1}
	if got := Of(Options{}, report(p)).Requests[0].First; !strings.Contains(got, "right address") {
		t.Error(got)
	}
	p.Initiator.ICMP.Code = 13
	if got := Of(Options{}, report(p)).Requests[0].First; got != "" {
		t.Error(got)
	}
}

func TestASlipOpensNoHalfOfTheInternet(t *testing.T) {
	for _, v := range []string{"0", "/7", "-1", "129", "0.0.0.0/0", "10.0.0.0/7", "::/0", "2000::/3", "10.2.8.0", "staff", "24,64"} {
		if s, err := ParseSubnets([]string{v}); err == nil || !strings.Contains(err.Error(), v) {
			t.Errorf("%q: %+v, %v", v, s, err)
		}
	}
	s, err := ParseSubnets([]string{"24"})
	if err != nil || s.of(netip.MustParseAddr("2001:db8:1:2:3::4"), false).String() != "2001:db8:1:2::/64" {
		t.Error(s, err)
	}
}

// Every Sighting has its words, and every code's are known.
func TestEverySightingHasWords(t *testing.T) {
	for code, r := range rows {
		if got := wordsOf(r.look); len(got) != len(r.look) {
			t.Errorf("%s: %d sightings, words for %d", code, len(r.look), len(got))
		}
	}
	for s := SawDenied; s <= SawThreat; s++ {
		if w := wordsOf([]Sighting{s}); len(w) != 1 || w[0].Means == "" || w[0].PaloAlto == "" || w[0].ASA == "" {
			t.Errorf("%d: %+v", s, w)
		}
	}
}

// A temporary address opens nothing tomorrow: its network is asked for, unless the
// operator named one; and of a stable address it is that.
func TestATemporaryAddressIsAskedForAsItsNetwork(t *testing.T) {
	for _, c := range []struct {
		temporary bool
		subnet    []string
		from      string
	}{
		{false, nil, "2001:db8:1:0:72f4:31e3:726f:4f45/128"},
		{true, nil, "2001:db8:1::/64"},
		{true, []string{"2001:db8::/32"}, "2001:db8::/32"},
		{true, []string{"56"}, "2001:db8:1::/56"},
	} {
		subnets, err := ParseSubnets(c.subnet)
		if err != nil {
			t.Fatal(err)
		}
		p := blocked("sql-client", 1433, "filtered")
		p.Family, p.Source, p.Target, p.SourceTemporary = result.IP6, ap("[2001:db8:1:0:72f4:31e3:726f:4f45]:36850"), ap("[2001:db8:2::10]:1433"), c.temporary
		q := Of(Options{Subnets: subnets}, report(p)).Requests[0]
		if words(q.Ours.From) != c.from || words(q.Theirs.From) != c.from || words(q.Theirs.To) != "2001:db8:2::10/128" || q.From.Temporary != c.temporary || q.From.IsTranslated() {
			t.Errorf("%+v: %+v", c, q)
		}
		if q.Log[0].Source != p.Source {
			t.Errorf("the log has %s", q.Log[0].Source)
		}
		// The same the other way round: it is the target that changes.
		p.Direction, p.Source, p.Target, p.SourceTemporary, p.TargetTemporary = plan.Reverse, p.Target, p.Source, false, c.temporary
		if q := Of(Options{}, report(p)).Requests[0]; c.subnet == nil && (words(q.Ours.To) != c.from || words(q.Ours.From) != "2001:db8:2::10/128" || q.To.Temporary != c.temporary) {
			t.Errorf("the other way: %+v", q)
		}
	}
	// Where a NAT gives it another, that one is asked for on the far side.
	p := blocked("sql-client", 1433, "filtered")
	p.Family, p.Source, p.Target, p.SourceTemporary, p.OthersSeenAs = result.IP6, ap("[fd00::1:72f4:31e3:726f:4f45]:1"), ap("[2001:db8:2::10]:1433"), true, result.ParseAddr("2001:db8:9::7")
	if q := Of(Options{}, report(p)).Requests[0]; words(q.Ours.From) != "fd00:0:0:1::/64" || words(q.Theirs.From) != "2001:db8:9::7/128" {
		t.Errorf("%+v", q)
	}
}
