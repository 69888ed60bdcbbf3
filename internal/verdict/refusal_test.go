package verdict

import (
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// realPath is a path to somebody else's real software on which a conversation
// came to that.
func realPath(t *result.Conversation, answer result.AnswerOutcome) result.Path {
	i := connected(answer)
	i.Conversation = t
	ruling := judge(question{Transport: plan.TCP, Port: 25, Initiator: &i, Mode: result.ModeEgress})
	p := result.Path{Transport: plan.TCP, Port: 25, Service: "E-mail (SMTP)", Host: "mx.lib.example", Verdict: ruling.Verdict, Proof: ruling.Proof, OK: ruling.OK, Initiator: &i, Source: source, Target: target}
	p.Finding = explain(p, Context{Mode: result.ModeEgress})
	p.Notes = notesOf(p, false)
	return p
}

func refusedBy(by result.Refuser, reason result.Reason) *result.Conversation {
	return &result.Conversation{Speaks: plan.SMTP, Outcome: result.ConversationRefused, Error: "refused",
		Refusal: &result.Refusal{By: by, Reason: reason, Code: "421", Words: "4.3.2 too busy"}}
}

// A far end that says no is there: the path is not ok, what it said stands in the
// finding, and nobody on the way is accused but who says himself that he is.
func TestRefusalIsSaidInItsOwnWords(t *testing.T) {
	for _, reason := range result.Reasons {
		by := result.RefuserService
		if reason == result.ReasonProxyLogin {
			by = result.RefuserBetween
		}
		p := realPath(refusedBy(by, reason), result.AnswerForeign)
		row := refusalRows[reason]
		f := p.Finding
		if row.means == "" || f == nil || p.OK || f.Code != result.Code(reason) || !strings.Contains(f.Text, "421 4.3.2 too busy") || !strings.Contains(f.Text, row.means) {
			t.Errorf("%s: ok %v, %+v", reason, p.OK, f)
			continue
		}
		if p.Verdict != map[bool]result.Verdict{true: result.Intercepted, false: result.Answered}[by == result.RefuserBetween] {
			t.Errorf("%s: %s", reason, p.Verdict)
		}
		asksOthers := strings.Contains(f.Advice, "Please")
		if asksOthers == f.IsOwn() || asksOthers != (row.advice == "") {
			t.Errorf("%s: own %v, advice %q", reason, f.IsOwn(), f.Advice)
		}
	}
}

func TestNotUnderstoodAccusesNobody(t *testing.T) {
	p := realPath(&result.Conversation{Speaks: plan.LDAPS, Outcome: result.ConversationUnread, Error: "x509: negative serial number"}, result.AnswerForeign)
	if f := p.Finding; p.OK || p.Verdict != result.Answered || f == nil || f.Code != "not-understood" || !strings.Contains(f.Text, "negative serial") {
		t.Fatalf("%s, ok %v, %+v", p.Verdict, p.OK, f)
	}
	for _, word := range []string{"firewall", "proxy", "portal", "inspection", "Please", "something on the way"} {
		if strings.Contains(p.Finding.Text+p.Finding.Advice, word) {
			t.Errorf("it speaks of %q: %+v", word, p.Finding)
		}
	}
}

// Where our own listener answers, it never says no to this end, nor anything that
// this end cannot read: somebody else did.
func TestRefusalInTheListenersNameIsAStrangers(t *testing.T) {
	for _, talk := range []*result.Conversation{refusedBy(result.RefuserService, result.ReasonTurnedAway), ended(result.ConversationUnread)} {
		i := proved()
		i.Conversation = talk
		if got := judge(question{Transport: plan.TCP, Port: 1433, Initiator: &i, Acceptor: conversedWith(), Instance: here}); got.Verdict != result.Intercepted || got.OK {
			t.Errorf("%s: %+v", talk.Outcome, got)
		}
	}
}

// Whoever sends back what it gets refuses nothing, whatever a conversation made of
// its own words.
func TestEchoIsNoRefusal(t *testing.T) {
	for _, talk := range []*result.Conversation{refusedBy(result.RefuserTLS, result.ReasonSecurity), ended(result.ConversationUnread)} {
		i := connected(result.AnswerEchoed)
		i.Conversation = talk
		p := result.Path{Transport: plan.TCP, Port: 443, Verdict: result.Answered, Initiator: &i, Source: source, Target: target}
		if f := explain(p, Context{Mode: result.ModePaths}); f == nil || f.Code != "answered" || !strings.Contains(f.Text, "our own bytes") {
			t.Errorf("%s: %+v", talk.Outcome, f)
		}
	}
}

// A report from elsewhere may say "refused" and not by whom.
func TestRefusalThatSaysNothingIsStillOne(t *testing.T) {
	for _, refusal := range []*result.Refusal{nil, {}} {
		if p := realPath(&result.Conversation{Outcome: result.ConversationRefused, Refusal: refusal}, result.AnswerForeign); p.OK || p.Finding == nil || p.Finding.Text == "" {
			t.Errorf("%+v: ok %v, %+v", refusal, p.OK, p.Finding)
		}
		i := proved()
		i.Conversation = &result.Conversation{Outcome: result.ConversationRefused, Refusal: refusal}
		p := result.Path{Transport: plan.TCP, Port: 25, Verdict: result.Intercepted, Initiator: &i, Acceptor: conversedWith(), Source: source, Target: target}
		if f := explain(p, Context{Mode: result.ModePaths}); f == nil || !strings.Contains(f.Text, "was refused") {
			t.Errorf("%+v: %+v", refusal, f)
		}
	}
}

// Software that has the port where listen runs, and says no, is what it is, and
// not ok.
func TestHeldPortThatRefuses(t *testing.T) {
	for _, answer := range []result.AnswerOutcome{result.AnswerForeign, result.AnswerReset, result.AnswerSilent} {
		i := connected(answer)
		i.Conversation = refusedBy(result.RefuserService, result.ReasonUnavailable)
		a := acceptor(result.PortBusy, result.SawUnknown)
		got := judge(question{Transport: plan.TCP, Port: 25, Initiator: &i, Acceptor: a})
		p := result.Path{Transport: plan.TCP, Port: 25, Verdict: got.Verdict, Proof: got.Proof, Initiator: &i, Acceptor: a, Source: source, Target: target}
		f := explain(p, Context{Mode: result.ModePaths})
		if got.Verdict != result.Occupied || got.OK || f == nil || !strings.Contains(f.Text, "421 4.3.2") || f.Code != "service-unavailable" {
			t.Errorf("%s: %+v, %+v", answer, got, f)
		}
	}
}

func TestSlowGreetingAndAnotherHostAreNoted(t *testing.T) {
	p := realPath(&result.Conversation{Speaks: plan.SMTP, Outcome: result.ConversationCompleted, GreetingMS: 12000, Facts: []result.Fact{{Name: result.FactLeadsTo, Value: "sso.example.edu"}}}, result.AnswerForeign)
	got := map[result.NoteCode]string{}
	for _, n := range p.Notes {
		got[n.Code] = n.Text
	}
	if !p.OK || p.Finding != nil || !strings.Contains(got[result.NoteSlow], "12.0 s") || !strings.Contains(got[result.NoteLeadsElsewhere], "sso.example.edu") {
		t.Errorf("ok %v, %+v, %+v", p.OK, p.Finding, p.Notes)
	}
	if p := realPath(&result.Conversation{Speaks: plan.SMTP, Outcome: result.ConversationCompleted, GreetingMS: 900}, result.AnswerForeign); len(p.Notes) != 0 {
		t.Errorf("%+v", p.Notes)
	}
}

// What was seen is said, and nobody is accused of keeping it back.
func TestTextSaysHowFarItCame(t *testing.T) {
	far := func(o result.ConversationOutcome, speaks plan.Protocol, stages ...result.Stage) *result.Conversation {
		return &result.Conversation{Speaks: speaks, Outcome: o, Error: "i/o timeout", Software: "mx1 ESMTP", Stages: stages, ElapMS: 35000,
			Facts: []result.Fact{{Name: "TLS version", Value: "TLS 1.3"}, {Name: result.FactTrusted, Value: "yes"}}}
	}
	silent, reset, closed := result.ConversationSilent, result.ConversationReset, result.ConversationClosed
	for name, c := range map[string]struct {
		t      *result.Conversation
		answer result.AnswerOutcome
		code   result.Code
		says   string
	}{
		"greeted, then nothing":            {far(silent, plan.SMTP, result.StageGreeted), result.AnswerSilent, "stalled-midway", "the service greeted (mx1 ESMTP)"},
		"greeted, then closed":             {far(closed, plan.FTP, result.StageGreeted), result.AnswerClosed, "reset-midway", "the service greeted (mx1 ESMTP)"},
		"TLS, then nothing":                {far(silent, plan.HTTPS, result.StageTLS), result.AnswerSilent, "stalled-midway", "TLS 1.3 was agreed with a certificate that this machine trusts"},
		"TLS begun, then nothing":          {far(silent, plan.HTTPS, result.StageTLSBegun), result.AnswerSilent, "stalled-midway", "answered the first message of TLS"},
		"the bind, then reset":             {far(reset, plan.LDAPS, result.StageTLS, result.StageGreeted, result.StageAccepted), result.AnswerReset, "reset-midway", "the bind was accepted"},
		"no greeting of one that greets":   {far(silent, plan.SMTP), result.AnswerSilent, "no-greeting", "It may come later"},
		"no answer of one that does not":   {far(silent, plan.TDS), result.AnswerSilent, "stalled", "did not come"},
		"closed before it could greet":     {far(closed, plan.SMTP), result.AnswerClosed, "reset", "before the service had its say"},
		"EHLO accepted, then nothing more": {far(silent, plan.SMTP, result.StageGreeted, result.StageAccepted), result.AnswerSilent, "stalled-midway", "EHLO was accepted"},
	} {
		f := realPath(c.t, c.answer).Finding
		if f == nil || f.Code != c.code || !strings.Contains(f.Text, c.says) {
			t.Errorf("%s: %+v", name, f)
			continue
		}
		for _, word := range []string{"SYN proxy", "application-aware", "application firewall", "intrusion"} {
			if (len(c.t.Stages) > 0 || c.code == "no-greeting") && strings.Contains(f.Text+f.Advice, word) {
				t.Errorf("%s: it speaks of %q: %+v", name, word, f)
			}
		}
	}
}
