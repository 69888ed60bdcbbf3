package request

import (
	"net/netip"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// Whoever reads a request knows whom to send it to: who runs the device that showed
// itself, or who looks there first, and whether the partner is meant.
func TestWhomToAsk(t *testing.T) {
	device := netip.MustParseAddr("198.51.100.6")
	for _, c := range []struct {
		name   string
		code   result.Code
		change func(p *result.Path)
		want   string
	}{
		{"nothing shows where", "filtered", func(*result.Path) {}, "Your firewall team: which device it is does not show."},
		{"nothing shows where, of a partner", "filtered", func(p *result.Path) { p.From, p.To = "server", "peer" },
			"Your firewall team first, and the partner's if yours sees it pass: whose device it is does not show."},
		{"the last device", "filtered", func(p *result.Path) { p.Stop = &result.Stop{LastHop: 3, Last: device, NextHop: 4, NextIsTarget: true} },
			"Whoever runs 198.51.100.6, the last device before 10.2.0.10; if nothing stops it there, whoever looks after that machine."},
		{"a device before others", "filtered", func(p *result.Path) {
			p.Stop = &result.Stop{LastHop: 1, Last: netip.MustParseAddr("10.1.0.1"), NextHop: 2, Next: device}
		}, "Whoever runs 10.1.0.1, or 198.51.100.6 behind it."},
		{"a device, of a partner", "filtered", func(p *result.Path) {
			p.From, p.To = "server", "peer"
			p.Stop = &result.Stop{LastHop: 3, Last: device, NextHop: 4}
		}, "Whoever runs 198.51.100.6, or what stands behind it. If that is not your side, send it to the partner."},
		{"the target's NAT", "filtered", func(p *result.Path) {
			p.Stop = &result.Stop{LastHop: 3, Last: device, NATHop: 3, NextHop: 4}
		}, "Whoever runs the NAT at 10.2.0.10, or what stands behind it."},
		{"one's own NAT", "filtered", func(p *result.Path) {
			p.From, p.To, p.Direction, p.Stop = "peer", "server", plan.Reverse, &result.Stop{LastHop: 3, Last: device, NATHop: 3, NextHop: 4}
		}, "Whoever runs the NAT at 10.2.0.10, or what stands behind it. That is your side."},
		{"a device that says so", "rejected", func(p *result.Path) {
			p.Verdict, p.Initiator.ICMP = result.Rejected, &result.ICMP{From: device}
		}, "Whoever runs 198.51.100.6, which rejects it."},
		{"the machine itself", "filtered-by-host", func(p *result.Path) { p.Host = "sql.example.edu" },
			"Whoever looks after sql.example.edu (10.2.0.10): its own firewall, or one right before it."},
		{"the partner's translation", "redirected-host", func(p *result.Path) { p.From, p.To = "server", "peer" },
			"Whoever runs the translation (NAT, port forwarding, load balancer) at 10.2.0.10. That is the partner's side: send it to them."},
		{"one's own translation", "nat-no-forward", func(p *result.Path) { p.From, p.To, p.Direction = "peer", "server", plan.Reverse },
			"Whoever runs the translation (NAT, port forwarding, load balancer) at 10.2.0.10. That is your side."},
		{"nobody's to ask", "refused-busy", func(*result.Path) {}, ""},
	} {
		p := blocked("sql-client", 1433, c.code)
		c.change(&p)
		r := report(p)
		if got := Whom(r, &r.Paths[0]); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
	// Where two machines are stopped at two places, both are named.
	one, two := blocked("sql-client", 1433, "filtered"), blocked("sql-client", 1433, "filtered")
	two.Source = ap("10.1.0.11:51612")
	two.Stop = &result.Stop{LastHop: 3, Last: device}
	if l := Of(Options{}, report(one), report(two)); len(l.Requests) != 1 || len(l.Requests[0].Whom) != 2 {
		t.Errorf("%+v", l.Requests)
	}
}
