package dialer

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

const (
	// openTimeout bounds the opening of a further connection, beside the first:
	// where a device limits how many there may be, waiting longer would keep
	// other paths out.
	openTimeout    = 2 * time.Second
	openRoundTrips = 8
	// MinSamples is how many connections any path gets that proves itself: one of
	// each parity.
	MinSamples = 2
	// sampleBytes is the payload of a further connection, each way: several full
	// packets, so that a member of a group that loses large ones shows.
	sampleBytes = 4 << 10
	// quietSamples is how many of them in a row may stay silent before no more are
	// tried: something else than chance is at work then.
	quietSamples = 2
)

// begin opens the path's first connections and goes on with the one that proves
// itself. It returns the attempt that tells of the path, with all connections.
func (a *attempt) begin(ctx context.Context) *attempt {
	first, second := a.race(ctx)
	defer first.drop()
	told := first
	if second != nil {
		defer second.drop()
		if tells(second) > tells(first) {
			told, second.late = second, a.late
		}
		if first.seen.Answer != result.AnswerKeyed {
			told.seen.Attempts = first.seen.Attempts + second.seen.Attempts
		}
	}
	if told.seen.Answer == result.AnswerKeyed && !a.ProofOnly {
		if a.OnProved != nil {
			a.OnProved(told.seen)
		}
		told.goOn(ctx, first, second)
	} else {
		told.list(first, second)
	}
	return told
}

// race opens the first connection, and the second once the first was not proved
// within beginTwin. second is nil if the first was, or if one has to do.
func (a *attempt) race(ctx context.Context) (first, second *attempt) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.open(ctx, a.Timeout)
	}()
	select {
	case <-ended:
		if a.ProofOnly && a.seen.ICMP == nil || isWord(a.seen.Answer) || a.wanted.Port() != 0 && a.seen.ICMP == nil || !sock.Wait(ctx, settle) {
			return a, nil
		}
	case <-time.After(min(beginTwin, a.Timeout/4)):
		if a.ProofOnly || a.wanted.Port() != 0 {
			<-ended
			return a, nil
		}
	}
	twin := a.further(a.Options)
	twin.draw, twin.Source = a.drawTwin(), a.wanted
	twin.open(ctx, a.Timeout)
	<-ended
	return a, twin
}

// drawTwin is how the source port of the second connection is drawn. That of the first
// is not known while it waits for its answer.
func (a *attempt) drawTwin() sock.Draw {
	port := uint16(a.leftFrom.Load())
	d := sock.Draw{By: result.DrawnBind, Beside: port, Far: port}
	for _, c := range a.Before {
		if c.Drawn == result.DrawnBind {
			d.Far = c.Source.Port()
		}
	}
	return d
}

// isWord reports whether an answer is a listener's own word, which another
// connection would only repeat.
func isWord(o result.AnswerOutcome) bool {
	switch o {
	case result.AnswerKeyed, result.AnswerVersion, result.AnswerWrongKey, result.AnswerForbidden, result.AnswerOwn:
		return true
	}
	return false
}

// tells ranks what an attempt saw: a proof, then bytes or the end of a connection, then
// an error in their place, then silence, then what this machine could not do.
func tells(a *attempt) int {
	s := &a.seen
	switch {
	case s.Answer == result.AnswerKeyed:
		return 6
	case s.Connect == result.ConnectOpen && s.Answer != result.AnswerSilent && s.Answer != result.AnswerICMP:
		return 5
	case s.Connect == result.ConnectOpen && s.Answer != result.AnswerSilent:
		return 4
	case s.Connect == result.ConnectOpen:
		return 3
	case s.Connect == result.ConnectRST, s.Connect == result.ConnectICMP:
		return 2
	case s.Connect == result.ConnectTimeout:
		return 1
	}
	return 0
}

