package report

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// maxRows is how many rows are named that were left out for one reason.
const maxRows = 6

// placeholder is a word of a command that is to be filled in.
var placeholder = regexp.MustCompile(` [A-Z]{3,}\b`)

// elsewhere lists the machines to run dial on for what this run left out, then
// what it left out for other reasons.
func (t *textReport) elsewhere() {
	list, left := machines(t.Report)
	if t.verbose {
		left = nil // outOfScope has them all
	}
	if len(list)+len(left) == 0 {
		return
	}
	t.title("Not tested in this run")
	t.blank()
	column, commands := 0, 0
	for _, m := range list {
		column, commands = max(column, 2+width(m.name)+2), max(commands, width(m.command))
	}
	if column+commands > t.width { // each command on a line of its own
		column = t.width
	}
	for _, m := range list {
		t.whole("  "+m.name, m.command, column)
	}
	for _, hint := range hints(list) {
		t.hang("  ", hint, 0, faint)
	}
	if len(list) > 0 && len(left) > 0 {
		t.blank()
	}
	t.reasons(left, maxRows)
	t.blank()
}

// hints are what else is to be known of the commands of machines.
func hints(list []machine) []string {
	needsListen, words := false, ""
	for _, m := range list {
		words += " " + m.command
		needsListen = needsListen || m.needsListen
	}
	var out []string
	if placeholder.MatchString(words) {
		s := "Fill in what is in capitals."
		if strings.Contains(words, " --key KEY") {
			s += " KEY is what listen printed."
		}
		out = append(out, s)
	}
	if needsListen {
		out = append(out, "To be dialed, this machine needs to run listen.")
	}
	return out
}

// reasons lists rows by why they were left out, and names no more than so many of
// each; 0: all.
func (t *textReport) reasons(rows []result.OutOfScope, most int) {
	for _, x := range leftOutAlike(rows) {
		names := strings.Join(x.flows, ", ")
		if n := len(x.flows); most > 0 && n > most {
			names = fmt.Sprintf("%d other rows", n)
		}
		t.hang("  * ", names+": "+x.why, 0, plain)
	}
}

// An omission is why some rows were left out.
type omission struct {
	why   string
	flows []string
}

// leftOutAlike gathers rows by why they were left out.
func leftOutAlike(rows []result.OutOfScope) (out []omission) {
	for _, alike := range grouped(rows, func(o result.OutOfScope) string { return o.Why }) {
		r := omission{why: cmp.Or(alike[0].Why, "no reason given")}
		for _, o := range alike {
			r.flows = addOnce(r.flows, o.Flow)
		}
		out = append(out, r)
	}
	return out
}

// outOfScope lists every row that was left out, and why.
func (t *textReport) outOfScope() {
	if len(t.OutOfScope) == 0 {
		return
	}
	t.title("Rows that this run left out")
	t.blank()
	t.reasons(t.OutOfScope, 0)
	t.blank()
}

// bottomLine ends the report with what it speaks for, and its result.
func (t *textReport) bottomLine() {
	t.hang("", t.caveat(), 0, plain)
	t.blank()
	t.hang("", answer(t.Report), 0, answerStyle(t.Report))
}

func answerStyle(r *result.Report) style {
	switch c := count(r); {
	case r.Interrupted, len(c.broken) == 0 && len(c.unproved) > 0:
		return pending
	case c.allOK():
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
			if !a.IsLoopback() {
				here = append(here, a.String())
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
