package survey

import (
	"context"
	"slices"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// maxRetries bounds how many paths are tried again, and retryTimeouts for how
// many timeouts of an attempt.
const (
	maxRetries    = 64
	retryTimeouts = 3
)

// retryAll gives paths that failed as noise makes them fail another chance,
// now that nothing else is under way. What is refused or reset at once may have
// been one connection too many for a device that counts them, and is tried by
// itself; silence is what loss looks like. Silence before the handshake is
// believed, unless other paths of its family show that packets get lost: most
// of what is silent is meant to be.
func (s *survey) retryAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, retryTimeouts*s.Timeout)
	defer cancel()
	var quick, slow []*job
	for _, j := range s.jobs {
		if _, ok := s.contacts.helloOf(j.family); !ok || j.initiator == nil || j.initiator.NotTried != "" {
			continue
		}
		switch kind := doubtful(j); {
		case kind == doubtQuick:
			quick = append(quick, j)
		case kind == doubtSlow, kind == doubtSilence && s.isLossy(j.family):
			slow = append(slow, j)
		}
	}
	countedFirst := func(a, b *job) int {
		if a.trace != b.trace {
			return map[bool]int{true: -1, false: 1}[a.trace]
		}
		return a.port - b.port
	}
	slices.SortFunc(quick, countedFirst)
	slices.SortFunc(slow, countedFirst)
	if len(quick)+len(slow) == 0 || !wait(ctx, calmDown) {
		return
	}
	for _, j := range quick[:min(len(quick), maxRetries)] {
		s.retry(ctx, j)
	}
	var all sync.WaitGroup
	for _, j := range slow[:min(len(slow), maxRetries)] {
		all.Go(func() { s.retry(ctx, j) })
	}
	all.Wait()
}

type doubt int

const (
	doubtNone    doubt = iota
	doubtQuick         // ended at once by RST or FIN
	doubtSlow          // nothing came after the handshake
	doubtSilence       // nothing came at all
)

// doubtful says whether a failure is of a kind that noise causes too.
func doubtful(j *job) doubt {
	i := j.initiator
	if j.transport != plan.TCP {
		return doubtNone // datagrams were sent several times
	}
	switch i.Connect {
	case result.ConnectRST:
		return doubtQuick
	case result.ConnectTimeout:
		if i.Repeated != nil {
			return doubtSlow // others of its connections passed
		}
		return doubtSilence
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

// lives reports whether the far end's listener is there still: its end is no
// fault of any path.
func (s *survey) lives(ctx context.Context, f result.Family) bool {
	return s.talk(ctx, f, false, s.Timeout, func(context.Context, *echo.Conn) error { return nil }) == nil
}

// isSound reports whether a TCP attempt was proved and shows nothing that noise
// could have caused.
func isSound(i result.Initiator) bool {
	return i.Answer == result.AnswerKeyed && doubtful(&job{jobKey: jobKey{transport: plan.TCP}, initiator: &i}) == doubtNone
}

// isLossy reports whether a proved path of a family lost a SYN or several
// segments.
func (s *survey) isLossy(f result.Family) bool {
	for _, j := range s.jobs {
		if i := j.initiator; j.family == f && i != nil && i.IsLossy() {
			return true
		}
	}
	return false
}

// retry attempts a job once more. Only a proof takes the place of what was
// seen first; how often it was tried is kept either way.
func (s *survey) retry(ctx context.Context, j *job) {
	if ctx.Err() != nil {
		return
	}
	first := *j.initiator
	if first.Repeated != nil {
		j.probe = echo.NewID() // what the accepting end saw of one tells nothing of the other
	}
	again := s.attemptEither(ctx, j)
	if first.Repeated != nil && isSound(again) {
		again = s.attemptEither(ctx, j) // by chance it may be spared once, and not twice
	}
	if again.NotTried != "" || again.Attempts == 0 {
		s.mu.Lock()
		j.saw(first)
		s.mu.Unlock()
		return
	}
	failed := append(slices.Clone(first.Failed), result.Failed{At: first.At, Source: first.Source, Connect: first.Connect, Answer: first.Answer})
	whole := first
	if isSound(again) {
		whole = again
		whole.Failed = failed
	}
	whole.Attempts = first.Attempts + again.Attempts
	whole.At, whole.ElapsedMS = first.At, result.Milliseconds(time.Since(first.At))
	s.mu.Lock()
	j.saw(whole)
	s.mu.Unlock()
}

// attemptEither attempts a job from the end that it begins at.
func (s *survey) attemptEither(ctx context.Context, j *job) result.Initiator {
	if j.direction == plan.Forward {
		return s.attempt(ctx, j, false)
	}
	return s.attemptBack(ctx, j)
}

// recheck attempts those proved paths once more on which no connection could
// be had for the service's own conversation. If none can be had now, there is a
// limit to how many pass, and what was proved of the first tells of it alone.
func (s *survey) recheck(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, retryTimeouts*s.Timeout)
	defer cancel()
	var failed []*job
	for _, j := range s.jobs {
		i := j.initiator
		if i == nil || j.transport != plan.TCP || !isWhole(i) || i.Conversation == nil ||
			i.Conversation.Outcome != result.ConversationNotHeld || i.Conversation.Attempts < 2 || !wait(within, calmDown) {
			continue
		}
		j.probe = echo.NewID()
		again := s.attemptEither(within, j)
		if again.Attempts == 0 || again.NotTried != "" || isWhole(&again) || !s.lives(within, j.family) {
			j.saw(*i)
			continue
		}
		if again.Repeated == nil {
			again.Repeated = &result.Repeated{Tried: 3 + i.Conversation.Attempts, Proved: 2, Origin: i.Origin, Instance: i.Instance}
		}
		j.saw(again)
		failed = append(failed, j)
	}
	if len(failed) > 0 {
		s.gatherHalvesOf(ctx, failed)
	}
}