// goOn moves the payload over a proved connection, and proves the path again by
// others: a load balancer, a limit on connections or a rule that counts may let
// one through and not the next.
func (a *attempt) goOn(ctx context.Context, first, second *attempt) {
	var sized bool // the payload passed, or packets of full size did
	if a.Transport == plan.TCP {
		a.payload(ctx, a.conn, a.proof)
		sized = isWhole(a.seen.Sent) && isWhole(a.seen.Received)
	}
	a.seen.ElapsedMS = result.Milliseconds(sock.Since(a.seen.At.Time))
	a.list(first, second)
	if a.Source.Port() != 0 {
		return // it is busy with the first connection, and from another port other rules may hold
	}
	if second == nil {
		second = a.sample(ctx, a, sized || a.Transport == plan.UDP)
		defer second.drop()
		a.list(second)
		if n := len(a.seen.Connections); second.seen.Sent != nil && second.seen.Sent.Want == a.Bytes && a.seen.Connections[n-1].IsPassed() {
			a.seen.Connections[n-2].Ended = payloadEnded(a.seen.Sent, a.seen.Received) // the whole payload passes elsewhere: the two can be compared
		}
	}
	if sized && second.proof != nil && first.conn != nil && a.isSame(second) && first.proof != nil {
		a.relay(ctx, first.conn, first.proof, second.proof)
	}
	a.drop()
	second.drop()
	quiet := 0
	for len(a.seen.Connections) < max(a.Samples, MinSamples) && quiet < quietSamples && !sock.IsOver(ctx) {
		last := a.seen.Connections[len(a.seen.Connections)-1]
		if quiet = quiet + 1; last.Ended != result.EndedSilent {
			quiet = 0
		}
		a.list(a.sampleMore(ctx, max(a.Samples, MinSamples)-len(a.seen.Connections))...)
	}
	isElsewhere := func(c result.Connection) bool { return c.Ended == result.EndedElsewhere }
	if a.Transport == plan.UDP && !slices.ContainsFunc(a.seen.Connections, isElsewhere) {
		a.fullPackets(ctx) // of one listener: sizes tell nothing of several
	}
}

// atOnceStudying is how many connections of a study are opened side by side: those
// that fail take their time.
const atOnceStudying = 2

// reuseAfter is how long a source port is left alone, beside two round trips, before
// a connection to the same port leaves from it again: what the network doubled or held
// back of the last one would end the next at the devices between.
const reuseAfter = 500 * time.Millisecond

// Study opens further connections of a path, two at a time: first from the source
// ports given, then n with fresh ones that differ in parity from one pair to the
// next. Those that lead to another listener than the path's attempt did, if that is
// known, name it.
func Study(ctx context.Context, p Path, o Options, known *result.Initiator, ports []int, n int) []result.Connection {
	a := newAttempt(p, o)
	a.seen.Instance, a.seen.Origin = known.Instance, known.Origin
	var all []*attempt
	for _, port := range ports {
		f := a.further(o)
		f.Source, f.wanted = netip.AddrPortFrom(p.Source.Addr(), uint16(port)), netip.AddrPortFrom(p.Source.Addr(), uint16(port))
		all = append(all, f)
	}
	for i := range n {
		f := a.further(o)
		f.draw.Nth = i
		if i/atOnceStudying%2 == 1 {
			f.draw.By = result.DrawnBind
		}
		all = append(all, f)
	}
	left := map[uint16]time.Time{} // when a source port's last connection was over
	for _, c := range known.Connections {
		left[c.Source.Port()] = c.Over()
	}
	var last uint16 // port of the pair before, where its parity decides
	for pair := range slices.Chunk(all, atOnceStudying) {
		if sock.IsOver(ctx) {
			break
		}
		for _, f := range pair {
			if at, ok := left[f.Source.Port()]; ok {
				sock.Wait(ctx, reuseAfter+2*o.RTT-sock.Since(at))
			}
		}
		var both sync.WaitGroup
		for _, f := range pair {
			f.draw.Beside = last
			both.Go(func() {
				f.once(ctx, o.further(o.RTT, known.Connections), sampleBytes)
				f.drop()
			})
		}
		both.Wait()
		last = pair[0].seen.Source.Port()
		for _, f := range pair {
			left[f.seen.Source.Port()] = sock.Now()
			if f.seen.SourceError == "" { // else it left from another port than it was to
				a.list(f)
			}
		}
	}
	for i := range a.seen.Connections {
		a.seen.Connections[i].Purpose = result.PurposeStudy
	}
	return a.seen.Connections
}

// further is how long a further connection may take to be proved, and then to move its
// payload, where a round trip takes so long. A long way is no fault, nor is a device that
// holds back each connection's handshake or first data, as it did those before.
func (o Options) further(rtt time.Duration, before []result.Connection) time.Duration {
	return min(o.Timeout, openTimeout+quickest(before)) + openRoundTrips*rtt
}

// quickest is how long the proof took that came soonest, 0 if none did. Loss of packets
// makes some late, and hardly ever all.
func quickest(list []result.Connection) time.Duration {
	least := 0.0
	for _, c := range list {
		if c.ProvedMS > 0 && (least == 0 || c.ProvedMS < least) {
			least = c.ProvedMS
		}
	}
	return time.Duration(least * float64(time.Millisecond))
}

