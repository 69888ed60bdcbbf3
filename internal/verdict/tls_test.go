package verdict

import (
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// What was agreed and is old is said beside a path that works.
func TestOldTLSIsNoted(t *testing.T) {
	for name, c := range map[string]struct {
		facts []result.Fact
		code  result.NoteCode
		says  string
	}{
		"today's":            {[]result.Fact{{Name: result.FactTLSVersion, Value: "TLS 1.3"}, {Name: result.FactCipher, Value: "TLS_AES_128_GCM_SHA256"}}, "", ""},
		"TLS 1.0":            {[]result.Fact{{Name: result.FactTLSVersion, Value: "TLS 1.0"}, {Name: result.FactFirstHello, Value: "refused: alert 70"}}, result.NoteOldTLS, "TLS 1.0"},
		"RC4":                {[]result.Fact{{Name: result.FactTLSVersion, Value: "TLS 1.2"}, {Name: result.FactCipher, Value: "TLS_RSA_WITH_RC4_128_SHA"}}, result.NoteOldTLS, "RC4"},
		"the old hello only": {[]result.Fact{{Name: result.FactTLSVersion, Value: "TLS 1.2"}, {Name: result.FactFirstHello, Value: "refused: EOF"}}, result.NoteOldTLS, "old client's hello"},
		"nothing agreed":     {[]result.Fact{{Name: result.FactFirstHello, Value: "refused: alert 70"}}, "", ""},
		"a chain":            {[]result.Fact{{Name: result.FactTLSVersion, Value: "TLS 1.3"}, {Name: result.FactChain, Value: "it ends with CN=x"}}, result.NoteChain, "it ends with CN=x"},
	} {
		p := realPath(&result.Conversation{Speaks: plan.HTTPS, Outcome: result.ConversationCompleted, Facts: c.facts}, result.AnswerForeign)
		if !p.OK || p.Finding != nil || len(p.Notes) != map[bool]int{true: 0, false: 1}[c.code == ""] {
			t.Errorf("%s: ok %v, %+v, %+v", name, p.OK, p.Finding, p.Notes)
			continue
		}
		if c.code != "" && (p.Notes[0].Code != c.code || !strings.Contains(p.Notes[0].Text, c.says)) {
			t.Errorf("%s: %+v", name, p.Notes)
		}
	}
}

// TLS's own no accuses nobody.
func TestTLSRefusalAccusesNobody(t *testing.T) {
	for _, reason := range []result.Reason{result.ReasonCertificate, result.ReasonTLSVersion, result.ReasonCipher, result.ReasonTLSName,
		result.ReasonTLS, result.ReasonChain, result.ReasonTLSFirst, result.ReasonNoTLS} {
		p := realPath(&result.Conversation{Speaks: plan.HTTPS, Outcome: result.ConversationRefused, Error: "refused",
			Refusal: &result.Refusal{By: result.RefuserTLS, Reason: reason, Words: "words"}}, result.AnswerForeign)
		if p.OK || p.Verdict != result.Answered || p.Finding == nil || p.Finding.Code != result.Code(reason) || !p.Finding.IsOwn() {
			t.Errorf("%s: ok %v, %s, %+v", reason, p.OK, p.Verdict, p.Finding)
			continue
		}
		for _, word := range []string{"firewall", "proxy", "portal", "inspection", "on the way put", "SYN"} {
			if strings.Contains(p.Finding.Text+p.Finding.Advice, word) {
				t.Errorf("%s: it speaks of %q: %+v", reason, word, p.Finding)
			}
		}
	}
}
