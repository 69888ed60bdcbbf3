package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/merge"
	"dialtone/internal/paste"
	"dialtone/internal/report"
	"dialtone/internal/result"
	"dialtone/internal/survey"
	"dialtone/internal/visit"
	"dialtone/internal/watch"
)

// lastRun is how long a run that was interrupted is waited for, and what is being
// written then.
const lastRun = 800 * time.Millisecond

func watchFlags() []ucli.Flag {
	skip := []string{"compare", "format", "out", "hold", "verbose", "gentle", "dialect", "as-subnet", "until"}
	flags := slices.DeleteFunc(dialFlags(), func(f ucli.Flag) bool { return slices.Contains(skip, f.Names()[0]) })
	return append(flags,
		&ucli.BoolFlag{Name: "gentle", Value: true, Usage: "open connections one after the other, and no more than needed; --gentle=false: as a single run does"},
		&ucli.DurationFlag{Name: "every", Value: 15 * time.Minute, Usage: "begin a run every `DURATION`; one that takes longer is not overlapped"},
		&ucli.DurationFlag{Name: "jitter", Usage: "begin each up to `DURATION` later, by chance, so that many machines do not begin at once", DefaultText: "a tenth of --every"},
		&ucli.StringFlag{Name: "history", Usage: "keep what changed, and the newest report, in `FILE`, bounded, this user's alone; the next dial watch goes on from there"},
		&ucli.StringFlag{Name: "metrics", Usage: "answer Prometheus at http://`ADDR:PORT`/metrics; a port alone is on 127.0.0.1"},
		&ucli.StringFlag{Name: "format", Value: "text", Usage: "`FORMAT` of what changed, on standard output: text, or json (a line for each change)"},
	)
}

// A watching is a test that is repeated.
type watching struct {
	c       *ucli.Context
	json    bool
	screen  io.Writer
	file    string // of the history; "": none
	history *watch.History
	metrics watch.Metrics
	watched report.Watched
	failing bool // the history could not be written
}

// watchPaths runs dial watch.
func watchPaths(c *ucli.Context) error {
	every, jitter := cli.Duration(c, "every"), cli.Duration(c, "jitter")
	if !cli.IsGiven(c, "jitter") {
		jitter = every / 10
	}
	if every < time.Second || every > 31*24*time.Hour {
		return cli.Usagef("Give a time from 1s to 744h, such as 15m.", "--every %v", every)
	}
	if jitter < 0 || jitter >= every {
		return cli.Usagef("Give a time that is shorter than --every, or 0s.", "--jitter %v", jitter)
	}
	format := paste.Value(cli.String(c, "format"))
	if format != "text" && format != "json" {
		return cli.Usagef("Use text or json. --metrics has the form of prometheus.", "--format %q", format)
	}
	cfg, test, err := watchTest(c)
	if err != nil {
		return err
	}
	w := &watching{c: c, json: format == "json", file: cli.String(c, "history"), watched: report.Watched{Every: every, Changes: map[result.Change]int{}}}
	w.history = watch.NewHistory(cfg.Plan.Name, cfg.Host)
	if w.file != "" {
		if err := readHistory(w.file, w.history); err != nil {
			return err
		}
	}
	if err := w.serve(); err != nil {
		return err
	}
	defer w.metrics.Close()
	// Who does not read what it shows must not keep it from testing.
	screen := cli.NewSpool(c.App.Writer)
	w.screen = screen
	defer screen.Close(lastRun / 2)

	ended := make(chan error, 1)
	var last *result.Report
	if w.history.Report != nil {
		last = merge.Sound(w.history.Report)
	}
	go func() {
		ended <- watch.Run(c.Context, watch.Config{
			Every: every, Jitter: jitter, Last: last, Compare: compared, OnRun: w.ran, Test: test,
			OnTrouble: func(err error) { sayTo(c, "")("%v", err) },
		})
	}()
	select {
	case err = <-ended:
	case <-c.Context.Done():
		select {
		case err = <-ended:
		case <-time.After(lastRun):
		}
	}
	if err != nil {
		return cli.Usage(err, "listen plan shows the ids.")
	}
	return nil
}

