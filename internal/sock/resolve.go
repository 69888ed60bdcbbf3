package sock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"dialtone/internal/result"
)

// Lookup returns the addresses of a host name, or the address itself, IPv4-mapped
// ones unmapped. Its errors are for people.
func Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	var dns *net.DNSError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, fmt.Errorf("%s: %w", host, context.Canceled)
	case errors.As(err, &dns) && dns.IsNotFound:
		return nil, fmt.Errorf("%s: no such name", host)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", host, err)
	case len(found) == 0:
		return nil, fmt.Errorf("%s: the name has no address", host)
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	return found, nil
}

// HasFamily reports whether this machine has an address of a family beside the
// loopback one, or does not tell.
func HasFamily(f result.Family) bool {
	own, err := LocalAddrs()
	if err != nil {
		return true
	}
	for _, a := range own {
		if !a.IsLoopback() && result.FamilyOf(a) == f {
			return true
		}
	}
	return false
}
