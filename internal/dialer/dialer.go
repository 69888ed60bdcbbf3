// Package dialer attempts a path: it connects, proves, and moves a payload
// each way, and reports what it saw as evidence. It judges nothing. Both
// programs attempt paths with it: dial forward, listen when asked to dial back.
package dialer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/service"
	"dialtone/internal/sock"
)

// A Path is what to attempt.
type Path struct {
	Flow      string // id of the plan's row
	Transport plan.Transport
	Target    netip.AddrPort
	// Source is the address to dial from. No address leaves it to the routing
	// table, port 0 to the system.
	Source netip.AddrPort
	Probe  echo.ID
	// Speaks is the protocol of the row's service, "" if it has none that is
	// known: one whose server speaks first may greet before the proof arrives.
	Speaks plan.Protocol
	// Before are connections of the same path: further ones come from other source ports.
	Before []result.Connection
}

// Options are the same for all paths of a run.
type Options struct {
	Key     echo.Key
	Run     echo.ID
	Timeout time.Duration // of each step: connecting and proving together, then the payload in each direction
	Bytes   int64         // payload in each direction (TCP)
	Trace   bool          // find out where a TCP path stops that does not open
	// Own is this process's own listener, which proves nothing of a far end; zero:
	// it has none.
	Own echo.ID
	// ProofOnly leaves it at the proof of one connection: the far end is only
	// looked for.
	ProofOnly bool
	// Samples is how many connections a path that proves itself gets at least: a
	// device that fails half of them is missed by n with a chance of 2^-n.
	Samples int
	// RTT is how long a round trip took before; 0: not known.
	RTT time.Duration
	// Pace is how long to wait before each further connection.
	Pace time.Duration
	// OnProved is told when a path has proved itself: all that the attempt does after
	// that takes its time. nil: nobody is.
	OnProved func(result.Initiator)
}

// settle is how long to wait before an error that came at once is given a
// second chance: an ICMP error fails a connection at once even if its cause has
// passed.
const settle = 200 * time.Millisecond

// beginTwin is how long the first connection may stay without an answer before
// the second begins beside it.
const beginTwin = 500 * time.Millisecond

// Attempt attempts a path by one connection as an ordinary program draws it, and
// by a second one of the other parity; a path that proves itself is sampled by
// as many more as wanted. The Initiator holds all of them: it tells of the first
// that was proved, or of the first.
func Attempt(ctx context.Context, p Path, o Options) result.Initiator {
	a := newAttempt(p, o)
	start := sock.Now()
	if o.Trace && p.Transport == plan.TCP {
		a.late = traceLate(ctx, p, o.Timeout)
		defer a.late.end()
	}
	a = a.begin(ctx)
	a.seen.At, a.seen.ElapsedMS = result.TimeOf(start), result.Milliseconds(sock.Since(start))
	if (stopped(a.seen.Connect) || isUnproved(a.seen.Answer)) && !sock.IsOver(ctx) {
		a.seen.Trace = a.late.result()
	}
	return a.seen
}

// Longest is how long an attempt or a study takes at most where each step has
// so much time: connecting, two payloads and a second connection for the second
// of them, and a trace, the search for a size or further connections.
func Longest(step time.Duration) time.Duration { return 4*step + 25*time.Second }

// stopped reports whether a connection ended so that its path may show where.
func stopped(c result.ConnectOutcome) bool {
	return c == result.ConnectTimeout || c == result.ConnectRST || c == result.ConnectICMP
}

// isUnproved reports whether a connection opened and led to no proof, so that
// its path may show where it was opened.
func isUnproved(a result.AnswerOutcome) bool {
	return a == result.AnswerSilent || a == result.AnswerForeign || a == result.AnswerEchoed
}

// An attempt is one connection of a path, and what is known of the path by it.
type attempt struct {
	Path
	Options
	wanted   netip.AddrPort // Source as it was asked for
	draw     sock.Draw
	leftFrom atomic.Uint32 // its own source port, as soon as that is known
	proving  time.Duration // how long it took; 0: it is not
	late     *lateTrace    // nil: it is not traced
	seen     result.Initiator
	conn     net.Conn   // open as long as it is of use
	proof    *echo.Conn // on conn; nil over UDP, or if it was not proved
}

func newAttempt(p Path, o Options) *attempt {
	return &attempt{Path: p, Options: o, wanted: p.Source, seen: result.Initiator{
		Probe: p.Probe.String(), At: result.TimeOf(sock.Now()), Target: result.EndpointFrom(p.Target),
		WantedSource: int(p.Source.Port()),
	}, draw: sock.Draw{By: result.DrawnConnect}}
}

func (a *attempt) ask() echo.Ask { return a.Path.ask(a.Options, a.Probe) }

// ask is what an asking end tells of a connection of this path.
func (p Path) ask(o Options, probe echo.ID) echo.Ask {
	return echo.Ask{Key: o.Key, Run: o.Run, Probe: probe, Flow: p.Flow, Greeted: p.Speaks.Language().Greets, Own: o.Own}
}

