package echo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v3"

	"dialtone/internal/plan"
	"dialtone/internal/sock"
)

func families() map[string]netip.Addr { return map[string]netip.Addr{"ip4": loop4, "ip6": loop6} }

func TestProofShowsBothEndsAddresses(t *testing.T) {
	for name, addr := range families() {
		t.Run(name, func(t *testing.T) {
			h := &fakeHost{}
			a := newAnswerer(h)
			at, over := serve(t, addr, a)
			conn, ask := dialTCP(t, at), newAsk()
			c, err := Prove(within(t, guardTime), conn, ask)
			if err != nil {
				t.Fatal(err)
			}
			if c.SeenAs != sock.AddrPortOf(conn.LocalAddr()) || c.Origin != at {
				t.Errorf("seen as %s at %s, are %s at %s", c.SeenAs, c.Origin, conn.LocalAddr(), at)
			}
			if c.Instance != a.Instance || c.Version != Version || c.Software != "test 1" || c.RTT <= 0 {
				t.Errorf("proof %+v", c.Proof)
			}
			hello, err := c.Hello(within(t, guardTime))
			if err != nil || hello.Plan != "plan" || !slices.Equal(hello.Bound["tcp4"], []int{1433}) {
				t.Errorf("hello %+v, %v", hello, err)
			}
			conn.Close()
			if e := receive(t, over); e.kind != KindProved || e.first != nil {
				t.Errorf("ended as %+v", e)
			}
			want := Peer{Remote: sock.AddrPortOf(conn.LocalAddr()), Local: at, Transport: plan.TCP, Run: ask.Run, Probe: ask.Probe, Flow: "sql", Key: ask.Key}
			if !slices.Equal(h.told, []told{{want, KindAsked}, {want, KindProved}}) {
				t.Errorf("host was told %+v", h.told)
			}
		})
	}
}

func TestWrongKeyIsNoProof(t *testing.T) {
	h := &fakeHost{}
	at, over := serve(t, loop4, newAnswerer(h))
	ask := newAsk()
	ask.Key = wrongKey
	c, err := Prove(within(t, guardTime), dialTCP(t, at), ask)
	if c != nil || !errors.Is(err, ErrWrongKey) {
		t.Fatalf("%v, %v", c, err)
	}
	if e := receive(t, over); e.kind != KindWrongKey || !slices.Equal(h.kinds(), []Kind{KindWrongKey}) {
		t.Errorf("ended as %s, told %v", e.kind, h.kinds())
	}
}

// A stoppedConn's program stands still before it reads the rest of an answer, until
// the time is up.
type stoppedConn struct {
	net.Conn
	reads int
	until time.Time
}

func (c *stoppedConn) Read(b []byte) (int, error) {
	if c.reads++; c.reads == 2 {
		time.Sleep(time.Until(c.until))
	}
	return c.Conn.Read(b)
}

// What came in time proves the key, though this program did not run to read it.
func TestAnswerThatCameWhileTheProgramStoodProves(t *testing.T) {
	at, _ := serve(t, loop4, newAnswerer(&fakeHost{}))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	until, _ := ctx.Deadline()
	c, err := Prove(ctx, &stoppedConn{Conn: dialTCP(t, at), until: until.Add(20 * time.Millisecond)}, newAsk())
	if err != nil {
		t.Fatal(err)
	}
	if hello, err := c.Hello(within(t, guardTime)); err != nil || hello.Plan != "plan" {
		t.Errorf("and then %+v, %v", hello, err)
	}
}

