package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"dialtone/internal/cli"
	"dialtone/internal/invite"
	"dialtone/internal/plan"
)

// invitation makes the line for partners and writes it to its file; "" if none
// was asked for.
func (s *serving) invitation(now time.Time, limit time.Duration) (string, error) {
	if s.inviteFile == "" {
		return "", nil
	}
	// As loaded: what the site and the flags change is said beside the digest.
	base, err := plan.Load(s.planArg)
	if err != nil {
		return "", cli.Usage(err, "")
	}
	i := invite.Invitation{
		Name: s.name, Hosts: s.public, KeyText: s.KeyText,
		Plan: base.Name, PlanDigest: base.Digest(), Shift: s.Shift, Ports: s.changedPorts(), Rows: s.peerRows(),
		Issued: now, Expires: now.Add(limit), By: cli.Software,
	}
	if len(i.Hosts) == 0 {
		i.Hosts = s.addresses()
		i.Hosts = i.Hosts[:min(len(i.Hosts), invite.MaxHosts)]
	}
	if !slices.ContainsFunc(i.Hosts, reachable) {
		fmt.Fprintf(s.errs, "listen: partners on the internet cannot reach what the invitation names (%s). Give --public NAME or --public ADDR with what they dial.\n", strings.Join(i.Hosts, ", "))
	}
	line, err := invite.Make(i)
	if err != nil {
		return "", cli.Usage(fmt.Errorf("--invite: %w", err), "")
	}
	if err := cli.WritePrivate(s.inviteFile, []byte(line+"\n")); err != nil {
		return "", cli.Usage(fmt.Errorf("--invite: %w", err), "Give a file in a directory that can be written.")
	}
	return line, nil
}

// shared is the carriers' address space (RFC 6598), private to a provider.
var shared = netip.MustParsePrefix("100.64.0.0/10")

// reachable reports whether a partner on the internet may reach a host, as far
// as its address tells.
func reachable(host string) bool {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return true
	}
	a = a.Unmap()
	return !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !shared.Contains(a)
}

// changedPorts are the ports that the site file and --port chose.
func (s *serving) changedPorts() map[string]int {
	out := map[string]int{}
	for _, r := range s.Plan.Rows {
		if r.PlanPort != 0 && r.Port != r.PlanPort+s.Shift {
			out[r.ID] = r.Port
		}
	}
	return out
}

// peerRows are the rows between two institutions' servers, if this machine is to
// be one of them.
func (s *serving) peerRows() []string {
	if s.roles != nil && !slices.Contains(s.roles, plan.RoleServer) && !slices.Contains(s.roles, plan.RolePeer) {
		return nil
	}
	var out []string
	for _, r := range s.Plan.Rows {
		if r.To == plan.RolePeer && slices.Contains(r.From, plan.RoleServer) || r.To == plan.RoleServer && slices.Contains(r.From, plan.RolePeer) {
			out = append(out, r.ID)
		}
	}
	return out
}
