package verdict

import (
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

func controls(answers ...result.AnswerOutcome) []result.Control {
	var out []result.Control
	for _, a := range answers {
		out = append(out, result.Control{Connect: result.ConnectOpen, Answer: a})
	}
	return out
}

func TestContentIsBlamedOnlyBesideProofsThatPass(t *testing.T) {
	for name, c := range map[string]struct {
		outcome  result.ConversationOutcome
		failures int
		controls []result.Control
		code     result.Code
		says     string
	}{
		"twice, and the proof passed after each":  {result.ConversationReset, 2, controls(result.AnswerKeyed, result.AnswerKeyed), "application-firewall", "looks into the payload"},
		"silent twice":                            {result.ConversationSilent, 2, controls(result.AnswerKeyed, result.AnswerKeyed), "application-firewall", ""},
		"twice, and the proof failed as well":     {result.ConversationReset, 2, controls(result.AnswerReset, result.AnswerReset), "cut-off-later", "failed as well right after it (2 of 2)"},
		"twice, and one proof failed":             {result.ConversationReset, 2, controls(result.AnswerKeyed, result.AnswerReset), "cut-off-later", "Of 2 plain proofs"},
		"the second time nobody could be reached": {result.ConversationSilent, 2, []result.Control{{Connect: result.ConnectOpen, Answer: result.AnswerKeyed}, {Connect: result.ConnectTimeout}}, "cut-off-later", "limit on how many connections"},
		"once":                          {result.ConversationClosed, 1, controls(result.AnswerKeyed), "cut-off-later", "It failed once"},
		"no proof was made after it":    {result.ConversationReset, 2, nil, "cut-off-later", "is not known"},
		"changed, which is its content": {result.ConversationForeign, 1, nil, "application-firewall", ""},
	} {
		i := proved()
		i.Conversation = &result.Conversation{Speaks: plan.TDS, Outcome: c.outcome, Failures: c.failures, Controls: c.controls, Attempts: c.failures}
		cs := question{Transport: plan.TCP, Port: 1433, Initiator: &i, Acceptor: conversedWith(), Instance: i.Instance}
		r := judge(cs)
		p := result.Path{Verdict: r.Verdict, Proof: r.Proof, From: "client", To: "database", Transport: plan.TCP, Port: 1433, Service: "SQL Server", Initiator: &i, Acceptor: cs.Acceptor}
		f := explain(p, Context{Mode: result.ModePaths})
		if r.OK || f == nil || f.Code != c.code || !strings.Contains(f.Text+f.Advice, c.says) {
			t.Errorf("%s: %s, %+v", name, r.Verdict, f)
		}
		if c.code != "application-firewall" && strings.Contains(f.Text+f.Advice, "payload)") {
			t.Errorf("%s: blames content: %s %s", name, f.Text, f.Advice)
		}
	}
}

func TestProofThatPassesLaterMakesNoApplicationFirewall(t *testing.T) {
	for _, later := range []result.AnswerOutcome{result.AnswerReset, result.AnswerKeyed} {
		i := connected(result.AnswerReset)
		i.Conversation = spoken(plan.TDS)
		i.Conversation.Attempts, i.Conversation.Controls = 2, controls(later, later)
		p := result.Path{Verdict: result.Open, Proof: result.ProofService, From: "client", To: "database", Transport: plan.TCP, Port: 1433, Initiator: &i, Acceptor: conversedWith()}
		var codes []string
		for _, n := range notesOf(p, false, p.Source.Addr()) {
			codes = append(codes, string(n.Code))
		}
		got := strings.Join(codes, " ")
		want := map[result.AnswerOutcome]string{result.AnswerReset: "application-firewall", result.AnswerKeyed: "retried"}[later]
		if !strings.Contains(got, want) || later == result.AnswerKeyed && strings.Contains(got, "application-firewall") {
			t.Errorf("proof %s later: %s", later, got)
		}
	}
}
