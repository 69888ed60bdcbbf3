package survey

import (
	"context"
	"maps"
	"math"
	"net/netip"
	"slices"

	"golang.org/x/sync/errgroup"

	"dialtone/internal/contact"
	"dialtone/internal/dialer"
	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// halves are what the accepting ends saw.
type halves struct {
	*bothEnds
	contactLost error // why the far end could not be asked any more
}

// gatherHalves completes every job by the accepting end's half: the far end's
// for forward jobs, our own for reverse ones. It runs after all attempts.
func (s *halves) gatherHalves(ctx context.Context) {
	s.gatherHalvesOf(ctx, s.attempts())
}

func (s *halves) gatherHalvesOf(ctx context.Context, jobs []*job) {
	var forward []*job
	for _, j := range jobs {
		if j.initiator == nil {
			j.initiator = &result.Initiator{NotTried: "interrupted"}
		}
		if j.initiator.NotTried != "" {
			if j.direction == plan.Reverse {
				s.watchedOnly(ctx, j)
			}
			continue
		}
		switch j.direction {
		case plan.Forward:
			if j.initiator.Ordinary != nil && j.initiator.Connect == result.ConnectOpen {
				continue // it was asked about while it was open
			}
			j.instance = s.expectedAt(j.to)
			j.acceptor = s.fromHello(j)
			forward = append(forward, j)
		case plan.Reverse:
			s.ownHalf(ctx, j)
		}
	}
	if ctx.Err() != nil {
		return
	}
	var asking errgroup.Group
	asking.SetLimit(atOnceAsking)
	for _, f := range s.families() {
		all := s.attempts()
		changed, kept := all.sourceChanged(plan.Forward, f), all.portsKept(plan.Forward, f)
		of := map[string][]*job{} // by whom to ask
		for _, j := range forward {
			if j.family == f {
				of[s.witnessOf(j)] = append(of[s.witnessOf(j)], j)
			}
		}
		for instance, jobs := range of {
			for chunk := range slices.Chunk(jobs, echo.MaxWitness) {
				asking.Go(func() error {
					s.askWitness(ctx, instance, f, chunk, changed, kept)
					return nil
				})
			}
		}
	}
	_ = asking.Wait() // a chunk that got no answer keeps what Hello said
}

// witnessOf is the listener to ask what arrived of a forward job: the one that
// ought to answer, or where an address of several has shown none, whoever is
// known.
func (s *farEnd) witnessOf(j *job) string {
	if j.instance == "" {
		return s.expected
	}
	return j.instance
}

// mayTell reports whether a listener's answer is about a job: of an address that
// led to no listener it can say what it saw of that very connection, and not
// that nothing arrived, since the address may be another machine's.
func (s *farEnd) mayTell(j *job, a result.Acceptor) bool {
	return j.instance != "" || !s.target.IsOneOfSeveral(j.to) || (a.Saw == result.SawHalfOpen || a.Saw == result.SawAccepted) && a.Match != result.MatchTime
}

// atOnceAsking bounds the questions under way: each is several round trips.
const atOnceAsking = 4

// expectedInstance is the listener process that ought to answer: the one that
// answers from the very address that was dialed, since no device can have led
// the connection elsewhere. Behind a NAT none does: then the one that most
// forward paths lead to, and among equals the one that spoke first.
func (s *dials) expectedInstance() string {
	all := s.contacts.All()
	all = append(all, s.alsoProved(all)...)
	first := ""
	if h, ok := s.contacts.Hello(); ok {
		first = h.Instance.String()
	}
	return mostOfAll(all, first)
}

// alsoProved are the listeners that other connections to these paths led to: one
// that is met on more ports is meant, even if the first connection led elsewhere.
func (s *dials) alsoProved(paths []contact.Way) []contact.Way {
	type met struct {
		target   netip.AddrPort
		instance string
	}
	known := map[met]bool{}
	for _, p := range paths {
		known[met{p.Target, p.Instance}] = true
	}
	var out []contact.Way
	add := func(j *job, origin netip.AddrPort, instance string) {
		to := j.initiator.Target.AddrPort
		if m := (met{to, instance}); instance != "" && origin.Port() == to.Port() && !known[m] {
			known[m] = j.transport == plan.TCP // a datagram's port is another, whatever its number
			out = append(out, contact.Way{Flow: j.flow, Target: to, Instance: instance, Direct: origin.Addr() == to.Addr()})
		}
	}
	for _, j := range s.attempts() {
		i := j.initiator
		if j.direction != plan.Forward || i == nil {
			continue
		}
		if j.transport == plan.UDP && i.Answer == result.AnswerKeyed {
			add(j, i.Origin.AddrPort, i.Instance)
		}
		for _, c := range s.connectionsOf(j) {
			if c.Ended == result.EndedElsewhere {
				add(j, c.Origin.AddrPort, c.Instance)
			}
		}
	}
	return out
}

// mostOfAll is the listener that most of some paths lead to; those that lead to
// the very address that was dialed count alone, if there are any. Among equals
// it is first.
func mostOfAll(paths []contact.Way, first string) string {
	count, direct := map[string]int{}, map[string]int{}
	for _, p := range paths {
		count[p.Instance]++
		if p.Direct {
			direct[p.Instance]++
		}
	}
	if len(direct) > 0 {
		count = direct
	}
	best := ""
	if count[first] > 0 {
		best = first
	}
	for _, instance := range slices.Sorted(maps.Keys(count)) {
		if count[instance] > count[best] {
			best = instance
		}
	}
	return best
}

// fromHello is what is known of a forward job's accepting end without asking
// about the job; nil if there was no contact at all.
func (s *farEnd) fromHello(j *job) *result.Acceptor {
	h, ok := s.helloFor(j)
	if !ok && s.target.IsOneOfSeveral(j.to) {
		return nil // whoever answers at another address does not speak for this one
	}
	if !ok {
		if h, ok = s.contacts.Hello(); !ok {
			return nil
		}
	}
	a := &result.Acceptor{
		Instance: h.Instance.String(), Port: result.PortUnbound,
		Saw: result.SawUnknown, Reason: "the listener could not be asked what it saw",
	}
	family := string(j.transport) + "6"
	if j.family == result.IP4 {
		family = string(j.transport) + "4"
	}
	if slices.Contains(h.Bound[family], j.port) {
		a.Port = result.PortBound
	}
	if b := s.busyThere(j); b != nil {
		a.Port, a.Holder = result.PortBusy, b.Holder
	}
	return a
}

// busyThere is what Hello says of other software that holds a forward job's
// port; nil: none does, or there was no contact.
func (s *farEnd) busyThere(j *job) *result.BusyPort {
	h, ok := s.helloFor(j)
	if !ok && s.target.IsOneOfSeveral(j.to) {
		return nil
	}
	if !ok {
		if h, ok = s.contacts.Hello(); !ok {
			return nil
		}
	}
	var busy *result.BusyPort
	for i, b := range h.Busy {
		if b.InUse && b.Port == j.port && b.Transport == j.transport && b.Address.IsOf(j.family) {
			busy = &h.Busy[i]
		}
	}
	return busy
}

// askWitness asks a listener what it saw of forward jobs. changed: a device on
// the way changes their source addresses or ports.
func (s *halves) askWitness(ctx context.Context, instance string, f result.Family, jobs []*job, changed, kept bool) {
	var answers []result.Acceptor
	ask := func() error {
		return s.askOf(ctx, instance, f, false, s.Timeout, func(ctx context.Context, c *echo.Conn) error {
			var q []echo.WitnessQuery
			for _, j := range jobs {
				q = append(q, query(j, changed, kept))
			}
			w, err := c.Witness(ctx, q)
			answers = w.Answers
			s.troubledThere(w)
			return err
		})
	}
	err := ask()
	if err != nil && sock.Wait(ctx, calmDown) {
		err = ask()
	}
	if err != nil {
		if _, ok := s.contacts.HelloOf(f); ok && ctx.Err() == nil {
			s.mu.Lock()
			s.contactLost = err
			s.mu.Unlock()
		}
		return // what Hello said stands
	}
	for i, j := range jobs {
		if s.mayTell(j, answers[i]) {
			j.acceptor = &answers[i]
		}
	}
}

// askPauses has the far end tell of its pauses once more, where a connection of this end's
// failed since it last did. Nothing depends on an answer.
func (s *halves) askPauses(ctx context.Context) {
	untold := func(c result.Connection) bool { return c.IsFailed() && !s.isToldOf(c.Over()) }
	for _, f := range s.families() {
		if !slices.ContainsFunc(s.everyConnection(), untold) {
			return
		}
		_ = s.ask(ctx, f, false, s.Timeout, func(ctx context.Context, c *echo.Conn) error {
			w, err := c.Witness(ctx, nil)
			if err == nil {
				s.troubledThere(w)
			}
			return err
		})
	}
}

// query asks about a job; of its direction and family changed and kept are what the
// others show.
func query(j *job, changed, kept bool) echo.WitnessQuery {
	began := sock.Since(j.initiator.At.Time)
	return echo.WitnessQuery{
		Probe: j.probe, Transport: j.transport, Port: j.port, Source: j.initiator.Source, SourceChanged: changed, PortsKept: kept,
		AlsoSilent: j.initiator.AlsoSilent(), Connect: j.initiator.Connect, BeganMS: began.Milliseconds(), EndedMS: max(0, began.Milliseconds()-int64(j.initiator.ElapsedMS)),
	}
}

// ownHalf says what this end saw of a reverse job.
func (s *halves) ownHalf(ctx context.Context, j *job) {
	j.instance, _ = s.door.Expects(j.transport, j.port, j.family)
	q := s.reverseQuery(j)
	if i := j.initiator; j.visits != nil && i.Ordinary != nil {
		s.joinOrdinary(j)
		if i.Connect == result.ConnectOpen {
			a := j.visits.Half(i)
			j.acceptor = &a
			return
		}
		q.Connect = i.Connect
	}
	j.acceptor = s.door.Half(ctx, s.id, q, s.farAddr(j.family))
}

// joinOrdinary says of each ordinary connection that the far end made what became of it
// by what this end's kernel saw.
func (s *halves) joinOrdinary(j *job) {
	s.mu.Lock()
	i := *j.initiator
	connections := slices.Clone(i.Connections)
	s.mu.Unlock()
	for n := range connections {
		c := &connections[n]
		if c.Ordinary == nil || c.Ended != result.EndedUnknown {
			continue // it did not open, or the far end knows more
		}
		of := i
		of.Source, of.Ordinary, of.Answer = c.Source, c.Ordinary, c.Answer
		a := j.visits.Half(&of)
		dialer.EndOrdinary(c, &a)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j.initiator.Connections = connections
}

// watchedOnly says what reached this end's port of a reverse job that nobody
// could be asked to attempt: the far end may have dialed it by itself.
func (s *halves) watchedOnly(ctx context.Context, j *job) {
	q := echo.WitnessQuery{Transport: j.transport, Port: j.port, SourceChanged: true, BeganMS: math.MaxInt64} // since it is open
	j.acceptor = s.door.Half(ctx, s.id, q, s.farAddr(j.family))
}

// reverseQuery asks about a reverse job. The far end's clock timed the attempt;
// ours only knows that it was since the run began.
func (s *halves) reverseQuery(j *job) echo.WitnessQuery {
	all := s.attempts()
	q := query(j, all.sourceChanged(plan.Reverse, j.family), all.portsKept(plan.Reverse, j.family))
	q.BeganMS, q.EndedMS, q.Connect = sock.Since(s.started).Milliseconds(), 0, ""
	return q
}
