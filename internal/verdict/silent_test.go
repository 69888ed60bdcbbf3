package verdict

import (
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// Whatever accepts a connection can say nothing, as a real Odyssey server does.
func TestSilenceOfInstalledSoftwareIsNoProof(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		decoys *bool
		code   result.Code
	}{{nil, "accepted-silently"}, {&no, "accepted-silently"}, {&yes, "answers-for-all"}} {
		for _, mode := range []result.Mode{result.ModeInstalled, result.ModeEgress} {
			i := connected(result.AnswerSilent)
			i.DecoysOpen = c.decoys
			i.Conversation = &result.Conversation{Speaks: plan.Odyssey, Outcome: result.ConversationCompleted}
			r := judge(question{Transport: plan.TCP, Port: 7968, Initiator: &i, Mode: mode})
			p := result.Path{Verdict: r.Verdict, Proof: r.Proof, OK: r.OK, From: "client", To: "server", Transport: plan.TCP, Port: 7968, Service: "Odyssey", Initiator: &i}
			f := explain(p, Context{Mode: mode})
			if r.OK || r.Verdict != result.Answered || r.Proof != result.ProofNone || f == nil || f.Code != c.code || !strings.Contains(f.Text, "nobody knows by whom") {
				t.Errorf("decoys open %v: %+v, %+v", c.decoys, r, f)
			}
		}
	}
	spoke := connected(result.AnswerForeign)
	spoke.Conversation = &result.Conversation{Speaks: plan.HTTPS, Outcome: result.ConversationCompleted}
	if r := judge(question{Transport: plan.TCP, Port: 443, Initiator: &spoke, Mode: result.ModeInstalled}); !r.OK || r.Proof != result.ProofService {
		t.Errorf("software that spoke: %+v", r)
	}
}
