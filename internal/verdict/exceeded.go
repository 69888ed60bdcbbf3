package verdict

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/result"
)

// A packet whose hops to live are used up was turned away by nobody's rule: it went
// round between devices, or started with too few, by the setting of its machine or
// since something on the way gave it others.

// exceeded explains an ICMP time exceeded for a connection that was sent as this
// machine sends everything.
func (e explainer) exceeded(m result.ICMP) *result.Finding {
	text := fmt.Sprintf("ICMP %s came back, and this system does not tell from whom", icmpWords(m))
	if m.From.IsValid() {
		text = capitalized(fmt.Sprintf("%s answered with ICMP %s", e.deviceWords(m.From), icmpWords(m)))
	}
	ttl, died := e.i.TTL, diedAt(e.i.Trace, m.From)
	if ttl > 0 {
		text += fmt.Sprintf(". Packets of the machine that dials start with a TTL of %d by its own setting", ttl)
	}
	round := goesRound(e.i.Trace)
	further := died > 0 && slices.ContainsFunc(e.i.Trace.Hops, func(h result.Hop) bool { return h.TTL > died && h.What != result.HopSilent && h.From != m.From })
	switch {
	case len(round) > 1:
		return e.routingLoop(text+fmt.Sprintf(". The trace meets the same devices again and again: %s send them to each other", e.namesOf(round)),
			fmt.Sprintf("It goes round between %s until its TTL is used up: a route of one of them leads back to the other", e.namesOf(round)))
	case len(round) == 1 && e.i.Trace.Hops[0].From == round[0]:
		return e.routingLoop(text+fmt.Sprintf(". Those of the trace die at %s, the first device, with every TTL that they are given", e.namesOf(round)),
			fmt.Sprintf("Something gives its packets a TTL of 1: look first at VPN and security software of the machine that dials, and at its firewall, and then at %s", e.namesOf(round)))
	case len(round) == 1:
		return e.routingLoop(text+fmt.Sprintf(". Those of the trace die at %s with every TTL that takes them so far", e.namesOf(round)),
			fmt.Sprintf("Its TTL is used up at %s: that device, or one before it, sets the TTL anew, and too small, or it and one that does not show itself send it to each other", e.namesOf(round)))
	case result.IsFewHops(ttl):
		text += ", too few for the way"
		if further {
			text += ": with more they get further"
		}
		return e.say(result.CodeOwnTTL, text, mendTTL("dials", e.p.Family))
	case further:
		return e.routingLoop(text+". The packets of the trace, right after it, got further than that device",
			"A loop on the way that was there for a moment, as while routes change, or something that lowers the TTL of ordinary connections, such as VPN or security software of the machine that dials")
	case ttl == 0:
		return e.routingLoop(text, "Two devices on the way send it to each other, a device lowers its TTL, or the machine that dials starts its packets with too few hops to live: look at its own setting first")
	}
	by := "Two devices on the way"
	if m.From.IsValid() {
		by = fmt.Sprintf("%s and another device on the way", e.deviceWords(m.From))
	}
	return e.routingLoop(text+", more than any way is long", by+" send it to each other, or a device lowers its TTL")
}

func (e explainer) routingLoop(text, now string) *result.Finding {
	return e.say(result.CodeRoutingLoop, text, e.request("mend the routing of", now+". No firewall rule for that port helps"))
}

// mendTTL is what to do at the machine that gives its packets too few hops to live.
func mendTTL(who string, f result.Family) string {
	linux, windows := "sysctl -w net.ipv4.ip_default_ttl=64", "netsh interface ipv4 set global defaultcurhoplimit=128"
	if f == result.IP6 {
		linux, windows = "sysctl -w net.ipv6.conf.all.hop_limit=64, for each interface too, unless its router advertises another", "netsh interface ipv6 set global defaultcurhoplimit=128"
	}
	return fmt.Sprintf("On the machine that %s, set the TTL that its packets start with to the usual one (Linux: %s; Windows: %s), and see what changed it: VPN software, security software, a tool that tunes the system. No firewall has anything to do with it.", who, linux, windows)
}

