package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"dialtone/internal/clean"
	"dialtone/internal/plan"
)

// WritePlan writes a plan as a table for people: who dials what and how much it
// matters, and below each row why, and who says so.
func WritePlan(w io.Writer, p *plan.Plan, excluded []plan.Excluded, o Options) error {
	t := newPage(o)
	t.title(fmt.Sprintf("%s (plan %s)", p.Title, p.Name))
	t.blank()
	ids, ports := len("ROW"), len("PORT")
	for _, r := range p.Rows {
		ids, ports = max(ids, width(r.ID)), max(ports, width(planPort(r)))
	}
	line := func(id, port, rest string, st style) {
		t.hangAt("  "+t.paint(text.Pad(id, ids, ' '), st)+"  "+text.Pad(port, ports, ' ')+"  ", 2+ids+2+ports+2, rest, plain)
	}
	line("ROW", "PORT", "FROM -> TO: NEED", faint)
	for _, r := range p.Rows {
		line(clean.Line(r.ID, maxCell), planPort(r), planRoles(r)+": "+planNeed(r), strong)
		t.hang("", r.Name+" ["+planService(r)+"]. "+r.Why, 6, plain)
		t.hang("", "Source: "+r.Source, 6, faint)
	}
	if len(p.Sources) > 0 {
		t.blank()
		t.title("Pages that the sources name")
		names := 0
		for _, s := range p.Sources {
			names = max(names, width(s.Name))
		}
		for _, s := range p.Sources {
			t.whole("  "+s.Name, s.At, 2+names+2)
		}
	}
	if len(excluded) > 0 {
		t.blank()
		t.title("Left out")
		for _, e := range excluded {
			t.hang("  ", e.Row.ID+": "+e.Why, 0, plain)
		}
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

// markdown is text for a cell of a table.
func markdown(s string) string { return clean.Markdown(s, maxText) }

// planService names a row's service, for --only and --port, and what is spoken there.
func planService(r plan.Row) string {
	s := r.Service
	if r.Speaks != "" {
		s += fmt.Sprintf(", speaks %s", r.Speaks)
	}
	if r.Path != "" {
		s += " " + clean.Line(r.Path, maxText)
	}
	for i, n := range r.Status {
		if i == 0 {
			s += ", status"
		}
		s += " " + strconv.Itoa(n)
	}
	return s
}

// planNeed says how much a row matters, and what that hangs on.
func planNeed(r plan.Row) string {
	s := string(r.Need)
	if r.Expect == plan.ExpectClosed {
		s += ", must be closed"
	}
	if r.Apart {
		s += ", apart"
	}
	if r.Inferred {
		s += ", inferred"
	}
	if r.IdleS > 0 {
		s += ", idle for " + idleWords(r.IdleS)
	}
	return s
}

// planPort writes a row's port with what a rule needs to know of it.
func planPort(r plan.Row) string {
	s := strconv.Itoa(r.Port)
	if r.Port == 0 {
		s = "high"
	}
	s += "/" + string(r.Transport)
	if r.Port != r.PlanPort {
		s += fmt.Sprintf(" (plan %d)", r.PlanPort)
	}
	if r.SourcePort != 0 {
		s += fmt.Sprintf(" from %d", r.SourcePort)
	}
	if r.PortAssumed {
		s += " (usual)"
	}
	return s
}

func planRoles(r plan.Row) string {
	var from []string
	for _, f := range r.From {
		from = append(from, string(f))
	}
	to := string(r.To)
	if r.Host != "" {
		to += " (" + clean.Line(r.Host, 200) + ")"
	}
	return strings.Join(from, ", ") + " -> " + to
}

// idleWords is a time that a connection has to survive without traffic, for people.
func idleWords(seconds int64) string {
	switch {
	case seconds%3600 == 0:
		return fmt.Sprintf("%d h", seconds/3600)
	case seconds%60 == 0:
		return fmt.Sprintf("%d min", seconds/60)
	}
	return fmt.Sprintf("%d s", seconds)
}
