// Command truthtable plays every scenario of package lab with dial and with
// other tools on the same planted faults, and writes what each said beside the
// truth to docs/truth-table.md. scripts/lab report runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"dialtone/internal/lab"
)

// options are the command line.
type options struct {
	root    string // the checkout
	scratch string // a directory to build in, removed at the end
	page    string // the file to write, relative to root
	check   bool
	busy    bool
	dials   int
	others  int
	only    *regexp.Regexp
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is the whole program. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if err != nil {
		return 2
	}
	defer os.RemoveAll(o.scratch)
	wrong, err := o.run(ctx, stdout, stderr)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "lab: interrupted; nothing was written, and every lab is gone")
		return 130
	case err != nil:
		fmt.Fprintln(stderr, "lab:", err)
		return 1
	case wrong:
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("scripts/lab report", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.root, "root", ".", "the checkout")
	flags.StringVar(&o.scratch, "scratch", "", "a directory to build in, which is removed at the end")
	flags.StringVar(&o.page, "out", "docs/truth-table.md", "the page to write")
	flags.BoolVar(&o.check, "check", false, "write nothing; fail if the page would change")
	flags.BoolVar(&o.busy, "busy", false, "keep every core busy meanwhile")
	flags.IntVar(&o.dials, "dials", 10, "how many scenarios dial plays side by side")
	flags.IntVar(&o.others, "others", 16, "how many the other tools play beside those")
	only := flags.String("only", "", "play only scenarios whose name matches this regular expression, and write nothing")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 || o.dials < 1 || o.others < 1 {
		err := fmt.Errorf("report takes flags only, and at least one scenario at a time: %v", args)
		fmt.Fprintln(stderr, "lab:", err)
		return o, err
	}
	if *only != "" {
		re, err := regexp.Compile(*only)
		if err != nil {
			fmt.Fprintln(stderr, "lab: --only:", err)
			return o, err
		}
		o.only = re
	}
	return o, nil
}

// run plays everything and writes or compares the page. wrong: dial erred
// somewhere, or the page differs.
func (o options) run(ctx context.Context, stdout, stderr io.Writer) (wrong bool, err error) {
	lack := lab.Missing(o.root)
	for _, t := range tools {
		if _, err := exec.LookPath(t.program); err != nil {
			lack = append(lack, t.program+" is not installed: see the packages in scripts/test")
		}
	}
	if len(lack) > 0 {
		return false, errors.New(strings.Join(lack, "\nlab: "))
	}
	scenarios, err := lab.Load(filepath.Join(o.root, "internal/lab/scenarios"))
	if err != nil {
		return false, err
	}
	if o.only != nil {
		scenarios = slices.DeleteFunc(scenarios, func(s lab.Scenario) bool { return !o.only.MatchString(s.Name) })
	}
	if o.scratch == "" {
		if o.scratch, err = os.MkdirTemp("", "dialtone-truth-"); err != nil {
			return false, err
		}
		defer os.RemoveAll(o.scratch)
	}
	bin, err := lab.Build(ctx, o.root, o.scratch)
	if err != nil {
		return false, err
	}
	if o.busy {
		idle, err := keepBusy()
		defer idle()
		if err != nil {
			return false, err
		}
	}

	p := player{options: o, bin: bin, progress: stderr, total: len(scenarios)}
	defer func() {
		mine := func(pid int) bool { return pid == os.Getpid() }
		err = errors.Join(err, lab.Sweep(o.root, mine))
	}()
	begun := time.Now()
	outcomes, err := p.playAll(ctx, scenarios)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(stderr, "lab: %d scenarios in %s\n", len(scenarios), time.Since(begun).Round(time.Second))

	subjects, err := allSubjects()
	if err != nil {
		return false, err
	}
	outcomes, subjects = inOrder(outcomes, subjects)
	text := page(outcomes, subjects)
	for _, out := range outcomes {
		for _, w := range out.wrong {
			wrong = true
			fmt.Fprintf(stdout, "WRONG: %s: %s\n", out.scenario.Name, w)
		}
	}
	fmt.Fprint(stdout, summary(outcomes, subjects))
	path := filepath.Join(o.root, o.page)
	switch {
	case o.only != nil:
		fmt.Fprint(stdout, "\n"+text)
	case o.check:
		same, err := compare(ctx, path, text, filepath.Join(o.scratch, "truth-table.md"), stdout)
		if err != nil {
			return false, err
		}
		wrong = wrong || !same
	default:
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return false, err
		}
		fmt.Fprintf(stderr, "lab: written to %s\n", path)
	}
	return wrong, nil
}

