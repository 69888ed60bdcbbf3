package survey

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"dialtone/internal/dialer"
	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
	"dialtone/internal/verdict"
)

// maxRetries bounds how many paths are tried again, and retryTimeouts for how
// many timeouts of an attempt.
const (
	maxRetries    = 64
	retryTimeouts = 3
)

// retries are of what one sample does not settle.
type retries struct {
	*bothEnds
	*halves
}

// retryTime is how long paths are tried again, and longer where round trips are long.
func (s *retries) retryTime() time.Duration {
	return retryTimeouts*s.Timeout + tripsBack*s.longestTrip()
}

// retryAll tries again, now that nothing else is under way, what one sample does
// not settle. What is refused or reset at once may have been one connection too
// many for a device that counts them, and what a router could not deliver a machine
// that was away for a moment: each is tried by itself; silence is what
// loss looks like. Silence before the handshake is believed, unless other paths
// of its family show that packets or connections get lost, or its own trace that
// they get through: most of what is silent is meant to be. A path of which some connections passed and some did
// not is studied.
func (s *retries) retryAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.retryTime())
	defer cancel()
	var quick, slow []*job
	for _, j := range s.attempts() {
		if _, ok := s.contacts.HelloOf(j.family); !ok || j.initiator == nil || j.initiator.NotTried != "" || s.isBanner(j) {
			continue
		}
		switch kind := doubtful(j); {
		case kind == doubtQuick:
			quick = append(quick, j)
		case kind == doubtSlow, kind == doubtSilence && (s.attempts().isLossy(j.family) || s.anyMixed(j.family)):
			slow = append(slow, j)
		}
	}
	s.calm(ctx, quick, slow, s.retry)
}

// retrySpoilt tries again what failed while one of the two ends could not do its
// part: it tells nothing, and by now that is over.
func (s *retries) retrySpoilt(ctx context.Context) {
	var spoilt []*job
	for _, j := range s.attempts() {
		if _, ok := s.contacts.HelloOf(j.family); ok && j.initiator != nil && j.initiator.NotTried == "" && !s.isBanner(j) && s.isSpoilt(j) {
			spoilt = append(spoilt, j)
		}
	}
	if len(spoilt) == 0 {
		return
	}
	within, cancel := context.WithTimeout(ctx, s.retryTime())
	defer cancel()
	s.calm(within, nil, spoilt, s.retry)
	s.gatherHalves(ctx)
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

// isSpoilt reports whether a job's attempt, the latest of several, failed and met a
// pause of either end.
func (s *spans) isSpoilt(j *job) bool {
	i := j.initiator
	if i.Answer == result.AnswerKeyed && (j.transport == plan.UDP || isWhole(i)) {
		return false
	}
	return s.metPause(j, func(p pause) bool { return !p.shed && !p.declined })
}

// metPause reports whether a job's attempt, the latest of several, lasted into such a
// pause of either end.
func (s *spans) metPause(j *job, is func(pause) bool) bool {
	attempt := j.retried
	if attempt.At.IsZero() {
		attempt = result.Connection{At: j.initiator.At, ElapsedMS: j.initiator.ElapsedMS}
	}
	s.telling.Lock()
	defer s.telling.Unlock()
	return slices.ContainsFunc(slices.Concat(s.pauses, s.ownPauses, s.otherWays(j)), func(p pause) bool {
		return is(p) && p.meets(&attempt) && (len(p.full) == 0 || j.direction == plan.Forward && slices.Contains(p.full, j.port))
	})
}

// isUntold reports whether all that a job's attempts tell is that a program did not
// run: its machine had opened the connection, which then led to nothing. That a system
// got no answer to its SYN, or got another one, tells of the network all the same.
func (s *spans) isUntold(j *job) bool {
	i := j.initiator
	opened := i.Connect == result.ConnectOpen || i.Connect == result.ConnectTimeout && j.acceptor != nil && j.acceptor.Saw == result.SawAccepted
	stood := i.Answer == result.AnswerSilent || i.Answer == result.AnswerClosed
	if i.Answer == result.AnswerKeyed {
		for _, t := range []*result.Transfer{i.Sent, i.Received} {
			stood = stood || t != nil && t.Hole == nil && (t.Outcome == result.TransferStalled || t.Outcome == result.TransferClosed || t.Outcome == result.TransferUnknown)
		}
	}
	return j.transport == plan.TCP && opened && (stood || i.Connect == result.ConnectTimeout) && s.metPause(j, func(p pause) bool { return !p.shed && !p.declined && !p.link.IsValid() && !p.route })
}

// studyTimeouts is for how many timeouts of an attempt paths are studied,
// studiesAtOnce how many side by side (where silence is what failures look like,
// each pair of connections takes its time), and studyRounds how often at most.
const (
	studyTimeouts = 6
	studiesAtOnce = 2
	studyRounds   = 4
)

// studies are further connections of paths that work in part.
type studies struct{ *bothEnds }

// studyAll opens more connections to each path of which some passed and some did
// not: how many do, and what they have in common. Then also to those that got
// only few, since what fails some on one port may do so on the next.
func (s *studies) studyAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, studyTimeouts*s.Timeout)
	defer cancel()
	var mixed []*job
	for _, j := range s.attempts() {
		if _, ok := s.contacts.HelloOf(j.family); ok && j.sourcePort == 0 && !j.studied && !s.isLive(j) && (j.initiator == nil || j.initiator.Ordinary == nil) && (s.isMixed(j) || s.isThin(j)) {
			mixed = append(mixed, j)
		}
	}
	for range studyRounds {
		if len(mixed) == 0 || !sock.Wait(ctx, calmDown) {
			return
		}
		slices.SortFunc(mixed, countedFirst)
		var all errgroup.Group
		all.SetLimit(1)
		if !slices.ContainsFunc(mixed, s.failsAtOnce) && !s.Gentle {
			all.SetLimit(studiesAtOnce)
		}
		for _, j := range mixed[:min(len(mixed), maxRetries)] {
			all.Go(func() error {
				s.study(ctx, j)
				return nil
			})
		}
		_ = all.Wait() // what failed is in the jobs
		mixed = slices.DeleteFunc(mixed, func(j *job) bool { return !s.isUndecided(j) })
	}
}

