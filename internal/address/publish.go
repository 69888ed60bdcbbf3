package address

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/result"
)

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
		c.find(result.CodePublishedDiffers,
			fmt.Sprintf("Give partners %s as your Odyssey address; they see you as %s, so their firewall must allow %s.", names, them, allow),
			c.differsAdvice(published, names))
	case len(published) > 0 && reached:
		c.find(result.CodePublishedConfirmed, fmt.Sprintf("Give partners %s as your Odyssey address. They see you as %s too, and port %d there reaches this machine (tested from %s).", names, published[0], c.Port, in.Observer), "")
	case len(published) > 0:
		c.find(result.CodePublishedSeen, fmt.Sprintf("Partners see you as %s, the address that you publish.%s", published[0], c.untested(in, "it")), untestedAdvice(o, in))
	case reached && len(o.outer) == 1:
		c.find(result.CodePublish, fmt.Sprintf("Give partners %s as your Odyssey address: port %d there reaches this machine (tested from %s), and they see you as %s too.", o.outer[0], c.Port, in.Observer, o.outer[0]), "")
	default:
		c.find(result.CodeSeen, fmt.Sprintf("Partners see you as %s, so their firewall must allow %s.%s", them, allow, c.untested(in, allow)), untestedAdvice(o, in))
	}
}

// differsAdvice is what to do where the published address is not the seen one.
func (c *conclusion) differsAdvice(published []netip.Addr, names string) string {
	const both = "Tell every partner both: the address to send to, and the one to allow."
	in := c.triedAt(published)
	switch {
	case in != nil && in.Outcome == result.InboundReached:
		return fmt.Sprintf("%s Port %d of %s reaches this machine (tested from %s).", both, c.Port, in.Target.Addr(), in.Observer)
	case in != nil: // a finding of its own says that it leads nowhere
		return both
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

// published says what is wrong with what partners are told.
func (c *conclusion) published() {
	for _, p := range c.Published {
		if p.Error != "" {
			c.find(result.CodePublishedUnresolved, fmt.Sprintf("Partners cannot find %s: %s, as this machine's resolver says.", p.Name, strings.TrimPrefix(p.Error, p.Name+": ")), "Check the name, or publish the address itself.")
		}
		for _, s := range p.Addresses {
			if a, err := netip.ParseAddr(s); err == nil && isInside(a) {
				c.find(result.CodePublishedPrivate, fmt.Sprintf("%s is a private address: partners on the internet cannot reach it.", nameAndAddr(p.Name, s)), "Publish the outside address.")
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
