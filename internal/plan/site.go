package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"dialtone/internal/paste"
)

// A Site is what is particular to one site: which hosts play the plan's roles,
// which ports differ, and which features are used.
type Site struct {
	Name  string            // "" if the file has none
	Hosts map[Role][]string // names or addresses, in their usual form (paste.Host)
	Ports map[string]int    // row id or service to port
	// Institution and Contact say who asks a firewall's people, and whom they ask back;
	// "": the file does not.
	Institution, Contact string
	// Uses lists row ids and services that become required. With UsesSet the
	// conditional rows that it does not list are left out; without it the site
	// does not say, and they stay conditional.
	Uses    []string
	UsesSet bool

	// addresses says whether one of several addresses is enough, by canonical host,
	// by role, and for the whole site (""). What it does not say is no.
	addresses map[string]bool

	order []Role // the plan's roles, in its order; nil: any
}

// maxContact bounds whom to ask back, in bytes: it stands in every request.
const maxContact = 300

var siteKeys = []string{"name", "institution", "contact", "roles", "ports", "uses", "addresses"}

// LoadSite reads a site file for plan p. The error lists everything that is
// wrong with the file, each with its line.
func LoadSite(file string, p *Plan) (*Site, error) {
	data, err := readLimited(file)
	if err != nil {
		return nil, fmt.Errorf("site file: %w", err)
	}
	return decodeSite(file, data, p)
}

func decodeSite(file string, data []byte, p *Plan) (*Site, error) {
	d := &document{file: file}
	root := d.parse(data)
	if root == nil {
		return nil, d.err()
	}
	s := &Site{Hosts: make(map[Role][]string), Ports: make(map[string]int), order: p.RoleNames()}
	var addresses *field // read last: it may name hosts of any line
	for _, f := range d.fields(root, "the site file", siteKeys) {
		switch f.key {
		case "name":
			s.Name = d.scalar(f.value, f.line, f.key).text
		case "institution":
			s.Institution = d.scalar(f.value, f.line, f.key).text
		case "contact":
			s.Contact = d.scalarUpTo(maxContact, f.value, f.line, f.key).text
		case "roles":
			for _, r := range d.fields(f.value, "roles", nil) {
				role, ok := d.role(scalar{r.key, r.line}, p)
				for _, h := range d.scalars(r.value, r.line, "role "+quote(r.key)) {
					if host := d.host(h, "host"); ok && host != "" {
						s.Hosts[role] = append(s.Hosts[role], host)
					}
				}
			}
		case "ports":
			for _, v := range d.fields(f.value, "ports", nil) {
				n := d.scalar(v.value, v.line, "port of "+quote(v.key))
				if !n.given() {
					continue
				}
				s.Ports[v.key] = d.port(n, "port of "+quote(v.key), "a number from 1 to 65535")
				d.rows(v.line, v.key, p.portRows)
			}
		case "uses":
			uses := d.scalars(f.value, f.line, f.key)
			s.UsesSet = uses != nil
			for _, u := range uses {
				d.rows(u.line, u.text, p.lookup)
				s.Uses = append(s.Uses, u.text)
			}
		case "addresses":
			addresses = &f
		}
	}
	if addresses != nil {
		d.siteAddresses(*addresses, s, p)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return s, nil
}

// rows notes what find has against term, a row id or service.
func (d *document) rows(line int, term string, find func(string) ([]int, error)) {
	if d.enough() {
		d.problemf(line, "not checked")
		return
	}
	if _, err := find(term); err != nil {
		d.problemf(line, "%v", err)
	}
}

// HostsOf returns the hosts that play role r. Server, web and database are one
// machine unless the site says otherwise: where web or database has no host of
// its own, the server's hosts play it too.
func (s *Site) HostsOf(r Role) []string {
	if h := s.Hosts[r]; len(h) > 0 {
		return slices.Clone(h)
	}
	known := s.order == nil || slices.Contains(s.order, r)
	if known && (r == RoleWeb || r == RoleDatabase) {
		return slices.Clone(s.Hosts[RoleServer])
	}
	return nil
}

// isApart reports whether the site names a host for the accepting role of r that
// does not play all of the roles which open the connection. Where it names none
// for those, whoever asks plays them elsewhere.
func (s *Site) isApart(r Row) bool {
	if len(s.Hosts[r.To]) == 0 {
		return false
	}
	to := s.HostsOf(r.To)
	for _, from := range r.From {
		hosts := s.HostsOf(from)
		elsewhere := func(h string) bool {
			return !slices.ContainsFunc(to, func(o string) bool { return canonicalHost(o) == canonicalHost(h) })
		}
		if len(hosts) == 0 || slices.ContainsFunc(hosts, elsewhere) {
			return true
		}
	}
	return false
}

// RolesOf returns the roles that host plays, in the plan's order, by the rule
// of HostsOf; nil when the site does not mention the host. Names are compared
// as written, without regard to case; nothing is resolved.
func (s *Site) RolesOf(host string) []Role {
	host = canonicalHost(host)
	roles := s.order
	if roles == nil {
		set := maps.Clone(s.Hosts)
		if set == nil {
			return nil
		}
		for _, r := range []Role{RoleWeb, RoleDatabase} {
			set[r] = s.HostsOf(r)
		}
		roles = slices.Sorted(maps.Keys(set))
	}
	var played []Role
	for _, r := range roles {
		if slices.ContainsFunc(s.HostsOf(r), func(h string) bool { return canonicalHost(h) == host }) {
			played = append(played, r)
		}
	}
	return played
}

// canonicalHost is the form in which two spellings of a host are equal.
func canonicalHost(h string) string {
	if usual, err := paste.Host(h); err == nil {
		h = usual
	}
	return strings.ToLower(strings.TrimSuffix(h, "."))
}
