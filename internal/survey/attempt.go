package survey

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"dialtone/internal/contact"
	"dialtone/internal/dialer"
	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// maxAtOnce bounds the attempts under way.
const maxAtOnce = 2048

// dials is what a run attempts from this end.
type dials struct {
	Config
	evidence
	farEnd
	id    echo.ID        // of this run
	own   echo.ID        // this end's own listener
	door  *listener.Door // for the reverse rows; nil before it is opened
	slots chan struct{}  // a place for each attempt under way
	// waited is how long both ends dialed each other before this run.
	waited time.Duration

	turn     sync.Mutex // held by whoever waits to begin a connection of a gentle run
	lastTurn time.Time

	excluded []plan.Excluded
	done     int
	lacks    result.Lack // what this machine had none left of when the far end was to be asked
}

// attemptAll attempts every path both ways. Reverse paths start as soon as
// somebody can be asked to dial them. It returns the far end's roles.
func (s *survey) attemptAll(ctx context.Context, remote []plan.Role) []plan.Role {
	var g errgroup.Group
	families := s.families()
	if !s.askFirst(ctx) {
		for _, j := range s.pending(plan.Forward, true, families...) {
			s.finish(j, result.Initiator{NotTried: fmt.Sprintf("nobody with the key answered on port %d (--contact), and before it is known which ports live software holds none gets the proof", s.ContactPort)})
		}
	}
	first := s.startInTurn(ctx, &g, remote, s.pending(plan.Forward, false, families...))
	s.contacts.Await(ctx, first, families...)
	if _, ok := s.contacts.Hello(); !ok && !s.isCutOff(ctx) {
		s.contacts.AskAgain(ctx, families...)
		s.comeBack(ctx)
	}
	if _, ok := s.contacts.Hello(); !ok && ctx.Err() == nil && s.cut == nil {
		s.seekPatiently(ctx, remote)
	}
	if hello, ok := s.contacts.Hello(); ok && len(s.Remote) == 0 && len(hello.Roles) > 0 {
		if roles := rolesOf(s.Plan, hello.Roles); len(roles) > 0 && s.choose(roles) == nil {
			remote = roles
		}
	}
	s.startAccepting(ctx)
	second := s.startForward(ctx, &g, s.pending(plan.Forward, false, families...))
	for _, f := range families {
		g.Go(func() error {
			// Each family waits for a contact of its own: it names the ports, and
			// only an address that proved itself is dialed back to.
			s.contacts.Await(ctx, join(first, second), f)
			if len(s.target.Use[f]) > 1 {
				<-join(first, second) // which address leads to the contact, the others show
			}
			s.nameHighPorts(f)
			s.startForward(ctx, &g, s.pending(plan.Forward, true, f))
			s.dialBack(ctx, f, s.pending(plan.Reverse, true, f))
			return nil
		})
	}
	_ = g.Wait() // attempts report, they do not fail
	return remote
}

func rolesOf(p *plan.Plan, names []string) []plan.Role {
	var out []plan.Role
	for _, n := range names {
		if _, ok := p.Roles[plan.Role(n)]; ok {
			out = append(out, plan.Role(n))
		}
	}
	return out
}

// join returns a channel that is closed once both are.
func join(a, b <-chan struct{}) <-chan struct{} {
	c := make(chan struct{})
	go func() { <-a; <-b; close(c) }()
	return c
}

// startForward attempts jobs from this end; the channel it returns is closed
// when all are over.
func (s *dials) startForward(ctx context.Context, g *errgroup.Group, jobs []*job) <-chan struct{} {
	done := make(chan struct{})
	var wave sync.WaitGroup
	for _, j := range jobs {
		wave.Add(1)
		g.Go(func() error {
			defer wave.Done()
			s.forward(ctx, j)
			return nil
		})
	}
	go func() { wave.Wait(); close(done) }()
	return done
}

// turnTime is how long those that are tried first are given to lead to the far end.
// Before those are tried whose live software is best left alone they get an attempt's
// time, and where anything came back turnTimeouts of it: the way or either
// machine may be slow.
const (
	turnTime     = 400 * time.Millisecond
	turnTimeouts = 3
)

// startInTurn does as startForward, and tries those first that live software is least
// likely to hold: once the far end has said which ports are held, none of these gets a
// proof.
func (s *survey) startInTurn(ctx context.Context, g *errgroup.Group, remote []plan.Role, jobs []*job) <-chan struct{} {
	turns := make([][]*job, lastTurn+1)
	for _, j := range jobs {
		turns[j.turn()] = append(turns[j.turn()], j)
	}
	all := s.startForward(ctx, g, nil)
	if len(jobs) > 0 && len(turns[quietTurn])+len(turns[lastTurn]) == len(jobs) {
		s.seekLoud(ctx, remote)
	}
	for n, jobs := range turns {
		if len(jobs) == 0 {
			continue
		}
		over := s.startForward(ctx, g, jobs)
		all = join(all, over)
		if _, ok := s.contacts.Hello(); ok || !slices.ContainsFunc(turns[n+1:], func(later []*job) bool { return len(later) > 0 }) {
			continue
		}
		await := func(patience time.Duration) {
			waiting, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			s.contacts.Await(waiting, over, s.families()...)
		}
		if next := n + 1 + slices.IndexFunc(turns[n+1:], func(later []*job) bool { return len(later) > 0 }); next < quietTurn {
			await(turnTime)
			continue
		}
		await(s.Timeout)
		if s.longestTrip() > 0 {
			await(turnTimeouts * s.Timeout)
		}
	}
	return all
}

