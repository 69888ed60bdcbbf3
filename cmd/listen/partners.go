package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"dialtone/internal/plan"
)

// resolveWithin bounds the look-up of the partners' names.
const resolveWithin = 10 * time.Second

// partners are the addresses of the site file's partners: to dial back to one
// of them is allowed whatever address its connections come from.
func (s *serving) partners(ctx context.Context) []netip.Addr {
	if s.Site == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveWithin)
	defer cancel()
	var out []netip.Addr
	for _, host := range s.Site.HostsOf(plan.RolePeer) {
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			fmt.Fprintf(s.errs, "listen: the site file's partner %s cannot be resolved (%v): it is dialed back only at the address that it comes from\n", host, err)
			continue
		}
		for _, a := range found {
			if a = a.Unmap(); !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}
