package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

const (
	crowdShift   = 10200
	crowdDialers = 200
	// maxMoreMiB is by how much the crowd may leave listen larger than a short one
	// before it did: what it remembers of contacts fills up to its bounds, and no
	// further. In the second half of a long time it may grow by maxLaterMiB. What
	// bounds threads is maxMoreThreads: Go keeps those that it once had.
	maxMoreMiB     = 128
	maxLaterMiB    = 24
	maxMoreThreads = 24
	maxMore        = 3 // descriptors and goroutines: the timers of what just ended
)

// crowdTime is how long the crowd stays; DIALTONE_CROWD sets it, as in
// DIALTONE_CROWD=30m.
func crowdTime(t *testing.T) time.Duration {
	return timeOf(t, "DIALTONE_CROWD", 20*time.Second)
}

// Two hundred dialers who hold the key, some of them broken, with strangers among
// them and real dials beside them: every dial that is right is answered right, and
// when all are gone listen is as it was.
func TestListenIsTheSameAfterACrowd(t *testing.T) {
	key, err := echo.ParseKey(soakKey)
	if err != nil {
		t.Fatal(err)
	}
	idle := startCrowded(t, "127.78.5.2")
	fresh := idle.goroutines(t)

	l := startCrowded(t, "127.78.5.1")
	c := &visitors{key: key, at: l.at, ports: l.ports}
	c.stay(t, 3*time.Second) // what it needs for so many, once
	before := l.settled(t, figures{descriptors: 1 << 20})
	d := crowdTime(t)
	stop := l.watch(t, d)
	c.stay(t, d)
	if first, second := stop(); second > first+maxLaterMiB {
		t.Errorf("it grows: %d MiB at most in the first half, %d in the second", first, second)
	}
	after := l.settled(t, before)
	left := l.goroutines(t)
	t.Logf("%v, %d dialers: %d conversations in order, %d broken off or strange, %d dials\n  before %v\n  after  %v\n  goroutines: %d, of one that nobody came to %d",
		d, crowdDialers, c.right.Load(), c.wrong.Load(), c.dials.Load(), before, after, left, fresh)
	for _, e := range c.errs {
		t.Error(e)
	}
	if c.right.Load() < crowdDialers || c.wrong.Load() < crowdDialers || c.dials.Load() == 0 {
		t.Error("that is no crowd")
	}
	if after.descriptors > before.descriptors+maxMore || left > fresh+maxMore || after.threads > before.threads+maxMoreThreads || after.mib > before.mib+maxMoreMiB {
		t.Error("listen is not as it was")
	}
}

// A crowded is a listen that a crowd comes to.
type crowded struct {
	cmd   *exec.Cmd
	at    netip.Addr
	ports []int // over TCP
	said  *os.File
	ended chan struct{}
}

func startCrowded(t *testing.T, at string) *crowded {
	t.Helper()
	dir := t.TempDir()
	l := &crowded{at: netip.MustParseAddr(at), ended: make(chan struct{})}
	ready := filepath.Join(dir, "ready")
	l.cmd = exec.Command(filepath.Join(programs, "listen"), "--bind", at, "--port-shift", strconv.Itoa(crowdShift), "--ready-file", ready)
	l.cmd.Env = append(os.Environ(), "DIALTONE_KEY="+soakKey)
	var err error
	if l.said, err = os.Create(filepath.Join(dir, "errors")); err != nil {
		t.Fatal(err)
	}
	l.cmd.Stderr = l.said
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = l.cmd.Wait(); close(l.ended) }()
	t.Cleanup(func() { _ = l.cmd.Process.Kill(); <-l.ended; l.said.Close() })
	var r struct{ Bound []netip.AddrPort }
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if b, err := os.ReadFile(ready); err == nil && json.Unmarshal(b, &r) == nil {
			break
		}
		if time.Now().After(end) {
			b, _ := os.ReadFile(l.said.Name())
			t.Fatalf("listen does not get ready: %s", b)
		}
	}
	for _, b := range r.Bound {
		if p := int(b.Port()); p != 1434+crowdShift {
			l.ports = append(l.ports, p)
		}
	}
	return l
}

// figures are what a process has.
type figures struct{ descriptors, threads, mib int }

