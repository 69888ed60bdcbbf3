package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/request"
	"dialtone/internal/result"
)

// notableClock is the clock difference from which times in two logs no longer
// match by eye.
const notableClock = 2 * time.Second

// renderText writes a report for people: the answer, what to do, the paths, and
// what it rests on; at the end the answer again, where a terminal stops scrolling.
func renderText(r *result.Report, o Options) ([]byte, error) {
	t := textReport{Report: r, page: newPage(o), verbose: o.Verbose, asker: o.Ask.Asker}
	t.hang("", answer(r), 0, answerStyle(r))
	t.blank()
	if c := r.Compared; c != nil {
		t.hang("", comparisonAnswer(c), 0, comparisonStyle(c))
		t.blank()
	}
	t.findings()
	t.requests()
	t.places()
	if r.Compared != nil {
		changes(t.page, r.Compared, true)
	}
	t.remarks()
	t.elsewhere()
	t.head()
	if t.verbose {
		t.evidence()
		t.outOfScope()
	}
	t.legend()
	t.bottomLine()
	return []byte(t.b.String()), nil
}

// A textReport is a report on its way to a page.
type textReport struct {
	*result.Report
	*page
	verbose bool // with all evidence
	asker   request.Asker
}

// findings are about the run as a whole.
func (t *textReport) findings() {
	for _, f := range t.Findings {
		t.hang("  !  ", t.once(f.Text, "above"), 0, bad)
		if f.Advice != "" {
			t.hang("     ", t.once(f.Advice, "above"), 0, plain)
		}
		t.blank()
	}
}

// head says what holds for the whole run, and what was tested.
func (t *textReport) head() {
	t.title("This run")
	t.blank()
	t.fields(2, t.runFacts())
	t.blank()
}

// runFacts are what was tested, when, and what is known of the far end, labelled.
func (t *textReport) runFacts() [][2]string {
	fields := [][2]string{
		{"From", endName(t.Report.From)},
		{"To", endName(t.To)},
		{"Plan", t.planLine()},
		{"Started", startLine(t.Started.Time, t.ElapsedMS)},
	}
	if t.Interrupted {
		fields[3][1] += ", then interrupted"
	}
	switch t.Mode {
	case result.ModeInstalled, result.ModeEgress:
		fields = append(fields, [2]string{"Asked", "real software, each service in its own language; no proof was sent to it"})
	default:
		switch line := contactLine(t.Contact); {
		case t.Contact == nil && t.Joined != nil:
			fields = append(fields, [2]string{"Contact", "none: what each end saw is from its own report"})
		case t.Contact == nil || t.verbose:
			fields = append(fields, [2]string{"Contact", line})
		}
	}
	if j := t.Joined; j != nil {
		fields = append(fields, [2]string{"Joined", joinLine(j)}, [2]string{"Clock", joinClockLine(j)})
	} else if c := t.Contact; c != nil && c.ClockMS != nil {
		if s := clockLine(*c.ClockMS); s != "" {
			fields = append(fields, [2]string{"Clock", s})
		}
	}
	if c := t.Contact; c != nil {
		label := "Missing"
		for _, b := range c.Busy {
			fields = append(fields, [2]string{label, busyLine(b)})
			label = ""
		}
	}
	var by []string
	if t.Run != "" {
		by = append(by, t.Run)
	}
	if t.Tool != "" {
		by = append(by, "by "+t.Tool)
	}
	if len(by) > 0 && t.verbose {
		fields = append(fields, [2]string{"Run", strings.Join(by, " ")})
	}
	return fields
}

// planLine names the plan, and the far end's where that is another.
func (t *textReport) planLine() string {
	if c := t.Contact; c != nil && c.Plan != "" && c.Plan != t.Plan {
		return t.Plan + " (the far end follows another: " + c.Plan + ")"
	}
	return t.Plan
}

func roles(e result.End) string {
	return strings.Join(strings.FieldsFunc(e.Role, func(r rune) bool { return r == ',' || r == ' ' }), ", ")
}

// hostName is what to call an end in a sentence.
func hostName(e result.End) string {
	switch {
	case e.Host != "":
		return e.Host
	case len(e.Addresses) > 0:
		return list(e.Addresses.Words())
	case e.Role != "":
		return roles(e)
	default:
		return "the far end"
	}
}

// endName is an end with all that is known of it.
func endName(e result.End) string {
	s := roles(e)
	if e.Host != "" {
		s = strings.TrimLeft(s+" at "+e.Host, " ")
	}
	if len(e.Addresses) > 0 && e.Addresses.String() != e.Host {
		s = strings.TrimLeft(s+" ("+e.Addresses.String()+")", " ")
	}
	return cmp.Or(s, "not known")
}

