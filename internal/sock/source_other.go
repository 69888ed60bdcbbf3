//go:build !windows

package sock

import (
	"net"
	"net/netip"
)

// sourceFor has a UDP socket connected, which sends nothing.
func sourceFor(remote netip.AddrPort) (netip.Addr, error) {
	c, err := net.Dial("udp", remote.String())
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	return AddrPortOf(c.LocalAddr()).Addr(), nil
}
