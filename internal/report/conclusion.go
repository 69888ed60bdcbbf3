package report

import (
	"cmp"
	"fmt"
	"net/netip"
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
	t.hang("", answer(t.Report), 0, answerStyle(t.Report))
	t.hang("", t.caveat(), 0, plain)
}

func answerStyle(r *result.Report) style {
	switch {
	case r.Interrupted:
		return pending
	case count(r).allOK():
		return good
	}
	return bad
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
