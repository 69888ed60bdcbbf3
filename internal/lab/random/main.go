// Command random draws networks and faults by chance, plays dial and listen in
// them, and holds their report against an oracle that shares no code with them:
// kernel counters, what passes at both ends' interfaces, and plain sockets. It
// is how the lab looks for its own mistakes. scripts/lab random runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
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
	root    string
	scratch string
	seed    uint64
	count   int
	kind    string
	labs    int
	shrink  bool
	verbose bool
	peers   bool
}

func main() {
	help()
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
	outcomes, err := o.run(ctx, stdout, stderr)
	if len(outcomes) > 0 {
		grades := map[string]*grade{}
		for _, out := range outcomes {
			gradePeers(out.trial, out.facts, grades)
		}
		fmt.Fprint(stdout, "\n"+tabulate(outcomes, o.shrink)+tabulatePeers(grades))
	}
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "lab: interrupted; every lab is gone")
		return 130
	case err != nil:
		fmt.Fprintln(stderr, "lab:", err)
		return 1
	case slices.ContainsFunc(outcomes, func(o outcome) bool { return len(o.wrong) > 0 }):
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("scripts/lab random", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.root, "root", ".", "the checkout")
	flags.StringVar(&o.scratch, "scratch", "", "a directory to build in, which is removed at the end")
	flags.Uint64Var(&o.seed, "seed", 1, "the first seed")
	flags.IntVar(&o.count, "count", 50, "how many seeds, one after the other")
	flags.StringVar(&o.kind, "kind", "", "the faults' kind, or kinds joined by +, instead of drawing that too")
	flags.IntVar(&o.labs, "labs", 4, "how many labs side by side")
	flags.BoolVar(&o.shrink, "shrink", true, "play a wrong trial again, with fewer faults")
	flags.BoolVar(&o.verbose, "verbose", false, "show what was planted, found out and said")
	flags.BoolVar(&o.peers, "peers", false, "ask other tools about the same rows, and grade them by the plain connections")
	err := flags.Parse(args)
	if err == nil && (flags.NArg() > 0 || o.count < 1 || o.labs < 1) {
		err = fmt.Errorf("random takes flags only, and at least one seed and lab: %v", args)
		fmt.Fprintln(stderr, "lab:", err)
	}
	for _, k := range strings.Split(o.kind, "+") {
		if err == nil && o.kind != "" && !slices.Contains(catalogueKinds(), k) {
			err = fmt.Errorf("there is no kind %q: it is one of %s", k, strings.Join(catalogueKinds(), " "))
			fmt.Fprintln(stderr, "lab:", err)
		}
	}
	return o, err
}

// An outcome is what came of one seed.
type outcome struct {
	trial  trial
	wrong  []wrong
	small  *trial // the smallest that still shows it; nil if it did not show again
	missed int    // rows that work in part and were lucky
	took   time.Duration
	facts  facts // if peers were asked
	err    error
}

// run plays all seeds.
func (o options) run(ctx context.Context, stdout, stderr io.Writer) (outcomes []outcome, err error) {
	if o.scratch == "" {
		if o.scratch, err = os.MkdirTemp("", "dialtone-random-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(o.scratch)
	}
	bin, err := lab.Build(ctx, o.root, o.scratch)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &player{options: o, bin: bin, self: self, stdout: stdout, stderr: stderr}
	return p.all(ctx)
}

// A player plays trials side by side.
type player struct {
	options
	bin            lab.Binaries
	self           string
	stdout, stderr io.Writer
	numbers        atomic.Int64
	mu             sync.Mutex
	done           int
}

func (p *player) all(ctx context.Context) (outcomes []outcome, err error) {
	defer func() {
		mine := func(pid int) bool { return pid == os.Getpid() }
		err = errors.Join(err, lab.Sweep(p.root, mine))
	}()
	begun := time.Now()
	slots := make(chan struct{}, p.labs)
	var wg sync.WaitGroup
	for i := range p.count {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			out := p.seed(ctx, draw(p.options.seed+uint64(i), p.kind))
			if ctx.Err() != nil {
				return
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			outcomes = append(outcomes, out)
			p.done++
			p.tell(out)
		})
	}
	wg.Wait()
	slices.SortFunc(outcomes, func(a, b outcome) int { return int(a.trial.Seed) - int(b.trial.Seed) })
	fmt.Fprintf(p.stderr, "lab: %d seeds in %s\n", len(outcomes), time.Since(begun).Round(time.Second))
	for _, out := range outcomes {
		err = errors.Join(err, out.err)
	}
	return outcomes, err
}

