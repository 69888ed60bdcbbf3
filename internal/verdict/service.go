package verdict

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// isWhole reports whether the keyed proof and its payload passed both ways.
func isWhole(i *result.Initiator) bool {
	for _, t := range []*result.Transfer{i.Sent, i.Received} {
		if t == nil || t.Outcome != result.TransferIntact {
			return false
		}
	}
	return true
}

// serviceStopped explains a path that passes the keyed proof and not what the
// service itself says.
func (e explainer) serviceStopped() *result.Finding {
	t := e.i.Conversation
	text := fmt.Sprintf("The keyed proof and its payload passed, and %s itself did not: %s", protocolName(t.Speaks), endedWords(t))
	if isCutOff(t) && !t.IsAboutContent() {
		return e.say(result.CodeCutOffLater, with(text, controlWords(t)),
			e.request("find what ends some of the connections of", "It has not to do with what is said: a limit on how many connections one address may have, in all or in a time, or on how long, explains it as well as loss, or a listener that paused"))
	}
	if t.Speaks.Language().Bulk && t.Outcome != result.ConversationForeign && len(t.Changed) == 0 {
		for _, f := range t.Facts {
			text += fmt.Sprintf("; %s: %s", f.Name, f.Value)
		}
		return e.say(result.CodeApplicationFirewall, text,
			e.request("let documents of any size pass on", "It passes as much as 256 KiB each way, and not a document as large as a scanned article: a limit on what one connection may carry or on how long it may last, or a device that scans or holds back files (antivirus, data loss prevention, application firewall)"))
	}
	return e.say(result.CodeApplicationFirewall, with(text, changedWords(t)),
		e.request("let through unchanged what is really spoken on", fmt.Sprintf("A device that looks into the payload (application firewall, TLS inspection, proxy) treats %s differently from other data on the same port", protocolName(t.Speaks))))
}

// isCutOff reports whether a conversation came to an end that a limit on number,
// rate or age brings about as well as a device that reads it.
func isCutOff(t *result.Conversation) bool {
	switch t.Outcome {
	case result.ConversationReset, result.ConversationClosed, result.ConversationSilent:
		return true
	}
	return false
}

// controlWords says what plain proofs right after a failed conversation came to.
func controlWords(t *result.Conversation) string {
	passed := 0
	for _, c := range t.Controls {
		if c.Answer == result.AnswerKeyed {
			passed++
		}
	}
	switch n := len(t.Controls); {
	case n == 0:
		return "Whether the plain proof would have passed at that moment is not known, so it is not said that its content is the cause"
	case passed == n && t.Failures < 2:
		return fmt.Sprintf("It failed once of %d times only, so it is not said that its content is the cause", max(1, t.Attempts))
	case passed == 0:
		return fmt.Sprintf("The plain proof on the same port failed as well right after it (%d of %d), so its content is not the cause", n, n)
	default:
		return fmt.Sprintf("Of %d plain proofs on the same port right after it %d failed as well, so its content is not the cause", n, n-passed)
	}
}

// impostor explains TLS with a real host that something on the way ended.
func (e explainer) impostor() *result.Finding {
	t := e.i.Conversation
	return e.say(result.CodeTLSIntercepted, with(fmt.Sprintf("What answered for %s is not that host, or does not prove that it is", e.host()), changedWords(t)),
		e.request("find what answers on, and exempt from TLS inspection,", "Either a device on the way (TLS inspection, proxy, captive portal) presents a certificate of its own, or the name leads to another host, or that host's own certificate is at fault; if the certificate is the institution's on purpose, each machine has to trust its issuer"))
}

// host names the far end of a path that has one of its own.
func (e explainer) host() string { return orElse(e.p.Host, e.at()) }