// Half of an answer to this very request is no other software's word, whether the rest
// is late or the connection ends; half of anything else is.
func TestHalfAnAnswerIsNobodyElsesWord(t *testing.T) {
	for name, c := range map[string]struct {
		answer  func(req []byte) []byte
		closes  bool
		foreign bool
	}{
		"half, and silence":         {func(req []byte) []byte { return slices.Concat([]byte{1, 1, 0, 80}, req[4:20], []byte{0, 32}) }, false, false},
		"half, and the end":         {func(req []byte) []byte { return slices.Concat([]byte{1, 1, 0, 80}, req[4:20], []byte{0, 32}) }, true, false},
		"of another request":        {func(req []byte) []byte { return slices.Concat([]byte{1, 1, 0, 80}, req[4:8], make([]byte, 14)) }, false, true},
		"of the request itself":     {func(req []byte) []byte { return req[:40] }, false, true},
		"of another method":         {func(req []byte) []byte { return slices.Concat([]byte{1, 3, 0, 80}, req[4:20], []byte{0, 32}) }, false, true},
		"fewer bytes than decide":   {func([]byte) []byte { return []byte{1, 1, 0} }, false, true},
		"something else's greeting": {func([]byte) []byte { return []byte("SSH-2.0-x\r\n") }, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			done := make(chan struct{})
			t.Cleanup(func() { close(done) })
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, req, _ := readMessage(conn, maxFirst)
				_, _ = conn.Write(c.answer(req))
				if !c.closes {
					<-done
				}
				conn.Close()
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			_, err = Prove(ctx, dialTCP(t, sock.AddrPortOf(l.Addr())), newAsk())
			var foreign *ForeignError
			if err == nil || errors.As(err, &foreign) != c.foreign {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestForbiddenAddressIsToldSoOnlyWithTheKey(t *testing.T) {
	h := &fakeHost{}
	a := newAnswerer(h)
	a.Allowed = func(netip.Addr) bool { return false }
	at, over := serve(t, loop4, a)
	if _, err := Prove(within(t, guardTime), dialTCP(t, at), newAsk()); !errors.Is(err, ErrForbidden) {
		t.Errorf("with the key: %v", err)
	}
	if e := receive(t, over); e.kind != KindForbidden {
		t.Errorf("ended as %s", e.kind)
	}
	ask := newAsk()
	ask.Key = wrongKey
	plain, _ := stun.Build(stun.TransactionID, stun.BindingRequest)
	keyed, _ := ask.binding(0)
	for _, req := range []*stun.Message{plain, keyed} {
		c := dialTCP(t, at)
		_, _ = c.Write(req.Raw)
		if b, err := io.ReadAll(c); len(b) > 0 || err != nil && !sock.IsReset(err) {
			t.Errorf("without the key: %x, %v", b, err)
		}
	}
}

func TestForbiddenWithoutTheKeysProofIsForeign(t *testing.T) {
	at := accept(t, loop4, func(_ context.Context, c net.Conn) {
		m, _, err := readMessage(c, maxFirst)
		if err != nil {
			return
		}
		resp, _ := stun.Build(m, stun.BindingError, stun.CodeForbidden, stun.Fingerprint)
		_, _ = c.Write(resp.Raw)
	})
	var foreign *ForeignError
	if _, err := Prove(within(t, guardTime), dialTCP(t, at), newAsk()); !errors.As(err, &foreign) {
		t.Errorf("%v", err)
	}
}

func TestAnotherVersionIsProvedAndShown(t *testing.T) {
	a := newAnswerer(&fakeHost{})
	a.Version = 7
	at, _ := serve(t, loop4, a)
	if c := prove(t, at, newAsk()); c.Version != 7 {
		t.Errorf("version %d", c.Version)
	}
}

func TestRecordedAnswerIsNoProof(t *testing.T) {
	at, _ := serve(t, loop4, newAnswerer(&fakeHost{}))
	ask := newAsk()
	// A device on the way records a whole true conversation …
	c := dialTCP(t, at)
	req, err := ask.binding(0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(req.Raw)
	_, record, err := readMessage(c, maxFirst)
	if err != nil {
		t.Fatal(err)
	}
	// … and plays it back in the next, as it is or under the new transaction id.
	for name, play := range map[string]func(req []byte) []byte{
		"as it is": func([]byte) []byte { return record },
		"renumbered": func(req []byte) []byte {
			return append(append(slices.Clone(record[:8]), req[8:20]...), record[20:]...)
		},
		"renumbered, with a right fingerprint": func(req []byte) []byte {
			b := append(append(slices.Clone(record[:8]), req[8:20]...), record[20:]...)
			binary.BigEndian.PutUint32(b[len(b)-4:], stun.FingerprintValue(b[:len(b)-8]))
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			device := accept(t, loop4, func(_ context.Context, c net.Conn) {
				if _, raw, err := readMessage(c, maxFirst); err == nil {
					_, _ = c.Write(play(raw))
				}
			})
			var foreign *ForeignError
			if _, err := Prove(within(t, guardTime), dialTCP(t, device), ask); !errors.As(err, &foreign) || foreign.Echoed {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAnyChangedByteOfTheAnswerIsNoProof(t *testing.T) {
	at, _ := serve(t, loop4, newAnswerer(&fakeHost{}))
	ask := newAsk()
	req, err := ask.binding(0)
	if err != nil {
		t.Fatal(err)
	}
	c := dialTCP(t, at)
	_, _ = c.Write(req.Raw)
	m, raw, err := readMessage(c, maxFirst)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ask.verify(m, raw, req); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	for i := range raw {
		b := slices.Clone(raw)
		b[i] ^= 0x20
		// The fingerprint is no secret: a device would mend it.
		binary.BigEndian.PutUint32(b[len(b)-4:], stun.FingerprintValue(b[:len(b)-8]))
		if i >= len(raw)-4 {
			continue
		}
		if m, err := decode(b); err == nil {
			if _, _, err := ask.verify(m, b, req); err == nil {
				t.Errorf("byte %d changed, and proved", i)
			}
		}
	}
}

func TestNothingBehindMessageIntegrityIsBelieved(t *testing.T) {
	ask := newAsk()
	req, err := ask.binding(0)
	if err != nil {
		t.Fatal(err)
	}
	// The answer of a holder of the key that names no instance …
	m, _ := stun.Build(req, stun.BindingSuccess)
	_ = addXORMapped(m, netip.MustParseAddrPort("192.0.2.7:50000"))
	_ = addOrigin(m, netip.MustParseAddrPort("198.51.100.9:1433"))
	m.Add(attrVersion, u32(Version))
	m.Add(stun.AttrNonce, []byte("nonce"))
	if err := stun.MessageIntegrity(rightKey.b[:]).AddTo(m); err != nil {
		t.Fatal(err)
	}
	// … to which somebody on the way adds one.
	id := NewID()
	m.Add(attrInstance, id[:])
	_ = stun.Fingerprint.AddTo(m)
	got, err := decode(m.Raw)
	if err != nil {
		t.Fatal(err)
	}
	if p, _, err := ask.verify(got, m.Raw, req); err == nil {
		t.Errorf("believed %s", p.Instance)
	}
}

func TestAnswerInTwoPiecesAndWithMoreBehindItIsRead(t *testing.T) {
	a := newAnswerer(&fakeHost{})
	at := accept(t, loop4, func(_ context.Context, c net.Conn) {
		m, _, err := readMessage(c, maxFirst)
		if err != nil {
			return
		}
		_, p := a.judge(m, Peer{Remote: sock.AddrPortOf(c.RemoteAddr()), Local: sock.AddrPortOf(c.LocalAddr())})
		resp, _ := a.proof(m, p, []byte("nonce"), 0)
		for _, b := range resp.Raw {
			_, _ = c.Write([]byte{b})
		}
	})
	prove(t, at, newAsk())
}

func TestSeveralPlainRequestsOnOneConnection(t *testing.T) {
	h := &fakeHost{}
	at, _ := serve(t, loop4, newAnswerer(h))
	c := dialTCP(t, at)
	for i := range 3 {
		req, _ := stun.Build(stun.TransactionID, stun.BindingRequest)
		_, _ = c.Write(req.Raw)
		m, _, err := readMessage(c, maxFirst)
		if err != nil || m.TransactionID != req.TransactionID {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	// The proof may follow on the same connection.
	if _, err := Prove(within(t, guardTime), c, newAsk()); err != nil {
		t.Error(err)
	}
	if want := []Kind{KindPlain, KindPlain, KindPlain, KindAsked}; !slices.Equal(h.kinds(), want) {
		t.Errorf("told %v", h.kinds())
	}
}

func TestStrangersConnectionTakesFewMessages(t *testing.T) {
	at, _ := serve(t, loop4, newAnswerer(&fakeHost{}))
	c := dialTCP(t, at)
	n := 0
	for ; n <= maxPlain; n++ {
		req, _ := stun.Build(stun.TransactionID, stun.BindingRequest)
		if _, err := c.Write(req.Raw); err != nil {
			break
		}
		if _, _, err := readMessage(c, maxFirst); err != nil {
			break
		}
	}
	if n != 16 {
		t.Errorf("%d requests were answered", n)
	}
}

func TestProvedConnectionTakesABoundedNumberOfMessages(t *testing.T) {
	at, _ := serve(t, loop4, newAnswerer(&fakeHost{}))
	conn := dialTCP(t, at)
	c, err := Prove(t.Context(), conn, newAsk())
	if err != nil {
		t.Fatal(err)
	}
	n := 1 // the proof
	for ; n <= maxMessages; n++ {
		if _, err := c.Hello(t.Context()); err != nil {
			break
		}
	}
	if n != 256 {
		t.Errorf("%d requests were answered", n)
	}
}

func TestPlainBindingFromAnotherImplementation(t *testing.T) {
	for name, addr := range families() {
		t.Run(name, func(t *testing.T) {
			at, _ := serve(t, addr, newAnswerer(&fakeHost{}))
			conn := dialTCP(t, at)
			client, err := stun.NewClient(conn)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			req := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewSoftware("another"), stun.Fingerprint)
			answers := make(chan *stun.Message, 1)
			if err := client.Do(req, func(e stun.Event) {
				if e.Error != nil {
					t.Error(e.Error)
					return
				}
				m := stun.New()
				_ = e.Message.CloneTo(m)
				answers <- m
			}); err != nil {
				t.Fatal(err)
			}
			m := receive(t, answers)
			var seen stun.XORMappedAddress
			if err := seen.GetFrom(m); err != nil || seen.String() != conn.LocalAddr().String() {
				t.Errorf("seen as %s (%v), are %s", seen, err, conn.LocalAddr())
			}
			if m.Type != stun.BindingSuccess || stun.Fingerprint.Check(m) != nil || len(m.Attributes) != 2 {
				t.Errorf("a stranger is told %s", m)
			}
		})
	}
}

func TestUnknownRequiredAttributesAreNamed(t *testing.T) {
	at, _ := serve(t, loop4, newAnswerer(&fakeHost{}))
	c := dialTCP(t, at)
	req, _ := stun.Build(stun.TransactionID, stun.BindingRequest,
		stun.RawAttribute{Type: stun.AttrChangeRequest, Value: []byte{0, 0, 0, 6}},
		stun.RawAttribute{Type: 0x7ABC, Value: []byte("x")},
		stun.RawAttribute{Type: 0xFABC, Value: []byte("optional")})
	_, _ = c.Write(req.Raw)
	m, _, err := readMessage(c, maxFirst)
	if err != nil {
		t.Fatal(err)
	}
	var code stun.ErrorCodeAttribute
	var unknown stun.UnknownAttributes
	if err := errors.Join(code.GetFrom(m), unknown.GetFrom(m)); err != nil {
		t.Fatal(err)
	}
	if m.Type != stun.BindingError || code.Code != 420 || !slices.Equal(unknown, stun.UnknownAttributes{stun.AttrChangeRequest, 0x7ABC}) {
		t.Errorf("%s: %s %s", m.Type, code, unknown)
	}
}

func TestRequestChangedOnTheWayIsNoWordOnTheKey(t *testing.T) {
	h := &fakeHost{}
	at, over := serve(t, loop4, newAnswerer(h))
	keyed, _ := newAsk().binding(0)
	plain, _ := stun.Build(stun.TransactionID, stun.BindingRequest, stun.Fingerprint)
	for _, req := range []*stun.Message{keyed, plain} {
		req.Raw[12] ^= 1
		c := dialTCP(t, at)
		_, _ = c.Write(req.Raw)
		if b, err := io.ReadAll(c); len(b) > 0 || err != nil && !sock.IsReset(err) {
			t.Errorf("answered %x, %v", b, err)
		}
		if e := receive(t, over); e.kind != KindForeign {
			t.Errorf("ended as %s", e.kind)
		}
	}
}

func TestRepeatedKeyedRequestIsNotAnswered(t *testing.T) {
	h := &fakeHost{}
	at, over := serve(t, loop4, newAnswerer(h))
	req, _ := newAsk().binding(0)
	for i := range 2 { // the second from a connection of its own
		c := dialTCP(t, at)
		_, _ = c.Write(req.Raw)
		m, _, err := readMessage(c, maxFirst)
		if i == 0 && err != nil || i == 1 && m != nil {
			t.Errorf("request %d: %v, %v", i, m, err)
		}
		c.Close()
		receive(t, over)
	}
	if want := []Kind{KindAsked, KindReplayed}; !slices.Equal(h.kinds(), want) {
		t.Errorf("told %v", h.kinds())
	}
}

func TestMemoryOfRequestsIsBounded(t *testing.T) {
	var r repeats
	id := func(i uint32) (b [12]byte) { binary.BigEndian.PutUint32(b[:], i); return b }
	for i := range uint32(3 << 16) {
		if r.repeated(id(i)) {
			t.Fatalf("%d is new", i)
		}
	}
	if n := len(r.now) + len(r.old); n > 2<<16 {
		t.Errorf("%d ids are remembered", n)
	}
	if !r.repeated(id(3<<16-1)) || !r.repeated(id(2<<16)) {
		t.Error("a recent id is forgotten")
	}
}

// Time stands still in these, so that the limits are exact.

func TestSilentStrangerIsLeftAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asker, answerer := pipe()
		defer asker.Close()
		start := time.Now()
		kind, first := newAnswerer(&fakeHost{}).Answer(t.Context(), answerer)
		if d := time.Since(start); kind != KindSilent || first != nil || d != 15*time.Second {
			t.Errorf("%s, %q after %s", kind, first, d)
		}
	})
}

func TestSlowStrangerIsLeftAfterTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asker, answerer := pipe()
		var writer sync.WaitGroup
		writer.Go(func() {
			req, _ := newAsk().binding(0)
			for _, b := range req.Raw {
				if _, err := asker.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(999 * time.Millisecond)
			}
		})
		start := time.Now()
		kind, first := newAnswerer(&fakeHost{}).Answer(t.Context(), answerer)
		if d := time.Since(start); kind != KindForeign || len(first) != 16 || d != 15*time.Second {
			t.Errorf("%s, %x after %s", kind, first, d)
		}
		answerer.Close()
		writer.Wait()
	})
}

func TestHostIsToldBeforeTheAnswerIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asker, answerer := pipe()
		goOn := make(chan struct{})
		h := &fakeHost{onContact: func(Peer, Kind) { <-goOn }}
		go func() { newAnswerer(h).Answer(t.Context(), answerer); answerer.Close() }()
		proved := make(chan error, 1)
		go func() { _, err := Prove(t.Context(), asker, newAsk()); proved <- err; asker.Close() }()
		synctest.Wait() // until nothing moves any more
		select {
		case err := <-proved:
			t.Errorf("answered (%v) before the contact was written down", err)
			close(goOn)
		default:
			close(goOn)
			if err := <-proved; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAnswererStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asker, answerer := pipe()
		defer asker.Close()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		if newAnswerer(&fakeHost{}).Answer(ctx, answerer); time.Since(start) != time.Second {
			t.Errorf("stopped after %s", time.Since(start))
		}
	})
}

func TestContextEndsEachCallAtOnce(t *testing.T) {
	// An answering end that proves itself and then says nothing more.
	mute := func(c net.Conn) {
		a := newAnswerer(&fakeHost{})
		m, _, err := readMessage(c, maxFirst)
		if err != nil {
			return
		}
		_, p := a.judge(m, Peer{Remote: sock.AddrPortOf(c.RemoteAddr()), Local: sock.AddrPortOf(c.LocalAddr())})
		resp, _ := a.proof(m, p, []byte("nonce"), 0)
		_, _ = c.Write(resp.Raw)
		_, _ = io.Copy(io.Discard, c)
	}
	for name, call := range map[string]func(context.Context, *Conn) error{
		"Hello":    func(ctx context.Context, c *Conn) error { _, err := c.Hello(ctx); return err },
		"Witness":  func(ctx context.Context, c *Conn) error { _, err := c.Witness(ctx, nil); return err },
		"DialBack": func(ctx context.Context, c *Conn) error { _, err := c.DialBack(ctx, DialBack{}); return err },
		"HoldBack": func(ctx context.Context, c *Conn) error { return c.HoldBack(ctx, HoldBack{}) },
		"HeldBack": func(ctx context.Context, c *Conn) error { _, err := c.HeldBack(ctx, NewID()); return err },
		"Meet":     func(ctx context.Context, c *Conn) error { _, err := c.Meet(ctx, Meet{}); return err },
		"Deliver":  func(ctx context.Context, c *Conn) error { _, err := c.Deliver(ctx, Delivery{}); return err },
		"Vouch":    func(ctx context.Context, c *Conn) error { _, err := c.Vouch(ctx, Vouch{}); return err },
		"Collect":  func(ctx context.Context, c *Conn) error { _, err := c.Collect(ctx); return err },
		"Backlog":  func(ctx context.Context, c *Conn) error { _, err := c.Backlog(ctx, c); return err },
		"Submit":   func(ctx context.Context, c *Conn) error { return c.Submit(ctx, Submission{}) },
		"Send":     func(ctx context.Context, c *Conn) error { return errors.New(string(c.Send(ctx, 1<<20).Outcome)) },
		"Receive":  func(ctx context.Context, c *Conn) error { return errors.New(string(c.Receive(ctx, 1<<20).Outcome)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asker, answerer := pipe()
				go mute(answerer)
				c, err := Prove(t.Context(), asker, newAsk())
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				time.AfterFunc(time.Second, cancel)
				start := time.Now()
				if err := call(ctx, c); err == nil || time.Since(start) != time.Second {
					t.Errorf("%v after %s", err, time.Since(start))
				}
				asker.Close()
			})
		})
	}
	for name, peer := range map[string]func(net.Conn){
		"Prove, silence":     func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"Prove, half a word": func(c net.Conn) { _, _, _ = readMessage(c, maxFirst); _, _ = c.Write([]byte{1, 1, 0}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asker, answerer := pipe()
				go peer(answerer)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				time.AfterFunc(time.Second, cancel)
				start := time.Now()
				if _, err := Prove(ctx, asker, newAsk()); err == nil || time.Since(start) != time.Second {
					t.Errorf("%v after %s", err, time.Since(start))
				}
				asker.Close()
				answerer.Close()
			})
		})
	}
}

