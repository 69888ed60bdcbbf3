package survey

import (
	"context"
	"net/netip"
	"slices"
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

// ask asks the far end (the expected
// listener, once it is known which that is), over family f if it has a contact
// and else, unless strict, over the other. A path that fails
// hands over to the next one that proved itself.
func (s *farEnd) ask(ctx context.Context, f result.Family, strict bool, timeout time.Duration, say func(context.Context, *echo.Conn) error) error {
	return s.askOf(ctx, s.expected, f, strict, timeout, say)
}

// askOf is ask of one listener ("": of any).
func (s *farEnd) askOf(ctx context.Context, instance string, f result.Family, strict bool, timeout time.Duration, say func(context.Context, *echo.Conn) error) error {
	if s.cut != nil {
		return s.cut
	}
	return s.contacts.Ask(ctx, instance, f, strict, timeout, say)
}

// greets reports whether the service of a port of the plan's speaks first.
func (c Config) greets(port uint16) bool {
	return slices.ContainsFunc(c.Plan.Rows, func(r plan.Row) bool { return r.Port == int(port) && r.Speaks.Language().Greets })
}

// leadsTo reports whether an address is known to lead to a listener; one that stands
// alone is taken to.
func (s *farEnd) leadsTo(to netip.Addr, instance string) bool {
	_, ok := s.contacts.To(to, instance)
	return ok || !s.target.IsOneOfSeveral(to)
}
