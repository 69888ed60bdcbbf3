package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"dialtone/internal/result"
)

// A Run is what came of playing a scenario.
type Run struct {
	Report result.Report
	JSON   []byte   // the same, as it was written
	Wrong  []string // what a scenario with a partner shows beside the report
	Exit   int
	Text   string // the same report, for people
	Log    string // what every program said, for a person who looks into a failure
}

const (
	// key is what both programs share; it guards nothing here.
	key = "lab rat maze wire tap dance"
	// readyWithin bounds the start of a program.
	readyWithin = 20 * time.Second
	// dialWithin bounds dial: beyond it, it hangs.
	dialWithin = 90 * time.Second
)

// subcommands of dial that stand before its flags.
var subcommands = []string{"odyssey", "egress", "address", "merge"}

// Play plants what s says, starts listen, runs dial and returns its report. dir
// is an empty directory for its files. Programs that it started have ended when
// it returns; the caller takes the lab down, which ends their children too.
func Play(ctx context.Context, l *Lab, bin Binaries, s Scenario, dir string) (run Run, err error) {
	run.Log, err = perform(ctx, l, bin, s, dir, func(st *stage) (err error) {
		if s.Partner != nil {
			run, err = st.pair(ctx, s, bin.Dial)
			return err
		}
		run, err = st.dial(ctx, s.Dial, bin.Dial, "report")
		return err
	})
	return run, err
}

// Said is what a program wrote, to standard output and error together, and its
// exit status.
type Said struct {
	Text string
	Exit int
}

// PlayOthers is Play with other programs in dial's place: it runs them side by
// side where dial would run and returns what each said, in the same order. No
// word of a command may mean anything to a shell.
func PlayOthers(ctx context.Context, l *Lab, bin Binaries, s Scenario, dir string, commands [][]string) (said []Said, err error) {
	_, err = perform(ctx, l, bin, s, dir, func(st *stage) (err error) {
		said, err = st.others(ctx, s.Dial.Node, commands)
		return err
	})
	return said, err
}

// perform plants what s says, starts listen and lets act do the rest. It ends
// what it started, and returns what every program said.
func perform(ctx context.Context, l *Lab, bin Binaries, s Scenario, dir string, act func(*stage) error) (log string, err error) {
	st := stage{lab: l, dir: dir, bin: filepath.Dir(bin.Listen)}
	defer func() {
		err = errors.Join(err, st.end())
		log = st.log()
		if err != nil {
			err = fmt.Errorf("%w\nWhat the programs said:\n%s", err, log)
		}
	}()

	for name, content := range s.Files {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte(content), 0o644); err != nil {
			return "", err
		}
	}
	for _, p := range s.Plant {
		if err := st.plant(ctx, p); err != nil {
			return "", err
		}
	}
	for i, listen := range s.listeners() {
		if err := st.startListener(ctx, listen, bin.Listen, filepath.Join(dir, fmt.Sprintf("ready-%d", i))); err != nil {
			return "", err
		}
	}
	return "", act(&st)
}

// A stage is a lab in which programs run.
type stage struct {
	lab     *Lab
	dir     string
	bin     string // where listen and dial are, for scenarios that run another of them
	started []*exec.Cmd
	listens []*exec.Cmd // those that must live until the end
	mu      sync.Mutex  // guards logs: two dials run at once
	logs    []programLog
}

// A programLog is the file that holds what a program says. A file, not a pipe:
// a child that outlives its parent would hold a pipe open.
type programLog struct {
	program string
	file    *os.File
}

// startListener starts listen and waits until it is ready.
func (st *stage) startListener(ctx context.Context, l Listen, program, ready string) error {
	argv := append([]string{program, "--ready-file", ready}, l.Args...)
	cmd, err := st.start(ctx, l.Node, "listen", argv...)
	if err != nil {
		return err
	}
	isReady := func() bool { _, err := os.Stat(ready); return err == nil }
	if err := until(ctx, cmd, isReady); err != nil {
		return fmt.Errorf("listen on %s did not get ready: %w", l.Node, err)
	}
	if !l.Ends {
		st.listens = append(st.listens, cmd)
	}
	return nil
}