// about is an end's roles and the addresses it used, or else has.
func about(e result.End, used []string) string {
	if len(used) == 0 {
		used = e.Addresses.Words()
	}
	var parts []string
	if s := roles(e); s != "" {
		parts = append(parts, s)
	}
	for _, a := range used {
		if a != e.Host || len(used) > 1 {
			parts = append(parts, a)
		}
	}
	if len(parts) == 0 {
		return "address not known"
	}
	return strings.Join(parts, ", ")
}

// sources lists the addresses from which the paths of one direction came.
func (t *textReport) sources(d plan.Direction) []string {
	var out []string
	for i := range t.Paths {
		p := &t.Paths[i]
		if isReverse(p) == (d == plan.Reverse) && p.Source.IsValid() {
			out = addOnce(out, p.Source.Addr().String())
		}
	}
	return out
}

func isReverse(p *result.Path) bool { return p.Direction == plan.Reverse }

func addOnce[E comparable](s []E, e E) []E {
	if slices.Contains(s, e) {
		return s
	}
	return append(s, e)
}

// startLine gives the start in UTC, as logs have it, and in the zone that the
// time carries.
func startLine(at time.Time, elapsedMS int64) string {
	return fmt.Sprintf("%s, took %.1f s", cmp.Or(startedAt(at), "not known"), float64(elapsedMS)/1000)
}

// startedAt is a start alone, as startLine has it; "" if it is not known.
func startedAt(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	s := at.UTC().Format("2006-01-02 15:04:05 UTC")
	if _, offset := at.Zone(); offset != 0 {
		s += at.Format(" (2006-01-02 15:04:05 -07:00 local)")
	}
	return s
}

func contactLine(c *result.Contact) string {
	if c == nil {
		return "none: no path carried the control conversation, so the far end told nothing of what it saw"
	}
	s := "through " + c.Flow
	if c.Target.IsValid() {
		s += ", " + c.Target.String()
	} else {
		s += fmt.Sprintf(", port %d", c.Port)
		if f := familyName(c.Family); f != "" {
			s += " over " + f
		}
	}
	if c.Direction == plan.Reverse {
		if c.SeenAs.IsValid() {
			s += ", which the far end opened from " + c.SeenAs.Addr().String()
		}
		return s + " and over which it handed this report to this end"
	}
	if c.SeenAs.IsValid() {
		s += ", which sees this machine as " + c.SeenAs.Addr().String()
	}
	if c.Software != "" {
		s += "; answered by " + c.Software
	}
	return s
}

// joinLine names the other report.
func joinLine(j *result.Join) string {
	return fmt.Sprintf("with the report of %s (run %s by %s, started %s)",
		cmp.Or(j.Host, "the other end"), cmp.Or(j.Run, "unknown"), cmp.Or(j.Tool, "an unknown program"), startLine(j.Started.Time, j.ElapsedMS))
}

// joinClockLine says what is known of two clocks whose reports were joined, and
// from where.
func joinClockLine(j *result.Join) string {
	if j.ClockMS == nil {
		return "how far the other end's is from this machine's is not known; each end's times are by its own"
	}
	s := cmp.Or(clockLine(*j.ClockMS), "both agree to 2 s")
	if j.Clock == result.ClockArrival {
		return s + " (from an attempt that is in both reports)"
	}
	return s + " (compared while the test ran)"
}

// clockLine says how far the far end's clock is off; "" if not worth saying.
func clockLine(ms int64) string {
	const year = 365 * 24 * 60 * 60 * 1000
	by, side := "more than a year", "ahead of"
	if ms < 0 {
		side = "behind"
	}
	if -year < ms && ms < year {
		d := (time.Duration(ms) * time.Millisecond).Abs()
		if d <= notableClock {
			return ""
		}
		by = d.Round(100 * time.Millisecond).String()
	}
	return fmt.Sprintf("the far end's is %s %s this machine's", by, side)
}

func busyLine(b result.BusyPort) string {
	s := fmt.Sprintf("%d/%s at the far end", b.Port, b.Transport)
	if b.Address.IsValid() {
		s += " (" + b.Address.String() + ")"
	}
	if !b.InUse {
		return strings.TrimSuffix(s+", could not be opened: "+b.Error, ": ")
	}
	s += ", held by "
	if b.Holder != nil && b.Holder.Name != "" {
		s += b.Holder.Name
		if b.Holder.PID > 0 {
			s += fmt.Sprintf(" (process %d)", b.Holder.PID)
		}
		return s
	}
	s += "software it cannot name"
	if b.Error != "" {
		s += " (" + b.Error + ")"
	}
	return s
}
