package verdict

import (
	"net/netip"
	"strings"
	"testing"

	"dialtone/internal/plan"
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
		"a silent router does not end the way": {ending(died(gate, none, edge), result.HopSilent, none), ending(died(gate, none, edge), result.HopOpen, none),
			&result.Stop{LastHop: 3, Last: edge, NextHop: 4, NextIsTarget: true}},
		"a router that is not silent, to others": {ending(died(gate, none, edge), result.HopSilent, none), open, nil},
		"RST that does not come again":           {&result.Trace{Hops: ending(died(gate), result.HopRST, none).Hops, Distance: 2, Varies: true}, open, nil},
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

// Where a relay takes every connection, an open path opens as near as one that it
// leads nowhere: that both do says nothing of where the target is.
func TestRelayThatStandsBeforeOpenPathsIsNamedWhereOneStops(t *testing.T) {
	none := netip.Addr{}
	here1 := ending(nil, result.HopOpen, none)
	at3 := ending(died(gate, core), result.HopOpen, none)
	for name, c := range map[string]struct {
		answer      result.AnswerOutcome
		saw         result.Sighting
		relayed     bool
		trace, open *result.Trace
		want        *result.Stop
		says        []string // finding and advice
	}{
		"on this machine": {result.AnswerSilent, result.SawNothing, true, here1, here1, &result.Stop{NextHop: 1, OpenHop: 1, Relayed: true},
			[]string{"accepts on behalf of 10.2.0.5", "behind it nothing answers", "completed on the machine that dials", "Please allow behind the relay"}},
		"it closes": {result.AnswerClosed, result.SawNothing, true, here1, here1, &result.Stop{NextHop: 1, OpenHop: 1, Relayed: true},
			[]string{"closed (FIN)", "accepts on behalf of 10.2.0.5", "completed on the machine that dials"}},
		"further on": {result.AnswerSilent, result.SawNothing, true, at3, at3, &result.Stop{LastHop: 2, Last: core, NextHop: 3, OpenHop: 3, Relayed: true},
			[]string{"accepts on behalf of 10.2.0.5", "by 198.51.100.1 (hop 2) or what comes behind it"}},
		"no trace":                       {result.AnswerSilent, result.SawNothing, true, nil, nil, &result.Stop{Relayed: true}, []string{"accepts on behalf of 10.2.0.5"}},
		"open paths are not relayed":     {result.AnswerSilent, result.SawNothing, false, here1, here1, nil, []string{"Something else accepted it"}},
		"the listener itself accepted":   {result.AnswerSilent, result.SawAccepted, true, at3, at3, nil, []string{"The listener accepted it"}},
		"only its SYN came to this port": {result.AnswerSilent, result.SawHalfOpen, true, at3, at3, nil, []string{"half-open"}},
	} {
		t.Run(name, func(t *testing.T) {
			i := connected(c.answer)
			i.Trace = c.trace
			p := pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: &i, Acceptor: acceptor(result.PortBound, c.saw), Instance: here})
			p.Verdict = ""
			Rule(&p, Context{Mode: result.ModePaths, Instance: here, OpenWay: c.open, Relayed: c.relayed})
			if (p.Stop == nil) != (c.want == nil) || p.Stop != nil && *p.Stop != *c.want {
				t.Errorf("got %+v, want %+v", p.Stop, c.want)
			}
			if p.Finding == nil {
				t.Fatal("no finding")
			}
			for _, w := range c.says {
				if !strings.Contains(p.Finding.Text+" "+p.Finding.Advice, w) {
					t.Errorf("%q + %q does not say %q", p.Finding.Text, p.Finding.Advice, w)
				}
			}
		})
	}
}