// seed plays a trial; a wrong one again, with less planted.
func (p *player) seed(ctx context.Context, c trial) outcome {
	out := outcome{trial: c}
	f, err := p.play(ctx, c)
	if err != nil {
		out.err = fmt.Errorf("seed %d: %s: %w", c.Seed, c, err)
		return out
	}
	out.took, out.wrong = f.Took, judge(c, f)
	if f.Peers != nil {
		out.facts = f
	}
	for _, path := range f.Report.Paths {
		if k, ok := known(c.Topology, path); ok && missed(path, know(c, f, k)) {
			out.missed++
		}
	}
	if p.verbose {
		p.mu.Lock()
		describe(p.stdout, c, f)
		p.mu.Unlock()
	}
	if len(out.wrong) > 0 && p.shrink {
		out.small = shrink(c, out.wrong, func(smaller trial) []wrong {
			f, err := p.play(ctx, smaller)
			if err != nil {
				return nil
			}
			return judge(smaller, f)
		})
	}
	return out
}

// play plays one trial in a lab of its own.
func (p *player) play(ctx context.Context, c trial) (f facts, err error) {
	l, err := lab.Up(ctx, p.root, lab.NameFor(os.Getpid(), int(p.numbers.Add(1))))
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, l.Down()) }()
	dir, err := os.MkdirTemp(p.scratch, "trial-")
	if err != nil {
		return f, err
	}
	defer os.RemoveAll(dir)
	s := stage{lab: l, bin: p.bin, self: p.self, dir: dir, trial: c, peers: p.peers}
	return s.play(ctx)
}

// tell shows progress: a line for each seed, and what was wrong.
func (p *player) tell(out outcome) {
	word := "right"
	switch {
	case out.err != nil:
		word = "FAILED"
	case len(out.wrong) > 0:
		word = "WRONG"
	}
	fmt.Fprintf(p.stderr, "lab: %3d/%d %s seed %d (%s): %s\n", p.done, p.count, word, out.trial.Seed, out.took.Round(100*time.Millisecond), out.trial)
	if out.err != nil {
		fmt.Fprintln(p.stderr, out.err)
	}
	if len(out.wrong) == 0 {
		return
	}
	fmt.Fprintf(p.stdout, "\nseed %d: %s\n", out.trial.Seed, out.trial)
	for _, w := range out.wrong {
		fmt.Fprintf(p.stdout, "  %s\n", w)
	}
	switch {
	case !p.shrink:
	case out.small == nil:
		fmt.Fprintln(p.stdout, "  it did not show again")
	default:
		fmt.Fprintf(p.stdout, "  the smallest that shows it: --seed %d --kind %s\n", out.trial.Seed, strings.Join(out.small.kinds(), "+"))
	}
}

// describe shows all that is known of a trial.
func describe(w io.Writer, c trial, f facts) {
	fmt.Fprintf(w, "\nseed %d: %s\n", c.Seed, c.Topology)
	for i, fl := range c.Faults {
		fmt.Fprintf(w, "  [%s] %s; met %d times while dial ran\n", fl.Kind, fl.Text, f.Hits[i])
	}
	fmt.Fprintf(w, "  dial: exit status %d in %v\n", f.Exit, f.Took.Round(10*time.Millisecond))
	for _, p := range f.Report.Paths {
		k, ok := known(c.Topology, p)
		if !ok {
			continue
		}
		fmt.Fprintf(w, "  %-18s %s\n", k, said(p))
		for _, n := range p.Notes {
			fmt.Fprintf(w, "  %-18s note %s: %s\n", "", n.Code, n.Text)
		}
		fmt.Fprintf(w, "  %-18s %s\n", "", know(c, f, k))
		if p.Initiator != nil {
			for _, o := range p.Initiator.Connections {
				fmt.Fprintf(w, "    own %s from %s (%s) at %s for %.0f ms: %s, %s\n", o.Purpose, o.Source, o.Drawn, o.At.Format("05.000"), o.ElapsedMS, o.Reached, o.Ended)
			}
		}
	}
	for _, fd := range f.Report.Findings {
		fmt.Fprintf(w, "  finding %s: %s | %s\n", fd.Code, fd.Text, fd.Advice)
	}
	for _, name := range []string{"near", "far"} {
		seens := f.Near
		if name == "far" {
			seens = f.Far
		}
		for _, s := range seens.Conns {
			fmt.Fprintf(w, "    %-4s %s %s > %s ttl %d syn %d synack %d there %d back %d packets %d answers %d rst %v/%v icmp %v at %v\n", name, s.Transport, s.From, s.To, s.TTL,
				s.SYNs, s.SYNACKs, s.There, s.Back, s.Packets, s.Answers, s.NearRST, s.FarRST, s.ICMP, s.First.Round(time.Millisecond))
		}
	}
	fmt.Fprintf(w, "%s\n", f.Log)
}
