package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dialtone/internal/lab"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

var (
	server4 = netip.MustParseAddr("10.2.0.10")
	server6 = netip.MustParseAddr("2001:db8:2::10")
)

func recorded(t *testing.T, name string) lab.Said {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return lab.Said{Text: string(b)}
}

// What nmap 7.93 wrote in a lab whose server-side firewall drops tcp 1433 and
// udp 1434, rejects tcp 443 and udp 1435 by ICMP and resets tcp 80; on the
// server ncat holds tcp 7968.
func TestNmapIsReadAsItWrites(t *testing.T) {
	want := map[target]answer{
		{server4, 80, plan.TCP}:   {"closed (conn-refused)", claimClosed},
		{server4, 443, plan.TCP}:  {"filtered (host-unreach)", claimError},
		{server4, 1433, plan.TCP}: {"filtered (no-response)", claimSilence},
		{server4, 7968, plan.TCP}: {"open (syn-ack)", claimOpen},
		{server4, 1434, plan.UDP}: {"open|filtered (no-response)", claimOpenOrBlocked},
		{server4, 1435, plan.UDP}: {"filtered (admin-prohibited)", claimError},
		{server4, 1436, plan.UDP}: {"closed (port-unreach)", claimClosed},
		{server6, 80, plan.TCP}:   {"closed (conn-refused)", claimClosed},
		{server6, 7968, plan.TCP}: {"open (syn-ack)", claimOpen},
		{server6, 1436, plan.UDP}: {"closed (port-unreach)", claimClosed},
	}
	targets := []target{
		{server4, 80, plan.TCP}, {server4, 443, plan.TCP}, {server4, 1433, plan.TCP}, {server4, 7968, plan.TCP},
		{server4, 1434, plan.UDP}, {server4, 1435, plan.UDP}, {server4, 1436, plan.UDP},
		{server6, 80, plan.TCP}, {server6, 7968, plan.TCP}, {server6, 1436, plan.UDP},
	}
	got, err := readNmap(targets, []lab.Said{recorded(t, "nmap.xml"), recorded(t, "nmap6.xml")})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Errorf("%d answers, want %d", len(got), len(want))
	}
	for tg, w := range want {
		if got[tg] != w {
			t.Errorf("%s/%d: %+v, want %+v", tg.transport, tg.port, got[tg], w)
		}
	}
	if _, err := readNmap(targets[:3], []lab.Said{recorded(t, "nmap.xml")}); err == nil {
		t.Error("an answer to a question that was not asked is taken")
	}
	if _, err := readNmap(targets[:1], []lab.Said{{Text: "nmap: not found", Exit: 127}}); err == nil {
		t.Error("nmap that did not run is taken for an answer")
	}
}

// Without a route nmap writes its complaint into its XML and ends well.
func TestNmapWithoutARoute(t *testing.T) {
	targets := []target{{server4, 80, plan.TCP}, {server4, 1434, plan.UDP}}
	got, err := readNmap(targets, []lab.Said{recorded(t, "nmap-no-route.xml")})
	if err != nil {
		t.Fatal(err)
	}
	for _, tg := range targets {
		if want := (answer{"failed to determine route", claimLocal}); got[tg] != want {
			t.Errorf("%+v, want %+v", got[tg], want)
		}
	}
}

func TestAddressesAreAskedOfNmapInOneRunEach(t *testing.T) {
	got := askNmap([]target{{server4, 443, plan.TCP}, {server4, 1433, plan.TCP}, {server4, 1434, plan.UDP}, {server6, 443, plan.TCP}})
	want := []string{
		"nmap -n -Pn -sT -sU --reason -T4 --max-retries 2 --initial-rtt-timeout 1500ms --min-rtt-timeout 1500ms --max-rtt-timeout 1500ms -p T:443,T:1433,U:1434 -oX - 10.2.0.10",
		"nmap -6 -n -Pn -sT --reason -T4 --max-retries 2 --initial-rtt-timeout 1500ms --min-rtt-timeout 1500ms --max-rtt-timeout 1500ms -p T:443 -oX - 2001:db8:2::10",
	}
	if len(got) != len(want) {
		t.Fatalf("%d runs, want %d", len(got), len(want))
	}
	for i := range want {
		if strings.Join(got[i], " ") != want[i] {
			t.Errorf("%s\nwant\n%s", strings.Join(got[i], " "), want[i])
		}
	}
}

