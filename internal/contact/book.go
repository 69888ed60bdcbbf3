// Package contact is whom a run may ask at the far end: the ways that proved
// themselves, which listener answers on each, and conversations over them.
package contact

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// A Config is how a Book opens conversations. All of its functions must be there, and
// be safe for many at once.
type Config struct {
	Timeout time.Duration // of each step
	Bind    sock.Bind     // to dial from
	// Self is what this end tells of itself: its key, its run and its own listener.
	Self func() echo.Ask
	// Greets reports whether the service of a port speaks first.
	Greets func(port uint16) bool
	// Turn waits until another connection may be begun.
	Turn func(context.Context)
	// Record keeps a connection that was opened to a target, and returns what its end
	// is told to. phase ends with what the connection belongs to.
	Record func(phase context.Context, target netip.AddrPort, c result.Connection) (ended func(error))
	// Lacks is told what this machine had none left of for a connection.
	Lacks func(result.Lack)
	// Trips is what a connection's handshake, proof and question take where round trips
	// are long.
	Trips func() time.Duration
	// Watch ends a conversation before its time is up if the far end cannot be reached
	// beside it; the second function that it returns gives up watching.
	Watch func(ctx context.Context, target netip.AddrPort, timeout time.Duration) (context.Context, context.CancelFunc)
}

// A Book has the ways that can carry a control conversation: those that proved
// themselves on the port that was dialed. Each conversation is a connection of its
// own, so that one that dies takes nothing with it. Of each address family the first
// that says what it is becomes the contact. It is safe for many at once.
type Book struct {
	Config
	begun    time.Time // with the run
	mu       sync.Mutex
	families map[result.Family]*page
	first    *page
	others   map[string]echo.Hello // further listeners with the key that ways lead to, by instance
}

// A page is what is known of one address family.
type page struct {
	ready chan struct{} // closed when there is a contact

	// Guarded by Book.mu.
	Contact
	ways   []Way
	asking bool
}

// A Contact is who answers for the far end over one address family.
type Contact struct {
	Heard
	Family result.Family
	Flow   string // of the way that led to it
	Target netip.AddrPort
	SeenAs netip.AddrPort // this end's address, as it sees it
	Wrong  bool           // it is another listener than the expected one
	Own    bool           // it sees this machine under its own address
	Hides  bool           // a translation at its side hides this machine's address
}

// A Heard is what a listener said of itself.
type Heard struct {
	Hello  echo.Hello
	Clock  time.Duration // its clock minus ours
	Began  time.Time     // when it was started, by our clock, at the latest
	Sooner time.Duration // and by how much it may have been sooner
}

// A Way is a path that proved itself on the port that was dialed.
type Way struct {
	Flow     string
	Target   netip.AddrPort
	Instance string // the listener that answered
	Direct   bool   // from the very address that was dialed
	// Source is this end's address, and SeenAs what the other end sees.
	Source, SeenAs netip.Addr
}

// IsOwn reports whether the other end sees this machine under its own address.
func (w Way) IsOwn() bool { return w.Source == w.SeenAs }

// families are all of them, in the order in which they are told of.
var families = []result.Family{result.IP4, result.IP6}

// New returns a Book without a way.
func New(c Config) *Book {
	b := &Book{Config: c, begun: sock.Now(), families: map[result.Family]*page{}, others: map[string]echo.Hello{}}
	for _, f := range families {
		b.families[f] = &page{Contact: Contact{Family: f}, ready: make(chan struct{})}
	}
	return b
}

// Add adds a way without asking anybody over it.
func (b *Book) Add(f result.Family, w Way) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.families[f].ways = append(b.families[f].ways, w)
}

// Offer hands over a path that proved itself. The first of a family asks the
// far end what it is.
func (b *Book) Offer(ctx context.Context, f result.Family, w Way) {
	b.Add(f, w)
	b.meet(ctx, f, w)
}

