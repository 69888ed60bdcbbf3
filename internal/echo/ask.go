package echo

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/pion/stun/v3"

	"dialtone/internal/clean"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// An Ask is what an asking end tells of one attempt.
type Ask struct {
	Key   Key
	Run   ID
	Probe ID
	Flow  string // id of the plan's row, at most 64 bytes
	// Greeted says that the port's service speaks first, so that its greeting may
	// come before the proof.
	Greeted bool
	// Own is the asking process's own listener, whose proof proves nothing of
	// anybody else; zero: it has none.
	Own ID
}

// A Proof is what a keyed Binding showed.
type Proof struct {
	SeenAs   netip.AddrPort // our address, as the far end sees it (XOR-MAPPED-ADDRESS)
	Origin   netip.AddrPort // the far end's own address and port (RESPONSE-ORIGIN)
	Instance ID
	Version  int // of the wire format, at the far end
	Software string
	RTT      time.Duration // of the Binding
}

// A Conn is an asking end's conversation over a stream, after proof. Its
// methods are for one goroutine.
type Conn struct {
	Proof
	conn    net.Conn
	ask     Ask
	nonce   []byte
	counter uint32
}

// Prove makes a keyed Binding on conn. It returns within ctx, or as soon after it as what
// came in time is read; the error is
// ErrWrongKey, ErrForbidden, an *OwnError, a *ForeignError, or the network's.
func Prove(ctx context.Context, conn net.Conn, ask Ask) (*Conn, error) {
	end := guard(ctx, conn)
	defer func() { end() }()
	req, err := ask.binding(0)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	_, werr := conn.Write(req.Raw)
	m, raw, err := readMessage(conn, maxFirst)
	if errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(ctx.Err(), context.Canceled) {
		end()
		end = func() {}
		m, raw, err = readLying(conn, raw)
	}
	rtt := time.Since(start)
	if errors.Is(err, errNotSTUN) && ask.Greeted && isGreeting(raw) {
		m, raw, err = afterGreeting(ctx, conn, raw)
		rtt = time.Since(start)
	}
	switch {
	case err != nil && !errors.Is(err, errNotSTUN) && isBegun(raw, req):
		return nil, fmt.Errorf("receive binding: %d bytes of an answer, and no more: %w", len(raw), err)
	case err != nil && len(raw) > 0:
		return nil, foreign(append(raw, readMore(ctx, conn)...), req.Raw, "")
	case err != nil && werr != nil:
		// What the far end said before it closed would say more than this.
		return nil, fmt.Errorf("send binding: %w", werr)
	case err != nil:
		return nil, fmt.Errorf("receive binding: %w", err)
	}
	p, nonce, err := ask.verify(m, raw, req)
	if err != nil {
		return nil, err
	}
	p.RTT = rtt
	return &Conn{Proof: p, conn: conn, ask: ask, nonce: nonce}, nil
}

// lyingWait is how long it takes to read what has come.
const lyingWait = 50 * time.Millisecond

// readLying reads a message of which raw was read before the time was up, as far as it
// lies there: on a busy machine this program may not have run when it came.
func readLying(conn net.Conn, raw []byte) (*stun.Message, []byte, error) {
	_ = conn.SetReadDeadline(time.Now().Add(lyingWait))
	return readMessage(io.MultiReader(bytes.NewReader(raw), conn), maxFirst)
}

// isBegun reports whether raw begins an answer to a request that was made, and so is
// nobody else's word.
func isBegun(raw []byte, req *stun.Message) bool {
	if len(raw) < headerSize || !bytes.Equal(raw[8:headerSize], req.TransactionID[:]) {
		return false
	}
	var of stun.MessageType
	of.ReadValue(binary.BigEndian.Uint16(raw))
	return of == stun.BindingSuccess || of == stun.BindingError
}

// packet builds a keyed Binding request for a datagram.
func (a Ask) packet(size PacketSize) (*stun.Message, error) {
	return a.binding(size.Request, stun.RawAttribute{Type: attrAnswerSize, Value: u32(uint32(size.Answer))})
}

