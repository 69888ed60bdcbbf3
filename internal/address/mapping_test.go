package address

import (
	"net/netip"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

func at(s string) result.Endpoint { return result.EndpointFrom(netip.MustParseAddrPort(s)) }

// saw is an answered view: from, to, seen as.
func saw(observer, source, target, seen string) result.View {
	return result.View{
		Observer: observer, Test: result.TestFirst, Transport: plan.TCP, Family: result.FamilyOf(at(target).Addr()),
		Source: at(source), Target: at(target), SeenAs: at(seen), Outcome: result.ViewAnswered,
	}
}

func with(v result.View, change func(*result.View)) result.View { change(&v); return v }

func alternate(v *result.View) { v.Test = result.TestAlternate }
func repeated(v *result.View)  { v.Test = result.TestAgain }
func keyed(v *result.View)     { v.Keyed = true }
func overUDP(v *result.View)   { v.Transport = plan.UDP }

const own, other = "10.0.0.9:4000", "10.0.0.9:4001"

func TestMappingBehaviour(t *testing.T) {
	for _, tt := range []struct {
		name      string
		views     []result.View
		behaviour result.MappingBehaviour
		method    result.MappingMethod
		ports     result.PortMapping
	}{
		{"not translated", []result.View{saw("a", own, "192.0.2.1:1", own)}, result.MappingNone, result.MethodNone, result.PortsKept},
		{"one destination", []result.View{saw("a", own, "192.0.2.1:1", "198.51.100.1:4000")}, result.MappingUnknown, result.MethodNone, result.PortsKept},
		{"one server, alike", []result.View{
			saw("a", own, "192.0.2.1:1", "198.51.100.1:9"), with(saw("a", own, "192.0.2.2:1", "198.51.100.1:9"), alternate), with(saw("a", own, "192.0.2.2:2", "198.51.100.1:9"), alternate),
		}, result.MappingIndependent, result.MethodRFC5780, result.PortsChanged},
		{"one server, by address", []result.View{
			saw("a", own, "192.0.2.1:1", "198.51.100.1:9"), with(saw("a", own, "192.0.2.2:1", "198.51.100.1:8"), alternate), with(saw("a", own, "192.0.2.2:2", "198.51.100.1:8"), alternate),
		}, result.MappingAddress, result.MethodRFC5780, result.PortsChanged},
		{"one server, by port", []result.View{
			saw("a", own, "192.0.2.1:1", "198.51.100.1:9"), with(saw("a", own, "192.0.2.2:1", "198.51.100.1:8"), alternate), with(saw("a", own, "192.0.2.2:2", "198.51.100.1:7"), alternate),
		}, result.MappingAddressPort, result.MethodRFC5780, result.PortsChanged},
		{"one server whose other address does not answer", []result.View{
			saw("a", own, "192.0.2.1:1", "198.51.100.1:9"), with(saw("a", own, "192.0.2.2:1", "198.51.100.1:9"), func(v *result.View) { v.Test, v.Outcome = result.TestAlternate, result.ViewSilent }),
		}, result.MappingUnknown, result.MethodNone, result.PortsChanged},
		{"two servers, alike", []result.View{saw("a", own, "192.0.2.1:1", "198.51.100.1:9"), saw("b", own, "203.0.113.1:1", "198.51.100.1:9")}, result.MappingIndependent, result.MethodDestinations, result.PortsChanged},
		{"two servers, not alike", []result.View{saw("a", own, "192.0.2.1:1", "198.51.100.1:9"), saw("b", own, "203.0.113.1:1", "198.51.100.1:8")}, result.MappingDestination, result.MethodDestinations, result.PortsChanged},
		{"two ports of a listener, alike", []result.View{
			with(saw("a", own, "192.0.2.1:1", "198.51.100.1:9"), keyed), with(with(saw("a", own, "192.0.2.1:2", "198.51.100.1:9"), keyed), alternate),
		}, result.MappingUnknown, result.MethodNone, result.PortsChanged},
		{"two ports of a listener, not alike", []result.View{
			with(saw("a", own, "192.0.2.1:1", "198.51.100.1:9"), keyed), with(with(saw("a", own, "192.0.2.1:2", "198.51.100.1:8"), keyed), alternate),
		}, result.MappingAddressPort, result.MethodDestinations, result.PortsChanged},
		{"from another local port nothing can be compared", []result.View{saw("a", own, "192.0.2.1:1", "198.51.100.1:4000"), saw("b", other, "203.0.113.1:1", "198.51.100.1:4001")}, result.MappingUnknown, result.MethodNone, result.PortsKept},
		{"repeats are no other destination", []result.View{saw("a", own, "192.0.2.1:1", "198.51.100.1:4000"), with(saw("a", other, "192.0.2.1:1", "198.51.100.1:7"), repeated)}, result.MappingUnknown, result.MethodNone, result.PortsMixed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := mappings(tt.views)
			if len(got) != 1 {
				t.Fatalf("%d mappings", len(got))
			}
			m := got[0]
			if m.Behaviour != tt.behaviour || m.Method != tt.method || m.Ports != tt.ports {
				t.Errorf("%s by %s, ports %s; want %s by %s, ports %s", m.Behaviour, m.Method, m.Ports, tt.behaviour, tt.method, tt.ports)
			}
			if (m.Method == result.MethodNone) != (len(m.Destinations) == 0) {
				t.Errorf("method %s and destinations %v", m.Method, m.Destinations)
			}
		})
	}
}

func TestTransportsAndFamiliesAreMappedEachOnItsOwn(t *testing.T) {
	got := mappings([]result.View{
		saw("a", own, "192.0.2.1:1", "198.51.100.1:9"), with(saw("a", own, "192.0.2.1:1", own), overUDP),
		saw("a", "[2001:db8::9]:1", "[2001:db8:1::1]:1", "[2001:db8::9]:1"),
	})
	if len(got) != 3 || got[0].Behaviour != result.MappingUnknown || got[1].Behaviour != result.MappingNone || got[2].Family != result.IP6 {
		t.Errorf("%+v", got)
	}
}