// slowDeadline takes its time to end what is under way.
type slowDeadline struct {
	net.Conn
	ended atomic.Bool
}

func (c *slowDeadline) SetDeadline(t time.Time) error {
	if t.Equal(time.Unix(1, 0)) {
		time.Sleep(time.Second)
		c.ended.Store(true)
	}
	return c.Conn.SetDeadline(t)
}

func TestCallThatRanOutOfTimeDoesNotEndTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asker, answerer := pipe()
		defer asker.Close()
		defer answerer.Close()
		conn := &slowDeadline{Conn: asker}
		ctx, cancel := context.WithCancel(t.Context())
		untie := guard(ctx, conn)
		cancel()
		synctest.Wait() // its end is under way
		untie()
		if !conn.ended.Load() {
			t.Error("it would come within the next call")
		}
	})
}

func TestFlowIdsAreBoundedAndClean(t *testing.T) {
	ask := newAsk()
	ask.Flow = string(bytes.Repeat([]byte("x"), maxFlow+1))
	if _, err := ask.binding(0); err == nil {
		t.Error("a flow id that is too long is sent")
	}
	h := &fakeHost{}
	at, _ := serve(t, loop4, newAnswerer(h))
	ask.Flow = "a\x1b[31m\r\nb\u202e\x00\u2028c\xff"
	prove(t, at, ask)
	if got := h.told[0].Flow; got != `a\x1b[31m\r\nb\u202e\x00\u2028c\xff` {
		t.Errorf("flow %q", got)
	}
}

