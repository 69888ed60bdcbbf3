package report

import (
	"bytes"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"dialtone/internal/compare"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

const comparisonSchema = "../../docs/comparison.schema.json"

// aWeekLater is mixedBag's machine a week later: one path stopped working at a device
// that was passed before, one was not tested again, one works since, and the machine
// has moved.
func aWeekLater(t *testing.T) (*result.Report, *result.Comparison) {
	t.Helper()
	trace := func(second string) *result.Initiator {
		return &result.Initiator{Trace: &result.Trace{Hops: []result.Hop{
			{TTL: 1, What: result.HopExceeded, From: netip.MustParseAddr("192.0.2.1")}, {TTL: 2, What: result.HopExceeded, From: netip.MustParseAddr(second)}}}}
	}
	old := base()
	old.Run = "11111111"
	sql := path("sql-client", "SQL Server (TDS)", 1433, "192.0.2.5:51612", "198.51.100.9:1433")
	sql.Initiator = trace("203.0.113.1")
	with(old, sql,
		path("odyssey-client", "Odyssey", 7968, "192.0.2.5:51613", "198.51.100.9:7968"),
		broken(path("platform", "ILLiad Web Platform", 443, "192.0.2.5:51614", "198.51.100.9:443"), result.Refused, "Nothing listened.", ""),
		broken(path("iso-in", "ISO ILL", 1611, "192.0.2.5:51615", "198.51.100.9:1611"), result.Filtered, "It never arrived.", "Ask for it."),
		path("rdp", "Remote Desktop", 3389, "192.0.2.5:51618", "198.51.100.9:3389"))
	now := base()
	now.Started = result.TimeOf(t0.Add(7 * 24 * time.Hour))
	now.From.Addresses = result.ParseAddrs("192.0.2.77")
	sql = broken(path("sql-client", "SQL Server (TDS)", 1433, "192.0.2.77:41612", "198.51.100.9:1433"), result.Filtered, "It never arrived.", "Please allow it.")
	sql.Stop = &result.Stop{LastHop: 2, Last: netip.MustParseAddr("203.0.113.1")}
	odyssey := broken(path("odyssey-client", "Odyssey", 7968, "", ""), result.Untested, "Not its turn.", "")
	platform := path("platform", "ILLiad Web Platform", 443, "192.0.2.77:41614", "198.51.100.9:443")
	platform.Initiator = trace("203.0.113.1")
	with(now, sql, odyssey, platform,
		broken(path("iso-in", "ISO ILL", 1611, "192.0.2.77:41615", "198.51.100.9:1611"), result.Filtered, "It never arrived.", "Ask for it."),
		path("rdp", "Remote Desktop", 3389, "192.0.2.77:41618", "198.51.100.9:3389"))
	for i := range now.Paths {
		if !now.Paths[i].At.IsZero() {
			now.Paths[i].At = result.TimeOf(now.Paths[i].At.Add(7 * 24 * time.Hour))
		}
	}
	c, err := compare.Reports("dial 0.1.0", old, now)
	if err != nil {
		t.Fatal(err)
	}
	return now, c
}

func renderComparison(t *testing.T, f Format, c *result.Comparison, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Comparison.Write(&b, f, c, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestComparisonsLookAsBefore(t *testing.T) {
	r, c := aWeekLater(t)
	r.Compared = c
	for name, got := range map[string]string{"comparison": renderComparison(t, Text, c, Options{}), "compared": render(t, Text, r, Options{})} {
		isGolden(t, name+".golden", got)
		for _, line := range strings.Split(got, "\n") {
			if width(line) > usualWidth {
				t.Errorf("%s: more than %d columns: %s", name, usualWidth, line)
			}
		}
	}
}

// "It worked yesterday" is answered in the first sentence, whatever became of it.
func TestTheComparisonsAnswer(t *testing.T) {
	ok := func(flow string) result.Path {
		return path(flow, flow, 1, "192.0.2.5:50001", "198.51.100.9:1")
	}
	bad := func(flow string, v result.Verdict) result.Path { return broken(ok(flow), v, "", "") }
	elsewhere := func(r *result.Report) { r.From = result.End{Host: "ws-9", Addresses: result.ParseAddrs("192.0.2.9")} }
	for _, c := range []struct {
		name     string
		old, now []result.Path
		edit     func(*result.Report)
		want     string
	}{
		{"all still", []result.Path{ok("a"), ok("b")}, []result.Path{ok("a"), ok("b")}, nil, "All 2 required paths that worked on 2026-03-17 21:51 UTC work now, too."},
		{"the one", []result.Path{ok("a")}, []result.Path{ok("a")}, nil, "The one required path that worked on 2026-03-17 21:51 UTC works now, too."},
		{"one stopped", []result.Path{ok("a"), ok("b")}, []result.Path{ok("a"), bad("b", result.Filtered)}, nil,
			"1 of 2 required paths that worked on 2026-03-17 21:51 UTC does not work now: b (was open, is filtered)."},
		{"one never did", []result.Path{ok("a"), bad("b", result.Filtered)}, []result.Path{ok("a"), bad("b", result.Filtered)}, nil,
			"The one required path that worked on 2026-03-17 21:51 UTC works now, too. What fails in both reports is not new: b."},
		{"one works since", []result.Path{ok("a"), bad("b", result.Filtered)}, []result.Path{ok("a"), ok("b")}, nil,
			"The one required path that worked on 2026-03-17 21:51 UTC works now, too. 1 did not work then and does now: b."},
		{"live software has it now", []result.Path{ok("a"), ok("b")}, []result.Path{ok("a"), bad("b", result.Arrived)}, nil,
			"Of 2 required paths that worked on 2026-03-17 21:51 UTC, nothing shows that any stopped working. Of b it is not known whether it works now: it was not tested, or what answered proves nothing."},
		{"nothing worked", []result.Path{bad("a", result.Filtered)}, []result.Path{bad("a", result.Filtered)}, nil,
			"No required path is known to have worked on 2026-03-17 21:51 UTC. What fails in both reports is not new: a."},
		{"from another machine", []result.Path{ok("a")}, []result.Path{bad("a", result.Filtered)}, elsewhere,
			"1 of 1 required path that worked from ws-114.example.edu does not work from ws-9: a (was open, is filtered). Beside that the address of the machine that dialed is not as it was."},
	} {
		old, now := with(base(), c.old...), with(base(), c.now...)
		old.Run = "other"
		if c.edit != nil {
			c.edit(now)
		}
		d, err := compare.Reports("dial", old, now)
		if err != nil {
			t.Fatal(err)
		}
		out := renderComparison(t, Text, d, Options{})
		for _, n := range []int{0, -1} {
			if got := paragraph(out, n); got != c.want {
				t.Errorf("%s, paragraph %d:\ngot  %s\nwant %s", c.name, n, got, c.want)
			}
		}
	}
}

func TestComparisonsMatchTheirSchema(t *testing.T) {
	_, c := aWeekLater(t)
	schema := compile(t, comparisonSchema)
	if err := schema.Validate(decode(t, renderComparison(t, JSON, c, Options{}))); err != nil {
		t.Error(err)
	}
	doc := readSchema(t, comparisonSchema)
	defs := doc["$defs"].(map[string]any)
	for _, d := range []struct {
		schema any
		value  any
	}{
		{doc, result.Comparison{}}, {doc["properties"].(map[string]any)["summary"], result.ComparisonSummary{}}, {defs["compared"], result.Compared{}},
		{defs["difference"], result.Difference{}}, {defs["path_change"], result.PathChange{}}, {defs["path_state"], result.PathState{}},
	} {
		describes(t, d.schema.(map[string]any), reflect.TypeOf(d.value))
	}
	for _, a := range result.Aspects {
		if aspectNames[a] == "" {
			t.Errorf("aspect %s has no name for people", a)
		}
	}
	if n := len(constants(t, "../result")["Aspect"]); len(result.Aspects) != n {
		t.Errorf("Aspects has %d, there are %d", len(result.Aspects), n)
	}
}

// What a report brings of an earlier one is within the same bounds, and reads back.
func TestAComparedReportReadsBack(t *testing.T) {
	r, c := aWeekLater(t)
	r.Compared = c
	text := render(t, JSON, r, Options{})
	if err := compileSchema(t).Validate(decode(t, text)); err != nil {
		t.Error(err)
	}
	if err := compile(t, comparisonSchema).Validate(decode(t, text)["compared"]); err != nil {
		t.Error(err)
	}
	back, err := result.ParseReport([]byte(text), result.MaxReport)
	if err != nil || back.Compared == nil || back.Compared.Summary != c.Summary {
		t.Fatalf("%+v, %v", back, err)
	}
	if _, err := result.ParseReport([]byte(strings.Replace(text, `"change": "worse"`, `"change": "awful"`, 1)), result.MaxReport); err == nil || !strings.Contains(err.Error(), "awful") {
		t.Errorf("an unknown change: %v", err)
	}
}

// Nothing that the far end of either run says of itself does anything on a screen.
func TestComparisonsShowWhatPeersSaySafely(t *testing.T) {
	evil := "\x1b[2J\u202e\nx"
	real := func(software string) result.Path {
		p := path("a", evil, 1, "192.0.2.5:50001", "198.51.100.9:1")
		p.Initiator = &result.Initiator{Conversation: &result.Conversation{Software: software}}
		return p
	}
	old, now := with(base(), real("v1")), with(base(), real(evil))
	old.Run, old.Plan, now.To.Host = "other", evil, evil
	old.Paths[0].Direction, now.Paths[0].Direction = plan.Forward, plan.Forward
	d, err := compare.Reports("dial", old, now)
	if err != nil {
		t.Fatal(err)
	}
	now.Compared = d
	for _, out := range []string{renderComparison(t, Text, d, Options{}), renderComparison(t, JSON, d, Options{}), render(t, Text, now, Options{})} {
		if strings.ContainsAny(out, "\x1b\u202e") || !strings.Contains(out, "202e") {
			t.Errorf("%q", out)
		}
	}
}
