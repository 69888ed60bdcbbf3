package survey

import (
	"context"
	"net/netip"
	"slices"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// resolve finds the far end's addresses, and makes the first of its names that
// has any the Host.
func (s *survey) resolve(ctx context.Context) error {
	t, err := sock.Resolve(ctx, append([]string{s.Host}, s.Also...), s.Bind)
	if t.Host != "" {
		s.Host = t.Host
	}
	s.target = t
	if s.OnUnresolved != nil {
		for host, err := range t.Unresolved {
			s.OnUnresolved(host, err)
		}
	}
	return err
}

// addressesFor are the far end's addresses that are attempted by themselves in
// a direction and family. What it dials back comes from one that it chooses.
func (s *survey) addressesFor(d plan.Direction, f result.Family) []netip.Addr {
	if to := s.target.Use[f]; d == plan.Forward && len(to) > 0 {
		return to
	}
	return []netip.Addr{{}}
}

// isOneOfSeveral reports whether a client may be given another address of the
// family in place of this one.
func (s *survey) isOneOfSeveral(to netip.Addr) bool {
	return to.IsValid() && len(s.target.Use[result.FamilyOf(to)]) > 1
}

// leftOut are the far end's addresses that are not dialed for a reason.
func (s *survey) leftOut(why sock.Reason) []netip.Addr {
	var out []netip.Addr
	for _, l := range s.target.LeftOut {
		if l.Why == why {
			out = append(out, l.Addr)
		}
	}
	return out
}

// anyAddress reports whether the site says of a path's host that one of its
// addresses is enough.
func (s *survey) anyAddress(p result.Path) bool {
	host := s.Host
	if p.Host != "" {
		host = p.Host
	}
	return s.Site.AnyAddress(host, plan.Role(p.To))
}

// farAddr is the address from which the far end is expected to dial back: that
// of the contact, else the first.
func (s *survey) farAddr(f result.Family) netip.Addr {
	s.contacts.mu.Lock()
	defer s.contacts.mu.Unlock()
	if c := s.contacts.families[f]; c.target.IsValid() {
		return c.target.Addr()
	}
	return s.target.One(f)
}

// expectedAt is the listener that ought to answer at an address, "" if that is
// not known. Where the name has several, each may be another machine, and it is
// the one that most of that address's own paths lead to.
func (s *survey) expectedAt(to netip.Addr) string {
	if !s.isOneOfSeveral(to) {
		return s.expected
	}
	s.contacts.mu.Lock()
	at := slices.DeleteFunc(slices.Clone(s.contacts.families[result.FamilyOf(to)].targets), func(p proved) bool { return p.target.Addr() != to })
	s.contacts.mu.Unlock()
	return mostOfAll(at, s.expected)
}
