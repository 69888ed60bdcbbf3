package main

import (
	"net/netip"
	"strings"
	"testing"

	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/sock"
)

func TestWhatWindowsFirewallDoesIsSaid(t *testing.T) {
	bound := func(t plan.Transport, at string) listener.Bound {
		return listener.Bound{Transport: t, Addr: netip.MustParseAddrPort(at)}
	}
	ports := []listener.Bound{bound(plan.TCP, "0.0.0.0:7968"), bound(plan.TCP, "0.0.0.0:80"), bound(plan.TCP, "[::]:80"), bound(plan.UDP, "0.0.0.0:1434")}
	const let = "  New-NetFirewallRule -Name dialtone-test-tcp -DisplayName dialtone-test-tcp -Direction Inbound -Action Allow -Profile Domain,Public -Protocol TCP -LocalPort 80,7968\n" +
		"  New-NetFirewallRule -Name dialtone-test-udp -DisplayName dialtone-test-udp -Direction Inbound -Action Allow -Profile Domain,Public -Protocol UDP -LocalPort 1434\n" +
		"  Remove-NetFirewallRule -Name dialtone-test-tcp,dialtone-test-udp\n"
	on := []sock.FirewallProfile{{Name: "Domain", IsOn: true}, {Name: "Public", IsOn: true}}
	allow := sock.ProgramRule{Profiles: []string{"Public"}}
	block := sock.ProgramRule{Blocks: true}
	elsewhere := sock.ProgramRule{Blocks: true, Profiles: []string{"Private"}}
	const program = `C:\Dialtone files\listen.exe`
	for name, c := range map[string]struct {
		f        sock.Firewall
		has, not string
		lets     bool
	}{
		"no rule":          {sock.Firewall{Profiles: on}, "It has no rule for listen.exe", "program-rule", true},
		"admitted":         {sock.Firewall{Profiles: on, Rules: []sock.ProgramRule{allow}}, "program-rule", "blocks listen.exe", true},
		"blocked":          {sock.Firewall{Profiles: on, Rules: []sock.ProgramRule{allow, block}}, `Get-NetFirewallApplicationFilter -Program "C:\Dialtone files\listen.exe" | Get-NetFirewallRule | Where-Object Action -eq Block`, "lets listen.exe in", true},
		"another network":  {sock.Firewall{Profiles: on, Rules: []sock.ProgramRule{elsewhere}}, "It has no rule for listen.exe", "blocks listen.exe", true},
		"off for this one": {sock.Firewall{Profiles: []sock.FirewallProfile{{Name: "Private"}}, Rules: []sock.ProgramRule{block}}, "is off for the profile in effect (Private).\n", "blocks", false},
	} {
		words := firewallWords(c.f, program, ports)
		if !strings.Contains(words, c.has) || strings.Contains(words, c.not) || strings.Contains(words, let) != c.lets {
			t.Errorf("%s:\n%s", name, words)
		}
	}
}
