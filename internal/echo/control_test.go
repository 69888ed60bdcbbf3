package echo

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v3"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// hello is a sealed Hello request of any nonce and counter.
func hello(t *testing.T, key Key, nonce []byte, counter uint32) *stun.Message {
	t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.NewType(methodHello.number, stun.ClassRequest))
	if err != nil {
		t.Fatal(err)
	}
	m.Add(stun.AttrNonce, nonce)
	m.Add(attrCounter, u32(counter))
	m.Add(attrBody, []byte("{}"))
	if err := key.seal(m); err != nil {
		t.Fatal(err)
	}
	return m
}

// closedUnanswered fails the test if anything but the end comes on c.
func closedUnanswered(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(guardTime))
	if b, err := io.ReadAll(c); len(b) > 0 || isTimeout(err) {
		t.Errorf("%x, %v", b, err)
	}
}

func TestControlOutOfTurnIsClosedWithNothingDone(t *testing.T) {
	for name, request := range map[string]func(t *testing.T, c *Conn) []byte{
		"a counter that was used": func(t *testing.T, c *Conn) []byte { return hello(t, rightKey, c.nonce, 1).Raw },
		"a counter that skips":    func(t *testing.T, c *Conn) []byte { return hello(t, rightKey, c.nonce, 3).Raw },
		"counter zero":            func(t *testing.T, c *Conn) []byte { return hello(t, rightKey, c.nonce, 0).Raw },
		"another nonce":           func(t *testing.T, _ *Conn) []byte { return hello(t, rightKey, []byte("other"), 2).Raw },
		"no nonce":                func(t *testing.T, _ *Conn) []byte { return hello(t, rightKey, nil, 2).Raw },
		"another key":             func(t *testing.T, c *Conn) []byte { return hello(t, wrongKey, c.nonce, 2).Raw },
		"a changed body": func(t *testing.T, c *Conn) []byte {
			m := hello(t, rightKey, c.nonce, 2)
			b, _ := m.Get(attrBody)
			b[0] = '['
			return refingerprinted(m.Raw)
		},
		"another method": func(t *testing.T, c *Conn) []byte {
			m := hello(t, rightKey, c.nonce, 2)
			m.Raw[1] = 0x43 // DialBack
			return refingerprinted(m.Raw)
		},
		"no fingerprint": func(t *testing.T, c *Conn) []byte {
			m, _ := stun.Build(stun.TransactionID, stun.NewType(methodHello.number, stun.ClassRequest))
			m.Add(stun.AttrNonce, c.nonce)
			m.Add(attrCounter, u32(2))
			m.Add(attrBody, []byte("{}"))
			_ = stun.MessageIntegrity(rightKey.b[:]).AddTo(m)
			return m.Raw
		},
		"no body": func(t *testing.T, c *Conn) []byte {
			m, _ := stun.Build(stun.TransactionID, stun.NewType(methodHello.number, stun.ClassRequest))
			m.Add(stun.AttrNonce, c.nonce)
			m.Add(attrCounter, u32(2))
			_ = rightKey.seal(m)
			return m.Raw
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := &fakeHost{}
			at, over := serve(t, loop4, newAnswerer(h))
			c := prove(t, at, newAsk())
			if _, err := c.Hello(within(t, guardTime)); err != nil { // counter 1
				t.Fatal(err)
			}
			_, _ = c.conn.Write(request(t, c))
			closedUnanswered(t, c.conn)
			receive(t, over)
			if want := []Kind{KindAsked, KindProved, KindBadOrder}; !slices.Equal(h.kinds(), want) || h.did() != 1 {
				t.Errorf("told %v, did %d", h.kinds(), h.did())
			}
		})
	}
}

// refingerprinted mends the fingerprint, which needs no key.
func refingerprinted(b []byte) []byte {
	copy(b[len(b)-4:], u32(stun.FingerprintValue(b[:len(b)-8])))
	return b
}

