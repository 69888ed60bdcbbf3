package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// allHostile is a report in which the far end, and whoever wrote the plan, say what they
// like.
func allHostile() *result.Report {
	evil := "</a>\"'&<b>\x1b[2J\n# h\n| x | `y` ```` ]]> {\\\"} \u202e \x00 \ufffe \ud7ff"
	r := mixedBag()
	r.To.Host, r.From.Host, r.Plan, r.Tool = evil, evil, evil, evil
	for i := range r.Paths {
		p := &r.Paths[i]
		p.Service, p.Why, p.Flow = evil, evil, p.Flow+evil
		if p.Finding != nil {
			p.Finding.Text, p.Finding.Advice = evil+p.Finding.Text, evil+p.Finding.Advice
		}
	}
	r.Findings = []result.Finding{{Code: "wrong-key", Text: evil, Advice: evil}}
	return r
}

var formReports = map[string]func() *result.Report{
	"all open": allOpen, "mixed": mixedBag, "no contact": noContact, "interrupted": interrupted, "two families": twoFamilies, "no paths": base,
	"every verdict": everything, "hostile": allHostile,
}

// Text and requests have golden files for much more than this, and a page is looked at in
// a browser (TestABrowserShowsThePagesOfRealRuns).
func TestEveryFormLooksAsBefore(t *testing.T) {
	for _, f := range Paths.Forms {
		if f.Format == Text || f.Format == HTML || f.Format == Requests {
			continue
		}
		t.Run(string(f.Format), func(t *testing.T) {
			got := render(t, f.Format, mixedBag(), Options{})
			isGolden(t, "mixed"+f.Ext+".golden", got)
		})
	}
}

// Whatever a report holds, no form of it lets through what acts on a terminal or breaks
// the text's encoding, and none changes what it renders.
func TestEveryFormIsSafeToLookAt(t *testing.T) {
	for name, of := range formReports {
		for _, f := range Paths.Forms {
			r := of()
			out := render(t, f.Format, r, Options{Width: 80})
			if !utf8.ValidString(out) {
				t.Errorf("%s as %s: no UTF-8", name, f.Format)
			}
			if i := strings.IndexFunc(out, func(c rune) bool { return c != '\n' && unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) }); i >= 0 {
				t.Errorf("%s as %s: %q acts on a terminal", name, f.Format, out[i:min(i+20, len(out))])
			}
			if !reflect.DeepEqual(r, of()) {
				t.Errorf("%s as %s: rendering it changed it", name, f.Format)
			}
		}
	}
}