// unansweredTTL explains what got no answer and started with few hops to live; nil:
// it did not, or stopped before they were used up. Devices need not say that they were.
func (e explainer) unansweredTTL(text string) *result.Finding {
	if !result.IsFewHops(e.i.TTL) || e.p.Stop != nil && e.p.Stop.LastHop+1 < e.i.TTL {
		return nil
	}
	return e.say(result.CodeOwnTTL, fmt.Sprintf("%s. Packets of the machine that dials start with a TTL of %d by its own setting: too few for many ways", text, e.i.TTL),
		mendTTL("dials", e.p.Family)+" Then run the test again.")
}

// answersTTL explains answers that did not come back and start with few hops to live;
// nil: they do not.
func (e explainer) answersTTL() *result.Finding {
	if e.a == nil || !result.IsFewHops(e.a.TTL) {
		return nil
	}
	return e.say(result.CodeOwnTTL, fmt.Sprintf("%s arrived and was answered, and the answer did not come back. Packets of the machine that answers start with a TTL of %d by its own setting: too few for many ways", capitalized(e.what()), e.a.TTL),
		mendTTL("listens", e.p.Family)+" Then run the test again.")
}

// diedAt is the lowest TTL with which a packet of a trace died at a device; 0: with
// none.
func diedAt(t *result.Trace, at netip.Addr) int {
	if t == nil || !at.IsValid() {
		return 0
	}
	for _, h := range t.Hops {
		if h.What == result.HopExceeded && h.From == at {
			return h.TTL
		}
	}
	return 0
}

// sameDeaths is with how many TTLs packets of a trace must have died at one device,
// up to its end, for more to die there as well.
const sameDeaths = 4

// goesRound are the devices at which packets of a trace die again and again, to its
// end: several that a loop goes through, or one; none: the trace does not show that.
func goesRound(t *result.Trace) []netip.Addr {
	if t == nil {
		return nil
	}
	var died []result.Hop
	for _, h := range t.Hops {
		switch {
		case h.What == result.HopExceeded && h.From.IsValid():
			died = append(died, h)
		case h.What != result.HopSilent && h.What != result.HopExceeded:
			return nil // it got somewhere
		}
	}
	for i, h := range died {
		var round []netip.Addr
		times := map[netip.Addr]int{}
		for _, later := range died[i:] {
			if times[later.From]++; times[later.From] == 1 {
				round = append(round, later.From)
			}
		}
		switch {
		case len(round) == 1 && times[h.From] >= sameDeaths:
			return round
		case len(round) > 1 && times[h.From] > 1 && alternates(died[i:]):
			return round
		}
	}
	return nil
}

// alternates reports whether packets died at another device with each more hop.
func alternates(died []result.Hop) bool {
	for i := range died[1:] {
		if died[i].From == died[i+1].From && died[i+1].TTL == died[i].TTL+1 {
			return false
		}
	}
	return true
}

// deviceWords names a device that let a packet die.
func (e explainer) deviceWords(a netip.Addr) string {
	if a == e.p.Target.Addr() {
		return fmt.Sprintf("the NAT at %s (or a device that it speaks for)", a)
	}
	return a.String()
}

// namesOf lists devices for the middle of a sentence.
func (e explainer) namesOf(devices []netip.Addr) string {
	names := make([]string, len(devices))
	for i, a := range devices {
		names[i] = e.deviceWords(a)
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}

// noneLeads says of a far end to which no path led why not, to follow what it is to
// do.
func noneLeads(r *result.Report) string {
	failed := slices.DeleteFunc(slices.Clone(r.Paths), func(p result.Path) bool { return p.OK || p.Finding == nil || p.Verdict == result.Untested })
	is := func(codes ...result.Code) bool {
		return len(failed) > 0 && !slices.ContainsFunc(failed, func(p result.Path) bool { return !slices.Contains(codes, p.Finding.Code) })
	}
	switch {
	case is(result.CodeOwnTTL):
		return "packets of the machine that dials do not live long enough to get there."
	case is(result.CodeRoutingLoop, result.CodeOwnTTL):
		return "no packet gets there, for a fault in the routing."
	}
	return "every path to it is blocked" + orBanned(r) + "."
}
