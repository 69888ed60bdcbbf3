package report

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A webPage is a page as a browser reads it.
type webPage struct{ root *html.Node }

func parsePage(t *testing.T, out string) webPage {
	t.Helper()
	root, err := html.Parse(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	return webPage{root}
}

// all are the elements of a name, "" for every one, in the order of the page.
func (w webPage) all(name string) []*html.Node {
	var out []*html.Node
	for n := range w.root.Descendants() {
		if n.Type == html.ElementNode && (name == "" || n.Data == name) {
			out = append(out, n)
		}
	}
	return out
}

// classed are the elements that have a class.
func (w webPage) classed(class string) []*html.Node {
	return slices.DeleteFunc(w.all(""), func(n *html.Node) bool { return !slices.Contains(strings.Fields(attr(n, "class")), class) })
}

// byID is the element of an id; nil: there is none.
func (w webPage) byID(id string) *html.Node {
	for _, n := range w.all("") {
		if attr(n, "id") == id {
			return n
		}
	}
	return nil
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// inner is the text of an element as people read it.
func inner(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// isSound checks what every page must have, whatever is on it.
func isSound(t *testing.T, w webPage) {
	t.Helper()
	ids := map[string]bool{}
	level := 0
	for _, n := range w.all("") {
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				t.Errorf("<%s %s=%q>: the page's own policy forbids that", n.Data, a.Key, a.Val)
			}
			if (a.Key == "href" || a.Key == "src") && !strings.HasPrefix(a.Val, "#") && a.Val != "data:," {
				t.Errorf("<%s %s=%q> leads out of the page", n.Data, a.Key, a.Val)
			}
		}
		if id := attr(n, "id"); id != "" {
			if ids[id] {
				t.Errorf("two elements are called %s", id)
			}
			ids[id] = true
		}
		if len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6' {
			if l := int(n.Data[1] - '0'); l > level+1 {
				t.Errorf("<%s> %q follows a heading of level %d", n.Data, inner(n), level)
			}
			level = int(n.Data[1] - '0')
		}
		switch n.Data {
		case "iframe", "object", "embed", "form", "base", "img":
			t.Errorf("a <%s> on the page", n.Data)
		case "section", "article":
			if attr(n, "aria-label")+attr(n, "aria-labelledby") == "" && (n.Data == "section") && n.Parent.Data == "main" {
				t.Errorf("a section without a name: %.60q", inner(n))
			}
		}
	}
	for _, n := range w.all("") {
		for _, key := range []string{"aria-labelledby", "aria-describedby", "href"} {
			if at := strings.TrimPrefix(attr(n, key), "#"); at != "" && at != "data:," && !ids[at] {
				t.Errorf("<%s %s=%q> names nothing on the page", n.Data, key, at)
			}
		}
	}
	for _, name := range []string{"h1", "main", "title", "style", "script", "header", "footer"} {
		if got := len(w.all(name)); got != 1 {
			t.Errorf("%d <%s>", got, name)
		}
	}
	policy := ""
	for _, n := range w.all("meta") {
		if attr(n, "http-equiv") == "Content-Security-Policy" {
			policy = attr(n, "content")
		}
	}
	for _, name := range []string{"style", "script"} {
		sum := sha256.Sum256([]byte(w.all(name)[0].FirstChild.Data))
		if hash := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, name+"-src "+hash) {
			t.Errorf("the policy %q does not name the %s: %s", policy, name, hash)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none'") {
		t.Errorf("the policy is %q", policy)
	}
	if lang := attr(w.all("html")[0], "lang"); lang != "en" {
		t.Errorf("lang=%q", lang)
	}
}

