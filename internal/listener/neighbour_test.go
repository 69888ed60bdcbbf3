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
