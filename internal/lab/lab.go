// Package lab runs the real programs across real firewalls, for tests.
//
// A Lab is the network that scripts/lab builds out of namespaces. A Scenario,
// one YAML file in scenarios/, says what is planted in it, where dial runs and
// what it must find; Play plays it and Judge compares. Nothing here reaches
// beyond the namespaces it made. Needs root on Linux: see Missing.
package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Nodes are the machines of a lab, as scripts/lab show draws them.
var Nodes = []string{"client", "fwc", "wan", "fws", "server", "database", "ils", "fwp", "peer"}

// A Lab is one network that is up.
type Lab struct {
	name   string
	script string
}

// Programs that scenarios use besides the ones that scripts/lab needs, and the
// Debian package of each.
var programs = map[string]string{
	"ncat": "ncat", "nginx": "nginx-light", "slapd": "slapd", "vsftpd": "vsftpd", "xrdp": "xrdp",
	"mitmdump": "mitmproxy", "squid": "squid-openssl", "openssl": "openssl", "turnserver": "coturn",
}

// Missing says what this machine lacks to run scenarios; nil is nothing.
func Missing(root string) []string {
	var lack []string
	out, err := exec.Command(scriptIn(root), "check").CombinedOutput()
	if err != nil {
		for line := range strings.Lines(string(out)) {
			lack = append(lack, strings.TrimPrefix(strings.TrimSpace(line), "lab: "))
		}
		if len(lack) == 0 {
			lack = append(lack, err.Error())
		}
	}
	for program, pkg := range programs {
		if find(program) == program {
			lack = append(lack, fmt.Sprintf("%s is not installed: apt-get install %s", program, pkg))
		}
	}
	slices.Sort(lack)
	return lack
}

// scriptIn returns the path of the script, absolute where possible: commands run
// in directories of their own.
func scriptIn(root string) string {
	script := filepath.Join(root, "scripts", "lab")
	if abs, err := filepath.Abs(script); err == nil {
		return abs
	}
	return script
}

// Up builds a lab of that name. root is the checkout.
func Up(ctx context.Context, root, name string) (*Lab, error) {
	l := &Lab{name: name, script: scriptIn(root)}
	if err := l.do(ctx, "up", name); err != nil {
		return nil, err
	}
	return l, nil
}

// Down ends every process in the lab and takes it down.
func (l *Lab) Down() error { return l.do(context.Background(), "down", l.name) }

// Plant loads nftables rules into a node.
func (l *Lab) Plant(ctx context.Context, node, rules string) error {
	cmd := l.Command(ctx, node, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft on %s: %w\n%s", node, err, out)
	}
	return nil
}

// Command is exec.CommandContext inside a node. The process is the program
// itself, so that signals reach it. It is what scripts/lab run does in a lab
// that is up, without asking again whether it is.
func (l *Lab) Command(ctx context.Context, node string, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, find("ip"), append([]string{"netns", "exec", l.name + "-" + node}, argv...)...)
	cmd.Env = append(os.Environ(), "PATH="+path())
	return cmd
}

// path is where programs are looked for; not everybody's PATH has the last two.
func path() string { return os.Getenv("PATH") + ":/usr/sbin:/sbin" }

// find returns the path of a program, or its name if there is none.
func find(program string) string {
	for _, dir := range filepath.SplitList(path()) {
		file := filepath.Join(dir, program)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file
		}
	}
	return program
}

func (l *Lab) do(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, l.script, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("scripts/lab %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// NameFor is the name of the n-th lab of process pid, so that Sweep can tell
// whose it is.
func NameFor(pid, n int) string { return fmt.Sprintf("t%d-%d", pid, n) }

// Sweep takes down labs named by NameFor that own says are ours to remove: by
// pid, those of this process at its end, those of processes that were killed.
func Sweep(root string, own func(pid int) bool) error {
	out, err := exec.Command(scriptIn(root), "list").Output()
	if err != nil {
		return fmt.Errorf("scripts/lab list: %w", err)
	}
	var errs []error
	for _, name := range strings.Fields(string(out)) {
		pid, n, ok := strings.Cut(strings.TrimPrefix(name, "t"), "-")
		if _, err := strconv.Atoi(n); !ok || err != nil || !strings.HasPrefix(name, "t") {
			continue
		}
		if p, err := strconv.Atoi(pid); err == nil && own(p) {
			l := &Lab{name: name, script: scriptIn(root)}
			errs = append(errs, l.Down())
		}
	}
	return errors.Join(errs...)
}

// Binaries are the built programs.
type Binaries struct{ Listen, Dial string }

// Build builds both programs as they are released, into dir.
func Build(ctx context.Context, root, dir string) (Binaries, error) {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", dir+string(filepath.Separator), "./cmd/listen", "./cmd/dial")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return Binaries{}, fmt.Errorf("go build ./cmd/...: %w\n%s", err, out)
	}
	return Binaries{Listen: filepath.Join(dir, "listen"), Dial: filepath.Join(dir, "dial")}, nil
}