func TestAPageHasTheAnswerAndEveryPath(t *testing.T) {
	for name, c := range map[string]struct {
		report *result.Report
		answer string
		class  string
	}{
		"all open":     {allOpen(), "All 3 required paths work.", "ok"},
		"mixed":        {mixedBag(), "5 of 8 required paths are not as they should be: sql-client (filtered), sql-alt-client (filtered), iso-in (rejected), rdp (open, must be closed), iso-out (reply-lost).", "bad"},
		"no contact":   {noContact(), "1 of 2 required paths does not work: sql-client (silent); 1 is not proved: odyssey-client (answered).", "bad"},
		"interrupted":  {interrupted(), "Interrupted, so this is not the whole picture. 1 of 2 required paths works; 1 was not tested: odyssey-client.", "unknown"},
		"two families": {twoFamilies(), "2 of 6 required paths do not work: sql-client over IPv6 (refused), platform over IPv6 (unreachable).", "bad"},
		"none counts":  {with(base(), uncounted(path("sql", "SQL Server", 1433, "192.0.2.5:51612", "198.51.100.9:1433"), plan.Optional)), "The one path works. None of them counts as required here.", "unknown"},
		"nothing":      {base(), "No path was tested, so nothing is known.", "bad"},
	} {
		t.Run(name, func(t *testing.T) {
			w := parsePage(t, render(t, HTML, c.report, Options{}))
			isSound(t, w)
			if got := inner(w.all("h1")[0]); got != c.answer {
				t.Errorf("the answer is %q", got)
			}
			if got := w.classed("answer"); len(got) != 1 || !strings.HasSuffix(attr(got[0], "class"), c.class) {
				t.Errorf("the answer looks %q", attr(got[0], "class"))
			}
			all := inner(w.root)
			articles, lanes := w.classed("path"), w.classed("lane")
			if len(articles) != len(lanes) {
				t.Errorf("%d stories and %d lines", len(articles), len(lanes))
			}
			for i := range c.report.Paths {
				p := &c.report.Paths[i]
				has := func(n *html.Node) bool {
					return strings.Contains(inner(n), string(p.Verdict)) && strings.Contains(inner(n), port(p)) && strings.Contains(inner(n), p.Flow)
				}
				if !slices.ContainsFunc(articles, has) {
					t.Errorf("%s (%s, %s) has no story", p.Flow, port(p), p.Verdict)
				}
				if f := finding(p); !strings.Contains(all, f.Text) || !strings.Contains(all, f.Advice) {
					t.Errorf("%s: %q or %q is not on the page", p.Flow, f.Text, f.Advice)
				}
			}
			for _, f := range c.report.Findings {
				if !strings.Contains(all, f.Text) || !strings.Contains(all, f.Advice) {
					t.Errorf("%q is not on the page", f.Text)
				}
			}
			if !strings.Contains(all, "not for ILLiad itself") {
				t.Error("it does not say what it does not speak for")
			}
		})
	}
}

// Rows that the network sees as one are one line and one story, with all their names.
func TestRowsOfOneTupleAreOneLineOfThePicture(t *testing.T) {
	row := func(flow, service string, port int, need plan.Need) result.Path {
		p := path(flow, service, port, fmt.Sprintf("192.0.2.5:%d", 50000+port), fmt.Sprintf("198.51.100.9:%d", port))
		p.Need, p.Counted = need, need == plan.Required
		return p
	}
	w := parsePage(t, render(t, HTML, with(base(), row("platform", "Web Platform", 443, plan.Required), row("web-https", "Patron pages", 443, plan.Optional), row("sql", "SQL Server", 1433, plan.Required)), Options{}))
	lanes, stories := w.classed("lane"), w.classed("path")
	if len(lanes) != 2 || len(stories) != 2 {
		t.Fatalf("%d lines, %d stories", len(lanes), len(stories))
	}
	if got := inner(lanes[0]); !strings.Contains(got, "443/tcp Web Platform, Patron pages") {
		t.Errorf("the line says %q", got)
	}
	if got := inner(stories[0]); !strings.Contains(got, "Web Platform: platform; Patron pages: (web-https)") {
		t.Errorf("the story says %q", got)
	}
}

