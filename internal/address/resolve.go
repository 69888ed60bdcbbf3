package address

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// resolveAll finds the addresses of everybody who is to be asked, one of each
// family, and those that the published names have, all of them.
func (r *run) resolveAll(ctx context.Context) []result.Published {
	var all sync.WaitGroup
	failed := map[string]error{}
	find := func(host string) {
		if _, ok := r.resolved[host]; ok {
			return
		}
		r.resolved[host] = nil // being looked up
		all.Go(func() {
			found, err := sock.Lookup(ctx, host)
			usable := r.usable(found)
			if err == nil && len(usable) == 0 {
				err = fmt.Errorf("%s: it has no address of the same family as --bind", host)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.resolved[host], failed[host] = usable, err
		})
	}
	r.mu.Lock()
	for _, s := range r.Servers {
		find(s.Host)
	}
	if r.Host != "" {
		find(r.Host)
	}
	r.mu.Unlock()
	published := make([]result.Published, len(r.Published))
	for i, name := range r.Published {
		all.Go(func() {
			published[i].Name = name
			found, err := sock.Lookup(ctx, name)
			if err != nil {
				published[i].Error = err.Error()
			}
			for _, a := range found {
				published[i].Addresses = append(published[i].Addresses, a.String())
			}
		})
	}
	all.Wait()
	unresolved := func(observer, host string, keyed bool) {
		if err := failed[host]; err != nil && !errors.Is(err, context.Canceled) {
			r.views = append(r.views, result.View{Observer: observer, Keyed: keyed, Test: result.TestFirst, Outcome: result.ViewUnresolved, Error: err.Error()})
		}
	}
	for _, s := range r.Servers {
		unresolved(s.Name, s.Host, false)
	}
	unresolved(r.Host, r.Host, true)
	return published
}

// usable keeps the first address of each family from which this machine can ask.
// Like other programs it leaves out a family of which it has no address itself,
// if there is another (AI_ADDRCONFIG, RFC 3493 section 6.1).
func (r *run) usable(found []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, a := range found {
		f := result.FamilyOf(a)
		if slices.ContainsFunc(out, func(o netip.Addr) bool { return result.FamilyOf(o) == f }) || len(r.Bind) > 0 && !r.Bind.For(f).IsValid() {
			continue
		}
		out = append(out, a)
	}
	if len(out) > 1 && len(r.Bind) == 0 {
		out = slices.DeleteFunc(out, func(a netip.Addr) bool { return !a.IsLoopback() && !sock.HasFamily(result.FamilyOf(a)) })
	}
	return out
}