func TestControlBeforeTheProofIsClosed(t *testing.T) {
	for name, before := range map[string]bool{"at once": false, "after a plain Binding": true} {
		t.Run(name, func(t *testing.T) {
			h := &fakeHost{}
			at, over := serve(t, loop4, newAnswerer(h))
			c := dialTCP(t, at)
			want := []Kind{KindBadOrder}
			if before {
				req, _ := stun.Build(stun.TransactionID, stun.BindingRequest)
				_, _ = c.Write(req.Raw)
				if _, _, err := readMessage(c, maxFirst); err != nil {
					t.Fatal(err)
				}
				want = []Kind{KindPlain, KindBadOrder}
			}
			_, _ = c.Write(hello(t, rightKey, nil, 1).Raw)
			closedUnanswered(t, c)
			e := receive(t, over)
			if !slices.Equal(h.kinds(), want) || h.did() != 0 || e.kind == KindSilent {
				t.Errorf("told %v, did %d, ended as %s", h.kinds(), h.did(), e.kind)
			}
		})
	}
}

func TestControlRequestReplayedOnAnotherConnectionIsClosed(t *testing.T) {
	h := &fakeHost{}
	at, over := serve(t, loop4, newAnswerer(h))
	c := prove(t, at, newAsk())
	recorded := hello(t, rightKey, c.nonce, 1)
	_, _ = c.conn.Write(recorded.Raw)
	if _, _, err := readMessage(c.conn, maxMessage); err != nil {
		t.Fatal(err)
	}
	c.conn.Close()
	receive(t, over)
	other := prove(t, at, newAsk())
	if slices.Equal(other.nonce, c.nonce) {
		t.Fatal("two connections have one nonce")
	}
	_, _ = other.conn.Write(recorded.Raw)
	closedUnanswered(t, other.conn)
	receive(t, over)
	if h.hellos != 1 || !slices.Contains(h.kinds(), KindBadOrder) {
		t.Errorf("%d hellos, told %v", h.hellos, h.kinds())
	}
}

func TestControlAnswersAreHeldAgainstTheirRequest(t *testing.T) {
	// Each is what a device in the middle, or a confused far end, might say.
	build := func(req *stun.Message, id [12]byte, method stun.Method, class stun.MessageClass, nonce []byte, counter uint32, key Key) []byte {
		m, _ := stun.Build(stun.NewTransactionIDSetter(id), stun.NewType(method, class))
		m.Add(stun.AttrNonce, nonce)
		m.Add(attrCounter, u32(counter))
		m.Add(attrBody, []byte(`{"plan":"forged"}`))
		_ = key.seal(m)
		return m.Raw
	}
	for name, answer := range map[string]func(req *stun.Message, nonce []byte) []byte{
		"another transaction": func(r *stun.Message, n []byte) []byte {
			return build(r, [12]byte{1}, methodHello.number, stun.ClassSuccessResponse, n, 1, rightKey)
		},
		"another method": func(r *stun.Message, n []byte) []byte {
			return build(r, r.TransactionID, methodSubmit.number, stun.ClassSuccessResponse, n, 1, rightKey)
		},
		"another nonce": func(r *stun.Message, _ []byte) []byte {
			return build(r, r.TransactionID, methodHello.number, stun.ClassSuccessResponse, []byte("x"), 1, rightKey)
		},
		"another counter": func(r *stun.Message, n []byte) []byte {
			return build(r, r.TransactionID, methodHello.number, stun.ClassSuccessResponse, n, 2, rightKey)
		},
		"another key": func(r *stun.Message, n []byte) []byte {
			return build(r, r.TransactionID, methodHello.number, stun.ClassSuccessResponse, n, 1, wrongKey)
		},
		"the request itself": func(r *stun.Message, _ []byte) []byte { return r.Raw },
		"rubbish":            func(*stun.Message, []byte) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asker, answerer := pipe()
				go func() {
					a := newAnswerer(&fakeHost{})
					ac := &answering{Answerer: a, ctx: t.Context(), conn: answerer, peer: Peer{Remote: sock.AddrPortOf(answerer.RemoteAddr()), Local: sock.AddrPortOf(answerer.LocalAddr())}}
					m, _, err := readMessage(answerer, maxFirst)
					if err != nil || !ac.binding(m) {
						t.Error("no proof")
						return
					}
					if m, _, err = readMessage(answerer, maxMessage); err == nil {
						_, _ = answerer.Write(answer(m, ac.nonce))
					}
					answerer.Close()
				}()
				c, err := Prove(t.Context(), asker, newAsk())
				if err != nil {
					t.Fatal(err)
				}
				var foreign *ForeignError
				if got, err := c.Hello(t.Context()); !errors.As(err, &foreign) || got.Plan != "" {
					t.Errorf("%+v, %v", got, err)
				}
				asker.Close()
			})
		})
	}
}

