package verdict

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// isOwnAddress reports whether an address that was dialed is one of the machine
// itself: its own listener answered at that very address, or the address can be
// nobody else's (RFC 1122 section 3.2.1.3).
func isOwnAddress(target netip.Addr, at *result.Endpoint) bool {
	return target.IsUnspecified() || target.IsLoopback() || at != nil && result.IsSameAddr(at.Addr(), target)
}

// isOwnTarget reports whether a path that nobody proved never left the machine
// that dialed: the system takes the very address as its source that was dialed
// only if it is its own. Real software on the machine itself may well be meant.
func (e explainer) isOwnTarget() bool {
	p, i := e.p, e.i
	if e.mode.IsReal() || i == nil || i.Answer == result.AnswerKeyed || i.Answer == result.AnswerOwn || p.Acceptor != nil || !i.Target.IsValid() {
		return false
	}
	switch p.Verdict {
	case result.Refused, result.Rejected, result.Silent, result.Filtered, result.Stalled, result.Unreachable:
		// Over the loopback interface somebody who says where to dial from tries both
		// ends on one machine.
		to, from := i.Target.Addr(), i.Source.Addr()
		return to.IsUnspecified() || to == from || to.IsLoopback() && (from == netip.IPv6Loopback() || from == netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	return false
}

// ownTarget explains a path to an address of the machine that dialed.
func (e explainer) ownTarget() *result.Finding {
	what := "nothing answered there"
	if isRefusal(e.p) {
		what = "nothing listens there"
	}
	return e.say(result.CodeOwnAddress, fmt.Sprintf("%s is the dialing machine's own address, and on %s %s: no other machine was reached", e.at(), e.port(), what),
		"If listen is to run on this machine, start it. If another machine is meant, correct where that address comes from: a hosts file, a DNS record, a list of partners, or an invitation. No firewall of the network was reached.")
}

// ownAnswer explains a path on which a listener of the machine that dialed
// answered. It says nothing of the far end, and no firewall is asked for anything.
func (e explainer) ownAnswer() *result.Finding {
	if isOwnAddress(e.p.Target.Addr(), e.i.OwnOrigin) {
		return e.say(result.CodeOwnAnswer, fmt.Sprintf("%s is the dialing machine's own address: its own listener answered, which proves nothing of the other end", e.at()),
			"Correct where that address comes from: a hosts file, a DNS record, a list of partners, or an invitation. No firewall was reached.")
	}
	return e.say(result.CodeOwnAnswer, fmt.Sprintf("What is sent to %s comes back to the dialing machine (%s): its own listener answered, which proves nothing of the other end", e.p.Target, e.ownOrigin()),
		fmt.Sprintf("Find the rule that leads %s to %s, a port forwarding of the router (hairpin NAT) or a redirect, and have it lead to the other end; or correct the address.", e.p.Target, e.ownOrigin()))
}

func (e explainer) ownOrigin() string {
	if e.i.OwnOrigin == nil {
		return "at an address that it did not tell"
	}
	return e.i.OwnOrigin.Addr().String()
}

// ownAnswers says once for a run that what it dialed leads back to this
// machine; nil: nothing does.
func ownAnswers(r *result.Report) []result.Finding {
	var own, ruled []string // addresses, of this machine and of somebody who leads them here
	var to string
	all, code := true, result.CodeOwnAddress
	for _, p := range r.Paths {
		if p.Direction != plan.Forward || p.Initiator == nil || p.Initiator.Attempts == 0 {
			continue
		}
		a := p.Target.Addr()
		switch {
		case explainerOf(p, r.Mode).isOwnTarget():
			own = append(own, a.String())
			continue
		case p.Initiator.Answer != result.AnswerOwn:
			all = all && p.Proof != result.ProofKeyed
			continue
		}
		code = result.CodeOwnAnswer
		if isOwnAddress(a, p.Initiator.OwnOrigin) {
			own = append(own, a.String())
			continue
		}
		ruled = append(ruled, a.String())
		to = explainer{i: p.Initiator}.ownOrigin()
	}
	slices.Sort(own)
	slices.Sort(ruled)
	var out []result.Finding
	say := func(text, advice string) {
		if all && code == result.CodeOwnAnswer {
			text += " Nobody but this machine itself answered."
		}
		out = append(out, result.Finding{Code: code, Text: text, Advice: advice})
	}
	if addrs := slices.Compact(own); len(addrs) > 0 {
		words := strings.Join(addrs, " and ")
		if _, err := netip.ParseAddr(r.To.Host); err == nil {
			say(fmt.Sprintf("%s leads back to this machine: it is this machine's own address.", r.To.Host),
				"If listen is to run on this machine, start it; else give the other end's address: in the command, in the list of partners, or in the invitation that names it.")
		} else {
			say(fmt.Sprintf("The name %s leads back to this machine: it resolves to %s here, this machine's own address.", r.To.Host, words),
				fmt.Sprintf("Correct what says so: this machine's hosts file, or the record of %s in the DNS that it asks (an old entry, a split DNS, a sinkhole); or name the other end by another name or its address.", r.To.Host))
		}
	}
	if addrs := slices.Compact(ruled); len(addrs) > 0 {
		words := strings.Join(addrs, " and ")
		say(fmt.Sprintf("%s leads back to this machine: a device on the way leads what is sent to %s to %s, which is here.", r.To.Host, words, to),
			fmt.Sprintf("Ask whoever runs the router for its rule about %s (port forwarding, hairpin NAT, redirect): it is this site's own outside address, or the rule is wrong. Give the other end's address otherwise.", words))
	}
	return out
}
