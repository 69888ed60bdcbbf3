package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/service"
)

// soakTime is how long each service is fed with rubbish; DIALTONE_SOAK sets it,
// as in DIALTONE_SOAK=1m.
func soakTime(t *testing.T) time.Duration {
	return timeOf(t, "DIALTONE_SOAK", 500*time.Millisecond)
}

// timeOf is the time that a variable of the environment sets.
func timeOf(t *testing.T, variable string, unset time.Duration) time.Duration {
	text := os.Getenv(variable)
	if text == "" {
		return unset
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return d
}

const (
	soakShift   = 10000
	soakKey     = "rubbish in and nothing out at all"
	soakWorkers = 24

	// maxSoakMiB bounds what listen may ever have in memory, maxSoakGrowthMiB by
	// how much one service may leave it larger than it was. The pairing key alone
	// takes 19 MiB when it is stretched.
	maxSoakMiB       = 192
	maxSoakGrowthMiB = 64
)

// soaked are the services by a port that speaks each.
var soaked = []struct {
	speaks string
	port   int
	tls    bool // TLS from the first byte
}{
	{"http", 80, false}, {"http", 4500, false}, {"https", 443, true}, {"ftp", 21, false}, {"smtp", 25, false},
	{"tds", 1433, false}, {"ldap", 389, false}, {"ldaps", 636, true}, {"rdp", 3389, false},
	{"z3950", 210, false}, {"iso-ill", 1611, false}, {"odyssey", 7968, false},
}

// Every service of the built listen is fed, one after another, with random
// bytes, with what dial says changed at random, and under TLS with both inside
// it. It must go on living and answering, in bounded memory.
func TestListenSurvivesRubbish(t *testing.T) {
	at := netip.MustParseAddr("127.78.1.1")
	dir := t.TempDir()
	listen := exec.Command(filepath.Join(programs, "listen"), "--bind", at.String(), "--port-shift", strconv.Itoa(soakShift), "--ready-file", filepath.Join(dir, "ready"))
	listen.Env = append(os.Environ(), "DIALTONE_KEY="+soakKey)
	errs, err := os.Create(filepath.Join(dir, "errors"))
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	listen.Stderr = errs
	if err := listen.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- listen.Wait() }()
	defer func() {
		_ = listen.Process.Signal(syscall.SIGQUIT) // it says where it hangs, if it is still there
		<-ended
	}()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "ready")); err == nil {
			break
		}
		if time.Now().After(end) {
			said, _ := os.ReadFile(errs.Name())
			t.Fatalf("listen does not get ready: %s", said)
		}
	}
	pid, d := listen.Process.Pid, soakTime(t)
	for _, s := range soaked {
		t.Run(fmt.Sprintf("%s on %d", s.speaks, s.port), func(t *testing.T) {
			to := netip.AddrPortFrom(at, uint16(s.port+soakShift))
			before := memory(t, pid, "VmRSS")
			resetPeak(pid)
			conns, sent := soak(t, to, seedsOf(t, to, s.speaks), s.tls, d)
			peak, after := memory(t, pid, "VmHWM"), memory(t, pid, "VmRSS")
			t.Logf("%v: %d connections, %d KiB sent; memory before %d MiB, at most %d MiB, after %d MiB", d, conns, sent>>10, before, peak, after)
			if conns < soakWorkers {
				t.Errorf("only %d connections were accepted", conns)
			}
			if peak > maxSoakMiB || after > before+maxSoakGrowthMiB {
				t.Errorf("memory is not bounded: before %d MiB, at most %d MiB, after %d MiB", before, peak, after)
			}
		})
	}
	t.Run("sql-browser on udp 1434", func(t *testing.T) {
		before := memory(t, pid, "VmRSS")
		resetPeak(pid)
		answered := soakUDP(t, netip.AddrPortFrom(at, 1434+soakShift), d)
		peak := memory(t, pid, "VmHWM")
		t.Logf("%v: memory before %d MiB, at most %d MiB", d, before, peak)
		if peak > maxSoakMiB {
			t.Errorf("memory is not bounded: at most %d MiB", peak)
		}
		if answered > 0 {
			t.Errorf("%d datagrams of strangers were answered", answered)
		}
	})
	select {
	case err := <-ended:
		said, _ := os.ReadFile(errs.Name())
		ended <- err
		t.Fatalf("listen ended: %v\n%s", err, said)
	default:
	}
	// It still does its work, on every row.
	dial := exec.Command(filepath.Join(programs, "dial"), "--port-shift", strconv.Itoa(soakShift), "--bind", "127.78.1.2", "--role", "all", at.String())
	dial.Env = append(os.Environ(), "DIALTONE_KEY="+soakKey)
	if out, err := dial.CombinedOutput(); err != nil {
		t.Errorf("dial: %v\n%s", err, out)
	}
	_ = listen.Process.Signal(os.Interrupt)
	select {
	case err := <-ended:
		ended <- err
		if err != nil {
			t.Errorf("listen, when interrupted: %v", err)
		}
	case <-time.After(patience):
		t.Error("listen does not end when interrupted")
	}
	if said, _ := os.ReadFile(errs.Name()); bytes.Contains(said, []byte("panic")) || bytes.Contains(said, []byte("goroutine ")) {
		t.Errorf("%s", said)
	}
}

