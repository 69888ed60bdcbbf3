package verdict

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/result"
)

// notesOf lists the facts beside the verdict of a path. portAssumed says that
// nobody gave the port, leftOut are addresses of the far end whose family the
// dialing machine does not have.
func notesOf(p result.Path, portAssumed bool, leftOut ...netip.Addr) []result.Note {
	notes := []result.Note{}
	add := func(c result.NoteCode, format string, args ...any) {
		notes = append(notes, result.Note{Code: c, Text: fmt.Sprintf(format, args...)})
	}
	i, a := p.Initiator, p.Acceptor
	if from, to := p.Source, p.SeenAs; from.IsValid() && to.IsValid() {
		switch {
		case !result.IsSameAddr(from.Addr(), to.Addr()):
			add(result.NoteNAT, "the source %s is seen as %s at the other end: a firewall rule behind that translation must name %s", from, to, to.Addr())
		case from.Port() != 0 && from.Port() != to.Port() && isOfSource(i, a):
			add(result.NoteNAT, "the source port %d is seen as %d at the other end", from.Port(), to.Port())
		}
	}
	if i != nil && i.Origin.IsValid() && !i.Origin.Addr().IsUnspecified() && p.Target.IsValid() && !result.IsSameAddr(i.Origin.Addr(), p.Target.Addr()) {
		add(result.NoteNAT, "the target %s is %s on the machine that answered", p.Target.Addr(), i.Origin.Addr())
	}
	if a != nil && a.Match == result.MatchTime {
		add(result.NoteMatchedByTime, "what the listener saw was matched by address and time, because the source port is not known there")
	}
	if i != nil && i.ICMP == nil && i.Attempts > 1 && p.Verdict == result.Open {
		add(result.NoteRetried, "it took %d attempts", i.Attempts)
	}
	if i != nil && i.Conversation != nil && p.Verdict == result.Open {
		switch t := i.Conversation; {
		case p.Proof == result.ProofService && slices.ContainsFunc(t.Controls, func(c result.Control) bool { return c.Answer == result.AnswerKeyed }):
			add(result.NoteRetried, "the keyed proof got %s at first, and passed right after the service's own conversation: a matter of the moment, not of what is said", answerWords(i.Answer))
		case t.Failures > 0 && i.Answer == result.AnswerKeyed:
			add(result.NoteRetried, "the service's own conversation failed %d of %d times", t.Failures, max(t.Failures, t.Attempts))
		}
	}
	if text := seenWords(p); text != "" {
		add(result.NoteSeen, "%s", text)
		if i.Ordinary.Line {
			add(result.NoteOneLine, "one empty line was sent, as a person sends it who tries the port by hand: whether documents pass is not known by it")
		}
	}
	if text := relayed(i, a); text != "" {
		add(result.NoteRelayed, "%s", text)
	}
	if text := serviceNote(p); text != "" {
		add(result.NoteApplicationFirewall, "%s", text)
	}
	if text := oldTLS(i); text != "" {
		add(result.NoteOldTLS, "%s", text)
	}
	if text := brokenChain(i); text != "" && (p.Finding == nil || p.Finding.Code != result.Code(result.ReasonChain)) {
		add(result.NoteChain, "%s", text)
	}
	if text := lossy(p); (p.Verdict == result.Open || p.Verdict == result.Stalled) && text != "" {
		add(result.NoteLossy, "%s", text)
	}
	if i != nil && i.Conversation != nil && p.OK && i.Conversation.Fact(result.FactLeadsTo) != "" {
		add(result.NoteLeadsElsewhere, "the answer leads to another host, %s: right for a login page or a new address of the service's owner; if nobody there knows that host, somebody else answered", i.Conversation.Fact(result.FactLeadsTo))
	}
	if text := slowGreeting(i); text != "" {
		add(result.NoteSlow, "%s", text)
	}
	if text := slow(i); p.Verdict == result.Open && text != "" {
		add(result.NoteSlow, "%s", text)
	}
	if text := failedByLoss(i); p.Verdict == result.Open && text != "" {
		add(result.NoteLossy, "%s", text)
	}
	if i != nil && p.Verdict == result.Open && (isSlow(i.Sent) || isSlow(i.Received)) {
		add(result.NoteLossy, "the payload crossed only at the second attempt, with more time: the line is slow or loses packets")
	}
	if code, text := idleWords(i); text != "" && p.Verdict == result.Open {
		add(code, "%s", text)
	}
	if p.SourcePort != 0 && (i == nil || i.SourceError != "" || p.SourcePort != planFTPData) {
		why := fmt.Sprintf("dialed from port %d", p.SourcePort)
		if i != nil && i.SourceError != "" {
			why = i.SourceError
		}
		add(result.NoteNotFrom20, "not from port 20 (%s): a firewall rule that names source port 20 was not tested", why)
	}
	if portAssumed {
		add(result.NoteAssumedPort, "port %d is only the usual one; give this site's with --port %s=N or in the site file", p.PlanPort, p.Flow)
	}
	switch words := addrList(leftOut); len(leftOut) {
	case 0:
	case 1:
		add(result.NoteOneFamily, "the far end also has the address %s, of a family in which this machine has none: that way was left out", words)
	default:
		add(result.NoteOneFamily, "the far end also has the addresses %s, of a family in which this machine has none: those ways were left out", words)
	}
	return notes
}

