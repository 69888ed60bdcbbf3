package compare

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/result"
)

// What a round trip has to differ by before it is told: in milliseconds, and by
// which factor. Less comes and goes with the load of a machine.
const (
	notableRTT    = 20.0
	notableFactor = 3.0
)

// largestFrame is more than any cable carries: larger segments stay within a machine,
// and grow and shrink as it likes.
const largestFrame = 9216

// add appends what is not the same in both.
func add(out []result.Difference, what result.Aspect, old, now string) []result.Difference {
	if old == now {
		return out
	}
	return append(out, result.Difference{What: what, Old: old, New: now})
}

// both is add for what both have to know.
func both(out []result.Difference, what result.Aspect, old, now string) []result.Difference {
	if old == "" || now == "" {
		return out
	}
	return add(out, what, old, now)
}

// runs lists what differs between two runs as a whole.
func runs(old, now *result.Report) []result.Difference {
	var out []result.Difference
	out = both(out, result.AspectPlan, old.Plan, now.Plan)
	out = add(out, result.AspectMode, string(old.Mode), string(now.Mode))
	out = both(out, result.AspectTool, old.Tool, now.Tool)
	out = add(out, result.AspectFrom, end(old.From), end(now.From))
	out = add(out, result.AspectTo, end(old.To), end(now.To))
	if old.Mode == result.ModePaths && now.Mode == result.ModePaths {
		out = add(out, result.AspectContact, contact(old), contact(now))
	}
	return append(out, ways(old, now)...)
}

func end(e result.End) string {
	s := result.AddrsOf(e.Addresses...).String()
	switch {
	case e.Host == "":
		return s
	case s == "":
		return e.Host
	}
	return e.Host + " (" + s + ")"
}

func contact(r *result.Report) string {
	if r.Contact == nil {
		return "none: nobody told what arrived there"
	}
	return "the far end told what arrived there"
}

// A way is the devices that answered to traces, by how far they are, of all paths
// of one direction and family to one address.
type way map[int]netip.Addr

// ways lists the devices on the way that are others than they were. A distance at
// which one of the reports shows nobody, or several that take turns, says nothing.
func ways(old, now *result.Report) []result.Difference {
	var out []result.Difference
	for _, family := range []result.Family{result.IP4, result.IP6} {
		for _, forward := range []bool{true, false} {
			was, is := wayOf(old, family, forward), wayOf(now, family, forward)
			var a, b []string
			differs := false
			for ttl := 1; ttl <= 64; ttl++ {
				x, y := was[ttl], is[ttl]
				if !x.IsValid() || !y.IsValid() {
					continue
				}
				differs = differs || x != y
				a, b = append(a, fmt.Sprintf("%d: %v", ttl, x)), append(b, fmt.Sprintf("%d: %v", ttl, y))
			}
			if differs {
				out = append(out, result.Difference{What: result.AspectHops, Old: strings.Join(a, ", "), New: strings.Join(b, ", ")})
			}
		}
	}
	return out
}

func wayOf(r *result.Report, family result.Family, forward bool) way {
	w, turns := way{}, map[int]bool{}
	for i := range r.Paths {
		p := &r.Paths[i]
		if p.Family != family || isForward(p) != forward || p.Host != "" || p.Initiator == nil || p.Initiator.Trace == nil {
			continue
		}
		for _, h := range p.Initiator.Trace.Hops {
			if h.What != result.HopExceeded || !h.From.IsValid() {
				continue
			}
			if at, ok := w[h.TTL]; ok && at != h.From {
				turns[h.TTL] = true
			}
			w[h.TTL] = h.From
		}
	}
	for ttl := range turns {
		delete(w, ttl)
	}
	return w
}

// paths lists what differs between two findings of one path.
func paths(oldRun, nowRun *result.Report, m pair) []result.Difference {
	old, now := m.old, m.now
	var out []result.Difference
	if !old.OK || !now.OK {
		here := stops(now)
		if at := device(now); old.OK && at.IsValid() && passed(oldRun, old, at) {
			here += "; the traces of then show the same device on the way"
		}
		out = add(out, result.AspectStops, stops(old), here)
	}
	if old.Port != 0 && now.Port != 0 && old.PlanPort != 0 {
		out = add(out, result.AspectPort, fmt.Sprint(old.Port), fmt.Sprint(now.Port))
	}
	out = both(out, result.AspectSource, addr(old.Source), addr(now.Source))
	out = both(out, result.AspectTarget, target(old), target(now))
	out = both(out, result.AspectSeenAs, addr(old.SeenAs), addr(now.SeenAs))
	out = add(out, result.AspectHolder, holder(oldRun, old), holder(nowRun, now))
	a, b := conversation(old), conversation(now)
	if a != nil && b != nil && !a.Keyed && !b.Keyed {
		out = both(out, result.AspectSoftware, a.Software, b.Software)
		out = both(out, result.AspectCertificate, certificate(a), certificate(b))
		out = both(out, result.AspectTLS, a.Fact(result.FactTLSVersion), b.Fact(result.FactTLSVersion))
	}
	if x, y := old.RTTMS, now.RTTMS; x != nil && y != nil {
		if low, high := min(*x, *y), max(*x, *y); high-low >= notableRTT && high >= notableFactor*low {
			out = add(out, result.AspectRTT, fmt.Sprintf("%.1f ms", *x), fmt.Sprintf("%.1f ms", *y))
		}
	}
	out = add(out, result.AspectMTU, largest(old, now), largest(now, old))
	for _, n := range now.Notes {
		if isOfNetwork(n.Code) && !noted(old, n.Code) {
			out = append(out, result.Difference{What: result.AspectNote, New: string(n.Code) + ": " + n.Text})
		}
	}
	for _, n := range old.Notes {
		if isOfNetwork(n.Code) && !noted(now, n.Code) && now.OK {
			out = append(out, result.Difference{What: result.AspectNote, Old: string(n.Code) + ": " + n.Text})
		}
	}
	return out
}

