package consortium

import (
	"context"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"dialtone/internal/echo"
	"dialtone/internal/merge"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/survey"
	"dialtone/internal/verdict"
)

// A List is the partners of one run.
type List struct {
	Software string        // name and version of this program
	Base     survey.Config // of a partner without an invitation, but for host and key
	Partners []*Partner
	AtOnce   int // partners that are tested side by side
	// Visit asks what runs at a partner where nobody can run listen, in its own
	// language.
	Visit func(context.Context, survey.Config) (*result.Report, error)
	// OnDone is told of each partner that is done, one at a time; OnNotKept, once, why
	// the progress of those from now on is not kept.
	OnDone    func()
	OnNotKept func(error)
}

// Resume takes over what an interrupted run has tested, and returns of how many
// partners that is.
func (l *List) Resume(progress *Progress) (known int) {
	for _, p := range l.Partners {
		if p.Err == nil {
			if p.Report = progress.Report(p.Name, p.test); p.Report != nil {
				known++
			}
		}
	}
	return known
}

// Test tests those that are left. When ctx ends, the others stay as they are.
func (l *List) Test(ctx context.Context, progress *Progress) {
	var configs []survey.Config
	var of []*Partner
	for _, p := range l.Partners {
		if !p.IsDone() && !p.KindOf().Hosted {
			configs, of = append(configs, p.Config), append(of, p)
		}
	}
	l.visitHosted(ctx)
	if len(of) == 0 {
		return
	}
	kept := true
	runAll(ctx, configs, l.AtOnce, func(i int, r *result.Report, err error) {
		p := of[i]
		if p.Report, p.Err = r, err; err == nil && !r.Interrupted && kept {
			if err := progress.Add(p.Name, p.test, r); err != nil {
				kept = false
				l.OnNotKept(err)
			}
		}
		l.OnDone()
	})
}

// visitHosted asks what runs at partners where nobody can run listen, in its own
// language. What they would send is left untested: only their own delivery shows
// that it arrives.
func (l *List) visitHosted(ctx context.Context) {
	var g errgroup.Group
	var telling sync.Mutex
	g.SetLimit(l.AtOnce)
	for _, p := range l.Partners {
		if p.IsDone() || !p.KindOf().Hosted {
			continue
		}
		g.Go(func() error {
			r, err := l.visitOne(ctx, p)
			telling.Lock()
			defer telling.Unlock()
			p.Report, p.Err = r, err
			l.OnDone()
			return nil
		})
	}
	_ = g.Wait() // whatever went wrong is the partner's own
}

func (l *List) visitOne(ctx context.Context, p *Partner) (*result.Report, error) {
	flows, err := FlowsOf(p.Config)
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
	waits := p.Config
	waits.Only = reverse
	r := &result.Report{}
	if len(reverse) > 0 {
		if r, err = survey.NotRun(waits, onlySends(p.KindOf().Title, strings.Fields(p.Sends))); err != nil {
			return nil, err
		}
	}
	arrivals := slices.Clone(r.Paths)
	for i := range arrivals {
		arrivals[i].Counted = false // nothing that this end can do makes it ok
	}
	if len(forward) > 0 {
		asks := p.Config
		asks.Only = forward
		if r, err = l.Visit(ctx, asks); err != nil {
			return nil, err
		}
		r.Paths = append(r.Paths, arrivals...)
	} else {
		r.Paths, r.Mode, r.Tag = arrivals, result.ModeInstalled, "" // no key was needed
	}
	verdict.Summarize(r)
	return r, nil
}

// Tally counts those that are done, and those of them with trouble.
func (l *List) Tally() (done, trouble int) {
	return l.count((*Partner).IsDone), l.count((*Partner).isTroubled)
}

// Left is how many are still to be tested.
func (l *List) Left() int { return len(l.Partners) - l.count((*Partner).IsDone) }

func (l *List) count(is func(*Partner) bool) int {
	n := 0
	for _, p := range l.Partners {
		if is(p) {
			n++
		}
	}
	return n
}

// Matrix lays the reports side by side, in the list's order. A partner that was
// not tested has a row that says so.
func (l *List) Matrix() (*result.Matrix, error) {
	var in []merge.Input
	var left []string
	for _, p := range l.Partners {
		r := p.Report
		var err error
		switch {
		case p.Err != nil:
			r, err = l.notTested(p, notDialed(p.Err))
		case r == nil:
			left = append(left, p.Name)
			r, err = l.notTested(p, notItsTurn())
			if err == nil {
				r.Findings = nil // one for all is enough
			}
		case r.Interrupted:
			left = append(left, p.Name)
			whole := *r
			whole.Interrupted = false
			r = &whole
		}
		if err != nil {
			return nil, err
		}
		if p.Sends != "" {
			told := *r
			told.Findings = append(slices.Clone(r.Findings), sendsFrom(r, p.Name, strings.Fields(p.Sends))...)
			r = &told
		}
		in = append(in, merge.Input{Name: p.Name, Report: r})
	}
	m := merge.Tabulate(l.Software, in)
	if len(left) > 0 {
		m.Findings = slices.Insert(m.Findings, 0, unfinished(left))
		m.Summary.OK = false
	}
	return m, nil
}

// notTested is the report of a partner that was not dialed.
func (l *List) notTested(p *Partner, f result.Finding) (*result.Report, error) {
	cfg := p.Config
	if p.Err != nil {
		cfg = l.Base
		cfg.Host, cfg.Key = p.Host, echo.Key{}
	}
	return survey.NotRun(cfg, f)
}
