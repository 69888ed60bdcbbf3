package result

import (
	"slices"

	"dialtone/internal/plan"
)

// A Conversation is what came of a service's own conversation on a path, as
// the asking end saw it.
type Conversation struct {
	Speaks  plan.Protocol       `json:"speaks"` // the service's, as in the plan
	Outcome ConversationOutcome `json:"outcome"`
	// Keyed: the far end's answer to our token came back inside the conversation,
	// made with the key: fresh, and by our own listener.
	Keyed    bool   `json:"keyed"`
	Software string `json:"software,omitempty"` // what the far end says it is
	Facts    []Fact `json:"facts,omitempty"`    // what else it says of itself
	// Instances are those that a real SQL Browser tells of; our listener's is none.
	Instances []Instance `json:"instances,omitempty"`
	Changed   []string   `json:"changed,omitempty"` // what is not as the far end sent it or as it ought to be, a sentence each
	// Adapted is what a firewall's FTP helper rewrote as it has to, a sentence
	// each: the addresses of data connections.
	Adapted []string `json:"adapted,omitempty"`
	// Impostor says what shows that not the software which has the port on the far
	// machine answered; "": nothing does.
	Impostor string `json:"impostor,omitempty"`
	Error    string `json:"error,omitempty"` // the error's words
	// Refusal is the far end's "no"; not nil if Outcome is ConversationRefused, and
	// only then.
	Refusal *Refusal `json:"refusal,omitempty"`
	Stages  []Stage  `json:"stages,omitempty"` // what it came to, in order, each once
	ElapMS  float64  `json:"elapsed_ms"`
	// GreetingMS is how long after the connection opened the greeting began, in
	// milliseconds, where the server speaks first; 0: it does not, or did not.
	GreetingMS float64 `json:"greeting_ms,omitempty"`
	// TCP is what the system knew of its connection at the end; nil: nothing.
	TCP      *TCP `json:"tcp,omitempty"`
	Attempts int  `json:"attempts,omitempty"` // how often it was tried; absent: once
	// Connection is the one it was held on, on the way to the path's own list,
	// where it ends up; nil: it is there.
	Connection *Connection `json:"connection,omitempty"`
	// Looks are the connections of second looks, likewise on their way there.
	Looks []Connection `json:"looks,omitempty"`
	// Failures is how many of them did not come through unchanged.
	Failures int `json:"failures,omitempty"`
	// Controls are plain proofs on the same port, one right after each conversation
	// that fared otherwise than the proof had.
	Controls []Control `json:"controls,omitempty"`
}

// Reach takes down that a stage was reached.
func (c *Conversation) Reach(s Stage) {
	if !c.Came(s) {
		c.Stages = append(c.Stages, s)
	}
}

// Came reports whether it came to a stage.
func (c *Conversation) Came(s Stage) bool { return slices.Contains(c.Stages, s) }

// A Control is a plain proof that shows whether what became of a conversation
// was for what it said: time and number hold for both.
type Control struct {
	At      Time           `json:"at"`
	Connect ConnectOutcome `json:"connect"`
	Answer  AnswerOutcome  `json:"answer,omitempty"`
}

// enoughFailures is how often a conversation has to fail beside proofs that pass
// before its content is the cause.
const enoughFailures = 2

// IsAboutContent reports whether a conversation failed for what it said: more
// than once, and each time the plain proof passed right after it.
func (c *Conversation) IsAboutContent() bool {
	return c.Failures >= enoughFailures && len(c.Controls) >= enoughFailures && !slices.ContainsFunc(c.Controls, isNotKeyed)
}

func isNotKeyed(c Control) bool { return c.Answer != AnswerKeyed }

// HasFailed reports whether a conversation with our own listener did not come
// through unchanged, over TCP or not. Over TCP each carries a token, and a listener
// that answers at all answers that as well, unless it goes over a connection beside
// it (plan.Language).
func (c *Conversation) HasFailed(tcp bool) bool {
	switch c.Outcome {
	case ConversationNotHeld:
		return false // there was no connection to fail
	case ConversationCompleted:
		return len(c.Changed) > 0 || !c.Keyed && tcp && !c.Speaks.Language().DataBeside
	}
	return true
}

// endings are how a connection ended by how its conversation did.
var endings = map[ConversationOutcome]Ended{
	ConversationCompleted: EndedWell, ConversationForeign: EndedForeign, ConversationRefused: EndedForeign, ConversationUnread: EndedForeign, ConversationSilent: EndedSilent,
	ConversationClosed: EndedClosed, ConversationReset: EndedReset,
}

// Ended is how the connection of a conversation ended that began.
func (c *Conversation) Ended() Ended { return endings[c.Outcome] }

// IsSilence reports whether all that the far end showed is that it says nothing,
// as a real Odyssey server does: whatever accepts a connection can do that.
func (c *Conversation) IsSilence() bool {
	return c.Speaks.Language().Mute && c.Outcome == ConversationCompleted && !c.Keyed && len(c.Changed) == 0
}

// FactCertificate is the name under which a conversation under TLS gives the
// SHA-256 of the far end's certificate (DER), in hex.
const FactCertificate = "certificate"

// FactTLSVersion and FactCipher are the names under which it says what was
// agreed, as crypto/tls writes it.
const (
	FactTLSVersion = "TLS version"
	FactCipher     = "cipher"
)

// FactFirstHello is the name under which it says that the usual hello was refused
// and an older one was not.
const FactFirstHello = "first TLS hello"

// FactChain is the name under which it says what a certificate's chain lacks;
// absent: nothing.
const FactChain = "certificate chain"

// FactTrusted is the name under which it says whether this system trusts that
// certificate for the host: "yes", or "no: " and why.
const FactTrusted = "trusted here"

// FactLeadsTo is the name under which a conversation over HTTP gives the other
// host to which the answer leads.
const FactLeadsTo = "leads to"

// Fact returns what the far end says of itself under a name, "" if nothing.
func (c *Conversation) Fact(name string) string {
	for _, f := range c.Facts {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// A Fact is something that a service says of itself, such as its TLS version.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ConversationOutcome is how a Conversation ended.
type ConversationOutcome string

const (
	// ConversationCompleted: the far end spoke the protocol to the point where a
	// stranger gets no further. A login that is refused in the protocol's own
	// words is complete.
	ConversationCompleted ConversationOutcome = "completed"
	// ConversationRefused: the far end said no in its own language, or in TLS's
	// (see Refusal).
	ConversationRefused ConversationOutcome = "refused"
	ConversationForeign ConversationOutcome = "foreign" // somebody else's answer: other bytes came back
	// ConversationUnread: what came may well be the protocol's, and this program
	// cannot read it. That is this program's limit, and accuses nobody.
	ConversationUnread  ConversationOutcome = "not-understood"
	ConversationSilent  ConversationOutcome = "silent"   // nothing came back, or the rest never came
	ConversationClosed  ConversationOutcome = "closed"   // FIN before it was complete
	ConversationReset   ConversationOutcome = "reset"    // RST before it was complete
	ConversationNotHeld ConversationOutcome = "not-held" // there was no connection to hold it on
)
