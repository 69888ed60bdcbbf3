package e2e

import (
	"bytes"
	"context"
	"encoding/json"

	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dialtone/internal/echo"
)

// holderAt is where the holder of the key dials from, and some of the strangers:
// they share a NAT.
var holderAt = netip.MustParseAddr("127.78.3.1")

// told is what a run of dial's says of each path, and its findings about the run.
type told struct {
	verdicts map[string]string
	why      map[string]string // what is said of those that are not open
	findings []string
	texts    string
}

// fullRun runs dial with every row, both ways, and returns what it tells.
func fullRun(t *testing.T, at netip.Addr) told {
	t.Helper()
	return fullRunFrom(t, holderAt, at)
}

func fullRunFrom(t *testing.T, from, at netip.Addr) told {
	t.Helper()
	return fullRunWhile(t, from, at, func(*os.Process) {})
}

// fullRunWhile does something while dial runs.
func fullRunWhile(t *testing.T, from, at netip.Addr, during func(dial *os.Process)) told {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "dial"), "--bind", from.String(), "--port-shift", strconv.Itoa(troubleShift), "--role", "all", "--both-ways", "--format", "json", at.String())
	cmd.Env = append(os.Environ(), "DIALTONE_KEY="+soakKey)
	var answer, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &answer, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	during(cmd.Process)
	err, out := cmd.Wait(), answer.Bytes()
	var r struct {
		Paths []struct {
			Flow, Direction, Family, Verdict string
			Finding                          *struct{ Text string }
		}
		Findings []struct{ Code, Text string }
	}
	if jerr := json.Unmarshal(out, &r); jerr != nil || len(r.Paths) == 0 {
		t.Fatalf("dial: %v, %v\n%s\n%s", err, jerr, out, errs.Bytes())
	}
	all := told{verdicts: map[string]string{}, why: map[string]string{}}
	for _, p := range r.Paths {
		name := p.Flow + " " + p.Direction + " " + p.Family
		if all.verdicts[name] = p.Verdict; p.Finding != nil {
			all.why[name] = p.Finding.Text
		}
	}
	for _, f := range r.Findings {
		all.findings = append(all.findings, f.Code)
		all.texts += f.Text + "\n"
	}
	return all
}

// asUsual reports where a run beside strangers tells anything else than one
// without them. Of the whole run it may say that listen was crowded, and that this
// machine was too busy to run either program for a while.
func asUsual(t *testing.T, usual, got told) {
	t.Helper()
	if len(got.verdicts) != len(usual.verdicts) {
		t.Errorf("%d paths, usually %d", len(got.verdicts), len(usual.verdicts))
	}
	for path, v := range got.verdicts {
		if v != usual.verdicts[path] {
			t.Errorf("%s is %s, usually %s: %s", path, v, usual.verdicts[path], got.why[path])
		}
	}
	for _, f := range got.findings {
		if !slices.Contains([]string{"listener-crowded", "listener-paused", "dial-paused"}, f) && !slices.Contains(usual.findings, f) {
			t.Errorf("finding %s:\n%s", f, got.texts)
		}
	}
}

// strangerPorts are those that strangers come to.
func strangerPorts(at netip.Addr) (out []netip.AddrPort) {
	for _, s := range soaked {
		out = append(out, netip.AddrPortFrom(at, uint16(s.port+troubleShift)))
	}
	return out
}

// A crowd is strangers that hold on, each with a connection of its own. Whose is
// ended comes back. So this process needs no more descriptors than listen has.
type crowd struct {
	first    [][]byte // what each says first, in turn
	from     []netip.Addr
	perPause int // how many come back in each pause of 10 ms, at most

	made, ended atomic.Int64
	failed      atomic.Pointer[error]
}

