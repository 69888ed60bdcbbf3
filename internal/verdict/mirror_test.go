package verdict

import (
	"reflect"
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

func TestMirrorGivesTheOtherEndsView(t *testing.T) {
	p, err := plan.Load("illiad")
	if err != nil {
		t.Fatal(err)
	}
	clock := int64(90_000)
	r := &result.Report{
		From: result.End{Role: "server", Host: "a.example", Addresses: result.ParseAddrs("10.2.0.10")},
		To:   result.End{Role: "peer", Host: "b.example", Addresses: result.ParseAddrs("203.0.113.2")},
		Tool: "dialtone 1", Contact: &result.Contact{Flow: "iso-out", Direction: plan.Forward, ClockMS: &clock, Software: "dialtone 2", Instance: "i"},
		Paths: []result.Path{
			{Flow: "odyssey-out", Service: "Odyssey", Port: 7968, PlanPort: 7968, Transport: plan.TCP, Direction: plan.Forward, From: "server", To: "peer",
				Verdict: result.Silent, Initiator: &result.Initiator{Attempts: 1, Connect: result.ConnectTimeout}},
			{Flow: "iso-out", Port: 1611, PlanPort: 1611, Transport: plan.TCP, Direction: plan.Forward, From: "server", To: "peer", Verdict: result.Open},
			{Flow: "odyssey-in", Port: 7968, PlanPort: 7968, Transport: plan.TCP, Direction: plan.Reverse, From: "peer", To: "server", Verdict: result.Open},
		},
		Listened: &result.Listened{},
	}
	m := Mirror(r, p.Rows)
	var got []string
	for _, x := range m.Paths {
		got = append(got, strings.Join([]string{x.Flow, string(x.Direction), x.From, x.To, string(x.Verdict)}, " "))
	}
	want := []string{
		"odyssey-out forward server peer open",
		"odyssey-in reverse peer server silent",
		"iso-in reverse peer server open",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("paths\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if m.From.Host != "b.example" || m.From.Role != "server" || m.To.Host != "a.example" || m.To.Role != "peer" || m.Listened != nil {
		t.Errorf("from %+v to %+v, listened %v", m.From, m.To, m.Listened)
	}
	if c := m.Contact; c.Flow != "iso-in" || c.Direction != plan.Reverse || *c.ClockMS != -90_000 || c.Software != "dialtone 1" || c.Instance != "" {
		t.Errorf("contact %+v", c)
	}
	if f := m.Paths[1].Finding; f == nil || !strings.Contains(f.Advice, "from the peer to the server") {
		t.Errorf("the words are not written for the reader there: %+v", f)
	}
	if clock != 90_000 || r.Paths[0].Flow != "odyssey-out" {
		t.Error("the original was changed")
	}
}
