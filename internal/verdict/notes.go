package verdict

import (
	"fmt"
	"net/netip"

	"dialtone/internal/result"
)

// Notes lists the facts beside the verdict of a path. portAssumed says that
// nobody gave the port, leftOut is an address of the far end whose family the
// dialing machine does not have, invalid if there is none.
func Notes(p result.Path, portAssumed bool, leftOut netip.Addr) []result.Note {
	notes := []result.Note{}
	add := func(c result.NoteCode, format string, args ...any) {
		notes = append(notes, result.Note{Code: c, Text: fmt.Sprintf(format, args...)})
	}
	i, a := p.Initiator, p.Acceptor
	if from, to := p.Source, p.SeenAs; from.IsValid() && to.IsValid() {
		switch {
		case from.Addr() != to.Addr():
			add(result.NoteNAT, "the source %s is seen as %s at the other end: partners' firewalls must allow %s", from, to, to.Addr())
		case from.Port() != 0 && from.Port() != to.Port():
			add(result.NoteNAT, "the source port %d is seen as %d at the other end", from.Port(), to.Port())
		}
	}
	if i != nil && i.Origin.IsValid() && !i.Origin.Addr().IsUnspecified() && p.Target.IsValid() && i.Origin.Addr() != p.Target.Addr() {
		add(result.NoteNAT, "the target %s is %s on the machine that answered", p.Target.Addr(), i.Origin.Addr())
	}
	if a != nil && a.Match == result.MatchTime {
		add(result.NoteMatchedByTime, "what the listener saw was matched by address and time, because the source port is not known there")
	}
	if i != nil && i.ICMP == nil && i.Attempts > 1 && p.Verdict == result.Open {
		add(result.NoteRetried, "it took %d attempts", i.Attempts)
	}
	if i != nil && p.Verdict == result.Open && i.TCP != nil && (i.ConnectMS >= synAgainMS || i.TCP.Retransmits > fewRetransmits) {
		add(result.NoteLossy, "packets are lost on the way: %d had to be sent again, and connecting took %.0f ms", i.TCP.Retransmits, i.ConnectMS)
	}
	if i != nil && p.Verdict == result.Open && (isSlow(i.Sent) || isSlow(i.Received)) {
		add(result.NoteLossy, "the payload crossed only at the second attempt, with more time: the line is slow or loses packets")
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
	if leftOut.IsValid() {
		add(result.NoteOneFamily, "the far end also has the address %s, of a family in which this machine has none: that way was left out", leftOut)
	}
	return notes
}

func isSlow(t *result.Transfer) bool { return t != nil && t.Attempts > 1 }

const (
	// synAgainMS: a SYN that is not answered is sent again after a second
	// (RFC 6298 section 2), so a handshake this long lost one, or is as slow.
	synAgainMS = 1000
	// fewRetransmits may be needed on a sound path too.
	fewRetransmits = 3
)

// planFTPData is the source port of FTP's active data connections (RFC 959
// section 5.2).
const planFTPData = 20