// gather lets n strangers come and stay until the test ends.
func (c *crowd) gather(t *testing.T, n int, to []netip.AddrPort) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() { cancel(); all.Wait() })
	again := make(chan struct{}, 1)
	all.Go(func() { // who comes back, and how many at once
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for range c.perPause {
				select {
				case again <- struct{}{}:
				default:
				}
			}
		}
	})
	come := func(i int) net.Conn {
		d := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.from[i%len(c.from)], 0))}
		conn, err := d.DialContext(ctx, "tcp", to[i%len(to)].String())
		if err != nil {
			if ctx.Err() == nil {
				c.failed.Store(&err)
			}
			return nil
		}
		c.made.Add(1)
		if len(c.first) > 0 {
			_, _ = conn.Write(c.first[i%len(c.first)])
		}
		return conn
	}
	slots := make(chan struct{}, 64)
	var came sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		came.Add(1)
		all.Go(func() {
			conn := come(i)
			<-slots
			came.Done()
			for conn != nil {
				held := conn
				stop := context.AfterFunc(ctx, func() { held.Close() })
				_, _ = io.Copy(io.Discard, held) // until it is ended
				stop()
				held.Close()
				c.ended.Add(1)
				select {
				case <-ctx.Done():
					return
				case <-again:
				}
				conn = come(i)
			}
		})
	}
	came.Wait()
	if err := c.failed.Load(); err != nil && c.made.Load() == 0 {
		t.Fatalf("no stranger came: %v", *err)
	}
}

// looksLikeProof is the header of a Binding, and nothing behind it; and a whole
// one without the key, and with another's.
func looksLikeProof(t *testing.T) [][]byte {
	t.Helper()
	header := []byte("\x00\x01\x00\x40\x21\x12\xa4\x42abcdefghijkl")
	return [][]byte{nil, header[:8], header, append(bytes.Clone(header), make([]byte, 64)...), bindingOf(t, "another key of nobody in particular")}
}

// bindingOf is a keyed Binding that never arrived anywhere: a recording.
func bindingOf(t *testing.T, keyText string) []byte {
	t.Helper()
	return recordings(t, keyText, 1)[0]
}

// recordings are so many of them, each of a run of its own.
func recordings(t *testing.T, keyText string, n int) (out [][]byte) {
	t.Helper()
	key, err := echo.ParseKey(keyText)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range n {
		a, b := net.Pipe()
		go func() {
			_, _ = echo.Prove(ctx, pretended{a}, echo.Ask{Key: key, Run: echo.NewID(), Probe: echo.NewID(), Flow: "sql-client"})
			a.Close()
		}()
		buf := make([]byte, 4096)
		n, err := b.Read(buf)
		b.Close()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, buf[:n])
	}
	return out
}

// pretended is a pipe with addresses.
type pretended struct{ net.Conn }

func (pretended) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (pretended) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }

// A holder of the key gets in while 20,000 strangers hold on, some of them behind
// the holder's own NAT, whatever they say first and though each comes back once
// it is ended; also where listen may have few descriptors, with four times as many
// strangers. Every path is told as it is without them.
func TestHolderOfTheKeyGetsInWhileStrangersHoldOn(t *testing.T) {
	usualAt := netip.MustParseAddr("127.78.3.10")
	_, _ = listening(t, usualAt, `exec "$@"`)
	usual := fullRun(t, usualAt)
	t.Logf("usually: %d paths, findings %v", len(usual.verdicts), usual.findings)
	var elsewhere []netip.Addr
	for i := range 250 {
		elsewhere = append(elsewhere, netip.AddrFrom4([4]byte{127, 78, 4, byte(i + 1)}))
	}
	for i, c := range []struct {
		name, command string
		strangers     int
		crowd         *crowd
		said          string
		long          bool // only where there is time
	}{
		{"20000 from many and the holder's own, with what looks like the proof", `exec "$@"`, 20_000, &crowd{from: append(elsewhere[:200:200], holderAt), first: looksLikeProof(t), perPause: 2}, "and may have 4096, its own limit", false},
		{"ulimit -n 1024, all from the holder's own address", `ulimit -n 1024 && exec "$@"`, 4096, &crowd{from: []netip.Addr{holderAt}, first: looksLikeProof(t), perPause: 2}, "of 1024 file descriptors, ulimit -n", false},
		{"6000 with recordings of proofs, each another one first and the same again", `exec "$@"`, 6000, &crowd{from: append(elsewhere[:200:200], holderAt), first: recordings(t, soakKey, 6000), perPause: 5}, "and may have 4096, its own limit", false},
		{"20000 from the holder's own address", `exec "$@"`, 20_000, &crowd{from: []netip.Addr{holderAt}, perPause: 5}, "and may have 4096, its own limit", true},
		{"ulimit -n 1024, from few", `ulimit -n 1024 && exec "$@"`, 4096, &crowd{from: append(elsewhere[:3:3], holderAt), first: looksLikeProof(t), perPause: 5}, "of 1024 file descriptors, ulimit -n", true},
		{"ulimit -n 256, from few", `ulimit -n 256 && exec "$@"`, 1024, &crowd{from: append(elsewhere[:3:3], holderAt), first: looksLikeProof(t), perPause: 5}, "of 256 file descriptors, ulimit -n", true},
	} {
		if c.long && !hasTime() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			at := netip.AddrFrom4([4]byte{127, 78, 3, byte(20 + i)})
			listen, said := listening(t, at, c.command)
			began := time.Now()
			c.crowd.gather(t, c.strangers, strangerPorts(at))
			took := time.Since(began)
			began = time.Now()
			got := fullRun(t, at)
			t.Logf("%d connections of strangers in %v, %d of them ended; dial took %v; listen has %d MiB", c.crowd.made.Load(), took.Round(time.Millisecond), c.crowd.ended.Load(), time.Since(began).Round(time.Millisecond), memory(t, listen.Pid, "VmRSS"))
			asUsual(t, usual, got)
			if !slices.Contains(got.findings, "listener-crowded") {
				t.Errorf("dial does not say that listen was crowded: %v", got.findings)
			}
			if !strings.Contains(said(), c.said) || strings.Contains(said(), "panic") {
				t.Errorf("listen says %q", said())
			}
		})
	}
}

