package echo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"dialtone/internal/sock"
)

var (
	someone = netip.MustParseAddrPort("192.0.2.7:50000")
	here    = netip.MustParseAddrPort("198.51.100.9:1434")
)

// servePackets answers each datagram with what answer returns, until the test
// ends.
func servePackets(t *testing.T, addr netip.Addr, answer func(remote, local netip.AddrPort, b []byte) [][]byte) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		t.Fatal(err)
	}
	at := sock.AddrPortOf(c.LocalAddr())
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
			for _, b := range answer(from, at, slices.Clone(buf[:n])) {
				_, _ = c.WriteToUDPAddrPort(b, from)
			}
		}
	})
	t.Cleanup(func() { c.Close(); wg.Wait() })
	return at
}

func dialUDP(t *testing.T, at netip.AddrPort) net.Conn {
	t.Helper()
	c, err := net.Dial("udp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestProofOverUDPHasTheSizeThatWasAskedFor(t *testing.T) {
	for name, addr := range families() {
		for _, size := range []PacketSize{{320, 320}, {1472, 1472}, {1472, 320}, {1000, 400}, {400, 1000}} {
			t.Run(fmt.Sprintf("%s/%d-%d", name, size.Request, size.Answer), func(t *testing.T) {
				a := newAnswerer(&fakeHost{})
				at := servePackets(t, addr, func(remote, local netip.AddrPort, b []byte) [][]byte {
					if len(b) != size.Request {
						t.Errorf("request of %d bytes", len(b))
					}
					resp, kind := a.AnswerPacket(remote, local, b)
					if kind != KindAsked || len(resp) != min(size.Answer, size.Request) {
						t.Errorf("%s, answer of %d bytes", kind, len(resp))
					}
					return [][]byte{resp}
				})
				c := dialUDP(t, at)
				p, sent, received, attempts, err := ProvePacket(within(t, guardTime), c, newAsk(), size)
				if err != nil || p.SeenAs != sock.AddrPortOf(c.LocalAddr()) || p.Origin != at || p.Instance != a.Instance || attempts != 1 {
					t.Errorf("%+v, %d attempts, %v", p, attempts, err)
				}
				if sent < int64(size.Request-200) || received < int64(min(size.Answer, size.Request)-200) {
					t.Errorf("%d bytes there, %d back", sent, received)
				}
			})
		}
	}
}

func TestLostDatagramIsSentAgainUnderANewTransaction(t *testing.T) {
	a := newAnswerer(&fakeHost{})
	n := 0
	at := servePackets(t, loop4, func(remote, local netip.AddrPort, b []byte) [][]byte {
		resp, kind := a.AnswerPacket(remote, local, b)
		if kind != KindAsked {
			t.Errorf("%s", kind)
		}
		if n++; n == 1 {
			return nil
		}
		return [][]byte{resp}
	})
	if _, _, _, attempts, err := ProvePacket(within(t, guardTime), dialUDP(t, at), newAsk(), SmallPacket); err != nil || attempts != 2 {
		t.Errorf("%d attempts, %v", attempts, err)
	}
}

func TestForgedDatagramsDoNotKeepTheTrueAnswerOut(t *testing.T) {
	a := newAnswerer(&fakeHost{})
	at := servePackets(t, loop4, func(remote, local netip.AddrPort, b []byte) [][]byte {
		m, _ := decode(b)
		refusal, _ := errorAnswer(m, stun.CodeUnauthorized, "forged")
		resp, _ := a.AnswerPacket(remote, local, b)
		return [][]byte{[]byte("rubbish"), {}, refusal.Raw, b, resp}
	})
	if _, _, _, _, err := ProvePacket(within(t, guardTime), dialUDP(t, at), newAsk(), SmallPacket); err != nil {
		t.Error(err)
	}
}

func TestUDPAnswersThatAreNoProof(t *testing.T) {
	a := newAnswerer(&fakeHost{})
	var once sync.Once
	var recorded []byte
	for name, c := range map[string]struct {
		answer func(remote, local netip.AddrPort, b []byte) [][]byte
		is     func(error) bool
	}{
		"silence":       {func(_, _ netip.AddrPort, _ []byte) [][]byte { return nil }, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		"our own bytes": {func(_, _ netip.AddrPort, b []byte) [][]byte { return [][]byte{b} }, func(err error) bool { f := asForeign(err); return f != nil && f.Echoed }},
		"rubbish":       {func(_, _ netip.AddrPort, _ []byte) [][]byte { return [][]byte{[]byte("rubbish")} }, func(err error) bool { f := asForeign(err); return f != nil && string(f.Data) == "rubbish" }},
		"a recorded answer": {func(remote, local netip.AddrPort, b []byte) [][]byte {
			once.Do(func() { recorded, _ = a.AnswerPacket(remote, local, b) })
			return [][]byte{slices.Concat(recorded[:8], []byte("012345678901"), recorded[20:])}
		}, func(err error) bool { return asForeign(err) != nil }},
		"an answer under another key": {func(remote, local netip.AddrPort, b []byte) [][]byte {
			m, _ := decode(b)
			resp, _ := (&Answerer{Key: wrongKey}).proof(m, Peer{Remote: remote, Local: local}, []byte("n"), 0)
			return [][]byte{resp.Raw}
		}, func(err error) bool { return asForeign(err) != nil }},
	} {
		t.Run(name, func(t *testing.T) {
			at := servePackets(t, loop4, c.answer)
			start := time.Now()
			_, sent, received, _, err := ProvePacket(within(t, 200*time.Millisecond), dialUDP(t, at), newAsk(), SmallPacket)
			if err == nil || !c.is(err) || sent != 0 || received != 0 {
				t.Errorf("%v, %d, %d", err, sent, received)
			}
			if d := time.Since(start); d > guardTime {
				t.Errorf("took %s", d)
			}
		})
	}
}

func asForeign(err error) *ForeignError {
	var f *ForeignError
	errors.As(err, &f)
	return f
}

func TestClosedUDPPortIsTheNetworksError(t *testing.T) {
	// Below the ports that the system hands out by itself: nobody takes it.
	at := netip.AddrPortFrom(loop4, uint16(15000+rand.N(15000)))
	_, _, _, _, err := ProvePacket(within(t, time.Second), dialUDP(t, at), newAsk(), SmallPacket)
	if err == nil || asForeign(err) != nil || sock.Classify(err) == "" {
		t.Errorf("%v", err)
	}
}

func TestUDPContextEndsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(within(t, time.Hour))
	heard := make(chan struct{})
	go func() { <-heard; cancel() }()
	var once sync.Once
	at := servePackets(t, loop4, func(_, _ netip.AddrPort, _ []byte) [][]byte { once.Do(func() { close(heard) }); return nil })
	done := make(chan error, 1)
	c := dialUDP(t, at)
	go func() { _, _, _, _, err := ProvePacket(ctx, c, newAsk(), SmallPacket); done <- err }()
	if err := receive(t, done); err == nil {
		t.Error("proved by silence")
	}
}

func TestNothingIsAnsweredOverUDPWithoutTheKey(t *testing.T) {
	h := &fakeHost{}
	a := newAnswerer(h)
	plain, _ := stun.Build(stun.TransactionID, stun.BindingRequest, stun.Fingerprint)
	padded, _ := stun.Build(stun.TransactionID, stun.BindingRequest, stun.RawAttribute{Type: stun.AttrPadding, Value: make([]byte, 1160)}, stun.Fingerprint)
	wrong := newAsk()
	wrong.Key = wrongKey
	other, _ := wrong.binding(udpSize)
	keyed, _ := newAsk().binding(udpSize)
	altered := slices.Clone(keyed.Raw)
	altered[100] ^= 1
	control := hello(t, rightKey, []byte("nonce"), 1)
	for name, b := range map[string][]byte{
		"nothing": {}, "nil": nil, "rubbish": []byte("rubbish"), "a zero": {0},
		"a plain Binding": plain.Raw, "a large plain Binding": padded.Raw, "another key": other.Raw, "an altered request": altered,
		"a mended alteration": refingerprinted(slices.Clone(altered)), "a control request": control.Raw,
		"more than announced": append(slices.Clone(keyed.Raw), 0, 0, 0, 0), "less than announced": keyed.Raw[:200],
	} {
		if resp, kind := a.AnswerPacket(someone, here, b); resp != nil || kind == KindAsked {
			t.Errorf("%s: %s, answered %d bytes", name, kind, len(resp))
		}
	}
	if h.did() != 0 {
		t.Error("something was done")
	}
	if resp, kind := a.AnswerPacket(someone, here, keyed.Raw); resp == nil || kind != KindAsked {
		t.Errorf("and with the key: %s", kind)
	}
	if resp, kind := a.AnswerPacket(someone, here, keyed.Raw); resp != nil || kind != KindReplayed {
		t.Errorf("and once more: %s, %d bytes", kind, len(resp))
	}
}

func TestUDPAnswerIsNeverLargerThanItsRequest(t *testing.T) {
	for _, forbidden := range []bool{false, true} {
		a := newAnswerer(&fakeHost{})
		if forbidden {
			a.Allowed = func(netip.Addr) bool { return false }
		}
		answered := 0
		for size := 0; size <= 1200; size += 4 {
			req, err := newAsk().binding(size)
			if err != nil {
				t.Fatal(err)
			}
			resp, kind := a.AnswerPacket(someone, here, req.Raw)
			if len(resp) > len(req.Raw) {
				t.Fatalf("%s: %d bytes for %d", kind, len(resp), len(req.Raw))
			}
			if resp != nil {
				answered++
			}
		}
		if answered == 0 {
			t.Error("never answered")
		}
	}
}

// lateContext has a deadline that passes before it ends, as a timer's does on a
// busy machine.
type lateContext struct {
	context.Context
	deadline time.Time
}

func (c lateContext) Deadline() (time.Time, bool) { return c.deadline, true }

// lateConn's writes do not notice a deadline at once either.
type lateConn struct{ net.Conn }

func (c lateConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func TestProofOverUDPSendsNothingOnceItsTimeIsUp(t *testing.T) {
	var got atomic.Int64
	at := servePackets(t, netip.AddrFrom4([4]byte{127, 0, 0, 1}), func(_, _ netip.AddrPort, _ []byte) [][]byte { got.Add(1); return nil })
	ctx := lateContext{within(t, 900*time.Millisecond), time.Now().Add(100 * time.Millisecond)}
	_, _, _, attempts, err := ProvePacket(ctx, lateConn{dialUDP(t, at)}, newAsk(), SmallPacket)
	if err == nil || attempts > 2 || got.Load() > 2 {
		t.Errorf("%d attempts, %d arrived, %v", attempts, got.Load(), err)
	}
}

// refusing is a connection on which reads and writes first bring the ICMP
// errors of datagrams sent before.
type refusing struct {
	net.Conn
	reads, writes int // that fail
}

func (c *refusing) Read(b []byte) (int, error) {
	if c.reads > 0 {
		c.reads--
		return 0, &net.OpError{Op: "read", Err: syscall.ECONNREFUSED}
	}
	return c.Conn.Read(b)
}

func (c *refusing) Write(b []byte) (int, error) {
	if c.writes > 0 {
		c.writes--
		return 0, &net.OpError{Op: "write", Err: syscall.ECONNREFUSED}
	}
	return c.Conn.Write(b)
}

// A device may send an ICMP error and pass the datagram on all the same.
func TestAnswerOutweighsAnICMPErrorBesideIt(t *testing.T) {
	a := newAnswerer(&fakeHost{})
	at := servePackets(t, netip.AddrFrom4([4]byte{127, 0, 0, 1}), func(remote, local netip.AddrPort, b []byte) [][]byte {
		resp, _ := a.AnswerPacket(remote, local, b)
		return [][]byte{resp}
	})
	for name, c := range map[string]*refusing{"read": {reads: 1}, "write": {writes: 1}} {
		c.Conn = dialUDP(t, at)
		if p, _, _, attempts, err := ProvePacket(within(t, guardTime), c, newAsk(), SmallPacket); err != nil || p.Instance != a.Instance || attempts != 1 {
			t.Errorf("%s: %+v, %d attempts, %v", name, p, attempts, err)
		}
	}
}

func TestICMPErrorWithoutAnAnswerEndsTheProofSoon(t *testing.T) {
	at := servePackets(t, netip.AddrFrom4([4]byte{127, 0, 0, 1}), func(_, _ netip.AddrPort, _ []byte) [][]byte { return nil })
	began := time.Now()
	_, _, _, _, err := ProvePacket(within(t, guardTime), &refusing{Conn: dialUDP(t, at), reads: 1}, newAsk(), SmallPacket)
	if !errors.Is(err, syscall.ECONNREFUSED) || time.Since(began) > guardTime/2 {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// Over a long way more requests leave before the first one is answered: none of them
// was lost, and no more than one was needed.
func TestRequestsAfterTheAnsweredOneAreNotCounted(t *testing.T) {
	a := newAnswerer(&fakeHost{})
	var held [][]byte
	at := servePackets(t, netip.MustParseAddr("127.0.0.1"), func(remote, local netip.AddrPort, b []byte) [][]byte {
		answer, _ := a.AnswerPacket(remote, local, b)
		held = append(held, answer)
		if len(held) < 3 {
			return nil
		}
		return held
	})
	_, _, _, n, err := ProvePacket(within(t, guardTime), dialUDP(t, at), newAsk(), SmallPacket)
	if err != nil || n != 1 {
		t.Errorf("%d requests, %v", n, err)
	}
}
