package address

import (
	"slices"
	"strings"
	"testing"

	"dialtone/internal/result"
)

func codes(c result.AddressConclusion) []string {
	var out []string
	for _, f := range c.Findings {
		out = append(out, string(f.Code))
	}
	return out
}

func text(c result.AddressConclusion) string {
	var b strings.Builder
	for _, f := range c.Findings {
		b.WriteString(f.Text + " " + f.Advice + "\n")
	}
	return b.String()
}

// The lab plays the NATs that nftables can be (internal/lab/addresses); these
// are the others, and what must never be claimed.
func TestConclude(t *testing.T) {
	const nat = "198.51.100.1:4000"
	inbound := func(o result.InboundOutcome, target string) []result.Inbound {
		return []result.Inbound{{Observer: "p", Family: result.FamilyOf(at(target).Addr()), Source: at("192.0.2.1:5"), Target: at(target), Outcome: o}}
	}
	for _, tt := range []struct {
		name  string
		e     result.AddressEvidence
		codes []string
		says  []string
		never []string
		seen  []string
	}{
		{"nobody answers", result.AddressEvidence{Port: 7968}, []string{"nothing-learned"}, nil, nil, nil},
		{"one server alone", result.AddressEvidence{Port: 7968, Views: []result.View{saw("a", own, "192.0.2.1:1", nat)}},
			[]string{"seen", "nat"}, []string{"Partners see you as 198.51.100.1, so their firewall must allow that one. Whether port 7968 there leads to this machine was not tested."},
			[]string{"Give partners"}, []string{"198.51.100.1"}},
		{"a plan without Odyssey", result.AddressEvidence{Views: []result.View{saw("a", own, "192.0.2.1:1", nat)}},
			[]string{"seen", "nat"}, nil, []string{"port 0", "not tested"}, []string{"198.51.100.1"}},
		{"a server inside", result.AddressEvidence{Port: 7968, Views: []result.View{saw("a", own, "10.0.0.1:1", own)}},
			[]string{"own-private"}, nil, []string{"Partners see you", "There is no NAT"}, []string{"10.0.0.9"}},
		{"a server in the provider's network", result.AddressEvidence{Port: 7968, Views: []result.View{saw("a", own, "192.0.2.1:1", "100.64.0.1:4000")}},
			[]string{"cgnat"}, nil, []string{"Partners see you"}, []string{"100.64.0.1"}},
		{"NAT64", result.AddressEvidence{Port: 7968, Views: []result.View{saw("a", "[2001:db8::9]:1", "[64:ff9b::c000:201]:1", "198.51.100.1:7")}},
			[]string{"seen", "nat64"}, []string{"RFC 6146"}, nil, []string{"198.51.100.1"}},
		{"NPTv6 that keeps the checksum", result.AddressEvidence{Port: 7968, Views: []result.View{saw("a", "[fd01:203:405:1::1234]:5", "[2001:db8:f::1]:1", "[2001:db8:1:d54f::1235]:5")}},
			[]string{"seen", "nptv6"}, nil, nil, []string{"2001:db8:1:d54f::1235"}},
		{"NAT66 that changes the port", result.AddressEvidence{Port: 7968, Views: []result.View{saw("a", "[fd01:203:405:1::1234]:5", "[2001:db8:f::1]:1", "[2001:db8:1:d550::1234]:6")}},
			[]string{"seen", "nat66"}, nil, nil, []string{"2001:db8:1:d550::1234"}},
		{"two proved observers that see different addresses", result.AddressEvidence{Port: 7968, Views: []result.View{
			with(saw("a", own, "192.0.2.1:1", nat), keyed), with(saw("b", own, "203.0.113.1:1", "198.51.100.2:1"), keyed),
		}}, []string{"seen", "address-by-destination"}, []string{"a sees 198.51.100.1 and b sees 198.51.100.2"}, []string{"is wrong"}, []string{"198.51.100.1", "198.51.100.2"}},
		{"a server that may lie beside a proved one", result.AddressEvidence{Port: 7968, Views: []result.View{
			with(saw("a", own, "192.0.2.1:1", nat), keyed), saw("b", own, "203.0.113.1:1", "198.51.100.2:1"),
		}}, []string{"seen", "address-by-destination"}, []string{"or one of these servers is wrong"}, nil, []string{"198.51.100.1", "198.51.100.2"}},
		{"an implausible answer counts for nothing", result.AddressEvidence{Port: 7968, Views: []result.View{
			with(saw("a", own, "192.0.2.1:1", "0.0.0.0:7"), func(v *result.View) { v.Outcome = result.ViewImplausible }),
		}}, []string{"nothing-learned", "implausible-address"}, []string{"claims to see you as 0.0.0.0:7, which cannot be"}, nil, nil},
		{"and is told beside a good one", result.AddressEvidence{Port: 7968, Views: []result.View{
			saw("b", own, "203.0.113.1:1", nat), with(saw("a", own, "192.0.2.1:1", "0.0.0.0:7"), func(v *result.View) { v.Outcome = result.ViewImplausible }),
		}}, []string{"seen", "nat", "implausible-address"}, nil, nil, []string{"198.51.100.1"}},
		{"a server that only refuses TCP is no news", result.AddressEvidence{Port: 7968, Views: []result.View{
			with(saw("a", own, "192.0.2.1:1", nat), func(v *result.View) { v.Outcome, v.SeenAs = result.ViewRefused, result.Endpoint{} }), with(saw("a", own, "192.0.2.1:1", nat), overUDP),
		}}, []string{"seen", "nat", "udp-only"}, nil, nil, []string{"198.51.100.1"}},
		{"a published name has the seen address and another one", result.AddressEvidence{Port: 7968, Views: []result.View{saw("a", own, "192.0.2.1:1", nat)},
			Published: []result.Published{{Name: "o.example.edu", Addresses: []string{"198.51.100.1", "198.51.100.5"}}}},
			[]string{"published-differs", "nat"}, []string{"Give partners o.example.edu (198.51.100.1 and 198.51.100.5) as your Odyssey address; they see you as 198.51.100.1"}, nil, []string{"198.51.100.1"}},
		{"published for another family only", result.AddressEvidence{Port: 7968, Views: []result.View{saw("a", own, "192.0.2.1:1", nat)},
			Published: []result.Published{{Name: "2001:db8::5", Addresses: []string{"2001:db8::5"}}}},
			[]string{"seen", "nat"}, nil, nil, []string{"198.51.100.1"}},
		{"an uplink of each kind on this machine", result.AddressEvidence{Port: 7968, Own: []string{"198.51.100.1", "203.0.113.7"}, Views: []result.View{
			saw("a", nat, "192.0.2.1:1", nat), saw("b", "203.0.113.7:4000", "203.0.113.1:1", "203.0.113.7:4000"),
		}}, []string{"seen", "address-by-destination"}, []string{"Partners see you as 198.51.100.1 or 203.0.113.7"}, nil, []string{"198.51.100.1", "203.0.113.7"}},
		{"something between answers for a machine without NAT", result.AddressEvidence{Port: 7968, Own: []string{"198.51.100.1"}, Views: []result.View{with(saw("p", nat, "192.0.2.1:1", nat), keyed)},
			Inbound: inbound(result.InboundAnswered, "198.51.100.1:7968")},
			[]string{"seen", "no-nat", "inbound-intercepted"}, nil, []string{"Give partners"}, []string{"198.51.100.1"}},
		{"a dial-back that was refused to be made", result.AddressEvidence{Port: 7968, Views: []result.View{with(saw("p", own, "192.0.2.1:1", nat), keyed)},
			Inbound: []result.Inbound{{Observer: "p", Family: result.IP4, Outcome: result.InboundUntried, Error: "the listener is busy"}}},
			[]string{"seen", "nat"}, []string{"was not tested: the listener is busy."}, []string{"does not lead"}, []string{"198.51.100.1"}},
		{"a published address that leads here", result.AddressEvidence{Port: 7968, Views: []result.View{with(saw("p", own, "192.0.2.1:1", nat), keyed)},
			Published: []result.Published{{Name: "198.51.100.9", Addresses: []string{"198.51.100.9"}}},
			Inbound:   append(inbound(result.InboundSilent, "198.51.100.1:7968"), inbound(result.InboundReached, "198.51.100.9:7968")...)},
			[]string{"published-differs", "nat", "nat-no-forward"}, []string{"Port 7968 of 198.51.100.9 reaches this machine (tested from p).", "That does not matter"}, []string{"was not tested"}, []string{"198.51.100.1"}},
		{"a published address that the listener does not know", result.AddressEvidence{Port: 7968, Views: []result.View{with(saw("p", own, "192.0.2.1:1", nat), keyed)},
			Published: []result.Published{{Name: "198.51.100.9", Addresses: []string{"198.51.100.9"}}},
			Inbound:   append(inbound(result.InboundSilent, "198.51.100.1:7968"), inbound(result.InboundUntried, "198.51.100.9:7968")...)},
			[]string{"published-differs", "nat", "nat-no-forward"}, []string{"Whether 198.51.100.9 leads here was not tested"}, []string{"198.51.100.9 reaches", "198.51.100.9:7968 does not lead"}, []string{"198.51.100.1"}},
		{"a pool of which one address leads here", result.AddressEvidence{Port: 7968, Views: []result.View{
			with(saw("p", own, "192.0.2.1:1", nat), keyed), with(with(saw("p", other, "192.0.2.1:1", "198.51.100.2:4001"), keyed), repeated),
		}, Inbound: inbound(result.InboundReached, "198.51.100.1:7968")},
			[]string{"seen", "address-pool", "inbound-same"}, []string{"any of 198.51.100.1 and 198.51.100.2"}, []string{"Give partners"}, []string{"198.51.100.1", "198.51.100.2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Conclude(tt.e)
			if !slices.Equal(codes(c), tt.codes) || !slices.Equal(c.Seen, tt.seen) {
				t.Errorf("findings %v, seen %v; want %v, %v\n%s", codes(c), c.Seen, tt.codes, tt.seen, text(c))
			}
			for _, s := range tt.says {
				if !strings.Contains(text(c), s) {
					t.Errorf("does not say %q:\n%s", s, text(c))
				}
			}
			for _, s := range tt.never {
				if strings.Contains(text(c), s) {
					t.Errorf("says %q:\n%s", s, text(c))
				}
			}
		})
	}
}

