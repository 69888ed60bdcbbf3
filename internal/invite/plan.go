package invite

import (
	"fmt"
	"maps"
	"slices"

	"dialtone/internal/plan"
)

// LoadPlan loads the plan that the invitation is for, as the other end has it:
// the built-in one of that name, or the one that file names. The caller applies
// Ports and Shift.
func (i Invitation) LoadPlan(file string) (*plan.Plan, error) {
	if file == "" {
		if !slices.Contains(plan.Names(), i.Plan) {
			return nil, fmt.Errorf("%w: %q, which is not built in: ask %v for its file and give it with --plan FILE", ErrPlan, i.Plan, i)
		}
		file = i.Plan
	}
	p, err := plan.Load(file)
	if err != nil {
		return nil, err
	}
	if p.Name != i.Plan {
		return nil, fmt.Errorf("%w: it says %q, and --plan %s is %q: give the file of %q, or leave --plan out if that one is built in", ErrPlan, i.Plan, file, p.Name, i.Plan)
	}
	if d := p.Digest(); d != i.PlanDigest {
		return nil, fmt.Errorf("%w: both are called %q, and they differ (theirs is %s, %s here is %s): use the same plan file and the same release of Dialtone at both ends (theirs: %q)", ErrPlan, i.Plan, i.PlanDigest, file, d, i.By)
	}
	for _, id := range slices.Concat(i.Rows, slices.Sorted(maps.Keys(i.Ports))) {
		if !slices.ContainsFunc(p.Rows, func(r plan.Row) bool { return r.ID == id }) {
			return nil, fmt.Errorf("%w: %q: ask %v for one made by listen --invite (this one is by %q)", ErrRow, id, i, i.By)
		}
	}
	return p, nil
}
