package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"dialtone/internal/lab"
	"dialtone/internal/lab/random/oracle"
	"dialtone/internal/lab/random/router"
)

const (
	// key is what both programs share; it guards nothing here.
	key = "lab rat maze wire tap dance"
	// dialWithin bounds dial: beyond it, it hangs.
	dialWithin = 150 * time.Second
	// helper, in the environment, makes this program one of the oracle's parts
	// or the router.
	helper = "DIALTONE_RANDOM_HELPER"
)

// help runs what the environment says instead of the program itself.
func help() {
	switch what := os.Getenv(helper); {
	case what == "router":
		if err := router.Main(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case what != "":
		oracle.Exit(strings.Split(what, "\n"))
	}
}

// facts are what the oracle found out about one trial, and what dial said.
type facts struct {
	Before, After oracle.Results
	Near, Far     oracle.Seens
	Hits          []int // of each fault's counter, while dial ran
	Report        report
	JSON          []byte
	Exit          int
	Took          time.Duration
	Log           string
	Peers         asked // nil: no peer was asked
}

// A stage is a lab in which a trial is played.
type stage struct {
	lab   *lab.Lab
	bin   lab.Binaries
	self  string // this program
	dir   string
	trial trial
	peers bool // ask them as well
}

// play plays a trial in a lab that is up.
func (s *stage) play(ctx context.Context) (f facts, err error) {
	t := s.trial.Topology
	if n, rules := t.natRules(); n != "" {
		if err := s.lab.Plant(ctx, n, rules); err != nil {
			return f, err
		}
	}
	endRouter, err := s.startRouter(ctx)
	if err != nil {
		return f, err
	}
	defer endRouter()
	if hosts := s.hosts(); hosts != nil {
		var lines string
		for _, a := range hosts {
			lines += a + " far.lab\n"
		}
		if err := s.shell(ctx, t.nearNode().name, fmt.Sprintf("cp /etc/hosts %s/hosts && { printf '%s'; cat %s/hosts; } >/etc/hosts", s.dir, lines, s.dir)); err != nil {
			return f, err
		}
	}
	if f.Before, err = s.knock(ctx); err != nil {
		return f, fmt.Errorf("plain connections before: %w", err)
	}
	if err := s.run(ctx, &f); err != nil {
		return f, err
	}
	if f.After, err = s.knock(ctx); err != nil {
		return f, fmt.Errorf("plain connections after: %w", err)
	}
	if s.peers && s.trial.stands() {
		err = s.withDoors(ctx, func() (err error) {
			f.Peers, err = s.askPeers(ctx)
			return err
		})
	}
	return f, err
}

func (s *stage) hosts() []string {
	for _, f := range s.trial.Faults {
		if f.hosts != nil {
			return f.hosts
		}
	}
	return nil
}

func (s *stage) second() string {
	for _, f := range s.trial.Faults {
		if f.second != "" {
			return f.second
		}
	}
	return ""
}

// shell runs shell words in a node.
func (s *stage) shell(ctx context.Context, node, words string) error {
	out, err := s.lab.Command(ctx, node, "sh", "-c", words).CombinedOutput()
	if err != nil {
		return fmt.Errorf("on %s: %s: %w\n%s", node, words, err, out)
	}
	return nil
}

func table(i int) string { return "f" + strconv.Itoa(i) }

// plant plants a fault, afresh.
func (s *stage) plant(ctx context.Context, i int) error {
	f := s.trial.Faults[i]
	for _, c := range f.commands {
		if err := s.shell(ctx, c.node, c.do); err != nil {
			return err
		}
	}
	for _, p := range f.plants {
		if err := s.lab.Plant(ctx, p.node, fmt.Sprintf(p.rules, table(i))); err != nil {
			return fmt.Errorf("%s: %w\n%s", f.Kind, err, p.rules)
		}
	}
	return nil
}

// unplant takes a fault away, and returns how often its rules were met.
func (s *stage) unplant(ctx context.Context, i int) (hits int, err error) {
	f := s.trial.Faults[i]
	for _, p := range f.plants {
		out, _ := s.lab.Command(ctx, p.node, "nft", "list", "counters", "table", "inet", table(i)).Output()
		if m := packets.FindSubmatch(out); m != nil {
			n, _ := strconv.Atoi(string(m[1]))
			hits += n
		}
		_ = s.lab.Command(ctx, p.node, "nft", "delete", "table", "inet", table(i)).Run() // one that stood for a while only is gone already
	}
	for _, c := range f.commands {
		if err := s.shell(ctx, c.node, c.undo); err != nil {
			return hits, err
		}
	}
	return hits, nil
}

var packets = regexp.MustCompile(`packets (\d+)`)

// A part is a helper that runs in a node until its standard input ends.
type part struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	errs bytes.Buffer
}

