package address

import (
	"fmt"
	"net/netip"
	"slices"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

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
		c.find(result.CodeDoubleNAT, fmt.Sprintf("It looks like two NATs in a row: %s sees %s, a private address, and %s sees %s.",
			by(inside[0]), inside[0], by(o.outer[0]), o.outer[0]),
			fmt.Sprintf("Both must let partners in: the outer one from %s to %s, the inner one from there to this machine. Ask whoever runs each.", o.outer[0], inside[0]))
	case len(seen) > 1:
		c.byDestination(o)
	case !o.source.IsValid():
		// Several addresses of this machine, seen as one: what translates is not known.
		c.find(result.CodeNAT, fmt.Sprintf("A NAT translates several addresses of this machine to %s.", seen[0]), "")
	case seen[0] == o.source:
		c.untranslated(o)
	case isInside(seen[0]):
		c.find(result.CodeSeenPrivate, fmt.Sprintf("%s sees %s, which is a private address and not this machine's own (%s): a NAT stands between you, and the internet sees yet another address.", by(seen[0]), seen[0], o.source),
			"Ask somebody on the internet: a public STUN server, or a partner's listen.")
	case o.family == result.IP6 && seen[0].Is4():
		c.find(result.CodeNAT64, fmt.Sprintf("IPv6 from here is translated to IPv4: partners see %s (NAT64, RFC 6146).", seen[0]), "Partners cannot reach this machine at that address unless the translator maps it back.")
	case o.family == result.IP6 && isPrefixTranslation(o.source, seen[0], o.views):
		c.find(result.CodeNPTv6, fmt.Sprintf("A device translates the prefix of this machine's IPv6 address %s: partners see %s (NPTv6, RFC 6296, or alike).", o.source, seen[0]), "")
	case o.family == result.IP6:
		c.find(result.CodeNAT66, fmt.Sprintf("A NAT translates this machine's IPv6 address %s to %s.", o.source, seen[0]), "IPv6 seldom needs that; ask whether this machine can go without.")
	default:
		c.find(result.CodeNAT, fmt.Sprintf("A NAT translates this machine's address %s to %s.", o.source, seen[0]), "")
	}
	if len(o.inner) > 0 {
		c.find(result.CodeInnerObserver, fmt.Sprintf("%s sees this machine's own address %s: it is on this side of the NAT and says nothing of the outside.",
			observersOf(o.inner, o.inner[0].SeenAs.Addr()), o.inner[0].SeenAs.Addr()), "")
	}
}

// untranslated says that others see this machine's own address.
func (c *conclusion) untranslated(o outside) {
	a := o.source
	switch {
	case isInside(a):
		c.find(result.CodeOwnPrivate, fmt.Sprintf("%s sees this machine's own address %s, which is private: no NAT stands between you, so it is inside your network or joined to it. As what the internet sees you is not known.", observersOf(o.views, a), a),
			"Ask somebody on the internet: a public STUN server, or a partner's listen.")
	case o.family == result.IP6:
		c.find(result.CodeIPv6NoNAT, fmt.Sprintf("IPv6 is not translated: partners see this machine's own address %s.", a), "")
	default:
		c.find(result.CodeNoNAT, fmt.Sprintf("There is no NAT: partners see this machine's own address %s.", a), "")
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
	c.find(result.CodeCGNAT, text, "Partners cannot open connections to you unless the provider forwards the port: ask it for an address of your own.")
}

// pool says that successive connections look different.
func (c *conclusion) pool(o outside) {
	advice := "Partners' firewalls must allow the whole range: ask your network team for it, or for one fixed address for this machine."
	c.find(result.CodeAddressPool, fmt.Sprintf("Successive connections from here come from different addresses, so far %s: a pool of addresses, or several uplinks that share the load. There may be more.", list(o.seen)), advice)
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
	c.find(result.CodeAddressByDestination, text+".", "Ask your network team which address goes where, or for one fixed address for this machine. A partner's listen proves which one that partner sees.")
}

// byTransport says if UDP leaves by another address than TCP.
func (c *conclusion) byTransport() {
	for _, f := range []result.Family{result.IP4, result.IP6} {
		tcp, udp := addrsOf(c.answered(f, plan.TCP)), addrsOf(c.answered(f, plan.UDP))
		if len(tcp) > 0 && len(udp) > 0 && !slices.ContainsFunc(udp, func(a netip.Addr) bool { return slices.Contains(tcp, a) }) {
			c.find(result.CodeAddressByTransport, fmt.Sprintf("TCP and UDP leave by different addresses: TCP is seen as %s, UDP as %s. Odyssey uses TCP.", list(tcp), list(udp)), "")
		}
	}
}
