package lab

import (
	"strings"
	"testing"

	"dialtone/internal/result"
)

// TestAddresses plays every file in addresses/: NATs of all kinds, and what dial
// address says of each.
func TestAddresses(t *testing.T) {
	needLab(t)
	all, err := Load("addresses")
	if err != nil {
		t.Fatal(err)
	}
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			var run AddressRun
			var wrong []string
			twice(t, func() ([]string, bool) {
				var err error
				if run, err = PlayAddress(t.Context(), up(t), bin, s, t.TempDir()); err != nil {
					wrong = []string{err.Error()}
				} else {
					wrong = JudgeAddress(s, run)
				}
				if len(wrong) > 0 {
					t.Logf("The report:\n%s\nWhat the programs said:\n%s", run.Text, run.Log)
				}
				return wrong, true
			})
			if len(wrong) > 0 {
				t.Errorf("%s\n\n  %s", s.About, strings.Join(wrong, "\n  "))
			}
		})
	}
}

func TestEveryAddressScenarioFileIsValid(t *testing.T) {
	all, err := Load("addresses")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if len(s.Dial.Args) == 0 || s.Dial.Args[0] != "address" || len(s.Findings) == 0 || len(s.Expect) > 0 {
			t.Errorf("%s: it must run dial address and name its findings, and has no paths to expect anything of", s.Name)
		}
	}
}

func TestJudgeAddress(t *testing.T) {
	run := AddressRun{Run: Run{Text: "Partners see you as\n  192.0.2.7."}, Report: result.AddressReport{Schema: result.AddressSchema}}
	run.Report.Findings = []result.Finding{{Code: "seen"}, {Code: "nat"}}
	s := Scenario{Findings: []result.Code{"nat", "seen"}, Says: []string{"see you as 192.0.2.7"}}
	if wrong := JudgeAddress(s, run); wrong != nil {
		t.Errorf("right, and called %v", wrong)
	}
	for name, change := range map[string]func(*Scenario, *AddressRun){
		"exit":           func(s *Scenario, _ *AddressRun) { s.Exit = 3 },
		"missing":        func(s *Scenario, _ *AddressRun) { s.Findings = []result.Code{"nat", "seen", "cgnat"} },
		"unexpected":     func(s *Scenario, _ *AddressRun) { s.Findings = []result.Code{"nat"} },
		"not said":       func(s *Scenario, _ *AddressRun) { s.Says = []string{"192.0.2.8"} },
		"other document": func(_ *Scenario, r *AddressRun) { r.Report.Schema = result.Schema },
	} {
		s, run := s, run
		change(&s, &run)
		if wrong := JudgeAddress(s, run); len(wrong) != 1 {
			t.Errorf("%s: %q", name, wrong)
		}
	}
}
