package survey

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// A cutOff is the moment from which on nothing got through, not even to paths
// that had worked before: a device that shut this address out, a line that went
// down, a listener that ended. Or the listener was started anew: what it saw
// before nobody knows.
type cutOff struct {
	at    time.Time // when something got through last, or to the old listener
	ended result.Ended
	anew  string    // the instance that answers since; "": nobody does
	since time.Time // when that one is known to have answered first
	shut  bool      // nothing was proved before, connections only opened
	mute  bool      // ports open connections as before, and nobody answers on them
	// touched is the attempt of a port after whose touching nothing got through; nil:
	// no certain one.
	touched *job
	reroute *sock.Reroute // from when on this machine sends there by another way; nil: it does not
}

// Error says so, as the reason why nothing can be asked any more.
func (c *cutOff) Error() string {
	if c.reroute != nil {
		return "this machine's route there changed at " + clock(c.at) + " UTC (" + rerouteOf(*c.reroute).Words() + ")"
	}
	if c.anew != "" {
		return fmt.Sprintf("the listener was started anew after %s UTC", clock(c.at))
	}
	if c.mute {
		return fmt.Sprintf("nobody answers since %s UTC", clock(c.at))
	}
	return fmt.Sprintf("nothing gets through since %s UTC", clock(c.at))
}

// clock is a time of day as logs have it, to be found there.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// lasting is whether anything still gets through, and to the same listener.
type lasting struct {
	*bothEnds
	compared    map[netip.AddrPort]int // how many listeners of a place were told from one that was started anew
	restartedAt time.Time              // when the listener was last seen after whose end this run began again; zero: it is the first
	mayEndEarly bool                   // it may be begun again once more
}

// isCutOff goes back to paths that worked, if anything failed since the last
// success. It returns at once where nothing did, or nothing ever worked.
func (s *lasting) isCutOff(ctx context.Context) bool {
	if s.cut != nil || sock.IsOver(ctx) {
		return s.cut != nil
	}
	if s.cut = s.ledAnotherWay(); s.cut != nil {
		return true
	}
	if s.cut = s.restarted(ctx); s.cut != nil {
		return true
	}
	ways := s.waysBack()
	datagrams := s.attempts().datagramWays()
	if len(ways)+len(datagrams) == 0 {
		s.cut = s.shutOut(ctx)
		return s.cut != nil
	}
	last, suspect := lastHeard(s.everyConnection())
	if !suspect {
		return false
	}
	back := sock.Now()
	for round := range backRounds {
		if round > 0 && !sock.Wait(ctx, calmDown) {
			return false
		}
		if s.anyAnswers(ctx, ways) || s.anyProves(ctx, datagrams) {
			s.cut = s.restarted(ctx)
			return s.cut != nil
		}
	}
	if sock.IsOver(ctx) {
		return false
	}
	s.cut = &cutOff{at: last}
	s.cut.ended, s.cut.mute = s.howWaysEnded(back)
	return true
}

// shutOut finds out the same where nothing was ever proved: ports that opened a
// connection and then said nothing do not even do that any more.
func (s *lasting) shutOut(ctx context.Context) *cutOff {
	var last time.Time
	opened := map[netip.AddrPort][]result.Connection{}
	for _, j := range s.attempts() {
		if j.direction != plan.Forward || j.transport != plan.TCP || j.initiator == nil || j.initiator.Answer != result.AnswerSilent {
			continue
		}
		all := s.connectionsOf(j)
		for _, c := range all {
			if c.Reached != result.ReachedNothing {
				opened[j.initiator.Target.AddrPort] = all
				if at := c.Opened(); at.After(last) {
					last = at
				}
			}
		}
	}
	unanswered := 0
	var ways []netip.AddrPort
	for target, all := range opened {
		ways = append(ways, target)
		for _, c := range all {
			if c.Reached == result.ReachedNothing && c.Ended == result.EndedSilent && c.At.After(last) {
				unanswered++
			}
		}
	}
	const enough = 2 // one may be lost
	if unanswered < enough || s.anyOpens(ctx, ways[:min(len(ways), backWays)]) || sock.IsOver(ctx) {
		return nil
	}
	return &cutOff{at: last, ended: result.EndedSilent, shut: true}
}

// anyOpens reports whether a connection opens to any of these targets.
func (s *lasting) anyOpens(ctx context.Context, to []netip.AddrPort) bool {
	return anyOf(ctx, to, func(ctx context.Context, w netip.AddrPort) bool { return s.opens(ctx, w, s.patienceBack()) })
}

