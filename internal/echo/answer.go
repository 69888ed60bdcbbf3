package echo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/pion/stun/v3"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// A Peer is an asking end, as its messages and their addresses show it.
type Peer struct {
	Remote, Local netip.AddrPort
	Transport     plan.Transport
	Run, Probe    ID
	Flow          string
}

// Kind is what a contact with an answering end amounted to.
type Kind string

const (
	KindProved    Kind = "proved"     // a keyed Binding
	KindPlain     Kind = "plain"      // a Binding without a key
	KindWrongKey  Kind = "wrong-key"  // a Binding under another key
	KindForbidden Kind = "forbidden"  // the key, from an address that is not allowed
	KindReplayed  Kind = "replayed"   // a keyed Binding that was seen before
	KindForeign   Kind = "not-stun"   // other bytes
	KindSilent    Kind = "silent"     // no byte
	KindShed      Kind = "shed"       // closed at once: too many connections
	KindBadOrder  Kind = "bad-order"  // a control message out of turn or replayed
	KindDialBack  Kind = "dial-back"  // asked us to dial back
	KindSubmitted Kind = "submission" // told us how its run ended
)

// A Host does what an Answerer is asked for. All its methods may be called
// from several goroutines at once.
type Host interface {
	// Contact is told of each Binding, before it is answered.
	Contact(Peer, Kind)
	Hello(Peer) Hello
	Witness(Peer, Witness) Witnessed
	// DialBack returns one half for each path. It refuses a path by a half
	// whose NotTried says why.
	DialBack(context.Context, Peer, DialBack) DialedBack
	Submit(Peer, Submission)
}

// An Answerer answers on bound ports in the name of one listener process.
type Answerer struct {
	Key      Key
	Instance ID
	Software string
	// Version is what it says of the wire format; 0 means Version.
	Version int
	// Allowed says which addresses may use the key; nil means all.
	Allowed func(netip.Addr) bool
	Host    Host
	// Patience is how long it waits for each message; 0 means 30 s. Who has not
	// proved the key gets half of it, and maxPlain messages.
	Patience time.Duration

	seen repeats
}

// maxMessages bounds the messages of one connection, maxPlain those of one that
// has not proved the key.
const maxMessages, maxPlain = 256, 16

// Answer serves one connection until it ends and closes nothing. It returns
// what the conversation amounted to and, if its first bytes were no STUN
// message, those bytes.
func (a *Answerer) Answer(ctx context.Context, conn net.Conn) (Kind, []byte) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c := &answering{
		Answerer: a, ctx: ctx, conn: conn, kind: KindSilent,
		peer: Peer{Remote: sock.AddrPortOf(conn.RemoteAddr()), Local: sock.AddrPortOf(conn.LocalAddr()), Transport: plan.TCP},
	}
	return c.serve()
}

// answering is one connection to an Answerer.
type answering struct {
	*Answerer
	ctx     context.Context
	conn    net.Conn
	peer    Peer
	kind    Kind
	nonce   []byte // nil until the key is proved
	counter uint32
	idle    time.Duration // how much longer the next message may take
}

func (c *answering) serve() (Kind, []byte) {
	for n := range maxMessages {
		if n >= maxPlain && c.nonce == nil {
			return c.kind, nil
		}
		limit := maxFirst
		if c.nonce != nil {
			limit = maxMessage
		}
		c.patience()
		c.idle = 0
		m, raw, err := readMessage(c.conn, limit)
		if err != nil {
			if c.kind == KindSilent && len(raw) > 0 {
				return KindForeign, raw
			}
			return c.kind, nil
		}
		if m.Type.Class != stun.ClassRequest {
			if c.kind == KindSilent {
				return KindForeign, raw
			}
			return c.kind, nil
		}
		var more bool
		if m.Type.Method == stun.MethodBinding {
			more = c.binding(m)
		} else {
			more = c.control(m)
		}
		if !more {
			return c.kind, nil
		}
	}
	return c.kind, nil
}

// patience gives the next step its time, unless the answerer is to stop.
func (c *answering) patience() {
	d := c.Patience
	if d == 0 {
		d = 30 * time.Second
	}
	if c.nonce == nil {
		d /= 2
	}
	_ = c.conn.SetDeadline(time.Now().Add(d + c.idle))
	if c.ctx.Err() != nil {
		_ = c.conn.SetDeadline(time.Unix(1, 0))
	}
}