func TestEveryOutcomeHasItsWords(t *testing.T) {
	for _, o := range []result.ViewOutcome{
		result.ViewUnresolved, result.ViewUnreachable, result.ViewRefused, result.ViewRejected, result.ViewSilent, result.ViewMute, result.ViewClosed,
		result.ViewNotSTUN, result.ViewTransaction, result.ViewElsewhere, result.ViewAltered, result.ViewUnmapped, result.ViewImplausible,
		result.ViewError, result.ViewWrongKey, result.ViewForbidden, result.ViewUnkeyed, result.ViewFailed,
	} {
		v := saw("stun.example.org", own, "192.0.2.1:1", "198.51.100.1:1")
		v.Outcome, v.Error = o, "stun.example.org: what came"
		c := Conclude(result.AddressEvidence{Views: []result.View{v}})
		if len(c.Findings) != 2 {
			t.Fatalf("%s: %+v", o, c.Findings)
		}
		f := c.Findings[1]
		if f.Code == "" || strings.Contains(f.Text, "{") || !strings.Contains(f.Text, "stun.example.org") {
			t.Errorf("%s: %+v", o, f)
		}
	}
}

func TestAlternatesOfAServerAreOfItsOwnKind(t *testing.T) {
	for _, tt := range []struct {
		target, other string
		want          bool
	}{
		{"198.51.100.1:3478", "198.51.100.2:3479", true},
		{"[2001:db8::1]:3478", "[2001:db8::2]:3479", true},
		{"127.0.0.1:3478", "127.0.0.2:3479", true},
		{"10.0.0.1:3478", "10.0.0.2:3479", true},
		{"198.51.100.1:3478", "198.51.100.1:3479", false}, // RFC 5780 section 7.4: another address
		{"198.51.100.1:3478", "198.51.100.2:3478", false}, // and another port
		{"198.51.100.1:3478", "10.0.0.2:3479", false},     // a door of our own network
		{"198.51.100.1:3478", "127.0.0.1:22", false},
		{"198.51.100.1:3478", "169.254.169.254:80", false},
		{"198.51.100.1:3478", "0.0.0.0:3479", false},
		{"198.51.100.1:3478", "224.0.0.1:3479", false},
		{"198.51.100.1:3478", "198.51.100.2:0", false},
		{"198.51.100.1:3478", "[2001:db8::2]:3479", false},
	} {
		if got := isAlternate(at(tt.target).AddrPort, at(tt.other).AddrPort); got != tt.want {
			t.Errorf("%s offered by %s: %v", tt.other, tt.target, got)
		}
	}
	if isAlternate(at("198.51.100.1:3478").AddrPort, result.Endpoint{}.AddrPort) {
		t.Error("no other address is one to ask")
	}
}
