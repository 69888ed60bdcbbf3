package verdict

import (
	"net/netip"
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// diedOf is an attempt of which ICMP time exceeded came back from a device.
func diedOf(from netip.Addr, ttl int, hops []result.Hop) *result.Initiator {
	i := rejectedBy(result.ICMP{Type: 11, From: from})
	i.TTL, i.Source, i.Target, i.Attempts = ttl, source, target, 2
	if hops != nil {
		i.Trace = &result.Trace{Hops: hops}
	}
	return &i
}

// A packet that died of its TTL was stopped by no rule: the machine that sent it gave it
// too few hops to live, or it went round between devices.
func TestPacketsThatUseUpTheirTTLMeetNoFirewall(t *testing.T) {
	none := netip.Addr{}
	for name, c := range map[string]struct {
		i     *result.Initiator
		code  result.Code
		words []string
		not   []string
	}{
		"the machine's own setting": {diedOf(edge, 3, nil), result.CodeOwnTTL, []string{"TTL of 3", "ip_default_ttl", "No firewall"}, []string{"send it to each other"}},
		"its own setting, and the trace gets further": {diedOf(edge, 3, ending(died(gate, core, edge), result.HopOpen, none).Hops), result.CodeOwnTTL,
			[]string{"TTL of 3", "with more they get further"}, nil},
		"a loop of two":                               {diedOf(edge, 64, died(gate, core, edge, core, edge, core, edge)), result.CodeRoutingLoop, []string{core.String() + " and " + edge.String(), "send them to each other"}, []string{gate.String()}},
		"a loop of three":                             {diedOf(edge, 64, died(gate, core, edge, detour, core, edge, detour)), result.CodeRoutingLoop, []string{core.String() + ", " + edge.String() + " and " + detour.String()}, []string{gate.String()}},
		"a loop, by a TTL that is small as well":      {diedOf(edge, 20, died(gate, core, edge, core, edge, core, edge)), result.CodeRoutingLoop, []string{core.String() + " and " + edge.String()}, nil},
		"a loop of which no trace was made":           {diedOf(edge, 64, nil), result.CodeRoutingLoop, []string{edge.String() + " and another device"}, nil},
		"a loop of which the trace says too little":   {diedOf(edge, 64, died(gate, core, edge)), result.CodeRoutingLoop, []string{edge.String() + " and another device"}, nil},
		"a device that gives packets a TTL":           {diedOf(edge, 64, died(gate, core, edge, edge, edge, edge)), result.CodeRoutingLoop, []string{edge.String(), "sets the TTL anew"}, []string{"send them to each other"}},
		"this machine's VPN gives packets a TTL of 1": {diedOf(gate, 64, died(gate, gate, gate, gate, gate)), result.CodeRoutingLoop, []string{"VPN", gate.String()}, nil},
		"a trace that gets further, by a usual TTL":   {diedOf(edge, 64, ending(died(gate, core, edge), result.HopOpen, none).Hops), result.CodeRoutingLoop, []string{"got further", "for a moment"}, nil},
		"a TTL that nobody knows":                     {diedOf(edge, 0, nil), result.CodeRoutingLoop, []string{"look at its own setting first"}, nil},
		"behind a NAT":                                {diedOf(target.Addr(), 64, nil), result.CodeRoutingLoop, []string{"the NAT at " + target.Addr().String()}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: c.i})
			f := explain(p, Context{Mode: result.ModePaths})
			if p.Verdict != result.Rejected || f == nil || f.Code != c.code {
				t.Fatalf("%s: %+v", p.Verdict, f)
			}
			all := f.Text + " " + f.Advice
			for _, w := range c.words {
				if !strings.Contains(all, w) {
					t.Errorf("does not say %q: %s", w, all)
				}
			}
			for _, w := range append(c.not, "allow", "rejects", "that it cannot deliver") {
				if strings.Contains(all, w) {
					t.Errorf("says %q: %s", w, all)
				}
			}
			wellFormed(t, p, f.Text)
			wellFormed(t, p, f.Advice)
		})
	}
}

// Who answers nothing, as devices may where a packet dies, is told apart by the setting
// of the machine that sent it, unless the trace stops before that TTL is used up.
func TestSilenceOfPacketsWithFewHopsToLiveIsTheirMachines(t *testing.T) {
	watched := &result.Acceptor{Port: result.PortBound, Saw: result.SawNothing}
	silent := func(ttl int) *result.Initiator {
		i := failed(result.ConnectTimeout)
		i.TTL = ttl
		return &i
	}
	for name, c := range map[string]struct {
		i    *result.Initiator
		a    *result.Acceptor
		stop *result.Stop
		want result.Code
	}{
		"filtered":                          {silent(3), watched, nil, result.CodeOwnTTL},
		"silent":                            {silent(3), nil, nil, result.CodeOwnTTL},
		"a trace that ends there":           {silent(3), watched, &result.Stop{LastHop: 2, NextHop: 3}, result.CodeOwnTTL},
		"a trace that ends before":          {silent(3), watched, &result.Stop{LastHop: 1, NextHop: 2}, result.CodeFiltered},
		"a usual TTL":                       {silent(0), watched, nil, result.CodeFiltered},
		"the answers'":                      {silent(0), &result.Acceptor{Port: result.PortBound, Saw: result.SawHalfOpen, TTL: 2}, nil, result.CodeOwnTTL},
		"answers that live long enough":     {silent(0), &result.Acceptor{Port: result.PortBound, Saw: result.SawHalfOpen}, nil, result.CodeReplyLost},
		"answers of a TTL that is no fault": {silent(0), &result.Acceptor{Port: result.PortBound, Saw: result.SawHalfOpen, TTL: 64}, nil, result.CodeReplyLost},
	} {
		p := pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: c.i, Acceptor: c.a})
		p.Stop = c.stop
		f := explain(p, Context{Mode: result.ModePaths})
		if f == nil || f.Code != c.want {
			t.Errorf("%s: %+v", name, f)
			continue
		}
		wellFormed(t, p, f.Text)
		wellFormed(t, p, f.Advice)
	}
}

// Where no packet gets through for the setting of a machine, no address is to be taken
// out of DNS, and no path is blocked.
func TestARunWhosePacketsDieOfTheirTTLBlamesNoAddress(t *testing.T) {
	dead := pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: diedOf(edge, 3, nil)})
	dead.Finding = explain(dead, Context{Mode: result.ModePaths})
	i := proved()
	open := pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: &i, Instance: here})
	open.Family = result.IP6
	if found := blackHoles(&result.Report{Paths: []result.Path{dead, open}}); len(found) != 0 {
		t.Errorf("%+v", found)
	}
	plain := dead
	plain.Finding = &result.Finding{Code: result.CodeRejected}
	if found := blackHoles(&result.Report{Paths: []result.Path{plain, open}}); len(found) != 1 {
		t.Errorf("the same by another cause: %+v", found)
	}
	f := noContact(&result.Report{Paths: []result.Path{dead}, To: result.End{Host: "server"}}, Facts{}, false)
	if strings.Contains(f.Advice, "blocked") || !strings.Contains(f.Advice, "do not live long enough") {
		t.Error(f.Advice)
	}
}
