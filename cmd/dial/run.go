package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/echo"
	"dialtone/internal/logon"
	"dialtone/internal/paste"
	"dialtone/internal/plan"
	"dialtone/internal/report"
	"dialtone/internal/result"
	"dialtone/internal/survey"
	"dialtone/internal/verdict"
)

func run(c *ucli.Context, m mode) error {
	if m == modeOdyssey && cli.String(c, "peers") != "" {
		return peers(c)
	}
	if err := refusePeersFlags(c); err != nil {
		return err
	}
	if cli.Bool(c, "installed") {
		return installed(c, m)
	}
	out, err := readOutputs(c, report.Paths)
	if err != nil {
		return err
	}
	cfg, err := configure(c, m)
	if err != nil {
		return err
	}
	wait, err := readWait(c)
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
	r, err := test(c, cfg, wait)
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

// test makes the run.
func test(c *ucli.Context, cfg survey.Config, wait time.Duration) (*result.Report, error) {
	if wait > 0 {
		return meet(c.Context, c.App.ErrWriter, cfg, wait)
	}
	if cli.Bool(c, "verbose") {
		sayTo(c, "")("this run ends by itself within %v", cfg.Longest().Round(time.Second))
	}
	r, err := shown(c, &cfg, cfg.Longest(), func() (*result.Report, error) { return survey.Run(c.Context, cfg) })
	if err == nil && cli.Bool(c, "verbose") {
		sayTo(c, "")("%s", verdict.SampleWords(r))
	}
	return r, err
}

// configure makes a survey of the command line.
func configure(c *ucli.Context, m mode) (survey.Config, error) {
	var cfg survey.Config
	target, err := readTarget(c, m)
	if err != nil {
		return cfg, err
	}
	common, err := target.common(c)
	if err != nil {
		return cfg, err
	}
	key, err := readKey(common)
	if err != nil {
		return cfg, err
	}
	if cfg, err = proving(c, m, common, target, sayTo(c, "")); err != nil {
		return cfg, err
	}
	cfg.Key = key
	return cfg, nil
}

// proving makes a survey that proves paths to a target, but for the key.
func proving(c *ucli.Context, m mode, common cli.Common, t target, say func(string, ...any)) (survey.Config, error) {
	cfg, err := steps(c, common)
	if err != nil {
		return cfg, err
	}
	t.aim(&cfg, say)
	if cfg.Hold < 0 || cfg.Hold > echo.MaxHold || cfg.Hold > 0 && cfg.Hold < time.Second {
		return cfg, cli.Usagef("Give a time between 1s and 24h, such as 30m.", "--hold %v", cfg.Hold)
	}
	return cfg, chooseRoles(c, m, common, t, &cfg)
}

// readKey stretches the key, which must be given.
func readKey(common cli.Common) (echo.Key, error) {
	if common.KeyText == "" {
		return echo.Key{}, cli.Usagef("Give --key with the words that listen printed (or set DIALTONE_KEY, or --key-file), or the invitation in place of the host.", "no key")
	}
	return common.Key()
}

// chooseRoles says who plays what.
func chooseRoles(c *ucli.Context, m mode, common cli.Common, t target, cfg *survey.Config) error {
	roles := cli.Values(c, "role")
	var err error
	switch {
	case m == modeOdyssey:
		if len(roles) > 0 {
			return cli.Usagef("dial odyssey is always server to server; leave --role out, or use dial without odyssey.", "--role %s", strings.Join(roles, ","))
		}
		cfg.Local, cfg.Remote = []plan.Role{plan.RoleServer}, []plan.Role{plan.RolePeer}
		if err := t.limit(cfg); err != nil {
			return err
		}
		if len(cfg.Only) == 0 {
			cfg.Only = slices.Clone(odysseyRows)
		}
		for _, r := range slices.Concat(cfg.Local, cfg.Remote) {
			if _, ok := cfg.Plan.Roles[r]; !ok {
				return cli.Usagef("Use a plan that has it, such as illiad.", "plan %s has no role %q", cfg.Plan.Name, r)
			}
		}
		return nil
	case slices.Equal(roles, []string{"all"}):
		cfg.All = true
	case len(roles) == 0:
		roles = []string{string(plan.RoleClient)}
		fallthrough
	default:
		if cfg.Local, err = plan.ParseRoles(cfg.Plan, roles); err != nil {
			return cli.Usage(err, "--role all takes every row.")
		}
	}
	if conn, ok := logon.Find(); ok && slices.Contains(cfg.Local, plan.RoleClient) {
		if words := logonWords(conn, cfg.Host); words != "" {
			sayTo(c, "")("%s", words)
		}
	}
	if common.Site != nil {
		cfg.Remote = common.Site.RolesOf(cfg.Host)
	}
	return nil
}

// readHost checks the one argument.
func readHost(c *ucli.Context, m mode) (string, error) {
	what := "HOST"
	if m == modeOdyssey {
		what = "PEER"
	}
	if c.Args().Present() {
		if err := notFile(c.Args().First()); err != nil {
			return "", err
		}
	}
	args, err := cli.Positional(c, 1)
	if err != nil {
		return "", err
	}
	if len(args) == 0 || paste.Value(args[0]) == "" {
		return "", cli.Usagef(fmt.Sprintf("Name the machine that runs listen: %s --key WORDS %s", strings.TrimSpace(c.App.Name+" "+strings.TrimPrefix(c.Command.Name, c.App.Name)), what), "no %s", what)
	}
	host, err := cli.Host(args[0])
	if meant := cli.Slip(c.App, host); m == modeHost && meant != "" {
		sayTo(c, "")("%s is taken for the name of a machine; the subcommand is written %s %s.", host, c.App.Name, meant)
	}
	if info, gone := os.Stat(args[0]); err == nil && gone == nil && info.Mode().IsRegular() {
		sayTo(c, "")("%s is taken for the name of a machine; if the file is meant, write @%s.", host, args[0])
	}
	return host, err
}
