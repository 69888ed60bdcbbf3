package e2e

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const troubleShift = 10100

// listening starts the built listen by a command line of the shell in which $*
// is listen's own, and returns its process and what it said on standard error.
func listening(t *testing.T, at netip.Addr, command string) (listen *os.Process, said func() string) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("sh", "-c", command, "listen", filepath.Join(programs, "listen"),
		"--bind", at.String(), "--port-shift", strconv.Itoa(troubleShift), "--for", "2m", "--ready-file", filepath.Join(dir, "ready"))
	cmd.Env = append(os.Environ(), "DIALTONE_KEY="+soakKey)
	errs, err := os.Create(filepath.Join(dir, "errors"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		errs.Close()
	})
	said = func() string { b, _ := os.ReadFile(errs.Name()); return string(b) }
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "ready")); err == nil {
			return cmd.Process, said
		}
		if time.Now().After(end) {
			t.Fatalf("listen does not get ready: %s", said())
		}
	}
}

// dialing runs dial against listening's listen.
func dialing(t *testing.T, from, at netip.Addr, more ...string) (exit int, out string) {
	t.Helper()
	args := append([]string{"--bind", from.String(), "--port-shift", strconv.Itoa(troubleShift), "--only", "sql-client"}, more...)
	cmd := exec.Command(filepath.Join(programs, "dial"), append(args, at.String())...)
	cmd.Env = append(os.Environ(), "DIALTONE_KEY="+soakKey)
	b, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), string(b)
}

// Others hold as many connections as listen has file descriptors: whoever has
// the key gets through, and listen says what it lacks.
func TestListenOutOfDescriptorsLetsTheHolderOfTheKeyThrough(t *testing.T) {
	at := netip.MustParseAddr("127.78.2.1")
	_, said := listening(t, at, `ulimit -n 64 && exec "$@"`)
	for range 60 {
		c, err := net.DialTimeout("tcp", netip.AddrPortFrom(at, 7968+troubleShift).String(), patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	if exit, out := dialing(t, netip.MustParseAddr("127.78.2.2"), at); exit != 0 {
		t.Errorf("dial ends with %d:\n%s", exit, out)
	}
	if !strings.Contains(said(), "of 64 file descriptors, ulimit -n") || !strings.Contains(said(), "whoever has the key gets through") {
		t.Errorf("listen says %q", said())
	}
}

func TestListenSaysThatItWasStopped(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddr("127.78.2.3")
	listen, said := listening(t, at, `exec "$@"`)
	if err := listen.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * time.Second)
	if err := listen.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); !strings.Contains(said(), "It was stopped, or this machine asleep or overloaded, for "); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("listen says %q", said())
		}
	}
	if exit, out := dialing(t, netip.MustParseAddr("127.78.2.4"), at); exit != 0 {
		t.Errorf("dial ends with %d:\n%s", exit, out)
	}
}
