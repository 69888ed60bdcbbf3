package sock

import (
	"context"
	"net"
	"net/netip"
	"time"

	"dialtone/internal/result"
)

// A Route is the way by which this machine sends to an address. The zero value: there
// is none.
type Route struct {
	Source    netip.Addr // from which it sends
	Interface string     // that has this address; "": not known
}

// A Reroute is a span in which an address was sent to by another way than at first.
type Reroute struct {
	To       netip.Addr
	Was, Is  Route     // Is may be the zero Route
	From     time.Time // when the first way was seen last
	Until    time.Time // when the other one was seen last, or the first again
	Returned bool      // the first one is back
}

// KeepRoutes tells until ctx ends of each span in which this machine sends to one of
// to by another interface than at first, or has no route there any more: a VPN came up,
// a line went, and another took its place. It is told as it grows: its beginning stays
// the same. That the source is another address of the same interface is none (RFC 8981
// has it change), nor that the interface itself went (KeepLinks tells that) and no
// other took its place.
func KeepRoutes(ctx context.Context, to []netip.Addr, other func(Reroute)) {
	r := routes{find: routeTo, usable: func(a netip.Addr) bool { _, ok := usable(a, link{}); return ok }}
	tick := time.NewTicker(linkEvery)
	defer tick.Stop()
	for {
		for _, span := range r.look(to, Now()) {
			other(span)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// routes remembers of addresses by which way they were sent to at first.
type routes struct {
	find   func(to netip.Addr) (r Route, known bool)
	usable func(source netip.Addr) bool
	at     map[netip.Addr]*seenRoute
}

type seenRoute struct {
	Route
	well  time.Time // when it was last the way
	other Route     // that it was at the last look; only if away
	away  bool
}

// look returns the spans that go on, and those that have ended since the last look.
func (r *routes) look(to []netip.Addr, now time.Time) (out []Reroute) {
	if r.at == nil {
		r.at = map[netip.Addr]*seenRoute{}
	}
	for _, a := range to {
		is, known := r.find(a)
		if !known {
			continue
		}
		s := r.at[a]
		if s == nil {
			if is != (Route{}) {
				r.at[a] = &seenRoute{Route: is, well: now}
			}
			continue
		}
		away := is.Interface != s.Interface && is.Interface != "" && s.Interface != "" ||
			is == (Route{}) && r.usable(s.Source)
		switch {
		case away:
			out = append(out, Reroute{To: a, Was: s.Route, Is: is, From: s.well, Until: now})
			s.other = is
		case s.away && is != (Route{}):
			out = append(out, Reroute{To: a, Was: s.Route, Is: s.other, From: s.well, Until: now, Returned: true})
		}
		if s.away = away; !away {
			s.well = now
		}
	}
	return out
}

// routeTo returns the way to an address, and false if the system does not tell now.
func routeTo(to netip.Addr) (r Route, known bool) {
	a, err := SourceFor(netip.AddrPortFrom(to, 9)) // no packet is sent
	switch {
	case err == nil:
		return Route{a, interfaceOf(a)}, true
	case Classify(err) == result.ConnectNoRoute:
		return Route{}, true
	}
	return Route{}, false
}

// interfaceOf names the interface that has an address, "" if none does.
func interfaceOf(a netip.Addr) string {
	all, err := net.Interfaces()
	if err != nil {
		return ""
	}
	for n := range all {
		if isOn(a, &all[n]) {
			return all[n].Name
		}
	}
	return ""
}
