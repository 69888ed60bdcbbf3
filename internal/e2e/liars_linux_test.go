package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// most that dial may take while a far end does its worst: memory, MiB; and how long,
// with --timeout 1s, on a slow machine.
const (
	dialsMiB    = 300
	dialsWithin = 4 * time.Minute
)

// A liar is a far end with the key that says what suits it.
type liar struct {
	echo.NoHost
	hello   func(*echo.Hello)
	witness func(*echo.Witnessed, int)
}

func (l liar) Hello(echo.Peer) echo.Hello {
	h := echo.Hello{Instance: echo.NewID(), Plan: "illiad", Shift: troubleShift, Bound: map[string][]int{"tcp4": {1433 + troubleShift}}, Clock: time.Now().UnixMilli(), Witness: result.WitnessCapture}
	if l.hello != nil {
		l.hello(&h)
	}
	return h
}

func (l liar) Witness(_ echo.Peer, w echo.Witness) (out echo.Witnessed) {
	for range w.Queries {
		out.Answers = append(out.Answers, result.Acceptor{Port: result.PortBound, Saw: result.SawNothing})
	}
	if l.witness != nil {
		l.witness(&out, len(w.Queries))
	}
	return out
}

// drops is a connection of which what is written goes out a byte at a time.
type drops struct{ net.Conn }

