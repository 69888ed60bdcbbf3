package plan

import "slices"

// A Binding is a port that a listener opens, and the rows that it serves.
type Binding struct {
	Transport Transport `json:"transport"`
	Port      int       `json:"port"`      // 0: the listener names a high port, each time
	PlanPort  int       `json:"plan_port"` // of the first row
	Rows      []Row     `json:"rows"`      // in plan order
}

// Ports returns what a machine that plays these roles listens on: one Binding
// for each transport and port of the rows that end there, in plan order. Rows
// whose port the accepting end names share one Binding with Port 0. A nil list
// of roles is every row; an empty one is none.
func (p *Plan) Ports(roles []Role) []Binding {
	type key struct {
		transport Transport
		port      int
	}
	var out []Binding
	at := make(map[key]int)
	for _, r := range p.Rows {
		if roles != nil && !slices.Contains(roles, r.To) {
			continue
		}
		k := key{r.Transport, r.Port}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, Binding{Transport: r.Transport, Port: r.Port, PlanPort: r.PlanPort})
		}
		out[i].Rows = append(out[i].Rows, r)
	}
	return out
}
