package consortium

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"dialtone/internal/merge"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

func report(run string) *result.Report {
	return &result.Report{
		Schema: result.Schema, Run: run, Mode: result.ModePaths, Started: result.TimeOf(time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)),
		Paths: []result.Path{{
			Flow: "odyssey-out", Port: 7968, Transport: plan.TCP, Direction: plan.Forward, Family: result.IP4, Expect: plan.ExpectOpen,
			Verdict: result.Refused, Proof: result.ProofNone, Initiator: &result.Initiator{Connect: result.ConnectRST, Attempts: 1},
		}},
		Listened: &result.Listened{Arrivals: []result.Arrival{{Detail: "another partner"}}},
	}
}

func encoded(t *testing.T, r *result.Report) string {
	t.Helper()
	b, err := result.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func file(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func open(t *testing.T, name string, again bool) *Progress {
	t.Helper()
	p, err := Open(file(t, name), again)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func add(t *testing.T, p *Progress, partner, test string) {
	t.Helper()
	if err := p.Add(partner, test, report("run of "+partner)); err != nil {
		t.Fatal(err)
	}
}

func TestWhatWasTestedIsKnownAfterARunThatWasKilled(t *testing.T) {
	name := filepath.Join(t.TempDir(), "list.csv.progress")
	first := open(t, name, false)
	add(t, first, "A", "1")
	add(t, first, "B", "1")
	second := open(t, name, false) // the first was never closed
	want := report("run of A")
	want.Listened = nil
	if got, want := encoded(t, second.Report("A", "1")), encoded(t, merge.Sound(want)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if second.Report("B", "1") == nil {
		t.Error("B is not known")
	}
	for _, k := range [][2]string{{"A", "2"}, {"C", "1"}} {
		if second.Report(k[0], k[1]) != nil {
			t.Errorf("%v was not tested", k)
		}
	}
	add(t, second, "C", "1")
	third := open(t, name, false)
	for _, partner := range []string{"A", "B", "C"} {
		if third.Report(partner, "1") == nil {
			t.Errorf("%s is not known", partner)
		}
	}
	if err := third.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

// Each line holds the document that docs/report.schema.json describes.
func TestProgressHoldsDocumentsOfTheSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "docs", "report.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join("..", "merge", "testdata", "mixed-a.json"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := result.ParseReport(b, result.MaxReport)
	if err != nil {
		t.Fatal(err)
	}
	// As a run leaves it in memory.
	r.Started = result.TimeOf(r.Started.Add(123_456 * time.Nanosecond))
	r.Findings, r.OutOfScope, r.From.Addresses, r.Paths[0].Notes, r.Summary.Verdicts, r.Paths[1].At = nil, nil, nil, nil, nil, result.Time{}
	name := filepath.Join(t.TempDir(), "p")
	p := open(t, name, false)
	if err := p.Add("A", "1", r); err != nil {
		t.Fatal(err)
	}
	if b, err = os.ReadFile(name); err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
	if len(lines) != 2 {
		t.Fatalf("%d lines", len(lines))
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(lines[1]))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(v.(map[string]any)["report"]); err != nil {
		t.Error(err)
	}
}

// Whoever can write the file can write that a path is open.
func TestProgressClaimsNoMoreThanItsEvidence(t *testing.T) {
	name := filepath.Join(t.TempDir(), "p")
	r := report("run")
	p := &r.Paths[0]
	p.Verdict, p.Proof, p.OK, p.Counted, p.Initiator = result.Open, result.ProofKeyed, true, true, nil
	r.Summary = result.Summary{OK: true, Counted: 1}
	if err := open(t, name, false).Add("A", "1", r); err != nil {
		t.Fatal(err)
	}
	got := open(t, name, false).Report("A", "1")
	if got == nil || got.Paths[0].OK || got.Paths[0].Verdict != result.Untested || got.Summary.OK {
		t.Errorf("%+v", got)
	}
}

// However far the last write came, what was whole before it counts, and what is
// added later is read again.
func TestALineThatWasBeingWrittenDoesNotCount(t *testing.T) {
	name := filepath.Join(t.TempDir(), "p")
	p := open(t, name, false)
	add(t, p, "A", "1")
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	add(t, p, "B", "1")
	after, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(after); n += 1 + n/50 {
		if err := os.WriteFile(name, after[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		cut := open(t, name, false)
		if known := cut.Report("A", "1") != nil; known != (n >= len(before)) {
			t.Errorf("cut at %d: A known is %v", n, known)
		}
		if cut.Report("B", "1") != nil {
			t.Errorf("cut at %d: B is known", n)
		}
		add(t, cut, "C", "1")
		cut.Close()
		if open(t, name, false).Report("C", "1") == nil {
			t.Errorf("cut at %d: what was added is lost", n)
		}
	}
}

func TestADamagedLineCostsItsPartnerAlone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "p")
	p := open(t, name, false)
	for _, partner := range []string{"A", "B", "C"} {
		add(t, p, partner, "1")
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(b, []byte("\n"))
	lines[2] = bytes.Replace(lines[2], []byte(`"refused"`), []byte(`"splendid"`), 1)
	if err := os.WriteFile(name, bytes.Join(lines, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	again := open(t, name, false)
	if again.Report("A", "1") == nil || again.Report("B", "1") != nil || again.Report("C", "1") == nil {
		t.Errorf("%v", again.done)
	}
}

func TestAgainDropsWhatWasTested(t *testing.T) {
	name := filepath.Join(t.TempDir(), "p")
	add(t, open(t, name, false), "A", "1")
	if open(t, name, true).Report("A", "1") != nil || open(t, name, false).Report("A", "1") != nil {
		t.Error("A is still known")
	}
}

func TestAFileOfSomethingElseIsLeftAlone(t *testing.T) {
	for _, text := range []string{"name,host\n", "x", `{"schema":"dialtone.progress/2"}` + "\n", "{\"schema\":\"dialtone.report/1\"}\n"} {
		for _, again := range []bool{false, true} {
			name := filepath.Join(t.TempDir(), "p")
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(file(t, name), again); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), name) {
				t.Errorf("%q: %v", text, err)
			}
			if b, _ := os.ReadFile(name); string(b) != text {
				t.Errorf("%q became %q", text, b)
			}
		}
	}
}

func TestAnotherTestHasAnotherDigest(t *testing.T) {
	base := Test{Hosts: []string{"a", "b"}, Plan: "p", Flows: []Flow{{"odyssey-out", "forward", 7968, true}}, Key: []byte{1, 2}}
	seen := map[string]bool{base.Digest(): true}
	for _, change := range []func(*Test){
		func(t *Test) { t.Hosts = []string{"b", "a"} }, func(t *Test) { t.Plan = "q" }, func(t *Test) { t.Flows = nil },
		func(t *Test) { t.Flows = []Flow{{"odyssey-out", "forward", 17968, true}} }, func(t *Test) { t.Shift = 1 },
		func(t *Test) { t.Timeout = 1 }, func(t *Test) { t.Hold = 1 }, func(t *Test) { t.Key = []byte{1, 3} },
	} {
		c := base
		change(&c)
		if d := c.Digest(); seen[d] {
			t.Errorf("%+v has the digest of another", c)
		} else {
			seen[d] = true
		}
	}
	if d := base.Digest(); !seen[d] {
		t.Error("a digest changed by itself")
	}
}

func FuzzProgress(f *testing.F) {
	name := filepath.Join(f.TempDir(), "p")
	p, err := Open(file(f, name), false)
	if err != nil {
		f.Fatal(err)
	}
	if err := p.Add("A", "1", report("r")); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)-9])
	f.Add([]byte("{\"schema\":\"dialtone.progress/1\"}\n\n{}\n{\"partner\":\"A\",\"report\":null}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &Progress{done: map[key]*result.Report{}}
		whole, err := p.read(bytes.NewReader(b))
		switch {
		case err != nil && (!errors.Is(err, ErrForeign) || whole != 0 || len(p.done) > 0):
			t.Errorf("%d bytes and %d partners with error %v", whole, len(p.done), err)
		case err == nil && whole != int64(bytes.LastIndexByte(b, '\n')+1):
			t.Errorf("%d of %d bytes are whole lines", whole, len(b))
		}
	})
}
