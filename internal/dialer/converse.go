package dialer

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/service"
	"dialtone/internal/sock"
)

// A Conversation is what a service's own conversation needs beside its path.
type Conversation struct {
	Speaks plan.Protocol
	Host   string // name or address of the far end, for protocols that carry it
	// Token names the conversation to the far end's listener, which it has a
	// keyed answer to. The zero ID is for a far end that is not ours: it gets no
	// token made with the key.
	Token echo.ID
	// Fingerprint is the SHA-256 of the certificate of the far end's listener;
	// nil: not known.
	Fingerprint []byte
	// Rate is how fast a payload moved on this path, in kilobits per second, the
	// slower direction's; 0: not known. A document is no larger than the time for
	// it allows: a slow line is no fault.
	Rate float64
	// Public says that the certificate ought to be good for Host.
	Public bool
	// Path and Status are what the plan's row says of an HTTP service.
	Path   string
	Status []int
}

// Converse has a service's own conversation on a connection of its own.
func Converse(ctx context.Context, p Path, o Options, t Conversation) result.Conversation {
	c := converse(ctx, p, o, t)
	if p.Transport == plan.UDP && c.Outcome == result.ConversationSilent && t.Token != (echo.ID{}) && !stillProves(ctx, p, o) {
		c.Outcome, c.Error = result.ConversationNotHeld, "the listener does not answer the proof any more either"
	}
	return c
}

func converse(ctx context.Context, p Path, o Options, t Conversation) result.Conversation {
	asked := ctx
	opening, cancel := context.WithTimeout(ctx, o.Timeout+openRoundTrips*o.RTT)
	defer cancel()
	// The path's own source port, if it has one, may be busy still.
	one := result.Connection{Purpose: result.PurposeConversation, At: result.TimeOf(sock.Now()), Drawn: result.DrawnConnect, Reached: result.ReachedNothing}
	d := sock.DialDrawn(opening, string(p.Transport), p.Source.Addr(), p.Target, sock.Draw{By: result.DrawnConnect})
	took := sock.Since(one.At.Time)
	one.Source, one.ConnectMS = result.EndpointFrom(d.Source), result.Milliseconds(took)
	ctx, cancel = context.WithTimeout(ctx, o.conversing(t, d.Conn, took))
	defer cancel()
	var c result.Conversation
	switch {
	case d.Err != nil:
		c = result.Conversation{Speaks: t.Speaks, Outcome: result.ConversationNotHeld, Error: d.Err.Error()}
		one.Ended = d.Ended()
	case p.Transport == plan.UDP:
		c = service.AskPacket(ctx, d.Conn, t.Speaks, question(d.Conn, o, t))
	default:
		one.Reached = result.ReachedConnected
		q := question(d.Conn, o, t)
		var looks looks
		q.Again = again(asked, p, o, t, &looks)
		c = service.Ask(ctx, d.Conn, t.Speaks, q)
		c.Looks = looks.all
	}
	if d.Conn != nil {
		if p.Transport == plan.TCP {
			c.TCP = sock.TCPInfoOf(d.Conn)
		}
		d.Conn.Close()
		one.Ended = c.Ended()
	}
	if c.Outcome == result.ConversationCompleted {
		one.Reached = result.ReachedDone
	}
	one.ElapsedMS = result.Milliseconds(sock.Since(one.At.Time))
	c.Connection = &one
	return c
}

// stillProves reports whether a UDP path still proves itself: silence tells of
// the service only if it does.
func stillProves(ctx context.Context, p Path, o Options) bool {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout+leastRoundTrips*o.RTT)
	defer cancel()
	d := sock.Dial(ctx, string(p.Transport), netip.AddrPortFrom(p.Source.Addr(), 0), p.Target)
	if d.Err != nil {
		return false
	}
	defer d.Conn.Close()
	_, _, _, _, err := echo.ProvePacket(ctx, d.Conn, p.ask(o, echo.NewID()), echo.SmallPacket)
	return err == nil
}

// greetingTime is how much longer a far end may take that is not ours and speaks
// first, for its greeting. Our own listener greets at once.
func greetingTime(t Conversation) time.Duration {
	if t.Token != (echo.ID{}) {
		return 0
	}
	return t.Speaks.Language().Greeting
}

