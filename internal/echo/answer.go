package echo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pion/stun/v3"

	"dialtone/internal/clean"
	"dialtone/internal/plan"
	"dialtone/internal/sock"
)

// A Peer is an asking end, as its messages and their addresses show it.
type Peer struct {
	Remote, Local netip.AddrPort
	Transport     plan.Transport
	Run, Probe    ID
	Flow          string
	Key           Key // that it proved to hold
}

// Kind is what an event at an answering end was.
type Kind string

const (
	KindAsked     Kind = "asked"      // a keyed Binding: by a holder of the key, or a recording of one's
	KindProved    Kind = "proved"     // a keyed message with this connection's nonce, which no recording has
	KindPlain     Kind = "plain"      // a Binding without a key
	KindWrongKey  Kind = "wrong-key"  // a Binding under another key
	KindForbidden Kind = "forbidden"  // the key, from an address that is not allowed
	KindReplayed  Kind = "replayed"   // a keyed Binding that was seen before
	KindForeign   Kind = "not-stun"   // other bytes
	KindService   Kind = "service"    // the service's own conversation, with a token made with the key
	KindSilent    Kind = "silent"     // no byte
	KindShed      Kind = "shed"       // closed at once: too many connections
	KindBadOrder  Kind = "bad-order"  // a control message out of turn or replayed
	KindDialBack  Kind = "dial-back"  // asked us to dial back
	KindSubmitted Kind = "submission" // told us how its run ended
	KindDelivered Kind = "delivery"   // handed a whole report over
	KindBrowser   Kind = "browser"    // a browser's test, by the link that listen printed
)

// An Answerer answers on bound ports in the name of one listener process.
type Answerer struct {
	Key Key
	// Others are further keys that it accepts: of other partners, who must not
	// know each other's.
	Others   []Key
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

	seen     repeats
	backlogs backlogs
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
	if c.kind != KindProved && c.kind != KindAsked { // what was proved once stays so
		c.kind, c.peer = kind, peer
	}
	var resp *stun.Message
	var err error
	switch kind {
	case KindPlain:
		if !c.allowed() {
			c.Host.Event(c.peer, kind)
			return false
		}
		resp, err = plainAnswer(m, c.peer.Remote)
	case KindWrongKey:
		c.Host.Event(c.peer, kind)
		if !c.allowed() {
			return false
		}
		if resp, err = errorAnswer(m, stun.CodeUnauthorized, "another key"); err == nil {
			_, _ = c.conn.Write(resp.Raw)
		}
		return false
	case KindForbidden:
		c.Host.Event(c.peer, kind)
		if resp, err = c.forbidden(m, c.peer.Key); err == nil {
			_, _ = c.conn.Write(resp.Raw)
		}
		return false
	case KindAsked:
		if c.nonce == nil {
			c.nonce = []byte(NewID().String())
		}
		resp, err = c.proof(m, c.peer, c.nonce, 0)
	default:
		c.Host.Event(c.peer, kind)
		return false
	}
	if err != nil {
		return false
	}
	c.Host.Event(c.peer, kind)
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
	key, ok := a.keyOf(m)
	if !ok {
		return KindWrongKey, peer
	}
	if a.Allowed != nil && !a.Allowed(peer.Remote.Addr()) {
		peer.Key = key
		return KindForbidden, peer
	}
	if a.seen.repeated(m.TransactionID) {
		return KindReplayed, peer
	}
	peer.Key = key
	peer.Run, _ = getID(m, attrRun)
	peer.Probe, _ = getID(m, attrProbe)
	flow, _ := m.Get(attrFlow)
	peer.Flow = clean.Bytes(string(flow), maxFlow)
	return KindAsked, peer
}

// Keys are all that it accepts.
func (a *Answerer) Keys() []Key { return append([]Key{a.Key}, a.Others...) }

// keyOf returns the key under which a message is sealed; false: none of ours.
func (a *Answerer) keyOf(m *stun.Message) (Key, bool) {
	for _, k := range a.Keys() {
		if k.check(m) == nil {
			return k, true
		}
	}
	return Key{}, false
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
func (a *Answerer) forbidden(m *stun.Message, k Key) (*stun.Message, error) {
	resp, err := stun.Build(m, stun.BindingError, stun.CodeForbidden)
	if err != nil {
		return nil, fmt.Errorf("build error answer: %w", err)
	}
	return resp, k.seal(resp)
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
	p.Key.pad(resp, size, p.Probe, fromAnswerer)
	return resp, p.Key.seal(resp)
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
	a.Host.Event(peer, kind)
	var resp *stun.Message
	switch kind {
	case KindAsked:
		size := len(b)
		if wanted, ok := getU32(m, attrAnswerSize); ok {
			size = min(size, int(wanted))
		}
		resp, err = a.proof(m, peer, []byte(NewID().String()), size)
	case KindForbidden:
		resp, err = a.forbidden(m, peer.Key)
	default:
		return nil, kind
	}
	if err != nil || len(resp.Raw) > len(b) {
		return nil, kind
	}
	return resp.Raw, kind
}
