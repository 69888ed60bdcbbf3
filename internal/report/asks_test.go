package report

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"dialtone/internal/dialect"
	"dialtone/internal/plan"
	"dialtone/internal/request"
	"dialtone/internal/result"
)

var asker = request.Asker{Name: "ILLiad", Institution: "Example University Library", Contact: "Ann Lee, ils@example.edu"}

// betweenServers is a report of two institutions, each behind a NAT, neither of which
// lets the other in.
func betweenServers() *result.Report {
	r := base()
	r.From = result.End{Role: "server", Host: "illiad.example.edu", Addresses: result.ParseAddrs("10.1.0.10")}
	r.To = result.End{Role: "peer", Host: "ill.sample.edu", Addresses: result.ParseAddrs("203.0.113.2")}
	out := broken(path("odyssey-out", "Odyssey", 7968, "10.1.0.10:51612", "203.0.113.2:7968"), result.Refused,
		"RST came back from 203.0.113.2, the address of a NAT in front of 10.3.0.10.", "Please forward to 10.3.0.10 what comes to 203.0.113.2: TCP port 7968.")
	out.From, out.To, out.Finding.Code, out.OthersSeenAs, out.OthersOrigin = "server", "peer", result.CodeNATNoForward, result.ParseAddr("198.51.100.2"), result.ParseAddr("10.3.0.10")
	iso := broken(path("iso-out", "ISO ILL", 1611, "10.1.0.10:51613", "203.0.113.2:1611"), result.Filtered, "Nothing arrived.", "Please allow it.")
	iso.From, iso.To, iso.OthersSeenAs, iso.OthersOrigin = "server", "peer", result.ParseAddr("198.51.100.2"), result.ParseAddr("10.3.0.10")
	in := broken(path("odyssey-in", "Odyssey", 7968, "10.3.0.10:40000", "198.51.100.2:7968"), result.ReplyLost, "The answer did not come back.", "Please allow the replies.")
	in.Direction, in.From, in.To, in.OthersSeenAs, in.Finding.Code = plan.Reverse, "peer", "server", result.ParseAddr("203.0.113.2"), result.CodeReplyLost
	return with(r, out, iso, in)
}

// onTheServer is a report whose server's own firewall is what drops, and what else
// makes no rule.
func onTheServer() *result.Report {
	p := broken(path("sql-client", "SQL Server (TDS)", 1433, "192.0.2.5:51612", "198.51.100.9:1433"), result.Filtered,
		"The SYN arrived at the network interface of 198.51.100.9, and its TCP stack never got it: that machine's own firewall dropped it.", "On 198.51.100.9, allow inbound TCP.")
	p.Finding.Code, p.IdleS = result.CodeFilteredByHost, 8*3600
	reports := p
	reports.Flow, reports.Service, reports.Why = "sql-reports", "SQL Server (ODBC)", "Report writers read the database."
	hole := broken(path("platform", "ILLiad Web Platform", 443, "192.0.2.5:51614", "198.51.100.9:443"), result.MTUHole,
		"The proof passed, and large packets do not.", "Please let pass the large packets of TCP from 192.0.2.5 (client) to 198.51.100.9 (web) port 443: clamp the TCP MSS to 1360.")
	closed := broken(path("rdp", "Remote Desktop", 3389, "192.0.2.5:51618", "198.51.100.9:3389"), result.Open, "This port must not be reachable.", "Please block it.")
	closed.Finding.Code, closed.Expect = result.CodeShouldBeClosed, plan.ExpectClosed
	local := broken(path("odyssey-client", "Odyssey", 7968, "192.0.2.5:51613", "198.51.100.9:7968"), result.BlockedLocally,
		"This machine rejected it.", "On the machine that dials, allow outbound TCP in its own firewall. No firewall of the network was reached.")
	return with(base(), p, reports, hole, closed, local)
}

// manyClients is three PCs of one subnet that lack the same, and one that lacks
// nothing.
func manyClients() *result.Matrix {
	m := &result.Matrix{Schema: result.MatrixSchema, Summary: result.Summary{Verdicts: map[result.Verdict]int{}}}
	for i, source := range []string{"10.2.8.11:5000", "10.2.9.12:5001", "10.2.11.250:5002", "10.7.0.1:5003"} {
		p := path("sql-client", "SQL Server (TDS)", 1433, source, "198.51.100.9:1433")
		if i < 3 {
			p = broken(p, result.Filtered, "Nothing arrived.", "Please allow it.")
		}
		r := with(base(), p)
		r.From.Host = "pc-" + string(rune('a'+i))
		r.Started = result.TimeOf(t0.Add(time.Duration(i) * time.Hour))
		m.Whole = append(m.Whole, r)
		m.Reports = append(m.Reports, result.ReportSummary{Started: r.Started})
	}
	return m
}

func TestRequestsLookAsBefore(t *testing.T) {
	subnets, err := request.ParseSubnets([]string{"22"})
	if err != nil {
		t.Fatal(err)
	}
	local := time.FixedZone("", -5*3600)
	for name, c := range map[string]struct {
		kind func(o Options) ([]byte, error)
		o    Options
	}{
		"requests-words":      {of(mixedBag()), Options{Ask: request.Options{Asker: asker, Local: local, Until: "2026-04-30"}}},
		"requests-nat-nft":    {of(betweenServers()), Options{Dialect: "nft", Ask: request.Options{Asker: asker}}},
		"requests-nat-azure":  {of(betweenServers()), Options{Dialect: "azure"}},
		"requests-windows":    {of(onTheServer()), Options{Dialect: "windows"}},
		"requests-aws":        {of(onTheServer()), Options{Dialect: "aws"}},
		"requests-matrix-asa": {func(o Options) ([]byte, error) { return renderMatrixRequests(manyClients(), o) }, Options{Dialect: "asa", Ask: request.Options{Subnets: subnets}}},
		"requests-none":       {of(allOpen()), Options{}},
		"requests-own":        {of(noContact()), Options{}},
		"requests-cut-short":  {of(interrupted()), Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.kind(c.o)
			if err != nil {
				t.Fatal(err)
			}
			isGolden(t, name+".golden", string(got))
			for line := range strings.Lines(string(got)) {
				if len(line) > 81 && !strings.HasPrefix(line, "    ") {
					t.Errorf("%d columns: %s", len(line)-1, line)
				}
			}
		})
	}
}

