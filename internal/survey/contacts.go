package survey

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// contacts are the paths that can carry a control conversation: those that
// proved themselves on the port that was dialed. Each conversation is a
// connection of its own, so that one that dies takes nothing with it.
type contacts struct {
	mu       *sync.Mutex
	families map[result.Family]*contact
	first    *contact
}

type contact struct {
	family result.Family
	ready  chan struct{} // closed when hello is there

	// Guarded by contacts.mu until ready is closed; targets always.
	flow    string
	port    int
	target  netip.AddrPort
	hello   echo.Hello
	seenAs  netip.AddrPort
	clock   time.Duration // its clock minus ours
	targets []netip.AddrPort
	asking  bool
}

func newContacts() contacts {
	c := contacts{mu: &sync.Mutex{}, families: map[result.Family]*contact{}}
	for _, f := range []result.Family{result.IP4, result.IP6} {
		c.families[f] = &contact{family: f, ready: make(chan struct{})}
	}
	return c
}

// offer hands over a path that proved itself. The first of a family asks the
// far end what it is.
func (cs *contacts) offer(ctx context.Context, s *survey, j *job, i result.Initiator) {
	c := cs.families[j.family]
	cs.mu.Lock()
	c.targets = append(c.targets, i.Target.AddrPort)
	ask := !c.asking && !isClosed(c.ready)
	if ask {
		c.asking = true
	}
	cs.mu.Unlock()
	if !ask {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	conn, err := s.open(ctx, j.family, i.Target.AddrPort)
	var hello echo.Hello
	asked := time.Now()
	if err == nil {
		defer conn.close()
		hello, err = conn.Hello(ctx)
	}
	answered := time.Now()
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c.asking = false
	if err != nil {
		return // the next path that proves itself tries
	}
	c.flow, c.port, c.target, c.hello, c.seenAs = j.flow, j.port, i.Target.AddrPort, hello, conn.SeenAs
	// Half of the round trip is the best guess of when it read its clock.
	c.clock = time.UnixMilli(hello.Clock).Sub(asked.Add(answered.Sub(asked) / 2))
	if cs.first == nil {
		cs.first = c
	}
	close(c.ready)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// await waits until one of the families has a contact, or done is closed, or
// ctx ends.
func (cs *contacts) await(ctx context.Context, done <-chan struct{}, families ...result.Family) {
	any := make(chan struct{}, len(families))
	stop := make(chan struct{})
	defer close(stop)
	for _, f := range families {
		go func() {
			select {
			case <-cs.families[f].ready:
				any <- struct{}{}
			case <-stop:
			}
		}()
	}
	select {
	case <-any:
	case <-done:
	case <-ctx.Done():
	}
}

// hello returns what the far end said first.
func (cs *contacts) hello() (echo.Hello, bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.first == nil {
		return echo.Hello{}, false
	}
	return cs.first.hello, true
}

// helloOf returns what the far end said over one family.
func (cs *contacts) helloOf(f result.Family) (echo.Hello, bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.families[f]
	if !isClosed(c.ready) {
		return echo.Hello{}, false
	}
	return c.hello, true
}

// targetOf returns a path of the family that proved itself.
func (cs *contacts) targetOf(f result.Family) (netip.AddrPort, bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if ts := cs.families[f].targets; len(ts) > 0 {
		return ts[0], true
	}
	return netip.AddrPort{}, false
}

// errNoContact says that no path can carry a control conversation.
var errNoContact = errors.New("no path carries a control conversation")

// maxContactTries bounds the paths that one conversation tries.
const maxContactTries = 4

// talk makes one control conversation with the far end, over family f if it
// has a contact and else, unless strict, over the other. A path that fails
// hands over to the next one that proved itself.
func (s *survey) talk(ctx context.Context, f result.Family, strict bool, timeout time.Duration, say func(context.Context, *echo.Conn) error) error {
	var targets []netip.AddrPort
	s.contacts.mu.Lock()
	for _, family := range []result.Family{f, result.IP4, result.IP6} {
		if strict && family != f {
			continue
		}
		if ts := s.contacts.families[family].targets; len(ts) > 0 && len(targets) == 0 {
			targets = append(targets, ts[:min(len(ts), maxContactTries)]...)
		}
	}
	s.contacts.mu.Unlock()
	err := errNoContact
	for _, t := range targets {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err = s.talkTo(ctx, t, timeout, say); err == nil {
			return nil
		}
	}
	return err
}

func (s *survey) talkTo(ctx context.Context, target netip.AddrPort, timeout time.Duration, say func(context.Context, *echo.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := s.open(ctx, result.FamilyOf(target.Addr()), target)
	if err != nil {
		return err
	}
	defer conn.close()
	return say(ctx, conn.Conn)
}

// control is an open control conversation.
type control struct {
	*echo.Conn
	close func()
}

// open opens a control conversation: a connection, and a proof of its own.
func (s *survey) open(ctx context.Context, f result.Family, target netip.AddrPort) (*control, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	d := sock.Dial(ctx, "tcp", netip.AddrPortFrom(s.bindFor(f), 0), target)
	if d.Err != nil {
		return nil, fmt.Errorf("control conversation: %w", d.Err)
	}
	c, err := echo.Prove(ctx, d.Conn, echo.Ask{Key: s.Key, Run: s.run, Probe: echo.NewID(), Flow: "control"})
	if err != nil {
		d.Conn.Close()
		return nil, fmt.Errorf("control conversation: %w", err)
	}
	return &control{c, func() { d.Conn.Close() }}, nil
}
