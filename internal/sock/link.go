package sock

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// linkEvery is how often it looks whether an address can still be used.
const linkEvery = 250 * time.Millisecond

// KeepLinks tells until ctx ends of each span in which an address of this machine
// carried nothing: its interface was down, had no carrier or was gone, or the
// address was taken from it (a cable, a wireless network, a VPN, a lease). What got
// no answer then is no fault of the network's. addrs are those to look after, asked
// each time. A span is told as it grows: its beginning stays the same.
func KeepLinks(ctx context.Context, addrs func() []netip.Addr, away func(addr netip.Addr, from, to time.Time)) {
	l := links{find: usable}
	tick := time.NewTicker(linkEvery)
	defer tick.Stop()
	for {
		for _, s := range l.look(addrs(), Now()) {
			away(s.addr, s.from, s.to)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// links remembers of addresses on which interface they are, and since when on none.
type links struct {
	find func(netip.Addr, link) (link, bool)
	at   map[netip.Addr]*seenLink
}

// A link is an interface that an address is on.
type link struct {
	index   int
	running bool // it said that it has a carrier; those that never do are taken at their word
}

type seenLink struct {
	link
	well time.Time // when the address was last seen to be usable
	away bool
}

// An absence is a span in which an address could not be used.
type absence struct {
	addr     netip.Addr
	from, to time.Time
}

// look returns the absences that go on, and those that have ended since the last
// look.
func (l *links) look(addrs []netip.Addr, now time.Time) (out []absence) {
	if l.at == nil {
		l.at = map[netip.Addr]*seenLink{}
	}
	for _, a := range addrs {
		s := l.at[a]
		if s == nil {
			if on, ok := l.find(a, link{}); ok || on.index > 0 { // else it is no interface's
				l.at[a] = &seenLink{link: on, well: now, away: !ok}
			}
			continue
		}
		on, ok := l.find(a, s.link)
		if !ok || s.away {
			out = append(out, absence{a, s.well, now})
		}
		if s.away = !ok; ok {
			s.link, s.well = on, now
		}
	}
	return out
}

// usable returns the interface that an address is on, which is the one it was on if
// it still is, and whether it can be used there. An address of none (of a whole
// network that is routed here) has no index.
func usable(a netip.Addr, was link) (link, bool) {
	if was.index > 0 {
		if i, err := net.InterfaceByIndex(was.index); err == nil && isOn(a, i) {
			return carrying(i, was)
		}
	}
	all, err := net.Interfaces()
	if err != nil {
		return was, true // nothing is known
	}
	for n := range all {
		if isOn(a, &all[n]) {
			return carrying(&all[n], was)
		}
	}
	return link{}, false
}

// carrying reports whether an interface is up, and has its carrier if it ever had
// one.
func carrying(i *net.Interface, was link) (link, bool) {
	running := i.Flags&net.FlagRunning != 0
	return link{i.Index, running || was.running}, i.Flags&net.FlagUp != 0 && (running || !was.running)
}

func isOn(a netip.Addr, i *net.Interface) bool {
	addrs, err := i.Addrs()
	if err != nil {
		return false
	}
	for _, x := range addrs {
		if p, err := netip.ParsePrefix(x.String()); err == nil && p.Addr().Unmap() == a.Unmap().WithZone("") {
			return true
		}
	}
	return false
}
