package request

import (
	"fmt"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// Whom says, in a sentence or two, who can make the change that a path needs, as far as
// the run shows it; "" if a path needs none. Whose a device is no run shows: where two
// institutions are concerned, the other one's people are named too.
func Whom(r *result.Report, p *result.Path) string {
	if !Asks(r, p) {
		return ""
	}
	target := p.Target.Addr().String()
	if h := p.Host; h != "" && h != target {
		target = fmt.Sprintf("%s (%s)", h, target)
	}
	isPartners := p.From == string(plan.RolePeer) || p.To == string(plan.RolePeer)
	kind, who := rows[p.Finding.Code], runs(p, target)
	whose := " If that is not your side, send it to the partner."
	if kind.onHost || kind.change == Block || kind.change == Forward || isBehindNAT(p) { // it stands at the target
		if whose = " That is the partner's side: send it to them."; p.Direction == plan.Reverse {
			whose = " That is your side."
		}
	}
	switch {
	case kind.onHost:
		who = fmt.Sprintf("Whoever looks after %s: its own firewall, or one right before it.", target)
	case kind.change == Block:
		who = fmt.Sprintf("Whoever runs the firewall before %s, or looks after that machine.", target)
	case kind.change == Forward:
		who = fmt.Sprintf("Whoever runs the translation (NAT, port forwarding, load balancer) at %s.", target)
	case who == "" && isPartners:
		return "Your firewall team first, and the partner's if yours sees it pass: whose device it is does not show."
	case who == "":
		return "Your firewall team: which device it is does not show."
	}
	if isPartners {
		who += whose
	}
	return who
}

// runs says who runs the device that stops a path, or the last that it passed; "" if none
// showed itself.
func runs(p *result.Path, target string) string {
	to, s := p.Target.Addr(), p.Stop
	if i := p.Initiator; i != nil && i.ICMP != nil && i.ICMP.From.IsValid() && i.ICMP.From != to {
		return fmt.Sprintf("Whoever runs %s, which rejects it.", i.ICMP.From)
	}
	switch {
	case s == nil || s.LastHop == 0:
		return ""
	case isBehindNAT(p):
		return fmt.Sprintf("Whoever runs the NAT at %s, or what stands behind it.", target)
	case !s.Last.IsValid():
		return ""
	case s.NextIsTarget || s.Next == to:
		return fmt.Sprintf("Whoever runs %s, the last device before %s; if nothing stops it there, whoever looks after that machine.", s.Last, target)
	case s.Next.IsValid():
		return fmt.Sprintf("Whoever runs %s, or %s behind it.", s.Last, s.Next)
	}
	return fmt.Sprintf("Whoever runs %s, or what stands behind it.", s.Last)
}

// isBehindNAT reports whether a path got as far as a device that speaks in the target's
// own name, which is the NAT before it.
func isBehindNAT(p *result.Path) bool {
	s := p.Stop
	return s != nil && s.LastHop > 0 && (s.NATHop == s.LastHop || s.Last == p.Target.Addr())
}
