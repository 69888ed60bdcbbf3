package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"dialtone/internal/plan"
	"dialtone/internal/sock"
)

// partners are the addresses of the site file's partners: to dial back to one
// of them is allowed whatever address its connections come from.
func (s *serving) partners(ctx context.Context) []netip.Addr {
	if s.Site == nil {
		return nil
	}
	hosts := s.Site.HostsOf(plan.RolePeer)
	found, errs := make([][]netip.Addr, len(hosts)), make([]error, len(hosts))
	var all sync.WaitGroup
	for i, host := range hosts {
		all.Go(func() { found[i], errs[i] = sock.Lookup(ctx, host) })
	}
	all.Wait()
	var out []netip.Addr
	for i := range hosts {
		if errs[i] != nil {
			fmt.Fprintf(s.errs, "listen: the site file's partner %v: it is dialed back only at the address that it comes from\n", errs[i])
		}
		for _, a := range found[i] {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}
