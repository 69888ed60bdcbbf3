package survey

import (
	"strings"
	"testing"

	"dialtone/internal/result"
)

func TestImpostorIsWhoShowsSomethingElseThanThePortItself(t *testing.T) {
	spoke := func(software, certificate string) result.Conversation {
		c := result.Conversation{Outcome: result.ConversationCompleted, Software: software}
		if certificate != "" {
			c.Facts = []result.Fact{{Name: "issuer", Value: "CN=Somebody"}, {Name: result.FactCertificate, Value: certificate}}
		}
		return c
	}
	for name, tc := range map[string]struct {
		held result.BusyPort
		c    result.Conversation
		want string // "": none
	}{
		"the same software":                    {result.BusyPort{Software: "nginx"}, spoke("nginx", ""), ""},
		"other software":                       {result.BusyPort{Software: "nginx"}, spoke("squid", ""), `it calls itself "squid", and on that machine itself the port says "nginx"`},
		"the same certificate":                 {result.BusyPort{Software: "nginx", Certificate: "aa"}, spoke("nginx", "aa"), ""},
		"another certificate":                  {result.BusyPort{Software: "nginx", Certificate: "aa"}, spoke("nginx", "bb"), "issued by CN=Somebody"},
		"the certificate counts, not the name": {result.BusyPort{Software: "nginx", Certificate: "aa"}, spoke("a front", "aa"), ""},
		"the listener could not look":          {result.BusyPort{}, spoke("squid", "bb"), ""},
		"it was not spoken to the end":         {result.BusyPort{Software: "nginx"}, result.Conversation{Outcome: result.ConversationReset}, ""},
	} {
		got := impostor(tc.held, tc.c)
		if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
