package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"dialtone/internal/cli"
	"dialtone/internal/consortium"
	"dialtone/internal/echo"
	"dialtone/internal/merge"
	"dialtone/internal/plan"
	"dialtone/internal/report"
	"dialtone/internal/result"
	"dialtone/internal/survey"
	"dialtone/internal/verdict"
)

// maxPeersAtOnce bounds --at-once: each takes connections and memory here.
const maxPeersAtOnce = 256

// peersFlags are those that mean something beside --peers alone.
var peersFlags = []string{"at-once", "progress", "again"}

// A peer is a partner of the list, and what is known of it.
type peer struct {
	plan.Partner
	cfg    survey.Config
	err    error  // why it cannot be dialed
	test   string // digest of what is tested
	report *result.Report
}

// isDone reports whether nothing is left to be tested.
func (p *peer) isDone() bool { return p.err != nil || p.report != nil && !p.report.Interrupted }

// peers runs dial odyssey --peers FILE.
func peers(c *ucli.Context) error {
	if err := checkPeersFlags(c); err != nil {
		return err
	}
	out, err := readOutputs(c, report.Matrix)
	if err != nil {
		return err
	}
	file := cli.String(c, "peers")
	list, doubts, err := plan.LoadPartners(file)
	if err != nil {
		return cli.Usage(err, "docs/consortium.md shows a list.")
	}
	for _, doubt := range doubts {
		sayTo(c, "")("%s", doubt)
	}
	l := &peerList{c: c, dir: filepath.Dir(file)}
	if err := l.prepare(list); err != nil {
		return err
	}
	out.askedBy(l.base.Site)
	if err := out.check(); err != nil {
		return err
	}
	name := cli.String(c, "progress")
	if name == "" {
		name = file + ".progress"
	}
	kept, err := cli.OpenFile(name, os.O_RDWR)
	if err != nil {
		return cli.Usage(fmt.Errorf("progress: %w", err), "Give a file that can be written with --progress.")
	}
	progress, err := consortium.Open(kept, cli.Bool(c, "again"))
	if errors.Is(err, consortium.ErrForeign) {
		return cli.Usage(err, "Give another file with --progress; this one was left as it is.")
	} else if err != nil {
		return cli.Usage(err, "Give a file that can be written with --progress.")
	}
	defer progress.Close()
	l.resume(progress, name)
	l.test(progress)
	m, err := l.matrix()
	if err != nil {
		return err
	}
	code := endWith(merge.ExitCode(m), write(out, c.App.Writer, report.Matrix, m))
	left := l.count(func(p *peer) bool { return !p.isDone() })
	var f *cli.Failure
	switch {
	case errors.As(code, &f) && f.Err != nil: // the result is not all written: nothing is to be lost
	case left > 0:
		sayTo(c, "")("interrupted: %d of %d partners are left. The same command goes on with them; %s has the others.", left, len(l.peers), name)
	default:
		if err := progress.Remove(); err != nil {
			sayTo(c, "")("%v: remove it, or the next run takes its reports for its own", err)
		}
	}
	return code
}

// checkPeersFlags refuses what does not go with a list.
func checkPeersFlags(c *ucli.Context) error {
	wait, err := readWait(c)
	if err != nil {
		return err
	}
	if args := c.Args().Slice(); len(args) > 0 {
		return cli.Usagef("Leave one of the two out; a partner's invitation belongs into the list.", "--peers and %.60q: the list has the partners", args[0])
	}
	if wait > 0 {
		return cli.Usagef("Use --wait with one PEER. With --peers each partner has to run listen when you test.", "--wait does not go with --peers")
	}
	if cli.Bool(c, "installed") {
		return cli.Usagef("Use --installed with one PEER.", "--installed does not go with --peers")
	}
	if cli.String(c, "compare") != "" {
		return cli.Usagef("Compare the reports of two runs with one PEER: dial compare OLD NEW.", "--compare does not go with --peers")
	}
	if n := cli.Int(c, "at-once"); n < 1 || n > maxPeersAtOnce {
		return cli.Usagef(fmt.Sprintf("Give a number from 1 to %d.", maxPeersAtOnce), "--at-once %d", n)
	}
	return nil
}

// refusePeersFlags refuses flags that only a list gives a meaning.
func refusePeersFlags(c *ucli.Context) error {
	for _, name := range peersFlags {
		if cli.IsGiven(c, name) {
			return cli.Usagef("Leave it out, or give --peers FILE with the list.", "--%s is for a list of partners", name)
		}
	}
	return nil
}

// A peerList is the partners of one run.
type peerList struct {
	c     *ucli.Context
	dir   string        // of the list: files in it are relative to that
	base  survey.Config // of a partner without an invitation, but for host and key
	peers []*peer
}

// prepare makes the survey of each partner. A partner whose invitation is of no
// use does not keep the others from being tested.
func (l *peerList) prepare(list []plan.Partner) error {
	common, err := cli.ReadCommon(l.c)
	if err != nil {
		return err
	}
	if l.base, err = proving(l.c, modeOdyssey, common, target{}, nil); err != nil {
		return err
	}
	if _, err := flowsOf(l.base); err != nil {
		return cli.Usage(err, "listen plan shows the ids.")
	}
	if common.KeyText != "" {
		if l.base.Key, err = common.Key(); err != nil {
			return err
		}
	}
	for _, p := range list {
		if p.Invitation == "" && common.KeyText == "" && !p.KindOf().Hosted {
			return cli.Usagef("Give --key (or DIALTONE_KEY, or --key-file) for those without an invitation, or add the invitations to the list.", "line %d: %s has no invitation, and there is no key", p.Line, p.Name)
		}
		l.peers = append(l.peers, &peer{Partner: p})
	}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0)) // each stretches a key
	for _, p := range l.peers {
		g.Go(func() error {
			if p.cfg, p.err = l.configure(p.Partner); p.err == nil {
				p.test, p.err = digest(p.cfg)
			}
			return nil
		})
	}
	return g.Wait()
}

