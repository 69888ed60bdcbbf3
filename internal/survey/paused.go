package survey

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
	"dialtone/internal/verdict"
)

// A pause is a span in which a listener, the far end's or this end's own, could
// not do its part, by this end's clock.
type pause struct {
	from, to time.Time
	shed     bool  // it only ended connections, to keep within its limits
	declined bool  // it only left datagrams without the key unanswered
	full     []int // only connections to these ports were turned away, and some of them
	// link is the address of this machine that could not be used then; invalid: it
	// was the program that did not run.
	link netip.Addr
	// route: this machine sent by another way, which is nobody's fault on the first.
	route bool
}

// spans are those of a run in which either end could not do its part, or this machine
// sent by another way. They may be told of by many at once.
type spans struct {
	started time.Time // when the run was

	telling   sync.Mutex
	pauses    []pause        // of the far end's listener
	toldAt    time.Time      // when it told of them last; zero: it did not
	shed      int            // connections that it ended in a minute, crowded by strangers
	ownPauses []pause        // of this program, and of this machine's links
	reroutes  []sock.Reroute // while which the far end was sent to by another way than at first
}

// meets reports whether a connection lasted into the span.
func (p pause) meets(c *result.Connection) bool {
	return !c.At.After(p.to) && !c.Over().Before(p.from)
}

// aboutPauses is how much less exact a span is here than there: it took its time
// to be told, and to be noticed.
const aboutPauses = 500 * time.Millisecond

// pausedThere keeps what the far end tells of its pauses.
func (s *spans) pausedThere(spans []echo.Span, now time.Time) {
	s.telling.Lock()
	defer s.telling.Unlock()
	s.pauses, s.toldAt = pausesOf(spans, now), now // it tells all of them each time
}

// isToldOf reports whether the far end told of its pauses after a moment.
func (s *spans) isToldOf(at time.Time) bool {
	s.telling.Lock()
	defer s.telling.Unlock()
	return s.toldAt.After(at)
}

// pausesOf are the spans that a listener tells of, those that make sense.
func pausesOf(spans []echo.Span, now time.Time) (out []pause) {
	ago := func(ms int64) time.Time { return now.Add(-time.Duration(ms) * time.Millisecond) }
	for _, p := range spans {
		if p.EndedMS < 0 || p.BeganMS < p.EndedMS || p.BeganMS > int64(24*time.Hour/time.Millisecond) {
			continue
		}
		out = append(out, pause{from: ago(p.BeganMS).Add(-aboutPauses), to: ago(p.EndedMS).Add(aboutPauses), shed: p.Shed, declined: p.Declined, full: p.Full})
	}
	return out
}

// troubledThere keeps what a witness tells beside its answers: both.
func (s *spans) troubledThere(w echo.Witnessed) {
	s.pausedThere(w.Paused, sock.Now())
	s.crowdedThere(w.Shed)
}

// crowdedThere keeps how many connections the far end says it ended of late, to
// keep within its limits.
func (s *spans) crowdedThere(shed int) {
	s.telling.Lock()
	defer s.telling.Unlock()
	s.shed = max(s.shed, shed)
}

// stood keeps that this program itself did not run for a while. Spans in a row are one.
func (s *spans) stood(since time.Time, gap time.Duration) {
	s.telling.Lock()
	defer s.telling.Unlock()
	if n := len(s.ownPauses); n > 0 && !s.ownPauses[n-1].link.IsValid() && !s.ownPauses[n-1].to.Before(since) {
		s.ownPauses[n-1].to = since.Add(gap + aboutPauses)
		return
	}
	s.ownPauses = append(s.ownPauses, pause{from: since, to: since.Add(gap + aboutPauses)})
}

// stoodFor is for how long this program did not run in all.
func (s *spans) stoodFor() (sum time.Duration) {
	s.telling.Lock()
	defer s.telling.Unlock()
	for _, p := range s.ownPauses {
		if !p.link.IsValid() {
			sum += p.to.Sub(p.from) - aboutPauses
		}
	}
	return sum
}

// unplugged keeps that an address of this machine could not be used, from a
// moment on until another: each time it is told of longer.
func (s *spans) unplugged(addr netip.Addr, from, to time.Time) {
	s.telling.Lock()
	defer s.telling.Unlock()
	for n := range s.ownPauses {
		if p := &s.ownPauses[n]; p.link == addr && p.from.Equal(from) {
			p.to = to
			return
		}
	}
	s.ownPauses = append(s.ownPauses, pause{from: from, to: to, link: addr})
}

// away is which addresses of this machine could not be used for a while.
func (s *spans) away() verdict.Away {
	s.telling.Lock()
	defer s.telling.Unlock()
	sum := map[netip.Addr]time.Duration{}
	for _, p := range s.ownPauses {
		if p.link.IsValid() {
			sum[p.link] += p.to.Sub(p.from)
		}
	}
	var out verdict.Away
	for a, d := range sum {
		out.Addrs, out.For = append(out.Addrs, a), max(out.For, d)
	}
	slices.SortFunc(out.Addrs, netip.Addr.Compare)
	return out
}

