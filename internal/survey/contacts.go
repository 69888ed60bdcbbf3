package survey

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/contact"
	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// calmDown is how long a device that counts connections is left alone.
const calmDown = contact.CalmDown

// A farEnd is whom a run dials, and what it knows of whoever answers there.
type farEnd struct {
	target   sock.Target // its addresses
	contacts *contact.Book
	expected string  // the listener that ought to answer, once all paths were tried; "" before, and if none did
	cut      *cutOff // from when on nothing got through; nil: it did to the end
}

// newBook is where a run writes down whom it may ask.
func (s *dials) newBook() *contact.Book {
	return contact.New(contact.Config{
		Timeout: s.Timeout, Bind: s.Bind,
		Self:   func() echo.Ask { return echo.Ask{Key: s.Key, Run: s.id, Own: s.own} },
		Greets: s.greets, Turn: s.takeTurn, Record: s.record, Lacks: s.lacked, Trips: s.tripsLong, Watch: s.watchOver,
	})
}

// lacked keeps what this machine had none left of when the far end was to be asked.
func (s *dials) lacked(l result.Lack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lacks = l
}

// comeBack tries again what TCP refused where the far end proved itself over UDP and
// nowhere else: its listener may have been started meanwhile.
func (s *retries) comeBack(ctx context.Context) {
	if sock.IsOver(ctx) {
		return // attempts may be under way still
	}
	if _, ok := s.contacts.Hello(); ok || len(s.attempts().datagramWays()) == 0 {
		return
	}
	for _, j := range s.attempts() {
		if i := j.initiator; j.direction == plan.Forward && j.transport == plan.TCP && i != nil && i.Connect == result.ConnectRST && !sock.IsOver(ctx) {
			s.retry(ctx, j)
			s.mayOffer(ctx, j, *j.initiator)
		}
	}
}

// seeking is for somebody to ask, and for how long a way to them is.
type seeking struct {
	*bothEnds
	sought bool                         // contacts were looked for beside the tested paths
	slow   map[netip.Addr]time.Duration // round trips to addresses that take longer than a step may
}

// seek looks for a contact on the paths that this run's roles have besides
// those that are tested: --only limits what is tested, and somebody has to be
// asked what arrived; and whoever only accepts has to ask to be dialed.
func (s *seeking) seek(ctx context.Context, remote []plan.Role) {
	if s.sought {
		return
	}
	s.sought = true
	s.seekOn(ctx, remote, func(plan.Row) bool { return true })
}

// seekLoud looks for a contact before those are tried whose live software is best left
// alone, where only such are tested. Nobody waits long for it.
func (s *seeking) seekLoud(ctx context.Context, remote []plan.Role) {
	ctx, cancel := context.WithTimeout(ctx, turnTime)
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.seekOn(ctx, remote, func(r plan.Row) bool { return !r.Speaks.Language().Quiet })
	}()
	s.contacts.Await(ctx, over, s.families()...)
	cancel()
	<-over
}

// seekOn looks for a contact on paths that are not tested.
func (s *seeking) seekOn(ctx context.Context, remote []plan.Role, on func(plan.Row) bool) {
	flows, _, err := s.Plan.Select(plan.Query{Local: s.Local, Remote: remote, All: s.All})
	if err != nil {
		return
	}
	var all sync.WaitGroup
	for _, f := range s.families() {
		tried := map[int]bool{0: true}
		for _, j := range s.attempts() {
			tried[j.port] = tried[j.port] || j.direction == plan.Forward && j.family == f && j.transport == plan.TCP
		}
		for _, flow := range flows {
			if flow.Row.Transport != plan.TCP || tried[flow.Row.Port] || !on(flow.Row) {
				continue
			}
			tried[flow.Row.Port] = true
			for _, to := range s.target.Use[f] {
				all.Go(func() { s.seekAt(ctx, netip.AddrPortFrom(to, uint16(flow.Row.Port)), flow.Row.ID, s.Timeout) })
			}
		}
	}
	all.Wait()
}

// seekAt opens a connection to a target that has so much patience, and hands the way over
// if it proves itself, unless a conversation over it takes longer than any step may. It
// returns how long a round trip took, 0 if nothing was proved.
func (s *seeking) seekAt(ctx context.Context, target netip.AddrPort, flow string, patience time.Duration) time.Duration {
	conn, err := s.contacts.Open(ctx, target, patience)
	if err != nil {
		return 0
	}
	defer conn.Close()
	if conn.Origin.Port() == target.Port() && conn.Version == echo.Version && conn.RTT < s.Timeout {
		s.contacts.Offer(ctx, result.FamilyOf(target.Addr()), contact.Way{
			Flow: flow, Target: target, Instance: conn.Instance.String(), Direct: result.IsSameAddr(conn.Origin.Addr(), target.Addr()),
			Source: conn.Local, SeenAs: conn.SeenAs.Addr(),
		})
	}
	return conn.RTT
}

// settle makes the expected listener the contact.
func (s *farEnd) settle(ctx context.Context) { s.contacts.Settle(ctx, s.expected, s.families()...) }

// meetOthers asks the other listeners that paths lead to what they are.
func (s *farEnd) meetOthers(ctx context.Context) { s.contacts.MeetOthers(ctx, s.families()...) }

// helloFor is what the listener said of itself that ought to answer a forward
// job.
func (s *farEnd) helloFor(j *job) (echo.Hello, bool) {
	if s.target.IsOneOfSeveral(j.to) {
		return s.contacts.HelloBy(s.expectedAt(j.to))
	}
	return s.contacts.HelloOf(j.family)
}

// helloOnPath is what the listener said of itself that proved a forward job, or
// else ought to answer it.
func (s *farEnd) helloOnPath(j *job) (echo.Hello, bool) {
	if i := j.initiator; i != nil && i.Answer == result.AnswerKeyed {
		if h, ok := s.contacts.HelloBy(i.Instance); ok {
			return h, true
		}
	}
	return s.helloFor(j)
}

// talk makes one control conversation with the far end (with the expected
// listener, once it is known which that is), over family f if it has a contact
// and else, unless strict, over the other. A path that fails
// hands over to the next one that proved itself.
func (s *farEnd) talk(ctx context.Context, f result.Family, strict bool, timeout time.Duration, say func(context.Context, *echo.Conn) error) error {
	return s.talkWith(ctx, s.expected, f, strict, timeout, say)
}

// talkWith is talk with a listener ("": with any).
func (s *farEnd) talkWith(ctx context.Context, instance string, f result.Family, strict bool, timeout time.Duration, say func(context.Context, *echo.Conn) error) error {
	if s.cut != nil {
		return s.cut
	}
	return s.contacts.Ask(ctx, instance, f, strict, timeout, say)
}

// greets reports whether the service of a port of the plan's speaks first.
func (c Config) greets(port uint16) bool {
	return slices.ContainsFunc(c.Plan.Rows, func(r plan.Row) bool { return r.Port == int(port) && r.Speaks.Language().Greets })
}
