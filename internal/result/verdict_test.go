package result

import (
	"os"
	"regexp"
	"testing"
)

func TestEveryVerdictHasARowAndIsDescribed(t *testing.T) {
	seen := map[Verdict]bool{}
	reach := map[int]Verdict{}
	for _, r := range VerdictRows {
		if seen[r.Verdict] || r.Verdict == "" {
			t.Errorf("%q is there twice, or is none", r.Verdict)
		}
		if other := reach[r.Reach]; other != "" || r.Reach < 1 {
			t.Errorf("%s reaches %d, as %q does", r.Verdict, r.Reach, other)
		}
		seen[r.Verdict], reach[r.Reach] = true, r.Verdict
		for _, v := range r.Becomes {
			if v.Row().Verdict != v {
				t.Errorf("%s becomes %q, which is no verdict", r.Verdict, v)
			}
		}
		if r.Verdict != Open && r.Verdict != Untested && r.Reach >= Open.Row().Reach {
			t.Errorf("%s reaches as far as open", r.Verdict)
		}
	}
	for _, v := range constants(t, ".")["Verdict"] {
		if !seen[Verdict(v)] {
			t.Errorf("%s has no row", v)
		}
	}
	page, err := os.ReadFile("../../docs/verdicts.md")
	if err != nil {
		t.Fatal(err)
	}
	described := regexp.MustCompile("(?m)^### `([a-z-]+)`$").FindAllSubmatch(page, -1)
	for _, d := range described {
		if v := Verdict(d[1]); !seen[v] {
			t.Errorf("docs/verdicts.md describes %s, which is none, or twice", v)
		} else {
			seen[v] = false
		}
	}
	for v, isLeft := range seen {
		if isLeft {
			t.Errorf("docs/verdicts.md does not describe %s", v)
		}
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range Verdicts {
		if !regexp.MustCompile("(?m)^\\| .*`" + string(v) + "`.* \\|").Match(readme) {
			t.Errorf("README.md's table has no %s", v)
		}
	}
	if len(Verdicts) != len(VerdictRows) {
		t.Errorf("%d verdicts in %d rows", len(Verdicts), len(VerdictRows))
	}
}
