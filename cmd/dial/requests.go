package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/dialect"
	"dialtone/internal/paste"
	"dialtone/internal/plan"
	"dialtone/internal/report"
	"dialtone/internal/request"
)

// requestFlags say how requests to a firewall team are written.
func requestFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringFlag{Name: "dialect", Value: dialect.Text, Usage: "in requests, write rules as `D` wants them: " + strings.Join(dialect.Names(), ", ")},
		&ucli.StringSliceFlag{Name: "as-subnet", Usage: "in requests, ask for the subnet of the machines that ran dial in place of their addresses: a `LENGTH` such as 24, or a network such as 10.2.8.0/22 (repeatable)"},
		&ucli.StringFlag{Name: "until", Usage: "in requests, ask until this `DATE`, such as 2026-12-31, and not for good"},
	}
}

// readRequests reads how requests are written. A command without such flags has the
// defaults.
func readRequests(c *ucli.Context) (report.Options, error) {
	o := report.Options{Ask: request.Options{Local: time.Local}}
	d, err := dialect.Find(paste.Value(cli.String(c, "dialect")))
	if err != nil && cli.String(c, "dialect") != "" {
		return o, cli.Usage(fmt.Errorf("--dialect: %w", err), "")
	}
	o.Dialect = d.Name
	if o.Ask.Subnets, err = request.ParseSubnets(cli.Values(c, "as-subnet")); err != nil {
		return o, cli.Usage(fmt.Errorf("--as-subnet: %w", err), "Give a length such as 24, or a network such as 10.2.8.0/22.")
	}
	if o.Ask.Until = paste.Value(cli.String(c, "until")); o.Ask.Until != "" {
		day, err := time.ParseInLocation(time.DateOnly, o.Ask.Until, time.Local)
		if err == nil && day.AddDate(0, 0, 1).Before(time.Now()) {
			err = errors.New("that day is over")
		}
		if err != nil {
			return o, cli.Usage(fmt.Errorf("--until %q: %w", o.Ask.Until, err), "Give the last day on which it is needed, such as 2026-12-31.")
		}
	}
	return o, nil
}

// askedBy says who asks; nil: the site has no file.
func (o *outputs) askedBy(s *plan.Site) {
	if s != nil {
		o.opts.Ask.Asker = request.Asker{Name: s.Name, Institution: s.Institution, Contact: s.Contact}
	}
}

// readAsker reads who asks for a command that needs a site file for nothing else.
func (o *outputs) readAsker(c *ucli.Context) error {
	file := cli.String(c, "site")
	if file == "" {
		return nil
	}
	p, err := plan.Load(cli.String(c, "plan"))
	if err != nil {
		return cli.Usage(err, "")
	}
	s, err := plan.LoadSite(file, p)
	if err != nil {
		return cli.Usage(err, "")
	}
	o.askedBy(s)
	return nil
}

// sayUnused says so where something was said of requests, and none are written.
func (o *outputs) sayUnused(c *ucli.Context) {
	if o.format == report.Requests || slices.Contains(slices.Collect(maps.Values(o.files)), report.Requests) {
		return
	}
	for _, f := range requestFlags() {
		if name := f.Names()[0]; cli.IsGiven(c, name) {
			sayTo(c, "")("--%s is of use in requests only: add --format requests, or --out FILE.requests.", name)
		}
	}
}
