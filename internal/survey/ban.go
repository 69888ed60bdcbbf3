package survey

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/dialer"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
	"dialtone/internal/verdict"
)

// A ban is a span in which nothing of this machine's got an answer, on any port,
// since it had touched one: a honeypot's, or one that intrusion prevention watches.
type ban struct {
	by       *job
	from, to time.Time
}

const (
	// banPause is how long no other port is touched, where nobody proved anything,
	// before those that count are tried alone.
	banPause = 4 * time.Second
	// banBegins is how soon after a port was touched a ban begins, and shortestBan how
	// long one lasts at least that makes another port silent: until its second and third
	// SYN (RFC 6298 section 2).
	banBegins, shortestBan = 100 * time.Millisecond, 3 * time.Second
	// banPatience is how long a port that opened before is given to open: two SYNs
	// (RFC 6298 section 2).
	banPatience = 1500 * time.Millisecond
	// touchTime is how long a port that never answered is given when it is touched.
	touchTime = 300 * time.Millisecond
	// maxTouches bounds how many ports are touched to find the one, maxBan for how
	// long the end of a ban is waited for, and maxBanSearch all of it.
	maxTouches   = 8
	maxBan       = 12 * time.Second
	maxBanSearch = 30 * time.Second
)

// banSearch is for a port that is better left alone.
type banSearch struct {
	*bothEnds
	*retries
}

// findBan finds out whether paths that count are silent only since this run tried
// others, on which nothing depends: it leaves those alone for a while, and tries
// those that count once more. Where these answer then, the others are touched one
// after the other, to see which of them makes all silent.
func (s *banSearch) findBan(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, maxBanSearch)
	defer cancel()
	for _, f := range s.families() {
		needed, shaken, others := s.silentBeside(f)
		others = slices.DeleteFunc(others, s.passedSoonAfter)
		if len(needed)+len(shaken) == 0 || len(others) == 0 {
			continue
		}
		_, met := s.contacts.HelloOf(f)
		pause := calmDown
		if !met {
			pause = min(banPause, 2*s.Timeout) - sock.Since(lastTried(others))
		}
		if !sock.Wait(ctx, pause) {
			return
		}
		freed := append(s.tryAlone(ctx, needed), shaken...)
		if len(freed) == 0 {
			continue
		}
		if !met {
			s.expected = s.expectedInstance()
			s.settle(ctx)
		}
		again := s.touch(ctx, freed, others)
		if s.cut != nil {
			return
		}
		s.calm(ctx, nil, again, s.retry)
		if !met {
			s.dialBackLate(ctx, f)
		}
	}
}

// silentBeside are the forward attempts of a family that count and got no answer, those
// that count and got none on one of several connections, and those on which nothing
// depends and that proved nothing.
func (s *banSearch) silentBeside(f result.Family) (needed, shaken, others []*job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	counted := map[*job]bool{}
	for _, l := range s.legs {
		counted[l.job] = counted[l.job] || l.Counted && l.Row.Expect != plan.ExpectClosed
	}
	for _, j := range s.attempts() {
		i := j.initiator
		switch {
		case j.direction != plan.Forward || j.family != f || i == nil || i.NotTried != "" || i.Attempts == 0 || i.Ordinary != nil || s.isLive(j):
		case !counted[j] && i.Answer != result.AnswerKeyed:
			others = append(others, j)
		case counted[j] && j.transport == plan.TCP && j.sourcePort == 0 && i.Connect == result.ConnectTimeout:
			needed = append(needed, j)
		case counted[j] && j.transport == plan.TCP && j.sourcePort == 0 && i.Answer == result.AnswerKeyed && slices.ContainsFunc(i.Connections, func(c result.Connection) bool {
			return c.Ended == result.EndedSilent && c.Reached == result.ReachedNothing
		}):
			shaken = append(shaken, j)
		}
	}
	slices.SortStableFunc(others, func(a, b *job) int { return a.initiator.At.Compare(b.initiator.At.Time) })
	return needed, shaken, others
}

// passedSoonAfter reports whether anything got through right after a port was touched
// first: then that set off no ban.
func (s *evidence) passedSoonAfter(touched *job) bool {
	at := touched.initiator.At
	for _, j := range s.attempts() {
		if j.direction != plan.Forward || j.family != touched.family {
			continue
		}
		for _, c := range s.connectionsOf(j) {
			if c.IsPassed() && c.At.After(at.Add(banBegins)) && c.Over().Before(at.Add(shortestBan)) {
				return true
			}
		}
	}
	return false
}

// lastTried is when the last of some attempts was over.
func lastTried(jobs []*job) (last time.Time) {
	for _, j := range jobs {
		if over := attemptOver(j.initiator); over.After(last) {
			last = over
		}
	}
	return last
}

func attemptOver(i *result.Initiator) time.Time {
	return i.At.Add(time.Duration(i.ElapsedMS * float64(time.Millisecond)))
}

// tryAlone attempts again those that open by now, and returns those that prove
// themselves.
func (s *banSearch) tryAlone(ctx context.Context, jobs []*job) (freed []*job) {
	open := make([]bool, len(jobs))
	var all sync.WaitGroup
	for n, j := range jobs {
		all.Go(func() { open[n] = s.opens(ctx, netip.AddrPortFrom(j.to, uint16(j.port)), banPatience+s.tripsLong()) })
	}
	all.Wait()
	var again []*job
	for n, j := range jobs {
		if open[n] {
			again = append(again, j)
		}
	}
	s.calm(ctx, nil, again, s.retry)
	for _, j := range again {
		if j.initiator.Answer == result.AnswerKeyed {
			s.mayOffer(ctx, j, *j.initiator)
			freed = append(freed, j)
		}
	}
	return freed
}

