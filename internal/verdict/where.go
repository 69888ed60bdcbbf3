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

// where says in a sentence where the path stops, as far as its trace shows it;
// "" if it shows nothing.
func (e explainer) where() string {
	s := e.p.Stop
	switch {
	case s == nil:
		return ""
	case s.ByHost:
		return fmt.Sprintf("The RST needs a TTL of %d, as far as the machine itself: it comes from there, or from %s right before it", s.ByHop, hopWords(s.LastHop, s.Last))
	case s.ByHop > 0:
		return fmt.Sprintf("The RST needs a TTL of %d only: it comes from %s", s.ByHop, suspects(s))
	case s.OpenHop > 0:
		return fmt.Sprintf("The handshake needs a TTL of %d only, and the machine itself is further away: it is completed by %s", s.OpenHop, suspects(s))
	case s.LastHop == 0:
		return "No device on the way shows itself"
	}
	return "It gets as far as " + hopWords(s.LastHop, s.Last)
}

// byWhom says who stops the path, to follow a verb; "" if the trace does not
// show it.
func (e explainer) byWhom() string {
	s := e.p.Stop
	if s == nil || s.LastHop == 0 || s.ByHost {
		return ""
	}
	return " by " + suspects(s)
}

// suspects names the last device that let a packet die, and the next.
func suspects(s *result.Stop) string {
	behind := "what comes right behind it"
	if s.Next.IsValid() {
		behind = hopWords(s.NextHop, s.Next)
	}
	if s.LastHop == 0 {
		return "a device at the very beginning of the way"
	}
	return hopWords(s.LastHop, s.Last) + " or " + behind
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
