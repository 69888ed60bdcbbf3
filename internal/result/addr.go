package result

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
)

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

// Addrs are the addresses of one machine, or of one name.
type Addrs []netip.Addr

// AddrsOf are these addresses, each once, in the order of their text.
func AddrsOf(all ...netip.Addr) Addrs {
	out := append(Addrs{}, all...)
	slices.SortFunc(out, func(a, b netip.Addr) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(out)
}

// ParseAddrs reads addresses; what is none is left out.
func ParseAddrs(all ...string) Addrs {
	out := Addrs{}
	for _, s := range all {
		if a := ParseAddr(s); a.IsValid() {
			out = append(out, a.Unmap())
		}
	}
	return out
}

// Words are they as text.
func (a Addrs) Words() []string {
	out := make([]string, len(a))
	for i := range a {
		out[i] = a[i].String()
	}
	return out
}

// String writes them with commas, "" if there are none.
func (a Addrs) String() string { return strings.Join(a.Words(), ", ") }

// UnmarshalJSON reads a list of texts, and leaves as it is what is null. What is no address
// is left out and no error: a report is not refused for it.
func (a *Addrs) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	var all []string
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	*a = ParseAddrs(all...)
	return nil
}
