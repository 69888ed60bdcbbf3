package survey

import (
	"fmt"
	"net/netip"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// A Leg is one path of a report to be: a flow over one address family and, where
// several addresses of the far end's are dialed, to one of them.
type Leg struct {
	plan.Flow
	Family       result.Family
	To           netip.Addr // that is dialed; invalid for reverse legs, and while it is not known
	OneOfSeveral bool       // another address of the far end's has a leg of its own
}

// remote are the roles that the far end is taken to play before it says so itself.
func (c Config) remote() []plan.Role {
	if len(c.Remote) == 0 {
		return plan.DefaultRemote
	}
	return c.Remote
}

// Legs are those of a run with a far end that plays some roles (none: those that it is
// taken to play), and the rows that are left out. With a target that has no addresses each flow has one.
func (c Config) Legs(t sock.Target, remote []plan.Role) ([]Leg, []plan.Excluded, error) {
	if len(remote) == 0 {
		remote = c.remote()
	}
	flows, excluded, err := c.Plan.Select(plan.Query{
		Local: c.Local, Remote: remote, All: c.All, BothWays: c.BothWays, Only: c.Only, Site: c.Site,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("choose rows: %w", err)
	}
	var legs []Leg
	for _, f := range flows {
		for _, family := range familiesOf(t) {
			for _, to := range addressesFor(t, f.Direction, family) {
				legs = append(legs, Leg{f, family, to, t.IsOneOfSeveral(to)})
			}
		}
	}
	return legs, excluded, nil
}

// Is reports whether a path is this leg.
func (l Leg) Is(p result.Path) bool {
	own := result.NewPath(l.Flow, l.Family)
	return p.PlanKey() == own.PlanKey() && (!l.OneOfSeveral || p.Target.Addr() == l.To)
}