// ofThisEnd are the spans in which this end could not do its part of a job.
func (s *spans) ofThisEnd(j *job) []pause {
	s.telling.Lock()
	defer s.telling.Unlock()
	return slices.Concat(s.ownPauses, s.otherWays(j))
}

// isUnplugged reports whether an address of this machine could not be used at any
// time since a moment.
func (s *spans) isUnplugged(since time.Time) bool {
	s.telling.Lock()
	defer s.telling.Unlock()
	return slices.ContainsFunc(s.ownPauses, func(p pause) bool { return p.link.IsValid() && !p.to.Before(since) })
}

// Sources are the addresses of this machine that connections of a run to these
// addresses come from.
func (c Config) Sources(target sock.Target) []netip.Addr {
	var out []netip.Addr
	for family, addrs := range target.Use {
		for _, to := range addrs {
			a := c.Bind.For(family)
			if !a.IsValid() {
				a, _ = sock.SourceFor(netip.AddrPortFrom(to, 9)) // no packet is sent
			}
			if a.IsValid() && !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// pausedFor is for how long the far end's listener could not do its part since
// the run began.
func (s *spans) pausedFor(now time.Time) time.Duration {
	sum, told := time.Duration(0), s.started // what is counted already
	for _, p := range slices.SortedFunc(slices.Values(s.pauses), func(a, b pause) int { return a.from.Compare(b.from) }) {
		if p.shed || p.declined || len(p.full) > 0 {
			continue
		}
		from, to := p.from.Add(aboutPauses), p.to.Add(-aboutPauses)
		if from.Before(told) {
			from = told
		}
		if to.After(now) {
			to = now
		}
		if to.After(from) {
			sum, told = sum+to.Sub(from), to
		}
	}
	return sum
}

// fullPorts are those of the far end's listener that turned connections away since the
// run began, as its queue was full.
func (s *spans) fullPorts() (out []int) {
	for _, p := range s.pauses {
		if !p.to.Before(s.started) {
			out = append(out, p.full...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// foundFull reports whether the queue of its port was full each time that a connection
// asked for its place: with each SYN, or when it opened here and not there.
func foundFull(c *result.Connection, pauses []pause, port int) bool {
	asked := synsOf(c)
	if c.Reached != result.ReachedNothing {
		asked = []time.Time{c.Opened()}
	}
	return !slices.ContainsFunc(asked, func(at time.Time) bool {
		return !slices.ContainsFunc(pauses, func(p pause) bool { return slices.Contains(p.full, port) && !at.Before(p.from) && !at.After(p.to) })
	})
}

// synsOf is when the SYNs of a connection were sent that got no answer (RFC 6298
// section 2).
func synsOf(c *result.Connection) (out []time.Time) {
	for _, after := range []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second} {
		if at := c.At.Add(after); after == 0 || at.Before(c.Over()) {
			out = append(out, at)
		}
	}
	return out
}

// besidePauses takes back what connections seem to tell that got no answer, or
// were ended once they had opened, while the far end's listener could not answer.
func besidePauses(all []result.Connection, pauses []pause, t plan.Transport, port int) []result.Connection {
	if len(pauses) == 0 {
		return all
	}
	isDatagram := func(c *result.Connection) bool {
		return t == plan.UDP && c.Purpose == result.PurposeConversation
	}
	all = slices.Clone(all)
	for i := range all {
		c := &all[i]
		opened := c.Reached == result.ReachedConnected || c.Reached == result.ReachedProved
		// Where a link was down this machine, or the last router before the other, says
		// that it cannot deliver.
		icmp := c.Ended == result.EndedICMP
		if !c.IsFailed() {
			continue
		}
		stood := c.Ended == result.EndedSilent || c.Ended == result.EndedClosed || icmp || opened && c.Ended == result.EndedReset
		mine := func(p pause) bool {
			switch {
			case !stood && !p.route:
				return false // another way may answer anything
			case p.link.IsValid() && c.Source.IsValid() && c.Source.Addr() != p.link:
				return false
			case p.shed && (!opened || c.Ended == result.EndedSilent):
				return false // what was shed had opened, and was ended
			case p.declined && !isDatagram(c):
				return false
			case len(p.full) > 0:
				return t == plan.TCP && slices.Contains(p.full, port) && (opened || c.Ended == result.EndedSilent) && foundFull(c, pauses, port)
			}
			return p.meets(c)
		}
		if slices.ContainsFunc(pauses, mine) {
			c.Ended = result.EndedUnknown
		}
	}
	return all
}

// tooBusy is why something tells nothing, but for when that was.
const tooBusy = "this machine or the far end's was too busy to run its program, or it was stopped, "

// isMostlySpoilt reports whether pauses excuse all that failed, and that is more than
// passed: what seems to pass always may fail as often as not, for all that is known.
func isMostlySpoilt(before, after []result.Connection) bool {
	const few = 6 // are what one pause spoils of what is tried at once
	spoilt, passed := 0, 0
	for n := range after {
		switch c := &after[n]; {
		case c.IsFailed():
			return false // that tells
		case c.IsPassed():
			passed++
		case before[n].IsFailed():
			spoilt++
		}
	}
	return spoilt >= few && spoilt > passed
}

// besideStops takes back that a conversation got no answer, if each time that it got none
// one of the two programs did not run: of its connections, besidePauses took back that.
func besideStops(i *result.Initiator, t plan.Transport) {
	c := i.Conversation
	if t != plan.TCP || c == nil || c.Outcome != result.ConversationSilent {
		return
	}
	met := false
	for _, one := range i.Connections {
		switch {
		case one.Purpose != result.PurposeConversation:
		case one.IsFailed():
			return
		default:
			met = met || one.Ended == result.EndedUnknown
		}
	}
	if met {
		not := *c
		not.Outcome, not.Failures = result.ConversationNotHeld, 0
		not.Error = tooBusy + "while the conversation was held"
		i.Conversation = &not
	}
}

// besideDeclines takes back that a conversation by datagrams, which carries no key,
// got no answer while the far end left them unanswered since others sent them in
// this end's name.
func besideDeclines(i *result.Initiator, pauses []pause, t plan.Transport) {
	c := i.Conversation
	if t != plan.UDP || c == nil || c.Outcome != result.ConversationSilent {
		return
	}
	declined := func(one result.Connection) bool {
		return one.Purpose == result.PurposeConversation && slices.ContainsFunc(pauses, func(p pause) bool {
			return p.declined && p.meets(&one)
		})
	}
	if slices.ContainsFunc(i.Connections, declined) {
		not := *c
		not.Outcome, not.Failures = result.ConversationNotHeld, 0
		not.Error = "the listener did not answer, since others asked in the name of this address and it sends there no more than it proved itself for"
		i.Conversation = &not
	}
}

// besideSheds takes back that the service's own conversation was ended, where the far
// end's listener ended connections at that time to keep within its limits: neither was
// that a device on the way, nor is it known that none would. One that was ended at
// another time tells all the same.
func besideSheds(i *result.Initiator, pauses []pause) {
	c := i.Conversation
	if c == nil || i.NotTried != "" || c.Outcome != result.ConversationReset && c.Outcome != result.ConversationClosed {
		return
	}
	ended := false
	for _, one := range i.Connections {
		if one.Purpose != result.PurposeConversation || one.Ended == result.EndedWell {
			continue
		}
		if !slices.ContainsFunc(pauses, func(p pause) bool { return p.shed && p.meets(&one) }) {
			return
		}
		ended = true
	}
	if ended {
		i.NotTried = "the listener was crowded by strangers, and ended connections at that time that had not proved themselves, as its service's conversation has not when it begins: run dial again"
	}
}

// beganAt is when the far end's listener was started that a job leads to, if that
// was certainly during this run; zero: it may have run already, or nobody tells.
func (s *reports) beganAt(j *job) time.Time {
	c, ok := s.contacts.Of(j.family)
	if j.direction != plan.Forward || !ok || c.Wrong || !c.Began.Add(-c.Sooner).After(s.started) || s.target.IsOneOfSeveral(j.to) {
		return time.Time{}
	}
	return c.Began
}

// late is how long after this run began the far end's listener was started, if
// anything failed before that.
func (s *reports) late() (longest time.Duration) {
	for _, j := range s.attempts() {
		began := s.beganAt(j)
		if j.initiator == nil || began.IsZero() {
			continue
		}
		if slices.ContainsFunc(s.connectionsOf(j), func(c result.Connection) bool { return failedBefore(c, began) }) {
			longest = max(longest, began.Sub(s.started))
		}
	}
	return longest
}

// failedBefore reports whether a connection failed, and there was no listener when
// it was tried. One that went on being tried once there was, and got no answer
// then either, failed for another cause.
func failedBefore(c result.Connection, began time.Time) bool {
	if !c.IsFailed() || !c.At.Before(began) {
		return false
	}
	if c.Ended != result.EndedSilent || c.Reached != result.ReachedNothing {
		return true
	}
	const enough = 2 // one may be lost
	unanswered := 0
	for _, at := range synsOf(&c) {
		if at.After(began) && at.Before(c.Over()) {
			unanswered++
		}
	}
	return unanswered < enough
}

// sinceItBegan takes back what connections seem to tell that failed before the
// far end's listener was started.
func sinceItBegan(i *result.Initiator, began time.Time) {
	if began.IsZero() {
		return
	}
	i.Connections = slices.Clone(i.Connections)
	early, told := false, false
	for n := range i.Connections {
		c := &i.Connections[n]
		if failedBefore(*c, began) {
			c.Ended, early = result.EndedUnknown, true
		}
		told = told || c.IsFailed() || c.IsPassed()
	}
	if early && !told && i.Answer != result.AnswerKeyed && i.NotTried == "" {
		i.NotTried = "the listener was started only after this path was tried"
	}
}
