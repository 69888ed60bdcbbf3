package merge

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"dialtone/internal/plan"
	"dialtone/internal/report"
	"dialtone/internal/request"
	"dialtone/internal/result"
	"dialtone/internal/verdict"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares a text with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; go test -update writes it anew. Got:\n%s", file, got)
	}
}

// client is a staff PC's report on one server: SQL Server is silent from the
// second subnet, the platform is open from everywhere, Odyssey is refused.
func client(n int) *result.Report {
	own := fmt.Sprintf("10.1.%d.%d", n/3, 10+n)
	r := &result.Report{
		Schema: result.Schema, Tool: "dialtone test", Run: fmt.Sprintf("run-%d", n), Started: at(time.Duration(n) * time.Minute), Plan: "illiad", Mode: result.ModePaths,
		From:    result.End{Role: "client", Host: fmt.Sprintf("ws-%d.example.edu", n), Addresses: result.ParseAddrs(own)},
		To:      result.End{Role: "server,web,database", Host: "illiad.example.edu", Addresses: result.ParseAddrs("10.2.0.10")},
		Contact: &result.Contact{Instance: "x"},
	}
	add := func(flow, service string, port int, need plan.Need, i *result.Initiator, a *result.Acceptor) {
		i.At = r.Started
		p := result.Path{
			Flow: flow, Service: service, Port: port, PlanPort: port, Transport: plan.TCP, Direction: plan.Forward, Family: result.IP4,
			From: "client", To: "server", Need: need, Counted: need == plan.Required, Expect: plan.ExpectOpen,
			At: i.At, Source: i.Source, Target: i.Target, SeenAs: i.SeenAs, Attempts: 1, Initiator: i, Acceptor: a,
		}
		judge(&p)
		r.Paths = append(r.Paths, p)
	}
	from := func(port int) string { return fmt.Sprintf("%s:%d", own, port) }
	if n/3 == 1 {
		add("sql-client", "SQL Server", 1433, plan.Required, timeout(from(50001), "10.2.0.10:1433", 0), &result.Acceptor{Instance: "x", Port: result.PortBound, Saw: result.SawNothing})
	} else {
		add("sql-client", "SQL Server", 1433, plan.Required, keyed(from(50001), "10.2.0.10:1433", "x"), nil)
	}
	add("platform", "ILLiad Web Platform", 443, plan.Required, keyed(from(50002), "10.2.0.10:443", "x"), nil)
	refused := timeout(from(50003), "10.2.0.10:3389", 0)
	refused.Connect = result.ConnectRST
	add("rdp", "Remote Desktop", 3389, plan.Optional, refused, &result.Acceptor{Instance: "x", Port: result.PortUnbound, Saw: result.SawUnknown})
	verdict.Summarize(r)
	return r
}

func clients(n int) []Input {
	var in []Input
	for i := range n {
		in = append(in, Input{Report: client(i)})
	}
	return in
}