// compare shows how text differs from the file at path, if it does. fresh is
// where to put text for that.
func compare(ctx context.Context, path, text, fresh string, stdout io.Writer) (same bool, err error) {
	committed, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	if string(committed) == text {
		return true, nil
	}
	if err := os.WriteFile(fresh, []byte(text), 0o644); err != nil {
		return false, err
	}
	diff := exec.CommandContext(ctx, "diff", "-u", "--label", "committed", "--label", "now", path, fresh)
	diff.Stdout, diff.Stderr = stdout, stdout
	var differs *exec.ExitError
	if err := diff.Run(); err != nil && !errors.As(err, &differs) {
		return false, err
	}
	return false, nil
}

// allSubjects are dial and the tools beside it, with nothing said yet.
func allSubjects() ([]subject, error) {
	all := []subject{{name: "dial", forms: []string{"dial --format json --out report.txt ARGUMENTS HOST"}}}
	for _, t := range tools {
		out, err := exec.Command(t.version[0], t.version[1:]...).CombinedOutput() // nc -h exits as it likes
		version, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		if version == "" {
			return nil, fmt.Errorf("%s: no version: %w", strings.Join(t.version, " "), err)
		}
		all = append(all, subject{name: t.name, version: cleanVersion(version), forms: t.forms})
	}
	return all, nil
}

// cleanVersion leaves out where a program's home page is.
func cleanVersion(line string) string {
	line, _, _ = strings.Cut(line, " ( ")
	return strings.TrimSpace(line)
}

// keepBusy starts a program on each core that does nothing, tirelessly, and
// returns what ends them.
func keepBusy() (idle func(), err error) {
	var running []*exec.Cmd
	idle = func() {
		for _, cmd := range running {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	for range runtime.NumCPU() {
		// It outlives us by nothing, even if we are killed.
		cmd := exec.Command("sh", "-c", "while kill -0 $PPID; do :; done")
		if err := cmd.Start(); err != nil {
			return idle, err
		}
		running = append(running, cmd)
	}
	return idle, nil
}

// A player plays scenarios side by side: they mostly wait. dial's own share of
// the machine is bounded apart, for what it measures depends on it.
type player struct {
	options
	bin      lab.Binaries
	progress io.Writer
	total    int

	labs atomic.Int64
	mu   sync.Mutex
	done int
}

// playAll plays scenarios with every tool. It returns on the first failure to
// play one; that dial is wrong is none.
func (p *player) playAll(ctx context.Context, scenarios []lab.Scenario) ([]outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dials, others := make(chan struct{}, p.dials), make(chan struct{}, p.others)
	outcomes := make([]outcome, len(scenarios))
	var wg sync.WaitGroup
	for i, s := range scenarios {
		wg.Go(func() {
			out, err := p.play(ctx, s, dials, others)
			if err != nil {
				cancel(fmt.Errorf("%s: %w", s.Name, err))
				return
			}
			outcomes[i] = out
			p.tell(out)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return outcomes, nil
}

// tell shows progress: a line for each scenario.
func (p *player) tell(out outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	word := "right"
	if len(out.wrong) > 0 {
		word = "WRONG"
	}
	fmt.Fprintf(p.progress, "lab: %3d/%d %s %s\n", p.done, p.total, word, out.scenario.Name)
}

// play plays one scenario with every tool, each in a lab of its own.
func (p *player) play(ctx context.Context, s lab.Scenario, dials, others chan struct{}) (outcome, error) {
	out := outcome{scenario: s, others: map[string][]testimony{}}
	var targets []target
	var truths map[target]truth
	err := p.inLab(ctx, dials, func(l *lab.Lab, dir string) error {
		run, err := lab.Play(ctx, l, p.bin, s, dir)
		if err != nil {
			return err
		}
		j := lab.Judge(s, run)
		out.wrong = j.Wrong
		out.dial, out.paths = dialTestimony(s, run.Report, j)
		targets, truths, err = targetsOf(s, run.Report, j)
		return err
	})
	if err != nil || len(targets) == 0 || s.Alone != "" {
		return out, err
	}
	errs := make([]error, len(tools))
	said := make([][]testimony, len(tools))
	var wg sync.WaitGroup
	for i, t := range tools {
		wg.Go(func() {
			errs[i] = p.inLab(ctx, others, func(l *lab.Lab, dir string) error {
				words, err := lab.PlayOthers(ctx, l, p.bin, s, dir, t.ask(targets))
				if err != nil {
					return err
				}
				answers, err := t.read(targets, words)
				said[i] = otherTestimony(targets, truths, answers)
				return err
			})
		})
	}
	wg.Wait()
	for i, t := range tools {
		out.others[t.name] = said[i]
	}
	return out, errors.Join(errs...)
}

// inLab runs f in a fresh lab with an empty directory, when a place is free.
func (p *player) inLab(ctx context.Context, places chan struct{}, f func(*lab.Lab, string) error) (err error) {
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	n := int(p.labs.Add(1))
	dir := filepath.Join(p.scratch, fmt.Sprintf("play-%d", n))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	l, err := lab.Up(ctx, p.root, lab.NameFor(os.Getpid(), n))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Down(), os.RemoveAll(dir)) }()
	return f(l, dir)
}