// A real reader of Markdown finds the report's own headings, one table for each place
// with a row for each line of paths, and nothing that the report's texts brought.
func TestMarkdownReadsAsWritten(t *testing.T) {
	for name, make := range formReports {
		r := make()
		src := []byte(render(t, Markdown, r, Options{}))
		doc := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(src))
		rows, headings := 0, 0
		err := ast.Walk(doc, func(n ast.Node, enter bool) (ast.WalkStatus, error) {
			if !enter {
				return ast.WalkContinue, nil
			}
			switch n.Kind() {
			case ast.KindHeading:
				headings++
			case east.KindTableRow:
				rows++
				if n.ChildCount() != 5 {
					t.Errorf("%s: a row of %d cells", name, n.ChildCount())
				}
			case ast.KindHTMLBlock, ast.KindRawHTML, ast.KindLink, ast.KindAutoLink, ast.KindImage, ast.KindThematicBreak, ast.KindCodeBlock, east.KindStrikethrough:
				t.Errorf("%s: a %s that nobody wrote", name, n.Kind())
			}
			return ast.WalkContinue, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, l := range places(r) {
			want += len(l.bundles)
		}
		if rows != want {
			t.Errorf("%s: %d rows, want %d", name, rows, want)
		}
		if headings != strings.Count("\n"+string(src), "\n# ")+strings.Count("\n"+string(src), "\n## ") || strings.Count("\n"+string(src), "\n# ") != 1 {
			t.Errorf("%s: %d headings:\n%s", name, headings, src)
		}
		if strings.ContainsAny(string(src), "\x1b\x00\u202e") {
			t.Errorf("%s: what acts on a terminal is in it", name)
		}
	}
}

func TestMarkdownHasTheAnswerAndTheRequests(t *testing.T) {
	out := render(t, Markdown, mixedBag(), Options{})
	for _, want := range []string{
		"**5 of 8 required paths are not as they should be: ", "| NO | filtered | 1433/tcp | SQL Server (TDS) | sql-client |\n",
		"Ask for TCP ports 1433 and 1344 from 192.0.2.5 to 198.51.100.9 to be opened", "## For the firewall team\n\n```text\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
	if out := render(t, Markdown, allOpen(), Options{}); strings.Contains(out, "For the firewall team") {
		t.Error("there is nothing to ask for, and a request")
	}
}

// An xmlNode is any element, as encoding/xml reads it.
type xmlNode struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []xmlNode  `xml:",any"`
	Text     string     `xml:",chardata"`
}

func (n xmlNode) attr(name string) string {
	for _, a := range n.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (n xmlNode) all(name string) []xmlNode {
	var out []xmlNode
	for _, c := range n.Children {
		if c.XMLName.Local == name {
			out = append(out, c)
		}
	}
	return out
}

// junitShape is what each element may hold, in which order, and which attributes it
// has to have: JUnit's form as Jenkins checks it (xunit plugin, junit-10.xsd).
var junitShape = map[string]struct {
	children string // names in order, as a regular expression
	attrs    []string
}{
	"testsuites": {"(testsuite )*", nil},
	"testsuite":  {"(properties )?(testcase )*(system-out )?(system-err )?", []string{"name", "tests", "failures", "errors"}},
	"properties": {"(property )*", nil},
	"property":   {"", []string{"name", "value"}},
	"testcase":   {"(skipped |error |failure )*(system-out )*", []string{"name"}},
	"failure":    {"", nil}, "error": {"", nil}, "skipped": {"", nil}, "system-out": {"", nil},
}

func checkJUnit(t *testing.T, where string, n xmlNode) {
	t.Helper()
	shape, ok := junitShape[n.XMLName.Local]
	if !ok {
		t.Errorf("%s: there is no element %s", where, n.XMLName.Local)
		return
	}
	names := ""
	for _, c := range n.Children {
		names += c.XMLName.Local + " "
		checkJUnit(t, where, c)
	}
	if !regexp.MustCompile("^" + shape.children + "$").MatchString(names) {
		t.Errorf("%s: %s has %s", where, n.XMLName.Local, names)
	}
	for _, a := range shape.attrs {
		if n.attr(a) == "" {
			t.Errorf("%s: %s without %s", where, n.XMLName.Local, a)
		}
	}
}

func readJUnit(t *testing.T, r *result.Report) xmlNode {
	t.Helper()
	out := render(t, JUnit, r, Options{})
	d := xml.NewDecoder(strings.NewReader(out))
	var root xmlNode
	if err := d.Decode(&root); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	if _, err := d.Token(); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return root
}

func TestJUnitIsWhatReadersOfItExpect(t *testing.T) {
	for name, make := range formReports {
		root := readJUnit(t, make())
		checkJUnit(t, name, root)
		suite := root.all("testsuite")[0]
		counts, names := map[string]int{}, map[string]bool{}
		for _, c := range suite.all("testcase") {
			counts["tests"]++
			if id := c.attr("classname") + c.attr("name"); names[id] && name != "hostile" {
				t.Errorf("%s: two cases %s", name, id)
			} else {
				names[id] = true
			}
			for what, key := range map[string]string{"failure": "failures", "error": "errors", "skipped": "skipped"} {
				counts[key] += len(c.all(what))
			}
		}
		for _, key := range []string{"tests", "failures", "errors", "skipped"} {
			if suite.attr(key) != fmt.Sprint(counts[key]) {
				t.Errorf("%s: %s=%s, there are %d", name, key, suite.attr(key), counts[key])
			}
		}
	}
}

// What a build goes by: it passes only where every path that counts was tested and is
// as it should be.
func TestJUnitFailsWhereDialDoes(t *testing.T) {
	fine := path("a", "A", 1, "192.0.2.5:50001", "198.51.100.9:1")
	filtered := broken(fine, result.Filtered, "It never arrived.", "Ask for it.")
	untested := broken(path("b", "B", 2, "", ""), result.Untested, "Not its turn.", "")
	for _, c := range []struct {
		name   string
		r      *result.Report
		want   string // of the last case
		builds bool
	}{
		{"open", with(base(), fine), "", true},
		{"filtered", with(base(), filtered), "failure filtered: It never arrived.", false},
		{"not required", with(base(), uncounted(filtered, plan.Optional)), "skipped does not count: filtered: It never arrived.", true},
		{"untested", with(base(), untested), "error untested: Not its turn.", false},
		{"untested, not required", with(base(), uncounted(untested, plan.Optional)), "skipped does not count: untested: Not its turn.", true},
		{"nothing at all", base(), "error No path was tested, so nothing is known.", false},
		{"interrupted", func() *result.Report { r := with(base(), fine); r.Interrupted = true; return r }(), "error Interrupted, so this is not the whole picture. The one required path works.", false},
	} {
		root := readJUnit(t, c.r)
		cases := root.all("testsuite")[0].all("testcase")
		got := ""
		for _, x := range cases[len(cases)-1].Children {
			got = x.XMLName.Local + " " + x.attr("message")
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if builds := root.attr("failures") == "0" && root.attr("errors") == "0"; builds != c.builds {
			t.Errorf("%s: passes %v, want %v", c.name, builds, c.builds)
		}
	}
}

// Prometheus' own parser reads it; no series stands there twice.
func TestPrometheusReadsIt(t *testing.T) {
	for name, make := range formReports {
		r := make()
		out := render(t, Prom, r, Options{})
		p := expfmt.NewTextParser(model.LegacyValidation)
		families, err := p.TextToMetricFamilies(strings.NewReader(out))
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		for _, f := range families {
			if f.GetHelp() == "" || !strings.HasPrefix(f.GetName(), "dialtone_") {
				t.Errorf("%s: %s without help, or of another name", name, f.GetName())
			}
			seen := map[string]bool{}
			for _, m := range f.GetMetric() {
				key := fmt.Sprint(m.GetLabel())
				if seen[key] {
					t.Errorf("%s: %s%s twice", name, f.GetName(), key)
				}
				seen[key] = true
			}
		}
		if tested := families["dialtone_path_tested"]; len(r.Paths) > 0 && len(tested.GetMetric()) != len(distinct(r)) {
			t.Errorf("%s: %d paths of %d", name, len(tested.GetMetric()), len(distinct(r)))
		}
	}
}

// What was not tested is not 0: it is absent.
func TestPrometheusDoesNotCallTheUnknownBroken(t *testing.T) {
	real := path("egress", "HTTPS", 443, "192.0.2.5:50009", "198.51.100.9:443")
	real.Verdict, real.Proof, real.Host = result.Answered, result.ProofService, `a\b".example`
	real.Initiator = &result.Initiator{Conversation: &result.Conversation{Facts: []result.Fact{{Name: "not after", Value: "2027-01-02T03:04:05Z"}}}}
	r := with(base(), path("sql-client", "SQL", 1433, "192.0.2.5:50001", "198.51.100.9:1433"),
		broken(path("odyssey-client", "Odyssey", 7968, "192.0.2.5:50002", "198.51.100.9:7968"), result.Filtered, "", ""),
		broken(path("platform", "Web", 443, "", ""), result.Untested, "", ""), real)
	out := render(t, Prom, r, Options{})
	for _, want := range []string{
		`dialtone_path_ok{flow="sql-client",direction="forward",family="ip4",transport="tcp",port="1433",target="library.example.edu",required="true"} 1`,
		`dialtone_path_ok{flow="odyssey-client",direction="forward",family="ip4",transport="tcp",port="7968",target="library.example.edu",required="true"} 0`,
		`dialtone_path_tested{flow="platform",direction="forward",family="ip4",transport="tcp",port="443",target="library.example.edu",required="true"} 0`,
		`dialtone_path_verdict_info{flow="platform",direction="forward",family="ip4",transport="tcp",port="443",target="library.example.edu",required="true",verdict="untested"} 1`,
		`dialtone_path_rtt_seconds{flow="sql-client",direction="forward",family="ip4",transport="tcp",port="1433",target="library.example.edu",required="true"} 0.00071`,
		`dialtone_certificate_not_after_timestamp_seconds{flow="egress",direction="forward",family="ip4",transport="tcp",port="443",target="a\\b\".example",required="true"} 1798859045`,
		`dialtone_required_paths{plan="illiad",target="library.example.edu",state="untested"} 1`,
		`dialtone_run_ok{plan="illiad",target="library.example.edu"} 0`,
		`dialtone_run_start_timestamp_seconds{plan="illiad",target="library.example.edu"} 1773784300.123`,
	} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("%s is missing:\n%s", want, out)
		}
	}
	if strings.Contains(out, `dialtone_path_ok{flow="platform"`) {
		t.Error("an untested path is shown as broken")
	}
}
