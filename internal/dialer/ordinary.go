package dialer

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/service"
	"dialtone/internal/sock"
)

// A Look asks the accepting end what its kernel knows of an ordinary connection that
// this end has open from source; false: it could not be asked. An invalid source says
// that it is about to be opened.
type Look func(ctx context.Context, source result.Endpoint) (result.Acceptor, bool)

// maxOrdinaries bounds how many ordinary connections a path gets, one after the other,
// from source ports of both parities in turn: somebody else's software is not to be
// tried more, and a device that fails half of them is missed by so many once in 64
// runs.
const maxOrdinaries = 6

const (
	// looksAfter are the waits between looks until what is expected is there.
	looksAfter = 5
	lookPause  = 120 * time.Millisecond
	// ordinarySteps is how many times as long as one step a beginning may take, beside the
	// greeting.
	ordinarySteps = 2
	// mutePatience is how long software that says nothing is given to hang up.
	mutePatience = 300 * time.Millisecond
	// goodbye is how long the far end is given to close, too, so that nothing is left
	// unread for which the system would send a RST.
	goodbye = time.Second
)

// Unseeing is a Look of an end that is watched by the other by itself, and gives that
// the time to see the connection.
func Unseeing(ctx context.Context, source result.Endpoint) (result.Acceptor, bool) {
	if source.IsValid() {
		sock.Wait(ctx, SeenWithin)
	}
	return result.Acceptor{Saw: result.SawUnknown}, true
}

// SeenWithin is for how long an ordinary connection stays as it is before something is
// sent on it, and once an answer to that has come.
const SeenWithin = 250 * time.Millisecond

// Ordinary makes ordinary connections to a port that live software holds, and asks the
// accepting end about each while it is open. The service's own harmless beginning goes
// over it where one is known; where none is, nothing does, or with line one empty line.
// They are as many as o.Samples, but no more than six. Never a byte of the proof. It tells of the first that failed, or else of the first
// that did what it was for; what looked says is nil where the other end could not be
// asked. What Again would open, t may not ask for.
func Ordinary(ctx context.Context, p Path, o Options, t Conversation, line bool, look Look) (result.Initiator, *result.Acceptor) {
	t.Token = echo.ID{} // whoever it is has no key
	start := sock.Now()
	wanted := max(MinSamples, min(o.Samples, maxOrdinaries))
	m := ordinaries{Path: p, Options: o, conversation: t, line: line, look: look}
	for len(m.all) < wanted && m.one(ctx) {
		if sock.Since(start) > ordinarySteps*o.Timeout {
			break // more of what stalls takes as long again, and tells no more
		}
	}
	s := &m.told.seen
	s.At, s.ElapsedMS = result.TimeOf(start), result.Milliseconds(sock.Since(start))
	if o.Trace && stopped(s.Connect) && !sock.IsOver(ctx) {
		trace := Trace(ctx, p.Source.Addr(), p.Target)
		if s.Trace = trace; trace.Opened() && !slices.ContainsFunc(m.all, func(c result.Connection) bool { return c.Reached != result.ReachedNothing }) {
			// Some connections do open, so that more of them tell more.
			m.Timeout = o.further(0, m.all)
			for len(m.all) < wanted && m.one(ctx) {
			}
			s = &m.told.seen
			s.Trace = trace
		}
	}
	s.At, s.ElapsedMS, s.Connections = result.TimeOf(start), max(s.ElapsedMS, overAfter(start, m.all)), m.all
	if sock.IsOver(ctx) {
		s.NotTried = "interrupted"
	}
	return *s, m.told.there
}

// overAfter is how long after a moment the last of connections was over, in
// milliseconds.
func overAfter(start time.Time, all []result.Connection) float64 {
	var last time.Duration
	for i := range all {
		last = max(last, all[i].Over().Sub(start))
	}
	return result.Milliseconds(last)
}

// ordinaries are ordinary connections of one path, made one after the other.
type ordinaries struct {
	Path
	Options
	conversation Conversation
	line         bool
	look         Look
	all          []result.Connection
	told         *ordinary // the one that tells of the path; nil: there is none yet
}

// one makes one more, and reports whether there is time for another.
func (m *ordinaries) one(ctx context.Context) bool {
	c := &ordinary{attempt: newAttempt(m.Path, m.Options), conversation: m.conversation, line: m.line, look: m.look}
	if n := len(m.all); n > 0 {
		if !sock.Wait(ctx, m.Pace) {
			return false
		}
		c.draw = sock.Draw{By: result.DrawnBind, Beside: m.all[n-1].Source.Port(), Nth: n - 1, Far: m.all[min(n-1, 1)].Source.Port()}
	}
	c.run(ctx)
	m.all = append(m.all, c.one)
	if m.told == nil || c.one.IsFailed() && !m.told.one.IsFailed() || c.one.IsPassed() && m.told.one.Ended == result.EndedUnknown {
		m.told = c
	}
	return !sock.IsOver(ctx)
}

