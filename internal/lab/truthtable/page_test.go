package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dialtone/internal/lab"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

var update = flag.Bool("update", false, "write testdata/page.md anew")

func said(v result.Verdict, over plan.Transport, words string, c claim) testimony {
	tr := truth{verdict: v, transport: over}
	return testimony{tr, words, int(c), gradeOther(tr, c)}
}

func dialSaid(want, got result.Verdict, over plan.Transport) testimony {
	tr := truth{verdict: want, transport: over}
	return testimony{tr, string(got), verdictRank(got), gradeDial(tr, got)}
}

func someOutcomes() []outcome {
	return []outcome{
		{
			scenario: lab.Scenario{Name: "sql-dropped", About: "SQL is dropped\nby a pipe |"},
			dial:     []testimony{dialSaid(result.Filtered, result.Filtered, plan.TCP), dialSaid(result.Open, result.Open, plan.UDP)},
			paths:    3,
			others: map[string][]testimony{
				"nmap": {said(result.Filtered, plan.TCP, "filtered (no-response)", claimSilence), said(result.Open, plan.UDP, "open|filtered (no-response)", claimOpenOrBlocked)},
				"nc":   {said(result.Filtered, plan.TCP, "timed out", claimSilence), said(result.Open, plan.UDP, "succeeded", claimOpen)},
			},
		},
		{
			scenario: lab.Scenario{Name: "loss", About: "Some is lost", Alone: "it is random"},
			dial:     []testimony{dialSaid(result.Open, result.Filtered, plan.TCP)},
			paths:    1,
		},
		{
			scenario: lab.Scenario{Name: "mtu", About: "Large packets vanish"},
			dial:     []testimony{dialSaid(result.MTUHole, result.MTUHole, plan.TCP)},
			paths:    1,
			others: map[string][]testimony{
				"nmap": {said(result.MTUHole, plan.TCP, "open (syn-ack)", claimOpen)},
				"nc":   {said(result.MTUHole, plan.TCP, "succeeded", claimOpen)},
			},
		},
	}
}

func someSubjects() []subject {
	return []subject{
		{name: "dial", forms: []string{"dial HOST"}},
		{name: "nmap", version: "Nmap version 1", forms: []string{"nmap ADDRESS"}},
		{name: "nc", version: "netcat 1", forms: []string{"nc ADDRESS PORT", "nc -u ADDRESS PORT"}},
	}
}

func TestPage(t *testing.T) {
	got := page(inOrder(someOutcomes(), someSubjects()))
	golden := filepath.Join("testdata", "page.md")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (go test ./internal/lab/truthtable -update, then git diff):\n%s", golden, got)
	}
	for line := range strings.Lines(got) {
		if strings.HasPrefix(line, "|") && !strings.HasSuffix(line, "|\n") {
			t.Errorf("not a row: %q", line)
		}
	}
}

func TestPageDoesNotDependOnWhichEndedFirst(t *testing.T) {
	a := someOutcomes()
	b := someOutcomes()
	slices.Reverse(b)
	if page(inOrder(a, someSubjects())) != page(inOrder(b, someSubjects())) {
		t.Error("the order shows")
	}
}

func TestCompareShowsWhatChanged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "page.md")
	if err := os.WriteFile(path, []byte("a\nb\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if same, err := compare(t.Context(), path, "a\nb\n", filepath.Join(dir, "new"), &out); !same || err != nil || out.Len() > 0 {
		t.Errorf("equal pages: %t, %v, %q", same, err, out.String())
	}
	same, err := compare(t.Context(), path, "a\nc\n", filepath.Join(dir, "new"), &out)
	if same || err != nil || !strings.Contains(out.String(), "-b\n+c\n") {
		t.Errorf("unequal pages: %t, %v, %q", same, err, out.String())
	}
}

func TestWrongUseEndsWith2(t *testing.T) {
	for _, args := range [][]string{{"--nonsense"}, {"sql-dropped"}, {"--only", "("}, {"--dials", "0"}} {
		var out, errs strings.Builder
		if status := run(t.Context(), args, &out, &errs); status != 2 || errs.Len() == 0 || out.Len() > 0 {
			t.Errorf("%v: status %d, %q, %q", args, status, out.String(), errs.String())
		}
	}
}