// A line of the picture ends where the evidence says, and with a question mark where
// nothing does.
func TestALineEndsWhereThePathStops(t *testing.T) {
	hop := func(ttl int, from string) result.Hop {
		h := result.Hop{TTL: ttl, What: result.HopSilent}
		if from != "" {
			h.What, h.From = result.HopExceeded, netip.MustParseAddr(from)
		}
		return h
	}
	way := []result.Hop{hop(1, "10.1.0.1"), hop(2, ""), hop(3, "203.0.113.6")}
	traced := func(p result.Path, distance int) result.Path {
		p.Initiator = &result.Initiator{Trace: &result.Trace{Hops: way, Distance: distance}}
		return p
	}
	const here, there = "192.0.2.5:50001", "198.51.100.9:1433"
	of := func(v result.Verdict, change func(*result.Path)) result.Path {
		p := path("sql", "SQL Server", 1433, here, there)
		p.Verdict, p.OK = v, v == result.Open
		if change != nil {
			change(&p)
		}
		return p
	}
	const left, right, nowhere = "4.00%", "96.00%", "61.50%"
	// Three devices stand between the two machines: 4, 27, 50, 73 and 96.
	for name, c := range map[string]struct {
		p      result.Path
		at     string
		symbol string
	}{
		"open":                          {of(result.Open, nil), right, "arrow"},
		"mtu-hole":                      {of(result.MTUHole, nil), right, "flaw"},
		"untested":                      {of(result.Untested, nil), "6.76%", "unknown"},
		"no route":                      {of(result.Unreachable, nil), "6.76%", "stop"},
		"dropped":                       {of(result.Filtered, func(p *result.Path) { p.Stop = &result.Stop{LastHop: 3} }), "84.50%", "stop"},
		"dropped early":                 {of(result.Filtered, func(p *result.Path) { p.Stop = &result.Stop{LastHop: 1} }), "38.50%", "stop"},
		"dropped, no trace shows where": {of(result.Filtered, func(p *result.Path) { p.Stop = &result.Stop{} }), nowhere, "unknown"},
		"dropped by the machine itself": {of(result.Filtered, func(p *result.Path) { p.Finding = &result.Finding{Code: result.CodeFilteredByHost} }), right, "stop"},
		"silence, and nobody to ask":    {of(result.Silent, func(p *result.Path) { p.Stop = &result.Stop{LastHop: 3} }), "84.50%", "unknown"},
		"rejected by a device": {of(result.Rejected, func(p *result.Path) {
			p.Initiator = &result.Initiator{ICMP: &result.ICMP{From: netip.MustParseAddr("203.0.113.6")}}
		}), "73.00%", "stop"},
		"reset on the way":                  {of(result.Refused, func(p *result.Path) { p.Stop = &result.Stop{LastHop: 1, ByHop: 2} }), "38.50%", "stop"},
		"reset by the host":                 {of(result.Refused, func(p *result.Path) { p.Stop = &result.Stop{LastHop: 3, ByHop: 4, ByHost: true} }), right, "stop"},
		"nothing listens":                   {of(result.Refused, func(p *result.Path) { p.Finding = &result.Finding{Code: result.CodeNothingListens} }), right, "stop"},
		"something on the way answered":     {of(result.Intercepted, nil), nowhere, "unknown"},
		"it answers, and nobody knows what": {of(result.Answered, nil), right, "unknown"},
		"something answers in its place":    {of(result.Redirected, nil), right, "flaw"},
		"it arrived, and was reset later":   {of(result.Reset, func(p *result.Path) { p.Acceptor = &result.Acceptor{Saw: result.SawAccepted} }), right, "stop"},
		"the answer is lost":                {of(result.ReplyLost, nil), right, "flaw"},
	} {
		t.Run(name, func(t *testing.T) {
			open := traced(path("odyssey", "Odyssey", 7968, "192.0.2.5:50002", "198.51.100.9:7968"), 4)
			pics := pictures(with(base(), open, c.p))
			if len(pics) != 1 || len(pics[0].Lanes) != 2 || len(pics[0].Devices) != 3 {
				t.Fatalf("%+v", pics)
			}
			if d := pics[0].Devices; d[0].X != "27.00%" || d[0].Sub != "10.1.0.1" || !d[1].Hidden || d[2].Sub != "203.0.113.6" {
				t.Errorf("the devices are %+v", d)
			}
			if l := pics[0].Lanes[1]; l.From != left || l.To != c.at || l.Symbol != c.symbol || (l.Back != "") != (c.p.Verdict == result.ReplyLost) {
				t.Errorf("it runs from %s to %s, %s, back %q", l.From, l.To, l.Symbol, l.Back)
			}
			// Where nothing shows the place, the words say so, and it is no device's.
			l := pics[0].Lanes[1]
			if says := strings.Contains(l.By, "on the way") || strings.Contains(l.By, "by 10.2.0.1"); says != (c.at == nowhere) || strings.Contains(l.By, "by 10.2.0.1, ") {
				t.Errorf("it ends at %s: %q", c.at, l.By)
			}
			for _, d := range pics[0].Devices {
				if (c.at == nowhere && d.X == l.To) || d.X == l.Back {
					t.Errorf("it ends at the device %+v", d)
				}
			}
			back := reversed(c.p)
			if l := pictures(with(base(), back))[0].Lanes[0]; l.From != right || !l.Mirrored {
				t.Errorf("the other way it runs from %s", l.From)
			}
		})
	}
	for _, v := range result.Verdicts {
		if v.Row().Ends == 0 {
			t.Errorf("nobody has said where a path ends that is %s", v)
		}
	}
}

