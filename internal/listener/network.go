package listener

import "net/netip"

// siteBits is what one stranger may have of IPv6: sites are given up to a /48 (RFC 6177
// section 2), and anybody gets one for nothing of a tunnel broker. Who counts by less
// counts 65,536 networks of one attacker.
const siteBits = 48

// networkOf is what one stranger usually has, by which shares and limits are counted: an
// address, or with IPv6 a site's /48. A site's own holder of the key shares it with that
// site's strangers, as with IPv4 behind a NAT.
func networkOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	if a.Is6() && !a.IsLinkLocalUnicast() && !a.IsLoopback() {
		return netip.PrefixFrom(a, siteBits).Masked()
	}
	return netip.PrefixFrom(a, a.BitLen())
}

// networkText names a network as networkOf makes it.
func networkText(n netip.Prefix) string {
	if n.IsSingleIP() {
		return n.Addr().String()
	}
	return n.String()
}
