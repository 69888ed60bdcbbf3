package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/paste"
	"dialtone/internal/plan"
	"dialtone/internal/report"
	"dialtone/internal/result"
	"dialtone/internal/survey"
	"dialtone/internal/verdict"
	"dialtone/internal/visit"
)

// egressRoles are what a machine plays that is asked about without --role: the
// staff PC's and the server's rows, whichever it is.
var egressRoles = []plan.Role{plan.RoleClient, plan.RoleServer, plan.RoleWeb}

// egress runs dial egress.
func egress(c *ucli.Context) error {
	if _, err := cli.Positional(c, 0); err != nil {
		return err
	}
	hosts, err := readHosts(cli.Strings(c, "host"))
	if err != nil {
		return err
	}
	common, err := cli.ReadCommon(c)
	if err != nil {
		return err
	}
	cfg, err := steps(c, common)
	if err != nil {
		return err
	}
	for name := range hosts {
		if !names(cfg.Plan, name) {
			return cli.Usagef("listen plan shows the rows, services and roles.", "--host %s: the plan has no such row, service or role", name)
		}
	}
	for _, r := range egressRoles {
		if _, ok := cfg.Plan.Roles[r]; ok {
			cfg.Local = append(cfg.Local, r)
		}
	}
	if roles := cli.Values(c, "role"); len(roles) > 0 {
		if cfg.Local, err = plan.ParseRoles(cfg.Plan, roles); err != nil {
			return cli.Usage(err, "")
		}
	}
	return visited(c, &cfg, func() visit.Config {
		v := visiting(cfg)
		v.Egress, v.Hosts = true, hosts
		return v
	})
}

// installed runs dial --installed HOST.
func installed(c *ucli.Context, m mode) error {
	cfg, err := installedConfig(c, m)
	if err != nil {
		return err
	}
	return visited(c, &cfg, func() visit.Config { return visiting(cfg) })
}

// installedConfig makes of the command line what dial --installed HOST visits.
func installedConfig(c *ucli.Context, m mode) (survey.Config, error) {
	var cfg survey.Config
	target, err := readTarget(c, m)
	if err != nil {
		return cfg, err
	}
	common, err := target.common(c)
	if err != nil {
		return cfg, err
	}
	if cfg, err = steps(c, common); err != nil {
		return cfg, err
	}
	target.aim(&cfg, sayTo(c, ""))
	err = chooseRoles(c, m, common, target, &cfg)
	return cfg, err
}

// visiting is what a survey's config asks of a visit.
func visiting(c survey.Config) visit.Config {
	return visit.Config{
		Software: c.Software, Hostname: c.Hostname, Plan: c.Plan, Excluded: c.Excluded, Host: c.Host, Also: c.Also, OnUnresolved: c.OnUnresolved,
		Local: c.Local, Remote: c.Remote, All: c.All, Only: c.Only, Site: c.Site, Shift: c.Shift, Timeout: c.Timeout, Trace: c.Trace, Bind: c.Bind,
		OnAttempt: c.OnAttempt,
	}
}

// visited makes a visit, which is shown on the terminal by what shown puts into cfg.
func visited(c *ucli.Context, cfg *survey.Config, asks func() visit.Config) error {
	out, err := readOutputs(c, report.Paths)
	if err != nil {
		return err
	}
	old, err := readEarlier(c)
	if err != nil {
		return err
	}
	out.askedBy(cfg.Site)
	if err := out.check(); err != nil {
		return err
	}
	r, err := shown(c, cfg, 0, func() (*result.Report, error) { return visit.Run(c.Context, asks()) })
	if err != nil {
		return cli.Usage(err, "listen plan shows the ids.")
	}
	old.since(c, r)
	if err := write(out, c.App.Writer, report.Paths, r); err != nil {
		return err
	}
	if code := verdict.ExitCode(r); code != cli.ExitOK {
		return &cli.Failure{Code: code}
	}
	return nil
}

// steps is what all commands have in common.
func steps(c *ucli.Context, common cli.Common) (survey.Config, error) {
	name, err := os.Hostname()
	if err != nil {
		name = "this machine"
	}
	cfg := survey.Config{
		Software: cli.Software, Hostname: name, Plan: common.Plan, Excluded: common.Excluded,
		BothWays: cli.Bool(c, "both-ways"), Only: cli.Values(c, "only"), Shift: common.Shift, Trace: cli.Bool(c, "trace"), Gentle: cli.Bool(c, "gentle"),
		Hold: cli.Duration(c, "hold"), Timeout: cli.Duration(c, "timeout"), Bind: common.Bind,
		Site: common.Site, Enter: cli.Bool(c, "enter"), ContactPort: c.Int("contact"),
	}
	if cfg.ContactPort < 0 || cfg.ContactPort > 65535 {
		return cfg, cli.Usagef("Give the port that listen was given as --contact.", "--contact %d", cfg.ContactPort)
	}
	if cfg.Timeout <= 0 {
		return cfg, cli.Usagef("Give a time such as 4s.", "--timeout %v", cfg.Timeout)
	}
	return cfg, nil
}

// readHosts reads ID=HOST[:PORT].
func readHosts(list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, s := range list {
		id, text, ok := strings.Cut(s, "=")
		id, text = paste.Value(id), paste.Value(text)
		name, port := text, ""
		if h, p, err := net.SplitHostPort(text); err == nil {
			n, err := paste.Number(p)
			if err != nil || n < 1 || n > 65535 {
				ok = false
			}
			name, port = h, strconv.Itoa(n)
		}
		host, err := cli.Host(name)
		const write = "Write it as a row, service or role and a host, such as --host ldap=ldap.example.edu or --host oclc=127.0.0.1:8443."
		switch {
		case !ok || id == "":
			return nil, cli.Usagef(write, "--host %q", s)
		case err != nil:
			return nil, cli.Usage(fmt.Errorf("--host %q: %w", s, err), write)
		case port != "":
			host = net.JoinHostPort(host, port)
		}
		out[id] = host
	}
	return out, nil
}

func names(p *plan.Plan, name string) bool {
	if _, ok := p.Roles[plan.Role(name)]; ok {
		return true
	}
	for _, r := range p.Rows {
		if r.ID == name || r.Service == name {
			return true
		}
	}
	return false
}
