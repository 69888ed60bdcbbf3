package verdict

import (
	"fmt"
	"net/netip"
	"strings"

	"dialtone/internal/result"
)

// sentence ends a text with a full stop, unless the words of a system or a
// peer at its end have one already.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

// familyNames are how people call the address families.
var familyNames = map[result.Family]string{result.IP4: "IPv4", result.IP6: "IPv6"}

// flow names the flow as a firewall rule does: protocol, source, destination,
// port.
func (e explainer) flow() string {
	s := strings.ToUpper(string(e.p.Transport)) + " from " + e.source()
	if e.p.SourcePort != 0 {
		s += fmt.Sprintf(" source port %d", e.p.SourcePort)
	}
	return s + " to " + e.target() + " " + e.port()
}

// port names the port that was dialed, which for FTP's data connections is
// known only once the far end has chosen it.
func (e explainer) port() string {
	if e.p.Port == 0 {
		return "a port from 1024 on"
	}
	return fmt.Sprintf("port %d", e.p.Port)
}

// source names the initiating end: its address, its role, and the address that
// a NAT gives it.
func (e explainer) source() string {
	own, seen := e.p.Source, e.p.SeenAs
	switch {
	case e.p.SourceTemporary && own.IsValid() && !e.p.OthersSeenAs.IsValid() && (!seen.IsValid() || result.IsSameAddr(own.Addr(), seen.Addr())):
		return fmt.Sprintf("%s (%s; its own address is a temporary one and another tomorrow, RFC 8981)", networkOf(own.Addr()), e.p.From)
	case own.IsValid() && !seen.IsValid() && e.p.OthersSeenAs.IsValid():
		return fmt.Sprintf("%s (%s; behind a NAT, seen as %s on other paths)", own.Addr(), e.p.From, e.p.OthersSeenAs)
	case own.IsValid() && seen.IsValid() && !result.IsSameAddr(own.Addr(), seen.Addr()):
		return fmt.Sprintf("%s (%s; behind a NAT, seen as %s)", own.Addr(), e.p.From, seen.Addr())
	case own.IsValid():
		return fmt.Sprintf("%s (%s)", own.Addr(), e.p.From)
	case seen.IsValid():
		return fmt.Sprintf("%s (%s)", seen.Addr(), e.p.From)
	}
	return "the " + e.p.From
}

// networkOf is the network that an address with an interface identifier is of (RFC 7421).
func networkOf(a netip.Addr) netip.Prefix {
	const subnet = 64
	p, err := a.WithZone("").Prefix(subnet)
	if err != nil { // an IPv4 one has no such identifier
		return netip.PrefixFrom(a, a.BitLen())
	}
	return p
}

// target names the accepting end: its address and its role.
func (e explainer) target() string {
	if e.p.Target.IsValid() && e.p.Host != "" {
		return fmt.Sprintf("%s (%s)", e.p.Target.Addr(), e.p.Host)
	}
	if e.p.Target.IsValid() && e.p.TargetTemporary {
		return fmt.Sprintf("%s (%s; its own address is a temporary one and another tomorrow, RFC 8981)", networkOf(e.p.Target.Addr()), e.p.To)
	}
	if e.p.Target.IsValid() {
		return fmt.Sprintf("%s (%s)", e.p.Target.Addr(), e.p.To)
	}
	return "the " + e.p.To
}

// at is the accepting end in few words.
func (e explainer) at() string {
	if e.p.Target.IsValid() {
		return e.p.Target.Addr().String()
	}
	return "the " + e.p.To
}

// words are the operating system's about a failure.
func (e explainer) words() string { return orElse(e.i.Error, "no word of the cause") }

// sawWords says what the listener saw, for the middle of a sentence.
func (e explainer) sawWords() string {
	switch e.a.Saw {
	case result.SawNothing:
		return "never saw this connection"
	case result.SawHalfOpen:
		return "saw it only half-open"
	case result.SawAccepted:
		return "accepted it and never says that"
	}
	return "cannot say whether it saw this connection (" + orElse(e.a.Reason, "it does not know") + ")"
}

func (e explainer) replyWords() string {
	switch {
	case e.i.Software != "":
		return "as " + e.i.Software
	case e.i.Reply != "":
		return "with " + beginning(e.i.Reply)
	case e.i.Answer == result.AnswerEchoed:
		return "with our own bytes"
	}
	return "with other bytes"
}

// beginning is as much of a quoted reply as a sentence bears; the evidence has
// more.
func beginning(quoted string) string {
	const most = 48
	if len(quoted) <= most {
		return quoted
	}
	return quoted[:most] + "…\""
}

func holderWords(h *result.Holder) string {
	switch {
	case h == nil:
		return "other software (run listen as administrator or root to see which)"
	case h.Name == "":
		return fmt.Sprintf("the program with pid %d", h.PID)
	case h.Name == "System" && h.PID == 4:
		return "HTTP.SYS, the Windows kernel itself (System, pid 4)"
	}
	return fmt.Sprintf("%s (pid %d)", h.Name, h.PID)
}

// holderName is holderWords where the hint was given already.
func holderName(h *result.Holder) string {
	if h == nil {
		return "that software"
	}
	return holderWords(h)
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
