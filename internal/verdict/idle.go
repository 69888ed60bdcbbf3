package verdict

import (
	"fmt"
	"time"

	"dialtone/internal/result"
)

// idleWords says what is known of a path's idle connections where none died,
// "" if none was kept.
func idleWords(i *result.Initiator) (result.NoteCode, string) {
	if i == nil || len(i.Idle) == 0 {
		return "", ""
	}
	longest, why := int64(0), ""
	for _, h := range i.Idle {
		switch h.Outcome {
		case result.IdleSurvived:
			longest = max(longest, h.GapMS)
		case result.IdleNotHeld:
			why = h.Detail
		}
	}
	if why != "" {
		return result.NoteIdleUnknown, "how long a connection may be idle here is not known: " + why
	}
	return result.NoteIdleSurvived, fmt.Sprintf("connections survived %v without traffic, whichever end spoke first after it", time.Duration(longest)*time.Millisecond)
}

// An idleLimit is how long a path lets a connection be idle when one end speaks
// first after it.
type idleLimit struct {
	first    result.Speaker
	survived time.Duration // the longest gap below that of died; 0: none
	died     result.Idle   // at the shortest gap from which on none survived
}

// idleLimits returns a limit for each end that has one. A gap that died while a
// longer one survived is no limit: it was lost for another cause.
func idleLimits(idle []result.Idle) []idleLimit {
	var out []idleLimit
	for _, first := range []result.Speaker{result.SpeakerInitiator, result.SpeakerAcceptor} {
		var longest int64 // gap that survived
		for _, i := range idle {
			if i.First == first && i.Outcome == result.IdleSurvived {
				longest = max(longest, i.GapMS)
			}
		}
		var died *result.Idle
		for _, i := range idle {
			if i.First == first && i.GapMS > longest && isDead(i.Outcome) && (died == nil || i.GapMS < died.GapMS) {
				died = &i
			}
		}
		if died != nil {
			out = append(out, idleLimit{first, time.Duration(longest) * time.Millisecond, *died})
		}
	}
	return out
}

func isDead(o result.IdleOutcome) bool {
	return o == result.IdleSilent || o == result.IdleReset || o == result.IdleClosed
}

func (e explainer) idleDropped() *result.Finding {
	text, shortest, survived := "", time.Duration(0), time.Duration(0)
	for _, l := range idleLimits(e.i.Idle) {
		who, how := e.p.From, map[result.IdleOutcome]string{
			result.IdleSilent: "was not heard any more", result.IdleReset: "was answered with RST", result.IdleClosed: "found the connection closed",
		}[l.died.Outcome]
		if l.first == result.SpeakerAcceptor {
			who = e.p.To
		}
		died := time.Duration(l.died.GapMS) * time.Millisecond
		s := fmt.Sprintf("After %v without traffic the %s spoke first and %s", died, who, how)
		if l.first == result.SpeakerAcceptor && l.died.Outcome != result.IdleSilent {
			s = fmt.Sprintf("After %v without traffic, where the %s was to speak first, the connection was gone (%s)", died, who, l.died.Outcome)
		}
		if l.survived > 0 {
			s += fmt.Sprintf("; %v is the longest gap that it survived", l.survived)
		}
		if l.died.FarOpen != nil && *l.died.FarOpen {
			s += "; the listener still thinks that it is open"
		}
		text = with(text, sentence(s))
		if shortest == 0 || died < shortest {
			shortest, survived = died, l.survived
		}
	}
	after := fmt.Sprintf("at most %v", shortest)
	if survived > 0 {
		after = fmt.Sprintf("more than %v and at most %v", survived, shortest)
	}
	return e.say("idle-dropped", text,
		e.request("raise the idle timeout for", fmt.Sprintf("A connection is dropped after %s without traffic; let it be longer than the longest pause of a working day, or at least 2 hours, which is when keepalive begins (RFC 9293 section 3.8.4)", after)))
}