// watchTest is the test that the command line asks for.
func watchTest(c *ucli.Context) (survey.Config, func(context.Context) (*result.Report, error), error) {
	if !cli.Bool(c, "installed") {
		cfg, err := configure(c, modeHost)
		return cfg, func(ctx context.Context) (*result.Report, error) { return survey.Run(ctx, cfg) }, err
	}
	cfg, err := installedConfig(c, modeHost)
	return cfg, func(ctx context.Context) (*result.Report, error) { return visit.Run(ctx, visiting(cfg)) }, err
}

// serve begins to answer Prometheus.
func (w *watching) serve() error {
	addr := paste.Value(cli.String(w.c, "metrics"))
	if addr == "" {
		return nil
	}
	if _, err := paste.Number(addr); err == nil {
		addr = ":" + addr
	}
	if strings.HasPrefix(addr, ":") {
		addr = "127.0.0.1" + addr
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return cli.Usage(fmt.Errorf("--metrics: %w", err), "Give a free port, such as 9977, or an address of this machine and a port, such as 192.0.2.10:9977.")
	}
	w.metrics.Set(report.RenderWatched(nil, w.watched))
	w.metrics.Serve(l)
	sayTo(w.c, "")("metrics at http://%s/metrics", l.Addr())
	return nil
}

// ran takes in a run. The history and the metrics have it before anybody is told, so
// that who acts on a line finds both to say the same.
func (w *watching) ran(r *result.Report, d *result.Comparison) {
	changes := watch.Told(d)
	events := w.history.Add(r, changes)
	w.watched.Runs++
	for _, x := range changes {
		w.watched.Changes[x.Change]++
	}
	if w.file != "" {
		err := cli.CheckPlain(w.file)
		if err == nil {
			err = cli.WritePrivate(w.file, w.history.Bytes())
		}
		if err != nil {
			w.watched.NotKept++
		}
		if err != nil && !w.failing {
			sayTo(w.c, "")("the history cannot be written: %v. The test goes on; what changes is shown, and written once it can be.", err)
		}
		w.failing = err != nil
	}
	w.metrics.Set(report.RenderWatched(r, w.watched))
	for _, e := range events {
		fmt.Fprintf(w.screen, "%s\n", w.line(d, e))
	}
}

func (w *watching) line(d *result.Comparison, e watch.Event) string {
	at := e.At.UTC().Format("2006-01-02 15:04:05 UTC")
	switch {
	case w.json:
		return string(watch.Line(e))
	case e.Path == nil:
		return fmt.Sprintf("%s  %d of %d required paths are ok", at, e.Counted-e.Failed, e.Counted)
	}
	s := at + "  " + report.ChangeLine(d, *e.Path)
	if p := e.Path.New; p != nil && !p.OK && p.Finding != nil {
		s += strings.TrimRight("\n    "+p.Finding.Text+"\n    "+p.Finding.Advice, " \n")
	}
	return s
}

const historyHint = "Give with --history a file of its own for each dial watch, or the name of one that is not there yet."

// readHistory reads the history of an earlier dial watch, if there is one.
func readHistory(name string, h *watch.History) error {
	err := cli.CheckPlain(name)
	if err == nil {
		err = cli.CheckFile(name)
	}
	if err != nil {
		return cli.Usage(fmt.Errorf("--history: %w", err), historyHint)
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return cli.Usage(fmt.Errorf("--history: %w", err), historyHint)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, watch.MaxHistory+1))
	if err == nil && len(b) > watch.MaxHistory {
		err = watch.ErrForeign
	}
	if err == nil && len(b) > 0 {
		err = h.Read(b)
	}
	switch {
	case errors.Is(err, watch.ErrForeign), errors.Is(err, watch.ErrOther):
		return cli.Usage(fmt.Errorf("--history %s: %w", name, err), historyHint+" This one was left as it is.")
	case err != nil:
		return cli.Usage(fmt.Errorf("--history %s: %w", name, err), "Move it away, and dial watch begins another; what is in it can still be read.")
	}
	return nil
}
