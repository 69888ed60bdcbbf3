package report

import (
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

func TestWhatSQLBrowserSaysStandsBesideItsRow(t *testing.T) {
	p := path("sql-browser", "SQL Browser", 1434, "192.0.2.5:51000", "198.51.100.9:1434")
	p.Transport, p.Verdict, p.Proof = plan.UDP, result.Answered, result.ProofService
	p.Initiator = &result.Initiator{Answer: result.AnswerForeign, Conversation: &result.Conversation{
		Speaks: "sql-browser", Outcome: result.ConversationCompleted, Software: "SQL Server Browser",
		Instances: []result.Instance{{Name: "ILLIAD", Port: 51433, Version: "15.0.2000.5"}, {Name: "OLD", Version: "9.00.1399.06"}},
	}}
	r := with(base(), p)
	r.Mode, r.Contact = result.ModeInstalled, nil
	text := strings.Join(strings.Fields(render(t, Text, r, Options{})), " ")
	for _, s := range []string{"instance ILLIAD (version 15.0.2000.5) on TCP port 51433", "instance OLD (version 9.00.1399.06) without a TCP port"} {
		if !strings.Contains(text, s) {
			t.Errorf("%q is not in\n%s", s, text)
		}
	}
	if err := compileSchema(t).Validate(decode(t, render(t, JSON, r, Options{}))); err != nil {
		t.Error(err)
	}
}
