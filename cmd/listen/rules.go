package main

import (
	"fmt"
	"net/netip"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/dialect"
	"dialtone/internal/paste"
	"dialtone/internal/plan"
	"dialtone/internal/report"
	"dialtone/internal/request"
)

func rulesFlags() []ucli.Flag {
	return append(cli.CommonFlags(),
		&ucli.StringFlag{Name: "dialect", Value: dialect.Text, Usage: "write the rules as `D` wants them: " + strings.Join(dialect.Names(), ", ")},
		&ucli.StringSliceFlag{Name: "role", Usage: "the machines of this site that accept connections play these `ROLES`", DefaultText: "server, web, database"},
		&ucli.StringSliceFlag{Name: "address", Usage: "the addresses of a role, `ROLE=ADDR`,… or networks, such as client=10.2.8.0/22 (repeatable); else those that the site file has"},
	)
}

// ourRoles are the roles of the machines that listen stands in for.
var ourRoles = []plan.Role{plan.RoleServer, plan.RoleWeb, plan.RoleDatabase}

// printRules runs listen rules.
func printRules(c *ucli.Context) error {
	if _, err := cli.Positional(c, 0); err != nil {
		return err
	}
	common, err := cli.ReadCommon(c)
	if err != nil {
		return err
	}
	d, err := dialect.Find(paste.Value(cli.String(c, "dialect")))
	if err != nil {
		return cli.Usage(fmt.Errorf("--dialect: %w", err), "")
	}
	own, err := plan.ParseRoles(common.Plan, cli.Values(c, "role"))
	if err != nil {
		return cli.Usage(err, "")
	}
	if len(own) == 0 {
		for _, r := range ourRoles {
			if _, ok := common.Plan.Roles[r]; ok {
				own = append(own, r)
			}
		}
	}
	where, err := whereRolesAre(common, cli.Values(c, "address"))
	if err != nil {
		return err
	}
	script, notes, err := report.RenderRules(common.Plan, request.OfPlan(common.Plan, where, own), d)
	if err != nil {
		return err
	}
	if _, err := c.App.ErrWriter.Write(notes); err != nil {
		return err
	}
	_, err = c.App.Writer.Write(script)
	return err
}

// whereRolesAre are the addresses of roles: those that are given, or else those that
// the site file has as addresses. A name is none: what it resolves to here need not be
// what the firewall sees.
func whereRolesAre(common cli.Common, given []string) (map[plan.Role][]netip.Prefix, error) {
	out := map[plan.Role][]netip.Prefix{}
	role := plan.Role("")
	for _, g := range given {
		name, address, ok := strings.Cut(g, "=")
		if ok {
			roles, err := plan.ParseRoles(common.Plan, []string{name})
			if err != nil {
				return nil, cli.Usage(fmt.Errorf("--address %q: %w", g, err), "")
			}
			role = roles[0]
		} else if address = g; role != "" { // one more of the same role, after a comma
			ok = true
		}
		p, valid := prefixOf(address)
		if !ok || !valid {
			return nil, cli.Usagef("Write a role and an address or network, such as client=10.2.8.0/22.", "--address %q", g)
		}
		out[role] = append(out[role], p)
	}
	if common.Site == nil {
		return out, nil
	}
	for r := range common.Plan.Roles {
		if len(out[r]) > 0 {
			continue
		}
		for _, h := range common.Site.HostsOf(r) {
			p, ok := prefixOf(h)
			if !ok { // a name: the whole role is not known
				delete(out, r)
				break
			}
			out[r] = append(out[r], p)
		}
	}
	return out, nil
}

// prefixOf reads an address or a network, false if it is neither.
func prefixOf(s string) (netip.Prefix, bool) {
	if a, err := paste.Addr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(paste.Value(s))
	return p.Masked(), err == nil
}
