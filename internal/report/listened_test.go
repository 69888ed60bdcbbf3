package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// heardReport is of an afternoon of listen: a staff PC that tested and reached all but
// one port, a partner whose answers get lost, a stranger, a port that is held.
func heardReport() *result.Report {
	at := func(m int) result.Time {
		return result.TimeOf(time.Date(2026, 3, 17, 14, m, 7, 0, time.UTC))
	}
	visit := func(port int, service, kind, words string, n int) result.Visit {
		return result.Visit{Port: port, Transport: plan.TCP, Service: service, Kind: kind, Words: words, Count: n, First: at(10), Last: at(12)}
	}
	r := base()
	r.Mode, r.Paths, r.Contact, r.To = result.ModeListen, nil, nil, result.End{Addresses: result.ParseAddrs()}
	r.From = result.End{Role: "server,web,database", Host: "illiad", Addresses: result.ParseAddrs("10.2.0.10")}
	r.Summary = result.Summary{Verdicts: map[result.Verdict]int{}}
	r.Listened = &result.Listened{
		Instance: "0011", Since: at(0), Until: at(30), Witness: result.WitnessTable,
		Ports: []result.ListenedPort{
			{Port: 1433, Transport: plan.TCP, Family: result.IP4, State: result.PortBound},
			{Port: 1611, Transport: plan.TCP, Family: result.IP4, State: result.PortBound},
			{Port: 7968, Transport: plan.TCP, Family: result.IP4, State: result.PortBusy, Holder: &result.Holder{Name: "OdysseyMan", PID: 12}},
		},
		Arrivals: []result.Arrival{
			{Port: 1611, Transport: plan.TCP, Source: ap("203.0.113.7:40001"), Local: ap("10.2.0.10:1611"), First: at(20), Last: at(20), Saw: result.SawHalfOpen, Count: 2},
			{Port: 1611, Transport: plan.TCP, Source: ap("203.0.113.7:40002"), Local: ap("10.2.0.10:1611"), First: at(21), Last: at(21), Saw: result.SawHalfOpen, Count: 1},
			{Port: 7968, Transport: plan.TCP, Source: ap("203.0.113.7:40004"), Local: ap("10.2.0.10:7968"), First: at(21), Last: at(21), Saw: result.SawHalfOpen, Count: 1},
			{Port: 1433, Transport: plan.TCP, Source: ap("10.1.0.10:40003"), Local: ap("10.2.0.10:1433"), First: at(21), Last: at(21), Saw: result.SawHalfOpen, Count: 1},
		},
		Expected: []result.ExpectedPort{
			{Port: 80, PlanPort: 80, Transport: plan.TCP, Service: "Web pages (HTTP)", Flows: []string{"web-http"}, Must: []string{}, May: []string{"patron"}, Missing: []string{}},
			{Port: 1433, PlanPort: 1433, Transport: plan.TCP, Service: "SQL Server (TDS)", Flows: []string{"sql-client"}, Must: []string{"client"}, May: []string{"reports"}, Missing: []string{}},
			{Port: 7968, PlanPort: 7968, Transport: plan.TCP, Service: "Odyssey", Flows: []string{"odyssey-client", "odyssey-in"}, Must: []string{"client", "peer"}, May: []string{}, Missing: []string{"client", "peer"}},
		},
		Waiting: []string{"peer"},
		Visitors: []result.Visitor{
			{
				Address: "10.1.0.10", Roles: []string{"client"}, Keyed: true, First: at(10), Last: at(12),
				Visits: []result.Visit{visit(1433, "SQL Server", "proved", "", 8), visit(1433, "SQL Server", "asked", "", 8)},
				Told:   []result.Told{{At: at(12), Host: "pc-17", Roles: []string{"client"}, Counted: 3, Failed: 1, Broken: []string{"forward odyssey-client ip4: filtered"}}},
			},
			{Address: "10.9.9.9", Roles: []string{}, First: at(10), Last: at(12), Visits: []result.Visit{visit(80, "HTTP", "foreign", "GET came, answered with the page", 3)}, Told: []result.Told{}},
		},
		Unlisted: 4,
		Browsed:  []result.Browsed{{At: at(15), Address: "10.1.0.44", Says: `"Desk 2": HTTP went through on all 3 required paths.`}},
	}
	return r
}