// prove has the far end prove itself; nil: it did not.
func (a *attempt) prove(ctx context.Context, conn net.Conn) *echo.Conn {
	c, err := echo.Prove(ctx, conn, a.ask())
	if err != nil {
		a.noProof(conn, err)
		return nil
	}
	a.proved(c.Proof)
	if a.seen.Answer != result.AnswerKeyed {
		return nil
	}
	return c
}

// connect opens the connection from the wanted source port, or from any if
// that one cannot be had.
func (a *attempt) connect(ctx context.Context) net.Conn {
	s := &a.seen
	start := sock.Now()
	d := a.dial(ctx)
	if d.Err != nil && a.Source.Port() != 0 && sock.IsSourcePort(d.Err) {
		s.SourceError = d.Err.Error()
		a.Source = netip.AddrPortFrom(a.Source.Addr(), 0)
		d = a.dial(ctx)
	}
	s.ConnectMS = result.Milliseconds(sock.Since(start))
	if d.Source.IsValid() {
		s.Source = result.EndpointFrom(d.Source)
		a.leftFrom.Store(uint32(d.Source.Port()))
	}
	s.ICMP = d.ICMP
	s.Connect, s.ICMPUntold = sock.Classify(d.Err), d.ICMP == nil && sock.MayHideICMP(d.Err)
	if d.ICMP != nil {
		s.Connect = result.ConnectICMP
	}
	if stopped(s.Connect) {
		a.noteTTL()
	}
	if d.ICMP == nil && sock.IsReset(d.Err) {
		// The handshake was complete, and a RST overtook us (a RST to the SYN is
		// a refusal, another error).
		s.Connect, s.Answer = result.ConnectOpen, result.AnswerReset
	}
	s.Lacks = sock.LackOf(d.Err)
	if d.Err != nil {
		s.Error = d.Err.Error()
		return nil
	}
	a.late.hold()
	return d.Conn
}

// dial opens the connection from the port that was given, or draws one.
func (a *attempt) dial(ctx context.Context) sock.Dialed {
	if a.Source.Port() != 0 {
		return sock.Dial(ctx, string(a.Transport), a.Source, a.Target)
	}
	return sock.DialDrawn(ctx, string(a.Transport), a.Source.Addr(), a.Target, a.draw)
}

// noProof records what came back instead of a proof.
func (a *attempt) noProof(conn net.Conn, err error) {
	s := &a.seen
	s.Error = err.Error()
	var foreign *echo.ForeignError
	var own *echo.OwnError
	switch {
	case errors.As(err, &own):
		at := result.EndpointFrom(own.Origin)
		s.Answer, s.OwnOrigin = result.AnswerOwn, &at
	case errors.Is(err, echo.ErrWrongKey):
		s.Answer = result.AnswerWrongKey
	case errors.Is(err, echo.ErrForbidden):
		s.Answer = result.AnswerForbidden
	case errors.As(err, &foreign):
		s.Answer = result.AnswerForeign
		if foreign.Echoed {
			s.Answer = result.AnswerEchoed
		}
		told := foreign.Data
		if at := bytes.Index(told, []byte(result.ProxyHeaderWords)); at > 0 {
			told = told[at:] // what came before, such as a greeting, tells less
		}
		s.Reply, s.Software = quote(told), service.Software(foreign.Data)
	case sock.IsClosed(err):
		s.Answer = result.AnswerClosed
	case sock.IsReset(err):
		s.Answer = result.AnswerReset
	default:
		s.Answer = result.AnswerSilent
		s.ICMP = sock.ICMPOf(conn)
		a.noteTTL()
		if s.ICMP != nil {
			s.Answer = result.AnswerICMP
		} else if a.Transport == plan.UDP {
			a.noDatagram(sock.Classify(err))
		}
	}
}

// noteTTL records with how many hops to live this machine sent what did not get
// through, where that may be why.
func (a *attempt) noteTTL() {
	s := &a.seen
	if ttl := sock.TTLTowards(a.Target); result.IsFewHops(ttl) || s.ICMP != nil && s.ICMP.IsExceeded() {
		s.TTL = ttl
	}
}

// noDatagram records an error that a UDP socket reported without an ICMP
// message to show for it. A datagram has no connection to fail at: its sending
// did.
func (a *attempt) noDatagram(c result.ConnectOutcome) {
	switch c {
	case result.ConnectRST: // ICMP port unreachable, where the system tells no more
		a.seen.Answer = result.AnswerICMP
	case result.ConnectDenied, result.ConnectNoRoute:
		a.seen.Connect = c
	}
}

// quote renders the first bytes of an answer for a report.
func quote(b []byte) string {
	const most = 120
	q := strconv.QuoteToASCII(string(b[:min(len(b), most)]))
	if len(b) > most {
		q += fmt.Sprintf(" … (%d bytes)", len(b))
	}
	return q
}

func (a *attempt) proved(p echo.Proof) {
	s := &a.seen
	s.Answer = result.AnswerKeyed
	s.FarVersion = p.Version
	if p.Version != echo.Version {
		s.Answer = result.AnswerVersion
	}
	s.SeenAs, s.Origin = result.EndpointFrom(p.SeenAs), result.EndpointFrom(p.Origin)
	s.Instance, s.Software = p.Instance.String(), p.Software
	rtt := result.Milliseconds(p.RTT)
	s.RTTMS = &rtt
}
