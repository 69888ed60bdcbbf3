package plan

import (
	"dialtone/internal/paste"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const maxPort = 65535

// ErrUnknownRow is wrapped by the errors that name a row id or service which
// the plan does not have.
var ErrUnknownRow = errors.New("unknown row id or service")

// A Change is what a site file and the command line say about a plan. Its
// zero value changes nothing.
type Change struct {
	Site *Site // nil: no site file
	// Ports is exact: row id or service to port, 1 to 65535. It goes before
	// the site's ports, and Shift is not added to it.
	Ports map[string]int
	// Shift is added to every other port and source port, so that a trial
	// needs no privileged ports. Ports that the accepting end names are left.
	Shift int
}

// Apply returns a new plan with c applied, and the conditional rows left out
// because the site does not use them. Rows that it does use become Required, as
// do those between two roles that it says are on different hosts (Row.Apart).
// A row id goes before a service of the same name.
//
// It is an error to name a row id or service that p does not have
// (ErrUnknownRow), to set one port for a service whose rows have several, to
// set the port of a row that has none of its own, and to end with a port
// outside 1 to 65535.
func (p *Plan) Apply(c Change) (*Plan, []Excluded, error) {
	site := c.Site
	if site == nil {
		site = &Site{}
	}
	for _, r := range slices.Sorted(maps.Keys(site.Hosts)) {
		if _, ok := p.Roles[r]; !ok {
			return nil, nil, fmt.Errorf("site: unknown role %s: use %s", quote(string(r)), oneOf(string(r), p.RoleNames()))
		}
	}
	used := make(map[string]bool)
	for _, term := range site.Uses {
		rows, err := p.lookup(term)
		if err != nil {
			return nil, nil, fmt.Errorf("site: uses: %w", err)
		}
		for _, i := range rows {
			used[p.Rows[i].ID] = true
		}
	}
	sitePorts, err := p.setPorts(site.Ports)
	if err != nil {
		return nil, nil, fmt.Errorf("site: ports: %w", err)
	}
	exact, err := p.setPorts(c.Ports)
	if err != nil {
		return nil, nil, fmt.Errorf("port: %w", err)
	}

	out := &Plan{
		Name: p.Name, Title: p.Title, Revised: p.Revised,
		Roles: maps.Clone(p.Roles), External: slices.Clone(p.External), Sources: slices.Clone(p.Sources),
		Rows:  make([]Row, 0, len(p.Rows)),
		order: slices.Clone(p.order), left: slices.Clone(p.left),
	}
	var left []Excluded
	for _, r := range p.Rows {
		r.From = slices.Clone(r.From)
		if hosts := site.Hosts[r.To]; len(hosts) > 0 && p.IsExternal(r.To) {
			r.Host = hosts[0]
		}
		switch {
		case used[r.ID], r.Apart && site.isApart(r):
			r.Need = Required
		case site.UsesSet && r.Need == Conditional:
			left = append(left, Excluded{Row: r, Why: "this site does not use it"})
			continue
		}
		if n, ok := sitePorts[r.ID]; ok {
			r.Port, r.PortAssumed = n, false
		}
		if n, ok := exact[r.ID]; ok {
			r.Port, r.PortAssumed = n, false
		} else if r.Port, err = shifted(r.ID, "port", r.Port, c.Shift); err != nil {
			return nil, nil, err
		}
		if r.SourcePort, err = shifted(r.ID, "source port", r.SourcePort, c.Shift); err != nil {
			return nil, nil, err
		}
		out.Rows = append(out.Rows, r)
	}
	out.left = append(out.left, left...)
	return out, left, nil
}

// shifted adds by to a port of row id; 0, which is no port, stays 0.
func shifted(id, what string, port, by int) (int, error) {
	if port == 0 || by == 0 {
		return port, nil
	}
	// by may be anything, so the sum may overflow: compare without adding.
	if by < 1-port || by > maxPort-port {
		return 0, fmt.Errorf("row %s: %s %d shifted by %d is not within 1 to %d: use a shift from %d to %d",
			id, what, port, by, maxPort, 1-port, maxPort-port)
	}
	return port + by, nil
}

// setPorts returns row id to port for a list of row ids and services to port.
func (p *Plan) setPorts(ports map[string]int) (map[string]int, error) {
	set := make(map[string]int)
	ids := make(map[string]int)
	for _, term := range slices.Sorted(maps.Keys(ports)) {
		n := ports[term]
		rows, err := p.portRows(term)
		if err != nil {
			return nil, err
		}
		if n < 1 || n > maxPort {
			return nil, fmt.Errorf("%s: port %d: use a number from 1 to %d", term, n, maxPort)
		}
		for _, i := range rows {
			if id := p.Rows[i].ID; id == term {
				ids[id] = n
			} else {
				set[id] = n
			}
		}
	}
	maps.Copy(set, ids) // a row's own port goes before its service's
	return set, nil
}

// portRows returns the indexes of the rows whose port term sets.
func (p *Plan) portRows(term string) ([]int, error) {
	rows, err := p.lookup(term)
	if err != nil {
		return nil, err
	}
	first := p.Rows[rows[0]].Port
	several := false
	var each []string
	for _, i := range rows {
		r := p.Rows[i]
		several = several || r.Port != first
		each = append(each, fmt.Sprintf("%s (%s)", r.ID, portWord(r.Port)))
	}
	if several {
		return nil, fmt.Errorf("service %s has several ports: set them row by row: %s", quote(term), strings.Join(each, ", "))
	}
	if first == 0 {
		return nil, fmt.Errorf("%s has no port to set, the accepting end names one each time: remove it", quote(term))
	}
	return rows, nil
}

// lookup returns the indexes of the rows that term names: the row of that id,
// else all rows of that service. It never returns an empty list without an
// error.
func (p *Plan) lookup(term string) ([]int, error) {
	var ofService []int
	for i, r := range p.Rows {
		if r.ID == term {
			return []int{i}, nil
		}
		if r.Service == term {
			ofService = append(ofService, i)
		}
	}
	if ofService != nil {
		return ofService, nil
	}
	for _, l := range p.left {
		if term == l.Row.ID || term == l.Row.Service {
			return nil, fmt.Errorf("%w %s: it is left out because %s: add it to uses in the site file", ErrUnknownRow, quote(term), l.Why)
		}
	}
	var known []string
	listed := make(map[string]bool)
	for _, r := range p.Rows {
		for _, w := range []string{r.Service, r.ID} {
			if !listed[w] {
				listed[w] = true
				known = append(known, w)
			}
		}
	}
	if near := paste.Nearest(term, known); near != nil {
		return nil, fmt.Errorf("%w %s: did you mean %s?", ErrUnknownRow, quote(term), join(near, " or "))
	}
	return nil, fmt.Errorf("%w %s: use one of %s", ErrUnknownRow, quote(term), some(known))
}

func portWord(n int) string {
	if n == 0 {
		return "high"
	}
	return fmt.Sprint(n)
}
