package merge

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// An attempt is one try of an initiator.
type attempt struct {
	at, end time.Time // by its clock
	source  result.Endpoint
	connect result.ConnectOutcome
	answer  result.AnswerOutcome
}

// maxElapsed bounds what a report says of how long something took.
const maxElapsed = 48 * time.Hour

func elapsed(ms float64) time.Duration {
	return time.Duration(min(max(ms, 0), float64(maxElapsed.Milliseconds())) * float64(time.Millisecond))
}

// attempts lists every attempt that a half tells of, the one that it is about
// first. Of an earlier one nobody wrote down how long it took: no longer than
// that one, and it was over when the next began.
func attempts(i *result.Initiator) []attempt {
	long := max(elapsed(i.ElapsedMS), slack)
	out := []attempt{{i.At.Time, i.At.Add(elapsed(i.ElapsedMS)), i.Source, i.Connect, i.Answer}}
	for n, f := range i.Failed {
		end := f.At.Add(long)
		next := i.At.Time
		if n+1 < len(i.Failed) {
			next = i.Failed[n+1].At.Time
		}
		if next.After(f.At.Time) && next.Before(end) {
			end = next
		}
		out = append(out, attempt{f.At.Time, end, f.Source, f.Connect, f.Answer})
	}
	for n := range i.Connections {
		c := &i.Connections[n]
		if !slices.ContainsFunc(out, func(t attempt) bool { return t.source == c.Source && c.Source.IsValid() }) {
			t := attempt{at: c.At.Time, end: c.At.Add(elapsed(c.ElapsedMS)), source: c.Source}
			t.connect, t.answer = outcome(c)
			out = append(out, t)
		}
	}
	return out
}

// outcome is how a connection ended in the terms of an attempt.
func outcome(c *result.Connection) (result.ConnectOutcome, result.AnswerOutcome) {
	switch c.Reached {
	case result.ReachedNothing:
		return map[result.Ended]result.ConnectOutcome{
			result.EndedSilent: result.ConnectTimeout, result.EndedReset: result.ConnectRST, result.EndedICMP: result.ConnectICMP,
		}[c.Ended], ""
	case result.ReachedConnected:
		return result.ConnectOpen, map[result.Ended]result.AnswerOutcome{
			result.EndedSilent: result.AnswerSilent, result.EndedReset: result.AnswerReset, result.EndedClosed: result.AnswerClosed,
			result.EndedICMP: result.AnswerICMP, result.EndedForeign: result.AnswerForeign,
		}[c.Ended]
	}
	return result.ConnectOpen, result.AnswerKeyed
}

// alike are the attempts that ended as the first did: what the accepting end
// saw of another would explain something else.
func alike(all []attempt) []attempt {
	return slices.DeleteFunc(slices.Clone(all), func(t attempt) bool {
		return t.connect != all[0].connect || t.answer != all[0].answer
	})
}

// A witness looks for one end's attempts in what the other end's own listener
// saw.
type witness struct {
	far    *result.Report // that listened; its Listened is not nil
	run    string         // of the end that dialed
	seenAs []netip.Addr   // as which that end is seen
	clocks clocks         // far's minus that end's
}

// isSource reports whether an arrival at far's listener comes from where an
// attempt left: the very address and port, or the same port at an address that
// far knows the other end by, as a NAT that keeps ports makes it.
func isSource(t attempt, v *result.Arrival, far *result.Report) bool {
	if !t.source.IsValid() || t.source.Port() == 0 || t.source.Port() != v.Source.Port() {
		return false
	}
	return t.source == v.Source || slices.Contains(far.To.Addresses, v.Source.Addr())
}

// half is the accepting end's half of a path that the other end dialed. The
// initiator's half must be there and tried.
func (w witness) half(p *result.Path) *result.Acceptor {
	l := w.far.Listened
	a := result.Acceptor{Instance: l.Instance, Port: result.PortUnknown, Saw: result.SawUnknown}
	all := attempts(p.Initiator)
	tried := alike(all)
	came := w.arrivals(p)

	if a, ok := w.recognised(a, p, tried, came); ok {
		return &a
	}
	if why := doubtful(p.Target.Addr(), w.far, p.Address.IsValid()); !p.Target.IsValid() || why != "" {
		a.Reason = orElse(why, "the address that was dialed is not in the report")
		return &a
	}
	best, margin := w.inside(tried)
	if margin <= 0 {
		a.Reason = w.outside(tried[0])
		return &a
	}
	a.Port, a.Holder = w.portState(p)
	a.Joined = w.joined(best)
	if !w.clocks.known() {
		a.Joined.WithinMS = margin.Milliseconds()
	}
	if a.Port == result.PortBusy {
		a.Reason = busyThere
		return &a
	}
	if v := w.perhaps(tried, all, came); v != nil {
		a.Reason = fmt.Sprintf("%s came from %s at %s by the other end's clock, which may be this attempt with its address changed on the way",
			sightingWords(*v), v.Source, v.First.UTC().Format(time.TimeOnly))
		return &a
	}
	if a.Reason = w.blind(p, a.Port); a.Reason == "" {
		a.Saw = result.SawNothing
	}
	return &a
}