// An ordinary is one ordinary connection.
type ordinary struct {
	*attempt
	conversation Conversation
	line         bool
	look         Look
	one          result.Connection
	there        *result.Acceptor // nil: it could not be asked
}

func (c *ordinary) run(ctx context.Context) {
	s := &c.seen
	s.Attempts, s.Ordinary = 1, &result.Ordinary{Line: c.line}
	c.one = result.Connection{Purpose: result.PurposeOrdinary, At: result.TimeOf(sock.Now()), Drawn: c.draw.By, Reached: result.ReachedNothing}
	if _, ok := c.look(ctx, result.Endpoint{}); !ok {
		c.look = func(context.Context, result.Endpoint) (result.Acceptor, bool) { return result.Acceptor{}, false }
	}
	opening, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	conn := c.connect(opening)
	c.one.Source, c.one.ConnectMS = s.Source, s.ConnectMS
	defer func() { c.one.ElapsedMS = result.Milliseconds(sock.Since(c.one.At.Time)) }()
	if conn == nil {
		switch {
		case s.ICMP != nil:
			c.one.Ended = result.EndedICMP
		case s.Answer == result.AnswerReset:
			c.one.Reached, c.one.Ended = result.ReachedConnected, result.EndedReset
		default:
			c.one.Ended = s.Connect.Ended()
		}
		return
	}
	defer leave(conn)
	c.one.Reached = result.ReachedConnected
	c.ask(ctx, func(a result.Acceptor) bool { return a.Saw == result.SawAccepted })
	c.say(ctx, conn)
	if c.there != nil && c.there.Saw == result.SawAccepted && s.Answer == result.AnswerClosed {
		// Whose FIN it was shows in who still has the connection.
		if a, ok := c.look(ctx, s.Source); ok {
			c.there.Lasts = a.Saw == result.SawAccepted && a.Lasts
		}
	}
	if c.there != nil && c.there.Saw == result.SawNothing && (s.Answer == result.AnswerReset || s.Answer == result.AnswerClosed) {
		c.there.Saw, c.there.Reason = result.SawUnknown, "the connection may have been over when it was looked for"
	}
	c.one.Answer, c.one.Ordinary = s.Answer, s.Ordinary
	EndOrdinary(&c.one, c.there)
}

// ask looks until the accepting end sees what is expected, or does not come to. What
// is no better than an earlier look, as of a connection that was closed there since,
// does not take its place.
func (c *ordinary) ask(ctx context.Context, is func(result.Acceptor) bool) {
	for n := range looksAfter {
		if n > 0 && !sock.Wait(ctx, lookPause) {
			return
		}
		a, ok := c.look(ctx, c.seen.Source)
		if !ok && c.there != nil {
			c.there.Saw, c.there.Counted, c.there.Reason = result.SawUnknown, nil, "it could not be asked again"
		}
		if !ok {
			return
		}
		if c.there != nil && c.there.Saw == result.SawAccepted && (a.Saw == result.SawUnknown || a.Saw == result.SawNothing) {
			c.there.Counted = nil // of what was sent since nothing is known
			return
		}
		c.there = &a
		if is(a) || a.Saw == result.SawUnknown {
			return
		}
	}
}

// say has what conversation there is to be had.
func (c *ordinary) say(ctx context.Context, conn net.Conn) {
	// It is counted even if the conversation's own time is over.
	tap := &tapConn{Conn: conn}
	tap.answered = func() { c.count(ctx, tap) }
	s := &c.seen
	if l := c.conversation.Speaks.Language(); l.Quiet || !service.Knows(c.conversation.Speaks, plan.TCP) {
		c.beQuiet(ctx, tap)
		return
	}
	q := question(conn, c.Options, c.conversation)
	q.Stay = true
	said := ordinarySteps*c.Timeout + conversationTrips*sock.TripOf(conn, c.connectTime())
	if greetingTime(c.conversation) > 0 {
		q.AfterGreeting = said
	}
	limit, cancel := context.WithTimeout(ctx, said+greetingTime(c.conversation))
	defer cancel()
	t := service.Ask(limit, tap, c.conversation.Speaks, q)
	s.Conversation, s.Software, s.Error = &t, t.Software, t.Error
	s.Answer = answerOf(t.Outcome)
	if !tap.isAnswered.Load() {
		c.count(ctx, tap)
	}
}

