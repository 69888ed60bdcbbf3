package address

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// Conclude says what follows from the evidence, and no more.
func Conclude(e result.AddressEvidence) result.AddressConclusion {
	c := &conclusion{AddressEvidence: e}
	c.out.Mappings = mappings(e.Views)
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
			Code: "nothing-learned", Text: "No outside address was learned: nobody who was asked gave a usable answer.",
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

func (c *conclusion) find(code, text, advice string) {
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
		c.find("udp-only", "This was learned over UDP only. Odyssey uses TCP, which may leave by another address.",
			"Ask a server that answers over TCP as well, or a partner's listen.")
	}
}

// publish says which address partners are to have, as far as that is known.
func (c *conclusion) publish(o outside) {
	published := publishedOf(c.Published, o.family)
	names := c.publishedNames(o.family)
	in := c.inboundOf(o.family)
	reached := in != nil && in.Outcome == result.InboundReached
	them, allow := seenWords(o)
	switch {
	case len(o.outer) == 0:
		// What is seen is nobody's outside address.
	case len(published) > 0 && !sameAddrs(published, o.outer):
		c.find("published-differs",
			fmt.Sprintf("Give partners %s as your Odyssey address; they see you as %s, so their firewall must allow %s.", names, them, allow),
			c.differsAdvice(published, names))
	case len(published) > 0 && reached:
		c.find("published-confirmed", fmt.Sprintf("Give partners %s as your Odyssey address. They see you as %s too, and port %d there reaches this machine (tested from %s).", names, published[0], c.Port, in.Observer), "")
	case len(published) > 0:
		c.find("published-seen", fmt.Sprintf("Partners see you as %s, the address that you publish.%s", published[0], c.untested(in, "it")), untestedAdvice(o, in))
	case reached && len(o.outer) == 1:
		c.find("publish", fmt.Sprintf("Give partners %s as your Odyssey address: port %d there reaches this machine (tested from %s), and they see you as %s too.", o.outer[0], c.Port, in.Observer, o.outer[0]), "")
	default:
		c.find("seen", fmt.Sprintf("Partners see you as %s, so their firewall must allow %s.%s", them, allow, c.untested(in, allow)), untestedAdvice(o, in))
	}
}

// differsAdvice is what to do where the published address is not the seen one.
func (c *conclusion) differsAdvice(published []netip.Addr, names string) string {
	const both = "Tell every partner both: the address to send to, and the one to allow."
	for _, in := range c.Inbound {
		if in.Outcome != result.InboundUntried && slices.Contains(published, in.Target.Addr()) {
			if in.Outcome != result.InboundReached {
				return both
			}
			return fmt.Sprintf("%s Port %d of %s reaches this machine (tested from %s).", both, c.Port, in.Target.Addr(), in.Observer)
		}
	}
	return fmt.Sprintf("%s Whether %s leads here was not tested: a listener tests it whose site file names it as the partner's (roles: peer:), or a partner by dial odyssey while listen runs here.", both, names)
}

// untested says that nobody tried the way in, where nobody did.
func (c *conclusion) untested(in *result.Inbound, what string) string {
	if in != nil && in.Outcome != result.InboundUntried || c.Port == 0 {
		return ""
	}
	why := ""
	if in != nil && in.Error != "" {
		why = ": " + in.Error
	}
	return fmt.Sprintf(" Whether port %d there leads to this machine was not tested%s.", c.Port, why)
}

// untestedAdvice is whom to ask for what nobody has told yet.
func untestedAdvice(o outside, in *result.Inbound) string {
	var out []string
	if in == nil {
		out = append(out, "A partner's listener can test it: dial address --key WORDS HOST.")
	}
	isElsewhere := func(v result.View) bool { return v.Keyed || v.Target.Addr() != o.views[0].Target.Addr() }
	if !slices.ContainsFunc(o.views, isElsewhere) {
		out = append(out, "Only one place was asked: a second --stun shows whether others see the same.")
	}
	return strings.Join(out, " ")
}

// seenWords are the addresses that partners see, and how to speak of them in
// "must allow".
func seenWords(o outside) (them, allow string) {
	words := make([]string, len(o.outer))
	for i, a := range o.outer {
		words[i] = a.String()
	}
	switch {
	case len(words) == 1:
		return words[0], "that one"
	case o.varies:
		return "any of " + list(words), "all of them"
	}
	if allow = "all of them"; len(words) == 2 {
		allow = "both"
	}
	return strings.Join(words, " or "), allow
}

