package verdict

import (
	"fmt"
	"math"
	"slices"
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
	if event := eventWords(i.Idle); event != "" {
		return result.NoteIdleUnknown, "how long a connection may be idle here is not known: " + event
	}
	for _, l := range append(idleLimits(i.Idle), ageLimits(i.Idle)...) { // that the path is open all the same is for loss
		return result.NoteIdleUnknown, fmt.Sprintf("how long a connection may be idle here is not known: connections died that were idle for %v or longer, and the loss of packets that this run measured makes that likely. "+
			"Have the loss mended first, and run the test again", time.Duration(l.died.GapMS)*time.Millisecond)
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

// idleLimits returns a limit for each end that has one: a gap from which on no
// connection survived, twice, while one of the same age that was never idle for
// long did.
func idleLimits(idle []result.Idle) []idleLimit { return limits(idle, isIdleness) }

// ageLimits returns one for each end where connections die at an age, idle or
// not, and did so twice.
func ageLimits(idle []result.Idle) []idleLimit { return limits(idle, isAge) }

// isLimit reports whether any of these limits is more than the loss of the run makes
// likely.
func isLimit(limits []idleLimit, idle []result.Idle, loss float64) bool {
	return slices.ContainsFunc(limits, func(l idleLimit) bool { return !diesByLoss(idle, l, loss) })
}

func limits(idle []result.Idle, is func(result.Idle) bool) []idleLimit {
	var out []idleLimit
	for _, first := range []result.Speaker{result.SpeakerInitiator, result.SpeakerAcceptor} {
		died := result.DeadlyGap(idle, first)
		if died == nil || !is(*died) {
			continue
		}
		longest := int64(0)
		for _, i := range idle {
			if i.First == first && i.Outcome == result.IdleSurvived {
				longest = max(longest, i.GapMS)
			}
		}
		out = append(out, idleLimit{first, time.Duration(longest) * time.Millisecond, *died})
	}
	return out
}

// isIdleness reports whether a gap was deadly because nothing was said in it.
// Where no busy connection was kept beside it (by an older release), nothing else
// is known.
func isIdleness(i result.Idle) bool {
	if i.Busy == "" && i.Again == nil {
		return true
	}
	return i.Busy == result.IdleSurvived && i.Again != nil && i.Again.Outcome.IsDead() && i.Again.Busy == result.IdleSurvived
}

// isAge reports whether connections that were busy died with the idle ones, each
// time.
func isAge(i result.Idle) bool {
	return i.Busy.IsDead() && i.Again != nil && i.Again.Outcome.IsDead() && i.Again.Busy.IsDead()
}

// eventWords says why a connection that died tells of no limit, "" if none died
// or it does.
func eventWords(idle []result.Idle) string {
	for _, first := range []result.Speaker{result.SpeakerInitiator, result.SpeakerAcceptor} {
		died := result.DeadlyGap(idle, first)
		if died == nil || isIdleness(*died) || isAge(*died) {
			continue
		}
		gap := time.Duration(died.GapMS) * time.Millisecond
		switch {
		case died.Again != nil && died.Again.Outcome == result.IdleSurvived:
			return fmt.Sprintf("a connection that was idle for %v died, and the next one survived as long: an event, such as a state table that was flushed, and no idle timeout", gap)
		case died.Busy.IsDead():
			return fmt.Sprintf("a connection that was idle for %v died, and so did one of the same age that talked all the time: an event, or a limit on age, and no idle timeout", gap)
		}
		return fmt.Sprintf("a connection that was idle for %v died, and whether that was for idleness could not be found out", gap)
	}
	return ""
}

// saidAgain is how often what is said on a connection is sent within a step's time at
// least (RFC 6298 section 5: each time after twice as long, from 0.2 or 0.3 s on).
const saidAgain = 4

// busyTurns is how often a connection talks at least that is kept busy for a gap.
const busyTurns = 8

// diesByLoss reports whether the loss of the run may have ended so many connections
// that were idle, or old: what was said on them got lost each time.
func diesByLoss(idle []result.Idle, l idleLimit, loss float64) bool {
	once := math.Pow(loss, saidAgain)
	chance := 1.0
	died := func(o result.IdleOutcome, turns int) {
		switch {
		case o == result.IdleSilent:
			chance *= atLeast(1, turns, once)
		case o.IsDead():
			chance = 0 // lost packets answer nothing
		}
	}
	all := []result.Idle{}
	for _, i := range idle {
		if i.First == l.first && i.GapMS >= l.died.GapMS {
			all = append(all, i)
		}
	}
	if again := l.died.Again; again != nil {
		all = append(all, *again)
	}
	for _, i := range all {
		died(i.Outcome, 1)
		died(i.Busy, busyTurns)
	}
	return chance > refuted
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
	return e.say(result.CodeIdleDropped, text,
		e.request("raise the idle timeout for", fmt.Sprintf("A connection is dropped after %s without traffic; let it be longer than the longest pause of a working day, or at least 2 hours, which is when keepalive begins (RFC 9293 section 3.8.4)", after)))
}

// tooOld explains connections that die at an age, whatever is said on them.
func (e explainer) tooOld(l idleLimit) *result.Finding {
	died := time.Duration(l.died.GapMS) * time.Millisecond
	text := fmt.Sprintf("A connection that was idle for %v died, and one of the same age that talked all the time died as well, twice", died)
	after := fmt.Sprintf("of at most %v", died)
	if l.survived > 0 {
		text += fmt.Sprintf("; %v is the longest that one lived", l.survived)
		after = fmt.Sprintf("between %v and %v", l.survived, died)
	}
	return e.say(result.CodeSessionAge, text,
		e.request("let connections live as long as both ends want, of", fmt.Sprintf("They are cut off at an age %s, idle or not: a maximum session time of a firewall, proxy or load balancer", after)))
}
