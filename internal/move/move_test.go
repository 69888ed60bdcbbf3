package move

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

func ap(s string) result.Endpoint { return result.EndpointFrom(netip.MustParseAddrPort(s)) }

// odyssey is the old server's run with a partner: it is 10.2.0.10, and seen as 198.51.100.9.
func odyssey(partner, address string) *result.Report {
	path := func(d plan.Direction, flow, source, seen, target string, ok bool) result.Path {
		p := result.Path{Flow: flow, Service: "Odyssey", Port: 7968, Transport: plan.TCP, Direction: d, Expect: plan.ExpectOpen, OK: ok, Counted: true, Source: ap(source), Target: ap(target)}
		if seen != "" {
			p.SeenAs = ap(seen)
		}
		return p
	}
	return &result.Report{
		Mode: result.ModePaths, Plan: "illiad", From: result.End{Role: "server", Host: "illiad", Addresses: result.ParseAddrs("10.2.0.10")}, To: result.End{Role: "peer", Host: partner, Addresses: result.ParseAddrs(address)},
		Paths: []result.Path{
			path(plan.Forward, "odyssey-out", "10.2.0.10:50000", "198.51.100.9:50000", address+":7968", true),
			path(plan.Reverse, "odyssey-in", address+":50001", "", "198.51.100.10:7968", false),
			{Flow: "x", Service: "Other", Port: 99, Transport: plan.TCP, Direction: plan.Forward, Expect: plan.ExpectOpen, Source: ap("10.2.0.10:1"), Target: ap(address + ":99")},
			{Flow: "y", Service: "SQL", Port: 1433, Transport: plan.TCP, Direction: plan.Forward, Expect: plan.ExpectClosed, OK: true},
		},
	}
}

// staff is a staff PC's run against the old server.
func staff(address string) *result.Report {
	return &result.Report{
		Mode: result.ModePaths, Plan: "illiad", From: result.End{Role: "client", Host: "pc-" + address, Addresses: result.ParseAddrs(address)},
		To:    result.End{Role: "server,web,database", Host: "illiad.example.edu", Addresses: result.ParseAddrs("10.2.0.10")},
		Paths: []result.Path{{Flow: "sql-client", Service: "SQL Server (TDS)", Port: 1433, Transport: plan.TCP, Direction: plan.Forward, Expect: plan.ExpectOpen, OK: true, Counted: true, Source: ap(address + ":40000"), Target: ap("10.2.0.10:1433")}},
	}
}

func TestEachPartyIsToldItsOwn(t *testing.T) {
	s, err := Of([]*result.Report{odyssey("b.example", "203.0.113.7"), staff("10.1.0.10"), staff("10.1.0.11")}, "192.0.2.20")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Parties) != 2 {
		t.Fatalf("%d parties: %+v", len(s.Parties), s.Parties)
	}
	b := s.Parties[0]
	var got []string
	for _, c := range b.Changes {
		got = append(got, c.Where+": "+c.What+" "+strings.Join(c.Ports, ", "))
	}
	want := []string{
		"settings: In ILLiad's Lender Addresses, or where its software keeps them, give 192.0.2.20 as this institution's Odyssey address ",
		"firewall, incoming: Allow from the address as which 192.0.2.20 is seen, as now from 198.51.100.9 (dial address tells it, run on the new server), to 203.0.113.7 7968/tcp Odyssey",
		"firewall, outgoing: Allow from 203.0.113.7 to 192.0.2.20, as now to 198.51.100.10 7968/tcp Odyssey",
	}
	if !slices.Equal(got, want) || b.Test != "dial odyssey --key KEY 192.0.2.20" {
		t.Errorf("test %q, changes\n%s", b.Test, strings.Join(got, "\n"))
	}
	pcs := s.Parties[1]
	if pcs.Name != "" || !slices.Equal(pcs.Addresses, []string{"10.1.0.10", "10.1.0.11"}) || pcs.Changes[1].What != "Allow from 10.1.0.10, 10.1.0.11 to 192.0.2.20, as now to 10.2.0.10" {
		t.Errorf("staff PCs %+v", pcs)
	}
}

func TestWhoReachedListenIsAParty(t *testing.T) {
	r := &result.Report{
		Mode: result.ModeListen, Plan: "illiad", From: result.End{Role: "server", Addresses: result.ParseAddrs("10.2.0.10")},
		Listened: &result.Listened{
			Expected: []result.ExpectedPort{{Port: 7968, Transport: plan.TCP, Service: "Odyssey"}, {Port: 1611, Transport: plan.TCP, Service: "ISO ILL"}},
			Visitors: []result.Visitor{
				{Address: "203.0.113.7", Roles: []string{"peer"}, Keyed: true, Visits: []result.Visit{{Port: 7968, Transport: plan.TCP, Kind: "proved", Count: 1}}},
				{Address: "203.0.113.8", Visits: []result.Visit{{Port: 7968, Transport: plan.TCP, Kind: "not-stun", Count: 1}}},
			},
		},
	}
	// The partner's report of its own is of the same party.
	s, err := Of([]*result.Report{r, odyssey("b.example", "203.0.113.7")}, "new.example.edu")
	if err != nil || len(s.Parties) != 1 || s.Parties[0].Role != plan.RolePeer || !strings.Contains(s.Home[0], "name servers") {
		t.Fatalf("%v: %+v", err, s)
	}
}

func TestWhatNoSheetCanBeMadeOf(t *testing.T) {
	other := odyssey("b.example", "203.0.113.7")
	other.From.Addresses = result.ParseAddrs("10.9.9.9")
	other.Paths[0].Source = ap("10.9.9.9:1")
	for name, c := range map[string]struct {
		in  []*result.Report
		to  string
		err error
	}{
		"the same address": {[]*result.Report{staff("10.1.0.10")}, "10.2.0.10", ErrSame},
		"nobody":           {[]*result.Report{{Mode: result.ModeListen, From: result.End{Role: "server", Addresses: result.ParseAddrs("10.2.0.10")}, Listened: &result.Listened{}}}, "192.0.2.20", ErrNobody},
		"two servers":      {[]*result.Report{staff("10.1.0.10"), other}, "192.0.2.20", ErrSeveral},
		"nothing known":    {[]*result.Report{{Mode: result.ModePaths}}, "192.0.2.20", ErrNobody},
	} {
		if _, err := Of(c.in, c.to); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