// binding answers a Binding request and reports whether to go on.
func (c *answering) binding(m *stun.Message) bool {
	kind, peer := c.judge(m, c.peer)
	if c.kind != KindProved { // what was proved once stays so
		c.kind, c.peer = kind, peer
	}
	var resp *stun.Message
	var err error
	switch kind {
	case KindPlain:
		if !c.allowed() {
			c.Host.Contact(c.peer, kind)
			return false
		}
		resp, err = plainAnswer(m, c.peer.Remote)
	case KindWrongKey:
		c.Host.Contact(c.peer, kind)
		if !c.allowed() {
			return false
		}
		if resp, err = errorAnswer(m, stun.CodeUnauthorized, "another key"); err == nil {
			_, _ = c.conn.Write(resp.Raw)
		}
		return false
	case KindForbidden:
		c.Host.Contact(c.peer, kind)
		if resp, err = c.forbidden(m); err == nil {
			_, _ = c.conn.Write(resp.Raw)
		}
		return false
	case KindProved:
		if c.nonce == nil {
			c.nonce = []byte(NewID().String())
		}
		resp, err = c.proof(m, c.peer, c.nonce, 0)
	default:
		c.Host.Contact(c.peer, kind)
		return false
	}
	if err != nil {
		return false
	}
	c.Host.Contact(c.peer, kind)
	_, err = c.conn.Write(resp.Raw)
	return err == nil
}

func (c *answering) allowed() bool { return c.Allowed == nil || c.Allowed(c.peer.Remote.Addr()) }

// judge says what a Binding request amounts to and completes peer by what it
// tells.
func (a *Answerer) judge(m *stun.Message, peer Peer) (Kind, Peer) {
	if m.Contains(stun.AttrFingerprint) && stun.Fingerprint.Check(m) != nil {
		return KindForeign, peer // changed on the way: no word on the key
	}
	if !m.Contains(stun.AttrMessageIntegrity) {
		return KindPlain, peer
	}
	if a.Key.check(m) != nil {
		return KindWrongKey, peer
	}
	if a.Allowed != nil && !a.Allowed(peer.Remote.Addr()) {
		return KindForbidden, peer
	}
	if a.seen.repeated(m.TransactionID) {
		return KindReplayed, peer
	}
	peer.Run, _ = getID(m, attrRun)
	peer.Probe, _ = getID(m, attrProbe)
	flow, _ := m.Get(attrFlow)
	peer.Flow = cleanLine(string(flow), maxFlow)
	return KindProved, peer
}

// plainAnswer answers anybody's Binding request: RFC 8489 section 6.3.1 and
// nothing more.
func plainAnswer(m *stun.Message, remote netip.AddrPort) (*stun.Message, error) {
	if u := unknownRequired(m); len(u) > 0 {
		resp, err := stun.Build(m, stun.BindingError, stun.CodeUnknownAttribute, u, stun.Fingerprint)
		if err != nil {
			return nil, fmt.Errorf("build answer: %w", err)
		}
		return resp, nil
	}
	resp, err := stun.Build(m, stun.BindingSuccess)
	if err == nil {
		err = addXORMapped(resp, remote)
	}
	if err == nil {
		err = stun.Fingerprint.AddTo(resp)
	}
	return resp, err
}

// unknownRequired lists the attributes that must be understood and are not.
func unknownRequired(m *stun.Message) stun.UnknownAttributes {
	var u stun.UnknownAttributes
	for _, a := range m.Attributes {
		if a.Type.Optional() {
			continue
		}
		switch a.Type {
		case stun.AttrUsername, stun.AttrMessageIntegrity, stun.AttrRealm, stun.AttrNonce, stun.AttrPadding:
		default:
			u = append(u, a.Type)
		}
	}
	return u
}

func errorAnswer(m *stun.Message, code stun.ErrorCode, reason string) (*stun.Message, error) {
	e := stun.ErrorCodeAttribute{Code: code, Reason: []byte(reason)}
	resp, err := stun.Build(m, stun.NewType(m.Type.Method, stun.ClassErrorResponse), e, stun.Fingerprint)
	if err != nil {
		return nil, fmt.Errorf("build error answer: %w", err)
	}
	return resp, nil
}

// forbidden tells a holder of the key that its address is not allowed.
func (a *Answerer) forbidden(m *stun.Message) (*stun.Message, error) {
	resp, err := stun.Build(m, stun.BindingError, stun.CodeForbidden)
	if err != nil {
		return nil, fmt.Errorf("build error answer: %w", err)
	}
	return resp, a.Key.seal(resp)
}

