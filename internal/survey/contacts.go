package survey

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/dialer"
	"dialtone/internal/echo"
	"dialtone/internal/plan"
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
	flow   string
	port   int
	target netip.AddrPort
	heard
	wrong   bool // hello is another listener's than the expected one
	own     bool // it sees this machine under its own address
	hides   bool // a translation at its side hides this machine's address
	seenAs  netip.AddrPort
	targets []proved
	asking  bool
}

// proved is a path that proved itself on the port that was dialed.
type proved struct {
	flow     string
	target   netip.AddrPort
	instance string // the listener that answered
	direct   bool   // from the very address that was dialed
	// source is this end's address, and seenAs what the other end sees.
	source, seenAs netip.Addr
}

// leadsTo reports whether an address is known to lead to a listener; ones that
// stand alone are taken to.
func (cs *contacts) leadsTo(to netip.Addr, instance string, isOneOfSeveral bool) bool {
	if !isOneOfSeveral {
		return true
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return slices.ContainsFunc(cs.families[result.FamilyOf(to)].targets, func(p proved) bool { return p.target.Addr() == to && p.instance == instance })
}

// isOwn reports whether the other end sees this machine under its own address.
func (p proved) isOwn() bool { return p.source == p.seenAs }

func newContacts() contacts {
	c := contacts{mu: &sync.Mutex{}, families: map[result.Family]*contact{}}
	for _, f := range []result.Family{result.IP4, result.IP6} {
		c.families[f] = &contact{family: f, ready: make(chan struct{})}
	}
	return c
}

// offer hands over a path that proved itself. The first of a family asks the
// far end what it is.
func (s *survey) offer(ctx context.Context, f result.Family, p proved) {
	cs := &s.contacts
	cs.mu.Lock()
	c := cs.families[f]
	c.targets = append(c.targets, p)
	cs.mu.Unlock()
	s.ask(ctx, f, p)
}

// ask asks the far end what it is over one path, unless that is known or being
// asked.
func (s *survey) ask(ctx context.Context, f result.Family, p proved) {
	cs := &s.contacts
	c := cs.families[f]
	cs.mu.Lock()
	ok := !c.asking && !isClosed(c.ready)
	c.asking = c.asking || ok
	cs.mu.Unlock()
	if !ok {
		return
	}
	ok = s.greet(ctx, c, p)
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c.asking = false // the next path that proves itself tries, if this one failed
	if !ok {
		return
	}
	if cs.first == nil {
		cs.first = c
	}
	close(c.ready)
}

// greetAgain asks those that proved themselves and then failed to say what they
// are: a device that counts connections may have cut that one off while all
// paths were tried at once.
func (s *survey) greetAgain(ctx context.Context) {
	for round := range 2 {
		for _, f := range s.families() {
			s.contacts.mu.Lock()
			targets := slices.Clone(s.contacts.families[f].targets)
			s.contacts.mu.Unlock()
			for i, p := range targets[:min(len(targets), maxContactTries)] {
				if _, ok := s.contacts.helloOf(f); ok || i == 0 && round > 0 && !sock.Wait(ctx, calmDown) {
					break
				}
				s.ask(ctx, f, p)
			}
		}
	}
}

// comeBack tries again what TCP refused where the far end proved itself over UDP and
// nowhere else: its listener may have been started meanwhile.
func (s *survey) comeBack(ctx context.Context) {
	if sock.IsOver(ctx) {
		return // attempts may be under way still
	}
	if _, ok := s.contacts.hello(); ok || len(s.datagramWays()) == 0 {
		return
	}
	for _, j := range s.jobs {
		if i := j.initiator; j.direction == plan.Forward && j.transport == plan.TCP && i != nil && i.Connect == result.ConnectRST && !sock.IsOver(ctx) {
			s.retry(ctx, j)
			s.mayOffer(ctx, j)
		}
	}
}

// seek looks for a contact on the paths that this run's roles have besides
// those that are tested: --only limits what is tested, and somebody has to be
// asked what arrived; and whoever only accepts has to ask to be dialed.
func (s *survey) seek(ctx context.Context, remote []plan.Role) {
	if s.sought {
		return
	}
	s.sought = true
	s.seekOn(ctx, remote, func(plan.Row) bool { return true })
}

// seekLoud looks for a contact before those are tried whose live software is best left
// alone, where only such are tested. Nobody waits long for it.
func (s *survey) seekLoud(ctx context.Context, remote []plan.Role) {
	ctx, cancel := context.WithTimeout(ctx, turnTime)
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.seekOn(ctx, remote, func(r plan.Row) bool { return !r.Speaks.Language().Quiet })
	}()
	s.contacts.await(ctx, over, s.families()...)
	cancel()
	<-over
}

