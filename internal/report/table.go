package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/clean"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

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
			verdict = max(verdict, width(clean.Line(row(p)[colVerdict].s, maxCell)))
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
		if s := shownBy(p); s != "" {
			below(s, faint)
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
	if p.Host != "" {
		q := *p
		q.Host = ""
		return endpoints(&q) + ", " + p.Host
	}
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

// shownBy is what real software that answered says of itself, and what was said
// on the way, "" if none did.
func shownBy(p *result.Path) string {
	if p.Verdict == result.Open || p.Initiator == nil || p.Initiator.Conversation == nil {
		return ""
	}
	c := p.Initiator.Conversation
	if p.Proof != result.ProofService && p.Verdict != result.Intercepted && len(c.Stages) == 0 {
		return "" // nobody said anything in the service's language
	}
	if c.IsSilence() {
		return fmt.Sprintf("it says nothing, as %s does until it is spoken to: that something accepts is all that shows", c.Speaks.Language().Title)
	}
	words := []string{}
	if c.Software != "" {
		words = append(words, "it says it is "+c.Software)
	}
	for _, in := range c.Instances {
		s := fmt.Sprintf("instance %s (version %s) on TCP port %d", in.Name, cmp.Or(in.Version, "not told"), in.Port)
		if in.Port == 0 {
			s = fmt.Sprintf("instance %s (version %s) without a TCP port", in.Name, cmp.Or(in.Version, "not told"))
		}
		words = append(words, s)
	}
	if v := c.Fact("TLS version"); v != "" {
		words = append(words, v)
	}
	if issuer := c.Fact("issuer"); issuer != "" {
		day, _, _ := strings.Cut(c.Fact("not after"), "T")
		words = append(words, fmt.Sprintf("certificate of %s from %s, valid until %s", c.Fact("subject"), issuer, day))
		if why, ok := strings.CutPrefix(c.Fact(result.FactTrusted), "no: "); ok && p.Verdict != result.Intercepted { // else the finding says so
			words = append(words, "this machine does not trust it ("+why+")")
		}
	}
	return strings.Join(append(words, alsoSaid(c)...), "; ")
}

// alsoSaid is what else of a conversation a reader has to know who looks at its
// row: what fails inside it, where it leads, what was rewritten.
func alsoSaid(c *result.Conversation) []string {
	var out []string
	for _, f := range c.Facts {
		switch {
		case f.Name == "STARTTLS" && strings.HasPrefix(f.Value, "offered, and fails"),
			(f.Name == "passive" || f.Name == "active") && f.Value != "completed",
			(f.Name == "anonymous bind" || f.Name == "root entry" || f.Name == "login") && strings.HasPrefix(f.Value, "refused"),
			f.Name == "status", f.Name == "proxy in front of the server", f.Name == "error":
			out = append(out, f.Name+": "+f.Value)
		case f.Name == result.FactLeadsTo:
			out = append(out, "it leads to "+f.Value)
		}
	}
	return slices.Concat(out, c.Changed, c.Adapted)
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
			verdicts = append(verdicts, [2]string{string(v), t.meaning(v)})
		}
	}
	for _, f := range []result.Proof{result.ProofKeyed, result.ProofSeen, result.ProofService, result.ProofPlain} {
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