// arrivals are those at a path's port that no other run's proof claims.
func (w witness) arrivals(p *result.Path) []result.Arrival {
	return slices.DeleteFunc(slices.Clone(w.far.Listened.Arrivals), func(v result.Arrival) bool {
		return v.Transport != p.Transport || v.Port != p.Port || !v.Source.IsValid() || result.FamilyOf(v.Source.Addr()) != p.Family ||
			v.Run != "" && v.Run != w.run
	})
}

// recognised completes the half by an arrival that is known to be one of these
// attempts.
func (w witness) recognised(a result.Acceptor, p *result.Path, tried []attempt, came []result.Arrival) (result.Acceptor, bool) {
	var best *sighting
	for i := range came {
		v := &came[i]
		for n, t := range tried {
			s := sighting{v: v, of: t, latest: n == 0}
			switch {
			case isSource(t, v, w.far) && (!w.clocks.known() || w.began(t, v)):
				s.how = result.MatchAddress
			case w.clocks.known() && w.began(t, v) && w.isFrom(t, p, v) && !w.isCrowded(t, v.Source.Addr()):
				s.how = result.MatchTime
			case n == 0 && t.connect == result.ConnectOpen && v.Run != "" && v.Run == w.run:
				s.how = result.MatchRun
			default:
				continue
			}
			s.apart = v.First.Sub(t.at.Add(w.clocks.offset)).Abs()
			if best == nil || s.isBetter(*best) {
				best = &s
			}
		}
	}
	if best == nil {
		return a, false
	}
	v := best.v
	a.Port, a.Saw, a.Match = result.PortBound, v.Saw, best.how
	a.Source, a.Local, a.Proved, a.Detail = v.Source, v.Local, v.Proved || v.Run != "", v.Detail
	switch {
	case a.Saw == result.SawNothing && a.Detail == "":
		a.Detail = "the SYN arrived at that machine's network interface, and its TCP stack did not answer it"
	case a.Saw == result.SawAccepted && a.Detail == "" && v.Kind != "":
		a.Detail = "the listener recorded it as " + v.Kind
	}
	a.Joined = w.joined(best.of)
	a.Joined.Arrived = v.First
	if state, holder := w.portState(p); state == result.PortBusy {
		a.Port, a.Holder = state, holder
		if a.Saw == result.SawHalfOpen && best.of.connect == result.ConnectOpen {
			// What other software accepts the listener does not see: that nothing is known
			// beyond the answered SYN does not show that nobody took it.
			a.Saw, a.Detail, a.Reason = result.SawUnknown, "", busyThere
		}
	}
	return a, true
}

// busyThere is why a listener does not know what became of a connection.
const busyThere = "other software held the port"

// A sighting ties an arrival to an attempt.
type sighting struct {
	v      *result.Arrival
	of     attempt
	latest bool // of is the attempt that the path is about, not an earlier one
	how    result.Match
	apart  time.Duration // between the two by the acceptor's clock, if that is known
}

// isBetter reports whether s says more, or is surer, than another.
func (s sighting) isBetter(than sighting) bool {
	sure := []result.Match{result.MatchTime, result.MatchRun, result.MatchAddress}
	if c := cmp.Or(cmp.Compare(reach(s.v.Saw), reach(than.v.Saw)), cmp.Compare(slices.Index(sure, s.how), slices.Index(sure, than.how))); c != 0 {
		return c > 0
	}
	if s.latest != than.latest {
		return s.latest
	}
	return s.apart < than.apart
}

// isFrom reports whether an arrival comes from where the attempt would, as far
// as addresses show without the port: the address as which that end is known to
// be seen, or its own where the attempt's port is not known.
func (w witness) isFrom(t attempt, p *result.Path, v *result.Arrival) bool {
	if t.source.IsValid() && result.IsSameAddr(v.Source.Addr(), t.source.Addr()) {
		return t.source.Port() == 0 || p.Initiator.Attempts > 1+len(p.Initiator.Failed)
	}
	return slices.Contains(w.seenAs, v.Source.Addr())
}

// isCrowded reports whether another run proved itself from an address at the
// time of an attempt: then what else came from there may be that run's.
func (w witness) isCrowded(t attempt, from netip.Addr) bool {
	return slices.ContainsFunc(w.far.Listened.Arrivals, func(v result.Arrival) bool {
		return v.Run != "" && v.Run != w.run && v.Source.IsValid() && result.IsSameAddr(v.Source.Addr(), from) && w.overlaps(t, &v)
	})
}

// reach orders sightings by how far the attempt got.
func reach(s result.Sighting) int {
	return slices.Index([]result.Sighting{result.SawUnknown, result.SawNothing, result.SawHalfOpen, result.SawWaiting, result.SawAccepted}, s)
}