// opens reports whether a connection opens to a target within a time.
func (s *dials) opens(ctx context.Context, w netip.AddrPort, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	d := sock.Dial(ctx, "tcp", netip.AddrPortFrom(s.Bind.For(result.FamilyOf(w.Addr())), 0), w)
	if d.Err == nil {
		d.Conn.Close()
	}
	return d.Err == nil
}

const (
	// backWays is how many paths that worked are tried, and backRounds how often.
	backWays, backRounds = 3, 2
	// maxBackTime bounds each try.
	maxBackTime = 3 * time.Second
)

// waysBack are targets on which the far end proved itself, on different ports.
func (s *lasting) waysBack() []netip.AddrPort {
	var out []netip.AddrPort
	for _, f := range s.families() {
		for _, p := range s.contacts.Ways(f, s.expected) {
			if len(out) < backWays {
				out = append(out, p.Target)
			}
		}
	}
	return out
}

// anyProves reports whether any of these paths proves itself again. What is tried
// for that is evidence like any other connection.
func (s *lasting) anyProves(ctx context.Context, jobs []*job) bool {
	for _, j := range jobs {
		one := *j
		one.probe = echo.NewID()
		i := s.proveOnly(ctx, &one)
		s.mu.Lock()
		for _, c := range connectionsFor(j.initiator, i) {
			c.Purpose = result.PurposeControl
			j.initiator.Connections = append(j.initiator.Connections, c)
		}
		s.mu.Unlock()
		if i.Answer == result.AnswerKeyed {
			return true
		}
	}
	return false
}

// anyAnswers reports whether the far end proves itself on any of these paths.
func (s *dials) anyAnswers(ctx context.Context, ways []netip.AddrPort) bool {
	return s.answers(ctx, ways, s.patienceBack())
}

// patienceBack is how long a path that worked is given to work again.
func (s *dials) patienceBack() time.Duration { return min(s.Timeout, maxBackTime) + s.tripsLong() }

// anyOf tries all targets at once and reports whether one does well. What a try
// tells when its own time is up is evidence: it ends itself.
func anyOf(ctx context.Context, to []netip.AddrPort, try func(context.Context, netip.AddrPort) bool) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	well := make(chan struct{}, len(to))
	var all sync.WaitGroup
	for _, w := range to {
		all.Go(func() {
			if try(ctx, w) {
				well <- struct{}{}
				cancel() // one is enough
			}
		})
	}
	all.Wait()
	return len(well) > 0
}

// lastHeard is when anything came last over any connection, and whether one failed that
// began after that.
func lastHeard(all []result.Connection) (last time.Time, suspect bool) {
	for i := range all {
		if at := all[i].Heard(); at.After(last) {
			last = at
		}
	}
	for i := range all {
		if c := &all[i]; c.IsFailed() && !c.At.Before(last) {
			suspect = true
		}
	}
	return last, suspect && !last.IsZero()
}

// howWaysEnded is how a connection failed that was the last to fail on a path that
// had worked: what never did tells nothing of what became of those. And whether all of
// them opened that failed once those paths were gone back to.
func (s *evidence) howWaysEnded(back time.Time) (ended result.Ended, mute bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var at time.Time
	opened, tried := 0, 0
	for _, j := range s.attempts() {
		all := s.connectionsOf(j)
		if !slices.ContainsFunc(all, func(c result.Connection) bool { return !c.Heard().IsZero() }) {
			continue
		}
		for _, c := range all {
			if !c.IsFailed() {
				continue
			}
			if c.At.After(at) {
				at, ended = c.At.Time, c.Ended
			}
			if j.transport == plan.TCP && !c.At.Before(back) {
				if tried++; c.Reached != result.ReachedNothing && c.Ended == result.EndedSilent {
					opened++
				}
			}
		}
	}
	return ended, tried > 0 && opened == tried
}

// beat is how often a long conversation is watched over.
const beat = 2 * time.Second

