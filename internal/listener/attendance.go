package listener

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"

	"dialtone/internal/clean"
	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// An Attendance is who has to come by the plan, to which port, and who of them has
// with the key. Who does not run dial cannot be told from a stranger, and is not
// looked for.
type Attendance struct {
	rows []plan.Row
	wait []plan.Role // that have to come, in the plan's order

	mu      sync.Mutex
	ports   []*Attended
	guests  map[netip.Addr]*guest
	told    int // by all of them
	came    map[plan.Role]bool
	browsed []result.Browsed // the newest last
}

// Attended is a port that somebody is to reach who can run dial, and who has.
type Attended struct {
	Transport plan.Transport
	Port      int
	PlanPort  int
	Service   string
	Flows     []string
	Must, May []plan.Role  // that open connections to it: where one has to work, and where it may not be needed
	Reached   []netip.Addr // maxReached at most, the newest last
	More      bool         // others did, too
	by        map[plan.Role]bool
}

// A guest is an address that has the key.
type guest struct {
	roles []plan.Role // that it said it plays
	ports []*Attended // that it reached
	told  []result.Told
}

const (
	// maxReached bounds the addresses that are kept of one port, maxTold the machines of
	// one address whose reports are, and maxToldByAll those of all addresses; maxBrowsed
	// bounds browsers' tests.
	maxReached   = 32
	maxBrowsed   = 512
	maxTold      = 64
	maxToldByAll = 1024
)

// NewAttendance expects who has to come to a machine that plays these roles; none: the
// server, web server and database, as one machine usually does.
func NewAttendance(p *plan.Plan, roles []plan.Role, shift int) *Attendance {
	a := &Attendance{rows: p.Rows, guests: map[netip.Addr]*guest{}, came: map[plan.Role]bool{}}
	must := map[plan.Role]bool{}
	here := roles
	if len(here) == 0 {
		here = plan.DefaultRemote
	}
	for _, r := range p.Rows {
		plays := len(roles) == 0 || slices.Contains(roles, r.To)
		if r.Expect != plan.ExpectOpen || r.Port == 0 || !plays || p.IsExternal(r.To) && !slices.Contains(roles, r.To) {
			continue
		}
		for _, from := range dialers(r) {
			if p.IsExternal(from) || r.Need != plan.Required && slices.Contains(here, from) {
				continue // nobody can run dial there, or it is this very machine
			}
			port := a.portOf(r.Transport, r.Port)
			if port == nil {
				port = &Attended{Transport: r.Transport, Port: r.Port, PlanPort: r.Port - shift, by: map[plan.Role]bool{}}
				a.ports = append(a.ports, port)
			}
			port.Flows = addOnce(port.Flows, r.ID)
			if r.Need == plan.Required {
				if len(port.Must) == 0 {
					port.Service = r.Name // of a port with several the one that has to work
				}
				port.Must, must[from] = addOnce(port.Must, from), true
			} else {
				port.May = addOnce(port.May, from)
			}
			port.Service = cmp.Or(port.Service, r.Name)
		}
	}
	for _, port := range a.ports {
		port.May = slices.DeleteFunc(port.May, func(r plan.Role) bool { return slices.Contains(port.Must, r) })
	}
	slices.SortFunc(a.ports, func(x, y *Attended) int {
		return cmp.Or(cmp.Compare(x.Transport, y.Transport), cmp.Compare(x.Port, y.Port))
	})
	for _, r := range p.RoleNames() {
		if must[r] {
			a.wait = append(a.wait, r)
		}
	}
	return a
}

// dialers are the roles of who connects here for a row. What is a partner to this
// server, it itself is to the partner.
func dialers(r plan.Row) []plan.Role {
	if r.To == plan.RolePeer {
		return []plan.Role{plan.RolePeer}
	}
	return r.From
}

func addOnce[E comparable](s []E, e E) []E {
	if slices.Contains(s, e) {
		return s
	}
	return append(s, e)
}

func (a *Attendance) portOf(t plan.Transport, port int) *Attended {
	i := slices.IndexFunc(a.ports, func(p *Attended) bool { return p.Transport == t && p.Port == port })
	if i < 0 {
		return nil
	}
	return a.ports[i]
}