// isOfSource reports whether the address that the other end saw is that of the
// very connection whose source is known: an attempt that is made again has
// another port, and nothing on the way changed that.
func isOfSource(i *result.Initiator, a *result.Acceptor) bool {
	return i == nil || i.SeenAs.IsValid() || i.Attempts <= 1 || a == nil || a.Match == result.MatchAddress
}

// relayed says that the connection ended in the middle, "" if it is not known
// to.
func relayed(i *result.Initiator, a *result.Acceptor) string {
	if i == nil || !i.Relay.Relayed() {
		return ""
	}
	text := fmt.Sprintf("two connections, not one: something on the way had confirmed %d bytes when only %d of them had reached the far end. "+
		"A proxy, load balancer or inspecting firewall passes the bytes on, unchanged; its own time-outs and limits hold for this path",
		i.Relay.Acknowledged, i.Relay.Arrived)
	if a == nil || i.TCP == nil || a.TCP == nil {
		return text
	}
	return fmt.Sprintf("%s (this end: MSS %d, round trip %.1f ms; far end: MSS %d, round trip %.1f ms, sees it come from %s)",
		text, i.TCP.MSS, i.TCP.RTTMS, a.TCP.MSS, a.TCP.RTTMS, a.Source)
}

// lossy says that packets are lost and in which direction, "" if they are not
// known to be.
func lossy(p result.Path) string {
	i, a := p.Initiator, p.Acceptor
	if i == nil || !i.IsLossy() && (a == nil || !a.TCP.IsLossy()) {
		return ""
	}
	if len(i.Datagrams) > 0 {
		return "packets get lost on the way, there or back: " + datagramWords(i.Datagrams)
	}
	var said []string
	if i.TCP != nil {
		said = append(said, fmt.Sprintf("from %s to %s %s", p.From, p.To, againWords(i.TCP, i.Sent)))
	}
	if a != nil && a.TCP != nil {
		said = append(said, fmt.Sprintf("from %s to %s %s", p.To, p.From, againWords(a.TCP, i.Received)))
	}
	text := "packets get lost on the way"
	if len(said) > 0 {
		text += ": " + strings.Join(said, ", ")
	}
	if i.LostSYN() {
		text += fmt.Sprintf("; connecting took %.1f s, so a first packet was lost", i.LongestConnectMS()/1000)
	}
	return text + ecnWords(p)
}

const (
	// manySegments is from how many on it shows how many of them get lost.
	manySegments = 20
	// firstLost is the share of all segments that is sent again where each that is sent
	// for the first time gets lost, less a margin.
	firstLost = 0.4
)

