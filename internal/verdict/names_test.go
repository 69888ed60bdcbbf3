package verdict

import (
	"strings"
	"testing"

	"dialtone/internal/result"
)

// TestOnlyAServersNoBlamesTheSpelling has every reason for which a name gives no
// address.
func TestOnlyAServersNoBlamesTheSpelling(t *testing.T) {
	for fault, want := range map[result.NameFault]struct {
		code   result.Code
		advice string
	}{
		result.NameAbsent:     {"name-not-found", "spelling"},
		result.NameEmpty:      {"name-not-found", "address record"},
		result.NameUnanswered: {"name-servers", "port 53"},
		result.NameNoServer:   {"name-servers", "Set the name servers"},
		result.NameFamily:     {"name-not-found", "--bind"},
		"":                    {"name-not-found", "the address instead"},
	} {
		p := result.Path{Verdict: result.Unresolved, Initiator: &result.Initiator{ResolveError: "illiad.example.edu: it is so", ResolveFault: fault}}
		r := &result.Report{Paths: []result.Path{p}}
		Conclude(r, Facts{ResolveError: p.Initiator.ResolveError, ResolveFault: fault})
		if len(r.Findings) != 1 {
			t.Fatalf("%q: findings %+v", fault, r.Findings)
		}
		for _, f := range []result.Finding{*explain(p, Context{Mode: result.ModePaths}), r.Findings[0]} {
			if f.Code != want.code || !strings.Contains(f.Advice, want.advice) || !strings.Contains(f.Text, "illiad.example.edu: it is so") {
				t.Errorf("%q: %+v", fault, f)
			}
			if strings.Contains(strings.ToLower(f.Text+f.Advice), "spelling") != (fault == result.NameAbsent) {
				t.Errorf("%q: whether the spelling is to blame: %+v", fault, f)
			}
			if !f.IsOwn() {
				t.Errorf("%q: %s is asked of a firewall's people", fault, f.Code)
			}
		}
	}
}

func TestAFoundNameInDoubtNamesTheServer(t *testing.T) {
	r := &result.Report{Paths: []result.Path{{Verdict: result.Open, OK: true, Counted: true, Initiator: &result.Initiator{Attempts: 1}}}}
	Conclude(r, Facts{Names: []Name{
		{Host: "a.example.edu", Trouble: []string{"192.0.2.1 does not answer"}},
		{Host: "b.example.edu", Trouble: []string{"192.0.2.2 does not answer when it is asked for IPv6 addresses (AAAA)"}, Lacking: []result.Family{result.IP6}},
	}})
	var said []string
	for _, f := range r.Findings {
		if f.Code == "name-servers" {
			said = append(said, f.Text)
		}
	}
	all := strings.Join(said, " ")
	for _, want := range []string{"a.example.edu was found", "192.0.2.1", "b.example.edu has IPv6 addresses, so that none was dialed", "192.0.2.2"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q does not say %q", all, want)
		}
	}
	if r.Summary.Failed > 0 {
		t.Error("what cost time only is not ok")
	}
}
