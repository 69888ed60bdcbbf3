package result

import "net/netip"

// An Addr is an IP address. Its zero value means unknown, or none, and is "" in
// JSON.
type Addr struct{ netip.Addr }

// ParseAddr reads an address; what is none is unknown.
func ParseAddr(s string) Addr {
	a, _ := netip.ParseAddr(s)
	return Addr{a}
}

// String writes the address, "" if it is unknown.
func (a Addr) String() string {
	if !a.IsValid() {
		return ""
	}
	return a.Addr.String()
}

// UnmarshalText reads what MarshalText writes. What is no address is unknown and no
// error: a report is not refused for it.
func (a *Addr) UnmarshalText(b []byte) error {
	*a = ParseAddr(string(b))
	return nil
}

// IsOf reports whether it is of a family; one that is unknown may be.
func (a Addr) IsOf(f Family) bool { return !a.IsValid() || FamilyOf(a.Addr) == f }