func addr(e result.Endpoint) string {
	if !e.IsValid() {
		return ""
	}
	return e.Addr().String()
}

// target is where a path led: of a name that was resolved, the host, too.
func target(p *result.Path) string {
	s := addr(p.Target)
	if p.Host != "" && s != "" && p.Host != s {
		return p.Host + " (" + s + ")"
	}
	return s
}

// stops says where a path ends; "": it does not, or that is not known.
func stops(p *result.Path) string {
	if p.OK || p.Verdict == result.Untested {
		return ""
	}
	if p.Initiator != nil && p.Initiator.ICMP != nil && p.Initiator.ICMP.From.IsValid() {
		return "at " + p.Initiator.ICMP.From.String() + ", which turns it away"
	}
	switch s := p.Stop; {
	case s == nil:
		return ""
	case s.ByHost:
		return "at the target itself, or right before it"
	case s.ByHop > 0:
		return fmt.Sprintf("at hop %d, which resets it", s.ByHop)
	case s.LastHop > 0 && s.Last.IsValid():
		return fmt.Sprintf("behind %v (hop %d)", s.Last, s.LastHop)
	}
	return ""
}

// device is the one at which a path ends, or behind which it does; the zero Addr:
// none is known.
func device(p *result.Path) netip.Addr {
	switch {
	case p.OK:
	case p.Initiator != nil && p.Initiator.ICMP != nil:
		return p.Initiator.ICMP.From
	case p.Stop != nil && !p.Stop.ByHost:
		return p.Stop.Last
	}
	return netip.Addr{}
}

// passed reports whether a run's traces show a device on the way of a path.
func passed(r *result.Report, p *result.Path, at netip.Addr) bool {
	for _, a := range wayOf(r, p.Family, isForward(p)) {
		if a == at {
			return true
		}
	}
	return false
}

// holder is the software that has the port at the accepting end.
func holder(r *result.Report, p *result.Path) string {
	if p.Acceptor != nil && p.Acceptor.Holder != nil {
		return p.Acceptor.Holder.Name
	}
	if r.Contact == nil || !isForward(p) {
		return ""
	}
	for _, b := range r.Contact.Busy {
		if b.Port == p.Port && b.Transport == p.Transport && b.InUse && b.Holder != nil {
			return b.Holder.Name
		}
	}
	return ""
}

func conversation(p *result.Path) *result.Conversation {
	if p.Initiator == nil {
		return nil
	}
	return p.Initiator.Conversation
}

// certificate names a certificate so that two can be told apart.
func certificate(c *result.Conversation) string {
	sum := c.Fact(result.FactCertificate)
	if sum == "" {
		return ""
	}
	until, _, _ := strings.Cut(c.Fact("not after"), "T")
	return fmt.Sprintf("of %s from %s, valid until %s (SHA-256 %.16s...)", c.Fact("subject"), c.Fact("issuer"), until, sum)
}

// largest is the largest packet that crosses, where something is known to be
// larger and not to, and else what one segment may carry: a tunnel in the way makes
// both smaller. other is the same path in the other report: what only one of them
// knows says nothing.
func largest(p, other *result.Path) string {
	if h := hole(p); h != nil {
		return fmt.Sprintf("packets up to %d bytes", h.Packet)
	}
	if hole(other) != nil {
		return ""
	}
	x, y := tcp(p), tcp(other)
	if x == nil || y == nil || x.MSS == 0 || y.MSS == 0 || x.Timestamps != y.Timestamps || max(x.MSS, y.MSS) > largestFrame {
		return ""
	}
	return fmt.Sprintf("segments up to %d bytes", x.MSS)
}

func hole(p *result.Path) *result.Hole {
	if p.Initiator == nil {
		return nil
	}
	for _, t := range []*result.Transfer{p.Initiator.Sent, p.Initiator.Received} {
		if t != nil && t.Hole != nil {
			return t.Hole
		}
	}
	return nil
}

func tcp(p *result.Path) *result.TCP {
	if p.Initiator == nil {
		return nil
	}
	return p.Initiator.TCP
}

// isOfNetwork reports whether a note is about the network, and not about how one run
// went.
func isOfNetwork(c result.NoteCode) bool {
	switch c {
	case result.NoteNAT, result.NoteRelayed, result.NoteLossy, result.NoteSlow, result.NoteApplicationFirewall, result.NoteLeadsElsewhere,
		result.NoteOldTLS, result.NoteChain, result.NoteOneFamily:
		return true
	}
	return false
}

func noted(p *result.Path, c result.NoteCode) bool {
	return slices.ContainsFunc(p.Notes, func(n result.Note) bool { return n.Code == c })
}