// rtt is how long a round trip took, 0 if that is not known.
func (a *attempt) rtt() time.Duration {
	return time.Duration(a.seen.RoundTripMS() * float64(time.Millisecond))
}

// connectTime is how long its handshake took.
func (a *attempt) connectTime() time.Duration {
	return time.Duration(a.seen.ConnectMS * float64(time.Millisecond))
}

// sample opens one more connection, of the other parity than the last. Unless a
// little payload is enough, it moves the whole.
func (a *attempt) sample(ctx context.Context, of *attempt, little bool) *attempt {
	f := a.next(a.seen.Connections[len(a.seen.Connections)-1], 0)
	if little {
		f.once(ctx, a.Options.further(of.rtt(), a.seen.Connections), sampleBytes)
	} else {
		f.once(ctx, a.Timeout, a.Bytes)
	}
	return f
}

// once opens a further connection and moves n bytes each way over it.
func (a *attempt) once(ctx context.Context, timeout time.Duration, n int64) {
	sock.Wait(ctx, a.Pace)
	a.open(ctx, timeout)
	if a.proof == nil {
		return
	}
	moving, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	sent := a.proof.Send(moving, n)
	a.seen.Sent = &sent
	if sent.Outcome == result.TransferIntact {
		received := a.proof.Receive(moving, n)
		a.seen.Received = &received
	}
	if sock.IsOver(ctx) && payloadEnded(a.seen.Sent, a.seen.Received) == result.EndedSilent {
		a.seen.NotTried = "interrupted"
	}
	a.seen.ElapsedMS = result.Milliseconds(sock.Since(a.seen.At.Time))
}

// LongTrip is from what round trip on what can be done side by side is, as further
// samples are: one after the other takes as long as people do not wait.
const LongTrip = 250 * time.Millisecond

// samplesBeside is how many samples are opened side by side, one of either parity: as
// many as the first two connections were.
const samplesBeside = 2

// sampleMore opens the next samples, or over a long way all n that are wanted,
// alternately of either parity.
func (a *attempt) sampleMore(ctx context.Context, n int) []*attempt {
	switch {
	case a.Pace > 0:
		n = 1
	case a.rtt() < LongTrip:
		n = min(n, samplesBeside)
	}
	more := make([]*attempt, n)
	last := a.seen.Connections[len(a.seen.Connections)-1]
	patience := a.Options.further(a.rtt(), a.seen.Connections)
	var all sync.WaitGroup
	for i := range more {
		f := a.next(last, i)
		more[i], last.Drawn = f, f.draw.By
		all.Go(func() {
			f.once(ctx, patience, sampleBytes)
			f.drop()
		})
	}
	all.Wait()
	return more
}

// next is a further connection of the other parity than the last. So many more than
// are known are opened before it.
func (a *attempt) next(last result.Connection, more int) *attempt {
	f := a.further(a.Options)
	f.draw.Beside = last.Source.Port() ^ uint16(more%2)   // what is opened before it has the other parity
	f.draw.Nth = (len(a.seen.Connections) + more - 1) / 2 // every other one is drawn by connect
	f.draw.Far = a.seen.Connections[min(f.draw.Nth, 1)].Source.Port()
	if last.Drawn == result.DrawnConnect {
		f.draw.By = result.DrawnBind
	}
	return f
}

// isSame reports whether another connection's proof is of the same listener and
// port.
func (a *attempt) isSame(f *attempt) bool {
	return f.seen.Instance == a.seen.Instance && f.seen.Origin.Port() == a.seen.Origin.Port()
}

// further is one more connection of the same path, with a probe of its own.
func (a *attempt) further(o Options) *attempt {
	p := a.Path
	p.Probe, p.Source = echo.NewID(), netip.AddrPortFrom(a.Source.Addr(), 0)
	return newAttempt(p, o)
}

// open connects and proves, and leaves the connection open if it was proved.
func (a *attempt) open(run context.Context, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(run, timeout)
	defer cancel()
	a.seen.At = result.TimeOf(sock.Now())
	defer func() {
		a.seen.ElapsedMS = result.Milliseconds(sock.Since(a.seen.At.Time))
		if run.Err() != nil && a.seen.Answer != result.AnswerKeyed {
			a.seen.NotTried = "interrupted"
		}
	}()
	a.seen.Attempts++
	a.conn = a.connect(ctx)
	switch {
	case a.conn == nil:
	case a.Transport == plan.UDP:
		a.provePacket(ctx, a.conn)
	default:
		answering, cancel := sock.AfterHandshake(run, ctx, a.connectTime())
		defer cancel()
		a.proof = a.prove(answering, a.conn)
	}
	if a.seen.Answer == result.AnswerKeyed {
		a.proving = sock.Since(a.seen.At.Time)
	}
}