func TestManyClientsMakeOneMatrix(t *testing.T) {
	m := Tabulate("dialtone test", clients(6))
	if len(m.Rows) != 6 || len(m.Columns) != 3 || len(m.Reports) != 6 || len(m.Requests) != 1 {
		t.Fatalf("%d rows, %d columns, %d reports, %d requests", len(m.Rows), len(m.Columns), len(m.Reports), len(m.Requests))
	}
	q := m.Requests[0]
	if !q.Counted || q.Code != "filtered" || !slices.Equal(q.Rows, []int{3, 4, 5}) || len(q.Subnets) != 1 || q.Subnets[0].Prefix != "10.1.1.0/24" || len(q.Subnets[0].Addresses) != 3 {
		t.Errorf("the first request: %+v", q)
	}
	if strings.Contains(q.Advice, "10.1.") || !strings.Contains(q.Advice, "TCP from the client to 10.2.0.10 (server) port 1433") {
		t.Errorf("its advice: %s", q.Advice)
	}
	// A port that is not listened on is no business of a firewall's people.
	if c := m.Rows[0].Cells[2]; c.Verdict != result.Refused || c.Request != 0 {
		t.Errorf("cell: %+v", c)
	}
	if c := m.Rows[4].Cells[0]; c.Verdict != result.Filtered || c.Request != 1 || m.Rows[0].Cells[0].Request != 0 {
		t.Errorf("cell: %+v", c)
	}
	if s := m.Summary; s.OK || s.Counted != 12 || s.Failed != 3 || s.Verdicts[result.Open] != 9 || ExitCode(m) != 1 {
		t.Errorf("summary %+v, exit %d", s, ExitCode(m))
	}
	var b bytes.Buffer
	if err := report.Matrix.Write(&b, report.Text, m, report.Options{Width: 100}); err != nil {
		t.Fatal(err)
	}
	golden(t, "clients.golden", b.Bytes())
	b.Reset()
	if err := report.Matrix.Write(&b, report.CSV, m, report.Options{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "clients.csv", b.Bytes())
}

// What is asked for is the same in every form: in JSON and on the page what request.Of
// has in the letter. What it asks of nobody is told apart, for the two ends, if it counts.
func TestAMatrixAsksForWhatTheLetterAsksFor(t *testing.T) {
	in := clients(4)
	for i := range in {
		for k := range in[i].Report.Paths {
			if p := &in[i].Report.Paths[k]; p.Flow == "rdp" {
				p.Counted = i == 1
			}
		}
	}
	opposite := client(1)
	opposite.Paths[0] = client(3).Paths[0]
	opposite.Paths[0].Counted, opposite.Paths[0].Opposite, opposite.Paths[0].Port = false, true, 1344
	m := Tabulate("dialtone test", append(in, Input{Report: opposite}))
	asked := map[string]bool{}
	for _, q := range request.Of(request.Options{}, m.Whole...).Requests {
		asked[fmt.Sprint(q.Transport, q.Port, q.Direction)] = true
	}
	var ends []result.Request
	for _, q := range m.Requests {
		if q.Ends {
			ends = append(ends, q)
		} else if k := fmt.Sprint(q.Transport, q.Port, q.Direction); !asked[k] {
			t.Errorf("the letter does not ask for it: %+v", q)
		} else {
			delete(asked, k)
		}
	}
	if len(asked) > 0 {
		t.Errorf("only the letter asks for %v", asked)
	}
	if len(ends) != 1 || !slices.Equal(ends[0].Flows, []string{"rdp"}) || !slices.Equal(ends[0].Rows, []int{1}) || !strings.Contains(ends[0].Advice, "Start listen") {
		t.Errorf("for the two ends: %+v", ends)
	}
}

// A request has the same number on the matrix, on its page and in the letter, where one
// of several servers alike has a part for each.
func TestAMatrixAndItsLetterHaveTheSameNumbers(t *testing.T) {
	in := clients(6)
	other := client(3)
	for i := range other.Paths {
		p := &other.Paths[i]
		e := ap("10.2.0.20:" + strconv.Itoa(p.Port))
		p.Target, p.Initiator.Target = e, e
		judge(p)
	}
	other.To.Host, other.To.Addresses, other.Run = "second.example.edu", result.ParseAddrs("10.2.0.20"), "run-second"
	slow := client(4)
	p := &slow.Paths[1]
	p.Initiator, p.Acceptor = timeout("10.1.1.14:50002", "10.2.0.10:443", 0), &result.Acceptor{Instance: "x", Port: result.PortBound, Saw: result.SawNothing}
	p.Source, p.Target = p.Initiator.Source, p.Initiator.Target
	judge(p)
	slow.Run = "run-slow"
	m := Tabulate("dialtone test", append(in, Input{Report: other}, Input{Report: slow}))
	written := func(f report.Format) string {
		var b bytes.Buffer
		if err := report.Matrix.Write(&b, f, m, report.Options{Verbose: false}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	parts := func(text string, begin *regexp.Regexp) map[string]string {
		out := map[string]string{}
		at := begin.FindAllStringSubmatchIndex(text, -1)
		for i, found := range at {
			end := len(text)
			if i+1 < len(at) {
				end = at[i+1][0]
			}
			out[text[found[2]:found[3]]] = strings.Join(strings.Fields(text[found[0]:end]), " ")
		}
		return out
	}
	letter := parts(written(report.Requests), regexp.MustCompile(`(?m)^Request (\S+)\. `))
	text := parts(written(report.Text), regexp.MustCompile(`(?m)^ {0,3}(\d+)\. `))
	page := parts(written(report.HTML), regexp.MustCompile(`<article class="request" id="request-(\d+)"`))
	if len(text) != 2 || len(page) != 2 || len(letter) != 3 || letter["1a"] == "" || letter["1b"] == "" {
		t.Fatalf("%d in the text, %d on the page, the letter has %q", len(text), len(page), slices.Sorted(maps.Keys(letter)))
	}
	// Programs are told of the same.
	var read struct {
		Requests []struct {
			Item int               `json:"item"`
			Log  []result.LogEntry `json:"log"`
		} `json:"requests"`
	}
	if err := json.Unmarshal([]byte(written(report.JSON)), &read); err != nil || len(read.Requests) != len(letter) {
		t.Fatalf("%d requests, %v", len(read.Requests), err)
	}
	for _, q := range read.Requests {
		if log := fmt.Sprintf("%s -> %s", q.Log[0].Source, q.Log[0].Target); !strings.Contains(text[strconv.Itoa(q.Item)], log) {
			t.Errorf("for programs %s is %d, and is not in the text's: %s", log, q.Item, text[strconv.Itoa(q.Item)])
		}
	}
	if csv := written(report.CSV); strings.Contains(csv, "3. Please") || !strings.Contains(csv, "2. Please") {
		t.Errorf("the spreadsheet has other numbers:\n%s", csv)
	}
	for name, q := range letter {
		log, number := regexp.MustCompile(`\S+ -> \S+`).FindString(q), strings.TrimRight(name, "ab")
		if !strings.Contains(text[number], log) || !strings.Contains(page[number], strings.ReplaceAll(log, ">", "&gt;")) {
			t.Errorf("request %s (%s) is another in the text or on the page:\n%s\n%s", name, log, text[number], page[number])
		}
	}
}

func TestExitCodeIsThatOfTheWorst(t *testing.T) {
	untried := client(0)
	for i := range untried.Paths {
		untried.Paths[i].Initiator, untried.Paths[i].Attempts = &result.Initiator{NotTried: "interrupted"}, 0
		judge(&untried.Paths[i])
	}
	verdict.Summarize(untried)
	for _, c := range []struct {
		name string
		in   []Input
		want int
	}{
		{"all well", clients(3), 0},
		{"one is not", clients(4), 1},
		{"one made no attempt", append(clients(1), Input{Report: untried}), 1},
		{"none made an attempt", []Input{{Report: untried}, {Report: untried}}, 3},
		{"nothing", nil, 3},
	} {
		if got := ExitCode(Tabulate("test", c.in)); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestTwoCopiesOfOneRunCountOnce(t *testing.T) {
	in := []Input{{"a.json", client(0)}, {"b.json", client(1)}, {"copy of a.json", client(0)}}
	out, findings := Unique(in)
	if len(out) != 2 || len(findings) != 1 || !strings.Contains(findings[0].Text, "a.json and copy of a.json") {
		t.Errorf("%d left, %+v", len(out), findings)
	}
}

func TestPartnersAreNamed(t *testing.T) {
	a, b := halves()
	m := Tabulate("test", []Input{{"North Library", a}, {"South Library", b}})
	if m.Rows[0].Name != "North Library" || len(m.Columns) != 2 || m.Columns[1].Direction != plan.Reverse {
		t.Errorf("rows %+v, columns %+v", m.Rows, m.Columns)
	}
}

func TestMatricesMatchTheirSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "docs", "matrix.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	a, b := halves()
	b.Interrupted = true
	for name, in := range map[string][]Input{"none": nil, "clients": clients(5), "partners": {{"a", a}, {"b", b}}, "mixed": append(clients(1), Input{Report: a})} {
		var out bytes.Buffer
		if err := report.Matrix.Write(&out, report.JSON, Tabulate("test", in), report.Options{}); err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(&out)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestJoinedReportInWords(t *testing.T) {
	r := joinOf(t, real(t, "mixed-a", 0), real(t, "mixed-b", 90*time.Second))
	var b bytes.Buffer
	if err := report.Paths.Write(&b, report.Text, r, report.Options{Width: 100}); err != nil {
		t.Fatal(err)
	}
	golden(t, "mixed.golden", b.Bytes())
}

func TestJoinedReportsMatchTheSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "docs", "report.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mixed", "drop"} {
		var out bytes.Buffer
		if err := report.Paths.Write(&out, report.JSON, joinOf(t, real(t, name+"-a", 0), real(t, name+"-b", 0)), report.Options{}); err != nil {
			t.Fatal(err)
		}
		if _, err := result.ParseReport(out.Bytes(), result.MaxReport); err != nil {
			t.Errorf("%s: what was joined is not read again: %v", name, err)
		}
		v, err := jsonschema.UnmarshalJSON(&out)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