// answerOf is what came back on a connection by how a conversation on it ended.
func answerOf(o result.ConversationOutcome) result.AnswerOutcome {
	switch o {
	case result.ConversationCompleted, result.ConversationRefused, result.ConversationForeign, result.ConversationUnread:
		return result.AnswerForeign
	case result.ConversationClosed:
		return result.AnswerClosed
	case result.ConversationReset:
		return result.AnswerReset
	}
	return result.AnswerSilent
}

// beQuiet says nothing, or one empty line, to software of whose habits nothing is
// known, and waits a moment for what it does.
func (c *ordinary) beQuiet(ctx context.Context, tap *tapConn) {
	s := &c.seen
	s.Answer = result.AnswerSilent
	reset := false
	if c.line {
		tap.answered = func() {} // an answer may come, and is not waited for
		if _, err := io.WriteString(tap, "\r\n"); err != nil {
			s.Error, reset = err.Error(), sock.IsReset(err) // a read after that finds no more than an end
		}
		c.count(ctx, tap)
	}
	_ = tap.SetReadDeadline(time.Now().Add(mutePatience))
	_, err := tap.Read(make([]byte, 512))
	s.Ordinary.Received = tap.received.Load()
	if err == nil && c.there != nil && c.there.Saw != result.SawAccepted {
		c.ask(ctx, func(a result.Acceptor) bool { return a.Saw == result.SawAccepted }) // it may have been slow
	}
	switch {
	case err == nil:
		s.Answer = result.AnswerForeign
	case errors.Is(err, os.ErrDeadlineExceeded):
	case sock.IsReset(err):
		s.Answer, s.Error = result.AnswerReset, err.Error()
	case reset:
		s.Answer = result.AnswerReset
	case errors.Is(err, io.EOF):
		s.Answer, s.Error = result.AnswerClosed, "closed"
	}
}

// count asks how much of what was sent by now was counted there.
func (c *ordinary) count(ctx context.Context, tap *tapConn) {
	o := c.seen.Ordinary
	o.Sent, o.Received = tap.sent.Load(), tap.received.Load()
	if c.there == nil {
		return
	}
	c.ask(ctx, func(a result.Acceptor) bool {
		return a.Saw == result.SawAccepted && (a.Counted == nil || a.Counted.In == o.Sent && a.Counted.Out >= o.Received)
	})
}

// EndOrdinary says what became of an ordinary connection that opened, as far as one can
// be held against another; there is what the accepting end knows of it, nil if it could
// not be asked. That one was ended before it had done what it was for takes no
// witness.
func EndOrdinary(c *result.Connection, there *result.Acceptor) {
	if c.Ended = endOf(c.Answer, c.Ordinary, there); c.Ended == result.EndedWell {
		c.Reached = result.ReachedDone
	}
}

func endOf(answer result.AnswerOutcome, o *result.Ordinary, a *result.Acceptor) result.Ended {
	if a == nil {
		a = &result.Acceptor{Saw: result.SawUnknown}
	}
	switch a.Saw {
	case result.SawNothing:
		return result.EndedForeign
	case result.SawHalfOpen:
		return result.EndedSilent
	}
	switch answer {
	case result.AnswerReset:
		return result.EndedReset
	case result.AnswerClosed:
		if a.Lasts || o.Sent > 0 && !o.Line {
			return result.EndedClosed
		}
	}
	switch {
	case a.Saw != result.SawAccepted:
		return result.EndedUnknown
	case o.Sent == 0:
		return result.EndedWell
	case a.Counted == nil:
		return result.EndedUnknown
	case a.Counted.In < o.Sent, o.Received == 0 && !o.Line:
		return result.EndedSilent
	case a.Counted.In > o.Sent, a.Counted.Out < o.Received:
		return result.EndedForeign
	}
	return result.EndedWell
}

// A tapConn counts what goes over a connection, and stops for a moment when the first
// answer to what was sent has come.
type tapConn struct {
	net.Conn
	sent, received atomic.Int64
	isAnswered     atomic.Bool
	answered       func() // called once, before that answer is handed on

	still sync.Mutex // held while something is sent, and while what was sent is counted
}

func (t *tapConn) Write(b []byte) (int, error) {
	t.still.Lock()
	defer t.still.Unlock()
	n, err := t.Conn.Write(b)
	t.sent.Add(int64(n))
	return n, err
}

func (t *tapConn) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	if t.received.Add(int64(n)); n > 0 && t.sent.Load() > 0 && t.isAnswered.CompareAndSwap(false, true) {
		t.still.Lock()
		defer t.still.Unlock()
		t.answered()
	}
	return n, err
}

// leave closes a connection by FIN, as a program does that has had its say.
func leave(conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	_ = conn.SetReadDeadline(time.Now().Add(goodbye))
	_, _ = io.CopyN(io.Discard, conn, 1<<20)
	conn.Close()
}
