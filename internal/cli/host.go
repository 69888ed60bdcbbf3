package cli

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"dialtone/internal/paste"
)

// Host returns the name or address that an argument means (paste.Host), if this
// machine can dial it: a link-local address is one of a cable, which its zone
// names.
func Host(text string) (string, error) {
	host, err := paste.Host(text)
	if err != nil {
		return "", Pasted(err)
	}
	return host, checkZone(host)
}

// Pasted makes a Failure of what package paste refuses, with what to write
// instead for a hint.
func Pasted(err error) error {
	pe, ok := errors.AsType[*paste.Error](err)
	if !ok {
		return Usage(err, "")
	}
	return Usagef(sentence(pe.Do), "%s", strings.TrimSuffix(err.Error(), ": "+pe.Do))
}

// sentence makes what package paste says to do a hint.
func sentence(do string) string { return strings.ToUpper(do[:1]) + do[1:] + "." }

// Of says which flag a Failure is about.
func Of(flag string, err error) error {
	if f, ok := errors.AsType[*Failure](err); ok {
		return &Failure{Code: f.Code, Err: fmt.Errorf("%s: %w", flag, f.Err), Hint: f.Hint}
	}
	return err
}

// checkZone reports a link-local address whose cable is not known.
func checkZone(host string) error {
	a, err := netip.ParseAddr(host)
	if err != nil || !a.Is6() || !a.IsLinkLocalUnicast() && a.Zone() == "" {
		return nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil // what dialing says must do
	}
	var names []string
	for _, i := range all {
		if a.Zone() == i.Name || a.Zone() == fmt.Sprint(i.Index) {
			return nil
		}
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagLoopback == 0 {
			names = append(names, i.Name)
		}
	}
	hint := "Give an address of another kind, or its name."
	if len(names) > 0 {
		hint = fmt.Sprintf("Write %s%%%s (the interfaces here: %s), or give an address of another kind.", a.WithZone(""), names[0], strings.Join(names, ", "))
	}
	if a.Zone() == "" {
		return Usagef(hint, "%s is an address of each cable of this machine: the interface is missing", a)
	}
	return Usagef(hint, "%s: this machine has no interface %q", a, a.Zone())
}
