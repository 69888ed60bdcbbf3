package listener

import (
	"net/netip"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// Behind a NAT what came from its address at the time of an attempt is the
// attempt only if count and moment leave no other reading.
func TestNeighbourBehindTheSameNATIsNotTheAttempt(t *testing.T) {
	nat := netip.MustParseAddrPort("192.0.2.7:40000")
	other := netip.MustParseAddrPort("192.0.2.8:40000")
	from := time.Now().Add(-4 * time.Second)
	half := func(at netip.AddrPort, after time.Duration) []sock.HalfOpen {
		return []sock.HalfOpen{{Source: at, First: from.Add(after), Last: from.Add(after), Answered: true}}
	}
	opened := func(after time.Duration) []entry { return []entry{{Remote: nat, At: from.Add(after)}} }
	for name, c := range map[string]struct {
		v       view
		connect result.ConnectOutcome
		another bool
	}{
		"half-open at the moment":                       {view{half: half(nat, 10*time.Millisecond)}, result.ConnectTimeout, false},
		"half-open at the second SYN":                   {view{half: half(nat, 1050*time.Millisecond)}, result.ConnectTimeout, false},
		"half-open later":                               {view{half: half(nat, 2500*time.Millisecond)}, result.ConnectTimeout, true},
		"half-open before":                              {view{half: half(nat, -1500*time.Millisecond)}, result.ConnectTimeout, true},
		"one before and one at the moment":              {view{half: append(half(nat, -1500*time.Millisecond), half(nat, 0)...)}, result.ConnectTimeout, true},
		"from another address":                          {view{half: half(other, 2500*time.Millisecond)}, result.ConnectTimeout, false},
		"opened, and the attempt never did":             {view{accepted: opened(0)}, result.ConnectTimeout, true},
		"opened beside a half-open one":                 {view{accepted: opened(0), half: half(nat, 0)}, result.ConnectTimeout, true},
		"opened, as the attempt did":                    {view{accepted: opened(20 * time.Millisecond)}, result.ConnectOpen, false},
		"opened when the attempt had been under way":    {view{accepted: opened(3 * time.Second)}, result.ConnectOpen, true},
		"somebody comes to that port from there anyway": {view{half: half(nat, 0), before: true}, result.ConnectTimeout, true},
		"somebody did, and nothing came in that time":   {view{before: true}, result.ConnectTimeout, false},
		"nobody tells the moment":                       {view{half: half(nat, 2500*time.Millisecond)}, "", false},
	} {
		is := func(ap netip.AddrPort) bool { return ap.Addr() == nat.Addr() }
		why := c.v.neighbour(echo.WitnessQuery{Transport: plan.TCP, Connect: c.connect}, is, from)
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
	half := func(src netip.AddrPort, answered bool) sock.HalfOpen {
		return sock.HalfOpen{Source: src, First: from.Add(10 * time.Millisecond), Last: to, Answered: answered}
	}
	l := start(t, Config{})
	for name, c := range map[string]struct {
		v    view
		port uint16
		saw  result.Sighting
	}{
		"its port, and others come":      {view{half: []sock.HalfOpen{half(at(40001), true), half(nat, true)}, before: true}, 40000, result.SawHalfOpen},
		"another port, and others come":  {view{half: []sock.HalfOpen{half(at(40001), true)}, before: true}, 40000, result.SawUnknown},
		"its port, and something opened": {view{half: []sock.HalfOpen{half(nat, true)}, accepted: []entry{{Remote: at(40001), At: from}}, before: true}, 40000, result.SawUnknown},
		"its port at another address":    {view{half: []sock.HalfOpen{half(netip.MustParseAddrPort("192.0.2.8:40000"), true)}, before: true}, 40000, result.SawUnknown},
		"nobody knows its port":          {view{half: []sock.HalfOpen{half(nat, true)}, before: true}, 0, result.SawUnknown},
	} {
		q := echo.WitnessQuery{Transport: plan.TCP, Port: int(l.at.Port()), SourceChanged: true, Connect: result.ConnectTimeout}
		q.Source = result.Endpoint{AddrPort: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.5"), c.port)}
		got := l.byTime(result.Acceptor{}, q, c.v, nat.Addr(), echo.ID{}, from, to)
		if got.Saw != c.saw {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestStrangersOfAnAddressCountUnlessARunExplainsThem(t *testing.T) {
	l := start(t, Config{})
	strange(t, l, elsewhere)
	q := echo.WitnessQuery{Transport: plan.TCP, Port: int(l.at.Port()), SourceChanged: true, Connect: result.ConnectTimeout}
	until := time.Now()
	if !l.strangersBefore(q, elsewhere, until) {
		t.Error("a stranger is not counted")
	}
	if l.strangersBefore(q, loop, until) {
		t.Error("a stranger from an address that none came from")
	}
	prove(t, elsewhere, l.at, newAsk()) // a run of that address, about then
	if l.strangersBefore(q, elsewhere, until) {
		t.Error("a stranger beside a run")
	}
}
