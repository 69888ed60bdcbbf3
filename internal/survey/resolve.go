package survey

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// resolve finds the far end's addresses and takes the first of each family.
// Like other programs it leaves out a family of which this machine has no
// address, if the other family is there (AI_ADDRCONFIG, RFC 3493 section 6.1).
func (s *survey) resolve(ctx context.Context) error {
	found, err := s.lookupAll(ctx)
	if err != nil {
		return err
	}
	for _, a := range found {
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
		if len(s.addrs) > 1 && !a.IsLoopback() && !sock.HasFamily(f) {
			delete(s.addrs, f)
			s.leftOut = a
		}
	}
	return nil
}

// lookupAll returns the addresses of Host and Also in their order, and makes the
// first of them that has any the Host. The error is Host's own, if none has.
func (s *survey) lookupAll(ctx context.Context) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	hosts := append([]string{s.Host}, s.Also...)
	addrs, errs := make([][]netip.Addr, len(hosts)), make([]error, len(hosts))
	var all sync.WaitGroup
	for n, host := range hosts {
		all.Go(func() { addrs[n], errs[n] = sock.Lookup(ctx, host) })
	}
	all.Wait()
	first := slices.Index(errs, nil)
	if first < 0 {
		return nil, errs[0]
	}
	s.Host = hosts[first]
	for n, err := range errs {
		if err != nil && s.OnUnresolved != nil {
			s.OnUnresolved(hosts[n], err)
		}
	}
	return slices.Concat(addrs...), nil
}
