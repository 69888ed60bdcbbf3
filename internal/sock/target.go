package sock

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"dialtone/internal/result"
)

// MaxAddresses bounds the addresses of one family that a Target uses. A name
// with more is a content network's: each client gets another few of them.
const MaxAddresses = 8

// A Target is the addresses that a far end's names have, and which of them are
// to be dialed.
type Target struct {
	Host string       // the first of the names that has an address
	All  []netip.Addr // that the names gave, each once, in their order
	// Use are those to dial, by family: all that the first name with any of that
	// family has, since a client may be given any of them.
	Use map[result.Family][]netip.Addr
	// LeftOut are those of Host that are not dialed, and why.
	LeftOut []LeftOut
	// Unresolved are the names that gave no address while another did.
	Unresolved map[string]error
	// Doubts are the names of which not everything is known: a name server did not
	// do its part.
	Doubts []Doubt
}

// A Doubt is what is not known of a name that has addresses.
type Doubt struct {
	Host    string
	Trouble []string        // of name servers, for people
	Lacking []result.Family // that it may have addresses of; none: only time was lost
}

// LeftOut is an address that is not dialed.
type LeftOut struct {
	Addr netip.Addr
	Why  Reason
}

// Reason says why an address is not dialed.
type Reason int

const (
	NoSuchFamily Reason = iota + 1 // this machine has no address of its family
	TooMany                        // there are more than MaxAddresses
)

// Bind are the local addresses to dial from, at most one of each family; none leaves
// it to the system.
type Bind []netip.Addr

// For is the local address to dial an address of a family from, invalid if it is the
// system's choice.
func (b Bind) For(f result.Family) netip.Addr {
	for _, a := range b {
		if result.FamilyOf(a) == f {
			return a
		}
	}
	return netip.Addr{}
}

// IsOneOfSeveral reports whether a client may be given another address of the same
// family in place of this one.
func (t Target) IsOneOfSeveral(a netip.Addr) bool {
	return a.IsValid() && len(t.Use[result.FamilyOf(a)]) > 1
}

// TellUnresolved tells of each name that gave no address while another did. tell may
// be nil.
func (t Target) TellUnresolved(tell func(host string, err error)) {
	for host, err := range t.Unresolved {
		if tell != nil {
			tell(host, err)
		}
	}
}

// Without are the addresses that are not dialed for a reason.
func (t Target) Without(why Reason) []netip.Addr {
	var out []netip.Addr
	for _, l := range t.LeftOut {
		if l.Why == why {
			out = append(out, l.Addr)
		}
	}
	return out
}

// One is the first address to dial of a family, invalid if there is none.
func (t Target) One(f result.Family) netip.Addr {
	if len(t.Use[f]) == 0 {
		return netip.Addr{}
	}
	return t.Use[f][0]
}

// Families lists the families to dial, IPv4 first.
func (t Target) Families() []result.Family {
	var out []result.Family
	for _, f := range []result.Family{result.IP4, result.IP6} {
		if len(t.Use[f]) > 0 {
			out = append(out, f)
		}
	}
	return out
}

// Resolve finds the addresses of a far end, whose names are in order of
// preference. If there are any local addresses to dial from, they decide the
// families. Otherwise, like other
// programs, it leaves out a family of which this machine has no address, if the
// other family is there (AI_ADDRCONFIG, RFC 3493 section 6.1). The error is that
// of the first name, if none has an address.
func Resolve(ctx context.Context, names []string, bind Bind) (Target, error) {
	found, addrs, errs := make([]Name, len(names)), make([][]netip.Addr, len(names)), make([]error, len(names))
	var all sync.WaitGroup
	for n, name := range names {
		all.Go(func() {
			found[n], errs[n] = FindName(ctx, name)
			addrs[n] = found[n].Addrs
		})
	}
	all.Wait()
	t, err := choose(names, addrs, errs, bind, HasFamily)
	for n, f := range found {
		if errs[n] == nil && len(f.Trouble) > 0 {
			t.Doubts = append(t.Doubts, Doubt{names[n], f.Trouble, f.Lacking})
		}
	}
	return t, err
}

// choose makes a Target of what the names gave.
func choose(names []string, addrs [][]netip.Addr, errs []error, bind Bind, hasFamily func(result.Family) bool) (Target, error) {
	first := slices.Index(errs, nil)
	if first < 0 {
		return Target{}, errs[0]
	}
	t := Target{Host: names[first], Use: map[result.Family][]netip.Addr{}, Unresolved: map[string]error{}}
	for n, err := range errs {
		if err != nil {
			t.Unresolved[names[n]] = err
		}
		of := map[result.Family][]netip.Addr{}
		for _, a := range addrs[n] {
			if !slices.Contains(t.All, a) {
				t.All = append(t.All, a)
			}
			if f := result.FamilyOf(a); !slices.Contains(of[f], a) {
				of[f] = append(of[f], a)
			}
		}
		for f, list := range of {
			if len(t.Use[f]) == 0 {
				t.Use[f] = list
			}
		}
	}
	both := len(t.Use) > 1
	for _, f := range t.Families() {
		list := t.Use[f]
		switch {
		case len(bind) > 0 && !bind.For(f).IsValid():
			delete(t.Use, f)
		case len(bind) == 0 && both && !list[0].IsLoopback() && !hasFamily(f):
			delete(t.Use, f)
			for _, a := range list {
				t.LeftOut = append(t.LeftOut, LeftOut{a, NoSuchFamily})
			}
		case len(list) > MaxAddresses:
			t.Use[f] = list[:MaxAddresses:MaxAddresses]
			for _, a := range list[MaxAddresses:] {
				t.LeftOut = append(t.LeftOut, LeftOut{a, TooMany})
			}
		}
	}
	if len(t.Use) == 0 {
		return t, &NameError{t.Host, result.NameFamily, "it has no address of the same family as --bind"}
	}
	return t, nil
}