// proof answers a keyed Binding, padded to size.
func (a *Answerer) proof(m *stun.Message, p Peer, nonce []byte, size int) (*stun.Message, error) {
	resp, err := stun.Build(m, stun.BindingSuccess)
	if err != nil {
		return nil, fmt.Errorf("build proof: %w", err)
	}
	version := a.Version
	if version == 0 {
		version = Version
	}
	if err := errors.Join(addXORMapped(resp, p.Remote), addOrigin(resp, p.Local)); err != nil {
		return nil, fmt.Errorf("build proof: %w", err)
	}
	resp.Add(attrVersion, u32(uint32(version)))
	resp.Add(attrInstance, a.Instance[:])
	resp.Add(stun.AttrNonce, nonce)
	resp.Add(stun.AttrSoftware, []byte(a.Software))
	a.Key.pad(resp, size, p.Probe, fromAnswerer)
	return resp, a.Key.seal(resp)
}

// control answers a control request and reports whether to go on.
func (c *answering) control(m *stun.Message) bool {
	nonce, _ := m.Get(stun.AttrNonce)
	counter, _ := getU32(m, attrCounter)
	body, berr := m.Get(attrBody)
	if c.nonce == nil || c.Key.check(m) != nil || !bytes.Equal(nonce, c.nonce) || counter != c.counter+1 || berr != nil {
		// Out of turn, altered or replayed: no answer that a stranger could use.
		if c.kind == KindSilent {
			c.kind = KindBadOrder
		}
		c.Host.Contact(c.peer, KindBadOrder)
		return false
	}
	c.counter = counter
	switch m.Type.Method {
	case methodHello:
		return c.reply(m, c.Host.Hello(c.peer))
	case methodWitness:
		var w Witness
		if err := json.Unmarshal(body, &w); err != nil || len(w.Queries) > MaxWitness {
			return c.refuse(m, "a Witness request that this version does not understand")
		}
		return c.reply(m, c.Host.Witness(c.peer, w))
	case methodDialBack:
		var d DialBack
		if err := json.Unmarshal(body, &d); err != nil || len(d.Paths) > MaxDialBack || d.TimeoutMS <= 0 || d.Bytes < 0 || d.Bytes > maxTransfer {
			return c.refuse(m, "a DialBack request that this version does not understand")
		}
		// The attempts take their time; the connection must outlast them.
		_ = c.conn.SetDeadline(time.Time{})
		return c.reply(m, c.Host.DialBack(c.ctx, c.peer, d))
	case methodSubmit:
		var s Submission
		if err := json.Unmarshal(body, &s); err != nil {
			return c.refuse(m, "a Submit request that this version does not understand")
		}
		c.Host.Submit(c.peer, s.bounded())
		return c.reply(m, struct{}{})
	case methodHold:
		var o holdOrder
		if err := json.Unmarshal(body, &o); err != nil || o.GapMS < 0 || o.GapMS > MaxHold.Milliseconds() {
			return c.refuse(m, "a Hold request that this version does not understand")
		}
		return c.hold(m, o)
	case methodTransfer:
		var o transferOrder
		if err := json.Unmarshal(body, &o); err != nil || o.Bytes < 0 || o.Bytes > maxTransfer {
			return c.refuse(m, "a Transfer request that this version does not understand")
		}
		return c.transfer(m, o)
	}
	return c.refuse(m, "a method that this version does not know")
}

// hold keeps the connection idle: it answers after the gap if it is to speak
// first, and else at once, and waits so much longer for the next message.
func (c *answering) hold(m *stun.Message, o holdOrder) bool {
	gap := time.Duration(o.GapMS) * time.Millisecond
	switch o.First {
	case "asker":
		c.idle = gap
		return c.reply(m, struct{}{})
	case "answerer":
		select {
		case <-c.ctx.Done():
			return false
		case <-time.After(gap):
		}
		return c.reply(m, struct{}{})
	}
	return c.refuse(m, fmt.Sprintf("a Hold in which %q speaks first", cleanLine(o.First, 20)))
}