// drop closes the connection. What was proved leaves no TIME_WAIT behind, so
// that its source port can be tried again.
func (a *attempt) drop() {
	if a.conn != nil {
		abort(a.conn)
		a.conn = nil
	}
}

// list adds connections to those of the path.
func (a *attempt) list(of ...*attempt) {
	of = slices.DeleteFunc(slices.Clone(of), func(f *attempt) bool { return f == nil })
	all := make([]result.Connection, len(of))
	for i, f := range of {
		all[i] = f.connection()
	}
	for i, f := range of {
		c := all[i]
		if f != a {
			a.merge(f.seen.Datagrams)
		}
		if f != a && a.seen.Instance != "" && f.seen.Answer == result.AnswerKeyed && !a.isSame(f) {
			c.Ended, c.Origin, c.Instance = result.EndedElsewhere, f.seen.Origin, f.seen.Instance
		}
		if f == a || len(a.seen.Connections) == 0 {
			c.Purpose = result.PurposeProof
		}
		a.seen.Connections = append(a.seen.Connections, c)
		if f.seen.Lacks != "" {
			a.seen.Lacks = f.seen.Lacks // fewer connections than meant say as much of the path
		}
	}
}

// connection is what an attempt amounts to as one connection of its path.
func (a *attempt) connection() result.Connection {
	s := &a.seen
	c := result.Connection{
		Purpose: result.PurposeSample, At: s.At, ElapsedMS: s.ElapsedMS, Source: s.Source, Drawn: a.draw.By,
		ConnectMS: s.ConnectMS, ProvedMS: result.Milliseconds(a.proving), Reached: result.ReachedNothing, Ended: result.EndedUnknown,
	}
	if a.Source.Port() != 0 {
		c.Drawn = ""
	}
	for _, d := range s.Datagrams {
		c.Sent, c.Lost = c.Sent+d.Sent, c.Lost+d.Sent-d.Answered
	}
	if s.Connect == result.ConnectOpen && a.Transport == plan.TCP {
		c.Reached = result.ReachedConnected
	}
	switch {
	case s.NotTried != "": // interrupted: it tells nothing
	case s.Connect != result.ConnectOpen:
		c.Ended = s.Connect.Ended()
	case s.Answer == result.AnswerKeyed:
		c.Reached, c.Ended = result.ReachedProved, ended(s.Sent, s.Received)
		if c.Ended == result.EndedWell && (a.Transport == plan.UDP || s.Sent != nil && s.Received != nil) {
			c.Reached = result.ReachedDone // over TCP a proof alone fills no packet
		}
	default:
		c.Ended = unproved[s.Answer]
	}
	return c
}

// unproved says how a connection ended on which no proof came. A listener that
// refuses says so: that tells nothing of the path.
var unproved = map[result.AnswerOutcome]result.Ended{
	result.AnswerWrongKey: result.EndedUnknown, result.AnswerForbidden: result.EndedUnknown, result.AnswerVersion: result.EndedUnknown,
	result.AnswerForeign: result.EndedForeign, result.AnswerEchoed: result.EndedForeign, result.AnswerOwn: result.EndedForeign,
	result.AnswerClosed: result.EndedClosed, result.AnswerReset: result.EndedReset,
	result.AnswerSilent: result.EndedSilent, result.AnswerICMP: result.EndedICMP,
}

// ended says how a proved connection ended by what became of its payload. One
// that carried more than a sample does cannot be held against samples.
func ended(transfers ...*result.Transfer) result.Ended {
	e := payloadEnded(transfers...)
	if e != result.EndedWell && slices.ContainsFunc(transfers, func(t *result.Transfer) bool { return t != nil && t.Want > sampleBytes }) {
		return result.EndedCut
	}
	return e
}

// payloadEnded says how a payload ended; none ended well.
func payloadEnded(transfers ...*result.Transfer) result.Ended {
	for _, t := range transfers {
		if t == nil {
			continue
		}
		switch t.Outcome {
		case result.TransferIntact:
		case result.TransferReset:
			return result.EndedReset
		case result.TransferClosed:
			return result.EndedClosed
		case result.TransferCorrupted:
			return result.EndedForeign
		default:
			return result.EndedSilent
		}
	}
	return result.EndedWell
}