func (s *dials) forward(ctx context.Context, j *job) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return
	}
	if j.port == 0 {
		s.finish(j, result.Initiator{NotTried: "there was no contact to name the high port of the data connection"})
		return
	}
	if s.isLive(j) {
		return // it gets ordinary connections, once the far end can be asked about them
	}
	s.takeTurn(ctx)
	s.tell(j, nil)
	var early sync.WaitGroup
	offered := false
	i := s.attempt(ctx, j, j.trace, func(i result.Initiator) {
		s.sawTrip(i)
		if sock.Since(i.At.Time) < dialer.LongTrip {
			return // what it does after that is over soon, and not disturbed
		}
		offered = true
		early.Go(func() { s.mayOffer(ctx, j, i) })
	})
	s.finish(j, i)
	if !offered {
		s.mayOffer(ctx, j, i)
	}
	early.Wait()
}

// mayOffer hands a path over for control conversations that proved itself.
func (s *dials) mayOffer(ctx context.Context, j *job, i result.Initiator) {
	origin, instance := i.Origin, i.Instance
	if instance != "" && i.Answer != result.AnswerVersion && int(origin.Port()) == j.port && j.transport == plan.TCP && j.sourcePort == 0 {
		s.contacts.Offer(ctx, j.family, contact.Way{
			Flow: j.flow, Target: i.Target.AddrPort, Instance: instance, Direct: result.IsSameAddr(origin.Addr(), i.Target.Addr()),
			Source: i.Source.Addr(), SeenAs: i.SeenAs.Addr(),
		})
	}
}

// attempt attempts a forward job from this end. onProved may be nil (see
// dialer.Options).
func (s *dials) attempt(ctx context.Context, j *job, trace bool, onProved func(result.Initiator)) result.Initiator {
	o := s.options()
	o.Bytes, o.Trace, o.Samples, o.OnProved = s.Bytes, trace, j.samples(), onProved
	i := dialer.Attempt(ctx, s.pathOf(j), o)
	if sock.IsOver(ctx) && isUnfinished(i) {
		i.NotTried = "interrupted"
	}
	return i
}

// options are what all that this run dials has in common.
func (s *dials) options() dialer.Options {
	return dialer.Options{Key: s.Key, Run: s.id, Own: s.own, Timeout: s.Timeout, Pace: s.pace()}
}

// pathOf is a forward job as the dialer is asked for it.
func (s *dials) pathOf(j *job) dialer.Path {
	var before []result.Connection
	if j.initiator != nil {
		before = j.initiator.Connections
	}
	return dialer.Path{
		Flow: j.flow, Transport: j.transport, Probe: j.probe, Speaks: j.speaks, Before: before,
		Target: netip.AddrPortFrom(j.to, uint16(j.port)),
		Source: netip.AddrPortFrom(s.Bind.For(j.family), uint16(j.sourcePort)),
	}
}

// gentlePace is how long a gentle run waits between two connections.
const gentlePace = 250 * time.Millisecond

// takeTurn waits, in a gentle run, until so long has passed since a connection
// was begun last.
func (s *dials) takeTurn(ctx context.Context) {
	if !s.Gentle {
		return
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	sock.Wait(ctx, gentlePace-sock.Since(s.lastTurn))
	s.lastTurn = sock.Now()
}

// pace is how long to wait between two connections to one port.
func (s *dials) pace() time.Duration {
	if s.Gentle {
		return gentlePace
	}
	return 0
}

// isUnfinished reports whether a payload did not come through, which proves
// nothing of the path if the run was stopped meanwhile.
func isUnfinished(i result.Initiator) bool {
	if i.Answer != result.AnswerKeyed {
		return false // the attempt itself says how it ended
	}
	intact := 0
	for _, t := range []*result.Transfer{i.Sent, i.Received} {
		switch {
		case t == nil:
		case t.Outcome == result.TransferCorrupted:
			return false
		case t.Outcome == result.TransferIntact:
			intact++
		}
	}
	return intact < 2
}

func (s *dials) finish(j *job, i result.Initiator) {
	s.mu.Lock()
	j.saw(i)
	s.done++
	done, all := s.done, len(s.jobs)
	s.mu.Unlock()
	if s.OnProgress != nil {
		s.OnProgress(done, all)
	}
	s.tell(j, &i)
}

// nameHighPorts gives forward rows of a family that have no port the one that
// the far end named for them.
func (s *bothEnds) nameHighPorts(f result.Family) {
	h, ok := s.contacts.HelloOf(f)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.attempts() {
		if p := h.High[j.flow]; j.direction == plan.Forward && j.jobKey.port == 0 && j.family == f && p >= 1024 && p <= 65535 && s.leadsTo(j.to, h.Instance.String()) {
			j.port = p
		}
	}
}
