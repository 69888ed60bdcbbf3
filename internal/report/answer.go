package report

import (
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/clean"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// maxNamed is how many paths, or machines, an answer names before it counts them.
const maxNamed = 5

// Answer is the result of a report in one sentence, or two.
func Answer(r *result.Report) string { return clean.Line(answer(r), maxText) }

// answer is the result of a report in one sentence, or two where it was
// interrupted or nothing counts.
func answer(r *result.Report) string {
	s := verdictLine(r)
	if r.Mode == result.ModeBrowser && len(r.Paths) > 0 {
		s = browserLine(r)
	}
	if r.Interrupted {
		s = "Interrupted, so this is not the whole picture. " + s
	}
	return s
}

// A tally counts paths that count towards the result, or those that do not.
type tally struct {
	all, ok                    int
	broken, unproved, untested []*result.Path
}

func (c tally) allOK() bool { return c.all > 0 && c.ok == c.all }

func (c *tally) add(p *result.Path) {
	c.all++
	switch {
	case p.OK:
		c.ok++
	case p.Verdict == result.Untested:
		c.untested = append(c.untested, p)
	case isUnproved(p):
		c.unproved = append(c.unproved, p)
	default:
		c.broken = append(c.broken, p)
	}
}

// count counts what counts.
func count(r *result.Report) tally {
	var c tally
	for i := range r.Paths {
		if p := &r.Paths[i]; p.Counted {
			c.add(p)
		}
	}
	return c
}

// verdictLine is the result of all paths in one sentence.
func verdictLine(r *result.Report) string {
	kind := "required "
	c := count(r)
	if len(r.Paths) == 0 {
		return "No path was tested, so nothing is known."
	}
	if c.all == 0 {
		kind = ""
		for i := range r.Paths {
			c.add(&r.Paths[i])
		}
	}
	paths := func(n int) string { return kind + one(n, "path", "paths") }
	works, work, not1, notN := "works", "work", "does not work", "do not work"
	if slices.ContainsFunc(r.Paths, func(p result.Path) bool { return p.Expect == plan.ExpectClosed }) {
		works, work, not1, notN = "is as it should be", "are as they should be", "is not as it should be", "are not as they should be"
	}
	broken, unproved := namedOrCounted(r, c.broken), namedOrCounted(r, c.unproved)
	untested := ""
	if names := labels(r, c.untested, false); len(names) <= maxNamed {
		untested = ": " + strings.Join(names, ", ")
	}
	is := func(n int) string { return one(n, "is", "are") }
	var s string
	nb, np, nu := len(c.broken), len(c.unproved), len(c.untested)
	restProved, restTested := np, nu // what the first part does not say
	switch {
	case nu == c.all && c.all == 1:
		s, restTested = fmt.Sprintf("The one %s was not tested%s", paths(1), untested), 0
	case nu == c.all:
		s, restTested = fmt.Sprintf("None of the %d %s was tested%s", c.all, paths(c.all), untested), 0
	case c.ok == c.all && c.all == 1:
		s = fmt.Sprintf("The one %s %s", paths(1), works)
	case c.ok == c.all:
		s = fmt.Sprintf("All %d %s %s", c.all, paths(c.all), work)
	case nb == c.all && c.all == 1:
		s = fmt.Sprintf("The one %s %s: %s", paths(1), not1, broken)
	case nb == c.all:
		s = fmt.Sprintf("None of the %d %s %s: %s", c.all, paths(c.all), works, broken)
	case nb > 0:
		s = fmt.Sprintf("%d of %d %s %s: %s", nb, c.all, paths(c.all), one(nb, not1, notN), broken)
	case c.ok > 0:
		s = fmt.Sprintf("%d of %d %s %s", c.ok, c.all, paths(c.all), one(c.ok, works, work))
	case c.all == 1:
		s, restProved = fmt.Sprintf("The one %s is not proved: %s", paths(1), unproved), 0
	default:
		s, restProved = fmt.Sprintf("None of the %d %s is proved: %s", c.all, paths(c.all), unproved), 0
	}
	if restProved > 0 {
		s += fmt.Sprintf("; %d %s not proved: %s", np, is(np), unproved)
	}
	if restTested > 0 {
		s += fmt.Sprintf("; %d %s not tested%s", nu, one(nu, "was", "were"), untested)
	}
	s += "."
	if kind == "" {
		s += " None of them counts as required here."
	}
	return s
}

// browserLine is the result of what a browser tried, in a sentence or two: it proves
// nothing, and finds what is blocked.
func browserLine(r *result.Report) string {
	kind := "required "
	c := count(r)
	if c.all == 0 {
		kind = ""
		for i := range r.Paths {
			c.add(&r.Paths[i])
		}
	}
	through, unknown := 0, c.untested
	for _, p := range c.unproved {
		if p.Proof == result.ProofBrowser {
			through++
		} else {
			unknown = append(unknown, p)
		}
	}
	paths := func(n int) string { return kind + one(n, "path", "paths") }
	var parts []string
	if n := len(c.broken); n > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d %s %s not let this browser through: %s", n, c.all, paths(c.all), one(n, "does", "do"), namedOrCounted(r, c.broken)))
	}
	switch {
	case through == c.all && c.all == 1:
		parts = append(parts, fmt.Sprintf("HTTP went through on the one %s", paths(1)))
	case through == c.all:
		parts = append(parts, fmt.Sprintf("HTTP went through on all %d %s", c.all, paths(c.all)))
	case through > 0:
		parts = append(parts, fmt.Sprintf("HTTP went through on %d", through))
	}
	if n := len(unknown); n > 0 {
		parts = append(parts, fmt.Sprintf("of %d a browser cannot tell: %s", n, namedOrCounted(r, unknown)))
	}
	return capital(strings.Join(parts, "; ")) + ". What a browser shows is no proof: dial gives it."
}