// transfer moves a payload as ordered, within the time that the asker gave.
func (c *answering) transfer(m *stun.Message, o transferOrder) bool {
	limit := min(max(time.Duration(o.DeadlineMS)*time.Millisecond, 0), time.Minute)
	switch o.From {
	case "asker":
		_ = c.conn.SetDeadline(time.Now().Add(limit))
		t := receivePayload(c.conn, c.Key.keystream(c.peer.Probe, fromAsker), o.Bytes)
		c.patience()
		return c.reply(m, t) && t.Detail == "" // after an error the stream is out of step
	case "answerer":
		if !c.reply(m, struct{}{}) {
			return false
		}
		_ = c.conn.SetDeadline(time.Now().Add(limit))
		return sendPayload(c.conn, c.Key.keystream(c.peer.Probe, fromAnswerer), o.Bytes) == nil
	}
	return c.refuse(m, fmt.Sprintf("a Transfer from %q", cleanLine(o.From, 20)))
}

func (c *answering) reply(m *stun.Message, body any) bool {
	b, err := marshal(body)
	if err != nil {
		return c.refuse(m, "the answer is too large; ask for less at once")
	}
	return c.write(m, stun.ClassSuccessResponse, attrBody, b)
}

func (c *answering) refuse(m *stun.Message, reason string) bool {
	e := stun.New()
	if err := (stun.ErrorCodeAttribute{Code: stun.CodeBadRequest, Reason: []byte(reason)}).AddTo(e); err != nil {
		return false
	}
	v, err := e.Get(stun.AttrErrorCode)
	return err == nil && c.write(m, stun.ClassErrorResponse, stun.AttrErrorCode, v)
}

func (c *answering) write(m *stun.Message, class stun.MessageClass, t stun.AttrType, v []byte) bool {
	resp, err := stun.Build(m, stun.NewType(m.Type.Method, class))
	if err != nil {
		return false
	}
	resp.Add(stun.AttrNonce, c.nonce)
	resp.Add(attrCounter, u32(c.counter))
	resp.Add(t, v)
	if c.Key.seal(resp) != nil {
		return false
	}
	c.patience()
	_, err = c.conn.Write(resp.Raw)
	return err == nil
}

// AnswerPacket returns the answer to one datagram, nil for none, and what the
// datagram amounted to. Without the key nothing is answered, and no answer is
// larger than its request, so that a forged source address gains nothing.
func (a *Answerer) AnswerPacket(remote, local netip.AddrPort, b []byte) ([]byte, Kind) {
	peer := Peer{Remote: remote, Local: local, Transport: plan.UDP}
	m, err := decode(b)
	if err != nil || m.Type != stun.BindingRequest {
		return nil, KindForeign
	}
	kind, peer := a.judge(m, peer)
	a.Host.Contact(peer, kind)
	var resp *stun.Message
	switch kind {
	case KindProved:
		resp, err = a.proof(m, peer, []byte(NewID().String()), len(b))
	case KindForbidden:
		resp, err = a.forbidden(m)
	default:
		return nil, kind
	}
	if err != nil || len(resp.Raw) > len(b) {
		return nil, kind
	}
	return resp.Raw, kind
}

// bounded cuts a submission to what is worth keeping of a stranger's text.
func (s Submission) bounded() Submission {
	s.Host = cleanLine(s.Host, 253)
	maps.DeleteFunc(s.Summary.Verdicts, func(v result.Verdict, _ int) bool { return !slices.Contains(result.Verdicts, v) })
	s.Broken = s.Broken[:min(len(s.Broken), maxBroken)]
	for i, l := range s.Broken {
		s.Broken[i] = cleanLine(l, maxBrokenLine)
	}
	return s
}

// cleanLine makes a far end's text safe to print on one line: valid, without
// control characters, at most n bytes.
func cleanLine(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' || r >= 0x7F && r < 0xA0 || r >= 0x2028 && r <= 0x202E || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, s)
	for len(s) > n {
		_, k := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-k]
	}
	return s
}

// repeats remembers the transaction ids of keyed requests, the latest 65,536
// or more of them, so that a recorded request cannot be used again.
type repeats struct {
	mu       sync.Mutex
	now, old map[[stun.TransactionIDSize]byte]struct{}
}

func (r *repeats) repeated(id [stun.TransactionIDSize]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, a := r.now[id]
	_, b := r.old[id]
	if a || b {
		return true
	}
	if r.now == nil || len(r.now) >= 1<<16 {
		r.old, r.now = r.now, map[[stun.TransactionIDSize]byte]struct{}{}
	}
	r.now[id] = struct{}{}
	return false
}