// ecnWords says that segments which are marked as capable of ECN may be what gets lost;
// "": nothing speaks for it. Segments that are sent again have no such mark (RFC 3168
// section 6.1.5), and neither has a SYN.
func ecnWords(p result.Path) string {
	i, a := p.Initiator, p.Acceptor
	if a == nil {
		return ""
	}
	var none, first []string // whence nothing marked arrived, and whence all but that did
	for _, w := range []struct {
		sent, received *result.TCP
		from           string
	}{{i.TCP, a.TCP, p.From}, {a.TCP, i.TCP, p.To}} {
		if !w.sent.IsLossy() || !w.sent.ECN || w.received == nil || w.received.ECNSeen {
			continue
		}
		none = append(none, w.from)
		if !i.LostSYN() && w.sent.Segments >= manySegments && float64(w.sent.Lost()) >= firstLost*float64(w.sent.Segments) {
			first = append(first, w.from)
		}
	}
	switch {
	case len(first) > 0:
		return fmt.Sprintf("; ECN was negotiated, and no segment marked for it (ECT) arrived from %s, only those sent again, which have no mark: a device on the way probably drops what is marked. "+
			"Have it let ECN pass (RFC 3168), or turn ECN off at one end (Linux: sysctl -w net.ipv4.tcp_ecn=0, Windows: netsh interface tcp set global ecncapability=disabled) and repeat",
			strings.Join(first, " nor from "))
	case len(none) > 0:
		return fmt.Sprintf("; ECN was negotiated, and no segment marked for it (ECT) arrived from %s", strings.Join(none, " nor from "))
	}
	return ""
}

// datagramWords says how many datagrams were answered, by size.
func datagramWords(all []result.Datagrams) string {
	var said []string
	for _, d := range all {
		s := fmt.Sprintf("%d of %d datagrams of %d bytes were answered", d.Answered, d.Sent, d.Request)
		if d.Sources > 1 {
			s += fmt.Sprintf(", from %d source ports", d.Sources)
		}
		said = append(said, s)
	}
	return strings.Join(said, "; ")
}

// againWords says how many of a payload's segments were lost.
func againWords(tcp *result.TCP, t *result.Transfer) string {
	needless := ""
	if tcp.Needless > 0 {
		needless = fmt.Sprintf(" (%d more needlessly)", tcp.Needless)
	}
	of := tcp.Segments
	if of == 0 && tcp.MSS > 0 && t != nil && t.Want > 0 {
		of = int((t.Want + int64(tcp.MSS) - 1) / int64(tcp.MSS))
	}
	if of == 0 {
		return fmt.Sprintf("segments had to be sent again %d times%s", tcp.Lost(), needless)
	}
	return fmt.Sprintf("%d of about %d segments had to be sent again%s", tcp.Lost(), of, needless)
}

// slow says that the payload crossed at a speed that staff would notice, ""
// otherwise. A long way is not slow: its round trips are allowed for.
func slow(i *result.Initiator) string {
	if i == nil || i.RTTMS == nil {
		return ""
	}
	var said []string
	for _, t := range []struct {
		name string
		*result.Transfer
	}{{"out", i.Sent}, {"back", i.Received}} {
		if rate := t.Rate(); rate > 0 && rate < slowKbits && t.ElapMS > slowMS+slowRoundTrips**i.RTTMS {
			said = append(said, fmt.Sprintf("%.0f kbit/s %s", rate, t.name))
		}
	}
	if len(said) == 0 {
		return ""
	}
	return "the payload crossed at only " + strings.Join(said, " and ") + ": a slow line, or a limit on bandwidth"
}

func isSlow(t *result.Transfer) bool { return t != nil && t.Attempts > 1 }

const (
	// A payload that takes this long, beyond the round trips of slow start
	// (RFC 5681), and moves no faster than slowKbits, is slow.
	slowMS         = 1000
	slowRoundTrips = 10
	slowKbits      = 2000
)

// planFTPData is the source port of FTP's active data connections (RFC 959
// section 5.2).
const planFTPData = 20
