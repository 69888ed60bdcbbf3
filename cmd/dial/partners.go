package main

import (
	"context"
	"path/filepath"
	"runtime"
	"strings"

	ucli "github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"dialtone/internal/cli"
	"dialtone/internal/consortium"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/survey"
	"dialtone/internal/visit"
)

// prepare makes the survey of each partner of a list in a folder. A partner whose
// invitation is of no use does not keep the others from being tested.
func prepare(c *ucli.Context, dir string, list []plan.Partner) (*consortium.List, error) {
	common, err := cli.ReadCommon(c)
	if err != nil {
		return nil, err
	}
	base, err := proving(c, modeOdyssey, common, target{}, nil)
	if err != nil {
		return nil, err
	}
	if _, err := consortium.FlowsOf(base); err != nil {
		return nil, cli.Usage(err, "listen plan shows the ids.")
	}
	if common.KeyText != "" {
		if base.Key, err = common.Key(); err != nil {
			return nil, err
		}
	}
	l := &consortium.List{Software: cli.Software, Base: base, AtOnce: cli.Int(c, "at-once"), Visit: func(ctx context.Context, cfg survey.Config) (*result.Report, error) {
		return visit.Run(ctx, visiting(cfg))
	}}
	for _, p := range list {
		if p.Invitation == "" && common.KeyText == "" && !p.KindOf().Hosted {
			return nil, cli.Usagef("Give --key (or DIALTONE_KEY, or --key-file) for those without an invitation, or add the invitations to the list.", "line %d: %s has no invitation, and there is no key", p.Line, p.Name)
		}
		l.Partners = append(l.Partners, &consortium.Partner{Partner: p})
	}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0)) // each stretches a key
	for _, p := range l.Partners {
		g.Go(func() error {
			p.Prepare(partnersOwn(c, dir, base, p.Partner))
			return nil
		})
	}
	return l, g.Wait()
}

// partnersOwn is the survey of one partner.
func partnersOwn(c *ucli.Context, dir string, base survey.Config, p plan.Partner) (survey.Config, error) {
	cfg := base
	var t target
	say := sayTo(c, p.Name)
	if p.Invitation != "" {
		text := p.Invitation
		if file, ok := strings.CutPrefix(text, "@"); ok {
			if !filepath.IsAbs(file) {
				file = filepath.Join(dir, file)
			}
			var err error
			if text, err = readLetter(file); err != nil {
				return cfg, err
			}
		}
		var err error
		if t, err = invited(text, say); err != nil {
			return cfg, err
		}
		common, err := cli.ReadInvitedOf(c, *t.invitation)
		if err != nil {
			return cfg, err
		}
		if cfg, err = proving(c, modeOdyssey, common, t, say); err != nil {
			return cfg, err
		}
		if cfg.Key, err = common.Key(); err != nil {
			return cfg, err
		}
	}
	if p.Host != "" {
		host, err := cli.Host(p.Host)
		if err != nil {
			return cfg, err
		}
		target{host: host}.aim(&cfg, say)
	}
	return cfg, nil
}