// began reports whether an arrival began at the time of an attempt. The clocks
// must be known.
func (w witness) began(t attempt, v *result.Arrival) bool {
	from, to := w.span(t)
	return !v.First.Before(from) && !v.First.After(to)
}

// span is when an attempt can have been seen, by the acceptor's clock.
func (w witness) span(t attempt) (from, to time.Time) {
	return t.at.Add(w.clocks.offset - w.clocks.within - slack), t.end.Add(w.clocks.offset + w.clocks.within + slack)
}

// overlaps reports whether an arrival lasted at the time of an attempt. The
// clocks must be known.
func (w witness) overlaps(t attempt, v *result.Arrival) bool {
	from, to := w.span(t)
	return !v.First.After(to) && !v.Last.Before(from)
}

// perhaps returns an arrival that may be one of these attempts under another
// address, nil if none may. all are that end's attempts on the path.
func (w witness) perhaps(tried, all []attempt, came []result.Arrival) *result.Arrival {
	for i := range came {
		v := &came[i]
		if w.isAnother(v, all) {
			continue
		}
		if !w.clocks.known() {
			return v
		}
		for _, t := range tried {
			if w.overlaps(t, v) {
				return v
			}
		}
	}
	return nil
}

// isAnother reports whether an arrival is, by address and port, an attempt that
// was looked at already.
func (w witness) isAnother(v *result.Arrival, all []attempt) bool {
	return slices.ContainsFunc(all, func(t attempt) bool { return isSource(t, v, w.far) })
}

// inside returns the attempt that lies furthest inside the time in which the
// other end listened, and by how much the clocks may be off for it to still do;
// 0 or less if none lies inside.
func (w witness) inside(tried []attempt) (best attempt, margin time.Duration) {
	l := w.far.Listened
	need := slack
	if w.clocks.known() {
		need = w.clocks.within
	}
	for _, t := range tried {
		if t.at.IsZero() || l.Since.IsZero() || l.Until.IsZero() {
			continue
		}
		m := min(t.at.Add(w.clocks.offset).Sub(l.Since.Time), l.Until.Sub(t.end.Add(w.clocks.offset)))
		if m >= need && m > margin {
			best, margin = t, m
		}
	}
	return best, margin
}

// outside says that no attempt was made while the other end listened.
func (w witness) outside(t attempt) string {
	l := w.far.Listened
	if l.Since.IsZero() || l.Until.IsZero() || t.at.IsZero() {
		return "the reports do not say when the attempt was made, or when the other end listened"
	}
	s := fmt.Sprintf("the other end listened from %s to %s UTC by its clock, and no attempt is known to lie in that time (the last was at %s UTC",
		l.Since.UTC().Format(time.DateTime), l.Until.UTC().Format(time.DateTime), t.at.UTC().Format(time.DateTime))
	if w.clocks.known() {
		return s + fmt.Sprintf("; that clock is %v off)", w.clocks.offset.Round(100*time.Millisecond))
	}
	return s + "; how far the clocks differ is not known)"
}

// denies reports whether the other end held a path's port all the while, saw
// nothing of this run there, and is not who proved itself.
func (w witness) denies(p *result.Path) bool {
	l := w.far.Listened
	if p.Initiator.Instance == "" || l.Instance == "" || p.Initiator.Instance == l.Instance || !w.clocks.known() || l.Truncated {
		return false
	}
	if state, _ := w.portState(p); state != result.PortBound {
		return false
	}
	if _, margin := w.inside(attempts(p.Initiator)[:1]); margin <= 0 {
		return false
	}
	return !slices.ContainsFunc(l.Arrivals, func(v result.Arrival) bool {
		return v.Port == p.Port && v.Transport == p.Transport && v.Run == w.run
	})
}

// portState is whether the other end had a path's port.
func (w witness) portState(p *result.Path) (result.PortState, *result.Holder) {
	for _, l := range w.far.Listened.Ports {
		if l.Port == p.Port && l.Transport == p.Transport && l.Family == p.Family {
			return l.State, l.Holder
		}
	}
	return result.PortUnbound, nil
}

// blind says why seeing nothing proves nothing, "" if it does.
func (w witness) blind(p *result.Path, port result.PortState) string {
	l := w.far.Listened
	switch {
	case port != result.PortBound:
		return "the other end's listener did not hold that port"
	case l.Truncated:
		return "more arrived at the other end than its report lists"
	case p.Transport == plan.UDP:
		return ""
	case l.Witness != result.WitnessTable && l.Witness != result.WitnessCapture:
		return "the other end's system does not show half-open connections"
	}
	return l.Blind
}

func (w witness) joined(t attempt) *result.Joined {
	l := w.far.Listened
	return &result.Joined{Attempt: result.TimeOf(t.at), Since: l.Since, Until: l.Until, ClockMS: w.clocks.ms()}
}

func sightingWords(v result.Arrival) string {
	switch v.Saw {
	case result.SawHalfOpen:
		return "a half-open connection"
	case result.SawAccepted:
		return "a connection"
	}
	return "a SYN"
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
