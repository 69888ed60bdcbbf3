package echo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/pion/stun/v3"

	"dialtone/internal/sock"
)

// A PacketSize is how large a datagram and the answer to it are to be, in
// bytes of UDP payload. The answer is never larger than the request.
type PacketSize struct{ Request, Answer int }

// SmallPacket is a size that holds any keyed Binding and its answer, and that
// every path carries (RFC 1122 section 3.3.2: 576 bytes with IP's header).
var SmallPacket = PacketSize{udpSize, udpSize}

// packets is one socket's keyed Bindings of one size, and what became of them.
type packets struct {
	conn net.Conn
	ask  Ask
	size PacketSize
	sent map[[stun.TransactionIDSize]byte]sentPacket // those without an answer
	all  int                                         // sent
	last error                                       // what came instead of an answer
	buf  []byte
}

type sentPacket struct {
	req *stun.Message
	at  time.Time
	n   int // how many were sent before it
}

// A PacketProof is a Proof over a datagram, and the payload that request and
// answer carried.
type PacketProof struct {
	Proof
	Sent, Received int64 // bytes
	nth            int   // of its requests it answers, from 1
}

func newPackets(conn net.Conn, ask Ask, size PacketSize) *packets {
	return &packets{conn: conn, ask: ask, size: size, sent: map[[stun.TransactionIDSize]byte]sentPacket{}, buf: make([]byte, MaxPacket)}
}

// send sends one request, with a transaction id of its own since answering ends
// ignore repeats.
func (p *packets) send() error {
	req, err := p.ask.packet(p.size)
	if err != nil {
		return err
	}
	p.sent[req.TransactionID] = sentPacket{req, time.Now(), p.all}
	_, err = p.conn.Write(req.Raw)
	if err != nil && !isTimeout(err) && !sock.IsTooLarge(err) {
		_, err = p.conn.Write(req.Raw) // an ICMP error that came for the datagram before kept this one from being sent
	}
	if err == nil || !isTimeout(err) {
		p.all++
	}
	return err
}

// receive waits until the moment for an answer. The error is a timeout, or the
// network's; what was no answer is in last.
func (p *packets) receive(until time.Time) (PacketProof, error) {
	_ = p.conn.SetReadDeadline(until)
	for {
		n, err := p.conn.Read(p.buf)
		if err != nil {
			return PacketProof{}, err
		}
		m, err := decode(p.buf[:n])
		if err != nil {
			p.last = foreign(bytes.Clone(p.buf[:n]), p.anyRequest(), "")
			continue
		}
		r, ok := p.sent[m.TransactionID]
		if !ok {
			p.last = foreign(bytes.Clone(p.buf[:n]), nil, "a STUN message that does not answer ours")
			continue
		}
		proof, _, err := p.ask.verify(m, bytes.Clone(p.buf[:n]), r.req)
		if own := (*OwnError)(nil); errors.As(err, &own) {
			return PacketProof{}, err
		}
		if err != nil {
			p.last = err // anybody can send a datagram: keep waiting for a true answer
			continue
		}
		delete(p.sent, m.TransactionID)
		proof.RTT = time.Since(r.at)
		return PacketProof{proof, int64(padding(r.req)), int64(padding(m)), r.n + 1}, nil
	}
}

// anyRequest is a request that was sent, nil if none was.
func (p *packets) anyRequest() []byte {
	for _, s := range p.sent {
		return s.req.Raw
	}
	return nil
}

// ProvePacket makes a keyed Binding over a connected datagram socket. It sends
// again until ctx ends (RFC 8489 section 6.2.1) and returns how many it sent: up to the
// one that was answered, for the time of those after it is not over.
// The payload is the padding of request and response. An ICMP error ends it
// unless an answer comes beside it, in the time of one request: whoever sent the
// error does not speak for the listener then.
func ProvePacket(ctx context.Context, conn net.Conn, ask Ask, size PacketSize) (p Proof, sent, received int64, attempts int, err error) {
	defer guard(ctx, conn)()
	x := newPackets(conn, ask, size)
	end := deadlineOf(ctx)
	for wait := rto; ctx.Err() == nil && (end.IsZero() || time.Until(end) > 0); wait *= 2 {
		until := time.Now().Add(wait)
		if !end.IsZero() && end.Before(until) {
			until = end
		}
		err := x.send()
		switch {
		case isTimeout(err):
			continue // the connection's deadline is a little ahead of the context's
		case err != nil:
			return p, 0, 0, x.all, fmt.Errorf("send binding: %w", err)
		}
		proof, err := x.receive(until)
		if err != nil && !isTimeout(err) && ctx.Err() == nil {
			failed := fmt.Errorf("receive binding: %w", err)
			if short := time.Now().Add(besideICMP); short.Before(until) {
				until = short
			}
			if sock.IsTooLarge(err) {
				return p, 0, 0, x.all, failed
			}
			if proof, err = x.receive(until); err != nil {
				return p, 0, 0, x.all, failed
			}
		}
		if err == nil {
			return proof.Proof, proof.Sent, proof.Received, proof.nth, nil
		}
	}
	if x.last != nil {
		return p, 0, 0, x.all, x.last
	}
	return p, 0, 0, x.all, fmt.Errorf("receive binding: %w", context.DeadlineExceeded)
}

// besideICMP is how long after an ICMP error an answer may still come: a round
// trip of a long way.
const besideICMP = 300 * time.Millisecond

// SamplePackets makes n keyed Bindings over a connected datagram socket, one
// every pace, none of them twice, and waits for the answers so long after the
// last. It returns each proof, how many requests were sent, and what ended it
// early or came instead, nil if nothing did.
func SamplePackets(ctx context.Context, conn net.Conn, ask Ask, size PacketSize, n int, pace, wait time.Duration) (proofs []PacketProof, sent int, err error) {
	defer guard(ctx, conn)()
	x := newPackets(conn, ask, size)
	for i := range n {
		err = x.send()
		if sock.IsTooLarge(err) {
			x.all-- // the path just told its MTU: nothing left this machine
			continue
		}
		if err != nil {
			break
		}
		until := time.Now().Add(pace)
		if i == n-1 {
			until = time.Now().Add(wait)
		}
		for len(proofs) < n && ctx.Err() == nil {
			var p PacketProof
			if p, err = x.receive(until); err != nil {
				break
			}
			proofs = append(proofs, p)
		}
		if sock.IsTooLarge(err) {
			x.all--
			continue
		}
		if err != nil && !isTimeout(err) || ctx.Err() != nil {
			break
		}
	}
	switch {
	case isTimeout(err) && x.last != nil:
		err = x.last
	case isTimeout(err):
		err = nil
	case sock.IsTooLarge(err):
		err = nil
	}
	return proofs, x.all, err
}

func padding(m *stun.Message) int {
	b, _ := m.Get(stun.AttrPadding)
	return len(b)
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
