package e2e

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// In the middle of a run the listener's machine, or dial's, is asleep for some seconds;
// or the listener is ended and started anew; or two run at once. Every path is told as it
// is without that, or that it was not tested.
func TestWhatHappensInTheMiddleOfARunAccusesNobody(t *testing.T) {
	asleep := 7 * time.Second
	if hasTime() {
		asleep = 30 * time.Second
	}
	sleep := func(t *testing.T, p *os.Process) {
		t.Helper()
		if err := p.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(asleep)
		_ = p.Signal(syscall.SIGCONT)
	}
	for n, c := range []struct {
		name     string
		does     func(t *testing.T, listen, dial *os.Process, again func())
		findings []string // that it may tell beside the usual ones
	}{
		{"the listener sleeps", func(t *testing.T, listen, _ *os.Process, _ func()) { sleep(t, listen) }, []string{"listener-paused", "dial-paused", "cut-off"}},
		{"dial sleeps", func(t *testing.T, _, dial *os.Process, _ func()) { sleep(t, dial) }, []string{"listener-paused", "dial-paused"}},
		{"the listener is started anew", func(t *testing.T, listen, _ *os.Process, again func()) {
			_ = listen.Signal(syscall.SIGTERM)
			_, _ = listen.Wait()
			again()
		}, []string{"listener-paused", "dial-paused", "listener-restarted"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			at := netip.AddrFrom4([4]byte{127, 78, 12, byte(1 + 4*n)})
			ledger := filepath.Join(t.TempDir(), "ledger")
			command := `exec "$@" --ledger ` + ledger
			listen, _ := listening(t, at, command)
			usual := fullRunFrom(t, at.Next(), at)
			events := func() int { b, _ := os.ReadFile(ledger); return bytes.Count(b, []byte("\n")) }
			before := events()
			got := fullRunWhile(t, at.Next(), at, func(dial *os.Process) {
				for end := time.Now().Add(patience); events() < before+20; time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Fatal("dial does not begin")
					}
				}
				c.does(t, listen, dial, func() { _, _ = listening(t, at, command) })
			})
			t.Logf("%d paths, findings %v", len(got.verdicts), got.findings)
			toldWell(t, usual, got, c.findings)
			// Who is asleep for longer than dial waits cannot say that it was.
			if slices.Contains(got.findings, "cut-off") && !strings.Contains(got.texts, "connections to it open still") {
				t.Errorf("of a listener that is asleep it says %s", got.texts)
			}
		})
	}
	t.Run("two at once", func(t *testing.T) {
		t.Parallel()
		at := netip.MustParseAddr("127.78.12.33")
		_, _ = listening(t, at, `exec "$@"`)
		usual := fullRunFrom(t, at.Next(), at)
		var both sync.WaitGroup
		for range 2 { // of one machine: one of them has the ports for the way back
			both.Go(func() { toldWell(t, usual, fullRunFrom(t, at.Next(), at), []string{"listener-paused", "dial-paused"}) })
		}
		both.Wait()
	})
}

// Strangers come in numbers, and the listener stands still for many short moments, none of
// which is long enough to be told: more connections come then than may wait for it, and its
// machine turns some of dial's away. No path is unsteady for that.
func TestManyShortStopsAmongStrangersAccuseNobody(t *testing.T) {
	if !hasTime() {
		t.Skip("takes minutes: with DIALTONE_SOAK only")
	}
	if !inNetwork(t, "2001:db8::/32") {
		return
	}
	if err := os.WriteFile("/proc/sys/net/core/somaxconn", []byte("64"), 0); err != nil { // older systems have 128
		t.Fatal(err)
	}
	at := netip.MustParseAddr("127.78.13.1")
	listen, _ := listening(t, at, `exec "$@"`)
	usual := fullRunFrom(t, at.Next(), at)
	(&crowd{from: []netip.Addr{netip.MustParseAddr("127.78.13.9")}, perPause: 4}).gather(t, 2000, strangerPorts(at))
	crowded := 0
	for range 3 { // listening ends its listen after two minutes
		over := make(chan struct{})
		var stops sync.WaitGroup
		got := fullRunWhile(t, at.Next(), at, func(dial *os.Process) {
			stops.Go(func() {
				for {
					_ = listen.Signal(syscall.SIGSTOP)
					time.Sleep(time.Second)
					_ = listen.Signal(syscall.SIGCONT)
					select {
					case <-over:
						return
					case <-time.After(300 * time.Millisecond):
					}
				}
			})
		})
		close(over)
		stops.Wait()
		t.Logf("%d paths, findings %v", len(got.verdicts), got.findings)
		if slices.Contains(got.findings, "listener-crowded") {
			crowded++
		}
		toldWell(t, usual, got, []string{"listener-crowded", "listener-paused", "dial-paused"})
	}
	if crowded == 0 {
		t.Error("no queue was ever full")
	}
}

// toldWell reports where a run tells of a path what is not so.
func toldWell(t *testing.T, usual, got told, findings []string) {
	t.Helper()
	if len(got.verdicts) != len(usual.verdicts) {
		t.Errorf("%d paths, usually %d", len(got.verdicts), len(usual.verdicts))
	}
	for path, v := range got.verdicts {
		if v != usual.verdicts[path] && v != "untested" {
			t.Errorf("%s is %s, usually %s: %s", path, v, usual.verdicts[path], got.why[path])
		}
	}
	for _, f := range got.findings {
		if !slices.Contains(findings, f) && !slices.Contains(usual.findings, f) {
			t.Errorf("finding %s:\n%s", f, got.texts)
		}
	}
}
