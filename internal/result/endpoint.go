package result

import (
	"encoding/json"
	"fmt"
	"net/netip"
)

// An Endpoint is an address and port. Its zero value means unknown and is null
// in JSON.
type Endpoint struct{ netip.AddrPort }

// EndpointFrom returns ap with an IPv4-mapped IPv6 address unmapped, as a
// firewall's log writes it.
func EndpointFrom(ap netip.AddrPort) Endpoint {
	return Endpoint{netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())}
}

// IsSameAddr reports whether two addresses are one, whatever their zones are: a
// zone is each machine's own name for a cable (RFC 4007 section 6), and no part of
// the address that another machine sees.
func IsSameAddr(a, b netip.Addr) bool { return a.Unmap().WithZone("") == b.Unmap().WithZone("") }

// MarshalJSON writes "address:port", or null if unknown.
func (e Endpoint) MarshalJSON() ([]byte, error) {
	if !e.IsValid() {
		return []byte("null"), nil
	}
	return json.Marshal(e.String())
}

// UnmarshalJSON reads what MarshalJSON writes.
func (e *Endpoint) UnmarshalJSON(b []byte) error {
	var s *string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	if s == nil {
		*e = Endpoint{}
		return nil
	}
	ap, err := netip.ParseAddrPort(*s)
	if err != nil {
		return fmt.Errorf("endpoint %q: %w", *s, err)
	}
	*e = EndpointFrom(ap)
	return nil
}

// FamilyOf returns the address family of a.
func FamilyOf(a netip.Addr) Family {
	if a.Unmap().Is4() {
		return IP4
	}
	return IP6
}
