package merge

import (
	"net/netip"
	"slices"

	"dialtone/internal/result"
)

// Bits that the addresses of a result.Subnet have in common.
const (
	subnetBits4 = 24
	subnetBits6 = 64
)

// inSubnet adds an address to the subnet that it belongs to.
func inSubnet(all []result.Subnet, a netip.Addr) []result.Subnet {
	bits := subnetBits6
	if a = a.Unmap(); a.Is4() {
		bits = subnetBits4
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return all
	}
	for i := range all {
		if all[i].Prefix == p.String() {
			all[i].Addresses = addOnce(all[i].Addresses, a.String())
			return all
		}
	}
	return append(all, result.Subnet{Prefix: p.String(), Addresses: []string{a.String()}})
}

// sortSubnets puts a request's subnets and addresses in order.
func sortSubnets(r *result.Request) {
	slices.SortFunc(r.Subnets, func(a, b result.Subnet) int {
		return netip.MustParsePrefix(a.Prefix).Addr().Compare(netip.MustParsePrefix(b.Prefix).Addr())
	})
	for _, s := range r.Subnets {
		slices.SortFunc(s.Addresses, func(a, b string) int { return netip.MustParseAddr(a).Compare(netip.MustParseAddr(b)) })
	}
}

func addOnce[E comparable](s []E, e E) []E {
	if slices.Contains(s, e) {
		return s
	}
	return append(s, e)
}
