package verdict

import (
	"slices"
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// spoken returns a conversation that our own listener held and nothing changed.
func spoken(speaks plan.Protocol) *result.Conversation {
	return &result.Conversation{Speaks: speaks, Outcome: result.ConversationCompleted, Keyed: true}
}

func ended(o result.ConversationOutcome) *result.Conversation {
	return &result.Conversation{Speaks: plan.TDS, Outcome: o, Error: "as it ended"}
}

func changed(speaks plan.Protocol, keyed bool) *result.Conversation {
	t := spoken(speaks)
	t.Keyed, t.Changed = keyed, []string{"the certificate is another"}
	return t
}

// conversedWith returns the half of a listener that holds the port and saw the
// conversation's token.
func conversedWith() *result.Acceptor {
	a := acceptor(result.PortBound, result.SawAccepted)
	a.Conversed = true
	return a
}

func TestProofAndConversationAreToldApart(t *testing.T) {
	for _, c := range []struct {
		name  string
		i     result.Initiator
		talk  *result.Conversation
		a     *result.Acceptor
		want  result.Verdict
		proof result.Proof
	}{
		{"both pass", proved(), spoken(plan.TDS), conversedWith(), result.Open, result.ProofKeyed},
		{"no conversation is known for the row", proved(), nil, conversedWith(), result.Open, result.ProofKeyed},
		{"the conversation could not be held", proved(), ended(result.ConversationNotHeld), conversedWith(), result.Open, result.ProofKeyed},
		{"the proof passes, the service is reset", proved(), ended(result.ConversationReset), conversedWith(), result.Reset, result.ProofKeyed},
		{"the proof passes, the service is closed", proved(), ended(result.ConversationClosed), conversedWith(), result.Reset, result.ProofKeyed},
		{"the proof passes, the service is held back", proved(), ended(result.ConversationSilent), conversedWith(), result.Stalled, result.ProofKeyed},
		{"the proof passes, the service is answered in another language", proved(), ended(result.ConversationForeign), conversedWith(), result.Intercepted, result.ProofKeyed},
		{"the proof passes, the service is changed", proved(), changed(plan.HTTPS, true), conversedWith(), result.Intercepted, result.ProofKeyed},
		{"the proof passes, the service is answered by somebody else", proved(), changed(plan.HTTPS, false), conversedWith(), result.Intercepted, result.ProofKeyed},
		{"the proof passes, and whoever speaks the service does not have the key", proved(), &result.Conversation{Speaks: plan.RDP, Outcome: result.ConversationCompleted}, conversedWith(), result.Intercepted, result.ProofKeyed},

		{"the proof is reset, the service passes", connected(result.AnswerReset), spoken(plan.TDS), conversedWith(), result.Open, result.ProofService},
		{"the proof is closed, the service passes", connected(result.AnswerClosed), spoken(plan.TDS), conversedWith(), result.Open, result.ProofService},
		{"the proof is held back, the service passes", connected(result.AnswerSilent), spoken(plan.TDS), conversedWith(), result.Open, result.ProofService},
		{"a proxy answers the proof and relays the service", connected(result.AnswerForeign), spoken(plan.HTTP), conversedWith(), result.Intercepted, result.ProofPlain},
		{"a device sends the proof back and relays the service", connected(result.AnswerEchoed), spoken(plan.HTTP), conversedWith(), result.Intercepted, result.ProofPlain},
		{"another key answers the proof", connected(result.AnswerWrongKey), spoken(plan.HTTP), conversedWith(), result.Answered, result.ProofPlain},
		{"both are reset", connected(result.AnswerReset), ended(result.ConversationReset), conversedWith(), result.Reset, result.ProofNone},
		{"TLS is ended on the way by what resets the proof", connected(result.AnswerReset), changed(plan.HTTPS, true), conversedWith(), result.Intercepted, result.ProofNone},
		{"TLS is ended on the way by what holds back the proof", connected(result.AnswerSilent), changed(plan.HTTPS, true), conversedWith(), result.Intercepted, result.ProofNone},
		{"the proof is reset, and somebody else speaks the service", connected(result.AnswerReset), ended(result.ConversationForeign), conversedWith(), result.Intercepted, result.ProofNone},
		{"the proof is reset, the service changed, and nobody can be asked", connected(result.AnswerReset), changed(plan.HTTPS, true), nil, result.Reset, result.ProofNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.i.Conversation = c.talk
			got := judge(question{Transport: plan.TCP, Port: 1433, Initiator: &c.i, Acceptor: c.a, Instance: here})
			want := ruling{Verdict: c.want, Proof: c.proof, OK: c.want == result.Open}
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			p := result.Path{Transport: plan.TCP, Port: 1433, Service: "SQL Server (TDS)", Verdict: got.Verdict, Proof: got.Proof, OK: got.OK, Initiator: &c.i, Acceptor: c.a, Source: source, Target: target}
			if f := explain(p, Context{Mode: result.ModePaths}); got.OK == (f != nil) {
				t.Errorf("finding %+v", f)
			} else if f != nil && c.talk != nil && len(c.talk.Changed) > 0 && c.a != nil && !strings.Contains(f.Text, c.talk.Changed[0]) {
				t.Errorf("%q does not say what changed", f.Text)
			}
		})
	}
}

