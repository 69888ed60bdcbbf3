package main

import (
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/plan"
)

// initiators are the roles that open connections to what is played here, in the
// plan's order: of rows that ought to open, and where the site file has both on
// one host, none.
func (s *serving) initiators() []plan.Role {
	var out []plan.Role
	for _, from := range s.Plan.RoleNames() {
		if s.isDialedBy(from) {
			out = append(out, from)
		}
	}
	return out
}

// sayApart names the site's own machines to run dial on, where the site file has
// them apart from what is played here, as web server and database often are. It
// reports whether there are any.
func (s *serving) sayApart(addr string) bool {
	if s.Site == nil {
		return false
	}
	type machine struct {
		host  string
		roles []string
	}
	var machines []machine
	for _, from := range s.initiators() {
		apart := func(r plan.Row) bool {
			return r.Apart && r.Need == plan.Required && s.plays(r.To) && slices.Contains(r.From, from)
		}
		if !slices.ContainsFunc(s.Plan.Rows, apart) {
			continue
		}
		hosts := s.Site.HostsOf(from)
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for _, h := range hosts {
			i := slices.IndexFunc(machines, func(m machine) bool { return m.host == h })
			if i < 0 {
				i = len(machines)
				machines = append(machines, machine{host: h})
			}
			machines[i].roles = append(machines[i].roles, string(from))
		}
	}
	for _, m := range machines {
		at := ""
		if m.host != "" {
			at = " " + m.host
		}
		fmt.Fprintf(s.words, "On the %s%s run:\n  dial --role %s%s %s\n", strings.Join(m.roles, " and "), at, strings.Join(m.roles, ","), s.flags(), addr)
	}
	return len(machines) > 0
}

// sayElsewhere names the hosts that the site file has for other roles than those
// played here: their ports are not tested by dialing this one.
func (s *serving) sayElsewhere() {
	if s.Site == nil {
		return
	}
	here := s.roles
	if len(here) == 0 {
		// Told no roles, this machine is the server as far as the file goes.
		here = []plan.Role{plan.RoleServer}
	}
	mine := map[string]bool{}
	for _, r := range here {
		for _, h := range s.Site.HostsOf(r) {
			mine[h] = true
		}
	}
	for _, r := range []plan.Role{plan.RoleServer, plan.RoleWeb, plan.RoleDatabase} {
		if len(s.Site.Hosts[r]) == 0 || slices.Contains(here, r) || s.Plan.IsExternal(r) {
			continue
		}
		for _, h := range s.Site.Hosts[r] {
			if mine[h] {
				continue
			}
			mine[h] = true
			fmt.Fprintf(s.words, "The site file has the %s on %s. Start listen there too, with the same key and --role %s, and dial that host next:\n  dial%s %s\n", r, h, r, s.flags(), h)
		}
	}
}

// isFromOutside reports whether only other people's hosts connect to what is
// played here, on which nobody can run dial.
func (s *serving) isFromOutside() bool {
	from := s.initiators()
	return len(from) > 0 && !slices.ContainsFunc(from, func(r plan.Role) bool { return !s.Plan.IsExternal(r) })
}

// sayFromOutside says how to go on there.
func (s *serving) sayFromOutside() {
	var names []string
	for _, r := range s.initiators() {
		names = append(names, string(r))
	}
	fmt.Fprintf(s.words, "Nobody can run dial where these connections come from (%s). Have the software there connect, by a test login, a test mail,\n"+
		"or its vendor's own test, while this runs: each contact is shown here, and at the end stands who came to which port, and to which nobody came.\n", strings.Join(names, ", "))
}
