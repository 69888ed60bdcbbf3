package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A terminal that was stopped, or a pipe that nobody reads from, does not keep
// listen from answering.
func TestListenAnswersWhileNobodyReadsWhatItSays(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	size, err := unix.FcntlInt(f.Fd(), unix.F_SETPIPE_SZ, 4096)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddr("127.78.2.5")
	_, said := listening(t, at, `exec "$@" >`+pipe)
	isFull := func() bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLOUT}}, 0)
		return err == nil && n == 0
	}
	const most = 50
	for n := 0; !isFull(); n++ {
		if n == most {
			t.Fatalf("the pipe of %d bytes does not fill", size)
		}
		if exit, out := dialing(t, netip.MustParseAddr("127.78.2.6"), at); exit != 0 {
			t.Fatalf("dial ends with %d:\n%s%s", exit, out, said())
		}
	}
	for range 2 { // as all that it says waits
		if exit, out := dialing(t, netip.MustParseAddr("127.78.2.6"), at); exit != 0 {
			t.Errorf("dial ends with %d:\n%s%s", exit, out, said())
		}
	}
}

// A disk that is full is told, and nothing waits for it; once it has room again, the
// ledger goes on, and each record has a line of its own.
func TestAFullDiskHoldsNobodyUp(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root makes a small disk")
	}
	t.Parallel()
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
	at := netip.MustParseAddr("127.78.2.51")
	ledger, filler := filepath.Join(disk, "ledger"), filepath.Join(disk, "filler")
	_, said := listening(t, at, `exec "$@" --ledger `+ledger)
	if exit, out := dialing(t, at.Next(), at); exit != 0 {
		t.Fatalf("exit %d: %s", exit, out)
	}
	before, err := os.ReadFile(ledger)
	if err != nil || len(before) == 0 {
		t.Fatalf("%q, %v", before, err)
	}
	report := filepath.Join(disk, "report.json")
	if err := errors.Join(os.WriteFile(report, []byte("the last one"), 0o600), os.Link(report, filepath.Join(disk, "kept"))); err != nil {
		t.Fatal(err) // a file of two names is written where it is
	}
	if err := os.WriteFile(filler, make([]byte, 128<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("it is not full: %v", err)
	}
	for range 12 { // the ledger's last page has some room
		if exit, out := dialing(t, at.Next(), at); exit != 0 {
			t.Fatalf("exit %d on a full disk: %s", exit, out)
		}
	}
	if n := strings.Count(said(), "the ledger cannot be written"); n != 1 {
		t.Errorf("told %d times: %s", n, said())
	}

	exit, out := dialing(t, at.Next(), at, "--out", report)
	if exit != 2 || !strings.Contains(out, "no space left on device") || !strings.Contains(out, "It was written to") || !strings.Contains(out, "sql-client") && !strings.Contains(out, "SQL Server") {
		t.Errorf("exit %d: %s", exit, out)
	}

	if b, err := os.ReadFile(report); err != nil || string(b) != "the last one" {
		t.Errorf("the report of before is %q, %v", b, err)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if exit, out := dialing(t, at.Next(), at, "--out", report); exit != 0 {
		t.Errorf("exit %d: %s", exit, out)
	}
	if b, err := os.ReadFile(filepath.Join(disk, "kept")); err != nil || !json.Valid(b) {
		t.Errorf("by its other name the report is %q, %v", b, err)
	}
	if lost := regexp.MustCompile(`the ledger can be written again; it lacks (\d+) contacts?`).FindStringSubmatch(said()); lost == nil || lost[1] == "0" {
		t.Errorf("not told: %s", said())
	}
	after, err := os.ReadFile(ledger)
	if err != nil || !bytes.HasPrefix(after, before) {
		t.Fatalf("what was recorded before is gone: %v", err)
	}
	cut := 0
	for line := range bytes.Lines(after) {
		if !json.Valid(line) {
			cut++
		}
	}
	if cut > 1 {
		t.Errorf("%d lines are no records:\n%s", cut, after)
	}
}