// A device that rejects what it is to forward answers for the next distance, too.
func TestADeviceThatRejectsIsNotSeenTwice(t *testing.T) {
	device := netip.MustParseAddr("203.0.113.6")
	hops := []result.Hop{{TTL: 1, What: result.HopExceeded, From: netip.MustParseAddr("10.1.0.1")}, {TTL: 2, What: result.HopExceeded, From: device}, {TTL: 3, What: result.HopICMP, From: device}}
	p := broken(path("sql", "SQL Server", 1433, "192.0.2.5:50001", "198.51.100.9:1433"), result.Rejected, "Rejected.", "Ask.")
	p.Initiator = &result.Initiator{ICMP: &result.ICMP{From: device}, Trace: &result.Trace{Hops: hops}}
	pic := pictures(with(base(), p))[0]
	// It may be slow to answer again: those between are no devices.
	late := p
	late.Initiator = &result.Initiator{ICMP: &result.ICMP{From: device}, Trace: &result.Trace{Distance: 5, Hops: append(slices.Clone(hops[:2]),
		result.Hop{TTL: 3, What: result.HopSilent}, result.Hop{TTL: 4, What: result.HopSilent}, result.Hop{TTL: 5, What: result.HopICMP, From: device})}}
	r := with(base(), late)
	if pic := pictures(r)[0]; len(pic.Devices) != 2 {
		t.Errorf("%+v", pic.Devices)
	}
	if text := render(t, Text, r, Options{Verbose: true}); strings.Contains(text, "the target answers") {
		t.Errorf("the target did not answer:\n%s", text)
	}
	if len(pic.Devices) != 2 || pic.Lanes[0].To != pic.Devices[1].X || pic.Lanes[0].Symbol != "stop" {
		t.Errorf("%+v", pic)
	}
	// One that does not let packets die shows itself by its rejection alone.
	p.Initiator.Trace.Hops = []result.Hop{hops[0], {TTL: 2, What: result.HopSilent}, hops[2]}
	if pic := pictures(with(base(), p))[0]; len(pic.Devices) != 3 || !pic.Devices[1].Hidden || pic.Devices[2].Sub != device.String() {
		t.Errorf("%+v", pic)
	}
}

func TestThePictureShowsWhatIsTranslated(t *testing.T) {
	p := path("odyssey", "Odyssey", 7968, "10.3.0.10:50002", "203.0.113.2:7968")
	p.SeenAs = ap("198.51.100.2:40113")
	p.Initiator = &result.Initiator{Origin: ap("10.2.0.10:7968")}
	got := pictures(with(base(), p))[0].NAT
	if len(got) != 2 || got[0].Text != "NAT: 10.3.0.10 is seen as 198.51.100.2" || got[1].Text != "NAT: 203.0.113.2 leads to 10.2.0.10" {
		t.Errorf("%+v", got)
	}
}

