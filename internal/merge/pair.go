package merge

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A Pairing says that two reports are those of the two ends of one pair.
type Pairing struct {
	// Assumed: nothing in the reports shows it; they are two halves whose roles
	// match, of a release that did not mark a report with the tag of its key.
	Assumed bool
}

// Pair reports whether b is the other end of a. alone says that there are no
// other reports that it could be. Two that were made with different keys never
// are.
func Pair(a, b *result.Report, alone bool) (Pairing, bool) {
	switch {
	case a.Run == b.Run, !crosses(a, b), OtherKey(a, b) != nil:
		return Pairing{}, false
	case met(a, b) || met(b, a) || found(a, b) || found(b, a):
		return Pairing{}, true
	case sameMachine(a, b), shares(a.To.Addresses, b.To.Addresses):
		return Pairing{}, false // two runs from one machine, or to one
	case leads(a, b) || leads(b, a):
		return Pairing{}, true
	case alone && (IsListens(a) || IsListens(b)) && tagOf(a) != "" && tagOf(a) == tagOf(b):
		return Pairing{}, true
	case alone && isServers(a) && isServers(b):
		switch x, y := tagOf(a), tagOf(b); {
		case x != "" && y != "":
			return Pairing{}, true // made with one key
		case x == "" && y == "":
			return Pairing{Assumed: true}, true
		}
	}
	return Pairing{}, false
}

// tagOf is the tag of the key that a report was made with, "" if it has none.
func tagOf(r *result.Report) string {
	if r.Tag == "" && r.Listened != nil {
		return r.Listened.Tag
	}
	return r.Tag
}

// OtherKey says that two reports which could be those of the two ends of a pair
// were made with different keys, so that neither end can have known the other;
// nil if they were not.
func OtherKey(a, b *result.Report) *result.Finding {
	if x, y := tagOf(a), tagOf(b); x == "" || y == "" || x == y || !crosses(a, b) {
		return nil
	}
	return &result.Finding{Code: result.CodeOtherKey,
		Text:   fmt.Sprintf("The reports of %s and %s were made with different keys, so they are not of the two ends of one pair, and were not joined.", who(a), who(b)),
		Advice: "If the two tested with each other, one of them had a wrong key: use one key on both sides, and run the test again."}
}

// IsListens reports whether a report is listen's own, of what reached it: it dialed
// nothing, and is the other end of whoever dialed it.
func IsListens(r *result.Report) bool { return r.Mode == result.ModeListen }

// crosses reports whether two reports may be those of a pair's two ends by what they
// asked, and of whom.
func crosses(a, b *result.Report) bool {
	switch {
	case IsListens(a):
		return b.Mode == result.ModePaths
	case IsListens(b):
		return a.Mode == result.ModePaths
	}
	return a.Mode == result.ModePaths && b.Mode == result.ModePaths && cross(a, b)
}

// cross reports whether each end plays the other's part.
func cross(a, b *result.Report) bool {
	return isServers(a) && isServers(b) || a.From.Role != "" && a.From.Role == b.To.Role && a.To.Role == b.From.Role
}

// isServers reports whether a run was from server to server, as dial odyssey
// makes it.
func isServers(r *result.Report) bool {
	return r.From.Role == string(plan.RoleServer) && r.To.Role == string(plan.RolePeer)
}

// met reports whether b's own listener is known to a, or a's run to b's
// listener: only the holder of the key can have put it there.
func met(a, b *result.Report) bool {
	if b.Listened == nil {
		return false
	}
	if a.Contact != nil && a.Contact.Instance != "" && a.Contact.Instance == b.Listened.Instance {
		return true
	}
	return slices.ContainsFunc(b.Listened.Arrivals, func(v result.Arrival) bool { return v.Run != "" && v.Run == a.Run })
}

// found reports whether attempts of a are among the arrivals at b. Behind a NAT
// only the port shows it, and one may be chance.
func found(a, b *result.Report) bool {
	all := matches(a, b)
	return slices.ContainsFunc(all, func(m match) bool { return m.exact }) || len(all) > 1
}