// A proof that was cut off is replaced by the service's own conversation only
// if nothing is missing of the evidence: any device on the way can answer.
func TestOpenByServiceNeedsAllOfItsEvidence(t *testing.T) {
	whole := func() question {
		i := connected(result.AnswerReset)
		i.Conversation = spoken(plan.TDS)
		return question{Transport: plan.TCP, Port: 1433, Initiator: &i, Acceptor: conversedWith(), Instance: here}
	}
	if r := judge(whole()); r != (ruling{result.Open, result.ProofService, true}) {
		t.Fatalf("%+v", r)
	}
	for name, spoil := range map[string]func(*question){
		"it was not completed":                  func(c *question) { c.Initiator.Conversation.Outcome = result.ConversationClosed },
		"the answer is not the listener's":      func(c *question) { c.Initiator.Conversation.Keyed = false },
		"something changed":                     func(c *question) { c.Initiator.Conversation.Changed = []string{"a byte"} },
		"nobody could be asked":                 func(c *question) { c.Acceptor = nil },
		"the ledger knows nothing of the token": func(c *question) { c.Acceptor.Conversed = false },
		"another listener saw it":               func(c *question) { c.Acceptor.Instance = other },
		"nobody knows which listener ought to":  func(c *question) { c.Instance = "" },
		"other software holds the port there":   func(c *question) { c.Acceptor.Port = result.PortBusy },
		"the connection never opened":           func(c *question) { c.Initiator.Connect = result.ConnectTimeout },
		"nothing long would come through":       func(c *question) { c.Initiator.Conversation.TCP = &result.TCP{Unscaled: true, Window: 64} },
		"the proof passed and its payload did not": func(c *question) {
			*c.Initiator = proved()
			c.Initiator.Conversation = spoken(plan.TDS)
			c.Initiator.Sent = moved(result.TransferCorrupted)
		},
	} {
		c := whole()
		spoil(&c)
		if r := judge(c); r.Verdict == result.Open {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// A service that is short comes through where a device takes away the window's
// scale, and where the proof is cut off nobody tried more.
func TestShortServiceDoesNotProveThatDataPasses(t *testing.T) {
	i := connected(result.AnswerSilent)
	i.Conversation = spoken(plan.TDS)
	i.Conversation.TCP = &result.TCP{Unscaled: true, Window: 64}
	i.Connections = connections("sss")
	p := result.Path{Transport: plan.TCP, Port: 1433, Service: "SQL Server (TDS)", Verdict: result.Stalled, Proof: result.ProofService, Initiator: &i, Acceptor: conversedWith(), Source: source, Target: target}
	f := explain(p, Context{Mode: result.ModePaths})
	if f == nil || f.Code != "window-scale" || !strings.Contains(f.Text, "own conversation came through") || !strings.Contains(f.Advice, "64 bytes") {
		t.Errorf("%+v", f)
	}
	// Nor is loss the cause of what never passed while the service did.
	i.Connections = connections("+sss")
	p.Verdict, i.Conversation.TCP = result.Open, nil
	for _, n := range notesOf(p, false) {
		if n.Code == result.NoteLossy {
			t.Errorf("%+v", n)
		}
	}
}

// What holds a port has to say something: a firewall can accept and keep silent.
func TestHeldPortIsNotOKForItsSilence(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer result.AnswerOutcome
		talk   *result.Conversation
		want   ruling
	}{
		{"it spoke, and hung up on the proof", result.AnswerClosed, &result.Conversation{Speaks: plan.LDAP, Outcome: result.ConversationCompleted, Software: "OpenLDAP"}, ruling{result.Occupied, result.ProofService, true}},
		{"it spoke, and waits for the proof's rest", result.AnswerSilent, &result.Conversation{Speaks: plan.LDAP, Outcome: result.ConversationCompleted}, ruling{result.Occupied, result.ProofService, true}},
		{"it is silent, as Odyssey is", result.AnswerSilent, &result.Conversation{Speaks: plan.Odyssey, Outcome: result.ConversationCompleted}, ruling{result.Stalled, result.ProofNone, false}},
		{"it is not what holds the port", result.AnswerForeign, &result.Conversation{Speaks: plan.HTTP, Outcome: result.ConversationCompleted, Impostor: "another certificate"}, ruling{result.Intercepted, result.ProofPlain, false}},
		{"it speaks another language", result.AnswerForeign, &result.Conversation{Speaks: plan.HTTP, Outcome: result.ConversationForeign}, ruling{result.Occupied, result.ProofPlain, false}},
	} {
		i := connected(c.answer)
		i.Conversation = c.talk
		if got := judge(question{Transport: plan.TCP, Port: 1433, Initiator: &i, Acceptor: acceptor(result.PortBusy, result.SawUnknown), Instance: here}); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestOpenByServiceSaysWhereItCameFrom(t *testing.T) {
	for seen, want := range map[string]string{"10.9.0.1:4000": ", which saw it come from 10.9.0.1:", "10.1.0.2:4000": "confirmed by the listener:", "": "confirmed by the listener:"} {
		i := connected(result.AnswerReset)
		i.Conversation = spoken(plan.HTTP)
		i.Conversation.Facts = []result.Fact{{Name: "seen as", Value: seen}}
		p := result.Path{Transport: plan.TCP, Initiator: &i, Acceptor: conversedWith(), Source: source, Verdict: result.Open, Proof: result.ProofService, OK: true}
		if notes := notesOf(p, false, source.Addr()); !slices.ContainsFunc(notes, func(n result.Note) bool { return strings.Contains(n.Text, want) }) {
			t.Errorf("seen as %q: %+v", seen, notes)
		}
	}
}

func TestFTPWithoutDataConnections(t *testing.T) {
	talk := spoken(plan.FTP)
	talk.Keyed = false // the record came by no data connection
	talk.Facts = []result.Fact{{Name: "passive", Value: "the data connection was refused"}}
	judge := func(i result.Initiator) (result.Path, ruling) {
		i.Conversation = talk
		p := result.Path{Transport: plan.TCP, Initiator: &i, Acceptor: conversedWith()}
		r := judge(question{Transport: plan.TCP, Port: 1433, Initiator: &i, Acceptor: p.Acceptor, Instance: here})
		p.Verdict, p.Proof, p.OK = r.Verdict, r.Proof, r.OK
		return p, r
	}
	p, r := judge(proved())
	if r != (ruling{result.Open, result.ProofKeyed, true}) {
		t.Errorf("the proof passed: %+v", r)
	}
	notes := notesOf(p, false, source.Addr())
	if !slices.ContainsFunc(notes, func(n result.Note) bool {
		return n.Code == result.NoteApplicationFirewall && strings.Contains(n.Text, "passive mode: the data connection was refused; active mode: not tried")
	}) {
		t.Errorf("no note says that data does not pass: %+v", notes)
	}
	if _, r = judge(connected(result.AnswerReset)); r.Verdict != result.Reset {
		t.Errorf("the proof was reset: %+v", r)
	}
}

func TestWhatAnFTPHelperHasToRewriteIsNoFault(t *testing.T) {
	i := proved()
	i.Conversation = spoken(plan.FTP)
	i.Conversation.Adapted = []string{"PORT was sent as one address and arrived as another"}
	p := result.Path{Transport: plan.TCP, Initiator: &i, Acceptor: conversedWith()}
	r := judge(question{Transport: plan.TCP, Port: 1433, Initiator: &i, Acceptor: p.Acceptor, Instance: here})
	if r != (ruling{result.Open, result.ProofKeyed, true}) {
		t.Errorf("%+v", r)
	}
	p.Verdict, p.Proof, p.OK = r.Verdict, r.Proof, r.OK
	notes := notesOf(p, false, source.Addr())
	if !slices.ContainsFunc(notes, func(n result.Note) bool {
		return n.Code == result.NoteApplicationFirewall && strings.Contains(n.Text, i.Conversation.Adapted[0])
	}) {
		t.Errorf("no note says what was rewritten: %+v", notes)
	}
	i.Conversation.Changed = []string{"the file arrived changed"}
	if r := judge(question{Transport: plan.TCP, Port: 1433, Initiator: &i, Acceptor: p.Acceptor, Instance: here}); r.Verdict != result.Intercepted {
		t.Errorf("data that arrived changed: %+v", r)
	}
}