// seekOn looks for a contact on paths that are not tested.
func (s *survey) seekOn(ctx context.Context, remote []plan.Role, on func(plan.Row) bool) {
	flows, _, err := s.Plan.Select(plan.Query{Local: s.Local, Remote: remote, All: s.All})
	if err != nil {
		return
	}
	var all sync.WaitGroup
	for _, f := range s.families() {
		tried := map[int]bool{0: true}
		for _, j := range s.jobs {
			tried[j.port] = tried[j.port] || j.direction == plan.Forward && j.family == f && j.transport == plan.TCP
		}
		for _, flow := range flows {
			if flow.Row.Transport != plan.TCP || tried[flow.Row.Port] || !on(flow.Row) {
				continue
			}
			tried[flow.Row.Port] = true
			for _, to := range s.target.Use[f] {
				all.Go(func() { s.seekAt(ctx, f, to, flow.Row) })
			}
		}
	}
	all.Wait()
}

func (s *survey) seekAt(ctx context.Context, f result.Family, to netip.Addr, row plan.Row) {
	target := netip.AddrPortFrom(to, uint16(row.Port))
	conn, err := s.open(ctx, target, s.Timeout)
	if err != nil {
		return
	}
	defer conn.close()
	if int(conn.Origin.Port()) == row.Port && conn.Version == echo.Version {
		s.offer(ctx, f, proved{row.ID, target, conn.Instance.String(), result.IsSameAddr(conn.Origin.Addr(), target.Addr()), conn.local, conn.SeenAs.Addr()})
	}
}

// direct reports whether a path led to the very address that was dialed.
func (cs *contacts) direct() bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, c := range cs.families {
		if slices.ContainsFunc(c.targets, func(p proved) bool { return p.direct }) {
			return true
		}
	}
	return false
}

// greet asks the far end what it is, over one path, and reports whether it said.
func (s *survey) greet(ctx context.Context, c *contact, p proved) bool {
	conn, err := s.open(ctx, p.target, s.Timeout)
	if err != nil {
		return false
	}
	defer conn.close()
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	h, err := hear(ctx, conn)
	if err != nil {
		return false
	}
	s.contacts.mu.Lock()
	defer s.contacts.mu.Unlock()
	c.flow, c.port, c.target, c.heard, c.seenAs, c.own = p.flow, int(p.target.Port()), p.target, h, conn.SeenAs, p.isOwn()
	c.hides = hidesSource(h.hello.Neighbour, conn.local, conn.SeenAs.Addr(), p.target.Addr(), conn.Origin.Addr())
	return true
}

// hidesSource reports whether a translation at the far end's side hides this
// machine's address: it is in front of the far end, since that has another
// address than was dialed, and gives connections an address of the far end's own
// network, or the very one that was dialed. A NAT of this end's would give them
// its own, which is on the far end's network only where no other translates.
func hidesSource(neighbour bool, source, seenAs, dialed, origin netip.Addr) bool {
	return (neighbour || seenAs == dialed) && source != seenAs && origin.IsValid() && !origin.IsUnspecified() && origin != dialed
}

// settle makes the expected listener the contact, now that all paths have
// shown which one that is: where a device on the way leads a path to another
// listener, that one may have answered first, and knows nothing of the others.
// Of the paths to it one is preferred that shows it this machine's own address:
// over a proxy's it dials back to the proxy.
func (s *survey) settle(ctx context.Context) {
	cs := &s.contacts
	for _, f := range s.families() {
		c := cs.families[f]
		best := cs.ways(f, s.expected)
		if !isClosed(c.ready) || c.hello.Instance.String() == s.expected && (c.own || len(best) == 0 || !best[0].isOwn()) {
			continue
		}
		ok := false
		for _, p := range best {
			if ok = s.greet(ctx, c, p); ok {
				break
			}
		}
		c.wrong = !ok && c.hello.Instance.String() != s.expected
	}
	if cs.first != nil && cs.first.wrong {
		cs.first = nil
		for _, f := range s.families() {
			if c := cs.families[f]; cs.first == nil && isClosed(c.ready) && !c.wrong {
				cs.first = c
			}
		}
	}
}