// namedOrCounted names paths with their outcomes, or where they are many counts
// the outcomes.
func namedOrCounted(r *result.Report, paths []*result.Path) string {
	if names := labels(r, paths, true); len(names) <= maxNamed {
		return strings.Join(names, ", ")
	}
	var outcomes []string
	times := map[string]int{}
	for _, p := range paths {
		outcomes = addOnce(outcomes, outcome(p))
		times[outcome(p)]++
	}
	for i, o := range outcomes {
		outcomes[i] = fmt.Sprintf("%d %s", times[o], strings.Replace(o, ", must be", " though it must be", 1))
	}
	if n := len(outcomes) - maxNamed; n > 0 {
		outcomes = append(outcomes[:maxNamed:maxNamed], "and in other ways")
	}
	return strings.Join(outcomes, ", ")
}

func one(n int, singular, plural string) string {
	if n == 1 {
		return singular
	}
	return plural
}

// labels names paths by flow, and by direction, family and address where the
// flow alone would not tell, each with its outcome if that is wanted.
func labels(r *result.Report, paths []*result.Path, outcomes bool) []string {
	var out []string
	for _, p := range paths {
		s := p.Flow
		var twoWays, twoFamilies bool
		for i := range r.Paths {
			if o := &r.Paths[i]; o.Flow == p.Flow {
				twoWays = twoWays || isReverse(o) != isReverse(p)
				twoFamilies = twoFamilies || isReverse(o) == isReverse(p) && o.Family != p.Family
			}
		}
		if twoWays && isReverse(p) {
			s += " to here"
		}
		switch f := familyName(p.Family); {
		case p.Address.IsValid():
			s += " at " + p.Address.String()
		case twoFamilies && f != "":
			s += " over " + f
		}
		if outcomes {
			s += " (" + outcome(p) + ")"
		}
		out = addOnce(out, s)
	}
	return out
}

// rowNames are what to call the rows of a matrix: the name, and the address where
// several have that name.
func rowNames(m *result.Matrix) []string {
	times := map[string]int{}
	for _, r := range m.Rows {
		times[r.Name]++
	}
	var out []string
	for _, r := range m.Rows {
		switch {
		case r.Name == "":
			out = append(out, addressWords(r.Addresses))
		case times[r.Name] > 1:
			out = append(out, r.Name+" ("+addressWords(r.Addresses)+")")
		default:
			out = append(out, r.Name)
		}
	}
	return out
}

// matrixAnswer is the result of a matrix in one sentence.
func matrixAnswer(m *result.Matrix) string {
	fine, broken := 0, []string{}
	names := rowNames(m)
	for i, r := range m.Rows {
		if r.OK {
			fine++
		} else {
			broken = append(broken, names[i])
		}
	}
	switch {
	case len(m.Rows) == 0:
		return "There is no report, so nothing is known."
	case len(broken) == 0 && fine == 1:
		return "It is as it should be: every required path works."
	case len(broken) == 0:
		return fmt.Sprintf("All %d are as they should be: every required path works.", fine)
	}
	which := ""
	if len(broken) <= maxNamed {
		which = ": " + strings.Join(broken, ", ")
	}
	return fmt.Sprintf("%d of %d are not as they should be%s. %s", len(broken), len(m.Rows), which, matrixPaths(m))
}

// matrixPaths is what is known of all required paths of a matrix, in a sentence.
func matrixPaths(m *result.Matrix) string {
	var all tally
	for _, r := range m.Whole {
		c := count(r)
		all.broken, all.unproved, all.untested = append(all.broken, c.broken...), append(all.unproved, c.unproved...), append(all.untested, c.untested...)
	}
	nb, np, nu := len(all.broken), len(all.unproved), len(all.untested)
	if nb+np+nu != m.Summary.Failed { // the reports are not there
		nb, np, nu = m.Summary.Failed, 0, 0
	}
	var parts []string
	for _, p := range []struct {
		n  int
		is string
	}{{nb, one(nb, "does not work", "do not work")}, {np, one(np, "is", "are") + " not proved"}, {nu, one(nu, "was", "were") + " not tested"}} {
		switch {
		case p.n == 0:
		case len(parts) == 0:
			parts = append(parts, fmt.Sprintf("%d of %d required paths %s", p.n, m.Summary.Counted, p.is))
		default:
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.is))
		}
	}
	if len(parts) == 0 {
		return fmt.Sprintf("0 of %d required paths do not work.", m.Summary.Counted)
	}
	return strings.Join(parts, "; ") + "."
}

// addressAnswer is the result of an address report: what its first finding says.
func addressAnswer(r *result.AddressReport) string {
	if len(r.Findings) == 0 {
		return "Nothing is known of the address that others see."
	}
	return r.Findings[0].Text
}
