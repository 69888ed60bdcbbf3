package result

import "dialtone/internal/plan"

// A PathKey ties a path of one report to the same path of another, where the
// plan's row may have another name: what one end calls odyssey-in is the other's
// odyssey-out.
type PathKey struct {
	Direction        plan.Direction
	Transport        plan.Transport
	Port, SourcePort int
	Family           Family
}

// Opposite is the key of the path in the other end's report.
func (k PathKey) Opposite() PathKey {
	k.Direction = k.Direction.Opposite()
	return k
}

// RowKey is a path's by what a plan's row says of it.
func RowKey(r plan.Row, d plan.Direction, f Family) PathKey {
	return PathKey{d, r.Transport, r.PlanPort, r.SourcePort, f}
}

// Key is a path's by the port that was dialed.
func (p *Path) Key() PathKey {
	return PathKey{p.Direction, p.Transport, p.Port, p.SourcePort, p.Family}
}

// PlanKey is a path's by the port that the plan names: --port and --port-shift
// leave it as it is.
func (p *Path) PlanKey() PathKey {
	return PathKey{p.Direction, p.Transport, p.PlanPort, p.SourcePort, p.Family}
}

// IsBroken reports whether a path that the plan asks for was tested, is not ok, and says why.
func (p *Path) IsBroken() bool {
	return !p.OK && !p.Opposite && p.Verdict != Untested && p.Finding != nil
}

// NewPath is what a plan's row says of a path, of which nothing is known yet.
func NewPath(f plan.Flow, family Family) Path {
	return Path{
		Flow: f.Row.ID, Service: f.Row.Name, Port: f.Row.Port, PlanPort: f.Row.PlanPort, SourcePort: f.Row.SourcePort,
		Transport: f.Row.Transport, Direction: f.Direction, Family: family,
		From: string(f.From), To: string(f.To), Need: f.Row.Need, Why: f.Row.Why,
		Counted: f.Counted, Expect: f.Row.Expect, IdleS: f.Row.IdleS,
	}
}
