package dialer

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

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

// A sample is how many datagrams of one size are sent to find out how many get
// lost: so many from each of so many source ports, one every samplePace. Those
// of which no answer came sampleWait after the last are lost, on a path whose
// round trip is not longer.
const (
	sampleSources = 4
	sampleEach    = 5
	samplePace    = 40 * time.Millisecond
	sampleWait    = time.Second
	// Where the round trip is known, so many of them and minSampleWait are enough,
	// and leastRoundTrips are given in any case.
	minSampleWait    = 300 * time.Millisecond
	sampleRoundTrips = 3
	leastRoundTrips  = 2
	// Of each size on the way to the exact one fewer do.
	searchSources = 2
	searchEach    = 3
	// sampleRounds bounds how many samples of full datagrams are taken where most
	// are lost.
	sampleRounds = 3
)

// provePacket proves a UDP path by a small datagram. The padding of request and
// answer is the payload, under the proof's MESSAGE-INTEGRITY.
func (a *attempt) provePacket(ctx context.Context, conn net.Conn) {
	p, sent, received, n, err := echo.ProvePacket(ctx, conn, a.ask(), echo.SmallPacket)
	a.seen.Attempts += max(0, n-1)
	if err != nil {
		a.count(echo.SmallPacket, n, 0)
		a.noProof(conn, err)
		return
	}
	a.count(echo.SmallPacket, n, 1)
	a.provedBy(echo.PacketProof{Proof: p, Sent: sent, Received: received})
}

func (a *attempt) provedBy(p echo.PacketProof) {
	a.proved(p.Proof)
	a.seen.Sent = &result.Transfer{Outcome: result.TransferIntact, Want: p.Sent, Intact: p.Sent}
	a.seen.Received = &result.Transfer{Outcome: result.TransferIntact, Want: p.Received, Intact: p.Received}
}

// A packetSample is what became of datagrams of one size.
type packetSample struct {
	size  echo.PacketSize
	of    []*attempt        // one for each source port
	proof *echo.PacketProof // one of those that came back from the path's listener; nil: none did
}

// all is what became of all of them.
func (s packetSample) all() (all tally) {
	for _, f := range s.of {
		t := f.tallyOf(s.size)
		all.tried, all.crossed = all.tried+t.tried, all.crossed+t.crossed
	}
	return all
}

// sampleSize sends a sample of a size and counts it. Each source port of it is a
// connection of the path, unless the size is what keeps all of them from it.
func (a *attempt) sampleSize(ctx context.Context, size echo.PacketSize) packetSample {
	s := a.samplePackets(ctx, size, sampleSources, sampleEach)
	if s.proof != nil || size == echo.SmallPacket {
		a.list(s.of...)
		return s
	}
	for _, f := range s.of {
		a.merge(f.seen.Datagrams)
	}
	return s
}