// What netcat-openbsd 1.219 said in the same lab.
func TestNCIsReadAsItSpeaks(t *testing.T) {
	for _, tt := range []struct {
		said lab.Said
		want answer
	}{
		{lab.Said{Text: "Connection to 10.2.0.10 7968 port [tcp/*] succeeded!\n"}, answer{"succeeded", claimOpen}},
		{lab.Said{Text: "Connection to 10.2.0.10 1434 port [udp/*] succeeded!\n"}, answer{"succeeded", claimOpen}},
		{lab.Said{Text: "nc: connect to 10.2.0.10 port 80 (tcp) failed: Connection refused\n", Exit: 1}, answer{"Connection refused", claimClosed}},
		{lab.Said{Text: "nc: connect to 10.2.0.10 port 443 (tcp) failed: No route to host\n", Exit: 1}, answer{"No route to host", claimError}},
		{lab.Said{Text: "nc: connect to 10.2.0.10 port 1433 (tcp) timed out: Operation now in progress\n", Exit: 1}, answer{"timed out", claimSilence}},
		{lab.Said{Exit: 1}, answer{"(fails, says nothing)", claimNothing}},
	} {
		got, err := ncAnswer(tt.said)
		if err != nil || got != tt.want {
			t.Errorf("%q: %+v, %v, want %+v", tt.said.Text, got, err, tt.want)
		}
	}
	for _, said := range []lab.Said{{}, {Text: "usage: nc", Exit: 1}, {Text: "sh: nc: not found", Exit: 127}} {
		if got, err := ncAnswer(said); err == nil {
			t.Errorf("%+v is taken for %+v", said, got)
		}
	}
}

func TestOnlyForwardPathsWithATargetAreAskedOfOthers(t *testing.T) {
	path := func(addr string, over plan.Transport, change func(*result.Path)) result.Path {
		p := result.Path{Direction: plan.Forward, Transport: over, Family: result.IP4}
		p.Target = result.EndpointFrom(netip.MustParseAddrPort(addr))
		if change != nil {
			change(&p)
		}
		return p
	}
	r := result.Report{Paths: []result.Path{
		path("[2001:db8:2::10]:443", plan.TCP, nil),
		path("10.2.0.10:1434", plan.UDP, nil),
		path("10.2.0.10:443", plan.TCP, nil),
		path("10.2.0.10:443", plan.TCP, nil), // another row of the plan
		path("10.1.0.10:7968", plan.TCP, func(p *result.Path) { p.Direction = plan.Reverse }),
		path("10.2.0.10:40123", plan.TCP, func(p *result.Path) { p.SourcePort = 20 }),
		path("10.2.0.10:21", plan.TCP, func(p *result.Path) { p.Target = result.Endpoint{} }),
	}}
	j := lab.Judgement{}
	for range r.Paths {
		j.Paths = append(j.Paths, lab.PathJudgement{Want: result.Open, Got: result.Open})
	}
	targets, truths, err := targetsOf(lab.Scenario{}, r, j)
	if err != nil {
		t.Fatal(err)
	}
	want := []target{{server4, 443, plan.TCP}, {server4, 1434, plan.UDP}, {server6, 443, plan.TCP}}
	if len(targets) != len(want) {
		t.Fatalf("%v, want %v", targets, want)
	}
	for i, tg := range want {
		if targets[i] != tg || truths[tg].verdict != result.Open || truths[tg].transport != tg.transport {
			t.Errorf("number %d: %+v, %+v", i, targets[i], truths[tg])
		}
	}
	j.Paths[3].Want = result.Filtered
	if _, _, err := targetsOf(lab.Scenario{}, r, j); err == nil {
		t.Error("two truths about one target are taken")
	}

	said, paths := dialTestimony(lab.Scenario{}, r, lab.Judgement{Paths: append(j.Paths[:3:3], j.Paths[2:3][0], j.Paths[4], j.Paths[5], j.Paths[6])})
	if len(said) != 6 || paths != 6 {
		t.Errorf("dial testifies to %d of %d paths, want 6 of 6: the shared attempt counts once", len(said), paths)
	}
}
