package echo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pion/stun/v3"

	"dialtone/internal/clean"
)

// A Mapped is what any STUN server answers to a Binding request without a key
// (RFC 8489 section 6.3.1, RFC 5780 section 7). Nothing proves it.
type Mapped struct {
	SeenAs   netip.AddrPort // XOR-MAPPED-ADDRESS: our address, as the server sees it
	Origin   netip.AddrPort // RESPONSE-ORIGIN; invalid: not told
	Other    netip.AddrPort // OTHER-ADDRESS, at which it answers as well; invalid: it has none
	Software string
	RTT      time.Duration // 0: not known, since the request was sent several times
}

// Errors that say what came back instead of a STUN server's answer.
// ForeignError, RefusedError and ElsewhereError are the others.
var (
	// ErrTransaction: a STUN message came that does not answer our request.
	ErrTransaction = errors.New("a STUN message with a transaction id that is not ours")
	// ErrAltered: the answer was changed on the way.
	ErrAltered = errors.New("a STUN answer whose FINGERPRINT is wrong")
	// ErrUnmapped: the server answers and does not say how it sees us.
	ErrUnmapped = errors.New("a STUN answer without XOR-MAPPED-ADDRESS")
)

// An ElsewhereError says that the answer to a datagram came from another
// address than the one that was asked.
type ElsewhereError struct{ From netip.AddrPort }

func (e *ElsewhereError) Error() string { return "the answer came from " + e.From.String() }

// Map asks a STUN server over a stream how it sees us.
func Map(ctx context.Context, conn net.Conn) (Mapped, error) {
	defer guard(ctx, conn)()
	req, err := plainBinding()
	if err != nil {
		return Mapped{}, err
	}
	start := time.Now()
	_, werr := conn.Write(req.Raw)
	m, raw, err := readMessage(conn, maxFirst)
	rtt := time.Since(start)
	switch {
	case err != nil && len(raw) > 0:
		return Mapped{}, foreign(append(raw, readMore(ctx, conn)...), req.Raw, "")
	case err != nil && werr != nil:
		return Mapped{}, fmt.Errorf("send binding: %w", werr)
	case err != nil:
		return Mapped{}, fmt.Errorf("receive binding: %w", err)
	}
	mapped, err := mappedOf(m, raw, req)
	mapped.RTT = rtt
	return mapped, err
}

// A MappedPacket is what came of asking one server by datagrams.
type MappedPacket struct {
	Mapped
	Attempts int // datagrams sent
	Err      error
}

// maxSends is how often a request is sent at most (RFC 8489 section 6.2.1, Rc).
const maxSends = 7

// MapPackets asks STUN servers from one unconnected socket, all at once, so that
// an answer from another address than the asked one is noticed. It sends again
// as RFC 8489 section 6.2.1 says, until ctx ends, and returns one MappedPacket
// for each target, in the same order.
func MapPackets(ctx context.Context, conn *net.UDPConn, targets []netip.AddrPort) []MappedPacket {
	defer guard(ctx, conn)()
	x := exchange{conn: conn, out: make([]MappedPacket, len(targets)), pending: map[[stun.TransactionIDSize]byte]*asked{}}
	for i, to := range targets {
		req, err := plainBinding()
		if err != nil {
			x.out[i].Err = err
			continue
		}
		x.out[i].Err = fmt.Errorf("receive binding: %w", context.DeadlineExceeded) // unless an answer comes
		x.pending[req.TransactionID] = &asked{req: req, to: to, out: &x.out[i]}
	}
	wait := rto
	for range maxSends {
		if len(x.pending) == 0 || ctx.Err() != nil {
			break
		}
		x.send()
		until := time.Now().Add(wait)
		if d := deadlineOf(ctx); !d.IsZero() && d.Before(until) {
			until = d
		}
		x.receive(ctx, until)
		wait *= 2
	}
	return x.out
}

