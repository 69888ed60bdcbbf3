// Package compare says what changed between two reports: what worked and does
// not, what works now, and what else differs beside it. It measures and judges
// nothing, and claims no cause: what two reports show is that things differ, and
// between which two moments. Like package merge it is pure.
package compare

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// Errors of two reports that say nothing together.
var (
	ErrSameRun = errors.New("both are reports of the same run")
	ErrOrder   = errors.New("the first began after the second")
	ErrNothing = errors.New("they have no path in common")
)

// Reports compares two reports. Neither is changed. Whether each claims no more
// than its evidence bears is for merge.Sound to see to before.
func Reports(tool string, old, now *result.Report) (*result.Comparison, error) {
	if old.Run == now.Run {
		return nil, ErrSameRun
	}
	c := &result.Comparison{Schema: result.ComparisonSchema, Tool: tool, Relation: relation(old, now), Old: about(old), New: about(now)}
	if c.Relation == result.RelationLater && old.Started.After(now.Started.Time) {
		return nil, ErrOrder
	}
	var common bool
	for _, m := range match(old, now) {
		p := change(old, now, m)
		common = common || p.Old != nil && p.New != nil
		c.Paths = append(c.Paths, p)
		count(&c.Summary, p)
	}
	if !common {
		return nil, ErrNothing
	}
	c.Summary.OK = c.Summary.Worse == 0 && c.Summary.Unknown == 0
	c.Differs = runs(old, now)
	c.Findings = findings(c, old, now)
	return c, nil
}

func about(r *result.Report) result.Compared {
	return result.Compared{
		Run: r.Run, Tool: r.Tool, Started: r.Started, Plan: r.Plan, Mode: r.Mode, From: r.From, To: r.To, Interrupted: r.Interrupted,
		Contact: r.Contact != nil, OK: r.Summary.OK, Counted: r.Summary.Counted, Failed: r.Summary.Failed,
	}
}

// relation says what two runs are to each other. A machine is known by its name:
// its address is what may have changed. Where a name is missing, or is another, an
// address that both have will do.
func relation(old, now *result.Report) result.Relation {
	switch {
	case old.Mode != result.ModeEgress && now.Mode != result.ModeEgress && !isSameEnd(old.To, now.To):
		return result.RelationOtherTarget
	case !isSameEnd(old.From, now.From):
		return result.RelationElsewhere
	}
	return result.RelationLater
}

func isSameEnd(a, b result.End) bool {
	if a.Host != "" && strings.EqualFold(strings.TrimSuffix(a.Host, "."), strings.TrimSuffix(b.Host, ".")) {
		return true
	}
	return slices.ContainsFunc(a.Addresses, func(x netip.Addr) bool { return isTelling(x) && slices.Contains(b.Addresses, x) })
}

// isTelling reports whether an address is one machine's alone.
func isTelling(a netip.Addr) bool { return !a.IsLoopback() && !a.IsLinkLocalUnicast() }

// A pair is a path in both reports; nil: that report does not have it.
type pair struct{ old, now *result.Path }

// match finds each path of one report in the other: by all that names it, else by
// what is left of that where it leaves one on each side.
func match(old, now *result.Report) []pair {
	out := make([]pair, len(now.Paths))
	for i := range now.Paths {
		out[i].now = &now.Paths[i]
	}
	taken := map[*result.Path]bool{}
	for _, name := range []func(*result.Path) string{
		func(p *result.Path) string { return fmt.Sprint(p.Flow, p.Direction, p.Family, p.Address, " ", p.Host) },
		func(p *result.Path) string { return fmt.Sprint(p.Flow, p.Direction, p.Family, p.Address) },
		func(p *result.Path) string { return fmt.Sprint(p.Flow, p.Direction, p.Family) },
		func(p *result.Path) string { return fmt.Sprint(p.PlanKey(), p.From, p.To) }, // the row has another name there
	} {
		left := map[string][]*result.Path{}
		for i := range old.Paths {
			if p := &old.Paths[i]; !taken[p] {
				left[name(p)] = append(left[name(p)], p)
			}
		}
		open := map[string]int{}
		for _, m := range out {
			if m.old == nil {
				open[name(m.now)]++
			}
		}
		for i := range out {
			if n := name(out[i].now); out[i].old == nil && open[n] == 1 && len(left[n]) == 1 {
				out[i].old = left[n][0]
				taken[out[i].old] = true
			}
		}
	}
	for i := range old.Paths {
		if p := &old.Paths[i]; !taken[p] {
			out = append(out, pair{old: p})
		}
	}
	return out
}

