package address

import (
	"net/netip"
	"slices"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// mappings infers how each transport and family is mapped.
func mappings(views []result.View) []result.Mapping {
	out := []result.Mapping{}
	for _, f := range []result.Family{result.IP4, result.IP6} {
		for _, t := range []plan.Transport{plan.TCP, plan.UDP} {
			var of []result.View
			for _, v := range views {
				if v.Transport == t && v.Family == f && v.Outcome == result.ViewAnswered {
					of = append(of, v)
				}
			}
			if len(of) > 0 {
				out = append(out, mapping(t, f, of))
			}
		}
	}
	return out
}

// mapping infers it from answered views of one transport and family.
func mapping(t plan.Transport, f result.Family, views []result.View) result.Mapping {
	m := result.Mapping{Transport: t, Family: f, Ports: portMapping(views)}
	if !slices.ContainsFunc(views, func(v result.View) bool { return v.SeenAs != v.Source }) {
		m.Behaviour, m.Method = result.MappingNone, result.MethodNone
		return m
	}
	server, all := ofOneServer(views), ofOnePort(views)
	m.Method = result.MethodRFC5780
	if m.Behaviour = behaviour(server); m.Behaviour == result.MappingUnknown {
		m.Behaviour, m.Method, server = behaviour(all), result.MethodDestinations, all
	}
	if m.Behaviour == result.MappingUnknown {
		m.Method = result.MethodNone
		return m
	}
	for _, v := range server {
		m.Destinations = append(m.Destinations, v.Target)
	}
	return m
}

// ofOnePort returns the views whose mappings can be compared: those of one
// local address and port, each of another destination. Of several such groups
// it is the largest.
func ofOnePort(views []result.View) []result.View {
	groups := map[result.Endpoint][]result.View{}
	var largest []result.View
	for _, v := range views {
		if slices.ContainsFunc(groups[v.Source], func(w result.View) bool { return w.Target == v.Target }) {
			continue
		}
		groups[v.Source] = append(groups[v.Source], v)
		if g := groups[v.Source]; len(g) > len(largest) {
			largest = g
		}
	}
	return largest
}

// ofOneServer is ofOnePort among the addresses and ports of one server that
// offers another address.
func ofOneServer(views []result.View) []result.View {
	for _, v := range views {
		if v.Test != result.TestAlternate || v.Keyed {
			continue
		}
		return ofOnePort(slices.DeleteFunc(slices.Clone(views), func(w result.View) bool {
			return w.Keyed || w.Observer != v.Observer
		}))
	}
	return nil
}

// behaviour infers the mapping behaviour of one local address and port from
// what several destinations saw (RFC 5780 section 4.3). It is unknown where they
// do not tell it apart from another.
func behaviour(views []result.View) result.MappingBehaviour {
	byAddress := map[netip.Addr][]result.Endpoint{} // destination → as what it saw us
	differs := false
	for _, v := range views {
		byAddress[v.Target.Addr()] = append(byAddress[v.Target.Addr()], v.SeenAs)
		differs = differs || v.SeenAs != views[0].SeenAs
	}
	twoPorts := false
	for _, seen := range byAddress {
		if slices.ContainsFunc(seen, func(e result.Endpoint) bool { return e != seen[0] }) {
			return result.MappingAddressPort
		}
		twoPorts = twoPorts || len(seen) > 1
	}
	switch {
	case len(byAddress) < 2:
		return result.MappingUnknown
	case !differs:
		return result.MappingIndependent
	case twoPorts:
		return result.MappingAddress
	}
	return result.MappingDestination
}

// portMapping compares the ports at both sides. One connection may keep its
// port by chance only if it is one of very many, and change it because another
// one has it.
func portMapping(views []result.View) result.PortMapping {
	kept := 0
	for _, v := range views {
		if v.SeenAs.Port() == v.Source.Port() {
			kept++
		}
	}
	switch {
	case !slices.ContainsFunc(views, func(v result.View) bool { return v.Source.Port() != 0 }):
		return result.PortsUnknown
	case kept == len(views):
		return result.PortsKept
	case kept == 0:
		return result.PortsChanged
	}
	return result.PortsMixed
}
