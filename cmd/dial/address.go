package main

import (
	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/address"
	"dialtone/internal/cli"
	"dialtone/internal/report"
)

func addressFlags() []ucli.Flag {
	return append(append(cli.CommonFlags(),
		&ucli.StringSliceFlag{Name: "stun", Usage: "ask this STUN server, `URI` such as stun:stun.example.org or stun:192.0.2.1:3478?transport=tcp (repeatable; TCP and UDP by default)"},
		&ucli.StringSliceFlag{Name: "published", Usage: "the `ADDR` or name that partners are told, to be compared (repeatable)"},
		verboseFlag("also tell who saw what, and how the address is translated"),
		timeoutFlag("how long each question may take, `DURATION`"),
	), outputFlags(report.Address)...)
}

// addresses runs dial address.
func addresses(c *ucli.Context) error {
	out, err := readOutputs(c, report.Address)
	if err != nil {
		return err
	}
	cfg, err := configureAddress(c)
	if err != nil {
		return err
	}
	if err := out.check(); err != nil {
		return err
	}
	r := address.Run(c.Context, cfg)
	if err := write(out, c.App.Writer, report.Address, r); err != nil {
		return err
	}
	if len(r.Seen) == 0 {
		return &cli.Failure{Code: cli.ExitNothing}
	}
	return nil
}

// configureAddress makes a run of the command line.
func configureAddress(c *ucli.Context) (address.Config, error) {
	var cfg address.Config
	var t target
	var err error
	if c.Args().Present() {
		if t, err = readTarget(c, modeHost); err != nil {
			return cfg, err
		}
	}
	common, err := t.common(c)
	if err != nil {
		return cfg, err
	}
	all, err := steps(c, common)
	if err != nil {
		return cfg, err
	}
	cfg = address.Config{
		Software: all.Software, Hostname: all.Hostname, Plan: all.Plan, Shift: all.Shift, Bind: all.Bind, Timeout: all.Timeout,
	}
	uris := cli.Values(c, "stun")
	if len(uris) > address.MaxServers {
		return cfg, cli.Usagef("Name the few whose answers you want to compare.", "%d STUN servers, of which %d at most are asked", len(uris), address.MaxServers)
	}
	for _, uri := range uris {
		s, err := address.ParseServer(uri)
		if err != nil {
			return cfg, cli.Usage(err, "")
		}
		cfg.Servers = append(cfg.Servers, s)
	}
	for _, p := range cli.Strings(c, "published") {
		if p, err = cli.Host(p); err != nil {
			return cfg, err
		}
		cfg.Published = append(cfg.Published, p)
	}
	if t.host == "" && len(cfg.Servers) == 0 {
		return cfg, cli.Usagef("Name a STUN server, --stun stun:stun.example.org, or a machine that runs listen, --key WORDS HOST.", "nobody to ask")
	}
	if cfg.Host = t.host; t.host != "" {
		cfg.Key, err = readKey(common)
	}
	return cfg, err
}
