package verdict

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// What the people at the two ends did wrong themselves never reads like a
// request to a firewall's.
func TestOwnMistakeAsksNoFirewall(t *testing.T) {
	for name, i := range map[string]*result.Initiator{
		"another key":                           {Connect: result.ConnectOpen, Answer: result.AnswerWrongKey},
		"an address that listen does not allow": {Connect: result.ConnectOpen, Answer: result.AnswerForbidden},
		"another release":                       {Connect: result.ConnectOpen, Answer: result.AnswerVersion},
		"interrupted":                           {NotTried: "interrupted"},
		"a name that is not":                    {ResolveError: "no such host"},
		"its own failure":                       {Connect: result.ConnectFailed, Error: "too many open files"},
	} {
		for aname, a := range anyAcceptor() {
			for _, transport := range []plan.Transport{plan.TCP, plan.UDP} {
				p := result.Path{Port: 80, From: "client", To: "server", Service: "a service", Transport: transport, Expect: plan.ExpectOpen, Initiator: i, Acceptor: a}
				ruling := judge(question{Transport: transport, Port: 80, Initiator: i, Acceptor: a, Expect: p.Expect})
				p.Verdict, p.OK = ruling.Verdict, ruling.OK
				f := explain(p, Context{Mode: result.ModePaths})
				if f == nil || !f.IsOwn() || strings.Contains(f.Advice, "Please") || strings.Contains(strings.ToLower(f.Advice), "firewall") {
					t.Errorf("%s, acceptor %s: %s: %+v", name, aname, p.Verdict, f)
				}
			}
		}
	}
	// A port on which the two ends do not agree (another site file, plan or shift).
	for _, c := range []result.ConnectOutcome{result.ConnectRST, result.ConnectTimeout} {
		i := &result.Initiator{Connect: c}
		a := &result.Acceptor{Port: result.PortUnbound, Saw: result.SawUnknown, Reason: "the listener does not hold that port"}
		p := result.Path{Port: 80, Transport: plan.TCP, Expect: plan.ExpectOpen, Initiator: i, Acceptor: a}
		p.Verdict = judge(question{Transport: plan.TCP, Port: 80, Initiator: i, Acceptor: a, Expect: p.Expect}).Verdict
		if f := explain(p, Context{Mode: result.ModePaths}); strings.Contains(f.Advice, "Please") || !strings.Contains(f.Advice, "--site") {
			t.Errorf("%s: %+v", p.Verdict, f)
		}
	}
}

// Over UDP a listener with another key says nothing. What it says over TCP
// explains that, and no firewall is asked to let through what came through.
func TestSilenceOfAListenerWithAnotherKeyIsNoFirewall(t *testing.T) {
	path := func(transport plan.Transport, host string, i *result.Initiator) result.Path {
		i.Target, i.Attempts = udpEnd(host), 1
		p := result.Path{Port: 1434, Transport: transport, Direction: plan.Forward, Expect: plan.ExpectOpen, Target: i.Target, Attempts: 1, Initiator: i}
		p.Verdict = judge(question{Transport: transport, Port: 1434, Initiator: i, Expect: p.Expect}).Verdict
		p.Finding = explain(p, Context{Mode: result.ModePaths})
		return p
	}
	silent := func() *result.Initiator {
		return &result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerSilent}
	}
	for answer, code := range map[result.AnswerOutcome]result.Code{result.AnswerWrongKey: "wrong-key", result.AnswerForbidden: "not-allowed"} {
		r := &result.Report{Paths: []result.Path{
			path(plan.UDP, "192.0.2.7", silent()),
			path(plan.TCP, "192.0.2.7", &result.Initiator{Connect: result.ConnectOpen, Answer: answer}),
			path(plan.UDP, "192.0.2.8", silent()),
		}}
		Conclude(r, Facts{})
		if p := r.Paths[0]; p.Verdict != result.Silent || p.OK || p.Finding.Code != code || strings.Contains(p.Finding.Advice, "Please") {
			t.Errorf("%s: %s, %+v", answer, p.Verdict, p.Finding)
		}
		if p := r.Paths[2]; p.Finding.Code != "silent" || !strings.Contains(p.Finding.Advice, "Please") {
			t.Errorf("another machine's silence: %+v", p.Finding)
		}
		if n := len(r.Findings); n == 0 || !slices.ContainsFunc(r.Findings, func(f result.Finding) bool { return f.Code == code }) {
			t.Errorf("%s: the run says %+v", answer, r.Findings)
		}
	}
}

func udpEnd(host string) result.Endpoint {
	return result.EndpointFrom(netip.AddrPortFrom(netip.MustParseAddr(host), 1434))
}
