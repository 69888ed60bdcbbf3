package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/report"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// writeAgain is how often the report is written.
const writeAgain = time.Minute

// A reporting is the report of --out, which is written again and again: listen can be
// ended at any moment, and who waits for it wants to know by then.
type reporting struct {
	files   []*cli.Rewritten
	formats []report.Format
	make    func(goesOn bool) *result.Report // nil until listen answers
	failed  []bool                           // of each file: it could not be written, and that was told
	under   []chan error                     // of each file: what comes of a write that is under way; nil: none is
	tell    func(format string, args ...any)
}

// readReporting says where the report goes; nil: nowhere. Nothing is opened yet.
func readReporting(c *ucli.Context) (*reporting, error) {
	names, err := cli.OutFiles(c)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	r := &reporting{failed: make([]bool, len(names)), under: make([]chan error, len(names))}
	for _, name := range names {
		f, err := report.Listened.ForFile(name)
		if err != nil {
			return nil, cli.Usage(err, "")
		}
		r.formats = append(r.formats, f)
		for _, flag := range []string{"ledger", "ready-file", "invite"} {
			if other := c.String(flag); other != "" && cli.IsSameFile(name, other) {
				return nil, cli.Usagef("Give each a file of its own.", "--out %s and --%s %s are one file", name, flag, other)
			}
		}
		if err := cli.CheckFile(name); err != nil {
			return nil, notWritable(name, err)
		}
		r.files = append(r.files, &cli.Rewritten{Name: name})
	}
	return r, nil
}

func notWritable(name string, err error) error {
	return cli.Usage(fmt.Errorf("--out %s: %w", name, err), "Give a file that can be written, in a directory that exists.")
}

// open opens the files: later, listen may open none to write to.
func (r *reporting) open() error {
	if r == nil {
		return nil
	}
	for i, f := range r.files {
		opened, err := cli.OpenRewritten(f.Name)
		if err != nil {
			return notWritable(f.Name, err)
		}
		r.files[i] = opened
	}
	return nil
}

// writePatience is how long all files together are waited for: a pipe that nobody reads,
// or a disk that is not there any more, does not keep listen from ending.
const writePatience = 500 * time.Millisecond

// write writes all files anew. One that is no file is written once, at the end.
func (r *reporting) write(goesOn bool) {
	if r == nil {
		return
	}
	doc := r.make(goesOn)
	ctx, cancel := context.WithTimeout(context.Background(), writePatience)
	defer cancel()
	rendered := make([]error, len(r.files))
	for i, f := range r.files {
		if goesOn && (!f.IsFile() || r.under[i] != nil) {
			continue
		}
		var b bytes.Buffer
		if rendered[i] = report.Listened.Write(&b, r.formats[i], doc, report.Options{}); rendered[i] == nil {
			r.begin(i, b.Bytes())
		}
	}
	for i, f := range r.files {
		if goesOn && !f.IsFile() {
			continue
		}
		err := errors.Join(rendered[i], r.wait(ctx, i))
		switch {
		case err != nil && !r.failed[i]:
			r.tell("--out %s cannot be written: %v. Contacts are answered all the same; it is tried again.", f.Name, err)
		case err == nil && r.failed[i]:
			r.tell("--out %s can be written again, and is whole.", f.Name)
		}
		r.failed[i] = err != nil
	}
}

// begin begins to write a file, once what is under way is over.
func (r *reporting) begin(i int, b []byte) {
	before, done := r.under[i], make(chan error, 1)
	r.under[i] = done
	go func() {
		if before != nil {
			<-before
		}
		done <- r.files[i].Write(b)
	}()
}

// wait waits for what is under way.
func (r *reporting) wait(ctx context.Context, i int) error {
	if r.under[i] == nil {
		return nil
	}
	select {
	case err := <-r.under[i]:
		r.under[i] = nil
		return err
	case <-ctx.Done():
		return os.ErrDeadlineExceeded
	}
}

// keep writes again and again until ctx ends.
func (r *reporting) keep(ctx context.Context, every time.Duration) {
	again := time.NewTicker(every)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			r.write(true)
		}
	}
}

// end writes the last one. An error says which file does not have it.
func (r *reporting) end() error {
	if r == nil || r.make == nil { // it never began to answer
		return nil
	}
	r.write(false)
	var errs []error
	for i, f := range r.files {
		switch {
		case r.under[i] != nil: // and it is left as it is
			errs = append(errs, fmt.Errorf("--out %s: it could not be written in time", f.Name))
			continue
		case r.failed[i]:
			errs = append(errs, fmt.Errorf("--out %s: it could not be written", f.Name))
		case !f.IsThere():
			errs = append(errs, fmt.Errorf("--out %s: it was removed or replaced while listen ran, and the report with it", f.Name))
		}
		errs = append(errs, f.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return cli.Usage(err, "")
	}
	return nil
}

// reportOf makes listen's own report.
func (s *serving) reportOf(l *listener.Listener, journal *listener.Journal, run echo.ID, since time.Time, goesOn bool) *result.Report {
	host, _ := os.Hostname() // without it the addresses stand
	roles := s.roles
	if len(roles) == 0 {
		roles = plan.DefaultRemote
	}
	r := &result.Report{
		Schema: result.Schema, Tool: cli.Software, Run: run.String(), Tag: l.Key.Tag(), Started: result.TimeOf(since), ElapsedMS: sock.Since(since).Milliseconds(),
		Plan: s.Plan.Name, Mode: result.ModeListen, From: result.End{Role: plan.RoleWords(roles), Host: host, Addresses: result.ParseAddrs(s.addresses()...)}, To: result.End{Addresses: result.Addrs{}},
		Paths: []result.Path{}, OutOfScope: []result.OutOfScope{}, Findings: []result.Finding{}, Summary: result.Summary{Verdicts: map[result.Verdict]int{}},
		Listened: l.ListenedToAll(since),
	}
	r.Listened.GoesOn = goesOn
	s.who.Report(r.Listened, journal)
	return r
}
