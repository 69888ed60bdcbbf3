// Package survey is one run of dial from end to end: it chooses the paths,
// attempts them, asks the far end for its half and for the way back, joins both
// halves, and returns a report. It holds no flags and prints nothing.
package survey

import (
	"context"
	"errors"
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

// A Config is what one run is to test, and how.
type Config struct {
	Key      echo.Key
	Software string // name and version of this program
	Hostname string // of this machine
	Plan     *plan.Plan
	Excluded []plan.Excluded // rows that the site leaves out, to be listed
	Host     string          // name or address of the far end
	// Also are further names and addresses of it, in order of preference: of
	// each family the first address counts that Host and they give.
	Also  []string
	Local []plan.Role // roles of this machine
	// Remote are the far end's roles; none means those that it says it plays,
	// else plan.DefaultRemote.
	Remote   []plan.Role
	All      bool // every row, as forward to Host
	BothWays bool
	Only     []string
	// Site says which hosts are the institution's own, and of which one address is
	// enough; nil: it says nothing.
	Site    *plan.Site
	Shift   int
	Timeout time.Duration // of each step of an attempt
	Bytes   int64         // payload each way; 0 means echo.PayloadSize
	Trace   bool          // find out where every path stops, not only the counted ones
	Bind    sock.Bind     // to dial from and to accept on
	// Gentle opens one connection after the other, and no more than needed: for a
	// network that shuts out whoever opens many.
	Gentle bool
	// Enter sends one empty line to live software that says nothing until it is spoken to
	// and whose protocol is not public.
	Enter bool
	// ContactPort is a TCP port of the far end's that no row has and where its listener
	// is asked before anything is attempted; 0: the rows' ports alone lead to it.
	ContactPort int
	// Hold is how long connections are kept idle, to find out which gap they
	// survive; 0 keeps none.
	Hold time.Duration
	Watch
}

// With is what runs of this end share. Its zero value is for a run of its own.
type With struct {
	ID   echo.ID        // of the run; zero: a new one
	Own  echo.ID        // this end's own listener, whether it runs yet or not; zero: a new one
	Door *listener.Door // for the reverse rows, and left open; nil: each run has its own
	// Talks has a place for each conversation under way; nil: each run has places of
	// its own.
	Talks chan struct{}
	// Waited is how long both ends dialed each other before this run.
	Waited time.Duration
	// Once: a run is not begun again where the far end's listener is started anew.
	Once bool
}

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

// A survey is one run: what both ends attempt, and what each phase makes of that. A
// phase knows the attempts, and of other phases those that it names.
type survey struct {
	*bothEnds
	*seeking
	*retries
	*studies
	*lasting
	*halves
	*banSearch
	*ordinary
	*decoys
	*conversations
	*tracing
	*idling
	*reports
}

// Run makes a run that shares nothing (see Survey.Run).
func Run(ctx context.Context, c Config) (*result.Report, error) { return New(c, With{}).Run(ctx) }

// A Survey is one run, which is begun again where the far end's listener was started
// anew in its middle.
type Survey struct {
	c    Config
	with With
	last *survey // of several, the one that lasted; nil before
}

// New returns a Survey of what is asked, with what it shares with others.
func New(c Config, w With) *Survey { return &Survey{c: c, with: w} }

// Run makes the run. It returns an error only for a selection of rows that the
// plan cannot have; whatever the network does is in the report. When ctx ends
// the report holds what is known by then.
func (r *Survey) Run(ctx context.Context) (*result.Report, error) {
	fresh := func() *survey {
		r.close()
		r.last = begin(r.c, r.with)
		return r.last
	}
	defer r.close()
	most := maxBegun
	if r.with.Once {
		most = 1
	}
	return untilItLasts(ctx, most, fresh)
}

// NotRun is the report of a run that was not made, because of what f says: its
// paths are untested, and none of them is ok. The error is that of Run.
func NotRun(c Config, f result.Finding) (*result.Report, error) {
	s := begin(c, With{})
	remote := c.remote()
	if err := s.choose(remote); err != nil {
		return nil, err
	}
	for _, j := range s.attempts() {
		j.initiator = &result.Initiator{Probe: j.probe.String(), NotTried: f.Text}
	}
	r := s.report(context.Background(), remote, nil)
	r.Findings = []result.Finding{f}
	return r, nil
}

// close closes the door of the latest run, unless others share it.
func (r *Survey) close() {
	if r.last != nil && r.with.Door == nil {
		r.last.door.Close()
	}
}

// Ask holds a control conversation with the far end after the run, over family f or
// another that has a contact.
func (r *Survey) Ask(ctx context.Context, f result.Family, say func(context.Context, *echo.Conn) error) error {
	return r.last.talk(ctx, f, false, r.c.Timeout, say)
}

// AskAt holds a control conversation over one way to the far end, before the run.
func (r *Survey) AskAt(ctx context.Context, at netip.AddrPort, say func(context.Context, *echo.Conn) error) error {
	return begin(r.c, r.with).contacts.Over(ctx, at, r.c.Timeout, r.c.Timeout, say)
}

func begin(c Config, w With) *survey {
	if w.ID == (echo.ID{}) {
		w.ID = echo.NewID()
	}
	if w.Own == (echo.ID{}) {
		w.Own = echo.NewID()
	}
	if c.Bytes == 0 {
		c.Bytes = echo.PayloadSize
	}
	attempts, talks := maxAtOnce, atOnceConversing
	if c.Gentle {
		attempts, talks = 1, 1
	}
	if w.Talks == nil {
		w.Talks = make(chan struct{}, talks)
	}
	both := &bothEnds{dials{
		Config: c, id: w.ID, own: w.Own, door: w.Door, waited: w.Waited,
		evidence: evidence{spans: spans{started: sock.Now()}, jobs: map[jobKey]*job{}},
		slots:    make(chan struct{}, attempts),
	}}
	both.contacts = both.newBook()
	s := &survey{
		bothEnds: both,
		seeking:  &seeking{bothEnds: both, slow: map[netip.Addr]time.Duration{}},
		lasting:  &lasting{bothEnds: both, compared: map[netip.AddrPort]int{}},
		halves:   &halves{bothEnds: both},
		studies:  &studies{both}, ordinary: &ordinary{both}, idling: &idling{bothEnds: both},
		decoys: &decoys{bothEnds: both}, tracing: &tracing{bothEnds: both},
		conversations: &conversations{both, w.Talks},
	}
	s.retries = &retries{both, s.halves}
	s.banSearch = &banSearch{both, s.retries}
	s.reports = &reports{bothEnds: both, seeking: s.seeking, lasting: s.lasting, halves: s.halves, decoys: s.decoys, tracing: s.tracing}
	return s
}

const (
	// phasesLong is how many times as long as one attempt all phases take that
	// wait for attempts: the first, what is dialed back again, retries and studies.
	phasesLong = 4
	// gentleRows is how many rows a gentle run is given time for.
	gentleRows = 64
)

// Longest is how long a run takes at most: then it ends by itself, and what was
// not tried by then is untested.
func (c Config) Longest() time.Duration {
	long := sock.LookupWithin + phasesLong*dialer.Longest(c.Timeout) + conversingTime + c.Hold + 4*c.Timeout
	if c.Gentle {
		long += gentleRows * 2 * c.Timeout
	}
	return long
}

func (s *survey) run(ctx context.Context) (*result.Report, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Longest(), errLongest)
	defer cancel()
	go sock.KeepPulse(ctx, min(sock.PulseLost, s.Timeout/2), s.stood)
	resolveErr := s.resolve(ctx)
	remote := s.remote()
	if err := s.choose(remote); err != nil {
		return nil, err
	}
	if resolveErr != nil {
		return s.report(ctx, remote, resolveErr), nil
	}
	sources := s.Sources(s.target)
	s.temporary = sock.TemporaryAddrs()
	go sock.KeepLinks(ctx, func() []netip.Addr { return sources }, s.unplugged)
	go sock.KeepRoutes(ctx, s.dialedAt(), s.rerouted)
	remote = s.attemptAll(ctx, remote)
	if !s.contacts.Direct() && !s.isCutOff(ctx) && ctx.Err() == nil {
		s.seek(ctx, remote) // whoever answered may not be whom we dialed
	}
	s.expected = s.expectedInstance()
	for _, p := range phases {
		if s.isCutOff(ctx) {
			break
		}
		if s.OnPhase != nil {
			s.OnPhase(p.name)
		}
		p.do(s, ctx)
	}
	s.isCutOff(ctx)
	if s.isToBeginAgain() {
		return nil, errRestarted
	}
	if s.cut != nil {
		s.gatherHalves(ctx) // as far as this end knows them
	}
	return s.conclude(ctx, remote)
}