func (st *stage) plant(ctx context.Context, p Plant) error {
	switch {
	case p.NFT != "":
		return st.lab.Plant(ctx, p.Node, p.NFT)
	case p.Run != "":
		cmd := st.lab.Command(ctx, p.Node, "sh", "-c", p.Run)
		cmd.Dir = st.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("on %s: %s: %w\n%s", p.Node, p.Run, err, out)
		}
		return nil
	case p.STUN != nil:
		return st.plantProgram(ctx, p.Node, stunServer(p.Node, p.STUN), stunPort)
	default:
		return st.plantProgram(ctx, p.Node, p.Before, p.Port)
	}
}

// plantProgram starts a shell command and waits until it listens on a TCP port.
func (st *stage) plantProgram(ctx context.Context, node, command string, port int) error {
	cmd, err := st.start(ctx, node, command, "sh", "-c", command)
	if err != nil {
		return err
	}
	if err := until(ctx, cmd, func() bool { return listens(cmd.Process.Pid, port) }); err != nil {
		return fmt.Errorf("on %s: %s: does not listen on %d: %w", node, command, port, err)
	}
	return nil
}

// stunPort is STUN's own (RFC 8489 section 18.6).
const stunPort = 3478

// stunServer is the command that runs coturn on a node's addresses.
func stunServer(node string, addrs []string) string {
	return fmt.Sprintf("exec turnserver -n -L %s -p %d --no-tls --no-dtls --no-cli --allow-loopback-peers --log-file stdout --userdb $PWD/turn-%s --pidfile $PWD/turn-%s.pid",
		strings.Join(addrs, " -L "), stunPort, node, node)
}

// command prepares a program: it runs in the stage's directory, shares the key,
// is ended softly and has its standard error logged.
func (st *stage) command(ctx context.Context, node, name string, argv ...string) (*exec.Cmd, error) {
	file, err := os.CreateTemp(st.dir, "log-*")
	if err != nil {
		return nil, err
	}
	st.mu.Lock()
	st.logs = append(st.logs, programLog{node + "# " + name, file})
	st.mu.Unlock()
	cmd := st.lab.Command(ctx, node, argv...)
	cmd.Dir = st.dir
	cmd.Env = append(os.Environ(), "DIALTONE_KEY="+key, "NO_COLOR=1", "PATH="+st.bin+":"+path())
	cmd.Stderr = file
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	return cmd, nil
}

// start starts a program that runs until the end.
func (st *stage) start(ctx context.Context, node, name string, argv ...string) (*exec.Cmd, error) {
	cmd, err := st.command(ctx, node, name, argv...)
	if err != nil {
		return nil, err
	}
	cmd.Stdout = cmd.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("on %s: %s: %w", node, name, err)
	}
	st.started = append(st.started, cmd)
	return cmd, nil
}

// dial runs dial and reads its report. name is its own among those of the stage.
func (st *stage) dial(ctx context.Context, d Dial, program, name string) (run Run, err error) {
	ctx, stop := context.WithTimeout(ctx, within(d.Args))
	defer stop()
	text := filepath.Join(st.dir, name+".txt")
	argv := dialArgv(program, d.Args, text)
	cmd, err := st.command(ctx, d.Node, strings.Join(append([]string{"dial"}, argv[1:]...), " "), argv...)
	if err != nil {
		return run, err
	}
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	cmd.Env = append(cmd.Env, d.Env...)
	cmd.Cancel = func() error { return dump(cmd) }
	err = cmd.Run()
	if ctx.Err() != nil {
		return run, fmt.Errorf("dial hangs: it was ended after %s", within(d.Args))
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return run, fmt.Errorf("dial: %w", err)
	}
	run.Exit, run.JSON = cmd.ProcessState.ExitCode(), stdout.Bytes()
	if err := json.Unmarshal(stdout.Bytes(), &run.Report); err != nil {
		return run, fmt.Errorf("dial ended with status %d and no report: %w\n%s", run.Exit, err, stdout.Bytes())
	}
	run.Text = "(no text report)\n"
	if b, err := os.ReadFile(text); err == nil {
		run.Text = string(b)
	}
	return run, nil
}

