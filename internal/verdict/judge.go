// Package verdict joins both halves of the evidence about a path into a
// verdict, and says what it means and what to ask for. Everything in it is a
// pure function: no clock, no network, no state.
package verdict

import (
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A question is all that a verdict may depend on.
type question struct {
	Transport plan.Transport
	Port      int // that was dialed
	Initiator *result.Initiator
	Acceptor  *result.Acceptor // nil: there was nobody to ask
	// Instance is the listener process that ought to answer; "" if not known.
	Instance string
	// Loss is the chance that a packet or the answer to it gets lost, as all
	// connections of the run show it; 0: none is known to.
	Loss   float64
	Mode   result.Mode // who is meant to answer: our own listener, or real software
	Expect plan.Expect
	// Alive: other paths of the run show that the machine at the other end was
	// on (see isAlive).
	Alive bool
}

// A ruling is what a question comes to.
type ruling struct {
	Verdict result.Verdict
	Proof   result.Proof
	OK      bool
}

// judge rules on a question. The order of its questions is the order of
// precedence of result.Verdicts.
func judge(c question) ruling {
	if c.Initiator != nil && c.Initiator.Fetch != nil {
		return fetched(c)
	}
	r := ruling{Verdict: steady(c, verdict(c)), Proof: proof(c)}
	if c.Expect == plan.ExpectClosed {
		r.OK = r.Verdict.Row().Closed && isLiving(c)
	} else {
		r.OK = r.Verdict == result.Open || r.Proof == result.ProofService && hasRealSoftware(c, r.Verdict)
	}
	return r
}

// hasRealSoftware reports whether the service's own conversation is the proof
// that counts: our listener is not meant to be there.
func hasRealSoftware(c question, v result.Verdict) bool {
	return v == result.Occupied || v == result.Answered && c.Mode.IsReal()
}

// isLiving reports whether anything shows that the machine behind a port that
// must not be reachable was on: silence of one that is off says nothing of the
// port.
func isLiving(c question) bool {
	i, a := c.Initiator, c.Acceptor
	switch {
	case c.Alive, a != nil && a.Port != "" && a.Port != result.PortUnknown:
		return true // its listener spoke, or watched
	case i == nil:
		return false
	}
	return i.Connect == result.ConnectRST || i.ICMP != nil && i.ICMP.From.IsValid() && i.ICMP.From == i.Target.Addr()
}

// isAlive reports whether any of a run's paths shows that the machine at the
// other end of path of was on: a proof, an answer or a reset of it, or its
// listener's word.
func isAlive(paths []result.Path, of result.Path) bool {
	for _, p := range paths {
		if p.Direction != of.Direction || p.Host != of.Host {
			continue // another machine accepts
		}
		switch {
		case p.Proof == result.ProofKeyed, p.Proof == result.ProofService, p.Proof == result.ProofSeen, p.Proof == result.ProofBrowser:
			return true
		case p.Initiator != nil && p.Initiator.NotTried == "" && isLiving(question{Initiator: p.Initiator, Acceptor: p.Acceptor}):
			return true
		}
	}
	return false
}

// Enliven rules again on those of a run's paths whose port must not be
// reachable and was not, now that the others show whether the machine was on.
// contact says that its listener was asked.
func Enliven(paths []result.Path, contact bool) {
	for i := range paths {
		p := &paths[i]
		if p.Expect != plan.ExpectClosed || p.OK || !p.Verdict.Row().Closed {
			continue
		}
		if contact && p.Direction == plan.Forward || isAlive(paths, *p) {
			p.OK, p.Finding = true, nil
		}
	}
}

func proof(c question) result.Proof {
	if c.Initiator == nil {
		return result.ProofNone
	}
	if isSeen(c) {
		return result.ProofSeen
	}
	if isDisproved(c) {
		return plainProof(c.Initiator.Answer)
	}
	if t := c.Initiator.Conversation; t != nil && t.Outcome == result.ConversationCompleted {
		switch c.Initiator.Answer {
		case result.AnswerReset, result.AnswerClosed, result.AnswerSilent:
			if isConfirmed(c) {
				return result.ProofService
			}
		}
		if c.Initiator.Answer != result.AnswerKeyed && c.isReal() && !isImpostor(c) && t.Impostor == "" && !t.IsSilence() {
			return result.ProofService
		}
	}
	switch c.Initiator.Answer {
	case result.AnswerKeyed, result.AnswerVersion:
		return result.ProofKeyed
	}
	return plainProof(c.Initiator.Answer)
}

// plainProof is what an answer proves by itself.
func plainProof(a result.AnswerOutcome) result.Proof {
	switch a {
	case result.AnswerForeign, result.AnswerEchoed, result.AnswerWrongKey, result.AnswerForbidden:
		return result.ProofPlain
	}
	return result.ProofNone
}

func verdict(c question) result.Verdict {
	i := c.Initiator
	switch {
	case i == nil || i.NotTried != "":
		return result.Untested
	case i.ResolveError != "":
		return result.Unresolved
	}
	switch i.Connect {
	case result.ConnectNoRoute:
		return result.Unreachable
	case result.ConnectDenied:
		return result.BlockedLocally
	case result.ConnectICMP:
		return icmp(i)
	case result.ConnectRST:
		if c.Transport == plan.UDP {
			return result.Rejected // UDP knows no RST: this was ICMP port unreachable
		}
		return result.Refused
	case result.ConnectTimeout:
		return silence(c.Acceptor)
	case result.ConnectOpen:
		if i.Ordinary != nil {
			return ordinary(c)
		}
		return withConversation(c, answer(c))
	}
	return result.Untested // a failure of this machine, before any packet
}

// isReal reports whether real software is meant to answer, or does.
func (c question) isReal() bool {
	return c.Mode.IsReal() || c.Acceptor != nil && c.Acceptor.Port == result.PortBusy
}

// isConfirmed reports whether the service's own conversation is as good as the
// keyed proof: it carried the token there and the answer to it back, unchanged,
// and the listener that ought to have seen it on this port did.
func isConfirmed(c question) bool {
	return isKeyedWhole(c.Initiator.Conversation) &&
		c.Acceptor != nil && c.Acceptor.Conversed && c.Instance != "" && c.Acceptor.Instance == c.Instance
}

// isStrangers reports whether somebody on the way answered in our listener's
// place, or changed what it said.
func isStrangers(c question) bool {
	t := c.Initiator.Conversation
	return len(t.Changed) > 0 || isSpoken(t) && t.HasFailed(c.Transport == plan.TCP)
}

// isSpoken reports whether the far end said anything that is an answer, of
// whatever kind.
func isSpoken(t *result.Conversation) bool {
	switch t.Outcome {
	case result.ConversationCompleted, result.ConversationRefused, result.ConversationForeign, result.ConversationUnread:
		return true
	}
	return false
}

// withConversation takes into account what became of the service's own
// conversation. A firewall that looks into the payload passes what it knows: a
// proof that is cut off says nothing of the service if that came through, and
// a proof that passes is no use if the service does not. A proxy that cuts off
// what it does not know answers what it does.
func withConversation(c question, v result.Verdict) result.Verdict {
	t := c.Initiator.Conversation
	if t == nil || t.Outcome == result.ConversationNotHeld {
		return v
	}
	if c.isBusy() {
		return ofHeld(t, v)
	}
	if c.isReal() {
		return v
	}
	switch v {
	case result.Open:
		switch {
		case isStrangers(c):
			return result.Intercepted
		case t.Outcome == result.ConversationReset, t.Outcome == result.ConversationClosed:
			return result.Reset
		case t.Outcome == result.ConversationSilent:
			return result.Stalled
		}
	case result.Reset, result.Stalled:
		// Not where other bytes came back: a device that answers in the listener's
		// place once may do so again, from a cache for one.
		switch {
		case c.Initiator.Answer == result.AnswerKeyed: // the payload did not come through
		case isConfirmed(c) && t.TCP.IsThrottled():
			return result.Stalled // what is short comes through, and the payload never had its try
		case isConfirmed(c):
			return result.Open
		case isStrangers(c) && c.Acceptor != nil && c.Acceptor.Port == result.PortBound:
			return result.Intercepted
		}
	}
	return v
}

// isBusy reports whether other software holds the port where listen runs.
func (c question) isBusy() bool {
	return !c.Mode.IsReal() && c.Acceptor != nil && c.Acceptor.Port == result.PortBusy
}

// ofHeld takes into account what became of a conversation with the software
// that holds the port. It may hang up on a proof that it does not understand,
// or wait for the rest of it.
func ofHeld(t *result.Conversation, v result.Verdict) result.Verdict {
	switch v {
	case result.Reset, result.Stalled, result.Occupied:
		switch {
		case t.Impostor != "":
			return result.Intercepted
		case t.Outcome == result.ConversationCompleted && !t.IsSilence(), t.Outcome == result.ConversationRefused:
			return result.Occupied
		}
	}
	return v
}

// noNeighbourMS is how long a machine asks for a neighbour's address before it
// gives up (three times a second apart, RFC 4861 section 10 and Linux's ARP),
// less a margin. Its own firewall rejects at once.
const noNeighbourMS = 500

// icmp judges an ICMP error by who sent it.
func icmp(i *result.Initiator) result.Verdict {
	e := i.ICMP
	if e == nil || !e.Local || e.From == i.Target.Addr() { // dialing itself, this machine answers as the target
		return result.Rejected
	}
	hostUnreachable := !e.V6 && e.Type == 3 && e.Code == 1 || e.V6 && e.Type == 1 && e.Code == 3
	if hostUnreachable && askedMS(i) >= noNeighbourMS {
		return result.Unreachable // nobody has that address on our own network
	}
	return result.BlockedLocally
}

// askedMS is how long it took until an ICMP error came, at the longest. Over UDP
// connecting sends nothing, and the error comes in place of an answer.
func askedMS(i *result.Initiator) float64 {
	ms := i.ConnectMS
	if i.Answer != result.AnswerICMP {
		return ms
	}
	for _, c := range i.Connections {
		if c.Ended == result.EndedICMP {
			ms = max(ms, c.ElapsedMS)
		}
	}
	return ms
}

// silence judges an attempt that got no answer of any kind.
func silence(a *result.Acceptor) result.Verdict {
	if a == nil {
		return result.Silent
	}
	switch a.Saw {
	case result.SawHalfOpen, result.SawAccepted:
		return result.ReplyLost
	case result.SawNothing:
		return result.Filtered
	}
	return result.Silent
}

// answer judges what came back on an open connection.
func answer(c question) result.Verdict {
	i := c.Initiator
	switch i.Answer {
	case result.AnswerKeyed:
		return keyed(c)
	case result.AnswerForeign, result.AnswerEchoed:
		switch {
		case c.Acceptor == nil && isImpostor(c):
			return result.Intercepted
		case c.Acceptor == nil:
			return result.Answered
		case c.Acceptor.Port == result.PortBusy:
			return result.Occupied
		case c.Acceptor.Port == result.PortBound:
			// Our listener holds the port and never says such a thing.
			return result.Intercepted
		}
		return result.Answered
	case result.AnswerOwn:
		return result.Redirected
	case result.AnswerWrongKey, result.AnswerForbidden, result.AnswerVersion:
		return result.Answered
	case result.AnswerClosed, result.AnswerReset:
		return result.Reset
	case result.AnswerICMP:
		return icmp(i)
	case result.AnswerSilent:
		if isAcceptedSilently(c) {
			return result.Answered
		}
		if c.Transport == plan.UDP { // there was no connection to begin with
			return silence(c.Acceptor)
		}
		return result.Stalled
	}
	return result.Untested
}

// isAcceptedSilently reports whether real software was to answer that says
// nothing until it is spoken to, and something accepted the connection and said
// nothing: that software, or whatever accepts in its place.
func isAcceptedSilently(c question) bool {
	return c.Mode.IsReal() && c.Acceptor == nil && c.Initiator.Conversation != nil && c.Initiator.Conversation.IsSilence()
}

// isImpostor reports whether a host that ought to be real shows that something
// on the way answers in its name: TLS that was ended there, or words that only a
// device on the way says.
func isImpostor(c question) bool {
	t := c.Initiator.Conversation
	if t == nil || !c.Mode.IsReal() {
		return false
	}
	return t.Refusal != nil && t.Refusal.By == result.RefuserBetween ||
		len(t.Changed) > 0 && t.Speaks.Language().Within != ""
}

// leads reports whether a proof shows that the path leads to another port, or to
// another listener than the expected one.
func leads(origin result.Endpoint, instance string, c question) bool {
	return int(origin.Port()) != c.Port || c.Instance != "" && instance != c.Instance
}

// keyed judges a path whose proof stands.
func keyed(c question) result.Verdict {
	i := c.Initiator
	if r := i.Repeat(); leads(i.Origin, i.Instance, c) || r != nil && r.Instance != "" && leads(r.Origin, r.Instance, c) {
		return result.Redirected
	}
	var corrupted, hole, reset, unfinished bool
	for _, t := range []*result.Transfer{i.Sent, i.Received} {
		if t == nil {
			unfinished = true
			continue
		}
		hole = hole || t.Hole != nil
		switch t.Outcome {
		case result.TransferIntact:
			unfinished = unfinished || t.Want == 0 // nothing moved proves nothing
		case result.TransferCorrupted:
			corrupted = true
		case result.TransferReset, result.TransferClosed:
			reset = true
		default:
			unfinished = true
		}
	}
	switch {
	case corrupted:
		return result.Corrupted
	case hole:
		return result.MTUHole
	case reset:
		return result.Reset
	case unfinished:
		return result.Stalled
	case isLimit(idleLimits(i.Idle), i.Idle, c.Loss):
		return result.IdleDropped
	case isLimit(ageLimits(i.Idle), i.Idle, c.Loss):
		return result.Unsteady
	}
	return result.Open
}
