package survey

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sync/errgroup"

	"dialtone/internal/dialer"
	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// bothEnds is what a run attempts from this end and has the far end attempt.
type bothEnds struct{ dials }

// dialBack has the far end attempt the reverse jobs of one family.
func (s *bothEnds) dialBack(ctx context.Context, f result.Family, jobs []*job) {
	var ask []*job
	for _, j := range jobs {
		if j.port == 0 {
			j.port = s.door.HighPort(j.flow, f)
		}
		switch why := s.noAcceptor(j); {
		case why != "":
			s.finish(j, result.Initiator{NotTried: why})
		case j.port == 0:
			s.finish(j, result.Initiator{NotTried: "this machine could not open a high port for the data connection"})
		default:
			ask = append(ask, j)
			s.tell(j, nil)
		}
	}
	if _, ok := s.contacts.HelloOf(f); !ok && !s.backAddress(f).IsValid() {
		for _, j := range ask {
			s.finish(j, result.Initiator{NotTried: "there was no contact over " + familyWords(f) + " to ask the far end to dial back"})
		}
		return
	}
	if why := s.hidden(f); why != "" {
		for _, j := range ask {
			s.finish(j, result.Initiator{NotTried: why})
		}
		return
	}
	var g errgroup.Group
	g.SetLimit(4)
	atOnce := backAtOnce
	if s.Gentle {
		g.SetLimit(1)
		atOnce = 1
	}
	for chunk := range slices.Chunk(ask, atOnce) {
		g.Go(func() error {
			s.askBack(ctx, f, chunk)
			return nil
		})
	}
	_ = g.Wait() // what failed is in the jobs
}

// tripsBack is how many round trips the far end is given for its attempts beside
// what their steps take at most.
const tripsBack = 30

// backAtOnce is how many paths one message asks for: what is known of all their
// connections has to fit into the answer.
const backAtOnce = 12

// backAddress is where the far end has to dial to be where its own
// configuration dials this end, where that is another address than the one that
// it sees this end come from: a pool of addresses, or one of a family that no
// path of ours works over. Invalid: where we come from.
func (s *farEnd) backAddress(f result.Family) netip.Addr {
	h, ok := s.contacts.HelloOf(f)
	seen := netip.Addr{}
	if ok {
		c, _ := s.contacts.Of(f)
		seen = c.SeenAs.Addr()
	} else if h, ok = s.contacts.Hello(); !ok {
		return netip.Addr{}
	}
	var of []netip.Addr
	for _, a := range h.Partners {
		if a == seen {
			return netip.Addr{}
		}
		if result.FamilyOf(a) == f {
			of = append(of, a)
		}
	}
	if len(of) != 1 {
		return netip.Addr{} // none, or several partners: it cannot be told which is this one
	}
	return of[0]
}

// hidden says why the far end does not know where to dial back to, "" if it
// does: a translation at its own side hides this machine's address.
func (s *farEnd) hidden(f result.Family) string {
	if s.backAddress(f).IsValid() {
		return ""
	}
	c, ok := s.contacts.Of(f)
	if !ok || !c.Hides {
		return ""
	}
	as := "which is an address of its own network"
	if c.SeenAs.Addr() == c.Target.Addr() {
		as = "the address that was dialed"
	}
	return fmt.Sprintf("the far end sees this machine as %s, %s: a translation at its side (such as that of a container's host, or a load balancer's) hides this machine's own address, and there it cannot be dialed. "+
		"Run listen there without that translation (a container on its host's network), or name this machine in that end's site file", c.SeenAs.Addr(), as)
}

// backPath is a reverse job as the far end is asked for it, and reports whether
// the request has to come over the job's own family.
func (s *bothEnds) backPath(j *job) (path echo.BackPath, strict bool) {
	to := s.backAddress(j.family)
	return echo.BackPath{
		Flow: j.flow, Probe: j.probe, Transport: j.transport, Port: j.port, SourcePort: j.sourcePort, Address: to,
	}, !to.IsValid()
}

func familyWords(f result.Family) string {
	if f == result.IP6 {
		return "IPv6"
	}
	return "IPv4"
}

// askBack has the far end attempt one message's worth of jobs.
func (s *bothEnds) askBack(ctx context.Context, f result.Family, jobs []*job) {
	halves, by, err := s.halvesOf(ctx, f, jobs)
	for i, j := range jobs {
		switch {
		case err != nil && ctx.Err() != nil:
			s.finish(j, result.Initiator{NotTried: "interrupted"})
		case err != nil:
			s.finish(j, result.Initiator{NotTried: "the far end's half got lost: " + err.Error()})
		default:
			j.by = by
			s.finish(j, halves[i])
		}
	}
}