// configure makes the survey of one partner.
func (l *peerList) configure(p plan.Partner) (survey.Config, error) {
	cfg := l.base
	var t target
	say := sayTo(l.c, p.Name)
	if p.Invitation != "" {
		text := p.Invitation
		if file, ok := strings.CutPrefix(text, "@"); ok {
			if !filepath.IsAbs(file) {
				file = filepath.Join(l.dir, file)
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
		common, err := cli.ReadInvitedOf(l.c, *t.invitation)
		if err != nil {
			return cfg, err
		}
		if cfg, err = proving(l.c, modeOdyssey, common, t, say); err != nil {
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
	return cfg, ofKind(&cfg, p)
}

func flowsOf(cfg survey.Config) ([]plan.Flow, error) {
	flows, _, err := cfg.Plan.Select(plan.Query{Local: cfg.Local, Remote: cfg.Remote, BothWays: cfg.BothWays, Only: cfg.Only})
	return flows, err
}

// digest tells this test from others.
func digest(cfg survey.Config) (string, error) {
	flows, err := flowsOf(cfg)
	if err != nil {
		return "", err
	}
	t := consortium.Test{
		Hosts: append([]string{cfg.Host}, cfg.Also...), Plan: cfg.Plan.Digest(), Shift: cfg.Shift,
		Bind: cfg.Bind, Timeout: cfg.Timeout, Hold: cfg.Hold, Key: cfg.Key.Derive("progress of dial odyssey --peers")[:2],
	}
	for _, f := range flows {
		t.Flows = append(t.Flows, consortium.Flow{Row: f.Row.ID, Direction: string(f.Direction), Port: f.Row.Port, Counted: f.Counted})
	}
	return t.Digest(), nil
}

// resume takes over what an interrupted run has tested.
func (l *peerList) resume(progress *consortium.Progress, name string) {
	known := 0
	for _, p := range l.peers {
		if p.err == nil {
			if p.report = progress.Report(p.Name, p.test); p.report != nil {
				known++
			}
		}
	}
	if known > 0 {
		sayTo(l.c, "")("%d of %d partners were tested by a run that was interrupted, and are not tested again (%s; --again does).", known, len(l.peers), name)
	}
}

// test tests those that are left.
func (l *peerList) test(progress *consortium.Progress) {
	var configs []survey.Config
	var of []*peer
	for _, p := range l.peers {
		if !p.isDone() && !p.KindOf().Hosted {
			configs, of = append(configs, p.cfg), append(of, p)
		}
	}
	line := newTallyLine(l.c.App.ErrWriter, len(l.peers))
	defer line.end()
	line.show(l.tally())
	l.visitHosted(func() { line.show(l.tally()) })
	if len(of) == 0 {
		return
	}
	kept := true
	survey.RunAll(l.c.Context, configs, cli.Int(l.c, "at-once"), func(i int, r *result.Report, err error) {
		p := of[i]
		if p.report, p.err = r, err; err == nil && !r.Interrupted && kept {
			if err := progress.Add(p.Name, p.test, r); err != nil {
				kept = false
				line.end()
				sayTo(l.c, "")("%v: if this run is interrupted, those tested from now on will be tested again", err)
			}
		}
		line.show(l.tally())
	})
}

// tally counts those that are done, and those of them with trouble.
func (l *peerList) tally() (done, trouble int) {
	return l.count((*peer).isDone), l.count(func(p *peer) bool { return p.isDone() && (p.err != nil || !p.report.Summary.OK) })
}

func (l *peerList) count(is func(*peer) bool) int {
	n := 0
	for _, p := range l.peers {
		if is(p) {
			n++
		}
	}
	return n
}

// matrix lays the reports side by side, in the list's order. A partner that was
// not tested has a row that says so.
func (l *peerList) matrix() (*result.Matrix, error) {
	var in []merge.Input
	var left []string
	for _, p := range l.peers {
		r := p.report
		var err error
		switch {
		case p.err != nil:
			r, err = l.notTested(p, verdict.NotDialed(p.err))
		case r == nil:
			left = append(left, p.Name)
			r, err = l.notTested(p, verdict.NotItsTurn())
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
			return nil, cli.Usage(err, "listen plan shows the ids.")
		}
		if p.Sends != "" {
			told := *r
			told.Findings = append(slices.Clone(r.Findings), verdict.SendsFrom(r, p.Name, strings.Fields(p.Sends))...)
			r = &told
		}
		in = append(in, merge.Input{Name: p.Name, Report: r})
	}
	m := merge.Tabulate(cli.Software, in)
	if len(left) > 0 {
		m.Findings = slices.Insert(m.Findings, 0, verdict.Unfinished(left))
		m.Summary.OK = false
	}
	return m, nil
}

// notTested is the report of a partner that was not dialed.
func (l *peerList) notTested(p *peer, f result.Finding) (*result.Report, error) {
	cfg := p.cfg
	if p.err != nil {
		cfg = l.base
		cfg.Host, cfg.Key = p.Host, echo.Key{}
	}
	return survey.NotRun(cfg, f)
}