// isUndecided reports whether more connections of a job would tell whether loss
// made some fail.
func (s *evidence) isUndecided(j *job) bool {
	passed, failed := result.Compare(s.connectionsOf(j))
	return verdict.IsUndecided(j.transport, s.loss(j.transport), passed, failed)
}

// notThin is how many connections have to carry what they are for where others of the
// family fail some: that half of them would be lost and none of these is, happens once
// in four thousand paths.
const notThin = 12

// isThin reports whether too few connections of a job passed to say of it that it
// is better than others of its family, of which some failed. One that asked the far end
// in small packets is none of them.
func (s *studies) isThin(j *job) bool {
	if j.transport != plan.TCP || j.initiator == nil || !isWhole(j.initiator) || s.Gentle || !s.anyMixed(j.family) {
		return false
	}
	passed, _ := result.Compare(s.connectionsOf(j))
	passed = slices.DeleteFunc(passed, func(c result.Connection) bool { return c.Reached != result.ReachedDone })
	return len(passed) < notThin
}

// failsAtOnce reports whether any connection of a job was ended by somebody,
// rather than by time.
func (s *evidence) failsAtOnce(j *job) bool {
	_, failed := result.Compare(s.connectionsOf(j))
	return slices.ContainsFunc(failed, func(c result.Connection) bool { return c.Ended != result.EndedSilent })
}

// calm calls try for each job once the network is left alone: for those that end
// at once one after the other, and for the others together.
func (s *retries) calm(ctx context.Context, quick, slow []*job, try func(context.Context, *job)) {
	slices.SortFunc(quick, countedFirst)
	slices.SortFunc(slow, countedFirst)
	if len(quick)+len(slow) == 0 || !sock.Wait(ctx, calmDown) {
		return
	}
	for _, j := range quick[:min(len(quick), maxRetries)] {
		if sock.IsOver(ctx) {
			return
		}
		try(ctx, j)
	}
	var all sync.WaitGroup
	for _, j := range slow[:min(len(slow), maxRetries)] {
		all.Go(func() { try(ctx, j) })
	}
	all.Wait()
}

