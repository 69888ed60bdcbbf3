package survey

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// resolve finds the far end's addresses and takes the first of each family.
// Like other programs it leaves out a family of which this machine has no
// address, if the other family is there (AI_ADDRCONFIG, RFC 3493 section 6.1).
func (s *survey) resolve(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	found, err := lookup(ctx, s.Host)
	if err != nil {
		return err
	}
	for _, a := range found {
		a = a.Unmap()
		s.all = append(s.all, a)
		f := result.FamilyOf(a)
		if _, ok := s.addrs[f]; !ok {
			s.addrs[f] = a
		}
	}
	if len(s.Bind) > 0 {
		// A given source address decides the family.
		for f := range s.addrs {
			if !s.bindFor(f).IsValid() {
				delete(s.addrs, f)
			}
		}
		if len(s.addrs) == 0 {
			return fmt.Errorf("%s has no address of the same family as --bind", s.Host)
		}
		return nil
	}
	for f, a := range s.addrs {
		if len(s.addrs) > 1 && !a.IsLoopback() && !hasFamily(f) {
			delete(s.addrs, f)
			s.leftOut = a
		}
	}
	return nil
}

func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
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
	return found, nil
}

func hasFamily(f result.Family) bool {
	own, err := sock.LocalAddrs()
	if err != nil {
		return true // not known: try
	}
	for _, a := range own {
		if !a.IsLoopback() && result.FamilyOf(a) == f {
			return true
		}
	}
	return false
}