// meet asks the far end what it is over one path, unless that is known or being
// asked.
func (b *Book) meet(ctx context.Context, f result.Family, w Way) {
	p := b.families[f]
	b.mu.Lock()
	ok := !p.asking && !isClosed(p.ready)
	p.asking = p.asking || ok
	b.mu.Unlock()
	if !ok {
		return
	}
	c, ok := b.greet(ctx, f, w)
	if ok {
		b.Put(c)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p.asking = false // the next path that proves itself tries, if this one failed
}

// Put makes somebody who said what they are the contact of their family.
func (b *Book) Put(c Contact) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.families[c.Family]
	p.Contact = c
	if isClosed(p.ready) {
		return
	}
	if b.first == nil {
		b.first = p
	}
	close(p.ready)
}

// CalmDown is how long a device that counts connections is left alone before
// the far end is asked again.
const CalmDown = time.Second

// askAgainSteps bounds AskAgain: no try begins after so many steps. Where large packets
// vanish each waits for its whole step, and all ways would.
const askAgainSteps = 3

// AskAgain asks those that proved themselves and then failed to say what they
// are: a device that counts connections may have cut that one off while all
// paths were tried at once.
func (b *Book) AskAgain(ctx context.Context, families ...result.Family) {
	begun := sock.Now()
	for round := range 2 {
		for _, f := range families {
			b.mu.Lock()
			ways := slices.Clone(b.families[f].ways)
			b.mu.Unlock()
			for i, w := range ways[:min(len(ways), MaxTries)] {
				if _, ok := b.HelloOf(f); ok || sock.Since(begun) > askAgainSteps*b.step() || i == 0 && round > 0 && !sock.Wait(ctx, CalmDown) {
					break
				}
				b.meet(ctx, f, w)
			}
		}
	}
}