func TestAButtonCopiesTheWholeRequest(t *testing.T) {
	w := parsePage(t, render(t, HTML, mixedBag(), Options{}))
	buttons := w.all("button")
	if len(buttons) != 5 {
		t.Fatalf("%d buttons", len(buttons))
	}
	// What is to be mended at the two ends goes to nobody.
	if own := w.byID("request-A"); own == nil || strings.Contains(inner(own), "Copy") {
		t.Errorf("there is no point A, or it is to be copied")
	}
	// One more copies all of it, in the words of the firewall that was named.
	o := Options{Dialect: "nft"}
	letter := parsePage(t, render(t, HTML, mixedBag(), o)).all("button")[4]
	for _, want := range []string{"Firewall requests: ", "Request 1a. Allow TCP from 192.0.2.5 to 198.51.100.9 port 1433", "tcp dport 1433"} {
		if !strings.Contains(attr(letter, "data-copy"), want) {
			t.Errorf("%q is not in\n%s", want, attr(letter, "data-copy"))
		}
	}
	if len(parsePage(t, render(t, HTML, allOpen(), o)).all("button")) != 0 {
		t.Error("something to copy where there is nothing to ask for")
	}
	const want = `Ask whoever runs 198.51.100.1 to allow TCP port 1611 from 192.0.2.5 to
198.51.100.9.

Ask     Your firewall team: which device it is does not show.
For     iso-in (rejected)
Seen    198.51.100.1 answered "administratively prohibited" (ICMP type 3 code
        13).
Log     2026-03-17 21:51:41.323 UTC tcp 192.0.2.5:51615 -> 198.51.100.9:1611,
        arriving from 203.0.113.7:40120
Tested  2026-03-17 21:51:40 UTC (2026-03-17 16:51:40 -05:00 local), from
        client, admin at ws-114.example.edu (192.0.2.5) to server, web,
        database at library.example.edu (198.51.100.9), with dial 0.1.0, plan
        illiad
`
	if got := attr(buttons[1], "data-copy"); got != want {
		t.Errorf("it copies\n%s", got)
	}
	for _, b := range buttons {
		if !slices.ContainsFunc(b.Attr, func(a html.Attribute) bool { return a.Key == "hidden" }) || inner(b) == "" {
			t.Errorf("%q shows without the script that makes it work", inner(b))
		}
	}
}

// shape is the elements of a page with the names of their attributes.
func shape(w webPage) []string {
	var out []string
	for _, n := range w.all("") {
		s := n.Data
		for _, a := range n.Attr {
			s += " " + a.Key
		}
		out = append(out, s)
	}
	return out
}

