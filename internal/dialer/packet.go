package dialer

import (
	"context"
	"net"
	"sync"

	"dialtone/internal/echo"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// ethernetPacket is the size of a full Ethernet packet; UDP and IP take the
// rest (RFC 768; RFC 791; RFC 8200).
const (
	ethernetPacket = 1500
	udpHeaders4    = 8 + 20
	udpHeaders6    = 8 + 40
)

// provePacket proves a UDP path by a small datagram. The padding of request and
// answer is the payload, under the proof's MESSAGE-INTEGRITY.
func (a *attempt) provePacket(ctx context.Context, conn net.Conn) {
	p, sent, received, n, err := echo.ProvePacket(ctx, conn, a.ask(), echo.SmallPacket)
	a.seen.Attempts += max(0, n-1)
	if err != nil {
		a.noProof(conn, err)
		return
	}
	a.proved(p)
	a.seen.Sent = &result.Transfer{Outcome: result.TransferIntact, Want: sent, Intact: sent}
	a.seen.Received = &result.Transfer{Outcome: result.TransferIntact, Want: received, Intact: received}
}

// fullPackets tries a full packet each way and, where it does not cross, finds
// the size of what does. A full request with a small answer tells the way
// there, a full request with a full answer, once the former crosses, the way
// back.
func (a *attempt) fullPackets(ctx context.Context) {
	headers := udpHeaders6
	if a.Target.Addr().Is4() {
		headers = udpHeaders4
	}
	full := ethernetPacket - headers
	if sent, received, ok := a.packet(ctx, echo.PacketSize{Request: full, Answer: full}); ok {
		a.seen.Sent.Want, a.seen.Sent.Intact = sent, sent
		a.seen.Received.Want, a.seen.Received.Intact = received, received
		return
	}
	search := func(t *result.Transfer, size func(n int64) echo.PacketSize) bool {
		h := narrow(ctx, int64(echo.SmallPacket.Request), int64(full)+1, func(sizes []int64) []bool {
			crossed := make([]bool, len(sizes))
			var all sync.WaitGroup
			for i, n := range sizes {
				all.Go(func() { _, _, crossed[i] = a.packet(ctx, size(n)) })
			}
			all.Wait()
			return crossed
		})
		if h == nil {
			return false
		}
		// STUN messages have a multiple of four bytes: so many were sent.
		h.Passes, h.Fails = h.Passes&^3, h.Passes&^3+4
		h.Packet = int(h.Passes) + headers
		t.Hole, t.Outcome = h, result.TransferStalled
		return true
	}
	if !search(a.seen.Sent, func(n int64) echo.PacketSize {
		return echo.PacketSize{Request: int(n), Answer: echo.SmallPacket.Answer}
	}) {
		search(a.seen.Received, func(n int64) echo.PacketSize { return echo.PacketSize{Request: int(n), Answer: int(n)} })
	}
}

// packet proves the path by datagrams of a size on a socket of their own and
// returns how much payload they carried. A path that just learned a smaller MTU
// says so once, by an error, and gets another chance.
func (a *attempt) packet(ctx context.Context, size echo.PacketSize) (sent, received int64, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, holeTimeout)
	defer cancel()
	for ctx.Err() == nil {
		d := sock.Dial(ctx, "udp", a.Source, a.Target)
		if d.Err != nil {
			return 0, 0, false
		}
		p, sent, received, _, err := echo.ProvePacket(ctx, d.Conn, a.ask(), size)
		d.Conn.Close()
		switch {
		case err == nil:
			return sent, received, p.Instance.String() == a.seen.Instance
		case !sock.IsTooLarge(err):
			return 0, 0, false
		}
	}
	return 0, 0, false
}
