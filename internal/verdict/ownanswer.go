package verdict

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// ownAnswerCode is the code of an answer that the machine which dialed gave itself.
const ownAnswerCode = "own-answer"

// isOwnAddress reports whether an address that was dialed is one of the machine
// itself: its own listener answered at that very address, or the address can be
// nobody else's (RFC 1122 section 3.2.1.3).
func isOwnAddress(target netip.Addr, at *result.Endpoint) bool {
	return target.IsUnspecified() || target.IsLoopback() || at != nil && at.Addr() == target
}

// ownAnswer explains a path on which a listener of the machine that dialed
// answered. It says nothing of the far end, and no firewall is asked for anything.
func (e explainer) ownAnswer() *result.Finding {
	if isOwnAddress(e.p.Target.Addr(), e.i.OwnOrigin) {
		return e.say(ownAnswerCode, fmt.Sprintf("%s is the dialing machine's own address: its own listener answered, which proves nothing of the other end", e.at()),
			"Correct where that address comes from: a hosts file, a DNS record, a list of partners, or an invitation. No firewall was reached.")
	}
	return e.say(ownAnswerCode, fmt.Sprintf("What is sent to %s comes back to the dialing machine (%s): its own listener answered, which proves nothing of the other end", e.p.Target, e.ownOrigin()),
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
	all := true
	for _, p := range r.Paths {
		if p.Direction != plan.Forward || p.Initiator == nil || p.Initiator.Attempts == 0 {
			continue
		}
		if p.Initiator.Answer != result.AnswerOwn {
			all = all && p.Proof != result.ProofKeyed
			continue
		}
		a := p.Target.Addr()
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
		if all {
			text += " Nobody but this machine itself answered."
		}
		out = append(out, result.Finding{Code: ownAnswerCode, Text: text, Advice: advice})
	}
	if addrs := slices.Compact(own); len(addrs) > 0 {
		words := strings.Join(addrs, " and ")
		if _, err := netip.ParseAddr(r.To.Host); err == nil {
			say(fmt.Sprintf("%s leads back to this machine: it is this machine's own address.", r.To.Host),
				"Give the other end's address: in the command, in the list of partners, or in the invitation that names it.")
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
