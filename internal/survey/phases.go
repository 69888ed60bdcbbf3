package survey

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

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
	attempts, places := maxAtOnce, atOnceConversing
	if c.Gentle {
		attempts, places = 1, 1
	}
	if w.Conversations == nil {
		w.Conversations = make(chan struct{}, places)
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
		conversations: &conversations{both, w.Conversations},
	}
	s.retries = &retries{both, s.halves}
	s.banSearch = &banSearch{both, s.retries}
	s.reports = &reports{bothEnds: both, seeking: s.seeking, lasting: s.lasting, halves: s.halves, decoys: s.decoys, tracing: s.tracing}
	return s
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
	{"hold", "it takes longest, and what died of it must not be held against the others", (*survey).idleAll},
	{"pauses", "what failed since the far end told of its pauses, as of what it kept idle, may be its own doing", (*survey).askPauses},
	{"siblings", "whether a sibling held its port to the end is known at the end alone", (*survey).askSiblings},
}

// phaseLend is after all of them, if another run of this machine needs the ports still.
const phaseLend = "lend"

// errLongest ends a run that takes too long.
var errLongest = errors.New("the run took too long")