// seedsOf records what the asking side says in a service's conversation.
func seedsOf(t *testing.T, to netip.AddrPort, speaks string) [][]byte {
	t.Helper()
	conn, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r := &recording{Conn: conn}
	q := service.Question{Host: "listener.example", DocumentSize: 4096}
	_, _ = rand.Read(q.Token[:])
	q.Answer = make([]byte, service.AnswerSize) // as if it were our own listener, with another key
	_ = service.Ask(ctx, r, plan.Protocol(speaks), q)
	return append(r.sent, []byte("\r\n"), bytes.Repeat([]byte("A"), 8<<10), bytes.Repeat([]byte{0x30, 0x80}, 4<<10))
}

// recording keeps what is written, a piece for each Write.
type recording struct {
	net.Conn
	sent [][]byte
}

func (r *recording) Write(b []byte) (int, error) {
	r.sent = append(r.sent, bytes.Clone(b))
	return r.Conn.Write(b)
}

// soak feeds a port for a while and returns how many connections were made and
// bytes sent.
func soak(t *testing.T, to netip.AddrPort, seeds [][]byte, inTLS bool, d time.Duration) (conns, sent int64) {
	var all sync.WaitGroup
	var made, bytesSent atomic.Int64
	end := time.Now().Add(d)
	for w := range soakWorkers {
		var seed [32]byte
		binary.BigEndian.PutUint64(seed[:], uint64(w)+1) // the same rubbish each time
		random := mathrand.NewChaCha8(seed)
		dialer := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 78, 2, byte(w+1))}}
		all.Go(func() {
			for time.Now().Before(end) {
				conn, err := dialer.Dial("tcp", to.String())
				if err != nil {
					t.Errorf("connect: %v", err)
					return
				}
				made.Add(1)
				bytesSent.Add(feed(conn, seeds, random, inTLS))
				conn.Close()
			}
		})
	}
	all.Wait()
	return made.Load(), bytesSent.Load()
}

// feed holds one hostile conversation. It reads what comes, a little while.
func feed(conn net.Conn, seeds [][]byte, random *mathrand.ChaCha8, inTLS bool) (sent int64) {
	r := mathrand.New(random)
	_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
	if inTLS && r.IntN(4) > 0 {
		tc := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		if tc.Handshake() != nil {
			return 0
		}
		conn = tc
	}
	go func() { // ends with the connection
		buf := make([]byte, 4<<10)
		for {
			if _, err := conn.Read(buf); err != nil {
				return
			}
		}
	}()
	for range 1 + r.IntN(len(seeds)+2) {
		b := rubbish(seeds, random)
		n, err := conn.Write(b)
		sent += int64(n)
		if err != nil {
			return sent
		}
		if r.IntN(3) == 0 {
			time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
		}
	}
	return sent
}

// rubbish is random bytes, or a message with some of its bytes changed, left
// out, or repeated.
func rubbish(seeds [][]byte, random *mathrand.ChaCha8) []byte {
	r := mathrand.New(random)
	if len(seeds) == 0 || r.IntN(4) == 0 {
		b := make([]byte, r.IntN(32<<10))
		_, _ = random.Read(b)
		return b
	}
	b := bytes.Clone(seeds[r.IntN(len(seeds))])
	for range r.IntN(4) {
		if len(b) == 0 {
			break
		}
		i := r.IntN(len(b))
		switch r.IntN(4) {
		case 0:
			b[i] = byte(r.Uint32())
		case 1:
			b = b[:i]
		case 2:
			b = append(b[:i:i], bytes.Repeat(b[i:], 2)...)
		default:
			b[i] ^= 1 << r.IntN(8)
		}
	}
	return b[:min(len(b), 256<<10)]
}

// soakUDP sends rubbish to a UDP port and returns how many answers came.
func soakUDP(t *testing.T, to netip.AddrPort, d time.Duration) (answered int64) {
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 78, 3, 1)}, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	var got atomic.Int64
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			if _, err := conn.Read(buf); err != nil {
				if !strings.Contains(err.Error(), "refused") {
					return
				}
				continue
			}
			got.Add(1)
		}
	})
	random := mathrand.NewChaCha8([32]byte{1})
	seeds := [][]byte{{0x02}, {0x03}, append([]byte{0x04}, "MSSQLSERVER\x00"...), make([]byte, 1200)}
	for end := time.Now().Add(d); time.Now().Before(end); {
		b := rubbish(seeds, random)
		_, _ = conn.Write(b[:min(len(b), 1400)])
	}
	conn.Close()
	reading.Wait()
	return got.Load()
}

// resetPeak makes VmHWM count from now.
func resetPeak(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) // else the peak is the whole run's, which is larger
}

// memory is a figure of a process's, in MiB.
func memory(t *testing.T, pid int, name string) int {
	t.Helper()
	n, err := memoryOf(pid, name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// memoryOf is memory; one that has ended has none.
func memoryOf(pid int, name string) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB$`).FindSubmatch(b)
	if m == nil {
		return 0, fmt.Errorf("no %s in %s", name, b)
	}
	n, err := strconv.Atoi(string(m[1]))
	return n >> 10, err
}