// A holder of the key that keeps all the connections that it can get, proved ones, shuts
// out no other, not even one behind the same address.
func TestOneHolderOfTheKeyDoesNotShutOutAnother(t *testing.T) {
	at := netip.MustParseAddr("127.78.3.50")
	listen, said := listening(t, at, `ulimit -n 512 && exec "$@"`)
	usual := fullRun(t, at)
	key, err := echo.ParseKey(soakKey)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	run, ports, proved := echo.NewID(), strangerPorts(at), 0
	for i := range 1000 {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(holderAt, 0))}
		conn, err := d.DialContext(ctx, "tcp", ports[i%len(ports)].String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c, err := echo.Prove(ctx, conn, echo.Ask{Key: key, Run: run, Probe: echo.NewID(), Flow: "sql-client", Greeted: true})
		if err == nil {
			_, err = c.Hello(ctx)
		}
		if err == nil {
			proved++
		}
	}
	got := fullRun(t, at)
	t.Logf("%d connections proved themselves; listen has %d MiB", proved, memory(t, listen.Pid, "VmRSS"))
	if proved < 1000 {
		t.Errorf("%d of 1000 proved themselves", proved)
	}
	asUsual(t, usual, got)
	if !strings.Contains(said(), "had proved itself, beyond the share") || strings.Contains(said(), "panic") {
		t.Errorf("listen says %q", said())
	}
}

