package echo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/pion/stun/v3"
)

// A PacketSize is how large a datagram and the answer to it are to be, in
// bytes of UDP payload. The answer is never larger than the request.
type PacketSize struct{ Request, Answer int }

// SmallPacket is a size that holds any keyed Binding and its answer, and that
// every path carries (RFC 1122 section 3.3.2: 576 bytes with IP's header).
var SmallPacket = PacketSize{udpSize, udpSize}

// ProvePacket makes a keyed Binding over a connected datagram socket. It sends
// again until ctx ends (RFC 8489 section 6.2.1), each time with a transaction
// id of its own since answering ends ignore repeats, and returns how many it
// sent. The payload is the padding of request and response.
func ProvePacket(ctx context.Context, conn net.Conn, ask Ask, size PacketSize) (p Proof, sent, received int64, attempts int, err error) {
	defer guard(ctx, conn)()
	requests := map[[stun.TransactionIDSize]byte]*stun.Message{}
	began := map[[stun.TransactionIDSize]byte]time.Time{}
	buf := make([]byte, MaxPacket)
	var last error
	for wait := rto; ctx.Err() == nil; wait *= 2 {
		req, err := ask.packet(size)
		if err != nil {
			return p, 0, 0, attempts, err
		}
		requests[req.TransactionID], began[req.TransactionID] = req, time.Now()
		_, err = conn.Write(req.Raw)
		if isTimeout(err) {
			break // the connection's deadline is a little ahead of the context's
		}
		attempts++
		if err != nil {
			return p, 0, 0, attempts, fmt.Errorf("send binding: %w", err)
		}
		until := time.Now().Add(wait)
		if d := deadlineOf(ctx); !d.IsZero() && d.Before(until) {
			until = d
		}
		for ctx.Err() == nil {
			_ = conn.SetReadDeadline(until)
			n, err := conn.Read(buf)
			if isTimeout(err) {
				break
			}
			if err != nil {
				return p, 0, 0, attempts, fmt.Errorf("receive binding: %w", err)
			}
			m, err := decode(buf[:n])
			if err != nil {
				last = foreign(bytes.Clone(buf[:n]), req.Raw, "")
				continue
			}
			r, ok := requests[m.TransactionID]
			if !ok {
				last = foreign(bytes.Clone(buf[:n]), nil, "a STUN message that does not answer ours")
				continue
			}
			p, _, err := ask.verify(m, bytes.Clone(buf[:n]), r)
			if own := (*OwnError)(nil); errors.As(err, &own) {
				return p, 0, 0, attempts, err
			}
			if err != nil {
				// Anybody can send a datagram: keep waiting for a true answer.
				last = err
				continue
			}
			p.RTT = time.Since(began[m.TransactionID])
			return p, int64(padding(r)), int64(padding(m)), attempts, nil
		}
	}
	if last != nil {
		return p, 0, 0, attempts, last
	}
	return p, 0, 0, attempts, fmt.Errorf("receive binding: %w", context.DeadlineExceeded)
}

func padding(m *stun.Message) int {
	b, _ := m.Get(stun.AttrPadding)
	return len(b)
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
