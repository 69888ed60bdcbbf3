package sock

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"dialtone/internal/result"
)

// LookupWithin bounds the look-up of a name: three name servers are asked once at
// the usual five seconds each (resolv.conf(5)), and one of them once more.
const LookupWithin = 20 * time.Second

// A Name is what was found out about a name.
type Name struct {
	Addrs []netip.Addr
	// Trouble says for people which name servers did not do their part.
	Trouble []string
	// Lacking are the families of which none could tell whether it has addresses.
	Lacking []result.Family
}

// A NameError says why a name gave no address.
type NameError struct {
	Host  string
	Fault result.NameFault
	Words string // for people
}

func (e *NameError) Error() string { return e.Host + ": " + e.Words }

// FaultOf is why a name gave no address, "" if err does not tell.
func FaultOf(err error) result.NameFault {
	var e *NameError
	if errors.As(err, &e) {
		return e.Fault
	}
	return ""
}

// Lookup returns the addresses of a host name, or the address itself, IPv4-mapped
// ones unmapped. Its errors are for people.
func Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	n, err := FindName(ctx, host)
	return n.Addrs, err
}

// FindName finds out what is known of a host name. A name server that does not
// answer, or not for one kind of address, costs time. The error is a *NameError, or
// says that ctx was canceled.
func FindName(ctx context.Context, host string) (Name, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return Name{Addrs: []netip.Addr{a.Unmap()}}, nil
	}
	if isInvalid(host) {
		return Name{}, &NameError{host, result.NameAbsent, "no such name"}
	}
	w := newNameWatch(time.Now().Add(LookupWithin))
	found, err := lookup(ctx, w, host)
	return w.found(ctx, host, found, err)
}

// askServers asks the name servers, as Go's resolver does: it knows the hosts file,
// the search list and the options of resolv.conf. w watches what each says.
func askServers(ctx context.Context, w *nameWatch, host string) ([]netip.Addr, error) {
	r := net.Resolver{PreferGo: true, Dial: w.dial}
	return r.LookupNetIP(ctx, "ip", host)
}

// isInvalid reports whether a name is one that never exists, which no name server
// has to be asked about (RFC 6761 section 6.4).
func isInvalid(host string) bool {
	return strings.HasSuffix(strings.ToLower(strings.TrimSuffix(host, ".")), ".invalid")
}

// isMulticast reports whether a name is one of multicast DNS (RFC 6762 section 3),
// which Go's resolver does not ask.
func isMulticast(host string) bool {
	return strings.HasSuffix(strings.ToLower(strings.TrimSuffix(host, ".")), ".local")
}

// HasFamily reports whether this machine has an address of a family beside the
// loopback one, or does not tell.
func HasFamily(f result.Family) bool {
	own, err := LocalAddrs()
	if err != nil {
		return true
	}
	for _, a := range own {
		if !a.IsLoopback() && result.FamilyOf(a) == f {
			return true
		}
	}
	return false
}