func renderHeard(t *testing.T, f Format, r *result.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := Listened.Write(&b, f, r, Options{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestListensReportLooksAsBefore(t *testing.T) {
	for ext, f := range map[string]Format{"txt": Text, "md": Markdown, "csv": CSV} {
		got := renderHeard(t, f, heardReport())
		isGolden(t, "listened."+ext+".golden", got)
	}
	fitsColumns(t, "listen's report", renderHeard(t, Text, heardReport()), 80)
}

// Every form says who came, who is waited for, whose answers get lost, and which port
// was left to other software.
func TestEveryFormOfListensReportTellsTheSame(t *testing.T) {
	for _, f := range []Format{Text, HTML, Markdown} {
		out := flat(strings.NewReplacer(`\`, "", "&#39;", "'", "&#34;", `"`, "\n", " ").Replace(renderHeard(t, f, heardReport())))
		for _, want := range []string{
			"1 of 2 ports that others must reach here was reached, with the key, by all who must. 10.1.0.10 (pc-17) has 1 of 3 required paths not ok: odyssey-client over IPv4 (filtered). Still waiting for: partner's server.",
			"10.1.0.10", "pc-17 says at 14:12:07 UTC: 3 required paths, 1 not ok: odyssey-client over IPv4 (filtered)", "have it sent here",
			"nobody with the key, since OdysseyMan holds it; what became of the connections of 203.0.113.7 is not known here",
			"203.0.113.7 to 1611/tcp, 3 times, last at 14:21:07 UTC", "GET came, answered with the page, 3 times", "held by OdysseyMan", `10.1.0.44 at 14:15:07 UTC: "Desk 2": HTTP went through on all 3 required paths.`, "dial odyssey --key KEY 10.2.0.10",
			"4 contacts of addresses that were too many", "may be closed to them",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("%s lacks %q:\n%s", f, want, out)
			}
		}
		if strings.Contains(out, "10.1.0.10 to 1433/tcp") {
			t.Errorf("%s: a segment that was lost on a path that works is told as a failure", f)
		}
		if strings.Contains(out, "to 7968/tcp") {
			t.Errorf("%s: a connection to other software, whose acceptance listen does not see, is told as a failure", f)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(renderHeard(t, CSV, heardReport()))).ReadAll()
	if err != nil || len(rows) != 6 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	isSound(t, parsePage(t, renderHeard(t, HTML, heardReport())))
	out := decodeAny(t, renderHeard(t, JSON, heardReport()))
	if err := compileSchema(t).Validate(out); err != nil {
		t.Error(err)
	}
	if _, err := result.ParseReport([]byte(renderHeard(t, JSON, heardReport())), result.MaxReport); err != nil {
		t.Error(err)
	}
}

func decodeAny(t *testing.T, s string) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What comes from elsewhere is shown as what it is in every form.
func TestNothingInListensReportActsOnWhoReadsIt(t *testing.T) {
	evil := "=cmd|' /C calc'!A0 </td><script>x</script>\x1b[2J\n# h | `y` \u202e"
	r := heardReport()
	r.From.Host, r.Plan = evil, evil
	v := &r.Listened.Visitors[0]
	v.Told[0].Host, v.Told[0].Broken, v.Roles = evil, []string{evil}, []string{evil}
	v.Visits[0].Service, v.Visits[0].Words = evil, evil
	r.Listened.Ports[2].Holder.Name = evil
	r.Listened.Blind = evil
	r.Listened.Browsed[0].Says, r.Listened.Browsed[0].Address = evil, evil
	for _, f := range []Format{Text, HTML, Markdown, CSV, JSON} {
		out := renderHeard(t, f, r)
		if strings.ContainsAny(out, "\x1b\u202e") || f == HTML && strings.Contains(out, "<script>x") {
			t.Errorf("%s lets it through:\n%s", f, out)
		}
		if f == CSV && strings.Contains(out, ",=cmd") {
			t.Errorf("a formula:\n%s", out)
		}
		if f == JSON && !json.Valid([]byte(out)) {
			t.Error("no JSON")
		}
	}
	isSound(t, parsePage(t, renderHeard(t, HTML, r)))
}

// With nobody, and with everybody, the answer says so.
func TestTheAnswerOfListensReport(t *testing.T) {
	r := heardReport()
	l := r.Listened
	l.Visitors, l.Waiting = nil, []string{"client", "peer"}
	l.Expected[1].Missing = []string{"client"}
	if got, want := paragraph(renderHeard(t, Text, r), 0), "Nobody came with the key: others must reach 2 ports here. Some connections arrived, and were not completed. Still waiting for: staff PC, partner's server."; got != want {
		t.Errorf("got %q", got)
	}
	for i := range l.Expected {
		l.Expected[i].Missing = nil
	}
	l.Waiting = nil
	if got, want := paragraph(renderHeard(t, Text, r), -1), "All 2 ports that others must reach here were reached, with the key, by all who must."; got != want {
		t.Errorf("got %q", got)
	}
	l.Expected = nil
	if got, want := paragraph(renderHeard(t, Text, r), 0), "Nobody has to come here by the plan; 0 addresses came with the key."; got != want {
		t.Errorf("got %q", got)
	}
}