func countedFirst(a, b *job) int {
	if a.trace != b.trace {
		return map[bool]int{true: -1, false: 1}[a.trace]
	}
	return a.port - b.port
}

// anyMixed reports whether some connections of any job of a family passed, and
// some failed or were taken by somebody else.
func (s *evidence) anyMixed(f result.Family) bool {
	for _, j := range s.attempts() {
		if j.family == f && (s.isMixed(j) || s.leadsElsewhere(j)) {
			return true
		}
	}
	return false
}

// losesSome reports whether of the TCP connections of any other job the same way some
// got no answer at all, and others did.
func (s *evidence) losesSome(j *job) bool {
	return slices.ContainsFunc(s.attempts(), func(o *job) bool {
		if o == j || o.transport != plan.TCP || o.family != j.family || o.direction != j.direction || o.to != j.to {
			return false
		}
		passed, failed := result.Compare(s.connectionsOf(o))
		return len(passed) > 0 && slices.ContainsFunc(failed, func(c result.Connection) bool {
			return c.Reached == result.ReachedNothing && c.Ended == result.EndedSilent
		})
	})
}

// isMixed reports whether some connections of a job passed and some failed.
func (s *evidence) isMixed(j *job) bool {
	passed, failed := result.Compare(s.connectionsOf(j))
	return len(passed) > 0 && len(failed) > 0
}

// leadsElsewhere reports whether another listener than a job's took some of its
// connections.
func (s *evidence) leadsElsewhere(j *job) bool {
	return slices.ContainsFunc(s.connectionsOf(j), func(c result.Connection) bool { return c.Ended == result.EndedElsewhere })
}

type doubt int

const (
	doubtNone    doubt = iota
	doubtQuick         // ended at once by RST or FIN, or not delivered
	doubtSlow          // nothing came after the handshake
	doubtSilence       // nothing came at all
)

// doubtful says whether a failure is of a kind that noise causes too.
func doubtful(j *job) doubt {
	i := j.initiator
	if j.transport != plan.TCP || i.Ordinary != nil {
		return doubtNone // datagrams were sent several times; live software gets no more of it
	}
	switch i.Connect {
	case result.ConnectRST:
		return doubtQuick
	case result.ConnectTimeout:
		if i.Trace.Opened() || traceHasGap(i.Trace) {
			return doubtSlow // its own trace shows that some packets do
		}
		return doubtSilence
	case result.ConnectICMP:
		if i.ICMP != nil && i.ICMP.IsRouting() {
			return doubtQuick // a machine or a line that was away for a moment
		}
		return doubtNone
	case result.ConnectOpen:
	default:
		return doubtNone
	}
	switch i.Answer {
	case result.AnswerReset, result.AnswerClosed:
		return doubtQuick
	case result.AnswerSilent:
		return doubtSlow
	case result.AnswerKeyed:
		for _, t := range []*result.Transfer{i.Sent, i.Received} {
			if t != nil && (t.Outcome == result.TransferReset || t.Outcome == result.TransferClosed) {
				return doubtQuick
			}
		}
	}
	return doubtNone
}

// traceHasGap reports whether a trace heard of a device and not of one before it,
// as where some packets get through, or where a router keeps silent.
func traceHasGap(t *result.Trace) bool {
	if t == nil {
		return false
	}
	silent := false
	for _, h := range t.Hops {
		if silent && h.What == result.HopExceeded {
			return true
		}
		silent = silent || h.What == result.HopSilent
	}
	return false
}

// isSound reports whether a TCP attempt was proved and shows nothing that noise
// could have caused.
func isSound(i result.Initiator) bool {
	return i.Answer == result.AnswerKeyed && doubtful(&job{jobKey: jobKey{transport: plan.TCP}, initiator: &i}) == doubtNone
}

// retriesOfSome is how often a path is attempted again of which its trace shows that
// some connections get through, until one proves itself: of a device that resets half of
// them one in 256 stays unseen.
const retriesOfSome = 3

// letsSomeThrough reports whether no attempt of a job was proved, and its trace shows
// that not every connection fares as they did.
func letsSomeThrough(j *job) bool {
	i := j.initiator
	return i.Answer != result.AnswerKeyed && i.Trace != nil && (i.Trace.Varies || i.Trace.Opened() && stoppedShort(i))
}

