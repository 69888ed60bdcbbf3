// Package move says from reports of a server what changes for others when it gets
// another address: in their firewalls, in their settings, and at home. It is pure: it
// judges nothing, and knows what was reached and from where, not whether the new address
// works. That is for a test to tell.
package move

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A Sheet is what has to be changed.
type Sheet struct {
	Old     []string // names and addresses that the server has now
	New     string   // that it will have
	Plan    string
	Home    []string // to do at the site itself
	Parties []Party  // everybody else, in the order of the reports
}

// A Party is somebody who has to change something.
type Party struct {
	Name      string // of the machine, or its address; "": they are several
	Role      plan.Role
	Addresses []string
	Changes   []Change
	Test      string // the command to run there once all is changed
}

// A Change is one thing to change.
type Change struct {
	Where string // "firewall, outgoing", "settings"
	What  string // in a sentence
	Old   string // address that stands there now
	New   string
	Ports []string // "7968/tcp Odyssey"; of settings none
}

// Errors of reports that no sheet can be made of.
var (
	ErrSame    = errors.New("the new address is the old one")
	ErrNobody  = errors.New("the reports tell of nobody who would have to change anything")
	ErrSeveral = errors.New("the reports are of several servers")
)

// Where the firewall that a change is about stands, as its owner sees it.
const (
	Outgoing = "firewall, outgoing"
	Incoming = "firewall, incoming"
	Settings = "settings"
)

// Of makes a sheet of reports of one server: its own (dial odyssey, listen), and those
// of dial that others made of it.
func Of(reports []*result.Report, to string) (*Sheet, error) {
	s := &Sheet{New: to}
	for _, r := range reports {
		at, old := &r.To, true
		if isServers(r) {
			at, old = &r.From, false
		}
		names := at.Addresses.Words()
		if old && at.Host != "" {
			names = append([]string{at.Host}, names...)
		}
		if len(s.Old) > 0 && !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(s.Old, n) }) {
			return nil, fmt.Errorf("%w: %s, and %s", ErrSeveral, s.Old[0], cmp.Or(append(names, at.Host, "one without a name")...))
		}
		for _, n := range names {
			s.Old = addOnce(s.Old, n)
		}
		s.Plan = cmp.Or(s.Plan, r.Plan)
	}
	switch {
	case len(s.Old) == 0:
		return nil, ErrNobody
	case slices.Contains(s.Old, to):
		return nil, ErrSame
	}
	for _, r := range reports {
		switch {
		case r.Mode == result.ModeListen:
			s.visited(r)
		default:
			s.dialed(r)
		}
	}
	s.Parties = slices.DeleteFunc(s.Parties, func(p Party) bool { return len(p.Changes) == 0 })
	if len(s.Parties) == 0 {
		return nil, ErrNobody
	}
	s.group()
	for i := range s.Parties {
		s.tell(&s.Parties[i])
	}
	s.home()
	return s, nil
}

// group makes one party of machines of one role, other than partners, that have the same
// to change: of forty staff PCs nobody wants forty parts.
func (s *Sheet) group() {
	var out []Party
	for _, p := range s.Parties {
		i := slices.IndexFunc(out, func(o Party) bool {
			return p.Role != plan.RolePeer && o.Role == p.Role && slices.EqualFunc(o.Changes, p.Changes, func(a, b Change) bool {
				return a.Where == b.Where && a.Old == b.Old && a.New == b.New && slices.Equal(a.Ports, b.Ports)
			})
		})
		if i < 0 {
			out = append(out, p)
			continue
		}
		out[i].Name = ""
		for _, a := range p.Addresses {
			out[i].Addresses = addOnce(out[i].Addresses, a)
		}
	}
	s.Parties = out
}

// isServers reports whether a report was made on the server itself.
func isServers(r *result.Report) bool {
	return r.Mode == result.ModeListen || slices.Contains(strings.Split(r.From.Role, ","), string(plan.RoleServer))
}

// dialed adds the other end of a run of dial.
func (s *Sheet) dialed(r *result.Report) {
	ours := isServers(r)
	other := r.From
	if ours {
		other = r.To
	}
	p := s.party(cmp.Or(other.Host, "?"), plan.Role(other.Role), other.Addresses.Words())
	for i := range r.Paths {
		x := &r.Paths[i]
		if x.Expect != plan.ExpectOpen || x.Port == 0 || !x.OK && !x.Counted {
			continue // a row that this site may not need, and that does not work now
		}
		port := fmt.Sprintf("%d/%s %s", x.Port, x.Transport, x.Service)
		if toServer := ours == (x.Direction == plan.Reverse); toServer {
			p.add(Outgoing, s.oldOf(x.Target), s.New, port)
			continue
		}
		seen := x.SeenAs
		if !seen.IsValid() {
			seen = x.Source
		}
		p.add(Incoming, s.oldOf(seen), s.seenOf(seen), port)
	}
}

// visited adds everybody who reached a listen with the key.
func (s *Sheet) visited(r *result.Report) {
	if r.Listened == nil {
		return
	}
	for _, v := range r.Listened.Visitors {
		if !v.Keyed {
			continue
		}
		role := plan.Role("")
		if len(v.Roles) > 0 {
			role = plan.Role(v.Roles[0])
		}
		name := v.Address
		if len(v.Told) == 1 && v.Told[0].Host != "" {
			name = v.Told[0].Host
		}
		p := s.party(name, role, []string{v.Address})
		for _, e := range r.Listened.Expected {
			if slices.ContainsFunc(v.Visits, func(x result.Visit) bool { return x.Port == e.Port && x.Transport == e.Transport }) {
				old := ""
				if len(r.From.Addresses) > 0 {
					old = r.From.Addresses[0].String()
				}
				p.add(Outgoing, old, s.New, fmt.Sprintf("%d/%s %s", e.Port, e.Transport, e.Service))
			}
		}
	}
}