// meetOthers asks the other listeners that paths lead to what they are: their
// paths are held against that, and not against what the expected one says.
func (s *survey) meetOthers(ctx context.Context) {
	asked := map[string]bool{} // an answer that does not come is not waited for again
	for _, f := range s.families() {
		for _, p := range s.contacts.ways(f, "") {
			if _, known := s.helloBy(p.instance); known || asked[p.instance] || len(asked) >= maxOthers {
				continue
			}
			asked[p.instance] = true
			_ = s.talkWith(ctx, p.instance, f, true, s.Timeout, func(ctx context.Context, c *echo.Conn) error {
				hello, err := c.Hello(ctx)
				if err == nil {
					s.others[p.instance] = hello
				}
				return err
			})
		}
	}
}

// maxOthers bounds the further listeners that are asked.
const maxOthers = 16

// helloBy is what a listener said of itself.
func (s *survey) helloBy(instance string) (echo.Hello, bool) {
	for _, f := range s.families() {
		if h, ok := s.contacts.helloOf(f); ok && h.Instance.String() == instance {
			return h, true
		}
	}
	h, ok := s.others[instance]
	return h, ok
}

// helloFor is what the listener said of itself that ought to answer a forward
// job.
func (s *survey) helloFor(j *job) (echo.Hello, bool) {
	if s.target.IsOneOfSeveral(j.to) {
		return s.helloBy(s.expectedAt(j.to))
	}
	return s.contacts.helloOf(j.family)
}

// helloOnPath is what the listener said of itself that proved a forward job, or
// else ought to answer it.
func (s *survey) helloOnPath(j *job) (echo.Hello, bool) {
	if i := j.initiator; i != nil && i.Answer == result.AnswerKeyed {
		if h, ok := s.helloBy(i.Instance); ok {
			return h, true
		}
	}
	return s.helloFor(j)
}

// instances lists the listeners that paths lead to.
func (s *survey) instances() []string {
	var out []string
	for _, f := range s.families() {
		for _, p := range s.contacts.ways(f, "") {
			if !slices.Contains(out, p.instance) {
				out = append(out, p.instance)
			}
		}
	}
	return out
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
	if !isClosed(c.ready) || c.wrong {
		return echo.Hello{}, false
	}
	return c.hello, true
}

// seenAs is the address as which the far end sees this end's contact of a
// family; invalid if there is none.
func (cs *contacts) seenAs(f result.Family) netip.Addr {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.families[f].seenAs.Addr()
}

// targetOf returns a path to the expected listener of an address.
func (cs *contacts) targetOf(to netip.Addr, expected string) (netip.AddrPort, bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, p := range cs.families[result.FamilyOf(to)].targets {
		if p.target.Addr() == to && p.instance == expected {
			return p.target, true
		}
	}
	return netip.AddrPort{}, false
}

// ways returns the paths of a family to a listener ("": to any), those first
// that show it this machine's own address.
func (cs *contacts) ways(f result.Family, instance string) []proved {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	var own, others []proved
	for _, p := range cs.families[f].targets {
		switch {
		case instance != "" && p.instance != instance:
		case p.isOwn():
			own = append(own, p)
		default:
			others = append(others, p)
		}
	}
	return append(own, others...)
}

// errNoContact says that no path can carry a control conversation.
var errNoContact = errors.New("no path carries a control conversation")

// errElsewhere says that a path led to another listener than before.
var errElsewhere = errors.New("the path leads to another listener in turn")

// maxElsewhere bounds how often a path is tried that leads to several listeners
// in turn.
const maxElsewhere = 4

// maxContactTries bounds the paths that one conversation tries.
const maxContactTries = 4

// talk makes one control conversation with the far end (with the expected
// listener, once it is known which that is), over family f if it has a contact
// and else, unless strict, over the other. A path that fails
// hands over to the next one that proved itself.
func (s *survey) talk(ctx context.Context, f result.Family, strict bool, timeout time.Duration, say func(context.Context, *echo.Conn) error) error {
	return s.talkWith(ctx, s.expected, f, strict, timeout, say)
}