// stoppedShort reports whether a path's connection did not open.
func stoppedShort(i *result.Initiator) bool {
	return i.Connect == result.ConnectTimeout || i.Connect == result.ConnectRST || i.Connect == result.ConnectICMP
}

// retry attempts a job once more, and again where some connections get through.
func (s *retries) retry(ctx context.Context, j *job) {
	for n := 0; n == 0 || n < retriesOfSome && letsSomeThrough(j) && !sock.IsOver(ctx); n++ {
		s.retryOnce(ctx, j)
	}
}

// retryOnce attempts a job once more. What both attempts saw is kept; the path's
// other facts are those of the one that was proved, or of the first.
func (s *retries) retryOnce(ctx context.Context, j *job) {
	first := *j.initiator
	again := s.attemptEither(ctx, j)
	whole := first
	if again.NotTried == "" && again.Attempts > 0 {
		if isSound(again) || again.Answer == result.AnswerOwn {
			whole = again // by now this end holds the port itself, and says so
		}
		whole.Connections = slices.Concat(connectionsFor(&whole, first), connectionsFor(&whole, again))
		whole.Attempts = first.Attempts + again.Attempts
		whole.At, whole.ElapsedMS = first.At, result.Milliseconds(sock.Since(first.At.Time))
	}
	s.mu.Lock()
	j.saw(whole)
	j.retried = result.Connection{At: again.At, ElapsedMS: again.ElapsedMS}
	s.mu.Unlock()
}

// attemptEither attempts a job from the end that it begins at.
func (s *bothEnds) attemptEither(ctx context.Context, j *job) result.Initiator {
	if j.direction == plan.Forward {
		return s.attempt(ctx, j, false, nil)
	}
	return s.attemptBack(ctx, j)
}

const (
	// studied is how many further connections a path gets that works in part.
	studied = 8
	// repeatedPorts is how many source ports of those that passed, and of those
	// that did not, are tried again, and repeats how often.
	repeatedPorts = 2
	repeats       = 2
)

// study opens further connections of a job from the end that it begins at.
func (s *studies) study(ctx context.Context, j *job) {
	ports := slices.Repeat(portsToRepeat(j.initiator.Connections), repeats)
	var more []result.Connection
	if j.direction == plan.Forward {
		o := s.options()
		o.RTT = rtt(j.initiator)
		more = dialer.Study(ctx, s.pathOf(j), o, j.initiator, ports, studied)
	} else {
		more = s.studyBack(ctx, j, ports)
	}
	for i := range more {
		if more[i].Instance == "" && more[i].Ended == result.EndedElsewhere {
			more[i].Ended = result.EndedUnknown
		}
	}
	s.mu.Lock()
	j.studied = true
	j.initiator.Connections = append(j.initiator.Connections, more...)
	s.mu.Unlock()
}

// rtt is how long a round trip of an attempt took, 0 if that is not known.
func rtt(i *result.Initiator) time.Duration {
	return time.Duration(i.RoundTripMS() * float64(time.Millisecond))
}

// portsToRepeat are source ports of samples that failed, and then of samples that
// passed.
func portsToRepeat(all []result.Connection) []int {
	var failed, passed []int
	for _, c := range all {
		port := int(c.Source.Port())
		if c.Purpose != result.PurposeSample || port == 0 {
			if c.Purpose != result.PurposeProof || !c.IsFailed() || port == 0 {
				continue // a long conversation leaves a TIME_WAIT behind
			}
		}
		switch {
		case c.IsFailed() && len(failed) < repeatedPorts:
			failed = append(failed, port)
		case c.IsPassed() && len(passed) < repeatedPorts:
			passed = append(passed, port)
		}
	}
	return append(failed, passed...)
}

// studyBack has the far end study a job of its own.
func (s *studies) studyBack(ctx context.Context, j *job, ports []int) []result.Connection {
	path, strict := s.backPath(j)
	path.Study, path.Ports, path.RTTMS = studied, ports, j.initiator.RoundTripMS()
	half, by, err := s.dialedBack(ctx, j.family, strict, []echo.BackPath{path})
	if err != nil || by != j.by {
		return nil
	}
	return half[0].Connections
}
