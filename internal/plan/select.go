package plan

import (
	"fmt"
	"slices"
	"strings"
)

// A Query says between which roles rows are to be tested.
type Query struct {
	Local  []Role // played by the machine that runs dial
	Remote []Role // played by the host that it dials
	// All takes every row as forward, whoever it is for; Local and Remote do
	// not matter then.
	All bool
	// BothWays adds the opposite direction of every taken row, never counted.
	BothWays bool
	// Only limits to these row ids and services; empty is no limit.
	Only []string
	// Site, if it is known, says which host to dial next for rows that end on
	// another one than this run's.
	Site *Site
}

// A Flow is one row to test in one direction.
type Flow struct {
	Row       Row       `json:"row"`
	Direction Direction `json:"direction"`
	From      Role      `json:"from"` // role that initiates in this direction
	To        Role      `json:"to"`   // role that accepts in this direction
	// Counted is whether the exit code depends on it: the row is Required and
	// BothWays did not add this direction.
	Counted bool `json:"counted"`
}

// Select returns the flows that q takes and the rows that it does not, both in
// plan order, a row's forward flow before its reverse one. A role that the plan
// does not have matches nothing. The only error is an id or service in q.Only
// that the plan does not have (ErrUnknownRow).
func (p *Plan) Select(q Query) ([]Flow, []Excluded, error) {
	only := make(map[string]bool)
	for _, term := range q.Only {
		rows, err := p.lookup(term)
		if err != nil {
			return nil, nil, fmt.Errorf("only: %w", err)
		}
		for _, i := range rows {
			only[p.Rows[i].ID] = true
		}
	}
	var flows []Flow
	var left []Excluded
	for _, r := range p.Rows {
		if q.All && r.Expect == ExpectClosed && p.isOpenToo(r) {
			left = append(left, Excluded{
				Row: r, Why: "one machine cannot play all roles here: to some this port must be closed, and to others open; test it with --role " + string(r.From[0]), TestedBy: ByRole,
			})
			continue
		}
		if len(only) > 0 && !only[r.ID] {
			left = append(left, Excluded{Row: r, Why: "not among the rows asked for (" + strings.Join(q.Only, ", ") + ")"})
			continue
		}
		taken := take(r, q)
		if taken == nil {
			e := Excluded{
				Row: r, Why: fmt.Sprintf("from %s to %s; this run is %s to %s", join(r.From, " or "), r.To, roleList(q.Local), roleList(q.Remote)),
				TestedBy: p.testedBy(r), Hosts: p.dialNext(r, q),
			}
			if len(e.Hosts) > 0 {
				e.Why = fmt.Sprintf("the site file has the %s on %s: dial that host as well", r.To, strings.Join(e.Hosts, " or "))
				e.TestedBy = ByHost
			}
			left = append(left, e)
		}
		flows = append(flows, taken...)
	}
	return flows, left, nil
}

// testedBy is the run that tests a row, whatever the site file says.
func (p *Plan) testedBy(r Row) TestedBy {
	switch {
	case !slices.ContainsFunc(r.From, func(f Role) bool { return !p.IsExternal(f) }):
		return ByNobody
	case p.IsExternal(r.To):
		return ByEgress
	case r.To == RolePeer, !slices.ContainsFunc(r.From, func(f Role) bool { return f != RolePeer }):
		return ByPartner
	}
	return ByRole
}

// dialNext names the hosts to dial for a row that this end opens and that ends on
// a machine of the site's own; none if the site file names none.
func (p *Plan) dialNext(r Row, q Query) []string {
	if q.Site == nil || p.IsExternal(r.To) || slices.Contains(q.Remote, r.To) || r.To == RolePeer ||
		!slices.ContainsFunc(r.From, func(f Role) bool { return slices.Contains(q.Local, f) }) {
		return nil
	}
	return q.Site.HostsOf(r.To)
}

// isOpenToo reports whether the port of a row is one that other rows need open.
func (p *Plan) isOpenToo(r Row) bool {
	return slices.ContainsFunc(p.Rows, func(o Row) bool {
		return o.Expect == ExpectOpen && o.To == r.To && o.Transport == r.Transport && o.Port == r.Port
	})
}

// take returns the flows of one row, forward before reverse.
func take(r Row, q Query) []Flow {
	counted := r.Need == Required
	forward, isForward := initiator(r, q.Local, q.Remote)
	reverse, isReverse := initiator(r, q.Remote, q.Local)
	if q.All {
		forward, isForward, isReverse = "", len(r.From) > 0, false
		if isForward {
			forward = r.From[0]
		}
	}
	var flows []Flow
	switch {
	case isForward:
		flows = append(flows, Flow{r, Forward, forward, r.To, counted})
	case isReverse && q.BothWays:
		flows = append(flows, Flow{r, Forward, r.To, reverse, false})
	}
	switch {
	case isReverse:
		flows = append(flows, Flow{r, Reverse, reverse, r.To, counted})
	case isForward && q.BothWays:
		flows = append(flows, Flow{r, Reverse, r.To, forward, false})
	}
	return flows
}

// initiator returns the first role of r.From that opens the connection, if
// one side plays it and the other side plays r.To.
func initiator(r Row, from, to []Role) (Role, bool) {
	if !slices.Contains(to, r.To) {
		return "", false
	}
	i := slices.IndexFunc(r.From, func(f Role) bool { return slices.Contains(from, f) })
	if i < 0 {
		return "", false
	}
	return r.From[i], true
}

func roleList(roles []Role) string {
	if len(roles) == 0 {
		return "no role"
	}
	return join(roles, ", ")
}

// ParseRoles returns the roles that list names, without repetitions; an
// element may itself be a list with commas. The error names a role that p does
// not have and lists those it has. "all" is no role.
func ParseRoles(p *Plan, list []string) ([]Role, error) {
	var roles []Role
	for _, element := range list {
		for name := range strings.SplitSeq(element, ",") {
			r := Role(strings.ToLower(strings.TrimSpace(name)))
			if _, ok := p.Roles[r]; !ok {
				return nil, fmt.Errorf("unknown role %s: use %s", quote(strings.TrimSpace(name)), oneOf(string(r), p.RoleNames()))
			}
			if !slices.Contains(roles, r) {
				roles = append(roles, r)
			}
		}
	}
	return roles, nil
}
