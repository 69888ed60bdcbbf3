// Package dialer attempts a path: it connects, proves, and moves a payload
// each way, and reports what it saw as evidence. It judges nothing. Both
// programs attempt paths with it: dial forward, listen when asked to dial back.
package dialer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
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
}

// Options are the same for all paths of a run.
type Options struct {
	Key     echo.Key
	Run     echo.ID
	Timeout time.Duration // of each step: connecting and proving together, then the payload in each direction
	Bytes   int64         // payload in each direction (TCP)
	Trace   bool          // find out where a TCP path stops that does not open
	// ProofOnly leaves it at the proof: the far end is only looked for.
	ProofOnly bool
}

// settle is how long to wait before an ICMP error is given a second chance.
const settle = 200 * time.Millisecond

// Attempt attempts a path once, or twice if an ICMP error ended the first: such
// an error fails a connection at once even if its cause has passed.
func Attempt(ctx context.Context, p Path, o Options) result.Initiator {
	a := newAttempt(p, o)
	start := time.Now()
	stepCtx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if o.Trace && p.Transport == plan.TCP {
		a.late = traceLate(ctx, p, o.Timeout)
		defer a.late.end()
	}
	a.once(ctx, stepCtx)
	if first := a.seen; first.ICMP != nil && pause(stepCtx, settle) {
		a.once(ctx, stepCtx)
		if a.seen.ICMP == nil && (a.seen.Connect == result.ConnectTimeout || a.seen.Answer == result.AnswerSilent) {
			// Silence now does not take back what was said: devices limit how
			// often they send such errors (RFC 1812 section 4.3.2.8).
			n := a.seen.Attempts
			a.seen = first
			a.seen.Attempts = n
		}
	}
	if ctx.Err() != nil && a.seen.Answer != result.AnswerKeyed {
		a.seen.NotTried = "interrupted"
	}
	a.seen.ElapsedMS = result.Milliseconds(time.Since(start))
	if (stopped(a.seen.Connect) || isUnproved(a.seen.Answer)) && ctx.Err() == nil {
		a.seen.Trace = a.late.result()
	}
	return a.seen
}

// stopped reports whether a connection ended so that its path may show where.
func stopped(c result.ConnectOutcome) bool {
	return c == result.ConnectTimeout || c == result.ConnectRST || c == result.ConnectICMP
}

// isUnproved reports whether a connection opened and led to no proof, so that
// its path may show where it was opened.
func isUnproved(a result.AnswerOutcome) bool {
	return a == result.AnswerSilent || a == result.AnswerForeign || a == result.AnswerEchoed
}

func pause(ctx context.Context, d time.Duration) bool {
	if t, ok := ctx.Deadline(); ok && time.Until(t) < 2*d {
		return false // no time left for another attempt
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

type attempt struct {
	Path
	Options
	late *lateTrace // nil: it is not traced
	seen result.Initiator
}

func newAttempt(p Path, o Options) *attempt {
	return &attempt{Path: p, Options: o, seen: result.Initiator{
		Probe: p.Probe.String(), At: time.Now().UTC(), Target: result.EndpointFrom(p.Target),
		WantedSource: int(p.Source.Port()),
	}}
}

func (a *attempt) ask() echo.Ask {
	return echo.Ask{Key: a.Key, Run: a.Run, Probe: a.Probe, Flow: a.Flow}
}

// once connects, proves and moves the payload. The payload's time starts when
// the proof stands, so ctx bounds it and step does not.
func (a *attempt) once(ctx, step context.Context) {
	s := &a.seen
	s.Attempts++
	s.ICMP, s.Error, s.Answer = nil, "", ""
	conn := a.connect(step)
	if conn == nil {
		return
	}
	defer conn.Close()
	if a.Transport == plan.UDP {
		a.provePacket(ctx, step, conn)
		return
	}
	c := a.prove(step, conn)
	if c == nil || a.ProofOnly {
		return
	}
	a.payload(ctx, conn, c)
	if isWhole(a.seen.Sent) && isWhole(a.seen.Received) {
		a.again(ctx, conn, c)
	}
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
	start := time.Now()
	d := sock.Dial(ctx, string(a.Transport), a.Source, a.Target)
	if d.Err != nil && a.Source.Port() != 0 && sock.IsSourcePort(d.Err) {
		s.SourceError = d.Err.Error()
		a.Source = netip.AddrPortFrom(a.Source.Addr(), 0)
		d = sock.Dial(ctx, string(a.Transport), a.Source, a.Target)
	}
	s.ConnectMS = result.Milliseconds(time.Since(start))
	if d.Source.IsValid() {
		s.Source = result.EndpointFrom(d.Source)
	}
	s.ICMP = d.ICMP
	s.Connect = sock.Classify(d.Err)
	if d.ICMP != nil {
		s.Connect = result.ConnectICMP
	}
	if d.ICMP == nil && sock.IsReset(d.Err) {
		// The handshake was complete, and a RST overtook us (a RST to the SYN is
		// a refusal, another error).
		s.Connect, s.Answer = result.ConnectOpen, result.AnswerReset
	}
	if d.Err != nil {
		s.Error = d.Err.Error()
		return nil
	}
	a.late.hold()
	return d.Conn
}

// noProof records what came back instead of a proof.
func (a *attempt) noProof(conn net.Conn, err error) {
	s := &a.seen
	s.Error = err.Error()
	var foreign *echo.ForeignError
	switch {
	case errors.Is(err, echo.ErrWrongKey):
		s.Answer = result.AnswerWrongKey
	case errors.Is(err, echo.ErrForbidden):
		s.Answer = result.AnswerForbidden
	case errors.As(err, &foreign):
		s.Answer = result.AnswerForeign
		if foreign.Echoed {
			s.Answer = result.AnswerEchoed
		}
		s.Reply, s.Software = quote(foreign.Data), service.Software(foreign.Data)
	case sock.IsClosed(err):
		s.Answer = result.AnswerClosed
	case sock.IsReset(err):
		s.Answer = result.AnswerReset
	default:
		s.Answer = result.AnswerSilent
		if s.ICMP = sock.ICMPOf(conn); s.ICMP != nil {
			s.Answer = result.AnswerICMP
		} else if a.Transport == plan.UDP {
			a.noDatagram(sock.Classify(err))
		}
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