// greetingWait is how long after a greeting a proof may take. It was asked for
// before the greeting came, and what holds up the first bytes of a connection
// (a relay, a device that scans them) holds up the request as well.
const greetingWait = 3 * time.Second

// isGreeting reports whether b begins a greeting of FTP's or SMTP's (RFC 959
// section 5.4, RFC 5321 section 3.1).
func isGreeting(b []byte) bool { return bytes.HasPrefix(b, []byte("220")) }

// afterGreeting reads the message that follows a greeting of which raw was read.
// With an error it returns all that came.
func afterGreeting(ctx context.Context, conn net.Conn, raw []byte) (*stun.Message, []byte, error) {
	until := time.Now().Add(greetingWait)
	if d := deadlineOf(ctx); d.IsZero() || until.Before(d) {
		_ = conn.SetReadDeadline(until)
		defer func() { _ = conn.SetReadDeadline(deadlineOf(ctx)) }()
	}
	r := io.MultiReader(bytes.NewReader(raw), conn)
	var greeting []byte
	for line := []byte{}; len(greeting) < maxFirst; {
		b := make([]byte, 1)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, greeting, errNotSTUN
		}
		greeting, line = append(greeting, b[0]), append(line, b[0])
		if b[0] != '\n' {
			continue
		}
		if last := len(line) > 3 && line[3] == ' '; last {
			m, more, err := readMessage(r, maxFirst)
			if err != nil {
				return nil, append(greeting, more...), errNotSTUN
			}
			return m, more, nil
		}
		line = line[:0]
	}
	return nil, greeting, errNotSTUN
}

// binding builds a keyed Binding request, padded to size if that is larger.
func (a Ask) binding(size int, more ...stun.RawAttribute) (*stun.Message, error) {
	if len(a.Flow) > maxFlow {
		return nil, fmt.Errorf("flow id %q: longer than %d bytes", a.Flow, maxFlow)
	}
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	if err != nil {
		return nil, fmt.Errorf("build binding: %w", err)
	}
	m.Add(attrVersion, u32(Version))
	m.Add(attrRun, a.Run[:])
	m.Add(attrFlow, []byte(a.Flow))
	m.Add(attrProbe, a.Probe[:])
	for _, r := range more {
		m.Add(r.Type, r.Value)
	}
	a.Key.pad(m, size, a.Probe, fromAsker)
	return m, a.Key.seal(m)
}

// sealSize is what MESSAGE-INTEGRITY and FINGERPRINT add to a message.
const sealSize = 24 + 8

// pad adds PADDING (RFC 5780 section 7.6) so that the sealed message has
// size bytes, filled with the probe's keystream. It returns how many bytes of
// it there are: none if the message is that large already.
func (k Key) pad(m *stun.Message, size int, probe ID, s side) int {
	n := (size - len(m.Raw) - 4 - sealSize) &^ 3
	if n <= 0 {
		return 0
	}
	b := make([]byte, n)
	k.keystream(probe, s).XORKeyStream(b, b)
	m.Add(stun.AttrPadding, b)
	return n
}

