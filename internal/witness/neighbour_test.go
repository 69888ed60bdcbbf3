package witness

import (
	"net/netip"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// Behind a NAT what came from its address at the time of an attempt is the
// attempt only if count and moment leave no other reading.
func TestNeighbourBehindTheSameNATIsNotTheAttempt(t *testing.T) {
	nat := netip.MustParseAddrPort("192.0.2.7:40000")
	other := netip.MustParseAddrPort("192.0.2.8:40000")
	from := time.Now().Add(-4 * time.Second)
	half := func(at netip.AddrPort, after time.Duration) []HalfOpen {
		return []HalfOpen{{Source: at, First: from.Add(after), Answered: true}}
	}
	opened := func(after time.Duration) []Arrival { return []Arrival{{Remote: nat, At: from.Add(after)}} }
	for name, c := range map[string]struct {
		v       View
		connect result.ConnectOutcome
		another bool
	}{
		"half-open at the moment":                       {View{Half: half(nat, 10*time.Millisecond)}, result.ConnectTimeout, false},
		"half-open at the second SYN":                   {View{Half: half(nat, 1050*time.Millisecond)}, result.ConnectTimeout, false},
		"half-open later":                               {View{Half: half(nat, 2500*time.Millisecond)}, result.ConnectTimeout, true},
		"half-open before":                              {View{Half: half(nat, -1500*time.Millisecond)}, result.ConnectTimeout, true},
		"one before and one at the moment":              {View{Half: append(half(nat, -1500*time.Millisecond), half(nat, 0)...)}, result.ConnectTimeout, true},
		"from another address":                          {View{Half: half(other, 2500*time.Millisecond)}, result.ConnectTimeout, false},
		"opened, and the attempt never did":             {View{Accepted: opened(0)}, result.ConnectTimeout, true},
		"opened beside a half-open one":                 {View{Accepted: opened(0), Half: half(nat, 0)}, result.ConnectTimeout, true},
		"opened, as the attempt did":                    {View{Accepted: opened(20 * time.Millisecond)}, result.ConnectOpen, false},
		"opened when the attempt had been under way":    {View{Accepted: opened(3 * time.Second)}, result.ConnectOpen, true},
		"somebody comes to that port from there anyway": {View{Half: half(nat, 0), Before: true}, result.ConnectTimeout, true},
		"somebody did, and nothing came in that time":   {View{Before: true}, result.ConnectTimeout, false},
		"nobody tells the moment":                       {View{Half: half(nat, 2500*time.Millisecond)}, "", false},
	} {
		is := func(ap netip.AddrPort) bool { return ap.Addr() == nat.Addr() }
		why := c.v.neighbour(Question{Transport: plan.TCP, Connect: c.connect, From: from}, is)
		if (why != "") != c.another {
			t.Errorf("%s: %q", name, why)
		}
	}
}

// What kept the attempt's own source port behind the NAT is the attempt, though
// others of its address come to that port as well: its own machine's earlier
// tries, which a path that loses the answers never let prove themselves.
func TestHalfOpenOneThatKeptTheAttemptsPortIsTheAttempt(t *testing.T) {
	nat := netip.MustParseAddrPort("192.0.2.7:40000")
	at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(nat.Addr(), port) }
	now := time.Now()
	from, to := now.Add(-4*time.Second), now.Add(-time.Second)
	half := func(src netip.AddrPort, answered bool) HalfOpen {
		return HalfOpen{Source: src, First: from.Add(10 * time.Millisecond), Answered: answered}
	}
	for name, c := range map[string]struct {
		v    View
		port uint16
		saw  result.Sighting
	}{
		"its port, and others come":      {View{Half: []HalfOpen{half(at(40001), true), half(nat, true)}, Before: true}, 40000, result.SawHalfOpen},
		"another port, and others come":  {View{Half: []HalfOpen{half(at(40001), true)}, Before: true}, 40000, result.SawUnknown},
		"its port, and something opened": {View{Half: []HalfOpen{half(nat, true)}, Accepted: []Arrival{{Remote: at(40001), At: from}}, Before: true}, 40000, result.SawUnknown},
		"its port at another address":    {View{Half: []HalfOpen{half(netip.MustParseAddrPort("192.0.2.8:40000"), true)}, Before: true}, 40000, result.SawUnknown},
		"nobody knows its port":          {View{Half: []HalfOpen{half(nat, true)}, Before: true}, 0, result.SawUnknown},
	} {
		q := Question{Transport: plan.TCP, SourceChanged: true, Connect: result.ConnectTimeout, AsSeen: nat.Addr(), From: from, To: to}
		c.v.Port = result.PortBound
		q.Source = result.Endpoint{AddrPort: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.5"), c.port)}
		got := Half(q, c.v)
		if got.Saw != c.saw {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Where the NAT left every other path its source port, what came from its address on
// another port is a neighbour's, at whatever moment and however many.
func TestWhatLeftFromAnotherPortIsANeighboursWherePortsAreKept(t *testing.T) {
	at := func(port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr("192.0.2.7"), port)
	}
	from := time.Now().Add(-4 * time.Second)
	half := func(port uint16) HalfOpen { return HalfOpen{Source: at(port), First: from, Answered: true} }
	for name, c := range map[string]struct {
		v    View
		port uint16
		kept bool
		saw  result.Sighting
	}{
		"two neighbours, as many as were silent":        {View{Half: []HalfOpen{half(1), half(2)}}, 40000, true, result.SawUnknown},
		"and ports change":                              {View{Half: []HalfOpen{half(1), half(2)}}, 40000, false, result.SawHalfOpen},
		"a neighbour, and another of its own":           {View{Half: []HalfOpen{half(1), half(40001)}}, 40000, true, result.SawHalfOpen},
		"a neighbour opened":                            {View{Accepted: []Arrival{{Remote: at(1), At: from}}}, 40000, true, result.SawUnknown},
		"its own port is not known":                     {View{Half: []HalfOpen{half(1), half(2)}}, 0, true, result.SawHalfOpen},
		"a neighbour's SYN that was not answered alone": {View{Half: []HalfOpen{{Source: at(1), First: from}}}, 40000, true, result.SawNothing},
	} {
		q := Question{
			Transport: plan.TCP, SourceChanged: true, PortsKept: c.kept, AlsoSilent: []uint16{40001}, Connect: result.ConnectTimeout,
			AsSeen: at(0).Addr(), From: from, To: from.Add(3 * time.Second),
			Source: result.EndpointFrom(netip.AddrPortFrom(netip.MustParseAddr("10.0.0.5"), c.port)),
		}
		c.v.Port = result.PortBound
		if got := Half(q, c.v); got.Saw != c.saw {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