// translation says what stands between this machine and the outside.
func (c *conclusion) translation(o outside) {
	seen := o.seen
	inside := slices.DeleteFunc(slices.Clone(seen), func(a netip.Addr) bool { return !isInside(a) })
	by := func(a netip.Addr) string { return observersOf(o.views, a) }
	switch {
	case slices.ContainsFunc(append(slices.Clone(seen), o.source), isCarrier):
		c.carrier(o)
	case o.varies:
		c.pool(o)
	case len(inside) > 0 && len(o.outer) > 0:
		c.find("double-nat", fmt.Sprintf("It looks like two NATs in a row: %s sees %s, a private address, and %s sees %s.",
			by(inside[0]), inside[0], by(o.outer[0]), o.outer[0]),
			fmt.Sprintf("Both must let partners in: the outer one from %s to %s, the inner one from there to this machine. Ask whoever runs each.", o.outer[0], inside[0]))
	case len(seen) > 1:
		c.byDestination(o)
	case !o.source.IsValid():
		// Several addresses of this machine, seen as one: what translates is not known.
		c.find("nat", fmt.Sprintf("A NAT translates several addresses of this machine to %s.", seen[0]), "")
	case seen[0] == o.source:
		c.untranslated(o)
	case isInside(seen[0]):
		c.find("seen-private", fmt.Sprintf("%s sees %s, which is a private address and not this machine's own (%s): a NAT stands between you, and the internet sees yet another address.", by(seen[0]), seen[0], o.source),
			"Ask somebody on the internet: a public STUN server, or a partner's listen.")
	case o.family == result.IP6 && seen[0].Is4():
		c.find("nat64", fmt.Sprintf("IPv6 from here is translated to IPv4: partners see %s (NAT64, RFC 6146).", seen[0]), "Partners cannot reach this machine at that address unless the translator maps it back.")
	case o.family == result.IP6 && isPrefixTranslation(o.source, seen[0], o.views):
		c.find("nptv6", fmt.Sprintf("A device translates the prefix of this machine's IPv6 address %s: partners see %s (NPTv6, RFC 6296, or alike).", o.source, seen[0]), "")
	case o.family == result.IP6:
		c.find("nat66", fmt.Sprintf("A NAT translates this machine's IPv6 address %s to %s.", o.source, seen[0]), "IPv6 seldom needs that; ask whether this machine can go without.")
	default:
		c.find("nat", fmt.Sprintf("A NAT translates this machine's address %s to %s.", o.source, seen[0]), "")
	}
	if len(o.inner) > 0 {
		c.find("inner-observer", fmt.Sprintf("%s sees this machine's own address %s: it is on this side of the NAT and says nothing of the outside.",
			observersOf(o.inner, o.inner[0].SeenAs.Addr()), o.inner[0].SeenAs.Addr()), "")
	}
}

// untranslated says that others see this machine's own address.
func (c *conclusion) untranslated(o outside) {
	a := o.source
	switch {
	case isInside(a):
		c.find("own-private", fmt.Sprintf("%s sees this machine's own address %s, which is private: no NAT stands between you, so it is inside your network or joined to it. As what the internet sees you is not known.", observersOf(o.views, a), a),
			"Ask somebody on the internet: a public STUN server, or a partner's listen.")
	case o.family == result.IP6:
		c.find("ipv6-no-nat", fmt.Sprintf("IPv6 is not translated: partners see this machine's own address %s.", a), "")
	default:
		c.find("no-nat", fmt.Sprintf("There is no NAT: partners see this machine's own address %s.", a), "")
	}
}

// carrier says that a provider's shared NAT stands in between (RFC 6598).
func (c *conclusion) carrier(o outside) {
	at := fmt.Sprintf("this machine's own address %s is", o.source)
	if !isCarrier(o.source) {
		i := slices.IndexFunc(o.seen, isCarrier)
		at = fmt.Sprintf("%s sees %s,", observersOf(o.views, o.seen[i]), o.seen[i])
	}
	text := fmt.Sprintf("A carrier-grade NAT stands in between: %s one of 100.64.0.0/10, the addresses between providers and their customers (RFC 6598).", at)
	switch len(o.outer) {
	case 0:
		text += " As what the internet sees you is not known."
	case 1:
		text += fmt.Sprintf(" %s is the provider's address, and others may share it.", o.outer[0])
	default:
		text += fmt.Sprintf(" %s are the provider's addresses, and others may share them.", list(o.outer))
	}
	c.find("cgnat", text, "Partners cannot open connections to you unless the provider forwards the port: ask it for an address of your own.")
}

// pool says that successive connections look different.
func (c *conclusion) pool(o outside) {
	advice := "Partners' firewalls must allow the whole range: ask your network team for it, or for one fixed address for this machine."
	c.find("address-pool", fmt.Sprintf("Successive connections from here come from different addresses, so far %s: a pool of addresses, or several uplinks that share the load. There may be more.", list(o.seen)), advice)
}