// conclude reports, and tells the far end. The connections that this takes are
// evidence as well, for a report that is told in place of the first.
func (s *survey) conclude(ctx context.Context, remote []plan.Role) (*result.Report, error) {
	const tellings = 2
	r := s.report(ctx, remote, nil)
	for range tellings {
		failed := s.failures()
		err := s.submit(ctx, r)
		switch {
		case ctx.Err() != nil, err == nil && s.failures() == failed:
			return r, nil
		case err == nil:
			s.studyAll(ctx)
		default:
			s.isCutOff(ctx)
			if s.isToBeginAgain() {
				return nil, errRestarted
			}
		}
		r = s.report(ctx, remote, nil)
		if err != nil {
			break
		}
	}
	return r, nil
}

// failures counts the connections of all jobs that failed by now.
func (s *evidence) failures() (n int) {
	for _, c := range s.everyConnection() {
		if c.IsFailed() {
			n++
		}
	}
	return n
}

// A phase is one thing that a run does once all paths were attempted.
type phase struct {
	name string
	why  string // it stands where it does
	do   func(*survey, context.Context)
}

// phases are all of them, in this order.
var phases = []phase{
	{"settle", "all paths have shown by now which listener is meant, and whom to ask all that follows", (*survey).settle},
	{"meet others", "what another listener says of itself decides what its paths are held against", (*survey).meetOthers},
	{"live software", "who holds which port is known once the contact is settled, and nothing else may go to those ports", (*survey).tryLive},
	{"dial back again", "a stray listener told of its own paths: the settled one is asked, before anything is made of its halves", (*survey).dialBackAgain},
	{"bans", "what is silent may answer if another port is left alone, which retries would touch again", (*survey).findBan},
	{"retry", "what failed once may pass, and is to be studied only if it does not", (*survey).retryAll},
	{"study", "it opens more connections where some failed, after retries have added theirs", (*survey).studyAll},
	{"decoys", "what is still without proof may be something that answers for any port", (*survey).tryDecoys},
	{"halves", "the far end tells what arrived of all of these; before the conversations, which a witness could take for attempts", (*survey).gatherHalves},
	{"retry what a pause spoilt", "the halves tell of the far end's pauses", (*survey).retrySpoilt},
	{"converse", "a conversation is for paths whose proof is settled", (*survey).converseAll},
	{"study again", "a conversation is a connection, too, and may have failed", (*survey).studyAll},
	{"confirm", "the conversations' tokens are asked about once all were held", (*survey).confirm},
	{"trace", "where a path stops is compared with the way of one that is open by now", (*survey).traceOpen},
	{"hold", "it takes longest, and what died of it must not be held against the others", (*survey).holdAll},
	{"siblings", "whether a sibling held its port to the end is known at the end alone", (*survey).askSiblings},
}