// touch tries others one after the other, and after each whether those that answered
// still do. It returns the others that prove themselves by now.
func (s *banSearch) touch(ctx context.Context, freed, others []*job) (again []*job) {
	var ways []netip.AddrPort
	for _, j := range freed[:min(len(freed), backWays)] {
		ways = append(ways, j.initiator.Target.AddrPort)
	}
	for _, j := range others[:min(len(others), maxTouches)] {
		if sock.IsOver(ctx) {
			return again
		}
		if s.isLive(j) {
			continue // it is known by now, and gets no proof
		}
		b, proved := s.touchOne(ctx, j, ways)
		if b != nil && b.long() < shortestBan && !b.to.IsZero() { // loss may do that once
			b, proved = s.touchOne(ctx, j, ways)
		}
		switch {
		case proved:
			again = append(again, j)
		case b == nil:
		case b.to.IsZero():
			s.cut = &cutOff{at: b.from, ended: result.EndedSilent, touched: j}
			return again
		default:
			s.bans = append(s.bans, *b)
		}
	}
	return again
}

// touchOne tries a port, and then whether what answered right before still does. It
// returns the ban that this sets off, without an end if that did not come; nil: none.
// Where what answered does not even do so if nothing is touched, it is none either.
func (s *banSearch) touchOne(ctx context.Context, j *job, ways []netip.AddrPort) (b *ban, proved bool) {
	from, patience := sock.Now(), banPatience+s.tripsLong()
	o := s.options()
	o.Timeout, o.ProofOnly = touchTime+s.longestTrip(), true
	i := dialer.Attempt(ctx, s.pathOf(j), o)
	if i.Answer == result.AnswerKeyed || s.answers(ctx, ways, patience) {
		return nil, i.Answer == result.AnswerKeyed
	}
	to, over := s.awaitBanEnd(ctx, ways)
	switch {
	case sock.IsOver(ctx):
		return nil, false
	case !over:
		return &ban{by: j, from: from}, false
	case !sock.Wait(ctx, touchTime) || !s.answers(ctx, ways, patience):
		return nil, false
	}
	return &ban{j, from, to}, false
}

// awaitBanEnd waits until any of these opens again, and returns when.
func (s *banSearch) awaitBanEnd(ctx context.Context, ways []netip.AddrPort) (to time.Time, over bool) {
	const every = 500 * time.Millisecond
	for began := sock.Now(); sock.Since(began) < maxBan; {
		if anyOf(ctx, ways, func(ctx context.Context, w netip.AddrPort) bool { return s.opens(ctx, w, every+s.longestTrip()) }) {
			return sock.Now(), s.answers(ctx, ways, banPatience+s.tripsLong())
		}
		if sock.IsOver(ctx) {
			break
		}
	}
	return time.Time{}, false
}

// answers reports whether the far end proves itself on any of these within a time.
// Each is evidence.
func (s *dials) answers(ctx context.Context, ways []netip.AddrPort, within time.Duration) bool {
	return anyOf(ctx, ways, func(ctx context.Context, w netip.AddrPort) bool {
		c, err := s.contacts.Open(ctx, w, within)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// dialBackLate has the far end dial back what nobody could be asked for before.
func (s *bothEnds) dialBackLate(ctx context.Context, f result.Family) {
	if _, ok := s.contacts.HelloOf(f); !ok {
		return
	}
	var back []*job
	for _, j := range s.attempts() {
		if j.direction == plan.Reverse && j.family == f && j.by == "" && j.initiator != nil && j.initiator.Attempts == 0 {
			back = append(back, j)
		}
	}
	s.dialBack(ctx, f, back)
}

// isBanner reports whether whoever touches a job's port is banned: it is left alone.
func (s *evidence) isBanner(j *job) bool {
	return slices.ContainsFunc(s.bans, func(b ban) bool { return b.by == j })
}

// long is for how long a ban lasted.
func (b ban) long() time.Duration { return b.to.Sub(b.from) }

// meets reports whether a connection got no answer while a ban lasted: the one that
// was set off on purpose, or the one before.
func (b ban) meets(c result.Connection) bool {
	first := b.by.initiator
	return c.Ended == result.EndedSilent &&
		(!c.At.Before(b.from) && c.At.Before(b.to) || !c.At.Before(first.At.Time) && c.At.Before(attemptOver(first).Add(b.long())))
}

// banOf is the ban that a job sets off, or that made all of its connections fail that
// did; nil: none.
func (s *evidence) banOf(j *job, all []result.Connection) *result.Ban {
	for _, b := range s.bans {
		if b.by == j {
			return b.told()
		}
	}
	passed, failed := result.Compare(all)
	if j.direction != plan.Forward || len(passed) == 0 || len(failed) == 0 {
		return nil
	}
	for _, c := range failed {
		if !slices.ContainsFunc(s.bans, func(b ban) bool { return b.by.family == j.family && b.meets(c) }) {
			return nil
		}
	}
	at := slices.IndexFunc(s.bans, func(b ban) bool { return b.by.family == j.family && b.meets(failed[0]) })
	return s.bans[at].told()
}

func (b ban) told() *result.Ban {
	return &result.Ban{Port: b.by.port, Transport: b.by.transport, At: result.TimeOf(b.from), ForMS: result.Milliseconds(b.long())}
}

// banned are the bans as the report's findings tell of them.
func (s *evidence) banned() (out []verdict.Ban) {
	for _, b := range s.bans {
		out = append(out, verdict.Ban{Ban: *b.told(), Host: b.by.to})
	}
	return out
}
