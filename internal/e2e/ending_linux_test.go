package e2e

import (
	"bytes"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Whatever is under way, listen ends when it is told to: strangers hold
// connections, a path is kept idle both ways, and nobody reads what it says. Its
// ledger is whole.
func TestListenEndsWhateverIsUnderWay(t *testing.T) {
	for n, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			pipe, ledger := filepath.Join(dir, "pipe"), filepath.Join(dir, "ledger")
			fullPipe(t, pipe)
			at := netip.AddrFrom4([4]byte{127, 78, 2, byte(31 + 2*n)})
			listen, said := listening(t, at, `exec env --default-signal=HUP "$@" --ledger `+ledger+` >`+pipe)

			port := netip.AddrPortFrom(at, 1433+troubleShift).String()
			for i := range 500 {
				c, err := net.Dial("tcp", port)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				if i%2 == 0 {
					_, _ = c.Write([]byte("GET / HTTP/1.1\r\n"))
				}
			}
			dial := exec.Command(filepath.Join(programs, "dial"), "--bind", at.Next().String(), "--port-shift", strconv.Itoa(troubleShift), "--only", "sql-client,odyssey-back", "--hold", "1m", at.String())
			dial.Env = append(os.Environ(), "DIALTONE_KEY="+soakKey)
			if err := dial.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = dial.Process.Kill(); _ = dial.Wait() })
			held := func() bool {
				b, _ := os.ReadFile(ledger)
				return bytes.Contains(b, []byte("kept idle for"))
			}
			for end := time.Now().Add(patience); !held(); time.Sleep(50 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("no path is kept idle: %s", said())
				}
			}

			told := time.Now()
			if err := listen.Signal(sig); err != nil {
				t.Fatal(err)
			}
			ended := make(chan *os.ProcessState, 1)
			go func() { s, _ := listen.Wait(); ended <- s }()
			select {
			case s := <-ended:
				t.Logf("it ended in %v", time.Since(told).Round(time.Millisecond))
				if s == nil || s.ExitCode() != 0 {
					t.Errorf("%v: %s", s, said())
				}
			case <-time.After(patience):
				t.Fatalf("it goes on: %s", said())
			}
			b, err := os.ReadFile(ledger)
			if err != nil {
				t.Fatal(err)
			}
			lines := bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
			for _, line := range lines {
				if !json.Valid(line) {
					t.Errorf("no whole line: %q", line)
				}
			}
			if len(lines) < 60 || !bytes.HasSuffix(b, []byte("\n")) {
				t.Errorf("%d lines", len(lines))
			}
		})
	}
}

// fullPipe makes a pipe that is full, and that nobody reads from.
func fullPipe(t *testing.T, name string) {
	t.Helper()
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	_ = f.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	for err = nil; err == nil; {
		_, err = f.Write(make([]byte, 4096))
	}
}

// Nor is it kept from ending by who does not read its report: it says that it is not there.
func TestListenEndsThoughNobodyReadsItsReport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	report, file := filepath.Join(dir, "report.json"), filepath.Join(dir, "beside.json")
	fullPipe(t, report)
	at := netip.MustParseAddr("127.78.2.45")
	listen, said := listening(t, at, `exec "$@" --out `+report+` --out `+file)
	if exit, out := dialing(t, at.Next(), at); exit != 0 {
		t.Fatalf("exit %d: %s", exit, out)
	}
	told := time.Now()
	if err := listen.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan *os.ProcessState, 1)
	go func() { s, _ := listen.Wait(); ended <- s }()
	select {
	case s := <-ended:
		t.Logf("it ended in %v", time.Since(told).Round(time.Millisecond))
		if s == nil || s.ExitCode() != 2 || !strings.Contains(said(), report+": it could not be written in time") {
			t.Errorf("%v: %s", s, said())
		}
	case <-time.After(patience):
		t.Fatalf("it goes on: %s", said())
	}
	if b, err := os.ReadFile(file); err != nil || !json.Valid(b) {
		t.Errorf("the other file has %q, %v", b, err)
	}
}

// A ledger whose last record was not written to its end keeps all that it has, and
// what comes goes below it. kill -9 in the middle of a write is rare; what it leaves
// is not.
func TestLedgerOutlivesAKill(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddr("127.78.2.41")
	ledger := filepath.Join(t.TempDir(), "ledger")
	command := `exec "$@" --ledger ` + ledger
	listen, _ := listening(t, at, command)
	var dials sync.WaitGroup
	for range 4 {
		dials.Go(func() { dialing(t, at.Next(), at) })
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if b, _ := os.ReadFile(ledger); bytes.Count(b, []byte("\n")) > 8 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("nothing comes to the ledger")
		}
	}
	if err := listen.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = listen.Wait()
	dials.Wait()
	before, err := os.ReadFile(ledger)
	if err != nil {
		t.Fatal(err)
	}
	whole := before[:bytes.LastIndexByte(before, '\n')+1]
	before = append(whole, whole[:bytes.IndexByte(whole, '\n')/2]...)
	if err := os.WriteFile(ledger, before, 0o600); err != nil {
		t.Fatal(err)
	}

	listen, said := listening(t, at, command)
	if exit, out := dialing(t, at.Next(), at); exit != 0 {
		t.Errorf("exit %d: %s", exit, out)
	}
	if err := listen.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_, _ = listen.Wait()
	after, err := os.ReadFile(ledger)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(after, append(before, '\n')) {
		t.Error("what was recorded before is gone")
	}
	cut, records := 0, 0
	for line := range bytes.Lines(after) {
		if json.Valid(line) {
			records++
		} else {
			cut++
		}
	}
	if cut != 1 || records < bytes.Count(whole, []byte("\n"))+5 {
		t.Errorf("%d records, %d lines that are none, of %d:\n%s", records, cut, bytes.Count(whole, []byte("\n")), after)
	}
	if !strings.Contains(said(), "the last record of "+ledger+" is not whole") {
		t.Errorf("not told: %s", said())
	}
}
