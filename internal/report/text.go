package report

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// notableClock is the clock difference from which times in two logs no longer
// match by eye.
const notableClock = 2 * time.Second

// minWidth is the narrowest page that is laid out; a narrower terminal wraps.
const minWidth = 40

// renderText writes a report for people.
func renderText(r *result.Report, o Options) ([]byte, error) {
	t := textReport{Report: r, page: &page{color: o.Color, width: o.Width}}
	if o.Width > 0 {
		t.width = max(o.Width, minWidth)
	}
	t.head()
	t.tables()
	t.legend()
	t.requests()
	t.remarks()
	t.outOfScope()
	t.bottomLine()
	return []byte(t.b.String()), nil
}

// A textReport is a report on its way to a page.
type textReport struct {
	*result.Report
	*page
}

// head says what was tested, when, and what is known of the far end.
func (t *textReport) head() {
	t.title("Path report")
	t.blank()
	for _, f := range t.Findings {
		t.hang("  !  ", f.Text, 0, bad)
		if f.Advice != "" {
			t.hang("     ", f.Advice, 0, plain)
		}
		t.blank()
	}
	fields := [][2]string{
		{"From", endName(t.Report.From)},
		{"To", endName(t.To)},
		{"Plan", t.planLine()},
		{"Started", startLine(t.Started, t.ElapsedMS)},
	}
	if t.Interrupted {
		fields[3][1] += ", then interrupted"
	}
	fields = append(fields, [2]string{"Contact", contactLine(t.Contact)})
	if c := t.Contact; c != nil {
		if c.ClockMS != nil {
			if s := clockLine(*c.ClockMS); s != "" {
				fields = append(fields, [2]string{"Clock", s})
			}
		}
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
	if len(by) > 0 {
		fields = append(fields, [2]string{"Run", strings.Join(by, " ")})
	}
	t.fields(2, fields)
	t.blank()
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
		return list(e.Addresses)
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
	if len(e.Addresses) > 0 {
		s = strings.TrimLeft(s+" ("+strings.Join(e.Addresses, ", ")+")", " ")
	}
	return cmp.Or(s, "not known")
}

// about is an end's roles and the addresses it used, or else has.
func about(e result.End, used []string) string {
	if len(used) == 0 {
		used = e.Addresses
	}
	var parts []string
	if s := roles(e); s != "" {
		parts = append(parts, s)
	}
	if parts = append(parts, used...); len(parts) == 0 {
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
	s := "not known"
	if !at.IsZero() {
		s = at.UTC().Format("2006-01-02 15:04:05 UTC")
		if _, offset := at.Zone(); offset != 0 {
			s += at.Format(" (2006-01-02 15:04:05 -07:00 local)")
		}
	}
	return fmt.Sprintf("%s, took %.1f s", s, float64(elapsedMS)/1000)
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
	if c.SeenAs.IsValid() {
		s += ", which sees this machine as " + c.SeenAs.Addr().String()
	}
	if c.Software != "" {
		s += "; answered by " + c.Software
	}
	return s
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
	if b.Address != "" {
		s += " (" + b.Address + ")"
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

// A column is a field of a path's row.
type column int

const (
	colMark column = iota
	colVerdict
	colFlow
	colService
	colPort
	colEndpoints
	colNeed
	colProof
	colNotes
)

var headers = []string{"", "verdict", "flow", "service", "port", "source -> target", "need", "proof", "notes"}

// layouts are the ways to lay out the tables, by the columns that they keep,
// the widest first. Whatever has no column stands below its row.
var layouts = [][]column{
	{colMark, colVerdict, colFlow, colService, colPort, colEndpoints, colNeed, colProof, colNotes},
	{colMark, colVerdict, colFlow, colPort, colNeed, colProof, colNotes},
	{colMark, colVerdict, colFlow, colPort, colNeed, colProof},
	{colMark, colVerdict, colFlow},
}

// tables writes a table for each direction, both in the widest layout that
// fits.
func (t *textReport) tables() {
	forward, reverse := t.paths(plan.Forward), t.paths(plan.Reverse)
	noted := slices.ContainsFunc(t.Paths, func(p result.Path) bool { return row(&p)[colNotes].s != "" })
	for i, columns := range layouts {
		if !noted {
			columns = slices.DeleteFunc(slices.Clone(columns), func(c column) bool { return c == colNotes })
		}
		f, r := t.grid(rows(forward, columns)), t.grid(rows(reverse, columns))
		if i < len(layouts)-1 && !(t.fits(f) && t.fits(r)) {
			continue
		}
		t.table("From here ("+about(t.Report.From, t.sources(plan.Forward))+") to "+hostName(t.To), forward, f, columns)
		t.table("From "+hostName(t.To)+" ("+about(t.To, t.sources(plan.Reverse))+") to here", reverse, r, columns)
		return
	}
}

func (t *textReport) paths(d plan.Direction) []*result.Path {
	var out []*result.Path
	for i := range t.Paths {
		if p := &t.Paths[i]; isReverse(p) == (d == plan.Reverse) {
			out = append(out, p)
		}
	}
	return out
}

// rows is paths as rows of a table, after a row of headers.
func rows(paths []*result.Path, columns []column) [][]cell {
	out := make([][]cell, 1+len(paths))
	for _, c := range columns {
		out[0] = append(out[0], cell{headers[c], faint})
		for i, p := range paths {
			out[1+i] = append(out[1+i], row(p)[c])
		}
	}
	return out
}

// table writes one direction's table, and below each row what has no column.
func (t *textReport) table(title string, paths []*result.Path, lines []string, columns []column) {
	if len(paths) == 0 {
		return
	}
	t.title(title)
	t.blank()
	indent := 2 + len("ok") + 2
	if slices.Contains(columns, colPort) { // there is room
		verdict := len(headers[colVerdict])
		for _, p := range paths {
			verdict = max(verdict, width(clean(row(p)[colVerdict].s, maxCell)))
		}
		indent += verdict + 2
	}
	t.lines(lines[:1])
	for i, p := range paths {
		t.lines(lines[1+i : 2+i])
		c := row(p)
		below := func(s string, st style) { t.hang("", s, indent, st) }
		if !slices.Contains(columns, colPort) {
			s := c[colPort].s + ", " + c[colNeed].s
			if c[colProof].s != "-" {
				s += ", proof " + c[colProof].s
			}
			below(s, plain)
		}
		if !slices.Contains(columns, colEndpoints) {
			below(p.Service+": "+c[colEndpoints].s, faint)
		}
		if !slices.Contains(columns, colNotes) && c[colNotes].s != "" {
			below("notes: "+c[colNotes].s, plain)
		}
	}
	t.blank()
}

// row is a path as the fields of the table, by column.
func row(p *result.Path) []cell {
	m := markOf(p)
	need := string(p.Need)
	if !p.Counted {
		need = "(" + need + ")"
	}
	var notes []string
	if p.Expect == plan.ExpectClosed {
		notes = append(notes, "must be closed")
	}
	for _, n := range p.Notes {
		notes = addOnce(notes, string(n.Code))
	}
	proof := string(p.Proof)
	if p.Proof == result.ProofNone {
		proof = ""
	}
	return []cell{
		{m.word, m.style}, {string(p.Verdict), m.style}, {p.Flow, strong}, {p.Service, plain}, {port(p), plain},
		{endpoints(p), plain}, {need, plain}, {cmp.Or(proof, "-"), plain}, {strings.Join(notes, ", "), plain},
	}
}

// port is the port that was dialed, and how it differs from the plan's.
func port(p *result.Path) string {
	s := fmt.Sprintf("%d/%s", cmp.Or(p.Port, p.PlanPort), p.Transport)
	if p.Port == 0 && p.PlanPort == 0 {
		s = "any/" + string(p.Transport)
	}
	var more []string
	if p.Port != 0 && p.PlanPort != 0 && p.Port != p.PlanPort {
		more = append(more, fmt.Sprintf("plan %d", p.PlanPort))
	}
	if p.SourcePort != 0 {
		more = append(more, fmt.Sprintf("from %d", p.SourcePort))
	}
	if len(more) > 0 {
		s += " (" + strings.Join(more, ", ") + ")"
	}
	return s
}

// endpoints is a path's two ends, as a firewall's log has them.
func endpoints(p *result.Path) string {
	switch {
	case p.Source.IsValid() && p.Target.IsValid():
		return endpoint(p.Source) + " -> " + p.Target.String()
	case p.Target.IsValid():
		return "? -> " + p.Target.String()
	case p.Source.IsValid():
		return endpoint(p.Source) + " -> ?"
	default:
		if f := familyName(p.Family); f != "" {
			return "(" + f + ")"
		}
		return "-"
	}
}

// endpoint writes an address and port, or the address alone where the system
// did not tell the port.
func endpoint(e result.Endpoint) string {
	if e.Port() == 0 {
		return e.Addr().String()
	}
	return e.String()
}

// legend explains the words that the tables used, and no others.
func (t *textReport) legend() {
	var marks, verdicts, proofs [][2]string
	uncounted := false
	for i := range t.Paths {
		p := &t.Paths[i]
		if m := markOf(p); m.meaning != "" {
			marks = addOnce(marks, [2]string{m.word, m.meaning})
		}
		uncounted = uncounted || !p.Counted
	}
	for _, v := range result.Verdicts {
		if slices.ContainsFunc(t.Paths, func(p result.Path) bool { return p.Verdict == v }) {
			verdicts = append(verdicts, [2]string{string(v), meaning[v]})
		}
	}
	for _, f := range []result.Proof{result.ProofKeyed, result.ProofService, result.ProofPlain} {
		if slices.ContainsFunc(t.Paths, func(p result.Path) bool { return p.Proof == f }) {
			proofs = append(proofs, [2]string{string(f), "proof by " + proofMeaning[f]})
		}
	}
	if uncounted {
		marks = append(marks, [2]string{"(need)", "in brackets: does not count towards the result"})
	}
	all := slices.Concat(verdicts, proofs, marks)
	if len(all) == 0 {
		return
	}
	t.title("What the words mean")
	t.blank()
	t.fields(2, all)
	t.blank()
}

// wanted reports whether p is a broken path that somebody must see to.
func wanted(p *result.Path) bool { return p.Counted && !p.OK }

// groups gathers the paths that keep has and that have the same key, in order.
func (t *textReport) groups(keep func(*result.Path) bool, key func(*result.Path) string) [][]*result.Path {
	var out [][]*result.Path
	index := map[string]int{}
	for i := range t.Paths {
		p := &t.Paths[i]
		if !keep(p) {
			continue
		}
		k := key(p)
		n, ok := index[k]
		if !ok {
			n = len(out)
			index[k] = n
			out = append(out, nil)
		}
		out[n] = append(out[n], p)
	}
	return out
}

// optional reports whether p is a broken path on which nothing depends here.
func optional(p *result.Path) bool {
	return !p.Counted && !p.OK && p.Verdict != result.Untested && p.Finding != nil
}

// requests lists what to ask for: first what is needed, then the rest.
func (t *textReport) requests() {
	n := t.requestsFor("What to ask for", wanted, 0)
	t.requestsFor("Only if this site needs these too", optional, n)
}

// requestsFor lists one item for each different advice about the paths that
// keep has, numbered after n. It returns the last number.
func (t *textReport) requestsFor(title string, keep func(*result.Path) bool, n int) int {
	titled := false
	for _, g := range t.groups(keep, adviceKey) {
		first := g[0]
		what, why := finding(first).Advice, texts(g)
		if what == "" {
			if what = finding(first).Text; what == "" {
				what = "No finding was recorded."
			}
			why = nil
		}
		if n++; !titled {
			titled = true
			t.title(title)
			t.blank()
		}
		lead := fmt.Sprintf("%3d. ", n)
		t.hang(lead, what, 0, strong)
		fields := [][2]string{{"For", strings.Join(t.labels(g, true), ", ")}}
		label := "Seen"
		for _, w := range why {
			s := w.text
			if len(why) > 1 {
				s = strings.Join(t.labels(w.paths, false), ", ") + ": " + s
			}
			fields = append(fields, [2]string{label, s})
			label = ""
		}
		label = "Log"
		for _, s := range logLines(g) {
			fields = append(fields, [2]string{label, s})
			label = ""
		}
		t.fields(len(lead), fields)
		t.blank()
	}
	return n
}

// sentence ends s with a full stop, unless it ends with one or is empty.
func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

func adviceKey(p *result.Path) string {
	if f := finding(p); f.Advice != "" {
		return "a" + f.Advice
	} else if f.Text != "" {
		return "t" + f.Text
	}
	return ""
}

func finding(p *result.Path) result.Finding {
	if p.Finding == nil {
		return result.Finding{}
	}
	return *p.Finding
}

// A said is a text and the paths of which it is said.
type said struct {
	text  string
	paths []*result.Path
}

// texts gathers the different texts of the findings of paths.
func texts(paths []*result.Path) []said {
	var out []said
	for _, p := range paths {
		s := finding(p).Text
		if s == "" {
			continue
		}
		i := slices.IndexFunc(out, func(o said) bool { return o.text == s })
		if i < 0 {
			i = len(out)
			out = append(out, said{text: s})
		}
		out[i].paths = append(out[i].paths, p)
	}
	return out
}

// logLines is what to search a firewall's log for.
func logLines(paths []*result.Path) []string {
	var out []string
	for _, p := range paths {
		if !p.Source.IsValid() || !p.Target.IsValid() {
			continue
		}
		s := string(p.Transport) + " " + endpoints(p)
		if !p.At.IsZero() {
			s = p.At.UTC().Format("2006-01-02 15:04:05.000 UTC") + " " + s
		}
		if p.SeenAs.IsValid() && p.SeenAs != p.Source {
			s += ", arriving from " + p.SeenAs.String()
		}
		out = addOnce(out, s)
	}
	return out
}

// labels names paths by flow, and by direction and family where the flow alone
// would not tell, each with its outcome if that is wanted.
func (t *textReport) labels(paths []*result.Path, outcomes bool) []string {
	var out []string
	for _, p := range paths {
		s := p.Flow
		var twoWays, twoFamilies bool
		for i := range t.Paths {
			if o := &t.Paths[i]; o.Flow == p.Flow {
				twoWays = twoWays || isReverse(o) != isReverse(p)
				twoFamilies = twoFamilies || isReverse(o) == isReverse(p) && o.Family != p.Family
			}
		}
		if twoWays && isReverse(p) {
			s += " to here"
		}
		if f := familyName(p.Family); twoFamilies && f != "" {
			s += " over " + f
		}
		if outcomes {
			s += " (" + outcome(p) + ")"
		}
		out = addOnce(out, s)
	}
	return out
}

// remarks lists the findings on which nothing depends, and the notes.
func (t *textReport) remarks() {
	var items []string
	for _, g := range t.groups(
		func(p *result.Path) bool { return !wanted(p) && !optional(p) && p.Finding != nil },
		func(p *result.Path) string { return p.Finding.Text + "\x00" + p.Finding.Advice },
	) {
		f := g[0].Finding
		body := strings.TrimSpace(sentence(f.Text) + " " + f.Advice)
		if body != "" {
			items = append(items, strings.Join(t.labels(g, true), ", ")+": "+body)
		}
	}
	type about struct {
		note  result.Note
		paths []*result.Path
	}
	var notes []about
	for i := range t.Paths {
		p := &t.Paths[i]
		for _, n := range p.Notes {
			at := slices.IndexFunc(notes, func(a about) bool { return a.note == n })
			if at < 0 {
				at = len(notes)
				notes = append(notes, about{note: n})
			}
			notes[at].paths = append(notes[at].paths, p)
		}
	}
	for _, n := range notes {
		if n.note.Text != "" {
			items = append(items, fmt.Sprintf("%s (%s): %s", n.note.Code, strings.Join(t.labels(n.paths, false), ", "), n.note.Text))
		}
	}
	if len(items) == 0 {
		return
	}
	t.title("Also noted")
	t.blank()
	for _, s := range items {
		t.hang("  * ", s, 0, plain)
	}
	t.blank()
}

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
