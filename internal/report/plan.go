package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"dialtone/internal/plan"
)

// WritePlan writes a plan as a table for people: who dials what, how much it
// matters, why, and who says so.
func WritePlan(w io.Writer, p *plan.Plan, excluded []plan.Excluded) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (plan %s)\n\n", clean(p.Title, 200), p.Name)
	t := table.NewWriter()
	t.SetStyle(table.StyleDefault)
	t.Style().Options = table.Options{SeparateColumns: false, SeparateHeader: true}
	t.SetColumnConfigs([]table.ColumnConfig{{Name: "why", WidthMax: 60}, {Name: "source", WidthMax: 50}})
	t.AppendHeader(table.Row{"row", "service", "port", "from -> to", "need", "why", "source"})
	for _, r := range p.Rows {
		t.AppendRow(table.Row{r.ID, clean(r.Name, 200), planPort(r), planRoles(r), r.Need, clean(r.Why, 200), clean(r.Source, 200)})
	}
	b.WriteString(t.Render())
	b.WriteString("\n")
	if len(excluded) > 0 {
		b.WriteString("\nLeft out:\n")
		for _, e := range excluded {
			fmt.Fprintf(&b, "  %s: %s\n", e.Row.ID, clean(e.Why, 200))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
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
		to += " (" + clean(r.Host, 200) + ")"
	}
	return strings.Join(from, ", ") + " -> " + to
}