// attemptBack has the far end attempt a job of its own.
func (s *bothEnds) attemptBack(ctx context.Context, j *job) result.Initiator {
	halves, by, err := s.halvesOf(ctx, j.family, []*job{j})
	if err != nil || by != j.by {
		return result.Initiator{NotTried: "the far end could not be asked again"}
	}
	return halves[0]
}

// proveBack has the far end prove a job of its own.
func (s *bothEnds) proveBack(ctx context.Context, j *job) result.Initiator {
	path, strict := s.backPath(j)
	path.ProofOnly = true
	halves, by, err := s.dialedBack(ctx, j.family, strict, []echo.BackPath{path})
	if err != nil || by != j.by {
		return result.Initiator{NotTried: "the far end could not be asked again"}
	}
	return halves[0]
}

// halvesOf asks the far end to attempt jobs and returns its half of each, and
// which listener it was.
func (s *bothEnds) halvesOf(ctx context.Context, f result.Family, jobs []*job) (halves []result.Initiator, by string, err error) {
	var paths []echo.BackPath
	strict := true
	hello, _ := s.contacts.Hello()
	for _, j := range jobs {
		var path echo.BackPath
		path, strict = s.backPath(j)
		path.Trace, path.Samples = j.trace, j.samples()
		if hello.Ordinary && j.transport == plan.TCP && j.sourcePort == 0 {
			j.visits = s.door.Watch(j.port, s.farAddr(f))
			defer j.visits.End()
		}
		path.Ordinary, path.Line = j.visits != nil, s.Enter
		paths = append(paths, path)
	}
	return s.dialedBack(ctx, f, strict, paths)
}

// dialedBack has the far end dial paths.
func (s *bothEnds) dialedBack(ctx context.Context, f result.Family, strict bool, paths []echo.BackPath) (halves []result.Initiator, by string, err error) {
	d := echo.DialBack{TimeoutMS: s.Timeout.Milliseconds(), Bytes: s.Bytes, Paths: paths}
	err = s.ask(ctx, f, strict, dialer.Longest(s.Timeout)+tripsBack*s.longestTrip(), func(ctx context.Context, c *echo.Conn) (err error) {
		by = c.Instance.String()
		halves, err = c.DialBack(ctx, d)
		return err
	})
	return halves, by, err
}

// ledAstray is a reverse job's half where the far end's side answered itself: a
// listener that forward paths lead to. It says where that side's own translations
// lead, and nothing of the path to this machine, which nobody dialed.
func (s *reports) ledAstray(i *result.Initiator) {
	if i.Answer != result.AnswerKeyed || i.Instance == s.own.String() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.attempts() {
		f := j.initiator
		if j.direction != plan.Forward || f == nil || f.Answer != result.AnswerKeyed {
			continue
		}
		if f.Instance == i.Instance || slices.ContainsFunc(s.connectionsOf(j), func(c result.Connection) bool { return c.Instance == i.Instance }) {
			i.NotTried = fmt.Sprintf("the far end sees this machine as %s, and what it sent there came to a listener of its own side (at %s): a translation or load balancer there hides this machine's own address, and it cannot be dialed. "+
				"Run listen there without that translation, or name this machine in that end's site file", i.Target.Addr(), i.Origin.Addr())
			return
		}
	}
}

// dialBackAgain repeats what another listener than the expected one dialed
// back: it told of its own paths, not of those that were asked for. Also what
// was dialed back to a proxy, now that other paths show this machine's own
// address.
func (s *bothEnds) dialBackAgain(ctx context.Context) {
	for _, f := range s.families() {
		var again []*job
		ways := s.contacts.Ways(f, s.expected)
		for _, j := range s.attempts() {
			if j.direction != plan.Reverse || j.family != f || j.by == "" {
				continue
			}
			toProxy := len(ways) > 0 && ways[0].IsOwn() && j.initiator.Target.Addr() != ways[0].Source
			if j.by != s.expected || toProxy {
				j.probe, j.by = echo.NewID(), ""
				again = append(again, j)
			}
		}
		if len(again) > 0 {
			s.dialBack(ctx, f, again)
		}
	}
}