func TestIDsAreTextBothWays(t *testing.T) {
	id, back := NewID(), ID{}
	b, _ := id.MarshalText()
	if err := back.UnmarshalText(b); err != nil || back != id {
		t.Errorf("%s, %s, %v", id, back, err)
	}
	for _, s := range []string{"", "00", "zz", string(b) + "00", string(b[:30]) + "zz"} {
		if back.UnmarshalText([]byte(s)) == nil {
			t.Errorf("%q is an id", s)
		}
	}
}

func TestHoldBackIsBegunAndAskedForByItsProbe(t *testing.T) {
	h := &fakeHost{}
	at, _ := serve(t, loop4, newAnswerer(h))
	c := prove(t, at, newAsk())
	order := HoldBack{TimeoutMS: 1000, LongestMS: 2000, Path: BackPath{Flow: "odyssey", Probe: NewID(), Port: 7968}}
	if err := c.HoldBack(within(t, guardTime), order); err != nil || len(h.held) != 1 || !reflect.DeepEqual(h.held[0], order) {
		t.Errorf("%v, %+v", err, h.held)
	}
	if so, err := c.HeldBack(within(t, guardTime), order.Path.Probe); err != nil || !so.Done || len(so.Held) != 1 || so.Held[0].Probe != order.Path.Probe {
		t.Errorf("%+v, %v", so, err)
	}
	var refused *RefusedError
	if _, err := c.HeldBack(within(t, guardTime), NewID()); !errors.As(err, &refused) {
		t.Errorf("a probe that nobody knows: %v", err)
	}
	for _, bad := range []HoldBack{{}, {TimeoutMS: 1000}, {LongestMS: 1000}, {TimeoutMS: 1000, LongestMS: MaxHold.Milliseconds() + 1}} {
		if err := c.HoldBack(within(t, guardTime), bad); !errors.As(err, &refused) || len(h.held) != 1 {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := methodBacklogged.ask(within(t, guardTime), c, backlogQuery{Nonce: "00"}); !errors.As(err, &refused) {
		t.Errorf("a backlog that there is not: %v", err)
	}
}