// change says what became of a path.
func change(old, now *result.Report, m pair) result.PathChange {
	p := m.now
	if p == nil {
		p = m.old
	}
	c := result.PathChange{
		Flow: p.Flow, Service: p.Service, Port: p.Port, Transport: p.Transport, Direction: p.Direction, Family: p.Family,
		From: p.From, To: p.To, Address: p.Address, Host: p.Host, Counted: p.Counted, Old: state(m.old), New: state(m.now),
	}
	if c.Port == 0 {
		c.Port = p.PlanPort
	}
	switch was, is := tells(m.old), tells(m.now); {
	case !is:
		c.Change = result.ChangeUnknown
	case !was:
		c.Change = result.ChangeFirst
	case m.old.OK && m.now.OK:
		c.Change = result.ChangeStill
	case m.old.OK:
		c.Change = result.ChangeWorse
	case m.now.OK:
		c.Change = result.ChangeBetter
	default:
		c.Change = result.ChangeBroken
	}
	if m.old != nil && m.now != nil {
		c.Differs = paths(old, now, m)
	}
	return c
}

// tells reports whether a report says of a path that it works, or that it does not.
// Where something answered and proves nothing, as live software does whose language
// nobody knows, it says neither.
func tells(p *result.Path) bool {
	if p == nil {
		return false
	}
	switch p.Verdict {
	case result.Untested, result.Arrived, result.Answered, result.Occupied:
		return p.OK
	}
	return true
}

func state(p *result.Path) *result.PathState {
	if p == nil {
		return nil
	}
	return &result.PathState{Verdict: p.Verdict, OK: p.OK, Proof: p.Proof, At: p.At, Source: p.Source, Target: p.Target, Finding: p.Finding}
}

// count adds a path to a summary, if it counts.
func count(s *result.ComparisonSummary, p result.PathChange) {
	if !p.Counted {
		return
	}
	if p.Old != nil && p.Old.OK {
		s.Worked++
	}
	switch p.Change {
	case result.ChangeWorse:
		s.Worse++
	case result.ChangeBetter:
		s.Better++
	case result.ChangeStill:
		s.Still++
	case result.ChangeBroken:
		s.Broken++
	case result.ChangeUnknown:
		if p.Old != nil && p.Old.OK {
			s.Unknown++
		}
	case result.ChangeFirst:
		s.First++
	}
}

// findings are what a reader has to know before believing the comparison.
func findings(c *result.Comparison, old, now *result.Report) []result.Finding {
	var out []result.Finding
	add := func(code result.Code, advice, text string, args ...any) {
		out = append(out, result.Finding{Code: code, Text: fmt.Sprintf(text, args...), Advice: advice})
	}
	switch c.Relation {
	case result.RelationElsewhere:
		add(result.CodeComparedElsewhere, "To learn what changed, compare two reports of one machine.",
			"The two reports come from two machines, %s and %s. What differs may be how the two stand in the network, and nothing need have changed.", nameOf(old.From), nameOf(now.From))
	case result.RelationOtherTarget:
		add(result.CodeComparedTarget, "",
			"The two reports are about two far ends, %s and %s. What differs may be where they stand, and nothing need have changed.", nameOf(old.To), nameOf(now.To))
	}
	if old.Mode != now.Mode {
		add(result.CodeComparedModes, "To learn what changed, compare two reports of one kind.",
			"One report asked real software, the other proved paths by key: what one calls working is not what the other does.")
	}
	for _, r := range []*result.Report{old, now} {
		if r.Interrupted {
			add(result.CodeInterrupted, "", "The run of %s was interrupted: what it did not get to is not known.", r.Started.UTC().Format("2006-01-02 15:04 UTC"))
		}
	}
	return out
}

func nameOf(e result.End) string {
	switch {
	case e.Host != "":
		return e.Host
	case len(e.Addresses) > 0:
		return e.Addresses[0].String()
	}
	return "a machine without a name"
}

// ExitCode is what a program that compared ends with: 0 if each required path that
// worked in the older report works in the newer one, 1 if not.
func ExitCode(c *result.Comparison) int {
	if c.Summary.OK {
		return 0
	}
	return 1
}

// isForward is the direction in which the machine that wrote the report dialed.
func isForward(p *result.Path) bool { return p.Direction == plan.Forward }
