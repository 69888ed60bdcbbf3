package report

import (
	"strings"
	"testing"

	"dialtone/internal/result"
)

// What a service or a device said in a conversation stands beside its row, whatever
// the verdict.
func TestWhatWasSaidStandsBesideItsRow(t *testing.T) {
	fact := func(name, value string) *result.Conversation {
		return &result.Conversation{Facts: []result.Fact{{Name: name, Value: value}}}
	}
	for says, c := range map[string]*result.Conversation{
		"the greeting is masked (220 ****)":                                {Changed: []string{"the greeting is masked (220 ****)"}},
		"the response has the header Via: 1.1 squid":                       {Changed: []string{"the response has the header Via: 1.1 squid"}},
		"The reply to PASV names 10.0.0.9":                                 {Adapted: []string{"The reply to PASV names 10.0.0.9"}},
		"STARTTLS: offered, and fails: 454 TLS not available":              fact("STARTTLS", "offered, and fails: 454 TLS not available"),
		"passive: the data connection to 192.0.2.9:4711 did not open":      fact("passive", "the data connection to 192.0.2.9:4711 did not open"),
		"anonymous bind: refused: Inappropriate Authentication (48)":       fact("anonymous bind", "refused: Inappropriate Authentication (48)"),
		"status: 404 Not Found":                                            fact("status", "404 Not Found"),
		"it leads to sso.example.edu":                                      fact(result.FactLeadsTo, "sso.example.edu"),
		"proxy in front of the server: Via: 1.1 varnish":                   fact("proxy in front of the server", "Via: 1.1 varnish"),
		"it says it is mx.lib.example ESMTP; STARTTLS: offered, and fails": {Software: "mx.lib.example ESMTP", Facts: []result.Fact{{Name: "STARTTLS", Value: "offered, and fails"}}},
	} {
		for _, v := range []result.Verdict{result.Answered, result.Stalled, result.Reset, result.Occupied} {
			p := path("smtp", "Mail (SMTP)", 25, "192.0.2.5:51000", "198.51.100.9:25")
			c.Speaks, c.Outcome, c.Stages = "smtp", result.ConversationCompleted, []result.Stage{result.StageGreeted}
			p.Verdict, p.Proof, p.Initiator = v, result.ProofPlain, &result.Initiator{Conversation: c}
			r := with(base(), p)
			r.Mode, r.Contact = result.ModeEgress, nil
			if text := strings.Join(strings.Fields(render(t, Text, r, Options{})), " "); !strings.Contains(text, says) {
				t.Errorf("%s: %q is not in\n%s", v, says, text)
			}
		}
	}
}
