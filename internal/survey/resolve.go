package survey

import (
	"cmp"
	"context"
	"net/netip"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// Resolve finds the far end's addresses.
func (c Config) Resolve(ctx context.Context) (sock.Target, error) {
	t, err := sock.Resolve(ctx, append([]string{c.Host}, c.Also...), c.Bind)
	t.TellUnresolved(c.OnUnresolved)
	return t, err
}

// resolve finds the far end's addresses, and makes the first of its names that
// has any the Host.
func (s *dials) resolve(ctx context.Context) (err error) {
	s.target, err = s.Resolve(ctx)
	s.Host = cmp.Or(s.target.Host, s.Host)
	return err
}

// families lists the address families to test, IPv4 first.
func (s *farEnd) families() []result.Family { return familiesOf(s.target) }

func familiesOf(t sock.Target) []result.Family {
	if len(t.Use) == 0 {
		return []result.Family{result.IP4} // unresolved: one path a flow
	}
	return t.Families()
}

// addressesFor are the far end's addresses that are attempted by themselves in
// a direction and family. What it dials back comes from one that it chooses.
func addressesFor(t sock.Target, d plan.Direction, f result.Family) []netip.Addr {
	if to := t.Use[f]; d == plan.Forward && len(to) > 0 {
		return to
	}
	return []netip.Addr{{}}
}

// anyAddress reports of a path whether the site says that one address of its host is
// enough. host is that of paths which have none of their own.
func (c Config) anyAddress(host string) func(result.Path) bool {
	return func(p result.Path) bool { return c.Site.AnyAddress(cmp.Or(p.Host, host), plan.Role(p.To)) }
}

// farAddr is the address from which the far end is expected to dial back: that
// of the contact, else the first.
func (s *farEnd) farAddr(f result.Family) netip.Addr {
	if c, ok := s.contacts.Of(f); ok {
		return c.Target.Addr()
	}
	return s.target.One(f)
}

// expectedAt is the listener that ought to answer at an address, "" if that is
// not known. Where the name has several, each may be another machine, and it is
// the one that most of that address's own paths lead to.
func (s *farEnd) expectedAt(to netip.Addr) string {
	if !s.target.IsOneOfSeveral(to) {
		return s.expected
	}
	return mostOfAll(s.contacts.At(to), s.expected)
}
