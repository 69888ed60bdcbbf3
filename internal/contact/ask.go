package contact

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

var (
	// ErrNone says that no way can carry a control conversation.
	ErrNone = errors.New("no path carries a control conversation")
	// ErrElsewhere says that a way led to another listener than before.
	ErrElsewhere = errors.New("the path leads to another listener in turn")
)

const (
	// maxElsewhere bounds how often a way is tried that leads to several listeners
	// in turn.
	maxElsewhere = 4
	// MaxTries bounds the ways that one conversation tries.
	MaxTries = 4
)

// Ask asks a listener ("": any), over family f
// if it has a way to it and else, unless strict, over the other. A way that fails
// hands over to the next one that proved itself. timeout is for what is said; opening
// takes its own time.
func (b *Book) Ask(ctx context.Context, instance string, f result.Family, strict bool, timeout time.Duration, say func(context.Context, *echo.Conn) error) error {
	var targets []netip.AddrPort
	for _, family := range append([]result.Family{f}, families...) {
		if strict && family != f {
			continue
		}
		if len(targets) > 0 {
			break
		}
		for _, w := range b.Ways(family, instance) {
			if len(targets) < MaxTries {
				targets = append(targets, w.Target)
			}
		}
	}
	err := ErrNone
	if len(targets) == 1 {
		targets = append(targets, targets[0]) // one connection may be lost
	}
	// Another way is for what fails soon: times do not add up.
	ctx, cancel := context.WithTimeout(ctx, timeout+2*b.step())
	defer cancel()
	for i, t := range targets {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		patience := b.step()
		if i < len(targets)-1 {
			patience = min(patience, b.soon())
		}
		for range maxElsewhere {
			// A balancer may lead a path that proved itself to another listener now,
			// which knows nothing of what is asked.
			err = b.Over(ctx, t, patience, timeout, func(ctx context.Context, c *echo.Conn) error {
				if instance != "" && c.Instance.String() != instance {
					return ErrElsewhere
				}
				return say(ctx, c)
			})
			if !errors.Is(err, ErrElsewhere) {
				break
			}
		}
		if err == nil {
			return nil
		}
	}
	return err
}

// step is how long a step may take, and longer where round trips are long.
func (b *Book) step() time.Duration { return b.Timeout + b.Trips() }

// soon is within what time a way that proved itself opens again: two SYNs'
// (RFC 6298 section 2: 1 s after the first), and longer where round trips are.
func (b *Book) soon() time.Duration {
	const twoSYNs = 2 * time.Second
	return twoSYNs + b.Trips()
}

// Over asks over one way, which has so much patience
// to be opened.
func (b *Book) Over(ctx context.Context, target netip.AddrPort, patience, timeout time.Duration, say func(context.Context, *echo.Conn) error) error {
	l, err := b.Open(ctx, target, patience)
	if err != nil {
		return err
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(ctx, timeout+b.Trips())
	defer cancel()
	ctx, stop := b.Watch(ctx, target, timeout)
	defer stop()
	err = say(ctx, l.Conn)
	l.Ended(err)
	return err
}

// A Link is an open control conversation.
type Link struct {
	*echo.Conn
	Local netip.Addr  // at this end
	Ended func(error) // is told how the conversation ended
	Close func()
}

// Open opens a control conversation: a connection, and a proof of its own. phase is
// what it is part of. The caller closes it.
func (b *Book) Open(phase context.Context, target netip.AddrPort, patience time.Duration) (*Link, error) {
	b.Turn(phase)
	ctx, cancel := context.WithTimeout(phase, patience)
	defer cancel()
	one := result.Connection{Purpose: result.PurposeControl, At: result.TimeOf(sock.Now()), Drawn: result.DrawnConnect, Reached: result.ReachedNothing, Ended: result.EndedWell}
	d := sock.DialNarrow(ctx, b.Bind.For(result.FamilyOf(target.Addr())), target)
	took := sock.Since(one.At.Time)
	one.Source, one.ConnectMS = result.EndpointFrom(d.Source), result.Milliseconds(took)
	if d.Err != nil {
		one.Ended, one.ElapsedMS = d.Ended(), one.ConnectMS
		b.Record(phase, target, one)
		if l := sock.LackOf(d.Err); l != "" {
			b.Lacks(l)
		}
		return nil, fmt.Errorf("control conversation: %w", d.Err)
	}
	ask := b.Self()
	ask.Probe, ask.Flow, ask.Greeted = echo.NewID(), "control", b.Greets(target.Port())
	answering, cancel := sock.AfterHandshake(phase, ctx, took)
	defer cancel()
	c, err := echo.Prove(answering, d.Conn, ask)
	one.Reached = result.ReachedConnected
	if err == nil {
		one.Reached, one.Origin, one.Instance = result.ReachedProved, result.EndpointFrom(c.Origin), c.Instance.String()
	}
	ended := b.Record(phase, target, one)
	ended(err)
	if err != nil {
		d.Conn.Close()
		return nil, fmt.Errorf("control conversation: %w", err)
	}
	return &Link{c, d.Source.Addr(), ended, func() { d.Conn.Close() }}, nil
}

// Hear asks the listener at the other end what it is.
func (l *Link) Hear(ctx context.Context) (h Heard, err error) {
	asked := sock.Now()
	h.Hello, err = l.Hello(ctx)
	l.Ended(err)
	answered := sock.Now()
	// Half of the round trip is the best guess of when it read its clock.
	h.Clock = time.UnixMilli(h.Hello.Clock).Sub(asked.Add(answered.Sub(asked) / 2))
	h.Began = answered.Add(-time.Duration(h.Hello.UptimeMS) * time.Millisecond)
	h.Sooner = answered.Sub(asked) + time.Millisecond // of which the uptime tells no part
	return h, err
}

// HearWhether asks again what is Heard, while it may be so or not that the listener was
// started before a moment: on a busy machine an answer takes long, and then tells little of
// when. at says which moment that is for who answers.
func (l *Link) HearWhether(ctx context.Context, at func(Heard) time.Time) (h Heard, err error) {
	const most = 6
	h, err = l.Hear(ctx)
	for n := 1; n < most && err == nil && h.mayHaveBegun(at(h)); n++ {
		more, err := l.Hear(ctx)
		if err != nil {
			break // what is known is known
		}
		h = h.narrowed(more)
	}
	return h, err
}

// mayHaveBegun reports whether the listener may have been started before a moment, and
// after it.
func (h Heard) mayHaveBegun(at time.Time) bool {
	return !at.Before(h.Began.Add(-h.Sooner)) && at.Before(h.Began)
}

// narrowed is when a listener was started as both tell, and all else as the later one has
// it.
func (h Heard) narrowed(later Heard) Heard {
	if later.Hello.Instance != h.Hello.Instance {
		return later
	}
	earliest, latest := h.Began.Add(-h.Sooner), h.Began
	if at := later.Began.Add(-later.Sooner); at.After(earliest) {
		earliest = at
	}
	if later.Began.Before(latest) {
		latest = later.Began
	}
	later.Began, later.Sooner = latest, max(0, latest.Sub(earliest))
	return later
}