func (d drops) Write(b []byte) (n int, err error) {
	for i := range b {
		if _, err := d.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return len(b), nil
}

// floods is a connection behind whose second written message there is no end.
type floods struct {
	net.Conn
	written *int
}

func (f floods) Write(b []byte) (n int, err error) {
	n, err = f.Conn.Write(b)
	if *f.written++; *f.written > 1 {
		for err == nil {
			_, err = f.Conn.Write(bytes.Repeat(b, 64))
		}
	}
	return n, err
}

// Whoever is at the far end, with the key or without it: dial ends in time and in little
// memory, and calls no path open that was not proved on its own port.
func TestHostileFarEndIsLeftInTimeAndBelievedNothing(t *testing.T) {
	key, err := echo.ParseKey(soakKey)
	if err != nil {
		t.Fatal(err)
	}
	endless := func(first, unit string) func(net.Conn) {
		return func(c net.Conn) {
			_, err := io.WriteString(c, first)
			for more := []byte(strings.Repeat(unit, 8192)); err == nil; {
				_, err = c.Write(more)
			}
		}
	}
	keyed := func(l liar, wrap func(net.Conn) net.Conn) func(net.Conn) {
		a := &echo.Answerer{Key: key, Instance: echo.NewID(), Software: "x", Host: l}
		return func(c net.Conn) { a.Answer(t.Context(), wrap(c)) }
	}
	plainly := func(c net.Conn) net.Conn { return c }
	everywhere := map[string][]int{}
	for _, of := range []string{"tcp4", "tcp6", "udp4", "udp6"} {
		for port := range 4000 {
			everywhere[of] = append(everywhere[of], port)
		}
	}
	for i, c := range []struct {
		name  string
		say   func(net.Conn)
		open  bool // the paths to the ports that answer may be open
		ports int  // how many of the far end's ports answer; 0: all
	}{
		{"an answer without an end", endless("", "A"), false, 0},
		{"a STUN message of 65 KB, and more", endless("\x01\x01\xff\xfc\x21\x12\xa4\x42", "\x21\x12\xa4\x42"), false, 0},
		{"a page without an end", endless("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n", "<a>"), false, 0},
		{"headers without an end", endless("HTTP/1.1 200 OK\r\n", "X: y\r\n"), false, 0},
		{"a greeting without an end", endless("220-a\r\n", "220-b\r\n"), false, 0},
		{"TLS records of the largest size", endless("\x16\x03\x03\xff\xff", "\x16\x03\x03\xff\xff"), false, 0},
		{"a byte now and then", func(c net.Conn) {
			for b := []byte("\x01\x01\x00\x50\x21\x12\xa4\x42"); ; time.Sleep(100 * time.Millisecond) {
				if _, err := c.Write(b[:1]); err != nil {
					return
				}
				if b = b[1:]; len(b) == 0 {
					b = []byte{0}
				}
			}
		}, false, 0},
		{"the request itself, again and again", func(c net.Conn) { _, _ = io.Copy(c, c) }, false, 0},
		{"with the key, a byte at a time", keyed(liar{}, func(c net.Conn) net.Conn { return drops{c} }), false, 0},
		{"with the key, messages without an end", keyed(liar{}, func(c net.Conn) net.Conn { return floods{c, new(int)} }), false, 0},
		{"with the key, a Hello full of ports and names", keyed(liar{hello: func(h *echo.Hello) {
			h.Bound = map[string][]int{"tcp4": everywhere["tcp4"], "tcp6": everywhere["tcp6"][:1000]}
			h.Roles = strings.Split(strings.Repeat("server,", 800), ",")
		}}, plainly), true, 0},
		{"with the key, times that make no sense", keyed(liar{hello: func(h *echo.Hello) {
			h.Clock, h.Started, h.UptimeMS, h.SleptMS, h.Shed, h.OtherRuns = math.MinInt64, math.MaxInt64, math.MinInt64, math.MaxInt64, math.MinInt, math.MaxInt
		}, witness: func(w *echo.Witnessed, _ int) {
			for n := range 5000 {
				w.Paused = append(w.Paused, echo.Span{BeganMS: math.MaxInt64 - int64(n), EndedMS: math.MinInt64})
			}
			w.Shed = math.MinInt
		}}, plainly), true, 0},
		{"with the key, a witness of all that never came", keyed(liar{hello: func(h *echo.Hello) {
			h.Bound = everywhere
			for _, s := range soaked[1:] {
				h.Busy = append(h.Busy, result.BusyPort{Port: s.port + troubleShift, Transport: plan.TCP, InUse: true, Holder: &result.Holder{Name: "sqlservr", PID: 1}})
			}
		}, witness: func(w *echo.Witnessed, n int) {
			for i := range n {
				w.Answers[i] = result.Acceptor{Port: result.PortBusy, Saw: result.SawAccepted, Match: result.MatchProbe, Proved: true, Conversed: true, Counted: &result.Counted{In: math.MaxInt64, Out: math.MaxInt64}}
			}
		}}, plainly), true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			at, from := netip.AddrFrom4([4]byte{127, 78, 7, byte(1 + i)}), netip.AddrFrom4([4]byte{127, 78, 8, byte(1 + i)})
			answering := map[int]bool{}
			for n, s := range soaked {
				if c.ports > 0 && n == c.ports {
					break
				}
				answering[s.port+troubleShift] = true
				l, err := net.Listen("tcp", netip.AddrPortFrom(at, uint16(s.port+troubleShift)).String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { l.Close() })
				go func() {
					for {
						conn, err := l.Accept()
						if err != nil {
							return
						}
						go func() { defer conn.Close(); c.say(conn) }()
					}
				}()
			}
			ctx, cancel := context.WithTimeout(t.Context(), dialsWithin)
			defer cancel()
			cmd := exec.CommandContext(ctx, filepath.Join(programs, "dial"), "--bind", from.String(), "--port-shift", strconv.Itoa(troubleShift), "--role", "all", "--both-ways", "--timeout", "1s", "--format", "json", at.String())
			cmd.Env = append(os.Environ(), "DIALTONE_KEY="+soakKey)
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			began := time.Now()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			peak := peakOf(cmd.Process.Pid)
			_ = cmd.Wait()
			took := time.Since(began)
			var r struct {
				Paths []struct {
					Flow, Direction, Verdict string
					Port                     int
				}
				Findings []struct{ Code string }
			}
			if err := json.Unmarshal(out.Bytes(), &r); err != nil || len(r.Paths) == 0 {
				t.Fatalf("%v after %v: %.500s%.2000s", err, took, out.Bytes(), errs.Bytes())
			}
			verdicts := map[string]int{}
			for _, p := range r.Paths {
				verdicts[p.Verdict]++
				if p.Verdict == "open" && !(c.open && p.Direction == "forward" && answering[p.Port]) {
					t.Errorf("%s %s, port %d, is open", p.Flow, p.Direction, p.Port)
				}
			}
			t.Logf("%v, %d MiB, %v, findings %v", took.Round(100*time.Millisecond), peak, verdicts, r.Findings)
			if ctx.Err() != nil || peak > dialsMiB || strings.Contains(errs.String(), "panic") {
				t.Errorf("%v, %d MiB: %.2000s", took, peak, errs.Bytes())
			}
		})
	}
}
