package verdict

import (
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/result"
)

// A refusalRow is what a far end's "no" means and what to do about it.
type refusalRow struct {
	// who has the host as %s: who answered, and how; "": the service or TLS said no.
	who   string
	means string // after what it said; a sentence without its full stop
	// advice has the host as %[1]s and the service as %[2]s; "": what answered is to
	// be taken out of the way.
	advice string
}

// refusalRows has one for each result.Reason.
var refusalRows = map[result.Reason]refusalRow{
	result.ReasonUnavailable: {means: "It is there and does not serve now: it is too busy, paused or shutting down, or has too many connections from here",
		advice: "Have whoever runs %[1]s look at %[2]s at that time, by what it said. No rule on the way helps."},
	result.ReasonTurnedAway: {means: "It is there and turns this machine away, or everybody",
		advice: "Ask whoever runs %[1]s to let this machine's address use %[2]s, by what it said; and see that %[1]s is the right host for it. No rule on the way helps."},
	result.ReasonNeedsTLS: {means: "It serves under TLS only",
		advice: "Have %[2]s spoken to %[1]s under TLS, on the port for that or by the switch to it (StartTLS), or have %[1]s allow it without. No rule on the way helps."},
	result.ReasonSecurity: {means: "The two ends do not agree on how to protect the session",
		advice: "Compare what %[1]s allows for %[2]s with what the clients offer, by what it said. No rule on the way helps."},
	result.ReasonNoBackend: {means: "That is what a load balancer, gateway or proxy says that has no working server behind it, or the server itself when it is down: the service is not there",
		advice: "Have whoever runs %[1]s see which machine answers in that name, and whether the server behind it runs. No rule on the way helps, as long as that answer comes from there."},
	result.ReasonStatus: {means: "That is not what the service answers when it is well, as the plan has it",
		advice: "See on %[1]s whether %[2]s runs there and is set up to answer this request; or correct the plan's row."},
	result.ReasonPortal:     {means: "Somebody else answers with a page of their own: a guest network's portal, a web filter, or another site to which the service has moved"},
	result.ReasonProxyLogin: {means: "A proxy answers, and wants to know who asks: the connection does not lead to the service"},
	result.ReasonAnother: {who: "Something answered at %s, and otherwise than the row says", means: "That is another service than the row is for: the row has the wrong host or port, other software took the port there, or the connection is led to another machine",
		advice: "See on %[1]s which software has that port, and correct the row's host or port for %[2]s if it is not meant. If %[2]s runs there on that very port, a port forwarding (NAT) on the way leads elsewhere."},
	// TLS
	result.ReasonCertificate: {means: "It serves only clients that show a certificate of their own, and dial has none to show",
		advice: "Ask whoever runs %[1]s whether %[2]s is meant to want a client's certificate from this machine; if so, the real client needs one. No rule on the way helps."},
	result.ReasonTLSVersion: {means: "Client and server have no version of TLS in common: dial offers TLS 1.0 to 1.3",
		advice: "See on %[1]s which versions of TLS %[2]s allows: a client of today takes 1.2 and 1.3. No rule on the way helps."},
	result.ReasonCipher: {means: "Client and server have no cipher suite in common, or the server misses something else in what dial offers, in its new and its old form",
		advice: "See in the log of %[2]s on %[1]s what it misses, and whether the service's own client gets on with it: that may offer more than dial does. No rule on the way helps."},
	result.ReasonTLSName: {means: "The server has no certificate for the name that was asked for, or asks for one where an address was given, which is sent as no name",
		advice: "Give %[2]s by the name that its clients use, and see on %[1]s whether it has a certificate for that name. No rule on the way helps."},
	result.ReasonTLS: {means: "The server ended TLS in TLS's own words",
		advice: "See in the log of %[2]s on %[1]s why. No rule on the way helps."},
	result.ReasonChain: {who: "TLS at %s was agreed, and the chain of its certificates is incomplete", means: "The name is right and the certificate in time. The server leaves out a certificate between its own and a root that systems trust: some clients fetch it by themselves (Windows, browsers), others refuse the server",
		advice: "Have whoever runs %[1]s set up %[2]s with the whole chain (its own certificate and the intermediate ones). No rule on the way helps."},
	result.ReasonTLSFirst: {who: "Something answered at %s, and otherwise than the row says", means: "Who speaks without TLS there gets silence, an end, or an error page, and the service is not reached",
		advice: "Correct the row: the port of %[2]s on %[1]s that speaks without TLS, or the row for it under TLS; and the same in what is to use it. No rule on the way helps."},
	result.ReasonNoTLS: {who: "Something answered at %s, and otherwise than the row says", means: "Who speaks TLS there is not understood. Nothing of it is encrypted",
		advice: "Have TLS set up for %[2]s on that port of %[1]s, or correct the row: the port that speaks TLS. No rule on the way helps."},
}

// refusal explains a far end that said no. The path carried its answer.
func (e explainer) refusal() *result.Finding {
	t := e.i.Conversation
	r := t.Refusal
	reason := r.Reason
	if reason == "" { // from elsewhere
		reason = result.ReasonTurnedAway
	}
	row := refusalRows[reason]
	who := fmt.Sprintf("%s at %s answered and said no", capitalized(protocolName(t.Speaks)), e.host())
	switch {
	case row.who != "":
		who = fmt.Sprintf(row.who, e.host())
	case r.By == result.RefuserTLS:
		who = fmt.Sprintf("TLS at %s answered and said no", e.host())
	case row.advice == "":
		who = fmt.Sprintf("Something answered in place of the service at %s", e.host())
	}
	beyond := *t // that it answered is said
	beyond.Stages = slices.DeleteFunc(slices.Clone(t.Stages), func(s result.Stage) bool { return s == result.StageGreeted })
	text := fmt.Sprintf("%s: %s. %s", who, strings.TrimSuffix(orElse(r.Reply(), "no reason was given"), "."), sentence(row.means))
	text = with(text, cameWords(&beyond))
	if row.advice == "" {
		return e.say(result.Code(reason), text,
			e.request("take out of the way what answers in place of the service for", "A proxy, a guest portal or a web filter answers now. The software connects directly: it logs in nowhere on the way"))
	}
	return e.say(result.Code(reason), text, fmt.Sprintf(row.advice, e.host(), e.p.Service))
}

