package sock

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// TTLTowards is how many hops this machine's packets to remote live where a program
// asks for nothing else (IPv4 TTL, IPv6 hop limit); 0: the system does not tell. No
// packet is sent.
func TTLTowards(remote netip.AddrPort) int {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(remote))
	if err != nil {
		return 0
	}
	defer c.Close()
	var ttl int
	if remote.Addr().Unmap().Is4() {
		ttl, err = ipv4.NewConn(c).TTL()
	} else {
		ttl, err = ipv6.NewConn(c).HopLimit()
	}
	if err != nil {
		return 0
	}
	return max(0, ttl) // -1: the route's, which this system does not tell
}
