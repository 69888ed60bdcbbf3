package result

import (
	"net/netip"
	"slices"
)

// A Trace is where the packets of a path get to: connects to its port with
// rising TTL (IPv4) or hop limit (IPv6).
type Trace struct {
	// Unknown says why nothing is known, such as a system that does not tell.
	Unknown string `json:"unknown,omitempty"`
	Hops    []Hop  `json:"hops"` // by TTL from 1 on, to the first that is no router's answer, or the last that is
	// Distance is the smallest TTL at which the target, or somebody in its
	// name, answered; 0 if nobody did.
	Distance int `json:"distance"`
	// Varies: of several connections that lived as long as the last hop some were reset
	// there and some were not, so that no one of them shows where.
	Varies bool `json:"varies,omitempty"`
	// Unanswered are the source ports of those to which nobody answered anything.
	Unanswered []uint16 `json:"unanswered,omitempty"`
}

// Opened reports whether a connection of a trace opened.
func (t *Trace) Opened() bool {
	return t != nil && slices.ContainsFunc(t.Hops, func(h Hop) bool { return h.What == HopOpen })
}

// EndsSilent reports whether nobody answered what lived longer than the last hop.
func (t *Trace) EndsSilent() bool {
	if t == nil || len(t.Hops) == 0 {
		return true
	}
	last := t.Hops[len(t.Hops)-1].What
	return last == HopExceeded || last == HopSilent
}

// A Stop is where a path ends, as its trace and that of an open path to the
// same machine show it together.
type Stop struct {
	LastHop int        `json:"last_hop"` // TTL of the last device that answered; 0: none did
	Last    netip.Addr `json:"last"`     // that device
	NextHop int        `json:"next_hop"` // TTL of the first device that did not
	Next    netip.Addr `json:"next"`     // that device, as an open path shows it; "" if not known
	// ByHop is the smallest TTL at which a RST came back, 0 if none did. ByHost:
	// that is as far as the target, so the RST is its own or comes from the
	// device right before it.
	ByHop  int  `json:"by_hop"`
	ByHost bool `json:"by_host"`
	// NATHop is the TTL of the last router that answered in the target's own
	// name; 0: none did. That address is a NAT's then, and the router is it or
	// stands behind it: a NAT gives the errors of what is behind it its own
	// address.
	NATHop int `json:"nat_hop,omitempty"`
	// NextIsTarget: as an open path shows it, NextHop is the target itself.
	NextIsTarget bool `json:"next_is_target,omitempty"`
	// OpenHop is the smallest TTL at which a connection opened, if that is nearer
	// than the target: a device on the way opens it in the target's place. 0
	// otherwise.
	OpenHop int `json:"open_hop,omitempty"`
	// Relayed: something else than the target accepted this path's connection, and
	// open paths to the same machine go through a relay, which accepts in its place
	// and passes the bytes on. OpenHop is then where it opens, even if those open
	// there too; 0: not known.
	Relayed bool `json:"relayed,omitempty"`
}

// A Hop is what came back from packets that lived for TTL hops.
type Hop struct {
	TTL  int        `json:"ttl"`
	What HopOutcome `json:"what"`
	From netip.Addr `json:"from"` // the device; "" for silence, and for the target's own answer
}

// HopOutcome is what came back from packets with a given TTL.
type HopOutcome string

const (
	HopExceeded HopOutcome = "time-exceeded" // a router let it die there: it got that far
	HopICMP     HopOutcome = "icmp"          // another ICMP error: that device refused it
	HopRST      HopOutcome = "rst"
	HopOpen     HopOutcome = "open"
	HopSilent   HopOutcome = "silent"
)
