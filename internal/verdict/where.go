package verdict

import (
	"fmt"
	"net/netip"

	"dialtone/internal/result"
)

// A router lets a packet die before its own rules for forwarding see it. So a
// device that answers for a TTL may still be the one that drops or rejects
// what it was to forward: the suspects are always two, that device and the one
// behind it.

// stop is where the path stops, nil if that is not known. A report of an older
// release may name the target as a device on the way to itself.
func (e explainer) stop() *result.Stop {
	if e.p.Stop == nil {
		return nil
	}
	s, target := *e.p.Stop, e.p.Target.Addr()
	if target.IsValid() && s.Last == target {
		s.Last, s.NATHop = netip.Addr{}, s.LastHop
	}
	if target.IsValid() && s.Next == target {
		s.Next = netip.Addr{}
	}
	return &s
}

// where says in a sentence where the path stops, as far as its trace shows it;
// "" if it shows nothing.
func (e explainer) where() string {
	s := e.stop()
	switch {
	case s == nil:
		return ""
	case s.ByHost && s.LastHop == 0:
		return fmt.Sprintf("The RST needs a TTL of %d, as far as the machine itself: it comes from there, or from security software or the firewall of the machine that dials", s.ByHop)
	case s.ByHost:
		return fmt.Sprintf("The RST needs a TTL of %d, as far as the machine itself: it comes from there, or from a device right before it; the last that shows itself is %s", s.ByHop, e.last(s))
	case s.ByHop > 0:
		return fmt.Sprintf("The RST needs a TTL of %d only: it comes from %s", s.ByHop, e.suspects(s))
	case s.Relayed:
		return e.whereRelayed(s)
	case s.OpenHop > 0:
		return fmt.Sprintf("The handshake needs a TTL of %d only, and the machine itself is further away: it is completed by %s", s.OpenHop, e.suspects(s))
	case s.LastHop == 0:
		return "No device on the way shows itself"
	}
	return "It gets as far as " + e.last(s)
}

// whereRelayed says who accepts a path in the target's place, where open paths
// beside it go through a relay.
func (e explainer) whereRelayed(s *result.Stop) string {
	text := fmt.Sprintf("Paths beside it that work are two connections, not one: something accepts on behalf of %s and passes the bytes on. So it does here, as far as can be seen, and behind it nothing answers", e.at())
	switch {
	case s.OpenHop == 0:
		return text
	case s.OpenHop == 1:
		return text + ". The handshake needs a TTL of 1 only: it is completed on the machine that dials (security software, an antivirus, a transparent proxy) or right beside it"
	}
	return text + fmt.Sprintf(". The handshake needs a TTL of %d: it is completed by %s", s.OpenHop, e.suspects(s))
}

// behindRelay asks for a path that a relay accepts and gets no further with.
func (e explainer) behindRelay() string {
	first := ""
	if e.p.Stop.OpenHop <= 1 {
		first = ". Look first at security software and proxies of the machine that dials"
	}
	return e.request("allow behind the relay, or exempt from it,", fmt.Sprintf("What accepts on behalf of %s gets no further on this port: a firewall behind it stops what it sends there, or it does not pass this port on%s", e.at(), first))
}

// byWhom says who stops the path, to follow a verb; "" if the trace does not
// show it.
func (e explainer) byWhom() string {
	s := e.stop()
	if s == nil || s.LastHop == 0 || s.ByHost {
		return ""
	}
	return " by " + e.suspects(s)
}

// suspects names the last device that let a packet die, and the next. Where no
// device showed itself, the packet may never have left: a rule for output or
// security software of the machine that dials answers at any TTL.
func (e explainer) suspects(s *result.Stop) string {
	if s.LastHop == 0 {
		return "a device at the very beginning of the way, or the firewall or security software of the machine that dials"
	}
	behind := "what comes behind it"
	switch {
	case s.NextIsTarget:
		behind = "what comes behind it: the target machine itself, or a device that does not show itself"
	case s.Next.IsValid():
		behind = hopWords(s.NextHop, s.Next)
	}
	return e.last(s) + " or " + behind
}

// last names the last device that let a packet die.
func (e explainer) last(s *result.Stop) string {
	if s.NATHop == s.LastHop {
		return fmt.Sprintf("the NAT at %s (or a device that it speaks for, at hop %d)", e.at(), s.LastHop)
	}
	return hopWords(s.LastHop, s.Last)
}

func hopWords(ttl int, a netip.Addr) string {
	if !a.IsValid() {
		return fmt.Sprintf("the device at hop %d", ttl)
	}
	return fmt.Sprintf("%s (hop %d)", a, ttl)
}

// with joins two sentences, the second of which may be empty.
func with(first, second string) string {
	if first == "" || second == "" {
		return first + second
	}
	return sentence(first) + " " + second
}