func TestRequestsThatMakeNoSenseAreRefusedAndDone(t *testing.T) {
	long := make([]BackPath, MaxDialBack+1)
	for name, c := range map[string]struct {
		method stun.Method
		body   any
	}{
		"Witness, too many":        {methodWitness.number, Witness{Queries: make([]WitnessQuery, MaxWitness+1)}},
		"Witness, no object":       {methodWitness.number, []int{1}},
		"DialBack, too many":       {methodDialBack.number, DialBack{TimeoutMS: 1, Paths: long}},
		"DialBack, no time":        {methodDialBack.number, DialBack{}},
		"DialBack, negative bytes": {methodDialBack.number, DialBack{TimeoutMS: 1, Bytes: -1}},
		"DialBack, too many bytes": {methodDialBack.number, DialBack{TimeoutMS: 1, Bytes: maxTransfer + 1}},
		"Submit, no object":        {methodSubmit.number, "x"},
		"Transfer, negative":       {methodTransfer.number, transferOrder{From: "asker", Bytes: -1}},
		"Transfer, too much":       {methodTransfer.number, transferOrder{From: "answerer", Bytes: maxTransfer + 1}},
		"Transfer, from nobody":    {methodTransfer.number, transferOrder{From: "x\x1b[0m\n" + strings.Repeat("y", 99), Bytes: 1, DeadlineMS: 1000}},
		"another method":           {0xDA5, struct{}{}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &fakeHost{}
			at, _ := serve(t, loop4, newAnswerer(h))
			c1 := prove(t, at, newAsk())
			_, err := method[any, nothing]{number: c.method}.ask(within(t, guardTime), c1, c.body)
			var refused *RefusedError
			if !errors.As(err, &refused) || refused.Code != 400 || len(refused.Reason) > 100 || strings.ContainsAny(refused.Reason, "\x1b\n") {
				t.Errorf("%v", err)
			}
			if h.did() != 0 {
				t.Error("and done all the same")
			}
			// The connection is still good.
			if _, err := c1.Hello(within(t, guardTime)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestControlMessagesArriveWhole(t *testing.T) {
	h := &fakeHost{}
	at, _ := serve(t, loop4, newAnswerer(h))
	c := prove(t, at, newAsk())
	ctx := within(t, guardTime)
	w, err := c.Witness(ctx, make([]WitnessQuery, MaxWitness))
	if err != nil || len(w.Answers) != MaxWitness {
		t.Errorf("%d answers, %v", len(w.Answers), err)
	}
	d := DialBack{TimeoutMS: 1000, Bytes: 10, Paths: []BackPath{{Flow: "odyssey", Probe: NewID(), Transport: plan.TCP, Port: 7968, SourcePort: 20}}}
	halves, err := c.DialBack(ctx, d)
	if err != nil || len(halves) != 1 || !reflect.DeepEqual(h.dialed, []DialBack{d}) {
		t.Errorf("%v, %v, %+v", halves, err, h.dialed)
	}
	s := Submission{Host: "pc\x07", Summary: result.Summary{Counted: 3, Failed: 1, Verdicts: map[result.Verdict]int{result.Open: 2, "x\x1b": 9}}, Broken: []string{"one\nline"}}
	if err := c.Submit(ctx, s); err != nil {
		t.Fatal(err)
	}
	want := Submission{Host: `pc\x07`, Summary: result.Summary{Counted: 3, Failed: 1, Verdicts: map[result.Verdict]int{result.Open: 2}}, Broken: []string{`one\nline`}}
	if !reflect.DeepEqual(h.submitted, []Submission{want}) {
		t.Errorf("%+v", h.submitted)
	}
}

func TestSubmissionsAreBounded(t *testing.T) {
	var lines []string
	for range 2 * maxBroken {
		lines = append(lines, strings.Repeat("é", maxBrokenLine))
	}
	s := Submission{Host: strings.Repeat("h", 1000), Broken: lines}.bounded()
	if len(s.Broken) != maxBroken || len(s.Broken[0]) > maxBrokenLine || len(s.Broken[0]) < maxBrokenLine-4 || len(s.Host) != 253 {
		t.Errorf("%d lines of %d bytes from a host of %d", len(s.Broken), len(s.Broken[0]), len(s.Host))
	}
}

func TestAnswersMustMatchTheQuestionsInNumber(t *testing.T) {
	h := &fakeHost{halves: func(context.Context, DialBack) DialedBack { return DialedBack{} }}
	at, _ := serve(t, loop4, newAnswerer(h))
	c := prove(t, at, newAsk())
	if _, err := c.DialBack(within(t, guardTime), DialBack{TimeoutMS: 1, Paths: make([]BackPath, 2)}); err == nil {
		t.Error("no half for two paths")
	}
}

func TestAnswerThatIsTooLargeIsRefused(t *testing.T) {
	h := &fakeHost{halves: func(context.Context, DialBack) DialedBack {
		return DialedBack{Halves: []result.Initiator{{Error: strings.Repeat("x", maxMessage)}}}
	}}
	at, _ := serve(t, loop4, newAnswerer(h))
	c := prove(t, at, newAsk())
	var refused *RefusedError
	if _, err := c.DialBack(within(t, guardTime), DialBack{TimeoutMS: 1, Paths: make([]BackPath, 1)}); !errors.As(err, &refused) {
		t.Errorf("%v", err)
	}
	if err := c.Submit(within(t, guardTime), Submission{Broken: []string{strings.Repeat("x", maxMessage)}}); err == nil {
		t.Error("a request that is too large is sent")
	}
}

func TestDialingBackMayTakeLongerThanPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asker, answerer := pipe()
		h := &fakeHost{halves: func(context.Context, DialBack) DialedBack {
			time.Sleep(10 * time.Minute)
			return DialedBack{Halves: make([]result.Initiator, 1)}
		}}
		go func() { newAnswerer(h).Answer(t.Context(), answerer); answerer.Close() }()
		c, err := Prove(t.Context(), asker, newAsk())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.DialBack(t.Context(), DialBack{TimeoutMS: 1, Paths: make([]BackPath, 1)}); err != nil {
			t.Error(err)
		}
		asker.Close()
	})
}

func TestBodiesTolerateUnknownKeys(t *testing.T) {
	var o transferOrder
	if err := json.Unmarshal([]byte(`{"from":"asker","bytes":1,"deadline_ms":2,"new":{}}`), &o); err != nil || o != (transferOrder{"asker", 1, 2}) {
		t.Errorf("%+v, %v", o, err)
	}
}

// A far end need not be this program: it may refuse with any words.
func TestWordsOfARefusalAreText(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		c := &answering{Answerer: newAnswerer(&fakeHost{}), ctx: context.Background(), conn: conn, peer: Peer{Key: rightKey, Remote: sock.AddrPortOf(conn.RemoteAddr()), Local: sock.AddrPortOf(conn.LocalAddr())}}
		c.Software = "\x1b]0;t\x07"
		if m, _, err := readMessage(conn, maxFirst); err == nil && c.binding(m) {
			if m, _, err = readMessage(conn, maxMessage); err == nil {
				c.counter++
				c.refuse(m, "\x1b[2J\r\nforged\u202e"+strings.Repeat("x", 700))
			}
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c, err := Prove(within(t, guardTime), conn, newAsk())
	if err != nil {
		t.Fatal(err)
	}
	if c.Software != `\x1b]0;t\x07` {
		t.Errorf("its software is %q", c.Software)
	}
	_, err = c.Hello(within(t, guardTime))
	if err == nil || !strings.Contains(err.Error(), `\x1b[2J\r\nforged\u202exxx`) || len(err.Error()) > 400 {
		t.Errorf("%v", err)
	}
}