// verify decides whether m, read as raw, proves the key in answer to req.
func (a Ask) verify(m *stun.Message, raw []byte, req *stun.Message) (Proof, []byte, error) {
	switch {
	case bytes.HasPrefix(req.Raw, raw):
		return Proof{}, nil, &ForeignError{Data: head(raw), Echoed: true}
	case m.TransactionID != req.TransactionID:
		return Proof{}, nil, foreign(raw, nil, "a STUN message that does not answer ours")
	case m.Type.Method != stun.MethodBinding:
		return Proof{}, nil, foreign(raw, nil, "a STUN message of another method")
	case m.Type.Class == stun.ClassErrorResponse:
		var code stun.ErrorCodeAttribute
		if code.GetFrom(m) == nil {
			switch {
			case code.Code == stun.CodeUnauthorized:
				return Proof{}, nil, ErrWrongKey
			case code.Code == stun.CodeForbidden && a.Key.check(m) == nil:
				return Proof{}, nil, ErrForbidden
			}
		}
		return Proof{}, nil, foreign(raw, nil, "a STUN error: "+code.String())
	case m.Type.Class != stun.ClassSuccessResponse:
		return Proof{}, nil, foreign(raw, nil, "a STUN message that is no answer")
	}
	if err := a.Key.check(m); err != nil {
		return Proof{}, nil, foreign(raw, nil, "a STUN answer without the key's proof")
	}
	seen, okSeen := getXORMapped(m)
	origin, okOrigin := getOrigin(m)
	instance, okInstance := getID(m, attrInstance)
	version, okVersion := getU32(m, attrVersion)
	nonce, err := m.Get(stun.AttrNonce)
	if !okSeen || !okOrigin || !okInstance || !okVersion || err != nil {
		return Proof{}, nil, foreign(raw, nil, "a keyed STUN answer that lacks what ours has")
	}
	if a.Own != (ID{}) && instance == a.Own {
		return Proof{}, nil, &OwnError{Origin: origin}
	}
	var software stun.Software
	_ = software.GetFrom(m) // optional
	return Proof{SeenAs: seen, Origin: origin, Instance: instance, Version: int(version), Software: clean.Bytes(software.String(), maxFlow)}, nonce, nil
}

// call sends a control request and returns the far end's success response. The
// counter and the connection's nonce are under MESSAGE-INTEGRITY both ways, so
// that neither can be replayed.
func (c *Conn) call(method stun.Method, body any) (*stun.Message, error) {
	req, err := c.request(method, body)
	if err != nil {
		return nil, err
	}
	if err := writeNarrow(c.conn, req.Raw); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	return c.response(req)
}

func (c *Conn) request(method stun.Method, body any) (*stun.Message, error) {
	b, err := marshal(body)
	if err != nil {
		return nil, err
	}
	c.counter++
	m, err := stun.Build(stun.TransactionID, stun.NewType(method, stun.ClassRequest))
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	m.Add(stun.AttrNonce, c.nonce)
	m.Add(attrCounter, u32(c.counter))
	m.Add(attrBody, b)
	return m, c.ask.Key.seal(m)
}

func (c *Conn) response(req *stun.Message) (*stun.Message, error) {
	m, raw, err := readMessage(c.conn, maxMessage)
	if err != nil {
		if errors.Is(err, errNotSTUN) {
			return nil, foreign(raw, nil, "not a control message")
		}
		return nil, fmt.Errorf("receive: %w", err)
	}
	nonce, _ := m.Get(stun.AttrNonce)
	counter, _ := getU32(m, attrCounter)
	switch {
	case c.ask.Key.check(m) != nil:
		return nil, foreign(raw, nil, "a control message without the key's proof")
	case m.TransactionID != req.TransactionID || m.Type.Method != req.Type.Method,
		!bytes.Equal(nonce, c.nonce) || counter != c.counter:
		return nil, foreign(raw, nil, "a control message that does not answer ours")
	case m.Type.Class == stun.ClassErrorResponse:
		var code stun.ErrorCodeAttribute
		_ = code.GetFrom(m)
		return nil, &RefusedError{Code: int(code.Code), Reason: clean.Bytes(string(code.Reason), maxBrokenLine)}
	case m.Type.Class != stun.ClassSuccessResponse:
		return nil, foreign(raw, nil, "a control message that is no answer")
	}
	return m, nil
}

// Hello asks the far end what it is.
func (c *Conn) Hello(ctx context.Context) (Hello, error) {
	h, err := methodHello.ask(ctx, c, nothing{})
	if err != nil {
		return h, fmt.Errorf("hello: %w", err)
	}
	return h, nil
}

