package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// programs is the directory of the two programs as built for this test.
var programs string

func TestMain(m *testing.M) {
	testscript.Main(building{m}, map[string]func(){
		"hold":      hold,
		"listen-v2": listenV2,
		"hand-over": handOver,
		"stun-tcp":  stunTCP,
	})
}

// built is a variable of the environment: where the programs are, for a test that
// runs once more as a process of its own.
const built = "DIALTONE_E2E_BUILT"

// building builds the programs once, runs the tests and removes what it built.
// A helper program, which is this same binary, never gets here.
type building struct{ tests *testing.M }

func (b building) Run() int {
	if programs = os.Getenv(built); programs != "" {
		return b.tests.Run()
	}
	dir, err := os.MkdirTemp("", "dialtone-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755) // a script runs listen as another user
	}
	if err == nil {
		programs = dir
		build := exec.Command("go", "build", "-o", dir, "./cmd/...")
		build.Dir = filepath.Join("..", "..")
		build.Stderr = os.Stderr
		err = build.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: cannot build the programs:", err)
		return 1
	}
	return b.tests.Run()
}

// scripts counts the scripts, to give each two addresses of its own.
var scripts atomic.Int32

func TestScripts(t *testing.T) {
	if runtime.GOOS == "darwin" {
		t.Skip("needs addresses of 127.0.0.0/8 beside 127.0.0.1, which macOS does not have")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			n := scripts.Add(1)
			e.Setenv("PATH", programs+string(filepath.ListSeparator)+e.Getenv("PATH"))
			e.Setenv("A", fmt.Sprintf("127.77.%d.1", n)) // where listen runs
			e.Setenv("B", fmt.Sprintf("127.77.%d.2", n)) // where dial runs
			e.Setenv("C", fmt.Sprintf("127.77.%d.3", n)) // where another dial runs
			halves, err := filepath.Abs(filepath.Join("..", "merge", "testdata"))
			if err != nil {
				return err
			}
			e.Setenv("HALVES", halves)
			e.Setenv("SHIFT", "10000")
			e.Setenv("KEY", "tiling-walnut-quilt-mango-unlit-twelve")
			e.Setenv("DIALTONE_KEY", "tiling-walnut-quilt-mango-unlit-twelve")
			e.Setenv("NO_COLOR", "")
			public, err := os.MkdirTemp("", "dialtone-e2e-")
			if err != nil {
				return err
			}
			e.Defer(func() { os.RemoveAll(public) })
			e.Setenv("PUBLIC", public)
			return os.Chmod(public, 0o777) // for a script that runs listen as another user
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":            exits,
			"await":            await,
			"interrupt":        interrupt,
			"report":           checkReport,
			"path":             checkPath,
			"paths":            checkPaths,
			"valid":            schemaChecker("report.schema.json"),
			"valid-address":    schemaChecker("address.schema.json"),
			"valid-matrix":     schemaChecker("matrix.schema.json"),
			"valid-comparison": schemaChecker("comparison.schema.json"),
			"jsonl":            checkLines,
			"refute":           refute,
			"fill":             fill,
		},
	})
}

// condition says what this machine offers: [lowports] that a privilege is needed
// for ports below 1024, [ipv6] that it has ::1, [root] that this is root.
func condition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "ipv6":
		l, err := net.Listen("tcp6", "[::1]:0")
		if err != nil {
			return false, nil
		}
		return true, l.Close()
	case "lowports":
		b, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
		if err != nil {
			return false, nil
		}
		start, err := strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil && start >= 1024, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// exits runs a program and checks its exit code: exits CODE program args…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE program [args…]")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Logf("[stdout]\n%s[stderr]\n%s", ts.ReadFile("stdout"), ts.ReadFile("stderr"))
		ts.Fatalf("%s exited with %d, want %s", args[1], code, args[0])
	}
}

// patience is how long a script waits for anything, on a slow machine too.
const patience = 30 * time.Second

// await waits until files exist: await FILE…
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: await FILE…")
	}
	for _, name := range args {
		waitFor(ts, ts.MkAbs(name))
	}
}

func waitFor(ts *testscript.TestScript, file string) {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s is not there after %v", file, patience)
		}
	}
}

// interrupt starts a program, interrupts it once a file exists, and checks its
// exit code and that it ends soon: interrupt CODE FILE program args…
// Its output is then in the files stdout.txt and stderr.txt.
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: interrupt CODE FILE program [args…]")
	}
	path := filepath.Join(programs, args[2])
	if runtime.GOOS == "windows" {
		ts.Fatalf("Windows cannot interrupt another program")
	}
	c := exec.Command(path, args[3:]...)
	c.Dir = ts.MkAbs(".")
	c.Env = append(os.Environ(), "DIALTONE_KEY="+ts.Getenv("DIALTONE_KEY"))
	var err error
	stdout, err := os.Create(ts.MkAbs("stdout.txt"))
	ts.Check(err)
	defer stdout.Close()
	stderr, err := os.Create(ts.MkAbs("stderr.txt"))
	ts.Check(err)
	defer stderr.Close()
	c.Stdout, c.Stderr = stdout, stderr
	ts.Check(c.Start())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	defer func() { _ = c.Process.Kill() }()
	waitFor(ts, ts.MkAbs(args[1]))
	ts.Check(c.Process.Signal(os.Interrupt))
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		ts.Fatalf("%s still runs 5 s after the interrupt", args[2])
	}
	if got := strconv.Itoa(c.ProcessState.ExitCode()); got != args[0] {
		ts.Logf("[stdout]\n%s[stderr]\n%s", ts.ReadFile("stdout.txt"), ts.ReadFile("stderr.txt"))
		ts.Fatalf("%s exited with %s, want %s", args[2], got, args[0])
	}
}

// refute fails if one of the files contains a text: refute TEXT FILE…
func refute(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: refute TEXT FILE…")
	}
	for _, name := range args[1:] {
		if strings.Contains(ts.ReadFile(name), args[0]) {
			ts.Fatalf("%s contains %q", name, args[0])
		}
	}
}

// fill replaces a word in a file by an address of the script, which a file in
// the script's archive cannot name: fill WORD VALUE FILE
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: fill WORD VALUE FILE")
	}
	s := strings.ReplaceAll(ts.ReadFile(args[2]), args[0], args[1])
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(s), 0o600))
}