// greet asks the far end what it is, over one path; false: it did not say.
func (b *Book) greet(ctx context.Context, f result.Family, w Way) (c Contact, ok bool) {
	l, err := b.Open(ctx, w.Target, b.step())
	if err != nil {
		return c, false
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(ctx, b.step())
	defer cancel()
	h, err := l.HearWhether(ctx, func(Heard) time.Time { return b.begun })
	return Contact{
		Heard: h, Family: f, Flow: w.Flow, Target: w.Target, SeenAs: l.SeenAs, Own: w.IsOwn(),
		Hides: hidesSource(h.Hello.Neighbour, l.Local, l.SeenAs.Addr(), w.Target.Addr(), l.Origin.Addr()),
	}, err == nil
}

// hidesSource reports whether a translation at the far end's side hides this
// machine's address: it is in front of the far end, since that has another
// address than was dialed, and gives connections an address of the far end's own
// network, or the very one that was dialed. A NAT of this end's would give them
// its own, which is on the far end's network only where no other translates.
func hidesSource(neighbour bool, source, seenAs, dialed, origin netip.Addr) bool {
	return (neighbour || seenAs == dialed) && source != seenAs && origin.IsValid() && !origin.IsUnspecified() && origin != dialed
}

// Settle makes the expected listener the contact, now that all paths have
// shown which one that is: where a device on the way leads a path to another
// listener, that one may have answered first, and knows nothing of the others.
// Of the paths to it one is preferred that shows it this machine's own address:
// over a proxy's it dials back to the proxy.
func (b *Book) Settle(ctx context.Context, expected string, families ...result.Family) {
	for _, f := range families {
		now, ok := b.Of(f)
		best := b.Ways(f, expected)
		if !ok || now.Hello.Instance.String() == expected && (now.Own || len(best) == 0 || !best[0].IsOwn()) {
			continue
		}
		settled := false
		for _, w := range best {
			if c, ok := b.greet(ctx, f, w); ok {
				now, settled = c, true
				break
			}
		}
		now.Wrong = !settled && now.Hello.Instance.String() != expected
		b.Put(now)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first != nil && b.first.Wrong {
		b.first = nil
		for _, f := range families {
			if p := b.families[f]; b.first == nil && isClosed(p.ready) && !p.Wrong {
				b.first = p
			}
		}
	}
}

// maxOthers bounds the further listeners that are asked.
const maxOthers = 16

// MeetOthers asks the other listeners that paths lead to what they are: their
// paths are held against that, and not against what the expected one says.
func (b *Book) MeetOthers(ctx context.Context, families ...result.Family) {
	asked := map[string]bool{} // an answer that does not come is not waited for again
	for _, f := range families {
		for _, w := range b.Ways(f, "") {
			if _, known := b.HelloBy(w.Instance); known || asked[w.Instance] || len(asked) >= maxOthers {
				continue
			}
			asked[w.Instance] = true
			_ = b.Ask(ctx, w.Instance, f, true, b.Timeout, func(ctx context.Context, c *echo.Conn) error {
				hello, err := c.Hello(ctx)
				if err == nil {
					b.mu.Lock()
					defer b.mu.Unlock()
					b.others[w.Instance] = hello
				}
				return err
			})
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Await waits until one of the families has a contact, or done is closed, or
// ctx ends.
func (b *Book) Await(ctx context.Context, done <-chan struct{}, families ...result.Family) {
	any := make(chan struct{}, len(families))
	stop := make(chan struct{})
	defer close(stop)
	for _, f := range families {
		go func() {
			select {
			case <-b.families[f].ready:
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

// First is the contact of the family that answered first.
func (b *Book) First() (Contact, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first == nil {
		return Contact{}, false
	}
	return b.first.Contact, true
}

// Of is the contact of a family, be it the expected listener or not.
func (b *Book) Of(f result.Family) (Contact, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.families[f]
	if p == nil || !isClosed(p.ready) {
		return Contact{}, false
	}
	return p.Contact, true
}

// Hello returns what the far end said first.
func (b *Book) Hello() (echo.Hello, bool) {
	c, ok := b.First()
	return c.Hello, ok
}

// HelloOf returns what the far end said over one family.
func (b *Book) HelloOf(f result.Family) (echo.Hello, bool) {
	c, ok := b.Of(f)
	if !ok || c.Wrong {
		return echo.Hello{}, false
	}
	return c.Hello, true
}

// HelloBy is what a listener said of itself.
func (b *Book) HelloBy(instance string) (echo.Hello, bool) {
	for _, f := range families {
		if h, ok := b.HelloOf(f); ok && h.Instance.String() == instance {
			return h, true
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	h, ok := b.others[instance]
	return h, ok
}

// Direct reports whether a path led to the very address that was dialed.
func (b *Book) Direct() bool {
	return slices.ContainsFunc(b.All(), func(w Way) bool { return w.Direct })
}

// All are the ways of all families, in the order in which they came.
func (b *Book) All() (out []Way) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range families {
		out = append(out, b.families[f].ways...)
	}
	return out
}

// To is a way to an address that leads to a listener.
func (b *Book) To(to netip.Addr, instance string) (Way, bool) {
	at := b.At(to)
	i := slices.IndexFunc(at, func(w Way) bool { return w.Instance == instance })
	if i < 0 {
		return Way{}, false
	}
	return at[i], true
}

// At are the ways to an address.
func (b *Book) At(to netip.Addr) (out []Way) {
	for _, w := range b.All() {
		if w.Target.Addr() == to {
			out = append(out, w)
		}
	}
	return out
}

// Ways returns the ways of a family to a listener ("": to any), those first
// that show it this machine's own address.
func (b *Book) Ways(f result.Family, instance string) []Way {
	b.mu.Lock()
	defer b.mu.Unlock()
	var own, others []Way
	for _, w := range b.families[f].ways {
		switch {
		case instance != "" && w.Instance != instance:
		case w.IsOwn():
			own = append(own, w)
		default:
			others = append(others, w)
		}
	}
	return append(own, others...)
}

// Instances lists the listeners that ways lead to.
func (b *Book) Instances() []string {
	var out []string
	for _, f := range families {
		for _, w := range b.Ways(f, "") {
			if !slices.Contains(out, w.Instance) {
				out = append(out, w.Instance)
			}
		}
	}
	return out
}
