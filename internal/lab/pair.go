package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A Partner is a second dial, at the other institution.
type Partner struct {
	Node  string   `yaml:"node"`
	Args  []string `yaml:"args"`
	After string   `yaml:"after"` // how much later it starts, such as 2s
	Exit  int      `yaml:"exit"`
	// Skew is how far its machine's clock is wrong, such as 90s: its half is
	// given to dial merge as that clock would have written it.
	Skew string `yaml:"skew"`
}

// pairWithin bounds two dials that wait for each other.
const pairWithin = 4 * time.Minute

func (p Partner) after() time.Duration { d, _ := time.ParseDuration(p.After); return d }
func (p Partner) skew() time.Duration  { d, _ := time.ParseDuration(p.Skew); return d }

// fault returns what is wrong with p.
func (p Partner) fault() string {
	for _, d := range []string{p.After, p.Skew} {
		if _, err := time.ParseDuration(d); d != "" && err != nil {
			return fmt.Sprintf("%q is no time such as 2s", d)
		}
	}
	if len(p.Args) == 0 {
		return "partner.args is missing: such as [odyssey, --wait, 30s, server.lab]"
	}
	return ""
}

// pair runs both dials. If they do not both have a joined report, what counts is
// what dial merge makes of what they have.
func (st *stage) pair(ctx context.Context, s Scenario, program string) (run Run, err error) {
	ctx, stop := context.WithTimeout(ctx, pairWithin)
	defer stop()
	var theirs Run
	var g errgroup.Group
	g.Go(func() (err error) {
		run, err = st.dial(ctx, s.Dial, program, "here")
		return err
	})
	g.Go(func() (err error) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(s.Partner.after()):
		}
		theirs, err = st.dial(ctx, Dial{Node: s.Partner.Node, Args: s.Partner.Args}, program, "there")
		return err
	})
	if err := g.Wait(); err != nil {
		return run, err
	}
	if theirs.Exit != s.Partner.Exit {
		run.Wrong = append(run.Wrong, fmt.Sprintf("the partner's exit status is %d, want %d", theirs.Exit, s.Partner.Exit))
	}
	run.Text += "\nThe partner's report:\n" + theirs.Text
	if run.Report.Contact != nil && theirs.Report.Contact != nil {
		run.Wrong = append(run.Wrong, disagreements(run.Report, theirs.Report)...)
		return run, nil
	}
	return st.merge(ctx, run, theirs, s, program)
}

// merge joins both halves.
func (st *stage) merge(ctx context.Context, run, theirs Run, s Scenario, program string) (Run, error) {
	files := []string{filepath.Join(st.dir, "here.json"), filepath.Join(st.dir, "there.json")}
	for i, half := range []Run{run, theirs} {
		b := half.JSON
		if i == 1 {
			b = shiftTimes(b, s.Partner.skew())
		}
		if err := os.WriteFile(files[i], b, 0o600); err != nil {
			return run, err
		}
	}
	merged, err := st.dial(ctx, Dial{Node: s.Dial.Node, Args: append([]string{"merge"}, files...)}, program, "merged")
	if err != nil {
		return run, err
	}
	merged.Wrong = run.Wrong
	if run.Exit != s.Exit {
		merged.Wrong = append(merged.Wrong, fmt.Sprintf("exit status %d, want %d", run.Exit, s.Exit))
	}
	merged.Text += "\nThis end's half:\n" + run.Text
	return merged, nil
}

// shiftTimes makes every time in a report later, as a clock that is fast would
// have written it.
func shiftTimes(b []byte, by time.Duration) []byte {
	if by == 0 {
		return b
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return b // dial merge says so
	}
	out, err := json.Marshal(shifted(v, by))
	if err != nil {
		return b
	}
	return out
}

func shifted(v any, by time.Duration) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = shifted(v[k], by)
		}
	case []any:
		for i := range v {
			v[i] = shifted(v[i], by)
		}
	case string:
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return t.Add(by).Format(time.RFC3339Nano)
		}
	}
	return v
}

// disagreements lists on which paths two joined reports of one meeting differ.
func disagreements(a, b result.Report) []string {
	type key struct {
		direction plan.Direction
		transport plan.Transport
		port      int
		family    result.Family
		address   result.Addr
	}
	theirs := map[key]result.Verdict{}
	for _, p := range b.Paths {
		theirs[key{p.Direction.Opposite(), p.Transport, p.PlanPort, p.Family, p.Address}] = p.Verdict
	}
	var out []string
	for _, p := range a.Paths {
		k := key{p.Direction, p.Transport, p.PlanPort, p.Family, p.Address}
		if v, ok := theirs[k]; !ok {
			out = append(out, fmt.Sprintf("the partner's report lacks %s %s %s", p.Flow, p.Direction, p.Family))
		} else if v != p.Verdict {
			out = append(out, fmt.Sprintf("%s %s %s is %s here and %s in the partner's report", p.Flow, p.Direction, p.Family, p.Verdict, v))
		}
		delete(theirs, k)
	}
	for k := range theirs {
		out = append(out, fmt.Sprintf("only the partner's report has %s %d/%s %s", k.direction, k.port, k.transport, k.family))
	}
	return out
}

// within is how long a dial with these arguments may take.
func within(args []string) time.Duration {
	if strings.Contains(strings.Join(args, " "), "--wait") {
		return pairWithin
	}
	return dialWithin
}