// Witness asks what the far end saw of attempts, at most MaxWitness of them.
func (c *Conn) Witness(ctx context.Context, q []WitnessQuery) (Witnessed, error) {
	w, err := methodWitness.ask(ctx, c, Witness{Queries: q})
	if err == nil && len(w.Answers) != len(q) {
		err = fmt.Errorf("%d answers to %d queries", len(w.Answers), len(q))
	}
	if err != nil {
		return Witnessed{}, fmt.Errorf("witness: %w", err)
	}
	w.Paused = w.Paused[:min(len(w.Paused), MaxPaused)]
	return w, nil
}

// DialBack asks the far end to attempt paths towards us, at most MaxDialBack
// of them, and returns its half of each.
func (c *Conn) DialBack(ctx context.Context, d DialBack) ([]result.Initiator, error) {
	r, err := methodDialBack.ask(ctx, c, d)
	if err == nil && len(r.Halves) != len(d.Paths) {
		err = fmt.Errorf("%d halves for %d paths", len(r.Halves), len(d.Paths))
	}
	if err != nil {
		return nil, fmt.Errorf("dial back: %w", err)
	}
	return r.Halves, nil
}

// HoldAsker keeps the connection idle for gap, then speaks first.
func (c *Conn) HoldAsker(ctx context.Context, gap time.Duration) error {
	order := holdOrder{First: "asker", GapMS: gap.Milliseconds()}
	if _, err := methodHold.ask(ctx, c, order); err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	if !sock.Wait(ctx, gap) {
		return ctx.Err()
	}
	if _, err := methodHold.ask(ctx, c, holdOrder{First: "asker"}); err != nil {
		return fmt.Errorf("after %v: %w", gap, err)
	}
	return nil
}

// HoldAnswerer keeps the connection idle for gap, after which the far end
// speaks first.
func (c *Conn) HoldAnswerer(ctx context.Context, gap time.Duration) error {
	order := holdOrder{First: "answerer", GapMS: gap.Milliseconds()}
	if _, err := methodHold.ask(ctx, c, order); err != nil {
		return fmt.Errorf("after %v: %w", gap, err)
	}
	return nil
}

// ConverseBack asks the far end for the services' own conversations on
// paths towards us, at most MaxDialBack of them.
func (c *Conn) ConverseBack(ctx context.Context, b ConverseBack) ([]result.Conversation, error) {
	r, err := methodConverseBack.ask(ctx, c, b)
	if err == nil && len(r.Conversations) != len(b.Paths) {
		err = fmt.Errorf("%d conversations for %d paths", len(r.Conversations), len(b.Paths))
	}
	if err != nil {
		return nil, fmt.Errorf("converse back: %w", err)
	}
	return r.Conversations, nil
}

// HoldBack asks the far end to keep connections idle towards us.
func (c *Conn) HoldBack(ctx context.Context, h HoldBack) error {
	if _, err := methodHoldBack.ask(ctx, c, h); err != nil {
		return fmt.Errorf("hold back: %w", err)
	}
	return nil
}

// HeldBack asks the far end what became of the connections of a HoldBack.
func (c *Conn) HeldBack(ctx context.Context, probe ID) (HeldSoFar, error) {
	h, err := methodHeldBack.ask(ctx, c, HeldBack{Probe: probe})
	if err != nil {
		return h, fmt.Errorf("held back: %w", err)
	}
	return h, nil
}

// Submit tells the far end how the run ended.
func (c *Conn) Submit(ctx context.Context, s Submission) error {
	if _, err := methodSubmit.ask(ctx, c, s); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	return nil
}