// usualSteps is how many steps a conversation may take that is like most.
const usualSteps = 2

// conversingTime is how long a conversation may take, beside its greeting.
func conversingTime(speaks plan.Protocol, timeout time.Duration) time.Duration {
	l := speaks.Language()
	return max(time.Duration(cmp.Or(l.Steps, usualSteps))*timeout, l.AtLeast)
}

// conversationTrips is how many round trips beside its steps' own time a conversation may
// take: those of TLS and of a language's turns, and slow start (RFC 5681).
const conversationTrips = 2 * openRoundTrips

// conversing is how long a conversation may take over a connection (nil: there is none)
// that took so long to open, its greeting as well.
func (o Options) conversing(t Conversation, conn net.Conn, opening time.Duration) time.Duration {
	trip := o.RTT
	if trip == 0 && conn != nil {
		trip = sock.TripOf(conn, opening)
	}
	return conversingTime(t.Speaks, o.Timeout) + greetingTime(t) + conversationTrips*trip
}

const (
	largestDocument  = 8 << 20
	smallestDocument = 64 << 10
	// documentTime is how long a document may take at the rate seen before: a
	// good part of the time in which one goes each way.
	documentTime = plan.BulkTime / 6
)

// documentSize returns how many bytes move in documentTime at a rate in
// kilobits per second, 0 (the service's own size) if that is enough for the
// largest or not known.
func documentSize(rate float64) int {
	size := int(rate * 1000 / 8 * documentTime.Seconds())
	if rate <= 0 || size >= largestDocument {
		return 0
	}
	return max(size, smallestDocument)
}

// question is what the asking side brings to a conversation.
func question(conn net.Conn, o Options, t Conversation) service.Question {
	q := service.Question{Host: t.Host, Fingerprint: t.Fingerprint, Public: t.Public, Path: t.Path, Status: t.Status, DataAddr: dataAddr(conn)}
	if t.Token != (echo.ID{}) {
		q.Token, q.Answer = o.Key.Token(t.Token), o.Key.TokenAnswer(t.Token)
		q.DocumentSize = documentSize(t.Rate)
		return q
	}
	if greetingTime(t) > 0 {
		q.AfterGreeting = conversingTime(t.Speaks, o.Timeout)
	}
	a, b := echo.NewID(), echo.NewID()
	copy(q.Token[:], a[:])
	copy(q.Token[len(a):], b[:])
	return q
}

// looks are the connections of second looks.
type looks struct {
	mu  sync.Mutex
	all []result.Connection
}

func (l *looks) add(c result.Connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, c)
}

// again opens a fresh connection of a path for a second look at real software. It
// has a step's time to open and one to be looked at.
func again(ctx context.Context, p Path, o Options, t Conversation, taken *looks) func(func(context.Context, net.Conn)) bool {
	if t.Token != (echo.ID{}) {
		return nil
	}
	return func(look func(context.Context, net.Conn)) bool {
		opening, cancel := context.WithTimeout(ctx, o.Timeout)
		defer cancel()
		one := result.Connection{Purpose: result.PurposeLook, At: result.TimeOf(sock.Now()), Drawn: result.DrawnConnect, Reached: result.ReachedNothing}
		d := sock.DialDrawn(opening, string(p.Transport), p.Source.Addr(), p.Target, sock.Draw{By: result.DrawnConnect})
		one.Source, one.ConnectMS = result.EndpointFrom(d.Source), result.Milliseconds(sock.Since(one.At.Time))
		defer func() {
			one.ElapsedMS = result.Milliseconds(sock.Since(one.At.Time))
			taken.add(one)
		}()
		if d.Err != nil {
			one.Ended = d.Ended()
			return false
		}
		defer d.Conn.Close()
		one.Reached, one.Ended = result.ReachedConnected, result.EndedUnknown
		looking, cancel := context.WithTimeout(ctx, o.Timeout+conversationTrips*sock.TripOf(d.Conn, sock.Since(one.At.Time)))
		defer cancel()
		look(looking, d.Conn)
		return true
	}
}

// dataAddr is where FTP's active mode accepts: at the address that the control
// connection comes from.
func dataAddr(c net.Conn) netip.Addr { return sock.AddrPortOf(c.LocalAddr()).Addr() }
