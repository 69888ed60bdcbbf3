package request

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Subnets say which network stands in place of a machine's address, since what
// works for one PC is to work for its neighbours. The zero value is none.
type Subnets struct {
	bits4, bits6 int // length; 0: that family's addresses stay
	given        []netip.Prefix
}

// The shortest prefixes that are taken: a slip must not open half the internet.
const (
	minBits4 = 8
	minBits6 = 16
	// bits6 is a subnet's usual length (RFC 7421), where only IPv4's was given.
	bits6 = 64
)

// ParseSubnets reads what --as-subnet was given: a length such as 24 or /64, or
// networks such as 10.2.8.0/22. An error says which value and why.
func ParseSubnets(values []string) (Subnets, error) {
	var out Subnets
	for _, v := range values {
		if n, err := strconv.Atoi(strings.TrimPrefix(v, "/")); err == nil {
			switch {
			case n >= minBits4 && n <= 32:
				out.bits4 = n
				if out.bits6 == 0 {
					out.bits6 = bits6
				}
			case n > 32 && n <= 128:
				out.bits6 = n
			default:
				return out, fmt.Errorf("%q is no length of a subnet: from %d to 32 for IPv4, more for IPv6", v, minBits4)
			}
			continue
		}
		p, err := netip.ParsePrefix(v)
		if err != nil {
			return out, fmt.Errorf("%q is neither a length such as 24 nor a network such as 10.2.8.0/22", v)
		}
		least := minBits6
		if p.Addr().Is4() {
			least = minBits4
		}
		if p.Bits() < least {
			return out, fmt.Errorf("%s is too much to open: a length of %d at least", v, least)
		}
		out.given = append(out.given, p.Masked())
	}
	return out, nil
}

// of is what stands for an address. That of a NAT is not of the machine's subnet:
// only a network that was named stands for it.
func (s Subnets) of(a netip.Addr, translated bool) netip.Prefix {
	for _, p := range s.given {
		if p.Contains(a) {
			return p
		}
	}
	bits := s.bits6
	if a.Is4() {
		bits = s.bits4
	}
	if bits == 0 || translated {
		bits = a.BitLen()
	}
	p, err := a.Prefix(bits)
	if err != nil { // a.BitLen() is never too long
		return netip.PrefixFrom(a, a.BitLen())
	}
	return p
}