// Send moves n bytes to the far end and returns how they arrived there. Where
// the far end could not say, the outcome is unknown or how our sending ended.
func (c *Conn) Send(ctx context.Context, n int64) result.Transfer {
	defer guard(ctx, c.conn)()
	start := time.Now()
	t := result.Transfer{Want: n, Outcome: result.TransferUnknown}
	fail := func(err error) result.Transfer {
		t.Outcome, t.Detail, t.ElapMS = transferOutcome(err), err.Error(), result.Milliseconds(time.Since(start))
		return t
	}
	req, err := c.request(methodTransfer.number, transferOrder{From: "asker", Bytes: n, DeadlineMS: answerBefore(ctx)})
	if err != nil {
		return fail(err)
	}
	if _, err := c.conn.Write(req.Raw); err != nil {
		return fail(err)
	}
	// The far end may report a failure while we are still sending: listen meanwhile.
	sent := make(chan error, 1)
	go func() { sent <- sendPayload(c.conn, c.ask.Key.keystream(c.ask.Probe, fromAsker), n) }()
	m, err := c.response(req)
	_ = c.conn.SetWriteDeadline(time.Now()) // ends a sender that is stuck
	serr := <-sent
	_ = c.conn.SetWriteDeadline(deadlineOf(ctx))
	if err != nil {
		// Our own deadline above may have ended the sender; its own errors say more.
		if serr != nil && !isTimeout(serr) && !errors.Is(err, io.EOF) {
			err = serr
		}
		fail(err)
		if serr == nil && t.Outcome == result.TransferStalled {
			t.Outcome = result.TransferUnknown // all was sent: what is missing is the report
		}
		return t
	}
	b, err := m.Get(attrBody)
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	if err != nil {
		return fail(err)
	}
	if t.Outcome == result.TransferIntact && t.Intact != n {
		t.Outcome, t.Detail = result.TransferUnknown, fmt.Sprintf("the far end reports %d intact bytes of %d and no fault", t.Intact, n)
	}
	t.Want, t.ElapMS = n, result.Milliseconds(time.Since(start))
	return t
}

// Receive moves n bytes from the far end and returns how they arrived here.
func (c *Conn) Receive(ctx context.Context, n int64) result.Transfer {
	defer guard(ctx, c.conn)()
	start := time.Now()
	if _, err := c.call(methodTransfer.number, transferOrder{From: "answerer", Bytes: n, DeadlineMS: answerBefore(ctx)}); err != nil {
		return result.Transfer{Want: n, Outcome: transferOutcome(err), Detail: err.Error(), ElapMS: result.Milliseconds(time.Since(start))}
	}
	return receivePayload(c.conn, c.ask.Key.keystream(c.ask.Probe, fromAnswerer), n)
}

// answerBefore is how long the far end may take so that its report of a
// failure still reaches us within ctx.
func answerBefore(ctx context.Context) int64 {
	d, ok := ctx.Deadline()
	if !ok {
		return int64(10 * time.Second / time.Millisecond)
	}
	return max(1, time.Until(d).Milliseconds()*3/4)
}

// guard ties conn's deadline to ctx; the function it returns unties it.
func guard(ctx context.Context, conn net.Conn) func() {
	_ = conn.SetDeadline(deadlineOf(ctx))
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = conn.SetDeadline(time.Unix(1, 0))
	})
	return func() {
		if !stop() {
			<-done // or it would end the next call on this connection
		}
	}
}

func deadlineOf(ctx context.Context) time.Time {
	d, _ := ctx.Deadline() // the zero time means none
	return d
}

// readMore gathers a little more of an answer that is not ours, so that a
// person can recognise the software in it.
func readMore(ctx context.Context, conn net.Conn) []byte {
	until := time.Now().Add(300 * time.Millisecond)
	if d := deadlineOf(ctx); !d.IsZero() && d.Before(until) {
		until = d
	}
	_ = conn.SetReadDeadline(until)
	if ctx.Err() != nil {
		return nil
	}
	b, _ := io.ReadAll(io.LimitReader(conn, 512))
	return b
}

// foreign makes a ForeignError of an answer, and notices when it is our own
// request, as far as the transaction id at least: any protocol may say a zero.
func foreign(raw, req []byte, why string) *ForeignError {
	echoed := len(raw) >= headerSize && len(req) > 0 && bytes.HasPrefix(req, raw[:min(len(raw), len(req))])
	return &ForeignError{Data: head(raw), Echoed: echoed, Why: why}
}

func head(b []byte) []byte { return b[:min(len(b), 512)] }