// samplePackets sends so many datagrams of a size from each of so many source
// ports.
func (a *attempt) samplePackets(ctx context.Context, size echo.PacketSize, sources, each int) packetSample {
	wait := sampleWait
	if rtt := a.rtt(); rtt > 0 {
		wait = max(min(wait, minSampleWait+sampleRoundTrips*rtt), leastRoundTrips*rtt)
	}
	s := packetSample{size: size}
	for range sources {
		f := a.further(a.Options)
		f.draw.By = ""
		s.of = append(s.of, f)
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for n, f := range s.of {
		all.Go(func() {
			f.seen.At = result.TimeOf(sock.Now())
			defer func() { f.seen.ElapsedMS = result.Milliseconds(sock.Since(f.seen.At.Time)) }()
			d := f.dialSample(ctx, n)
			if d.Err != nil || sock.IsOver(ctx) {
				f.seen.NotTried = "this machine could not open it"
				return
			}
			defer d.Conn.Close()
			f.seen.Connect, f.seen.Source = result.ConnectOpen, result.EndpointFrom(d.Source)
			within, cancel := context.WithTimeout(ctx, time.Duration(each)*samplePace+wait+time.Second)
			defer cancel()
			proofs, sent, err := echo.SamplePackets(within, d.Conn, f.ask(), size, each, samplePace, wait)
			f.count(size, sent, len(proofs))
			switch {
			case sock.IsOver(ctx):
				f.seen.NotTried = "interrupted"
			case len(proofs) == 0:
				f.noProof(d.Conn, cmp.Or(err, fmt.Errorf("receive binding: %w", context.DeadlineExceeded)))
			default:
				f.provedBy(proofs[0])
				mu.Lock()
				defer mu.Unlock()
				if a.isSame(f) {
					s.proof = &proofs[0]
				}
			}
		})
	}
	all.Wait()
	return s
}

// dialSample opens the n-th socket of a sample. Half of them have ports of each
// parity: ways that go by the port may all be dead for the other.
func (a *attempt) dialSample(ctx context.Context, n int) sock.Dialed {
	if a.Source.Port() != 0 {
		return sock.Dial(ctx, "udp", a.Source, a.Target)
	}
	return sock.DialDrawn(ctx, "udp", a.Source.Addr(), a.Target, sock.Draw{By: a.draw.By, Beside: uint16(1 + n%2), Nth: n})
}

// datagrams are those of one source port.
func datagrams(size echo.PacketSize, t tally) result.Datagrams {
	d := result.Datagrams{Request: size.Request, Answer: size.Answer, Sent: t.tried, Answered: t.crossed, Sources: 1}
	if t.crossed == 0 {
		d.Deaf, d.DeafSent = 1, t.tried
	}
	return d
}

// merged adds up two counts of one size.
func merged(a, b result.Datagrams) result.Datagrams {
	b.Sent, b.Answered, b.Sources, b.Deaf, b.DeafSent = a.Sent+b.Sent, a.Answered+b.Answered, a.Sources+b.Sources, a.Deaf+b.Deaf, a.DeafSent+b.DeafSent
	return b
}

// count adds the datagrams of a further source port to the evidence.
func (a *attempt) count(size echo.PacketSize, sent, answered int) {
	if sent > 0 {
		a.merge([]result.Datagrams{datagrams(size, tally{sent, answered})})
	}
}

func (a *attempt) merge(more []result.Datagrams) {
next:
	for _, d := range more {
		for i, have := range a.seen.Datagrams {
			if have.Request == d.Request && have.Answer == d.Answer {
				a.seen.Datagrams[i] = merged(have, d)
				continue next
			}
		}
		a.seen.Datagrams = append(a.seen.Datagrams, d)
	}
}

// missing is how many datagrams had no answer by now.
func (a *attempt) missing() (n int) {
	for _, d := range a.seen.Datagrams {
		n += d.Sent - d.Answered
	}
	return n
}

// tallyOf is what became of the datagrams of a size.
func (a *attempt) tallyOf(size echo.PacketSize) tally {
	for _, d := range a.seen.Datagrams {
		if d.Request == size.Request && d.Answer == size.Answer {
			return tally{d.Sent, d.Answered}
		}
	}
	return tally{}
}

// fullPackets tries a full packet each way and, where none crosses although
// small ones do, finds the size of what does. A full request with a small answer
// tells the way there, a full request with a full answer, once the former
// crosses, the way back. Where any datagram was lost, more tell by how many.
func (a *attempt) fullPackets(ctx context.Context) {
	headers := udpHeaders6
	if a.Target.Addr().Is4() {
		headers = udpHeaders4
	}
	full := ethernetPacket - headers
	fullSize := echo.PacketSize{Request: full, Answer: full}
	whole := func(sent, received int64) {
		a.seen.Sent.Want, a.seen.Sent.Intact = sent, sent
		a.seen.Received.Want, a.seen.Received.Intact = received, received
	}
	if sent, received, ok := a.packet(ctx, fullSize); ok {
		whole(sent, received)
		if a.missing() > 0 {
			a.sampleSize(ctx, echo.SmallPacket)
		}
		return
	}
	for range sampleRounds {
		if s := a.sampleSize(ctx, fullSize); s.proof != nil {
			whole(s.proof.Sent, s.proof.Received)
			return
		}
		if small := a.tallyOf(echo.SmallPacket); small.tried < sampleSources*sampleEach {
			a.sampleSize(ctx, echo.SmallPacket)
		}
		if neverCrosses(a.tallyOf(echo.SmallPacket), a.tallyOf(fullSize)) {
			break
		}
	}
	if !neverCrosses(a.tallyOf(echo.SmallPacket), a.tallyOf(fullSize)) {
		return // most of all sizes is lost
	}
	search := func(t *result.Transfer, size func(n int64) echo.PacketSize) bool {
		h := narrow(ctx, int64(echo.SmallPacket.Request), int64(full)+1, func(sizes []int64, _ bool) []tally {
			tallies := make([]tally, len(sizes))
			var all sync.WaitGroup
			for i, n := range sizes {
				all.Go(func() {
					tallies[i] = a.samplePackets(ctx, size(n), searchSources, searchEach).all()
				})
			}
			all.Wait()
			return tallies
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
	ctx, cancel := context.WithTimeout(ctx, holeTimeout+leastRoundTrips*a.rtt())
	defer cancel()
	for !sock.IsOver(ctx) {
		d := sock.Dial(ctx, "udp", a.Source, a.Target)
		if d.Err != nil {
			return 0, 0, false
		}
		p, sent, received, n, err := echo.ProvePacket(ctx, d.Conn, a.ask(), size)
		d.Conn.Close()
		switch {
		case err == nil:
			a.count(size, n, 1)
			return sent, received, p.Instance.String() == a.seen.Instance
		case !sock.IsTooLarge(err):
			a.count(size, n, 0)
			return 0, 0, false
		}
	}
	return 0, 0, false
}