// Strangers of every kind that do their worst on every port, and a dial beside
// them that tells every path as without them.
func TestHostileStrangersChangeNoVerdict(t *testing.T) {
	at := netip.MustParseAddr("127.78.3.40")
	listen, said := listening(t, at, `exec "$@"`)
	usual := fullRun(t, at)
	ports := strangerPorts(at)
	udp := netip.AddrPortFrom(at, 1434+troubleShift)
	nat := []netip.Addr{holderAt, netip.MustParseAddr("127.78.3.2")}
	// each runs one kind of stranger until the context ends, several of them at once.
	each := func(ctx context.Context, all *sync.WaitGroup, n int, visit func(i int, conn net.Conn)) {
		for i := range n {
			all.Go(func() {
				for ctx.Err() == nil {
					d := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(nat[i%len(nat)], 0))}
					conn, err := d.DialContext(ctx, "tcp", ports[i%len(ports)].String())
					if err != nil {
						continue
					}
					stop := context.AfterFunc(ctx, func() { conn.Close() })
					visit(i, conn)
					stop()
					conn.Close()
				}
			})
		}
	}
	pause := func(ctx context.Context, d time.Duration) bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(d):
			return true
		}
	}
	beginnings := []string{"GET / HTTP/1.1\r\nHost: a\r\nX: ", "USER ", "EHLO ", "\x12\x01\xff\xff\x00\x00\x00\x00", "\x30\x84\x7f\xff\xff\xff", "\x16\x03\x01\xff\xff\x01\x00\xff\xff", "\x03\x00\xff\xff", "\xb4\x84\x7f\xff\xff\xff", "\x00\x01\xff\xfc\x21\x12\xa4\x42abcdefghijkl", "\x61\x84\xff\xff\xff\xff"}
	recording := bindingOf(t, soakKey)
	kinds := []struct {
		name string
		run  func(ctx context.Context, all *sync.WaitGroup)
	}{
		{"slow loris", func(ctx context.Context, all *sync.WaitGroup) {
			each(ctx, all, 300, func(i int, conn net.Conn) {
				for _, b := range []byte(strings.Repeat(beginnings[i%len(beginnings)], 100)) {
					if _, err := conn.Write([]byte{b}); err != nil || !pause(ctx, 200*time.Millisecond) {
						return
					}
				}
			})
		}},
		{"half messages, huge lengths and endless ones", func(ctx context.Context, all *sync.WaitGroup) {
			each(ctx, all, 16, func(i int, conn net.Conn) {
				_, _ = io.WriteString(conn, beginnings[i%len(beginnings)])
				if i%2 == 0 {
					_, _ = io.Copy(io.Discard, conn) // as long as it is kept
					return
				}
				for range 64 {
					if _, err := conn.Write(bytes.Repeat([]byte("A"), 16<<10)); err != nil || !pause(ctx, 20*time.Millisecond) {
						return
					}
				}
			})
		}},
		{"connect and vanish", func(ctx context.Context, all *sync.WaitGroup) {
			each(ctx, all, 8, func(i int, conn net.Conn) {
				if i%2 == 0 {
					_ = conn.(*net.TCPConn).SetLinger(0) // RST
				}
				pause(ctx, 10*time.Millisecond)
			})
		}},
		{"replay of a recording", func(ctx context.Context, all *sync.WaitGroup) {
			each(ctx, all, 8, func(i int, conn net.Conn) {
				_, _ = conn.Write(recording)
				_, _ = io.Copy(io.Discard, conn)
				pause(ctx, 20*time.Millisecond)
			})
		}},
		{"UDP in the holder's name", func(ctx context.Context, all *sync.WaitGroup) {
			for i := range 4 {
				all.Go(func() {
					c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(nat[0], 0)), net.UDPAddrFromAddrPort(udp))
					if err != nil {
						t.Errorf("%v", err)
						return
					}
					defer c.Close()
					for ctx.Err() == nil {
						_, _ = c.Write([][]byte{recording, {2}, bytes.Repeat([]byte{0xff}, 1200), []byte("\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl")}[i])
						pause(ctx, 2*time.Millisecond)
					}
				})
			}
		}},
	}
	beside := func(t *testing.T, some ...func(context.Context, *sync.WaitGroup)) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for _, run := range some {
			run(ctx, &all)
		}
		began := time.Now()
		got := fullRun(t, at)
		t.Logf("dial took %v; listen has %d MiB", time.Since(began).Round(time.Millisecond), memory(t, listen.Pid, "VmRSS"))
		cancel()
		all.Wait()
		asUsual(t, usual, got)
	}
	var atOnce []func(context.Context, *sync.WaitGroup)
	for _, c := range kinds {
		if c.name != "UDP in the holder's name" { // dial waits long for what the listener must not answer then
			atOnce = append(atOnce, c.run)
		}
		if hasTime() {
			t.Run(c.name, func(t *testing.T) { beside(t, c.run) })
		}
	}
	t.Run("all of them over TCP at once", func(t *testing.T) { beside(t, atOnce...) })
	if strings.Contains(said(), "panic") || strings.Contains(said(), "goroutine ") {
		t.Errorf("listen says %q", said())
	}
}

// hasTime reports whether each case may have a run of its own (DIALTONE_SOAK, as
// for TestListenSurvivesRubbish).
func hasTime() bool { return os.Getenv("DIALTONE_SOAK") != "" }
