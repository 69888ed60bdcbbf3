package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/result"
)

// An AddressRun is what came of playing a scenario of dial address.
type AddressRun struct {
	Run
	Report result.AddressReport // in place of Run's
}

// PlayAddress is Play for a scenario in which dial finds out its address.
func PlayAddress(ctx context.Context, l *Lab, bin Binaries, s Scenario, dir string) (AddressRun, error) {
	run, err := Play(ctx, l, bin, s, dir)
	if err != nil {
		return AddressRun{Run: run}, err
	}
	out := AddressRun{Run: run}
	if err := json.Unmarshal(run.JSON, &out.Report); err != nil {
		return out, fmt.Errorf("dial's address report: %w", err)
	}
	return out, nil
}

// JudgeAddress compares what dial address found with what s says, and returns
// what is wrong. The findings must be those of s, all of them and in any order.
func JudgeAddress(s Scenario, run AddressRun) (wrong []string) {
	if run.Exit != s.Exit {
		wrong = append(wrong, fmt.Sprintf("exit status %d, want %d", run.Exit, s.Exit))
	}
	if run.Report.Schema != result.AddressSchema {
		wrong = append(wrong, fmt.Sprintf("schema %q", run.Report.Schema))
	}
	var got []result.Code
	for _, f := range run.Report.Findings {
		got = append(got, f.Code)
	}
	want := slices.Sorted(slices.Values(s.Findings))
	if slices.Sort(got); !slices.Equal(got, want) {
		wrong = append(wrong, fmt.Sprintf("findings %v, want %v", got, want))
	}
	text := strings.Join(strings.Fields(run.Text), " ") // however it is wrapped
	for _, says := range s.Says {
		if !strings.Contains(text, says) {
			wrong = append(wrong, fmt.Sprintf("does not say %q", says))
		}
	}
	return wrong
}