// Take takes in what came, and reports whether that changes who is known to have come.
func (a *Attendance) Take(c Event) (changed bool) {
	switch c.Kind {
	case echo.KindAsked, echo.KindProved, echo.KindSubmitted:
	case echo.KindBrowser:
		a.browse(c)
		return false // it proved no key
	default:
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	addr := c.Peer.Remote.Addr().Unmap()
	g := a.guests[addr]
	if g == nil {
		g = &guest{}
		if len(a.guests) < maxAddrs {
			a.guests[addr] = g
		}
	}
	if s := c.Submission; s != nil {
		before := len(g.told)
		g.tell(c)
		if a.guests[addr] == g {
			a.told += len(g.told) - before
			a.forgetTold()
		}
		changed = true
	} else if p := a.portOf(c.Peer.Transport, int(c.Peer.Local.Port())); p != nil {
		changed = p.add(addr)
		g.ports = addOnce(g.ports, p)
	}
	for _, r := range a.rolesOf(c) {
		g.roles = addOnce(g.roles, r)
	}
	for _, r := range g.roles {
		changed = changed || !a.came[r]
		a.came[r] = true
		for _, p := range g.ports {
			changed = changed || !p.by[r]
			p.by[r] = true
		}
	}
	return changed
}

// browse takes in a browser's test. If there are too many, the oldest goes of the
// network that has most.
func (a *Attendance) browse(c Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.browsed = append(a.browsed, result.Browsed{At: result.TimeOf(c.At), Address: c.Peer.Remote.Addr().Unmap().String(), Says: clean.Line(c.Detail, maxSays)})
	if len(a.browsed) <= maxBrowsed {
		return
	}
	network := func(b result.Browsed) netip.Prefix {
		addr, _ := netip.ParseAddr(b.Address) // it is ours
		return networkOf(addr)
	}
	count, most := map[netip.Prefix]int{}, 0
	for _, b := range a.browsed {
		count[network(b)]++
		most = max(most, count[network(b)])
	}
	i := slices.IndexFunc(a.browsed, func(b result.Browsed) bool { return count[network(b)] == most })
	a.browsed = slices.Delete(a.browsed, i, i+1)
}

// maxSays bounds what a browser's test came to, in runes.
const maxSays = 512

// rolesOf are the roles that whoever came is known to play: those that its report
// names, or by a row that one role alone has. A row of several tells of none of them.
func (a *Attendance) rolesOf(c Event) (out []plan.Role) {
	if c.Submission != nil {
		for _, name := range c.Submission.Roles {
			if r := plan.Role(name); slices.ContainsFunc(a.rows, func(row plan.Row) bool { return slices.Contains(dialers(row), r) }) {
				out = append(out, r)
			}
		}
		return out
	}
	for _, row := range a.rows {
		if row.ID == c.Peer.Flow {
			if from := dialers(row); len(from) == 1 {
				out = addOnce(out, from[0])
			}
		}
	}
	return out
}

// add adds who reached a port, and reports whether that changes what is shown.
func (p *Attended) add(a netip.Addr) bool {
	switch {
	case p.More || slices.Contains(p.Reached, a):
		return false
	case len(p.Reached) == maxReached:
		p.More = true
	default:
		p.Reached = append(p.Reached, a)
	}
	return true
}

// tell takes in how a run ended.
func (g *guest) tell(c Event) {
	s := c.Submission
	t := result.Told{
		At: result.TimeOf(c.At), Host: clean.Line(s.Host, maxDetail),
		Counted: s.Summary.Counted, Failed: s.Summary.Failed, Roles: []string{}, Broken: []string{},
	}
	for _, r := range s.Roles {
		t.Roles = append(t.Roles, clean.Line(r, maxDetail))
	}
	for _, b := range s.Broken {
		t.Broken = append(t.Broken, clean.Line(b, maxDetail))
	}
	g.told = slices.DeleteFunc(g.told, func(o result.Told) bool { return o.Host == t.Host })
	if len(g.told) == maxTold {
		g.told = g.told[1:]
	}
	g.told = append(g.told, t)
}

// forgetTold keeps what is remembered of how runs ended within its bound: the oldest
// goes of the network that told most. A holder of the key may come from many addresses.
func (a *Attendance) forgetTold() {
	if a.told <= maxToldByAll {
		return
	}
	count, most := map[netip.Prefix]int{}, 0
	for addr, g := range a.guests {
		count[networkOf(addr)] += len(g.told)
		most = max(most, count[networkOf(addr)])
	}
	var oldest *guest
	for addr, g := range a.guests {
		if len(g.told) > 0 && count[networkOf(addr)] == most && (oldest == nil || g.told[0].At.Before(oldest.told[0].At.Time)) {
			oldest = g
		}
	}
	oldest.told = slices.Delete(oldest.told, 0, 1)
	a.told--
}

// Missing are those of Must from which nobody reached it.
func (p *Attended) Missing() (out []plan.Role) {
	for _, r := range p.Must {
		if !p.by[r] {
			out = append(out, r)
		}
	}
	return out
}

// Ports calls f with each port, in their order, while nothing changes.
func (a *Attendance) Ports(f func(*Attended)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.ports {
		f(p)
	}
}

// Waiting are the roles that have to come and from which nobody has; of is how many
// have to.
func (a *Attendance) Waiting() (left []plan.Role, of int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.wait {
		if !a.came[r] {
			left = append(left, r)
		}
	}
	return left, len(a.wait)
}

// Report adds what is expected, and who came by a journal, to what listen listened to.
func (a *Attendance) Report(l *result.Listened, j *Journal) {
	a.Ports(func(p *Attended) {
		l.Expected = append(l.Expected, result.ExpectedPort{
			Port: p.Port, PlanPort: p.PlanPort, Transport: p.Transport, Service: p.Service, Flows: p.Flows,
			Must: names(p.Must), May: names(p.May), Missing: names(p.Missing()),
		})
	})
	left, _ := a.Waiting()
	l.Waiting = names(left)
	l.Visitors, l.Unlisted = j.Visitors()
	a.mu.Lock()
	defer a.mu.Unlock()
	l.Browsed = slices.Clone(a.browsed)
	for i := range l.Visitors {
		v := &l.Visitors[i]
		addr, err := netip.ParseAddr(v.Address)
		if g := a.guests[addr]; err == nil && g != nil {
			v.Roles, v.Told = names(g.roles), slices.Clone(g.told)
		}
	}
}

func names(roles []plan.Role) []string {
	out := []string{}
	for _, r := range roles {
		out = append(out, string(r))
	}
	return out
}
