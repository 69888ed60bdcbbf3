package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"dialtone/internal/cli"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/sock"
)

// askFirewall asks Windows what its own firewall does for this program, beside what else
// there is to do, and returns what says so, with the rules that let the bound ports in. It
// changes none.
func (s *serving) askFirewall(ctx context.Context) (say func([]listener.Bound)) {
	program, err := os.Executable()
	if err != nil {
		return func([]listener.Bound) {}
	}
	type answer struct {
		f  sock.Firewall
		ok bool
	}
	got := make(chan answer, 1)
	go func() {
		f, ok := sock.FirewallOf(ctx, program)
		got <- answer{f, ok}
	}()
	return func(bound []listener.Bound) {
		if a := <-got; a.ok {
			fmt.Fprint(s.words, firewallWords(a.f, program, bound))
		}
	}
}

// firewallWords are those. A rule for listen.exe is for no other program: what passes by
// it says nothing of ILLiad's own.
func firewallWords(f sock.Firewall, program string, bound []listener.Bound) string {
	var on, off []string
	for _, p := range f.Profiles {
		if p.IsOn {
			on = append(on, p.Name)
		} else {
			off = append(off, p.Name)
		}
	}
	if len(on) == 0 {
		return fmt.Sprintf("Windows' own firewall is off for the profile in effect (%s).\n", strings.Join(off, ", "))
	}
	var out strings.Builder
	fmt.Fprintf(&out, "Windows' own firewall is on for the profile in effect (%s).\n", strings.Join(on, ", "))
	// In effect are the rules for those profiles, and for all.
	inEffect := slices.DeleteFunc(slices.Clone(f.Rules), func(r sock.ProgramRule) bool {
		return len(r.Profiles) > 0 && !slices.ContainsFunc(on, func(p string) bool { return slices.Contains(r.Profiles, p) })
	})
	blocks := slices.ContainsFunc(inEffect, func(r sock.ProgramRule) bool { return r.Blocks })
	admits := slices.ContainsFunc(inEffect, func(r sock.ProgramRule) bool { return !r.Blocks })
	file, _ := cli.Quote(program)
	switch {
	case blocks:
		out.WriteString("It has a rule that blocks listen.exe, as its question leaves one that is answered with Cancel: that goes before every rule that\n" +
			"lets a port in, and dial will see nothing come through. To take it away:\n" +
			"  Get-NetFirewallApplicationFilter -Program " + file + " | Get-NetFirewallRule | Where-Object Action -eq Block | Remove-NetFirewallRule\n")
	case admits:
		out.WriteString("It lets listen.exe in by a rule for that program. ILLiad's own programs are others: a path that is open now may be closed to them\n" +
			"(program-rule). To test what they will have, take that rule away, and let the ports in:\n" +
			"  Get-NetFirewallApplicationFilter -Program " + file + " | Get-NetFirewallRule | Where-Object Action -eq Allow | Remove-NetFirewallRule\n")
	default:
		out.WriteString("It has no rule for listen.exe: unless one lets the ports in, or its question is answered with Allow, nothing comes through.\n")
	}
	var names []string
	var rules strings.Builder
	for _, t := range []plan.Transport{plan.TCP, plan.UDP} {
		var ports []int
		for _, b := range bound {
			if p := int(b.Addr.Port()); b.Transport == t && !slices.Contains(ports, p) {
				ports = append(ports, p)
			}
		}
		if len(ports) == 0 {
			continue
		}
		slices.Sort(ports)
		var list []string
		for _, p := range ports {
			list = append(list, strconv.Itoa(p))
		}
		name := "dialtone-test-" + string(t)
		names = append(names, name)
		fmt.Fprintf(&rules, "  New-NetFirewallRule -Name %s -DisplayName %s -Direction Inbound -Action Allow -Profile %s -Protocol %s -LocalPort %s\n",
			name, name, strings.Join(on, ","), strings.ToUpper(string(t)), strings.Join(list, ","))
	}
	if len(names) > 0 {
		fmt.Fprintf(&out, "To let the ports in, for whatever program, in PowerShell as administrator (a domain's policy may forbid rules of one's own); and to undo it:\n%s  Remove-NetFirewallRule -Name %s\n", &rules, strings.Join(names, ","))
	}
	return out.String()
}