// talkWith is talk with a listener ("": with any).
func (s *survey) talkWith(ctx context.Context, instance string, f result.Family, strict bool, timeout time.Duration, say func(context.Context, *echo.Conn) error) error {
	var targets []netip.AddrPort
	for _, family := range []result.Family{f, result.IP4, result.IP6} {
		if strict && family != f {
			continue
		}
		if len(targets) > 0 {
			break
		}
		for _, p := range s.contacts.ways(family, instance) {
			if len(targets) < maxContactTries {
				targets = append(targets, p.target)
			}
		}
	}
	err := errNoContact
	if s.cut != nil {
		return s.cut
	}
	if len(targets) == 1 {
		targets = append(targets, targets[0]) // one connection may be lost
	}
	// Another way is for what fails soon: times do not add up.
	ctx, cancel := context.WithTimeout(ctx, timeout+2*s.Timeout)
	defer cancel()
	for i, t := range targets {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		patience := s.Timeout
		if i < len(targets)-1 {
			patience = min(patience, s.soon())
		}
		for range maxElsewhere {
			// A balancer may lead a path that proved itself to another listener now,
			// which knows nothing of what is asked.
			err = s.talkTo(ctx, t, patience, timeout, func(ctx context.Context, c *echo.Conn) error {
				if instance != "" && c.Instance.String() != instance {
					return errElsewhere
				}
				return say(ctx, c)
			})
			if !errors.Is(err, errElsewhere) {
				break
			}
		}
		if err == nil {
			return nil
		}
	}
	return err
}

// soon is within what time a way that proved itself opens again: two SYNs'
// (RFC 6298 section 2: 1 s after the first), and longer where round trips are.
func (s *survey) soon() time.Duration {
	const twoSYNs = 2 * time.Second
	return twoSYNs + s.tripsLong()
}

// tripsLong is what a connection's handshake, proof and question take where round
// trips are long.
func (s *survey) tripsLong() time.Duration {
	const roundTrips = 8
	return roundTrips * s.longestTrip()
}

// longestTrip is the longest round trip that any attempt measured, 0 if none did.
func (s *survey) longestTrip() (longest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if j.initiator != nil {
			longest = max(longest, rtt(j))
		}
	}
	return longest
}

// talkTo holds a control conversation over one way, which has so much patience
// to be opened.
func (s *survey) talkTo(ctx context.Context, target netip.AddrPort, patience, timeout time.Duration, say func(context.Context, *echo.Conn) error) error {
	conn, err := s.open(ctx, target, patience)
	if err != nil {
		return err
	}
	defer conn.close()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ctx, stop := s.watchOver(ctx, target, timeout)
	defer stop()
	err = say(ctx, conn.Conn)
	conn.ended(err)
	return err
}

// control is an open control conversation.
type control struct {
	*echo.Conn
	local netip.Addr  // at this end
	ended func(error) // is told how the conversation ended
	close func()
}

// greets reports whether the service of a port of the plan's speaks first.
func (s *survey) greets(port uint16) bool {
	return slices.ContainsFunc(s.Plan.Rows, func(r plan.Row) bool { return r.Port == int(port) && r.Speaks.Language().Greets })
}

// open opens a control conversation: a connection, and a proof of its own.
func (s *survey) open(phase context.Context, target netip.AddrPort, patience time.Duration) (*control, error) {
	s.takeTurn(phase)
	ctx, cancel := context.WithTimeout(phase, patience)
	defer cancel()
	one := result.Connection{Purpose: result.PurposeControl, At: result.TimeOf(sock.Now()), Drawn: result.DrawnConnect, Reached: result.ReachedNothing, Ended: result.EndedWell}
	d := sock.DialNarrow(ctx, s.Bind.For(result.FamilyOf(target.Addr())), target)
	one.Source, one.ConnectMS = result.EndpointFrom(d.Source), result.Milliseconds(sock.Since(one.At.Time))
	if d.Err != nil {
		one.Ended, one.ElapsedMS = dialer.EndedOpening(d), one.ConnectMS
		s.record(phase, target, one)
		if l := sock.LackOf(d.Err); l != "" {
			s.mu.Lock()
			s.lacks = l
			s.mu.Unlock()
		}
		return nil, fmt.Errorf("control conversation: %w", d.Err)
	}
	c, err := echo.Prove(ctx, d.Conn, echo.Ask{Key: s.Key, Run: s.id, Probe: echo.NewID(), Flow: "control", Greeted: s.greets(target.Port()), Own: s.own})
	one.Reached = result.ReachedConnected
	if err == nil {
		one.Reached, one.Origin, one.Instance = result.ReachedProved, result.EndpointFrom(c.Origin), c.Instance.String()
	}
	ended := s.record(phase, target, one)
	ended(err)
	if err != nil {
		d.Conn.Close()
		return nil, fmt.Errorf("control conversation: %w", err)
	}
	return &control{c, d.Source.Addr(), ended, func() { d.Conn.Close() }}, nil
}