// leads reports whether what a dialed is b by name or address.
func leads(a, b *result.Report) bool {
	if strings.Contains(a.To.Host, ".") && !isAddr(a.To.Host) && strings.EqualFold(strings.TrimSuffix(a.To.Host, "."), strings.TrimSuffix(b.From.Host, ".")) {
		return true
	}
	return shares(a.To.Addresses, ownAddrs(b))
}

func isAddr(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// sameMachine reports whether both reports were made by one machine. Two
// institutions may well have the same private address.
func sameMachine(a, b *result.Report) bool {
	for _, x := range ownAddrs(a) {
		if slices.Contains(ownAddrs(b), x) && (isPublic(x) || strings.EqualFold(a.From.Host, b.From.Host)) {
			return true
		}
	}
	return false
}

// ownAddrs are the addresses that the machine which made a report is known to
// have itself, whatever a NAT makes of them.
func ownAddrs(r *result.Report) []netip.Addr {
	out := slices.Clone([]netip.Addr(r.From.Addresses))
	for i := range r.Paths {
		p := &r.Paths[i]
		if h := p.Initiator; p.Direction == plan.Forward && h != nil && h.Source.IsValid() {
			out = append(out, h.Source.Addr())
		}
	}
	if r.Listened != nil {
		for _, v := range r.Listened.Arrivals {
			if v.Local.IsValid() {
				out = append(out, v.Local.Addr())
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// seenAddrs are the addresses as which a machine's own connections were seen
// by others, and that is known by key.
func seenAddrs(own, far *result.Report) []netip.Addr {
	var out []netip.Addr
	add := func(e result.Endpoint) {
		if e.IsValid() {
			out = append(out, e.Addr())
		}
	}
	if own.Contact != nil {
		add(own.Contact.SeenAs)
	}
	for _, of := range []struct {
		r *result.Report
		d plan.Direction
	}{{own, plan.Forward}, {far, plan.Reverse}} {
		for i := range of.r.Paths {
			if p := &of.r.Paths[i]; p.Direction == of.d && p.Initiator != nil {
				add(p.Initiator.SeenAs)
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// natOf is the one address of a path's family as which its source is known to be
// seen, by key, although it has another itself; unknown if there is none, or several.
func natOf(p *result.Path, seenAs []netip.Addr) (seen result.Addr) {
	if !p.Source.IsValid() {
		return seen
	}
	for _, a := range seenAs {
		switch {
		case result.FamilyOf(a) != p.Family:
		case a == p.Source.Addr(), seen.IsValid():
			return result.Addr{}
		default:
			seen.Addr = a
		}
	}
	return seen
}

func shares(a, b []netip.Addr) bool {
	return slices.ContainsFunc(a, func(x netip.Addr) bool { return slices.Contains(b, x) })
}

// sharedSpace is what carriers' NATs use on their inside (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// isPublic reports whether an address can be met from anywhere, so that no
// NAT is to be expected before the machine that has it.
func isPublic(a netip.Addr) bool {
	return !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !sharedSpace.Contains(a)
}

// doubtful says why an attempt to target may not have been meant for the
// machine that made a report, "" if it was: the address is its own, or a NAT is
// before it. oneOfSeveral: the name that was dialed has other addresses too, each
// of which may be another machine's.
func doubtful(target netip.Addr, far *result.Report, oneOfSeveral bool) string {
	var own []string
	behindNAT := true
	for _, a := range ownAddrs(far) {
		if result.FamilyOf(a) != result.FamilyOf(target) {
			continue
		}
		if a == target {
			return ""
		}
		own = append(own, a.String())
		behindNAT = behindNAT && !isPublic(a)
	}
	switch {
	case len(own) == 0:
		return fmt.Sprintf("no address of the other end's machine is known that %s could lead to", target)
	case behindNAT && isPublic(target) && !oneOfSeveral:
		return ""
	}
	return fmt.Sprintf("%s was dialed, and the other end's machine has %s: nothing shows that the one leads to the other", target, strings.Join(own, ", "))
}
