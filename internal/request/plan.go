package request

import (
	"net/netip"
	"slices"

	"dialtone/internal/dialect"
	"dialtone/internal/plan"
)

// A Listed is a rule that a plan needs, whether or not anything was tested.
type Listed struct {
	Rows   []plan.Row // that it is for
	From   []plan.Role
	To     plan.Role
	Needed bool // a row of it is required; else it is needed only where the feature is used
	Rule   dialect.Rule
	// Unknown are the roles whose addresses are not known. Then the rule is no rule yet:
	// it would be for anybody.
	Unknown []plan.Role
}

// A Rulebook is all the rules that a plan needs.
type Rulebook struct {
	Own     []Listed // inbound, for the accepting machine's own firewall
	Between []Listed // for the firewalls on the way
	Closed  []plan.Row
}

// Everybody are the roles that anybody on the internet plays. A rule from them is
// one from everywhere, unless their addresses are given.
var Everybody = []plan.Role{"patron", plan.RolePeer}

// OfPlan lists the rules that a plan needs. Where has the addresses of roles; own
// are the roles that machines of this site play which accept connections.
func OfPlan(p *plan.Plan, where map[plan.Role][]netip.Prefix, own []plan.Role) Rulebook {
	var out Rulebook
	for _, r := range p.Rows {
		if r.Expect == plan.ExpectClosed {
			out.Closed = append(out.Closed, r)
			continue
		}
		if slices.Contains(own, r.To) {
			out.Own = add(out.Own, listed(r, where, dialect.Inbound))
		}
		out.Between = add(out.Between, listed(r, where, dialect.Between))
	}
	return out
}

// listed is the rule for one row.
func listed(r plan.Row, where map[plan.Role][]netip.Prefix, at dialect.Place) Listed {
	l := Listed{
		Rows: []plan.Row{r}, From: slices.Clone(r.From), To: r.To, Needed: r.Need == plan.Required,
		Rule: dialect.Rule{At: at, Transport: r.Transport, Port: r.Port, SourcePort: r.SourcePort},
	}
	anybody := false
	for _, f := range r.From {
		switch addrs := where[f]; {
		case len(addrs) > 0:
			l.Rule.From = append(l.Rule.From, addrs...)
		case slices.Contains(Everybody, f):
			anybody = true
		default:
			l.Unknown = addOnce(l.Unknown, f)
		}
	}
	if anybody {
		l.Rule.From = nil // from everywhere: the others are among them
	}
	switch addrs := where[r.To]; {
	case len(addrs) > 0:
		l.Rule.To = addrs
	case at == dialect.Inbound: // whatever address the machine has
	case slices.Contains(Everybody, r.To):
	default:
		l.Unknown = addOnce(l.Unknown, r.To)
	}
	return l
}

// A way is what a rule lets pass, but for who may send it.
type way struct {
	transport        plan.Transport
	port, sourcePort int
	to               plan.Role
}

func (l *Listed) way() way { return way{l.Rule.Transport, l.Rule.Port, l.Rule.SourcePort, l.To} }

// add adds a rule, unless one of the list lets the same pass already: then the row
// is one more that it is for.
func add(list []Listed, l Listed) []Listed {
	if len(l.Rule.To) > 0 && slices.Equal(l.Rule.From, l.Rule.To) {
		return list // one machine: nothing crosses the network
	}
	for i := range list {
		o := &list[i]
		if o.way() == l.way() && slices.Equal(o.From, l.From) {
			o.Rows, o.Needed = append(o.Rows, l.Rows...), o.Needed || l.Needed
			return list
		}
	}
	return append(list, l)
}