func of(r *result.Report) func(Options) ([]byte, error) {
	return func(o Options) ([]byte, error) { return renderRequests(r, o) }
}

// Whatever stands in a report or a site file, it is no line of a rule, and does
// nothing on a terminal.
func TestRulesHaveNothingOfWhatOthersSaid(t *testing.T) {
	const evil = "x'; rm -rf / #\n    nft flush ruleset\x1b[2J`$(reboot)`"
	r := betweenServers()
	for i := range r.Paths {
		p := &r.Paths[i]
		p.Flow, p.Service, p.Why, p.Host, p.From, p.To = evil, evil, evil, evil, evil, evil
		p.Finding.Text, p.Finding.Advice = evil, evil
	}
	r.From.Host, r.To.Host, r.Plan = evil, evil, evil
	for _, d := range dialect.Dialects {
		var clean, got bytes.Buffer
		for b, r := range map[*bytes.Buffer]*result.Report{&clean: betweenServers(), &got: r} {
			o := Options{Dialect: d.Name, Ask: request.Options{Asker: request.Asker{Name: evil, Institution: evil, Contact: evil}}}
			if err := Paths.Write(b, Requests, r, o); err != nil {
				t.Fatal(err)
			}
		}
		if strings.ContainsAny(got.String(), "\x1b\r") {
			t.Errorf("%s: a control character came through", d.Name)
		}
		if a, b := pasted(clean.String()), pasted(got.String()); a != b || a == "" {
			t.Errorf("%s: the rules changed:\n%s\nwere\n%s", d.Name, b, a)
		}
	}
}

// pasted are the lines of a rule, and to take it away.
func pasted(text string) string {
	var out []string
	in := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "  Rule (") || strings.HasPrefix(line, "  To take it"):
			in = true
		case strings.HasPrefix(line, "    ") && in:
			out = append(out, line)
		default:
			in = false
		}
	}
	return strings.Join(out, "")
}

func TestRequestsAreAFormatOfReportsAndMatrices(t *testing.T) {
	for _, name := range []string{"x.requests", "X.REQUESTS", "for-the-campus.requests.txt"} {
		f, err := Paths.ForFile(name)
		m, merr := Matrix.ForFile(name)
		if f != Requests || m != Requests || err != nil || merr != nil {
			t.Errorf("%s: %s, %v, %s, %v", name, f, err, m, merr)
		}
	}
	if f, err := Paths.ForFile("requests.txt"); f != Text || err != nil {
		t.Error(f, err)
	}
	if _, err := Address.ForFile("x.requests"); err == nil {
		t.Error("an address report has no requests")
	}
	if _, err := renderRequests(allOpen(), Options{Dialect: "pf"}); err == nil {
		t.Error("a dialect that is none")
	}
}

// The page shows a request as it is written, and one rule in every dialect.
func TestRequestsPageShowsEachDialect(t *testing.T) {
	const file = "../../docs/requests.md"
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const made = "<!-- from here on made by go test ./internal/report -run TestRequestsPageShowsEachDialect -update -->\n"
	head, _, ok := strings.Cut(string(doc), made)
	if !ok {
		t.Fatalf("%s has no place for the examples", file)
	}
	r := base()
	r.From, r.To = result.End{Role: "client", Host: "ws-114", Addresses: result.ParseAddrs("10.1.0.10")}, result.End{Role: "server,web,database", Host: "illiad.example.edu", Addresses: result.ParseAddrs("10.2.0.10")}
	p := broken(path("sql-client", "SQL Server (TDS)", 1433, "10.1.0.10:32945", "10.2.0.10:1433"), result.Filtered,
		"No answer came, and the listener, which watched all the time, saw nothing arrive on port 1433. It gets as far as 198.51.100.6 (hop 3).", "Please allow it.")
	p.To, p.Why, p.IdleS = "database", "Every ILLiad Client works directly on the database and keeps this connection open for hours.", 8*3600
	local := time.FixedZone("", -5*3600)
	example, err := renderRequests(with(r, p), Options{Dialect: "asa", Ask: request.Options{Asker: request.Asker{Institution: asker.Institution, Contact: asker.Contact}, Local: local}})
	if err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	page.WriteString(head + made + "\n## An example\n\n```\n" + string(example) + "```\n\n## That rule in every dialect\n")
	for _, d := range dialect.Dialects {
		page.WriteString("\n### " + d.Name + ": " + d.Title + "\n\n" + d.Paste + "\n\n```\n")
		for _, task := range request.Of(request.Options{}, r).Requests[0].Tasks() {
			lines, err := d.Render(task.Rule)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range lines {
				page.WriteString(strings.Join(l.Add, "\n") + "\n```\n")
				if d.Name != dialect.Text {
					page.WriteString("\nTo take it away again:\n\n```\n" + strings.Join(l.Remove, "\n") + "\n```\n")
				}
			}
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if page.String() != string(doc) {
		t.Errorf("%s is not what is written (make it with -update, and see git diff)", file)
	}
}