// part starts a helper, gives it a first message, and waits until it is ready.
func (s *stage) part(ctx context.Context, node string, message any, args ...string) (*part, error) {
	p := &part{cmd: s.lab.Command(ctx, node, s.self)}
	p.cmd.Env = append(os.Environ(), helper+"="+strings.Join(args, "\n"))
	p.cmd.Stderr = &p.errs
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if message != nil {
		if err := json.NewEncoder(p.in).Encode(message); err != nil {
			return nil, err
		}
	}
	if line, err := p.out.ReadString('\n'); err != nil || line != "ready\n" {
		_ = p.cmd.Wait()
		return nil, fmt.Errorf("%s on %s: %q %s", args[0], node, line, p.errs.String())
	}
	return p, nil
}

// end ends a helper and reads its last word into v, unless that is nil.
func (p *part) end(v any) error {
	_ = p.in.Close()
	out, err := io.ReadAll(p.out)
	err = errors.Join(err, p.cmd.Wait())
	if err == nil && v != nil {
		err = json.Unmarshal(out, v)
	}
	if err != nil {
		return fmt.Errorf("%w %s", err, p.errs.String())
	}
	return nil
}

// startRouter puts the user-space router between wan and what comes behind it,
// if the trial needs one.
func (s *stage) startRouter(ctx context.Context) (end func(), err error) {
	t := s.trial.Topology
	cfg := router.Config{Device: "rt0", Seed: s.trial.Seed}
	needed := t.Delay > 0
	cfg.There.Delay, cfg.Back.Delay = t.Delay, t.Delay
	for _, f := range s.trial.Faults {
		for _, way := range []struct{ want, to *router.Treatment }{{f.there, &cfg.There}, {f.back, &cfg.Back}} {
			if way.want != nil {
				way.to.Add(*way.want)
				needed = true
			}
		}
	}
	if !needed {
		return func() {}, nil
	}
	wan := t.way()[2]
	near := []string{"10.1.0.0/24", "198.51.100.2/32", "2001:db8:1::/64", "2001:db8:f1::/64"}
	if t.Pair {
		near = []string{"10.2.0.0/24", "198.51.100.6/32", "2001:db8:2::/64", "2001:db8:f2::/64"}
	}
	for _, p := range near {
		cfg.Near = append(cfg.Near, netip.MustParsePrefix(p))
	}
	p, err := s.part(ctx, "wan", cfg, "router")
	if err != nil {
		return nil, err
	}
	setUp := "echo 0 >/proc/sys/net/ipv4/conf/rt0/rp_filter; ip link set rt0 up"
	for _, family := range []string{"-4", "-6"} {
		setUp += fmt.Sprintf(" && ip %s rule add iif %s lookup 77 && ip %s rule add iif %s lookup 77 && ip %s route add default dev rt0 table 77", family, wan.near, family, wan.far, family)
	}
	if err := s.shell(ctx, "wan", setUp); err != nil {
		return nil, errors.Join(err, p.end(nil))
	}
	return func() { _ = p.end(nil) }, nil
}

// doors are what the oracle holds and knocks at: where each stands and where
// it is dialed.
func (s *stage) doors(reverse bool) (held, dialed []oracle.Door) {
	t := s.trial.Topology
	for _, r := range t.rows() {
		if r.Reverse != reverse {
			continue
		}
		held = append(held, oracle.Door{Port: r.Port, Transport: r.Transport})
		at := []string{t.target()}
		if h := s.hosts(); h != nil {
			at = h
		}
		if reverse {
			at = []string{t.back()}
		}
		for _, a := range at {
			dialed = append(dialed, oracle.Door{Row: r.String(), Addr: a, Port: r.Port, Transport: r.Transport})
		}
	}
	return held, dialed
}

// withDoors does something while plain servers hold the ports of every row, with
// every fault planted that stands from the beginning.
func (s *stage) withDoors(ctx context.Context, do func() error) (err error) {
	t := s.trial.Topology
	for i, f := range s.trial.Faults {
		if f.at == 0 {
			if err := s.plant(ctx, i); err != nil {
				return err
			}
			defer func() {
				_, e := s.unplant(ctx, i)
				err = errors.Join(err, e)
			}()
		}
	}
	end, err := s.startOthers(ctx, false)
	if err != nil {
		return err
	}
	defer end()
	forward, _ := s.doors(false)
	reverse, _ := s.doors(true)
	serve := map[string][]oracle.Door{t.farNode().name: forward, t.nearNode().name: reverse}
	if n := s.second(); n != "" {
		serve[n] = append(serve[n], forward...)
	}
	for n, doors := range serve {
		p, err := s.part(ctx, n, doors, "serve", n)
		if err != nil {
			return err
		}
		defer p.end(nil)
	}
	return do()
}