// serviceNote says what the service's own conversation shows beside the
// verdict, "" if nothing.
func serviceNote(p result.Path) string {
	i := p.Initiator
	if i == nil || i.Conversation == nil {
		return ""
	}
	t := i.Conversation
	name := protocolName(t.Speaks)
	switch {
	case p.Verdict == result.Open && p.Proof == result.ProofService && slices.ContainsFunc(t.Controls, func(c result.Control) bool { return c.Answer == result.AnswerKeyed }):
		return "" // it was the moment, not the content
	case p.Verdict == result.Open && p.Proof == result.ProofService:
		return fmt.Sprintf("the keyed proof got %s, and %s itself came through unchanged, confirmed by the listener%s: a firewall that looks into the payload, or a proxy, passes what it knows", answerWords(i.Answer), name, fromElsewhere(p))
	case (p.Verdict == result.Reset || p.Verdict == result.Stalled) && i.Answer != result.AnswerKeyed && isKeyedWhole(t):
		return fmt.Sprintf("the keyed proof got %s, and %s itself came through unchanged, answered by a holder of the key; that it arrived on this port there could not be confirmed, so the path is not called open", answerWords(i.Answer), name)
	case p.Verdict == result.Intercepted && isKeyedWhole(t):
		return fmt.Sprintf("the keyed proof was answered by something else, and %s itself came through unchanged: a proxy that relays what it knows may answer that from a cache as well", name)
	case p.Verdict == result.Open && i.Ordinary == nil && t.Speaks.Language().DataBeside && t.Outcome == result.ConversationCompleted && !t.Keyed:
		return fmt.Sprintf("the control connection came through and no data connection did (passive mode: %s; active mode: %s): a firewall lets them through only if it reads %s, or has a rule for their ports",
			orElse(t.Fact("passive"), "not tried"), orElse(t.Fact("active"), "not tried"), name)
	case p.Verdict == result.Open && len(t.Adapted) > 0:
		return fmt.Sprintf("%s came through with the addresses of its data connections rewritten: %s", name, strings.Join(t.Adapted, "; "))
	case i.Answer == result.AnswerKeyed && isWhole(i) && p.Verdict != result.Open && p.Verdict != result.Unsteady && p.Proof == result.ProofKeyed &&
		t.Outcome != result.ConversationCompleted && t.Outcome != result.ConversationNotHeld && (!isCutOff(t) || t.IsAboutContent()):
		return fmt.Sprintf("the keyed proof passed, and %s %s", name, endedWords(t))
	}
	return ""
}

// isKeyedWhole reports whether a conversation came to its end with a holder
// of the key, and nothing changed.
func isKeyedWhole(t *result.Conversation) bool {
	return t != nil && t.Outcome == result.ConversationCompleted && t.Keyed && len(t.Changed) == 0
}

// fromElsewhere says where the listener saw a path's conversation come from, ""
// if that is where it left from, or not known.
func fromElsewhere(p result.Path) string {
	seen, err := netip.ParseAddrPort(p.Initiator.Conversation.Fact("seen as"))
	if err != nil || !p.Source.IsValid() || result.IsSameAddr(seen.Addr(), p.Source.Addr()) {
		return ""
	}
	return fmt.Sprintf(", which saw it come from %s", seen.Addr())
}

// answerWords says what came back instead of a proof, for the middle of a
// sentence.
func answerWords(a result.AnswerOutcome) string {
	switch a {
	case result.AnswerReset:
		return "a reset (RST)"
	case result.AnswerClosed:
		return "a closed connection (FIN)"
	case result.AnswerSilent:
		return "no answer"
	}
	return "other bytes"
}

// endedWords says how a conversation ended.
func endedWords(t *result.Conversation) string {
	switch t.Outcome {
	case result.ConversationCompleted:
		if len(t.Changed) > 0 {
			return "was changed on the way"
		}
		return "was completed"
	case result.ConversationRefused:
		return "was refused (" + orElse(t.Refusal.Reply(), "no reason was given") + ")"
	case result.ConversationUnread:
		return "was answered in a way that this program does not understand (" + orElse(t.Error, "no details") + ")"
	case result.ConversationForeign:
		return "was answered in another language (" + orElse(t.Error, "no details") + ")"
	case result.ConversationReset:
		return "was reset (RST)"
	case result.ConversationClosed:
		return "was closed (FIN) before its end"
	case result.ConversationSilent:
		return "got no answer (" + orElse(t.Error, "silence") + ")"
	}
	return "could not be held (" + orElse(t.Error, "no connection") + ")"
}

func changedWords(t *result.Conversation) string {
	if t == nil || len(t.Changed) == 0 {
		return ""
	}
	return "Its own conversation shows: " + strings.Join(t.Changed, "; ")
}

// protocolName is what is spoken under a protocol's name, in a sentence.
func protocolName(p plan.Protocol) string {
	l := p.Language()
	return cmp.Or(l.Spoken, l.Title, string(p))
}