// byDestination says that the address depends on who is asked.
func (c *conclusion) byDestination(o outside) {
	var parts []string
	proved := true
	for _, a := range o.seen {
		parts = append(parts, fmt.Sprintf("%s sees %s", observersOf(o.views, a), a))
		proved = proved && slices.ContainsFunc(o.views, func(v result.View) bool { return v.Keyed && v.SeenAs.Addr() == a })
	}
	text := fmt.Sprintf("As what partners see you depends on where they are: %s. That is two uplinks, or a rule by destination", list(parts))
	if !proved {
		text += "; or one of these servers is wrong, for nothing proves what a STUN server says"
	}
	c.find("address-by-destination", text+".", "Ask your network team which address goes where, or for one fixed address for this machine. A partner's listen proves which one that partner sees.")
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
	}
	switch in.Outcome {
	case result.InboundReached:
		if len(publishedOf(c.Published, o.family)) > 0 && !slices.Contains(publishedOf(c.Published, o.family), in.Target.Addr()) || len(o.seen) > 1 {
			c.find("inbound-same", fmt.Sprintf("Port %d of %s, from which you were seen to come, reaches this machine too.", c.Port, in.Target.Addr()), "")
		}
	case result.InboundOtherListener:
		c.find("inbound-elsewhere", fmt.Sprintf("%s leads to another machine with the same key, not to this one.", in.Target), forward)
	case result.InboundArrived:
		c.find("inbound-broken", fmt.Sprintf("%s dialed %s, which arrives at this machine, and then fails: %s.", in.Observer, in.Target, in.Error),
			"Run dial odyssey against that partner: it says where the way back stops.")
	case result.InboundAnswered:
		what := "something"
		if in.Software != "" {
			what = in.Software
		}
		if translated {
			c.find("nat-no-forward", fmt.Sprintf("%s does not lead to this machine: %s else answers there.", in.Target, what), forward)
			return
		}
		c.find("inbound-intercepted", fmt.Sprintf("%s answers at %s in place of this machine, which saw nothing arrive.", what, in.Target), allow)
	case result.InboundRefused, result.InboundRejected, result.InboundSilent:
		how := map[result.InboundOutcome]string{
			result.InboundRefused: "a reset came back", result.InboundRejected: "an ICMP error came back", result.InboundSilent: "no answer came",
		}[in.Outcome]
		if translated {
			c.find("nat-no-forward", fmt.Sprintf("%s does not lead to this machine: %s dialed it, %s, and nothing arrived here. The NAT does not forward it, or a firewall stops it before.", in.Target, in.Observer, how), forward)
			return
		}
		c.find("inbound-blocked", fmt.Sprintf("%s dialed %s, this machine's own address; %s, and nothing arrived here: a firewall stops it.", in.Observer, in.Target, how), allow)
	}
}

// byTransport says if UDP leaves by another address than TCP.
func (c *conclusion) byTransport() {
	for _, f := range []result.Family{result.IP4, result.IP6} {
		tcp, udp := addrsOf(c.answered(f, plan.TCP)), addrsOf(c.answered(f, plan.UDP))
		if len(tcp) > 0 && len(udp) > 0 && !slices.ContainsFunc(udp, func(a netip.Addr) bool { return slices.Contains(tcp, a) }) {
			c.find("address-by-transport", fmt.Sprintf("TCP and UDP leave by different addresses: TCP is seen as %s, UDP as %s. Odyssey uses TCP.", list(tcp), list(udp)), "")
		}
	}
}

// published says what is wrong with what partners are told.
func (c *conclusion) published() {
	for _, p := range c.Published {
		if p.Error != "" {
			c.find("published-unresolved", fmt.Sprintf("Partners cannot find %s: %s, as this machine's resolver says.", p.Name, strings.TrimPrefix(p.Error, p.Name+": ")), "Check the name, or publish the address itself.")
		}
		for _, s := range p.Addresses {
			if a, err := netip.ParseAddr(s); err == nil && isInside(a) {
				c.find("published-private", fmt.Sprintf("%s is a private address: partners on the internet cannot reach it.", nameAndAddr(p.Name, s)), "Publish the outside address.")
			}
		}
	}
}

func nameAndAddr(name, addr string) string {
	if name == addr {
		return name
	}
	return name + " (" + addr + ")"
}

// publishedOf are the published addresses of a family that others can reach.
func publishedOf(published []result.Published, f result.Family) []netip.Addr {
	var out []netip.Addr
	for _, p := range published {
		for _, s := range p.Addresses {
			if a, err := netip.ParseAddr(s); err == nil && result.FamilyOf(a) == f && !isInside(a) {
				out = addOnce(out, a)
			}
		}
	}
	return out
}

// publishedNames are the published names that have an address of a family which
// others can reach, with those addresses.
func (c *conclusion) publishedNames(f result.Family) string {
	var out []string
	for _, p := range c.Published {
		var addrs []string
		for _, s := range p.Addresses {
			if a, err := netip.ParseAddr(s); err == nil && result.FamilyOf(a) == f && !isInside(a) {
				addrs = append(addrs, s)
			}
		}
		if len(addrs) > 0 {
			out = append(out, nameAndAddr(p.Name, list(addrs)))
		}
	}
	return list(out)
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