// notUnderstood explains an answer that this program cannot read. It accuses
// nobody.
func (e explainer) notUnderstood() *result.Finding {
	t := e.i.Conversation
	return e.say(result.CodeNotUnderstood, with(fmt.Sprintf("Something answered at %s, and this program does not understand it (%s). That may be a limit of this program, so it speaks neither for the service nor against it", e.host(), orElse(t.Error, "no details")), cameWords(t)),
		fmt.Sprintf("Try the service's own client from this machine: whether it gets on with %s decides. The network has nothing to do with it.", e.host()))
}

// cameWords says how far a conversation came that did not come to its end, ""
// if nowhere.
func cameWords(t *result.Conversation) string {
	var said []string
	for _, s := range t.Stages {
		switch s {
		case result.StageBegun:
			said = append(said, begunWords(t))
		case result.StageGreeted:
			said = append(said, greetedWords(t))
		case result.StageTLSBegun:
			said = append(said, "the service answered the first message of TLS, and the handshake was not completed")
		case result.StageTLS:
			said = append(said, tlsWords(t))
		case result.StageAccepted:
			said = append(said, acceptedWords(t))
		}
	}
	if len(said) == 0 {
		return ""
	}
	return "It came so far: " + strings.Join(said, ", ")
}

func begunWords(t *result.Conversation) string {
	if greets(t) {
		return "a greeting began, and was not completed"
	}
	return "an answer began, and was not completed"
}

func greetedWords(t *result.Conversation) string {
	words := "the service answered in its own language"
	if greets(t) {
		words = "the service greeted"
	}
	if t.Software != "" {
		words += fmt.Sprintf(" (%s)", t.Software)
	}
	return words
}

// greets reports whether the server speaks first in a conversation's protocol.
func greets(t *result.Conversation) bool {
	return t != nil && t.Speaks.Language().Greets
}

func tlsWords(t *result.Conversation) string {
	words := orElse(t.Fact("TLS version"), "TLS") + " was agreed"
	switch trusted := t.Fact(result.FactTrusted); {
	case trusted == "yes":
		words += " with a certificate that this machine trusts"
	case strings.HasPrefix(trusted, "no"):
		words += " with a certificate that this machine does not trust"
	}
	return words
}

func acceptedWords(t *result.Conversation) string {
	return orElse(t.Speaks.Language().Accepted, "the first request") + " was accepted"
}

// came reports whether the far end's service showed that it is there before its
// conversation broke off.
func (e explainer) came() bool {
	t := e.i.Conversation
	return t != nil && len(t.Stages) > 0
}

// brokenOff explains a conversation with real software that spoke, and then no
// more. Whatever accepted the connection leads to that software.
func (e explainer) brokenOff(code result.Code, how string) *result.Finding {
	t := e.i.Conversation
	text := fmt.Sprintf("The service at %s spoke, and then nothing more came", e.host())
	does := "holds back the rest of"
	if how != "" {
		text = fmt.Sprintf("The service at %s spoke, and then the connection was %s", e.host(), how)
		does = "ends"
	}
	return e.say(code, with(text, cameWords(t)),
		fmt.Sprintf("See first on %s, in the log of %s, why it went no further at that time: it may be stuck, waiting for something of its own, or unwilling. If it knows nothing of it: %s",
			e.host(), e.p.Service, e.request("find what "+does, "The connection leads to the service, and not all that is said on it passes, or the service does not say it")))
}

// slowGreetingMS is from when on a greeting is told to be slow.
const slowGreetingMS = 3000

// slowGreeting says that a server took its time to greet, "" if it did not.
func slowGreeting(i *result.Initiator) string {
	if i == nil || i.Conversation == nil || i.Conversation.Keyed || i.Conversation.GreetingMS < slowGreetingMS { // our own listener waits for nothing
		return ""
	}
	return fmt.Sprintf("the greeting came after %.1f s: the server looks the caller up first (a name server that does not answer it is the usual cause), or keeps callers waiting on purpose; a program with less patience gives up", i.Conversation.GreetingMS/1000)
}

// noGreeting explains real software that ought to speak first and did not.
func (e explainer) noGreeting() *result.Finding {
	t := e.i.Conversation
	return e.say(result.CodeNoGreeting, fmt.Sprintf("The connection to %s opened, and within %.0f s no greeting came, with which %s begins. It may come later: such servers look the caller up first, and some keep callers waiting on purpose (a mail client waits five minutes, RFC 5321 section 4.5.3.2.1)",
		e.host(), t.ElapMS/1000, protocolName(t.Speaks)),
		fmt.Sprintf("Repeat with a longer --timeout, and see on %s, in the log of %s, whether the connection arrived at that time and what it waits for (a name lookup of %s is the usual cause). If it never arrived: %s",
			e.host(), e.p.Service, e.source(), e.request("find what holds back the data of", "The handshake passes and nothing after it does")))
}