// What peers and name servers say is text on the page, and never a part of it.
func TestNoHostileStringBecomesPartOfThePage(t *testing.T) {
	// Roles are words between blanks and commas, which stay.
	calm := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r == ' ' || r == ',' {
				return r
			}
			return 'x'
		}, s)
	}
	for _, s := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</style><script>alert(1)</script>`, `</script><h1>All paths work.</h1>`,
		`<!--`, `-->`, `]]>`, `</svg><h1>x</h1>`, `</title><h1>x</h1>`, `javascript:alert(1)`, `{{.}}`, "`${alert(1)}`", `&lt;script&gt;`, `</textarea>`, `<base href="//evil.example/">`,
	} {
		w := parsePage(t, render(t, HTML, poisoned(s), Options{}))
		isSound(t, w)
		if got, want := shape(w), shape(parsePage(t, render(t, HTML, poisoned(calm(s)), Options{}))); !slices.Equal(got, want) {
			t.Errorf("%q changes the page: %d elements, and %d with a harmless text", s, len(got), len(want))
		}
	}
	for name, s := range hostile {
		t.Run(name, func(t *testing.T) {
			out := render(t, HTML, poisoned(s), Options{})
			harmless(t, out)
			isSound(t, parsePage(t, out))
		})
	}
}

func TestAPageLeavesTheReportAlone(t *testing.T) {
	r := everything()
	render(t, HTML, r, Options{})
	if !reflect.DeepEqual(r, everything()) {
		t.Error("rendering changed the report")
	}
}

func TestAMatrixPageHasEveryRowAndRequest(t *testing.T) {
	m := &result.Matrix{Tool: "test", Columns: []result.MatrixColumn{{Flow: "sql-client", Port: 1433, Transport: plan.TCP, Direction: plan.Forward}, {Flow: "rdp", Port: 3389, Transport: plan.TCP, Direction: plan.Forward}}}
	open, optional := &result.MatrixCell{Verdict: result.Open, OK: true, Counted: true}, &result.MatrixCell{Verdict: result.Refused}
	filtered := &result.MatrixCell{Verdict: result.Filtered, Counted: true, Code: "filtered", Request: 1}
	q := result.Request{Number: 1, Code: "filtered", Advice: "Please allow TCP port 1433.", Counted: true, Flows: []string{"sql-client"}, Port: 1433, Transport: plan.TCP, Direction: plan.Forward}
	for i := range 12 {
		r := result.MatrixRow{Name: fmt.Sprintf("pc-%02d", i), Addresses: []string{fmt.Sprintf("10.2.%d.%d", 8+i%4, i)}, OK: true, Cells: []*result.MatrixCell{open, optional}}
		if i >= 10 {
			r.Addresses = []string{fmt.Sprintf("10.2.20.%d", i)}
		} else {
			r.OK, r.Cells = false, []*result.MatrixCell{filtered, nil}
			q.Rows = append(q.Rows, i)
			q.Log = append(q.Log, result.LogEntry{Source: ap("192.0.2.5:50000"), Target: ap("198.51.100.9:1433"), At: t0})
		}
		m.Rows = append(m.Rows, r)
	}
	slices.Reverse(m.Rows) // what works comes first in the matrix, and last on the page
	for i := range q.Rows {
		q.Rows[i] = 11 - q.Rows[i]
	}
	m.Requests = []result.Request{q}
	m.Summary = result.Summary{Counted: 12, Failed: 10, Verdicts: map[result.Verdict]int{result.Open: 2, result.Filtered: 10, result.Refused: 2}}
	m.Findings = []result.Finding{{Code: "wrong-key", Text: "pc-03: the key does not match.", Advice: "Copy it again."}}
	w := parsePage(t, matrixAs(t, HTML, m, Options{}))
	isSound(t, w)
	if got := inner(w.all("h1")[0]); got != "10 of 12 are not as they should be. 10 of 12 required paths do not work." {
		t.Errorf("the answer is %q", got)
	}
	rows := w.all("tr")
	if len(rows) != 13 {
		t.Fatalf("%d rows", len(rows))
	}
	for i, want := range map[int]string{0: "ResultWhoAddresssql-client 10 NOrdp", 1: "NOpc-0910.2.9.9filtered", 10: "NOpc-0010.2.8.0filtered", 11: "okpc-1110.2.20.11open(refused)", 12: "okpc-1010.2.20.10open(refused)"} {
		if got := inner(rows[i]); got != want {
			t.Errorf("row %d is %q, want %q", i, got, want)
		}
	}
	all := inner(w.root)
	for _, want := range []string{"1. All 10 in 10.2.8.0/22: sql-client, 1433/tcp filtered", "Please allow TCP port 1433.", "The 10 that need it", "pc-00, pc-01,", "pc-03: the key does not match. Copy it again."} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	isSound(t, parsePage(t, matrixAs(t, HTML, hostileMatrix(), Options{})))
	harmless(t, matrixAs(t, HTML, hostileMatrix(), Options{}))
	isSound(t, parsePage(t, matrixAs(t, HTML, &result.Matrix{}, Options{})))
}

// Nobody is told that all of a network are affected while one of it is not.
func TestWhoseARequestIs(t *testing.T) {
	for _, c := range []struct {
		own   []string // of all rows
		needs []int
		nets  []string // of the request
		want  string
	}{
		{[]string{"10.1.0.1", "10.1.0.2"}, []int{0, 1}, []string{"10.1.0.0/24"}, "All 2"},
		{[]string{"10.1.0.1", "10.1.0.2"}, []int{1}, []string{"10.1.0.0/24"}, "row-1"},
		{[]string{"10.1.0.1", "10.1.0.2", "10.1.1.1"}, []int{0, 1}, []string{"10.1.0.0/24"}, "All 2 in 10.1.0.0/24"},
		{[]string{"10.1.0.1", "10.1.0.3", "10.1.0.2", "10.1.1.1"}, []int{0, 1}, []string{"10.1.0.0/24"}, "2 of 4 (2 of 3 in 10.1.0.0/24)"},
		{[]string{"10.1.0.1", "10.1.0.2", "10.1.0.9"}, []int{0, 1}, []string{"10.1.0.0/24"}, "All 2 in 10.1.0.0/30"},
		{[]string{"10.1.0.1", "10.1.1.1", "10.9.0.1", "10.1.1.2"}, []int{0, 1}, []string{"10.1.0.0/24", "10.1.1.0/24"}, "2 of 4 (all 1 in 10.1.0.0/24, 1 of 2 in 10.1.1.0/24)"},
		{[]string{"10.1.0.1", "192.0.2.1", "10.1.0.2"}, []int{0, 1}, []string{"203.0.113.0/24"}, "2 of 3"},
		{[]string{"2001:db8::1", "2001:db8::2", "2001:db8:1::1"}, []int{0, 1}, []string{"2001:db8::/64"}, "All 2 in 2001:db8::/64"},
		{[]string{"", "10.1.0.1", "10.1.0.2"}, []int{0, 1}, nil, "2 of 3"},
		{[]string{"10.1.0.1", "10.1.0.2", "10.2.0.1"}, []int{0, 1, 99, -1}, []string{"rubbish"}, "All 2 in 10.1.0.0/24"},
	} {
		m := &result.Matrix{}
		for i, a := range c.own {
			r := result.MatrixRow{Name: fmt.Sprintf("row-%d", i)}
			if a != "" {
				r.Addresses = []string{a}
			}
			m.Rows = append(m.Rows, r)
		}
		q := &result.Request{Rows: c.needs}
		for _, n := range c.nets {
			q.Subnets = append(q.Subnets, result.Subnet{Prefix: n})
		}
		if got := whose(m, q); got != c.want {
			t.Errorf("%v of %v: %q, want %q", c.needs, c.own, got, c.want)
		}
	}
}

func TestAnAddressPageHasTheConclusionFirst(t *testing.T) {
	w := parsePage(t, renderAddress(t, HTML, addressReportOf(t), Options{}))
	isSound(t, w)
	if got := inner(w.all("h1")[0]); got != "Partners see you as 198.51.100.1." {
		t.Errorf("the answer is %q", got)
	}
	var lanes []string
	for _, n := range w.classed("lane") {
		lanes = append(lanes, attr(n, "class")+": "+inner(n))
	}
	for i, want := range []string{
		"lane ok: stun:stun.example.org over TCP stun:stun.example.org o... seen as 198.51.100.1198.51.100.1",
		"lane unknown: nosuch.example.org nosuch.example.org not seen: unresolvednot seen: unresolved",
		"lane bad: peer dialed 198.51.100.1:7968 peer dialed 198.51.100.... NO silentNO silent",
	} {
		if len(lanes) != 3 || lanes[i] != want {
			t.Errorf("the lines of the picture are %q, want %q", lanes, want)
			break
		}
	}
	all := inner(w.root)
	for _, want := range []string{"Tell them.", "A NAT.", "NAT: 10.0.0.9 is seen as 198.51.100.1", "4000 -> 4000", "keeps the source port", "illiad (10.0.0.9)"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if got := attr(w.classed("answer")[0], "class"); got != "answer unknown" { // nobody has tested whether it leads here
		t.Errorf("the answer looks %q", got)
	}
	good := addressReportOf(t)
	good.Findings[0].Code = result.CodePublish
	if got := attr(parsePage(t, renderAddress(t, HTML, good, Options{})).classed("answer")[0], "class"); got != "answer ok" {
		t.Errorf("the answer looks %q", got)
	}
	isSound(t, parsePage(t, renderAddress(t, HTML, &result.AddressReport{}, Options{})))
}

// Whatever an end can say it saw, the page says in words.
func TestThePageHasWordsForAllThatAnEndSees(t *testing.T) {
	has := map[string]func(string) bool{
		"ConnectOutcome": func(v string) bool { return connectWords[result.ConnectOutcome(v)] != "" },
		"AnswerOutcome":  func(v string) bool { return answerWords[result.AnswerOutcome(v)] != "" },
		"PortState":      func(v string) bool { return portWordsAt[result.PortState(v)] != "" },
		"Sighting":       func(v string) bool { return sawWords[result.Sighting(v)] != "" },
		"Match":          func(v string) bool { return matchWords[result.Match(v)] != "" },
		"Drop":           func(v string) bool { return dropWords[result.Drop(v)] != "" },
	}
	all := constants(t, "../result")
	for typ, has := range has {
		if len(all[typ]) == 0 {
			t.Errorf("no constants of %s", typ)
		}
		for _, v := range all[typ] {
			if !has(v) {
				t.Errorf("%s %q has no words", typ, v)
			}
		}
	}
}
