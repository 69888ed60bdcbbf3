package verdict

import (
	"net/netip"
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// ownAnswered returns the half of an initiator that heard itself.
func ownAnswered(dialed, answered string) result.Initiator {
	i := connected(result.AnswerOwn)
	i.Target = result.EndpointFrom(netip.MustParseAddrPort(dialed))
	at := result.EndpointFrom(netip.MustParseAddrPort(answered))
	i.OwnOrigin = &at
	return i
}

func TestOnesOwnAnswerIsNeverOK(t *testing.T) {
	i := ownAnswered("10.2.0.5:1433", "10.2.0.5:1433")
	for _, c := range []question{
		{Transport: plan.TCP, Port: 1433, Initiator: &i},
		{Transport: plan.TCP, Port: 1433, Initiator: &i, Expect: plan.ExpectClosed},
		{Transport: plan.TCP, Port: 1433, Initiator: &i, Acceptor: &result.Acceptor{Port: result.PortBound, Instance: here, Saw: result.SawAccepted}, Instance: here},
	} {
		if r := judge(c); r.Verdict != result.Redirected || r.OK || r.Proof != result.ProofNone {
			t.Errorf("%+v: %+v", c, r)
		}
		if f := explain(pathOf(c), Context{Mode: result.ModePaths}); f == nil || f.Code != "own-answer" || strings.Contains(f.Advice, "Please") {
			t.Errorf("%+v", f)
		}
	}
}

// The record is at fault where the address is this machine's own, and a rule of
// somebody's where it is not.
func TestOwnAnswersNameTheRecordOrTheRule(t *testing.T) {
	for _, tt := range []struct {
		name, host, dialed, answered string
		says                         []string
	}{
		{"a name", "ill.east.example", "10.2.0.5:7968", "10.2.0.5:7968", []string{"The name ill.east.example leads back to this machine: it resolves to 10.2.0.5 here", "hosts file", "sinkhole"}},
		{"a sinkhole", "ill.east.example", "0.0.0.0:7968", "127.0.0.1:7968", []string{"resolves to 0.0.0.0"}},
		{"Debian's own name", "ill.east.example", "127.0.1.1:7968", "127.0.1.1:7968", []string{"resolves to 127.0.1.1"}},
		{"an address", "10.2.0.5", "10.2.0.5:7968", "10.2.0.5:7968", []string{"10.2.0.5 leads back to this machine: it is this machine's own address", "list of partners"}},
		{"hairpin NAT", "192.0.2.7", "192.0.2.7:7968", "10.2.0.5:7968", []string{"leads what is sent to 192.0.2.7 to 10.2.0.5", "hairpin NAT", "Give the other end's address otherwise"}},
	} {
		i := ownAnswered(tt.dialed, tt.answered)
		p := pathOf(question{Transport: plan.TCP, Port: 7968, Initiator: &i})
		p.Direction, p.Target, p.Attempts, p.Counted = plan.Forward, i.Target, 1, true
		p.Finding = explain(p, Context{Mode: result.ModePaths})
		r := &result.Report{To: result.End{Host: tt.host}, Paths: []result.Path{p, p}}
		Conclude(r, Facts{})
		if len(r.Findings) != 1 || r.Findings[0].Code != "own-answer" || ExitCode(r) != 1 {
			t.Errorf("%s: exit %d, %+v", tt.name, ExitCode(r), r.Findings)
			continue
		}
		f := r.Findings[0]
		wellFormed(t, p, f.Text)
		wellFormed(t, p, f.Advice)
		for _, w := range append(tt.says, "Nobody but this machine itself answered") {
			if !strings.Contains(f.Text+" "+f.Advice, w) {
				t.Errorf("%s: %q does not say %q", tt.name, f.Text+" "+f.Advice, w)
			}
		}
	}
}

// An address of the dialing machine's own at which no listener answers is no case
// for a firewall team.
func TestOwnAddressThatNobodyAnswersAtAsksNoFirewall(t *testing.T) {
	for _, tt := range []struct {
		name, source, target string
		connect              result.ConnectOutcome
		want                 result.Code
	}{
		{"refused there", "10.1.0.2:50000", "10.1.0.2:7968", result.ConnectRST, result.CodeOwnAddress},
		{"silent there", "10.1.0.2:50000", "10.1.0.2:7968", result.ConnectTimeout, result.CodeOwnAddress},
		{"Debian's own name", "127.0.0.1:50000", "127.0.1.1:7968", result.ConnectRST, result.CodeOwnAddress},
		{"another machine", "10.1.0.2:50000", "10.2.0.5:7968", result.ConnectRST, "refused"},
	} {
		i := failed(tt.connect)
		i.Attempts = 1
		i.Source, i.Target = result.EndpointFrom(netip.MustParseAddrPort(tt.source)), result.EndpointFrom(netip.MustParseAddrPort(tt.target))
		p := pathOf(question{Transport: plan.TCP, Port: 7968, Initiator: &i})
		p.Direction, p.Source, p.Target, p.Counted = plan.Forward, i.Source, i.Target, true
		p.Finding = explain(p, Context{Mode: result.ModePaths})
		r := &result.Report{To: result.End{Host: "ill.east.example"}, Paths: []result.Path{p}}
		Conclude(r, Facts{})
		own := tt.want == result.CodeOwnAddress
		if p.Finding == nil || p.Finding.Code != tt.want || own == strings.Contains(p.Finding.Advice, "lease allow") {
			t.Errorf("%s: %+v", tt.name, p.Finding)
		}
		if said := len(r.Findings) == 1 && r.Findings[0].Code == result.CodeOwnAddress && strings.Contains(r.Findings[0].Text, "leads back to this machine"); said != own {
			t.Errorf("%s: of the run %+v", tt.name, r.Findings)
		}
	}
}
