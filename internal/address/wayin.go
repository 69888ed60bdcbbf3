package address

import (
	"fmt"
	"net/netip"
	"slices"

	"dialtone/internal/result"
)

// triedAt is the attempt at one of some addresses that says most: one that led
// here; nil: none was made.
func (c *conclusion) triedAt(addrs []netip.Addr) *result.Inbound {
	var tried *result.Inbound
	for i, in := range c.Inbound {
		if in.Outcome != result.InboundUntried && slices.Contains(addrs, in.Target.Addr()) && (tried == nil || in.Outcome == result.InboundReached) {
			tried = &c.Inbound[i]
		}
	}
	return tried
}

// inbound says whether the addresses lead back here.
func (c *conclusion) inbound(o outside) {
	for _, in := range c.Inbound {
		if in.Family == o.family && in.Target.IsValid() {
			c.inboundAt(o, in)
		}
	}
}

// inboundAt says whether one address leads back here.
func (c *conclusion) inboundAt(o outside, in result.Inbound) {
	translated := !slices.Contains(c.Own, in.Target.Addr().String())
	forward := fmt.Sprintf("Ask whoever runs the NAT to forward port %d/tcp of %s to this machine (%s).", c.Port, in.Target.Addr(), o.source)
	from := in.Source.Addr().String()
	if isInside(in.Source.Addr()) { // its own NAT stands between, which gives it another one
		from = in.Observer + " (the address from which its connections come)"
	}
	allow := fmt.Sprintf("Please allow TCP from %s to %s port %d.", from, in.Target.Addr(), c.Port)
	if p := publishedOf(c.Published, o.family); len(p) > 0 && !slices.Contains(p, in.Target.Addr()) {
		forward = fmt.Sprintf("That does not matter as long as %s leads here, which is the address that you publish.", c.publishedNames(o.family))
		if t := c.triedAt(p); t != nil && t.Outcome == result.InboundReached {
			forward = fmt.Sprintf("That does not matter: %s leads here, which is the address that you publish.", t.Target.Addr())
		}
	}
	switch in.Outcome {
	case result.InboundReached:
		if len(publishedOf(c.Published, o.family)) > 0 && !slices.Contains(publishedOf(c.Published, o.family), in.Target.Addr()) || len(o.seen) > 1 {
			c.find(result.CodeInboundSame, fmt.Sprintf("Port %d of %s, from which you were seen to come, reaches this machine too.", c.Port, in.Target.Addr()), "")
		}
	case result.InboundOtherListener:
		c.find(result.CodeInboundElsewhere, fmt.Sprintf("%s leads to another machine with the same key, not to this one.", in.Target), forward)
	case result.InboundArrived:
		c.find(result.CodeInboundBroken, fmt.Sprintf("%s dialed %s, which arrives at this machine, and then fails: %s.", in.Observer, in.Target, in.Error),
			"Run dial odyssey against that partner: it says where the way back stops.")
	case result.InboundAnswered:
		what := "something"
		if in.Software != "" {
			what = in.Software
		}
		if translated {
			c.find(result.CodeNATNoForward, fmt.Sprintf("%s does not lead to this machine: %s else answers there.", in.Target, what), forward)
			return
		}
		c.find(result.CodeInboundIntercepted, fmt.Sprintf("%s answers at %s in place of this machine, which saw nothing arrive.", what, in.Target), allow)
	case result.InboundRefused, result.InboundRejected, result.InboundSilent:
		how := map[result.InboundOutcome]string{
			result.InboundRefused: "a reset came back", result.InboundRejected: "an ICMP error came back", result.InboundSilent: "no answer came",
		}[in.Outcome]
		if translated {
			c.find(result.CodeNATNoForward, fmt.Sprintf("%s does not lead to this machine: %s dialed it, %s, and nothing arrived here. The NAT does not forward it, or a firewall stops it before.", in.Target, in.Observer, how), forward)
			return
		}
		c.find(result.CodeInboundBlocked, fmt.Sprintf("%s dialed %s, this machine's own address; %s, and nothing arrived here: a firewall stops it.", in.Observer, in.Target, how), allow)
	}
}

// inboundOf is the attempt at the address as which the observer sees this
// machine; nil: there was none.
func (c *conclusion) inboundOf(f result.Family) *result.Inbound {
	for i := range c.Inbound {
		if c.Inbound[i].Family == f {
			return &c.Inbound[i]
		}
	}
	return nil
}