// errLongest ends a run that takes too long.
var errLongest = errors.New("the run took too long")

// choose selects the rows and makes a leg of each row, direction and family, and
// of each address of the far end's that is dialed.
// Called again with other roles of the far end it adds what is new and drops
// what no longer applies and was not attempted.
func (s *dials) choose(remote []plan.Role) error {
	wanted, excluded, err := s.Legs(s.target, remote)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.excluded = append(slices.Clone(s.Excluded), excluded...)
	s.legs = nil
	for _, l := range wanted {
		s.legs = append(s.legs, &leg{l, s.jobFor(l)})
	}
	return nil
}

// A leg is one path of the report to be.
type leg struct {
	Leg
	job *job
}

// A jobKey is what makes two legs one attempt. Port 0 is the one high port that
// the accepting end names for all rows without a port.
type jobKey struct {
	direction        plan.Direction
	transport        plan.Transport
	port, sourcePort int
	family           result.Family
	to               netip.Addr // that is dialed; invalid for reverse ones
}

// keyOf is the attempt of a path, by the port that was dialed, at an address.
func keyOf(p result.PathKey, to netip.Addr) jobKey {
	return jobKey{direction: p.Direction, transport: p.Transport, port: p.Port, sourcePort: p.SourcePort, family: p.Family, to: to}
}

