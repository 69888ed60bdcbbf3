package verdict

import (
	"fmt"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// An ordinary connection to live software is judged by what the accepting kernel knows
// of it: whether that very connection was accepted by the program that has the port,
// and how many bytes were counted. Nothing less makes it open.

// ordinary judges an ordinary connection that opened.
func ordinary(c question) result.Verdict {
	i, a, t := c.Initiator, c.Acceptor, c.Initiator.Conversation
	o := i.Ordinary
	switch {
	case t != nil && t.Impostor != "":
		return result.Intercepted
	case a == nil:
		return answer(c)
	}
	switch a.Saw {
	case result.SawNothing:
		return result.Intercepted // somebody else opened it
	case result.SawHalfOpen, result.SawWaiting:
		if i.Answer == result.AnswerForeign {
			return result.Intercepted // that software cannot have said anything yet
		}
		return answer(c)
	case result.SawAccepted:
		// That software which was sent nothing closes again is its own affair.
		isOwn := i.Answer == result.AnswerClosed && !a.Lasts && (o.Sent == 0 || o.Line)
		if (i.Answer == result.AnswerReset || i.Answer == result.AnswerClosed) && !isOwn {
			return result.Reset
		}
		return accepted(o, a.Counted, t, c)
	}
	return withConversation(c, answer(c))
}

// accepted judges a connection that live software accepted.
func accepted(o *result.Ordinary, n *result.Counted, t *result.Conversation, c question) result.Verdict {
	switch {
	case o.Sent == 0:
		return result.Arrived
	case n == nil: // what was sent was not counted
		return withConversation(c, answer(c))
	case n.In < o.Sent:
		return result.Stalled
	case n.In > o.Sent, n.Out < o.Received:
		return result.Intercepted // something adds to what is said
	case o.Line:
		return result.Open
	case o.Received > 0 && t != nil && t.Outcome == result.ConversationCompleted && !t.IsSilence():
		return result.Open
	}
	return withConversation(c, answer(c))
}

// isSeen reports whether a verdict rests on what the accepting kernel saw.
func isSeen(c question) bool {
	if c.Initiator.Ordinary == nil || c.Initiator.Connect != result.ConnectOpen || c.Acceptor == nil || c.Acceptor.Saw != result.SawAccepted {
		return false
	}
	v := ordinary(c)
	return v == result.Open || v == result.Arrived
}

// isDisproved reports whether the accepting kernel's word is against a conversation
// with the software there, however it went.
func isDisproved(c question) bool {
	if c.Initiator.Ordinary == nil || c.Initiator.Connect != result.ConnectOpen || c.Acceptor == nil {
		return false
	}
	switch ordinary(c) {
	case result.Intercepted, result.Stalled, result.Reset:
		return true
	}
	return false
}

// unlike reports whether some ordinary connections did what they were for, and others
// did not.
func unlike(i *result.Initiator) bool {
	if i == nil || i.Ordinary == nil {
		return false
	}
	passed, failed := result.Compare(i.Connections)
	return len(passed) > 0 && len(failed) > 0
}

// arrived explains a connection that live software accepted, and over which nothing
// was sent.
func (e explainer) arrived() *result.Finding {
	did := "and accepted it"
	if e.a.Counted == nil {
		did = "and has it, as the system there shows"
	}
	whose := "Your"
	if e.p.Direction == plan.Reverse {
		whose = "The far end's"
	}
	return e.say(result.CodeReached, fmt.Sprintf("%s connection (%s) arrived at %s itself, which holds %s of %s %s. Nothing was sent over it, so whether data passes is not known",
		whose, e.arrivedFrom(), liveName(e.a.Holder), e.port(), e.at(), did),
		fmt.Sprintf("Nothing to ask for yet. To know whether documents pass, send one; or run dial once more with --enter, which sends one empty line; or stop %s for five minutes and let listen hold %s.", liveName(e.a.Holder), e.port()))
}

// liveName is live software in few words.
func liveName(h *result.Holder) string {
	if h == nil {
		return "the program that has the port"
	}
	return holderWords(h)
}

// arrivedFrom is the connection's source as the accepting end saw it.
func (e explainer) arrivedFrom() string {
	if e.a != nil && e.a.Source.IsValid() {
		return "from " + e.a.Source.String()
	}
	return "from " + e.source()
}

// seenWords are what an open path to live software rests on, "" if it is none.
func seenWords(p result.Path) string {
	i, a := p.Initiator, p.Acceptor
	if p.Proof != result.ProofSeen || p.Verdict != result.Open {
		return ""
	}
	answer := ", and its answer came here"
	if i.Ordinary.Received == 0 {
		answer = ""
	}
	return fmt.Sprintf("%s reached %s there, which accepted it: %d bytes sent, %d counted%s", a.Source, liveName(a.Holder), i.Ordinary.Sent, a.Counted.In, answer)
}

// heldUnseen explains an ordinary connection to live software that did not come there
// as it was made; nil: it is not such a one.
func (e explainer) heldUnseen() *result.Finding {
	if e.i == nil || e.i.Ordinary == nil || e.a == nil {
		return nil
	}
	o, n := e.i.Ordinary, e.a.Counted
	holder := liveName(e.a.Holder)
	switch {
	case e.p.Verdict == result.Intercepted && e.i.Conversation != nil && e.i.Conversation.Impostor != "":
		return nil
	case e.p.Verdict == result.Intercepted && e.a.Saw == result.SawNothing:
		return e.say(result.CodeIntercepted, fmt.Sprintf("The connection opened here, and the machine at %s, where %s holds %s, never had it: something on the way accepted it", e.at(), holder, e.port()),
			e.request("find the proxy, SYN proxy, security gateway or redirect that accepts in its place, and exempt from it", ""))
	case e.p.Verdict == result.Intercepted && n == nil:
		return e.say(result.CodeIntercepted, fmt.Sprintf("An answer came, and at %s the connection never got as far as %s, which holds %s: something on the way answers in its place", e.at(), holder, e.port()),
			e.request("find the proxy, security gateway or redirect that answers in its place, and exempt from it", ""))
	case e.p.Verdict == result.Intercepted:
		return e.say(result.CodeIntercepted, fmt.Sprintf("%s accepted the connection, and what it got is not what was sent, or what came back is not its answer: %d bytes sent here and %d counted there; %d sent there and %d arrived here", capitalized(holder), o.Sent, n.In, n.Out, o.Received),
			e.request("find the proxy or security gateway that adds to what is said, or answers in its place, and exempt from it", ""))
	case e.p.Verdict == result.Stalled && e.a.Saw == result.SawWaiting:
		return e.say(result.CodeNotAccepted, fmt.Sprintf("The connection came to the machine at %s, and %s, which holds %s, did not accept it in that time: the kernel there still has it", e.at(), holder, e.port()),
			fmt.Sprintf("Nothing to ask the firewall team for. Look whether %s hangs or is overloaded, and run the test again.", holder))
	case e.p.Verdict == result.Stalled && n != nil && n.In < o.Sent:
		return e.say(result.CodeStalledUncounted, fmt.Sprintf("%s accepted the connection, and of the %d bytes sent to it %d were counted there", capitalized(holder), o.Sent, n.In),
			e.request("find what holds back the data of", "The handshake passes and what is sent after it does not: an application-aware firewall, a proxy or traffic inspection"))
	}
	return nil
}

// countedWords says how much of what was sent came there, "" if that is not known.
func countedWords(o *result.Ordinary, n *result.Counted) string {
	if n == nil || o.Sent == 0 {
		return ""
	}
	return fmt.Sprintf("and of the %d bytes sent to it %d were counted there; it answered %d, and %d arrived here", o.Sent, n.In, n.Out, o.Received)
}