func (f figures) String() string {
	return fmt.Sprintf("%d descriptors, %d threads, %d MiB", f.descriptors, f.threads, f.mib)
}

func (l *crowded) now(t *testing.T) figures {
	t.Helper()
	pid := l.cmd.Process.Pid
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^Threads:\s+(\d+)$`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("no threads in %s", status)
	}
	threads, _ := strconv.Atoi(string(m[1]))
	return figures{len(fds), threads, memory(t, pid, "VmRSS")}
}

// settled waits until a listen has no more descriptors than before, or until that
// takes too long, and then for two seconds more.
func (l *crowded) settled(t *testing.T, before figures) figures {
	t.Helper()
	for end := time.Now().Add(patience); l.now(t).descriptors > before.descriptors+maxMore && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(2 * time.Second)
	return l.now(t)
}

// watch tells the figures from time to time, of a crowd that stays for long, and in the
// end how large it was at most in each half.
func (l *crowded) watch(t *testing.T, d time.Duration) (stop func() (first, second int)) {
	if d < time.Minute {
		return func() (int, int) { return 0, 0 }
	}
	done := make(chan struct{})
	var most [2]int
	var all sync.WaitGroup
	all.Go(func() {
		for n := 1; ; n++ {
			select {
			case <-done:
				return
			case <-time.After(30 * time.Second):
				now := l.now(t)
				fmt.Fprintf(os.Stderr, "%4d s: %v\n", 30*n, now)
				half := 0
				if time.Duration(n)*30*time.Second > d/2 {
					half = 1
				}
				most[half] = max(most[half], now.mib)
			}
		}
	})
	return func() (int, int) { close(done); all.Wait(); return most[0], most[1] }
}

// goroutines ends a listen, which tells them, as Go programs do on SIGQUIT, without
// those of Go's own.
func (l *crowded) goroutines(t *testing.T) int {
	t.Helper()
	_ = l.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-l.ended:
	case <-time.After(patience):
		t.Fatal("listen does not end")
	}
	b, err := os.ReadFile(l.said.Name())
	if err != nil {
		t.Fatal(err)
	}
	n := len(regexp.MustCompile(`(?m)^goroutine \d+ .*:$`).FindAll(b, -1))
	if n < 5 {
		t.Fatalf("no goroutines in %s", b)
	}
	return n
}

// visitors are who comes to a listen.
type visitors struct {
	key   echo.Key
	at    netip.Addr
	ports []int

	right, wrong, dials atomic.Int64
	mu                  sync.Mutex
	errs                []error
}

func (c *visitors) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.errs) < 10 {
		c.errs = append(c.errs, err)
	}
}

// stay has them come for a while, and waits until all are gone.
func (c *visitors) stay(t *testing.T, d time.Duration) {
	t.Helper()
	var all sync.WaitGroup
	end := time.Now().Add(d)
	for i := range crowdDialers {
		v := &visitor{visitors: c, r: mathrand.New(mathrand.NewPCG(uint64(i), 13)), from: netip.AddrFrom4([4]byte{127, 81, byte(1 + i/200), byte(1 + i%200)})}
		all.Go(func() {
			for time.Now().Before(end) {
				v.come(end)
				time.Sleep(time.Duration(50+v.r.IntN(400)) * time.Millisecond)
			}
		})
	}
	all.Go(func() {
		for time.Now().Before(end) {
			c.dial()
		}
	})
	all.Wait()
}

// dial runs the real dial once.
func (c *visitors) dial() {
	cmd := exec.Command(filepath.Join(programs, "dial"), "--bind", "127.78.5.3", "--port-shift", strconv.Itoa(crowdShift), "--role", "client,server", "--both-ways", c.at.String())
	cmd.Env = append(os.Environ(), "DIALTONE_KEY="+soakKey)
	if b, err := cmd.CombinedOutput(); err != nil {
		c.fail(fmt.Errorf("dial: %w\n%s", err, b))
	}
	c.dials.Add(1)
}

// A visitor is one of them.
type visitor struct {
	*visitors
	r    *mathrand.Rand
	from netip.Addr
}

// come does one thing to a port.
func (v *visitor) come(end time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	to := netip.AddrPortFrom(v.at, uint16(v.ports[v.r.IntN(len(v.ports))]))
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: v.from.AsSlice()}}
	nc, err := d.DialContext(ctx, "tcp4", to.String())
	if err != nil {
		v.fail(fmt.Errorf("connect: %w", err))
		return
	}
	conn := nc.(*net.TCPConn)
	defer conn.Close()
	if v.r.IntN(3) > 0 {
		if err := v.inOrder(ctx, conn); err != nil {
			v.fail(fmt.Errorf("at %s: %w", to, err))
			return
		}
		v.right.Add(1)
		return
	}
	v.wrong.Add(1)
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	v.strange(ctx, conn, end)
}

func (v *visitor) ask() echo.Ask {
	return echo.Ask{Key: v.key, Run: echo.NewID(), Probe: echo.NewID(), Flow: "sql-client", Greeted: true}
}

// inOrder is what a dial does with a connection.
func (v *visitor) inOrder(ctx context.Context, conn net.Conn) error {
	c, err := echo.Prove(ctx, conn, v.ask())
	if err != nil {
		return fmt.Errorf("prove: %w", err)
	}
	if _, err := c.Hello(ctx); err != nil {
		return err
	}
	for range v.r.IntN(3) {
		switch v.r.IntN(5) {
		case 0:
			if t := c.Send(ctx, int64(v.r.IntN(32<<10))); t.Outcome != result.TransferIntact {
				return fmt.Errorf("send: %+v", t)
			}
		case 1:
			if t := c.Receive(ctx, int64(v.r.IntN(32<<10))); t.Outcome != result.TransferIntact {
				return fmt.Errorf("receive: %+v", t)
			}
		case 2:
			_, err = c.Witness(ctx, []echo.WitnessQuery{{Probe: echo.NewID(), Transport: plan.TCP, Port: v.ports[0], BeganMS: 4000}})
		case 3:
			back := echo.BackPath{Flow: "sql-client", Probe: echo.NewID(), Transport: plan.TCP, Port: 1433 + crowdShift, ProofOnly: true}
			_, err = c.DialBack(ctx, echo.DialBack{TimeoutMS: 1000, Paths: []echo.BackPath{back}})
		default:
			err = c.Submit(ctx, echo.Submission{Host: "crowd", Broken: []string{"\x1b[2J"}})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// strange is what a broken dial, or a stranger, does with one.
func (v *visitor) strange(ctx context.Context, conn *net.TCPConn, end time.Time) {
	linger := func() { // a moment, or longer
		time.Sleep(min(time.Duration(v.r.IntN(1500))*time.Millisecond, max(0, time.Until(end))))
	}
	switch v.r.IntN(9) {
	case 0: // nothing
		linger()
	case 1: // a proof, and gone without a word
		if _, err := echo.Prove(ctx, conn, v.ask()); err == nil {
			_ = conn.SetLinger(0)
		}
	case 2: // a proof, and a payload that it does not take
		if c, err := echo.Prove(ctx, conn, v.ask()); err == nil {
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			c.Receive(short, 1<<20)
			cancel()
			linger()
		}
	case 3: // half a message
		_, _ = conn.Write([]byte{0, 1, 0, 200, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3})
		linger()
	case 4: // another key
		ask := v.ask()
		ask.Key = echo.Key{}
		if _, err := echo.Prove(ctx, conn, ask); err == nil || errors.Is(err, context.DeadlineExceeded) {
			v.fail(fmt.Errorf("with another key: %w", err))
		}
	case 5: // rubbish, without reading
		b := make([]byte, v.r.IntN(16<<10))
		for i := range b {
			b[i] = byte(v.r.Uint32())
		}
		_, _ = conn.Write(b)
		linger()
	case 6: // a browser that goes away
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		_, _ = io.CopyN(io.Discard, conn, 100)
	case 7: // TLS, cut off or not
		if v.r.IntN(2) == 0 {
			_ = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake()
		} else {
			_, _ = conn.Write([]byte{0x16, 3, 1, 2, 0, 1, 0})
			_ = conn.SetLinger(0)
		}
	default: // a report that is none
		if c, err := echo.Prove(ctx, conn, v.ask()); err == nil {
			if _, err := c.Deliver(ctx, echo.Delivery{Report: bytes.Repeat([]byte{0x1f}, 1000)}); err == nil {
				v.fail(errors.New("rubbish was taken for a report"))
			}
		}
	}
}