// knock is the oracle's own test of every row.
func (s *stage) knock(ctx context.Context) (all oracle.Results, err error) {
	err = s.withDoors(ctx, func() (err error) {
		all, err = s.knockAll(ctx)
		return err
	})
	return all, err
}

func (s *stage) knockAll(ctx context.Context) (oracle.Results, error) {
	t := s.trial.Topology
	_, there := s.doors(false)
	_, back := s.doors(true)
	all := oracle.Results{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var errs []error
	for n, doors := range map[string][]oracle.Door{t.nearNode().name: there, t.farNode().name: back} {
		wg.Go(func() {
			cmd := s.lab.Command(ctx, n, s.self)
			cmd.Env = append(os.Environ(), helper+"=knock")
			message, _ := json.Marshal(doors)
			cmd.Stdin = bytes.NewReader(message)
			out, err := cmd.Output()
			var got oracle.Results
			if err == nil {
				err = json.Unmarshal(out, &got)
			}
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			for r, tried := range got {
				all[r] = append(all[r], tried...)
			}
		})
	}
	wg.Wait()
	return all, errors.Join(errs...)
}

// startOthers starts who answers in another's name, and, with strangers, who
// else connects.
func (s *stage) startOthers(ctx context.Context, strangers bool) (end func(), err error) {
	var parts []*part
	end = func() {
		for _, p := range parts {
			_ = p.end(nil)
		}
	}
	start := func(node string, message any, args ...string) error {
		p, err := s.part(ctx, node, message, args...)
		if err == nil {
			parts = append(parts, p)
		}
		return err
	}
	for _, f := range s.trial.Faults {
		if f.pretends != nil {
			err = errors.Join(err, start(f.pretends.node, nil, "pretend", f.pretends.mode))
		}
		if f.stranger != "" && strangers {
			var doors []oracle.Door
			for _, r := range f.rows {
				doors = append(doors, oracle.Door{Addr: s.trial.Topology.target(), Port: r.Port, Transport: r.Transport})
			}
			err = errors.Join(err, start(f.stranger, doors, "stranger"))
		}
	}
	if err != nil {
		end()
	}
	return end, err
}

// run runs the real programs with everything planted.
func (s *stage) run(ctx context.Context, f *facts) (err error) {
	t := s.trial.Topology
	faults := s.trial.Faults
	f.Hits = make([]int, len(faults))
	var planting sync.Mutex
	for i, fl := range faults {
		if fl.at == 0 || fl.once != nil {
			if err := s.plant(ctx, i); err != nil {
				return err
			}
		}
		defer func() {
			planting.Lock()
			defer planting.Unlock()
			n, e := s.unplant(ctx, i)
			f.Hits[i] += n
			err = errors.Join(err, e)
		}()
	}

	end, err := s.startOthers(ctx, true)
	if err != nil {
		return err
	}
	defer end()

	nodes := []string{t.farNode().name}
	if n := s.second(); n != "" {
		nodes = append(nodes, n)
	}
	limited, limits, beside := "", "", false
	for _, fl := range faults {
		limited, limits, beside = limited+fl.limited, limits+fl.limits, beside || fl.beside
	}
	logs := &logs{dir: s.dir}
	defer func() { f.Log = logs.read() }()
	listens := make([]*program, len(nodes))
	start := func(i int) error {
		ready := filepath.Join(s.dir, "ready-"+nodes[i])
		_ = os.Remove(ready)
		p, err := s.start(ctx, logs, nodes[i], limited, s.bin.Listen, "--ready-file", ready)
		if err != nil {
			return err
		}
		listens[i] = p
		for range 1500 {
			if _, err := os.Stat(ready); err == nil {
				return nil
			}
			if p.ended() {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		return fmt.Errorf("listen on %s did not get ready:\n%s", nodes[i], logs.read())
	}
	var starting sync.Mutex
	defer func() {
		starting.Lock()
		defer starting.Unlock()
		for _, p := range listens {
			if p != nil {
				p.stop()
			}
		}
	}()
	for i := range nodes {
		if err := start(i); err != nil {
			return err
		}
	}

	near, err := s.part(ctx, t.nearNode().name, nil, "capture", "eth0")
	if err != nil {
		return err
	}
	far, err := s.part(ctx, t.farNode().name, nil, "capture", "eth0")
	if err != nil {
		return errors.Join(err, near.end(nil))
	}
	defer func() { err = errors.Join(err, near.end(&f.Near), far.end(&f.Far)) }()

	// What happens in the middle.
	over := make(chan struct{})
	var events sync.WaitGroup
	running := make(chan struct{}) // closed when dial begins, which is when begun is known
	var begun time.Time
	wait := func(at time.Duration) bool {
		select {
		case <-running:
		case <-over:
			return false
		}
		select {
		case <-time.After(time.Until(begun.Add(at))):
			return true
		case <-over:
			return false
		}
	}
	for i, fl := range faults {
		if fl.at == 0 {
			continue
		}
		events.Go(func() {
			if !wait(fl.at) {
				return
			}
			switch fl.listen {
			case stops, restarts:
				starting.Lock()
				listens[0].stop()
				if fl.listen == restarts {
					if err := start(0); err != nil {
						logs.say("restart: " + err.Error())
					}
				}
				starting.Unlock()
				return
			case sleeps:
				listens[0].signal("STOP")
				wait(fl.until)
				listens[0].signal("CONT")
				return
			}
			planting.Lock()
			defer planting.Unlock()
			if fl.once != nil {
				for _, c := range fl.once {
					_ = s.shell(ctx, c.node, fmt.Sprintf(c.do, table(i)))
				}
				return
			}
			if err := s.plant(ctx, i); err != nil {
				logs.say(err.Error())
			}
			if fl.until == 0 {
				return
			}
			planting.Unlock()
			wait(fl.until)
			planting.Lock()
			n, _ := s.unplant(ctx, i)
			f.Hits[i] += n
		})
	}

	ctxDial, stop := context.WithTimeout(ctx, dialWithin)
	defer stop()
	if beside {
		argv := s.argv()
		other := s.command(ctxDial, logs, t.nearNode().name, "", append(argv[:len(argv)-1:len(argv)-1], t.target())...)
		if err := other.Start(); err == nil {
			defer func() { _ = other.Wait() }()
		}
	}
	cmd := s.command(ctxDial, logs, t.nearNode().name, limits, s.argv()...)
	var out bytes.Buffer
	cmd.Stdout = &out
	begun = time.Now()
	close(running)
	err = cmd.Run()
	f.Took, f.JSON = time.Since(begun), out.Bytes()
	close(over)
	events.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("dial: %w", err)
	}
	f.Exit = cmd.ProcessState.ExitCode()
	_ = json.Unmarshal(f.JSON, &f.Report) // none is the judge's business
	return nil
}

// argv is dial's command line.
func (s *stage) argv() []string {
	t := s.trial.Topology
	argv := []string{s.bin.Dial}
	if t.Pair {
		argv = append(argv, "odyssey")
	}
	argv = append(argv, "--format", "json")
	if t.BothWays {
		argv = append(argv, "--both-ways")
	}
	for _, f := range s.trial.Faults {
		if f.hold != "" {
			argv = append(argv, "--hold", f.hold)
		}
	}
	if s.hosts() != nil {
		return append(argv, "far.lab")
	}
	return append(argv, t.target())
}

// logs are what programs said, a file each.
type logs struct {
	dir   string
	mu    sync.Mutex
	files []string
	said  string
}

func (l *logs) say(words string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said += words + "\n"
}

func (l *logs) file() (*os.File, error) {
	f, err := os.CreateTemp(l.dir, "log-*")
	if err == nil {
		l.mu.Lock()
		l.files = append(l.files, f.Name())
		l.mu.Unlock()
	}
	return f, err
}

func (l *logs) read() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.said
	for _, name := range l.files {
		b, _ := os.ReadFile(name)
		all += "--- \n" + string(b)
	}
	return all
}

// command prepares a program that shares the key and whose errors are logged.
func (s *stage) command(ctx context.Context, l *logs, node, limits string, argv ...string) *exec.Cmd {
	if limits != "" {
		argv = append([]string{"sh", "-c", limits + `; exec "$0" "$@"`}, argv...)
	}
	cmd := s.lab.Command(ctx, node, argv...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "DIALTONE_KEY="+key, "NO_COLOR=1", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if f, err := l.file(); err == nil {
		cmd.Stderr = f
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) } // it says where it hangs
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// A program runs until it is stopped.
type program struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func (s *stage) start(ctx context.Context, l *logs, node, limits string, argv ...string) (*program, error) {
	p := &program{cmd: s.command(ctx, l, node, limits, argv...), done: make(chan struct{})}
	p.cmd.Stdout = p.cmd.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *program) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// signal sends a signal that not every system's Go knows by name.
func (p *program) signal(name string) {
	_ = exec.Command("kill", "-"+name, strconv.Itoa(p.cmd.Process.Pid)).Run()
}

func (p *program) stop() {
	p.signal("CONT")
	_ = p.cmd.Process.Signal(os.Interrupt)
	select {
	case <-p.done:
	case <-time.After(8 * time.Second):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT)
		select {
		case <-p.done:
		case <-time.After(3 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	}
}

// known is the row of a report's path, if the oracle tests it.
func known(t topology, p path) (row, bool) {
	r := row{p.PlanPort, p.Transport, p.Direction == "reverse"}
	return r, slices.Contains(t.rows(), r)
}
