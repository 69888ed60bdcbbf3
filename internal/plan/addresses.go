package plan

import (
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// addressesAny and addressesAll say whether one of several addresses of a name
// is enough.
const (
	addressesAny = "any"
	addressesAll = "all" // the default
)

// AnyAddress reports whether the site says that one address is enough where the
// name of a host that plays role r has several: for the host, else for the role,
// else for all. SQL Server's availability group listeners are such names: all of
// their addresses but one are offline on purpose. A nil site says nothing.
func (s *Site) AnyAddress(host string, r Role) bool {
	if s == nil {
		return false
	}
	for _, of := range []string{canonicalHost(host), string(r), ""} {
		if answer, ok := s.addresses[of]; ok {
			return answer
		}
	}
	return false
}

// siteAddresses reads the value of addresses: any or all for the whole site, or
// for roles and hosts.
func (d *document) siteAddresses(f field, s *Site, p *Plan) {
	s.addresses = map[string]bool{}
	if _, ok := f.value.(*ast.MappingNode); !ok {
		s.addresses[""] = d.isAnyAddress(f, f.key)
		return
	}
	for _, v := range d.fields(f.value, f.key, nil) {
		answer := d.isAnyAddress(v, "addresses of "+quote(v.key))
		if _, ok := p.Roles[Role(v.key)]; ok {
			s.addresses[v.key] = answer
			continue
		}
		if host := canonicalHost(v.key); s.mentions(host) {
			s.addresses[host] = answer
			continue
		}
		d.problemf(v.line, "addresses of %s: neither a role of the plan nor a host that this file names under roles", quote(v.key))
	}
}

func (d *document) isAnyAddress(f field, what string) bool {
	v := d.scalar(f.value, f.line, what)
	if allowed := []string{addressesAny, addressesAll}; v.given() && !slices.Contains(allowed, v.text) {
		d.problemf(v.line, "%s is %s: use %s if one of several addresses is enough, %s if each has to work", what, quote(v.text), addressesAny, addressesAll)
	}
	return v.text == addressesAny
}

// mentions reports whether a host plays any role.
func (s *Site) mentions(host string) bool {
	for _, hosts := range s.Hosts {
		if slices.ContainsFunc(hosts, func(h string) bool { return canonicalHost(h) == host }) {
			return true
		}
	}
	return false
}
