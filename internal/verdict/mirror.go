package verdict

import (
	"slices"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// Mirror returns a report as the other end would give it: what was forward is
// reverse, each role and row is its counterpart's, and the words are written
// anew for the reader there. rows are the plan's; verdicts do not change.
func Mirror(r *result.Report, rows []plan.Row) *result.Report {
	m := *r
	m.From, m.To = r.To, r.From
	m.From.Role, m.To.Role = r.From.Role, r.To.Role // each end calls itself by the same role
	m.Listened = nil                                // that was the other end's
	if r.Contact != nil {
		m.Contact = mirrorContact(*r.Contact, r.Tool)
	}
	m.Paths = make([]result.Path, len(r.Paths))
	for i, p := range r.Paths {
		m.Paths[i] = mirrorPath(p, rows)
		if m.Contact != nil && r.Contact.Flow == p.Flow {
			m.Contact.Flow = m.Paths[i].Flow
		}
	}
	// Forward paths come first, in the order of the plan.
	slices.SortStableFunc(m.Paths, func(a, b result.Path) int {
		return order(a.Direction) - order(b.Direction)
	})
	return &m
}

// mirrorContact leaves what the end that is the near one now said of itself.
func mirrorContact(c result.Contact, tool string) *result.Contact {
	c.Direction = c.Direction.Opposite()
	if c.ClockMS != nil {
		ms := -*c.ClockMS
		c.ClockMS = &ms
	}
	c.Software, c.Instance, c.Roles, c.Busy, c.Partners = tool, "", nil, nil, nil
	return &c
}

func order(d plan.Direction) int {
	if d == plan.Forward {
		return 0
	}
	return 1
}

func mirrorPath(p result.Path, rows []plan.Row) result.Path {
	p.Direction = p.Direction.Opposite()
	p.From, p.To = p.To, p.From
	if row, ok := counterpart(p, rows); ok {
		p.Flow, p.Service, p.Why = row.ID, row.Name, row.Why
	}
	p.Finding = explain(p, Context{Mode: result.ModePaths})
	return p
}

// counterpart is the row that runs between the same two machines as a path
// whose roles were swapped: what one institution's server calls sending, the
// other's calls receiving.
func counterpart(p result.Path, rows []plan.Row) (plan.Row, bool) {
	for _, r := range rows {
		if string(r.To) == p.To && slices.Contains(r.From, plan.Role(p.From)) && result.RowKey(r, p.Direction, p.Family) == p.PlanKey() {
			return r, true
		}
	}
	return plan.Row{}, false
}
