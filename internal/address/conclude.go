package address

import (
	"net/netip"
	"slices"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// Conclude says what follows from the evidence, and no more.
func Conclude(e result.AddressEvidence) result.AddressConclusion {
	c := &conclusion{AddressEvidence: e}
	c.askedItself()
	c.Views = ofOthers(e.Views)
	c.out.Mappings = mappings(c.Views)
	for _, f := range []result.Family{result.IP4, result.IP6} {
		if o := c.outsideOf(f); len(o.views) > 0 {
			c.outside(o)
		}
	}
	c.byTransport()
	c.published()
	c.observers()
	if len(c.out.Seen) == 0 {
		c.out.Findings = append([]result.Finding{{
			Code: result.CodeNothingLearned, Text: "No outside address was learned: nobody who was asked gave a usable answer.",
			Advice: "Ask another server (--stun), or a partner's listen (dial address --key WORDS HOST).",
		}}, c.out.Findings...)
	}
	return c.out
}

// A conclusion is one under way.
type conclusion struct {
	result.AddressEvidence
	out result.AddressConclusion
}

func (c *conclusion) find(code result.Code, text, advice string) {
	c.out.Findings = append(c.out.Findings, result.Finding{Code: code, Text: text, Advice: advice})
}

// An outside is how one family looks from outside.
type outside struct {
	family result.Family
	views  []result.View // answered, over TCP if any is: that is what Odyssey uses
	source netip.Addr    // this machine's own address; invalid: several
	seen   []netip.Addr  // by those outside, the first one first
	outer  []netip.Addr  // those of seen that can be anybody's outside address
	inner  []result.View // of observers on this side of the NAT: they see our own address
	varies bool          // one observer saw several addresses
}

// outsideOf gathers what is known of a family.
func (c *conclusion) outsideOf(f result.Family) outside {
	o := outside{family: f, views: c.answered(f, plan.TCP)}
	if len(o.views) == 0 {
		o.views = c.answered(f, plan.UDP)
	}
	if len(o.views) == 0 {
		return o
	}
	o.source = o.views[0].Source.Addr()
	// Somebody who sees our own private address while others see another one is
	// not outside.
	isInner := func(v result.View) bool { return v.SeenAs.Addr() == v.Source.Addr() && isInside(v.SeenAs.Addr()) }
	isOuter := func(v result.View) bool { return !isInside(v.SeenAs.Addr()) }
	if slices.ContainsFunc(o.views, isInner) && slices.ContainsFunc(o.views, isOuter) {
		all := o.views
		o.views = nil
		for _, v := range all {
			if isInner(v) {
				o.inner = append(o.inner, v)
			} else {
				o.views = append(o.views, v)
			}
		}
	}
	by := map[result.Endpoint]netip.Addr{}
	for _, v := range o.views {
		a := v.SeenAs.Addr()
		o.seen = addOnce(o.seen, a)
		if first, ok := by[v.Target]; ok && first != a {
			o.varies = true
		}
		by[v.Target] = a
		if !isInside(a) {
			o.outer = addOnce(o.outer, a)
		}
		if v.Source.Addr() != o.source {
			o.source = netip.Addr{}
		}
	}
	return o
}

// answered are the usable answers of a family over a transport.
func (c *conclusion) answered(f result.Family, t plan.Transport) []result.View {
	var out []result.View
	for _, v := range c.Views {
		if v.Family == f && v.Transport == t && v.Outcome == result.ViewAnswered {
			out = append(out, v)
		}
	}
	return out
}

// outside says what one family's addresses are, and what to publish.
func (c *conclusion) outside(o outside) {
	seen := o.outer
	if len(seen) == 0 {
		seen = o.seen
	}
	for _, a := range seen {
		c.out.Seen = addOnce(c.out.Seen, a.String())
	}
	n := len(c.out.Findings)
	c.publish(o)
	c.translation(o)
	c.inbound(o)
	if o.views[0].Transport == plan.UDP && len(c.out.Findings) > n {
		c.find(result.CodeUDPOnly, "This was learned over UDP only. Odyssey uses TCP, which may leave by another address.",
			"Ask a server that answers over TCP as well, or a partner's listen.")
	}
}