// party is who has one of these addresses, or that name, in the same role already, or
// somebody new.
func (s *Sheet) party(name string, role plan.Role, addresses []string) *Party {
	i := slices.IndexFunc(s.Parties, func(p Party) bool {
		return (p.Role == role || p.Role == "" || role == "") &&
			(p.Name == name || slices.ContainsFunc(p.Addresses, func(a string) bool { return slices.Contains(addresses, a) }))
	})
	if i < 0 {
		i = len(s.Parties)
		s.Parties = append(s.Parties, Party{Name: name, Role: role})
	}
	p := &s.Parties[i]
	p.Role = cmp.Or(p.Role, role)
	for _, a := range addresses {
		p.Addresses = addOnce(p.Addresses, a)
	}
	return p
}

// add adds a port to the change that it belongs to.
func (p *Party) add(where, old, to, port string) {
	i := slices.IndexFunc(p.Changes, func(c Change) bool { return c.Where == where && c.Old == old && c.New == to })
	if i < 0 {
		i = len(p.Changes)
		p.Changes = append(p.Changes, Change{Where: where, Old: old, New: to})
	}
	number, _, _ := strings.Cut(port, " ")
	if !slices.ContainsFunc(p.Changes[i].Ports, func(o string) bool { return strings.HasPrefix(o, number+" ") }) { // several rows may share it
		p.Changes[i].Ports = append(p.Changes[i].Ports, port)
	}
}

// oldOf is an address of the server as it was used, or else one that it has.
func (s *Sheet) oldOf(e result.Endpoint) string {
	if e.IsValid() {
		return e.Addr().String()
	}
	return s.Old[0]
}

// seenOf is as which address the server will be seen that is seen as this one now: the
// new one, unless a NAT gives it another than the one that is dialed.
func (s *Sheet) seenOf(now result.Endpoint) string {
	if !now.IsValid() || slices.Contains(s.Old, now.Addr().String()) {
		return s.New
	}
	return ""
}

// tell puts a party's changes in words, and adds its settings.
func (s *Sheet) tell(p *Party) {
	for i := range p.Changes {
		c := &p.Changes[i]
		theirs := cmp.Or(strings.Join(p.Addresses, ", "), p.Name)
		switch {
		case c.Where == Outgoing:
			c.What = fmt.Sprintf("Allow from %s to %s, as now to %s", theirs, c.New, c.Old)
		case c.New == "":
			c.What = fmt.Sprintf("Allow from the address as which %s is seen, as now from %s (dial address tells it, run on the new server), to %s", s.New, c.Old, theirs)
		default:
			c.What = fmt.Sprintf("Allow from %s to %s, as now from %s", c.New, theirs, c.Old)
		}
	}
	if what := s.settings(p.Role); what != "" {
		p.Changes = append([]Change{{Where: Settings, What: what, Old: s.Old[0], New: s.New}}, p.Changes...)
	}
	p.Test = "dial --key KEY " + s.New
	switch p.Role {
	case plan.RolePeer:
		p.Test = "dial odyssey --key KEY " + s.New
	case plan.RoleClient, "":
	default:
		p.Test = "dial --key KEY --role " + string(p.Role) + " " + s.New
	}
}

// settings is what a role's own software has the address in; "": nothing is known.
func (s *Sheet) settings(r plan.Role) string {
	if !strings.HasPrefix(s.Plan, "illiad") {
		return ""
	}
	switch r {
	case plan.RolePeer:
		return fmt.Sprintf("In ILLiad's Lender Addresses, or where its software keeps them, give %s as this institution's Odyssey address", s.New)
	case plan.RoleClient:
		return fmt.Sprintf("In the .dbc file with the database connection (ILLiad's folder, or where LogonSettingsPath in the registry leads), give %s, if the database moves, too", s.New)
	}
	return ""
}

// home is what has to be done at the site itself.
func (s *Sheet) home() {
	old := strings.Join(s.Old, ", ")
	if _, err := netip.ParseAddr(s.New); err != nil {
		s.Home = append(s.Home, fmt.Sprintf("In the name servers, have %s lead to the new server; a while before, shorten how long others keep it (TTL)", s.New))
	}
	s.Home = append(s.Home, fmt.Sprintf("In this site's firewalls, and the new server's own, allow for %s what is allowed for %s: listen rules prints what the plan needs", s.New, old))
	if strings.HasPrefix(s.Plan, "illiad") {
		s.Home = append(s.Home,
			"In ILLiad's Customization Manager, change the entries that have the old address, and restart all of ILLiad's services",
			"In OCLC's ILL Policies Directory, change the contacts and the ILLiad entry",
			"In WorldShare ILL's constant data, change electronic delivery")
	}
	s.Home = append(s.Home,
		"Before the day, run listen on the new server, and dial egress --role server: the test of each party stands with its changes",
		"Once nobody uses the old address any more, have all its rules taken away")
}

func addOnce[E comparable](s []E, e E) []E {
	if slices.Contains(s, e) {
		return s
	}
	return append(s, e)
}
