package verdict

import (
	"fmt"

	"dialtone/internal/result"
)

// lacksEvidence reports whether a path has a verdict, and not the half of the
// evidence that the verdict speaks of. No run leaves such a path; a report from
// elsewhere may hold whatever somebody wrote into it.
func lacksEvidence(p result.Path) bool {
	i, a := p.Initiator, p.Acceptor
	switch {
	case p.Verdict == result.Untested, p.Verdict == result.Open:
		return false // neither accuses anybody; that an open path is one is Judge's to say
	case i == nil:
		return true
	}
	ofService := i.Answer == result.AnswerKeyed && isWhole(i) // what failed then can only be the service's conversation
	switch p.Verdict {
	case result.Filtered, result.ReplyLost, result.Occupied:
		return a == nil
	case result.Arrived:
		return i.Ordinary == nil || a == nil || a.Saw != result.SawAccepted
	case result.Intercepted:
		if i.Ordinary != nil {
			return a == nil && i.Conversation == nil
		}
		foreign := i.Answer == result.AnswerForeign || i.Answer == result.AnswerEchoed
		return i.Conversation == nil && (ofService || a == nil || a.Port == result.PortBusy || !foreign)
	case result.Reset, result.Stalled:
		return ofService && i.Conversation == nil
	case result.Corrupted:
		return !hasTransfer(i, func(t *result.Transfer) bool { return t.Outcome == result.TransferCorrupted })
	case result.MTUHole:
		return !hasTransfer(i, func(t *result.Transfer) bool { return t.Hole != nil })
	case result.Unsteady:
		passed, failed := result.Compare(i.Connections)
		return (len(passed) == 0 || len(failed) == 0 && i.Conversation == nil && !stoppedInPayload(i)) && len(ageLimits(i.Idle)) == 0
	case result.IdleDropped:
		return len(idleLimits(i.Idle)) == 0
	}
	return false
}

// stoppedInPayload reports whether the payload of a proved path did not come through.
func stoppedInPayload(i *result.Initiator) bool {
	return i.Answer == result.AnswerKeyed && hasTransfer(i, func(t *result.Transfer) bool { return t.Outcome != result.TransferIntact })
}

func hasTransfer(i *result.Initiator, is func(*result.Transfer) bool) bool {
	return i.Sent != nil && is(i.Sent) || i.Received != nil && is(i.Received)
}

// noEvidence explains a verdict that nothing in the report bears: nobody is
// asked for anything because of it.
func (e explainer) noEvidence() *result.Finding {
	return e.say(result.CodeNoEvidence, fmt.Sprintf("The report calls this path %s, and does not hold what was seen of it", e.p.Verdict),
		"Nothing follows from it. Have the test run again, and take the report as dial wrote it.")
}
