package report

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// outOfScope lists the rows that this run left out, by reason.
func (t *textReport) outOfScope() {
	if len(t.OutOfScope) == 0 {
		return
	}
	var reasons []string
	flows := map[string][]string{}
	for _, o := range t.OutOfScope {
		reasons = addOnce(reasons, o.Why)
		flows[o.Why] = addOnce(flows[o.Why], o.Flow)
	}
	t.title("Not tested in this run")
	t.blank()
	for _, why := range reasons {
		t.hang("  * ", strings.Join(flows[why], ", ")+": "+cmp.Or(why, "no reason given"), 0, plain)
	}
	t.blank()
}

// bottomLine ends the report with its result in one sentence, and with what it
// speaks for.
func (t *textReport) bottomLine() {
	st := bad
	s := t.verdictLine()
	if t.count().allOK() {
		st = good
	}
	if t.Interrupted {
		st = pending
		s = "Interrupted, so this is not the whole picture. " + s
	}
	t.hang("", s, 0, st)
	t.hang("", t.caveat(), 0, plain)
}

// A tally counts paths that count towards the result, or those that do not.
type tally struct {
	all, ok          int
	broken, untested []*result.Path
}

func (c tally) allOK() bool { return c.all > 0 && c.ok == c.all }

func (c *tally) add(p *result.Path) {
	c.all++
	switch {
	case p.OK:
		c.ok++
	case p.Verdict == result.Untested:
		c.untested = append(c.untested, p)
	default:
		c.broken = append(c.broken, p)
	}
}

func (t *textReport) count() tally {
	var c tally
	for i := range t.Paths {
		if p := &t.Paths[i]; p.Counted {
			c.add(p)
		}
	}
	return c
}

// verdictLine is the result in one sentence.
func (t *textReport) verdictLine() string {
	kind := "required "
	c := t.count()
	if len(t.Paths) == 0 {
		return "No path was tested, so nothing is known."
	}
	if c.all == 0 {
		kind = ""
		for i := range t.Paths {
			c.add(&t.Paths[i])
		}
	}
	paths := func(n int) string {
		if n == 1 {
			return kind + "path"
		}
		return kind + "paths"
	}
	works, work, not1, notN := "works", "work", "does not work", "do not work"
	if slices.ContainsFunc(t.Paths, func(p result.Path) bool { return p.Expect == plan.ExpectClosed }) {
		works, work, not1, notN = "is as it should be", "are as they should be", "is not as it should be", "are not as they should be"
	}
	broken := strings.Join(t.labels(c.broken, true), ", ")
	untested := strings.Join(t.labels(c.untested, false), ", ")
	var s string
	switch nb, nu := len(c.broken), len(c.untested); {
	case nb == 0 && nu == 0 && c.all == 1:
		s = fmt.Sprintf("The one %s %s.", paths(1), works)
	case nb == 0 && nu == 0:
		s = fmt.Sprintf("All %d %s %s.", c.all, paths(c.all), work)
	case nu == c.all && c.all == 1:
		s = fmt.Sprintf("The one %s was not tested: %s.", paths(1), untested)
	case nu == c.all:
		s = fmt.Sprintf("None of the %d %s was tested: %s.", c.all, paths(c.all), untested)
	case nb == c.all && c.all == 1:
		s = fmt.Sprintf("The one %s %s: %s.", paths(1), not1, broken)
	case nb == c.all:
		s = fmt.Sprintf("None of the %d %s %s: %s.", c.all, paths(c.all), works, broken)
	case nb == 0:
		s = fmt.Sprintf("%d of %d %s %s; %d %s not tested: %s.", c.ok, c.all, paths(c.all), one(c.ok, works, work),
			nu, one(nu, "was", "were"), untested)
	default:
		s = fmt.Sprintf("%d of %d %s %s: %s", nb, c.all, paths(c.all), one(nb, not1, notN), broken)
		if nu > 0 {
			s += fmt.Sprintf("; %d %s not tested: %s", nu, one(nu, "was", "were"), untested)
		}
		s += "."
	}
	if kind == "" {
		s += " None of them counts as required here."
	}
	return s
}

func one(n int, singular, plural string) string {
	if n == 1 {
		return singular
	}
	return plural
}

// caveat says what the report does not speak for.
func (t *textReport) caveat() string {
	here := t.sources(plan.Forward)
	both := false
	for i := range t.Paths {
		if p := &t.Paths[i]; isReverse(p) {
			both = true
			if p.Target.IsValid() {
				here = addOnce(here, p.Target.Addr().String())
			}
		}
	}
	if len(here) == 0 {
		for _, a := range t.Report.From.Addresses {
			if ip, err := netip.ParseAddr(a); err != nil || !ip.IsLoopback() {
				here = append(here, a)
			}
		}
	}
	from := "this machine"
	switch len(here) {
	case 0:
	case 1:
		from = here[0] + " (its subnet)"
	default:
		from = list(here) + " (their subnets)"
	}
	product := "the software"
	if t.Plan == "" || strings.HasPrefix(strings.ToLower(t.Plan), "illiad") {
		product = "ILLiad"
	}
	if both {
		return fmt.Sprintf("This speaks for the paths between %s and %s, not for %s itself.", from, hostName(t.To), product)
	}
	return fmt.Sprintf("This speaks for the paths from %s to %s, not for %s itself.", from, hostName(t.To), product)
}
