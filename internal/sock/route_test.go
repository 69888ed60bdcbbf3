package sock

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// A span lasts from the last look that found the first way to the first that finds it
// again.
func TestSpansOfAnotherRoute(t *testing.T) {
	to := netip.MustParseAddr("198.51.100.5")
	route := func(source, name string) Route {
		return Route{Source: netip.MustParseAddr(source), Interface: name}
	}
	wire, vpn := route("192.0.2.1", "eth0"), route("10.8.0.2", "tun0")
	began := time.Now()
	at := func(n int) time.Time { return began.Add(time.Duration(n) * linkEvery) }
	type look struct {
		is     Route
		known  bool
		usable bool // the first source still is
		want   []Reroute
	}
	for name, looks := range map[string][]look{
		"a VPN comes and goes": {
			{wire, true, true, nil}, {wire, true, true, nil},
			{vpn, true, true, []Reroute{{to, wire, vpn, at(1), at(2), false}}},
			{vpn, true, true, []Reroute{{to, wire, vpn, at(1), at(3), false}}},
			{wire, true, true, []Reroute{{to, wire, vpn, at(1), at(4), true}}},
			{wire, true, true, nil},
		},
		"the default route goes":  {{wire, true, true, nil}, {Route{}, true, true, []Reroute{{to, wire, Route{}, at(0), at(1), false}}}},
		"the interface goes":      {{wire, true, true, nil}, {Route{}, true, false, nil}},
		"another takes its place": {{wire, true, true, nil}, {vpn, true, false, []Reroute{{to, wire, vpn, at(0), at(1), false}}}},
		"another address of it":   {{wire, true, true, nil}, {route("192.0.2.9", "eth0"), true, true, nil}},
		"of no known interface":   {{wire, true, true, nil}, {route("203.0.113.9", ""), true, true, nil}},
		"the system is at a loss": {{wire, true, true, nil}, {Route{}, false, true, nil}, {wire, true, true, nil}},
		"there never was one":     {{Route{}, true, true, nil}, {Route{}, true, true, nil}},
		"it came only then":       {{Route{}, true, true, nil}, {wire, true, true, nil}, {wire, true, true, nil}},
	} {
		n := 0
		r := routes{find: func(netip.Addr) (Route, bool) { return looks[n].is, looks[n].known }, usable: func(netip.Addr) bool { return looks[n].usable }}
		for n = range looks {
			if got := r.look([]netip.Addr{to}, at(n)); !slices.Equal(got, looks[n].want) {
				t.Errorf("%s, look %d: %+v, want %+v", name, n, got, looks[n].want)
			}
		}
	}
}

func TestRouteToOneself(t *testing.T) {
	self := netip.MustParseAddr("127.0.0.1")
	r, known := routeTo(self)
	if !known || r.Source != self || r.Interface == "" {
		t.Errorf("%+v, %v", r, known)
	}
}
