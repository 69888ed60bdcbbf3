package main

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"dialtone/internal/cli"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/survey"
	"dialtone/internal/verdict"
	"dialtone/internal/visit"
)

// ofKind limits a partner's survey to the rows that there are with what it runs,
// on its own port.
func ofKind(cfg *survey.Config, p plan.Partner) error {
	flows, err := flowsOf(*cfg)
	if err != nil {
		return err
	}
	kind := p.KindOf()
	rows := kind.RowsOf(flows)
	if len(rows) == 0 {
		return fmt.Errorf("nothing is to be tested with %s: none of the rows asked for is between it and this server", kind.Title)
	}
	cfg.Only = rows
	if p.Port == 0 {
		return nil
	}
	ports := map[string]int{}
	for _, f := range flows {
		if f.Direction == plan.Forward && len(kind.Takes) > 0 && f.Row.Service == kind.Takes[0] {
			ports[f.Row.ID] = p.Port
		}
	}
	cfg.Plan, _, err = cfg.Plan.Apply(plan.Change{Ports: ports})
	return err
}

// visitHosted asks what runs at partners where nobody can run listen, in its own
// language. What they would send is left untested: only their own delivery shows
// that it arrives.
func (l *peerList) visitHosted(done func()) {
	var g errgroup.Group
	g.SetLimit(cli.Int(l.c, "at-once"))
	for _, p := range l.peers {
		if p.isDone() || !p.KindOf().Hosted {
			continue
		}
		g.Go(func() error {
			p.report, p.err = l.visitOne(p)
			done()
			return nil
		})
	}
	_ = g.Wait() // whatever went wrong is the partner's own
}

func (l *peerList) visitOne(p *peer) (*result.Report, error) {
	flows, err := flowsOf(p.cfg)
	if err != nil {
		return nil, err
	}
	var forward, reverse []string
	for _, f := range flows {
		if f.Direction == plan.Forward {
			forward = append(forward, f.Row.ID)
		} else {
			reverse = append(reverse, f.Row.ID)
		}
	}
	waits := p.cfg
	waits.Only = reverse
	r := &result.Report{}
	if len(reverse) > 0 {
		if r, err = survey.NotRun(waits, verdict.OnlySends(p.KindOf().Title, strings.Fields(p.Sends))); err != nil {
			return nil, err
		}
	}
	arrivals := slices.Clone(r.Paths)
	for i := range arrivals {
		arrivals[i].Counted = false // nothing that this end can do makes it ok
	}
	if len(forward) > 0 {
		asks := p.cfg
		asks.Only = forward
		if r, err = visit.Run(l.c.Context, visiting(asks)); err != nil {
			return nil, err
		}
		r.Paths = append(r.Paths, arrivals...)
	} else {
		r.Paths, r.Mode, r.Tag = arrivals, result.ModeInstalled, "" // no key was needed
	}
	verdict.Summarize(r)
	return r, nil
}