// An exchange is the requests under way on one socket.
type exchange struct {
	conn    *net.UDPConn
	out     []MappedPacket
	pending map[[stun.TransactionIDSize]byte]*asked
}

type asked struct {
	req  *stun.Message
	to   netip.AddrPort
	sent time.Time // the first time
	out  *MappedPacket
}

func (x *exchange) send() {
	for id, a := range x.pending {
		if a.sent.IsZero() {
			a.sent = time.Now()
		}
		if _, err := x.conn.WriteToUDPAddrPort(a.req.Raw, a.to); err != nil {
			if !isTimeout(err) { // the deadline is the context's
				a.out.Err = fmt.Errorf("send binding: %w", err)
				delete(x.pending, id)
			}
			continue
		}
		a.out.Attempts++
	}
}

// receive takes answers until a time, or until all are there.
func (x *exchange) receive(ctx context.Context, until time.Time) {
	buf := make([]byte, MaxPacket)
	for len(x.pending) > 0 && ctx.Err() == nil && time.Now().Before(until) {
		_ = x.conn.SetReadDeadline(until)
		n, from, err := x.conn.ReadFromUDPAddrPort(buf)
		switch {
		case err == nil:
			x.take(bytes.Clone(buf[:n]), netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		case isTimeout(err):
			return
		default:
			time.Sleep(10 * time.Millisecond) // Windows: an ICMP error for something sent earlier
		}
	}
}

// take judges one datagram. One that is no answer leaves the request open:
// anybody can send a datagram.
func (x *exchange) take(raw []byte, from netip.AddrPort) {
	m, err := decode(raw)
	if err == nil {
		if a, ok := x.pending[m.TransactionID]; ok {
			mapped, err := mappedOf(m, raw, a.req)
			if from != a.to {
				a.out.Err = &ElsewhereError{From: from}
				return
			}
			if a.out.Mapped, a.out.Err = mapped, err; err == nil {
				if a.out.Attempts == 1 {
					a.out.RTT = time.Since(a.sent)
				}
				delete(x.pending, m.TransactionID)
			}
			var refused *RefusedError
			if errors.As(err, &refused) {
				delete(x.pending, m.TransactionID)
			}
			return
		}
		err = ErrTransaction
	} else {
		err = foreign(raw, nil, "")
	}
	for _, a := range x.pending {
		if from == a.to {
			a.out.Err = err
		}
	}
}

// plainBinding builds a Binding request that any STUN server answers.
func plainBinding() (*stun.Message, error) {
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.Fingerprint)
	if err != nil {
		return nil, fmt.Errorf("build binding: %w", err)
	}
	return m, nil
}

// mappedOf reads m, decoded from raw, as a server's answer to req.
func mappedOf(m *stun.Message, raw []byte, req *stun.Message) (Mapped, error) {
	var out Mapped
	switch {
	case bytes.Equal(raw, req.Raw):
		return out, &ForeignError{Data: head(raw), Echoed: true}
	case m.TransactionID != req.TransactionID:
		return out, ErrTransaction
	case m.Contains(stun.AttrFingerprint) && stun.Fingerprint.Check(m) != nil:
		return out, ErrAltered
	case m.Type == stun.BindingError:
		var code stun.ErrorCodeAttribute
		_ = code.GetFrom(m) // without it the error has no words
		return out, &RefusedError{Code: int(code.Code), Reason: clean.Bytes(string(code.Reason), maxBrokenLine)}
	case m.Type != stun.BindingSuccess:
		return out, foreign(raw, nil, "a STUN message that is no answer")
	}
	seen, ok := getXORMapped(m)
	if !ok {
		return out, ErrUnmapped
	}
	out.SeenAs = seen
	out.Origin, _ = getOrigin(m) // optional, as the rest
	var other stun.OtherAddress
	if other.GetFrom(m) == nil {
		out.Other, _ = addrPort(other.IP, other.Port)
	}
	var software stun.Software
	_ = software.GetFrom(m)
	out.Software = clean.Bytes(software.String(), maxFlow)
	return out, nil
}
