package address

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/result"
)

// sharedSpace is what providers number their customers with behind a NAT of
// their own (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

func isCarrier(a netip.Addr) bool { return a.IsValid() && sharedSpace.Contains(a) }

// isInside reports whether an address is of use inside some network only
// (RFC 1918, RFC 4193, RFC 6598, loopback, link-local).
func isInside(a netip.Addr) bool {
	return a.IsPrivate() || isCarrier(a) || a.IsLoopback() || a.IsLinkLocalUnicast()
}

// isPrefixTranslation reports whether what is seen of an IPv6 address is what a
// stateless translator of prefixes makes of it: ports unchanged, and either the
// interface identifier or the checksum (RFC 6296 section 3).
func isPrefixTranslation(source, seen netip.Addr, views []result.View) bool {
	if portMapping(views) != result.PortsKept {
		return false
	}
	a, b := source.As16(), seen.As16()
	return [8]byte(a[8:]) == [8]byte(b[8:]) || checksum(a) == checksum(b)
}

// checksum is the one's complement sum of an address (RFC 1071).
func checksum(a [16]byte) int {
	sum := 0
	for i := 0; i < len(a); i += 2 {
		sum += int(a[i])<<8 | int(a[i+1])
	}
	return sum % 0xFFFF
}

func addrsOf(views []result.View) []netip.Addr {
	var out []netip.Addr
	for _, v := range views {
		out = addOnce(out, v.SeenAs.Addr())
	}
	return out
}

// observersOf names who saw an address.
func observersOf(views []result.View, a netip.Addr) string {
	var out []string
	for _, v := range views {
		if v.SeenAs.Addr() == a {
			out = addOnce(out, v.Observer)
		}
	}
	return list(out)
}

func sameAddrs(a, b []netip.Addr) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x netip.Addr) bool { return !slices.Contains(b, x) })
}

func addOnce[E comparable](s []E, e E) []E {
	if slices.Contains(s, e) {
		return s
	}
	return append(s, e)
}

// list joins words as in "a, b and c".
func list[E any](of []E) string {
	words := make([]string, len(of))
	for i, e := range of {
		words[i] = fmt.Sprint(e)
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
