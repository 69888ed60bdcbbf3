package main

import (
	"fmt"
	"net/netip"

	"dialtone/internal/result"
)

// outside are addresses that stand for any far away (RFC 5737, RFC 3849).
var outside = map[result.Family]netip.AddrPort{
	result.IP4: netip.MustParseAddrPort("192.0.2.1:9"),
	result.IP6: netip.MustParseAddrPort("[2001:db8::1]:9"),
}

// sayFewHops says that this machine's answers do not live long enough to get
// everywhere: whoever dials sees silence, and nobody there can tell why.
func (s *serving) sayFewHops(ttlTowards func(netip.AddrPort) int) {
	for _, f := range []result.Family{result.IP4, result.IP6} {
		ttl := ttlTowards(outside[f])
		if !result.IsFewHops(ttl) {
			continue
		}
		what := "a TTL of %d (usual are 64 and 128; on Linux net.ipv4.ip_default_ttl)"
		if f == result.IP6 {
			what = "an IPv6 hop limit of %d (usual are 64 and 128; on Linux net.ipv6.conf.NAME.hop_limit)"
		}
		fmt.Fprintf(s.errs, "listen: this machine's packets start with "+what+": its answers do not get far, and whoever dials from further away sees silence.\n  Set it right before the test.\n", ttl)
	}
}