// A job is one attempt, whose outcome fans out to all legs that share it.
type job struct {
	jobKey
	flow  string // the first row that wanted it
	probe echo.ID
	talk  echo.ID // names its service's own conversation
	// speaks is the protocol of all rows that share it, "" if they do not agree.
	speaks plan.Protocol

	// Guarded by the run's mutex until all attempts are over.
	started   bool
	gentle    bool              // no more connections than needed
	trace     bool              // find out where it stops
	hold      bool              // keep connections idle on it
	required  bool              // a row that needs it is one that the plan requires
	studied   bool              // further connections told what those that failed have in common
	retried   result.Connection // when it was attempted anew, and for how long; zero: it was not
	port      int               // as dialed; differs from the key's for named ports
	by        string            // the listener that dialed back
	initiator *result.Initiator
	acceptor  *result.Acceptor
	instance  string           // that ought to answer; "" = not known
	visits    *listener.Visits // of live software that holds the port here; nil: none does
	vacated   bool             // the sibling that accepted in this end's place let go of the port
}

func (s *dials) jobFor(f Leg) *job {
	p := result.NewPath(f.Flow, f.Family)
	k := keyOf(p.Key(), f.To)
	j := s.jobs[k]
	if j == nil {
		j = &job{jobKey: k, flow: f.Row.ID, probe: echo.NewID(), talk: echo.NewID(), speaks: f.Row.Speaks, port: k.port, gentle: s.Gentle}
		s.jobs[k] = j
	}
	if j.speaks != f.Row.Speaks {
		j.speaks = ""
	}
	j.trace = j.trace || s.Trace || f.Counted
	j.required = j.required || f.Row.Need == plan.Required
	j.hold = j.hold || f.Counted || len(s.Only) > 0
	return j
}

// pending returns the jobs of a direction and some families that were not
// started, and marks them started. Those whose port is not known yet are left
// for later unless all is set.
func (s *evidence) pending(d plan.Direction, all bool, families ...result.Family) []*job {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*job
	for _, l := range s.legs {
		if l.Direction == d && slices.Contains(families, l.Family) && !l.job.started && (all || l.job.port != 0) {
			l.job.started = true
			out = append(out, l.job)
		}
	}
	return out
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
const turnTime = 400 * time.Millisecond

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
		waiting, cancel := context.WithTimeout(ctx, turnTime)
		s.contacts.Await(waiting, over, s.families()...)
		cancel()
	}
	return all
}

// From quietTurn on it is those whose live software is best left alone; lastTurn is the
// last.
const quietTurn, lastTurn = 2, 3

// turn says when a job is tried: what a site must have is likely to be held where
// ILLiad runs already.
func (j *job) turn() int {
	turn := 0
	if j.required {
		turn++
	}
	if j.speaks.Language().Quiet {
		turn += quietTurn
	}
	return turn
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
		offered = true
		s.sawTrip(i)
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
	i := dialer.Attempt(ctx, s.pathOf(j), dialer.Options{
		Key: s.Key, Run: s.id, Own: s.own, Timeout: s.Timeout, Bytes: s.Bytes, Trace: trace, Samples: j.samples(), Pace: s.pace(), OnProved: onProved,
	})
	if sock.IsOver(ctx) && isUnfinished(i) {
		i.NotTried = "interrupted"
	}
	return i
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

// countedSamples is how many connections a counted path gets: with the service's
// own conversation beside them, one that fails half of them is missed in two
// runs of a thousand.
const countedSamples = 8

// samples is how many connections a job gets that proves itself.
func (j *job) samples() int {
	if j.trace && !j.gentle {
		return countedSamples
	}
	return dialer.MinSamples
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

// saw takes what an attempt saw. A further connection that failed has a probe
// of its own, by which the accepting end is asked about it.
func (j *job) saw(i result.Initiator) {
	var probe echo.ID
	if probe.UnmarshalText([]byte(i.Probe)) == nil {
		j.probe = probe
	}
	i.Probe = j.probe.String()
	j.initiator = &i
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

// leadsTo reports whether an address is known to lead to a listener; one that stands
// alone is taken to.
func (s *farEnd) leadsTo(to netip.Addr, instance string) bool {
	_, ok := s.contacts.To(to, instance)
	return ok || !s.target.IsOneOfSeveral(to)
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