// watchOver ends a conversation that may take longer than a step once the far end
// cannot be reached beside it either: a device that forgot a connection says
// nothing to whoever waits on it. A try that is on its way when the conversation
// ends is waited for: it is evidence as well.
func (s *dials) watchOver(ctx context.Context, target netip.AddrPort, timeout time.Duration) (context.Context, context.CancelFunc) {
	watched, cancel := context.WithCancel(ctx)
	if timeout <= s.Timeout || s.Gentle {
		return watched, cancel
	}
	var watch sync.WaitGroup
	watch.Go(func() {
		for missed := 0; sock.Wait(watched, beat); {
			if s.anyAnswers(ctx, []netip.AddrPort{target}) {
				missed = 0
			} else if missed++; missed == backRounds {
				cancel()
			}
		}
	})
	return watched, func() {
		cancel()
		watch.Wait()
	}
}

// enoughSYNs is how long before a cut-off an attempt must have begun for its
// silence to tell: two SYNs went unanswered then (RFC 6298 section 2).
const enoughSYNs = 1500 * time.Millisecond

// cutShort says why a job is untested after a cut-off, "" if what was seen of it
// before tells of it as it is.
func (s *lasting) cutShort(j *job) string {
	i := j.initiator
	if s.cut == nil || i == nil || i.NotTried != "" {
		return ""
	}
	why := s.cut.Error() + "; "
	switch {
	case s.cut.reroute != nil:
	case s.cut.shut:
		why = s.cut.Error() + ", not even to ports that opened before; "
	case s.cut.mute:
		why = s.cut.Error() + ", not even on ports that worked before; "
	case s.cut.anew == "":
		why = s.cut.Error() + ", not even to ports that worked before; "
	}
	if i.Answer != result.AnswerKeyed {
		if s.cut.at.Sub(i.At.Time) > enoughSYNs {
			return ""
		}
		return why + "this path was tried only then"
	}
	passed, failed := 0, 0
	for _, c := range s.beforeCut(s.connectionsOf(j)) {
		switch {
		case c.IsPassed():
			passed++
		case c.IsFailed():
			failed++
		}
	}
	switch {
	case passed+failed == 0 && !slices.ContainsFunc(s.connectionsOf(j), func(c result.Connection) bool { return !c.Heard().IsZero() && !c.Heard().After(s.cut.at) }):
		return why + "this path was tried only then"
	case !isWhole(i):
		return why + "this path was proved before, and its payload did not come to its end"
	case passed < j.samples() && failed > 0:
		return fmt.Sprintf("%sof this path %d connections were tried before, and %d of them failed", why, passed+failed, failed)
	case passed < j.samples():
		return fmt.Sprintf("%sof this path %d connections were tried before, and all passed", why, passed)
	case s.mayConverse(j) && (i.Conversation == nil || i.Conversation.Outcome == result.ConversationNotHeld):
		return why + "this path was proved before, and its service's own conversation was not held"
	case s.cut.anew != "" && i.Conversation != nil && slices.ContainsFunc(i.Connections, func(c result.Connection) bool {
		return c.Purpose == result.PurposeConversation && c.Over().After(s.cut.at)
	}):
		return why + "this path was proved before, and its service's own conversation was not held with the first listener alone"
	case s.conversationCut(i):
		return why + "this path was proved before, and its service's own conversation did not come to its end"
	case s.cut.anew == "" && s.cut.reroute == nil && s.cut.ended != result.EndedReset && failed == 0:
		// It is dead now, whatever was proved: whoever shut this address out does so
		// to its users, too. A listener that ended is no fault of the path.
		return fmt.Sprintf("%sbefore, all %d connections of this path passed", why, passed)
	}
	return ""
}

// conversationCut reports whether a conversation failed that had not ended when nothing
// got through any more, and none went well before.
func (s *lasting) conversationCut(i *result.Initiator) bool {
	cut := false
	for _, c := range i.Connections {
		switch {
		case c.Purpose != result.PurposeConversation:
		case c.IsPassed() && !c.Over().After(s.cut.at):
			return false
		default:
			cut = cut || c.Over().After(s.cut.at)
		}
	}
	return cut && s.cut.anew == "" && i.Conversation != nil && i.Conversation.Outcome != result.ConversationCompleted
}

// beforeCut leaves out what failed when nothing got through any more.
func (s *lasting) beforeCut(all []result.Connection) []result.Connection {
	if s.cut == nil {
		return all
	}
	var out []result.Connection
	for _, c := range all {
		if c.Over().Before(s.cut.at) || c.IsPassed() && (s.cut.anew == "" && s.cut.reroute == nil || !c.At.After(s.cut.at)) {
			out = append(out, c)
		}
	}
	return out
}