// others runs commands side by side on one node. One shell starts them all:
// entering a node costs more than most of them.
func (st *stage) others(ctx context.Context, node string, commands [][]string) ([]Said, error) {
	ctx, stop := context.WithTimeout(ctx, dialWithin)
	defer stop()
	var script strings.Builder
	for i, argv := range commands {
		fmt.Fprintf(&script, "{ %s >said-%d 2>&1; echo $? >exit-%d; } &\n", strings.Join(argv, " "), i, i)
	}
	script.WriteString("wait\n")
	cmd, err := st.command(ctx, node, "other programs", "sh", "-c", script.String())
	if err != nil {
		return nil, err
	}
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("on %s: %w\n%s", node, err, script.String())
	}
	all := make([]Said, len(commands))
	for i := range commands {
		text, err := os.ReadFile(filepath.Join(st.dir, fmt.Sprintf("said-%d", i)))
		if err != nil {
			return nil, err
		}
		status, err := os.ReadFile(filepath.Join(st.dir, fmt.Sprintf("exit-%d", i)))
		if err != nil {
			return nil, err
		}
		all[i].Text = string(text)
		if all[i].Exit, err = strconv.Atoi(strings.TrimSpace(string(status))); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// dump ends a Go program that hangs, so that it says where.
func dump(cmd *exec.Cmd) error { return cmd.Process.Signal(syscall.SIGQUIT) }

// end interrupts every program and waits for it. That a listen died before, or
// does not end well, is an error; of other programs it is none.
func (st *stage) end() error {
	var errs []error
	for _, cmd := range slices.Backward(st.started) {
		isListen := slices.Contains(st.listens, cmd)
		if isListen && ended(cmd.Process.Pid) {
			errs = append(errs, errors.New("listen did not live until the end"))
		}
		_ = cmd.Process.Signal(os.Interrupt)
		hang := time.AfterFunc(cmd.WaitDelay, func() { _ = dump(cmd) })
		kill := time.AfterFunc(2*cmd.WaitDelay, func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		hang.Stop()
		kill.Stop()
		if isListen && err != nil {
			errs = append(errs, fmt.Errorf("listen, when interrupted: %w", err))
		}
	}
	return errors.Join(errs...)
}

// log returns what every program said.
func (st *stage) log() string {
	var b strings.Builder
	for _, l := range st.logs {
		said, err := os.ReadFile(l.file.Name())
		if err != nil {
			said = []byte(err.Error())
		}
		fmt.Fprintf(&b, "%s\n%s\n", l.program, said)
		_ = l.file.Close()
	}
	return b.String()
}

// dialArgv puts the runner's own flags where dial takes flags: before the host
// and after a subcommand.
func dialArgv(dial string, args []string, text string) []string {
	argv := []string{dial}
	if len(args) > 0 && slices.Contains(subcommands, args[0]) {
		argv, args = append(argv, args[0]), args[1:]
	}
	argv = append(argv, "--format", "json", "--out", text)
	return append(argv, args...)
}

// until waits for ready, for cmd to end, or for time to run out.
func until(ctx context.Context, cmd *exec.Cmd, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	return waitFor(ctx, cmd, ready)
}

// waitFor is until, for as long as ctx lasts.
func waitFor(ctx context.Context, cmd *exec.Cmd, ready func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		if ended(cmd.Process.Pid) {
			return errors.New("it ended")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// ended reports whether a child that nobody waited for yet has ended.
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name may hold anything but is last in parentheses
	return strings.HasPrefix(after, "Z")
}

// listens reports whether anything in the network namespace of pid listens on a
// TCP port.
func listens(pid, port int) bool {
	const stateListen = "0A"
	for _, table := range []string{"tcp", "tcp6"} {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) < 4 || f[3] != stateListen {
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
				return true
			}
		}
	}
	return false
}
