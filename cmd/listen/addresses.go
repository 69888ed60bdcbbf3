package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// addresses are those of this machine that dial can use, the likeliest first.
func (s *serving) addresses() []string {
	var out []string
	for _, o := range s.owns() {
		out = append(out, o.Addr.String())
	}
	return out
}

// owns are the addresses that listen answers on and that others may dial; one at
// least.
func (s *serving) owns() []sock.Own {
	own, _ := sock.OwnAddrs() // without them the placeholder stands
	return dialable(own, s.Bind)
}

// dialable chooses from this machine's addresses those that answer when these are
// bound, all if none are; with what only this machine sees left out, unless there
// is nothing else.
func dialable(own []sock.Own, bind []netip.Addr) []sock.Own {
	out := own
	if len(bind) > 0 {
		out = nil
		for _, o := range own {
			if slices.ContainsFunc(bind, func(b netip.Addr) bool { return b == o.Addr || isAnyOf(b, o.Addr) }) {
				out = append(out, o)
			}
		}
		for _, b := range bind { // one that the list of interfaces lacks: link-local, or of 127.0.0.0/8
			if !b.IsUnspecified() && !slices.ContainsFunc(out, func(o sock.Own) bool { return o.Addr == b }) {
				o := sock.Own{Addr: b, Interface: b.Zone(), Kind: sock.OwnNetwork}
				if b.IsLoopback() {
					o.Kind = sock.OwnLoopback
				}
				out = append(out, o)
			}
		}
		sock.SortOwn(out)
	}
	// Each step takes the next kind only if there is nothing yet.
	for _, most := range []sock.OwnKind{sock.OwnVPN, sock.OwnInside, sock.OwnDown, sock.OwnLoopback} {
		some := slices.DeleteFunc(slices.Clone(out), func(o sock.Own) bool { return o.Kind > most })
		if len(some) > 0 {
			return some
		}
	}
	return []sock.Own{{Addr: netip.AddrFrom4([4]byte{127, 0, 0, 1}), Kind: sock.OwnLoopback}}
}

// isAnyOf reports whether an address to bind is every one of a family.
func isAnyOf(b, a netip.Addr) bool {
	return b.IsUnspecified() && result.FamilyOf(b) == result.FamilyOf(a)
}

// reachWords say who can dial the address that is told first; "" if nothing is
// known against it.
func reachWords(o sock.Own, isBound bool) string {
	switch o.Kind {
	case sock.OwnLoopback:
		if isBound {
			return "Only this machine itself can dial that: listen is bound to a loopback address alone. Start it without --bind, or with an address that others reach.\n"
		}
		return "Only this machine itself can dial that: it has no other address that is up.\n"
	case sock.OwnDown:
		return fmt.Sprintf("Nothing is plugged in there now (%s): nobody can dial it before that is done.\n", o.Interface)
	case sock.OwnInside:
		return fmt.Sprintf("Only containers or virtual machines of this machine can dial that (%s).\n", o.Interface)
	case sock.OwnVPN:
		return fmt.Sprintf("That is the inside of a VPN (%s): only who is in it can dial it.\n", o.Interface)
	}
	return ""
}

// otherWords lists further addresses, each with what is special of it.
func otherWords(list []sock.Own) string {
	var out []string
	for _, o := range list {
		text := o.Addr.String()
		switch o.Kind {
		case sock.OwnVPN:
			text += fmt.Sprintf(" (inside of a VPN, %s: for who is in it)", o.Interface)
		case sock.OwnInside:
			text += fmt.Sprintf(" (inside of this machine, %s)", o.Interface)
		case sock.OwnDown:
			text += fmt.Sprintf(" (%s, nothing plugged in)", o.Interface)
		case sock.OwnLoopback:
			text += " (this machine alone)"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}
