package visit

import (
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

func TestAVisitSaysThatThisMachineIsSetToUseAProxy(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "FTP_PROXY", "ftp_proxy", "NO_PROXY"} {
		t.Setenv(name, "")
	}
	t.Setenv("HTTP_PROXY", "http://user:secret@proxy.example.edu:3128")
	t.Setenv("no_proxy", ".example.edu")
	for _, egress := range []bool{false, true} {
		c := config(prooftest.Plan(row("odyssey-client", int(prooftest.FreePort(t, far).Port()), "client", "server")), far)
		c.Remote, c.Egress = []plan.Role{"server"}, egress
		r, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		var found []result.Finding
		for _, f := range r.Findings {
			if f.Code == "proxy-environment" {
				found = append(found, f)
			}
		}
		if len(found) != 1 || !strings.Contains(found[0].Text, "HTTP_PROXY in the environment: http://proxy.example.edu:3128, not for .example.edu") ||
			!strings.Contains(found[0].Text, "made directly") || strings.Contains(found[0].Text+found[0].Advice, "secret") {
			t.Errorf("egress %v: %+v", egress, found)
		}
	}
}
