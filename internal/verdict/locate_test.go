package verdict

import (
	"net/netip"
	"testing"

	"dialtone/internal/result"
)

// The way of these traces: gate, core, edge, then the target at hop 4.
var (
	gate   = netip.MustParseAddr("10.1.0.1")
	core   = netip.MustParseAddr("198.51.100.1")
	edge   = netip.MustParseAddr("198.51.100.6")
	detour = netip.MustParseAddr("198.51.100.99")
)

func died(from ...netip.Addr) []result.Hop {
	var hops []result.Hop
	for i, a := range from {
		h := result.Hop{TTL: i + 1, What: result.HopExceeded, From: a}
		if !a.IsValid() {
			h.What = result.HopSilent
		}
		hops = append(hops, h)
	}
	return hops
}

func ending(hops []result.Hop, what result.HopOutcome, from netip.Addr) *result.Trace {
	t := &result.Trace{Hops: append(hops, result.Hop{TTL: len(hops) + 1, What: what, From: from})}
	if what != result.HopSilent {
		t.Distance = len(hops) + 1
	}
	return t
}

func TestLocateNamesTheLastDeviceThatAnsweredAndTheNext(t *testing.T) {
	none := netip.Addr{}
	open := ending(died(gate, core, edge), result.HopOpen, none)
	for name, c := range map[string]struct {
		trace, open *result.Trace
		want        *result.Stop
	}{
		"silence behind the gate": {ending(died(gate), result.HopSilent, none), open,
			&result.Stop{LastHop: 1, Last: gate, NextHop: 2, Next: core}},
		"silence, and no open path to compare": {ending(died(gate), result.HopSilent, none), nil,
			&result.Stop{LastHop: 1, Last: gate, NextHop: 2}},
		"silence right before the target": {ending(died(gate, core, edge), result.HopSilent, none), open,
			&result.Stop{LastHop: 3, Last: edge, NextHop: 4, NextIsTarget: true}},
		"silence from the beginning": {ending(nil, result.HopSilent, none), open,
			&result.Stop{NextHop: 1, Next: gate}},
		"a silent router does not end the way": {ending(died(gate, none, edge), result.HopSilent, none), open,
			&result.Stop{LastHop: 3, Last: edge, NextHop: 4, NextIsTarget: true}},
		"RST on the way": {ending(died(gate), result.HopRST, none), open,
			&result.Stop{LastHop: 1, Last: gate, NextHop: 2, Next: core, ByHop: 2}},
		"RST from as far as the target": {ending(died(gate, core, edge), result.HopRST, none), open,
			&result.Stop{LastHop: 3, Last: edge, NextHop: 4, NextIsTarget: true, ByHop: 4, ByHost: true}},
		"a router that speaks in the target's name is behind a NAT": {ending(died(gate, target.Addr(), none), result.HopSilent, none), nil,
			&result.Stop{LastHop: 2, NextHop: 3, NATHop: 2}},
		"RST from behind a NAT": {ending(died(gate, target.Addr()), result.HopRST, none), nil,
			&result.Stop{LastHop: 2, NextHop: 3, NATHop: 2, ByHop: 3}},
		"an ICMP error of the target itself names nobody on the way": {ending(died(gate), result.HopICMP, target.Addr()), nil,
			&result.Stop{LastHop: 1, Last: gate, NextHop: 2}},
		"RST, and nothing to compare": {ending(died(gate, core, edge), result.HopRST, none), nil,
			&result.Stop{LastHop: 3, Last: edge, NextHop: 4, ByHop: 4}},
		"an ICMP error names its device": {ending(died(gate), result.HopICMP, core), open,
			&result.Stop{LastHop: 1, Last: gate, NextHop: 2, Next: core}},
		"another way tells nothing of this one": {ending(died(detour), result.HopSilent, none), open,
			&result.Stop{LastHop: 1, Last: detour, NextHop: 2}},
		"a device opens it in the target's place": {ending(died(gate, core), result.HopOpen, none), open,
			&result.Stop{LastHop: 2, Last: core, NextHop: 3, Next: edge, OpenHop: 3}},
		"open early, and nothing to compare": {ending(died(gate, core), result.HopOpen, none), nil, nil},
		"open early, on another way":         {ending(died(detour, core), result.HopOpen, none), open, nil},
		"it opened after all":                {ending(died(gate, core, edge), result.HopOpen, none), open, nil},
		"a system that does not tell":        {&result.Trace{Unknown: "no"}, open, nil},
		"not asked":                          {nil, open, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := locate(c.trace, c.open, target.Addr())
			if (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
