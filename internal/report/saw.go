package report

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/result"
)

// What an end saw, in words; a value that has none is shown as it is.
var (
	connectWords = map[result.ConnectOutcome]string{
		result.ConnectOpen:    "opened",
		result.ConnectTimeout: "no answer of any kind",
		result.ConnectRST:     "turned away by a reset (RST)",
		result.ConnectICMP:    "turned away by an ICMP error",
		result.ConnectDenied:  "forbidden by this machine itself",
		result.ConnectNoRoute: "no route, or no address of the family",
		result.ConnectFailed:  "could not be opened here",
	}
	answerWords = map[result.AnswerOutcome]string{
		result.AnswerKeyed:     "proved itself by key",
		result.AnswerWrongKey:  "a listener with another key",
		result.AnswerForbidden: "the key is right, and this address is not allowed",
		result.AnswerVersion:   "a listener of another version",
		result.AnswerOwn:       "a listener of the machine that dialed",
		result.AnswerForeign:   "other bytes",
		result.AnswerEchoed:    "our own bytes",
		result.AnswerClosed:    "closed before the proof",
		result.AnswerReset:     "reset (RST) before the proof",
		result.AnswerSilent:    "none",
		result.AnswerICMP:      "an ICMP error",
	}
	portWordsAt = map[result.PortState]string{
		result.PortUnknown: "not known whether it was open",
		result.PortBound:   "listened on",
		result.PortBusy:    "held by other software",
		result.PortUnbound: "not listened on",
	}
	sawWords = map[result.Sighting]string{
		result.SawUnknown:  "not known",
		result.SawNothing:  "nothing arrived, and it watched throughout",
		result.SawHalfOpen: "the connection request arrived; the connection never completed",
		result.SawWaiting:  "the connection was made; the live software that has the port has not accepted it",
		result.SawAccepted: "it arrived and was accepted",
	}
	matchWords = map[result.Match]string{
		result.MatchProbe:   "by the attempt's own id",
		result.MatchRun:     "by the run's own id",
		result.MatchAddress: "by source address and port",
		result.MatchTime:    "by address and time alone",
	}
	dropWords = map[result.Drop]string{
		result.DropFirewall:    "its own packet filter",
		result.DropReversePath: "its reverse path filter (rp_filter)",
		result.DropConntrack:   "its table of tracked connections was full",
		result.DropQueue:       "its program had too many connections waiting",
		result.DropListener:    "the listener did not take it",
	}
)

// word is what a map says of a value, or the value.
func word[K ~string](words map[K]string, k K) string { return cmp.Or(words[k], string(k)) }

// An evidence is labelled texts, to which only those are added that say something.
type evidence [][2]string

func (l *evidence) add(label, s string) {
	if s != "" {
		*l = append(*l, [2]string{label, s})
	}
}

// initiatorSaw is what the end that opened the connection saw of a path.
func initiatorSaw(p *result.Path) [][2]string {
	var l evidence
	i := p.Initiator
	if i == nil {
		return nil
	}
	if !i.At.IsZero() {
		l.add("Began", i.At.UTC().Format("2006-01-02 15:04:05.000 UTC"))
	}
	l.add("Not tried", i.NotTried)
	l.add("Name", i.ResolveError)
	if i.Source.IsValid() || i.Target.IsValid() {
		q := *p
		q.Source, q.Target, q.Host = i.Source, i.Target, ""
		l.add("Dialed", endpoints(&q))
	}
	if i.WantedSource > 0 && i.SourceError != "" {
		l.add("Source port", fmt.Sprintf("%d could not be used: %s", i.WantedSource, i.SourceError))
	} else {
		l.add("Source port", i.SourceError)
	}
	if i.Connect != "" {
		s := word(connectWords, i.Connect)
		if i.ConnectMS > 0 {
			s += " after " + msWords(i.ConnectMS)
		}
		if i.Attempts > 1 {
			s += fmt.Sprintf(" (%d attempts)", i.Attempts)
		}
		l.add("Connection", s)
	}
	l.add("Error", i.Error)
	if c := i.ICMP; c != nil {
		s := fmt.Sprintf("type %d code %d", c.Type, c.Code)
		if c.From.IsValid() {
			s += " from " + c.From.String()
		}
		if c.Local {
			s += ", this machine itself"
		}
		l.add("ICMP", s)
	}
	if i.Answer != "" {
		l.add("Answer", word(answerWords, i.Answer))
	}
	l.add("Answered by", i.Software)
	l.add("It said", i.Reply)
	if i.SeenAs.IsValid() {
		l.add("Seen there as", i.SeenAs.String())
	}
	if i.Origin.IsValid() && i.Origin != i.Target {
		l.add("Answered from", i.Origin.String())
	}
	l.add("Data out", transferLine(i.Sent))
	l.add("Data back", transferLine(i.Received))
	if i.RTTMS != nil {
		l.add("Round trip", msWords(*i.RTTMS))
	}
	if t := i.TCP; t != nil {
		s := fmt.Sprintf("segments of up to %d bytes, path MTU %d%s", t.MSS, t.PathMTU, milliseconds(", round trip ", &t.RTTMS))
		if n := t.Lost(); n > 0 {
			s += fmt.Sprintf(", %d of %d sent again", n, max(t.Segments, n))
		}
		l.add("TCP", s)
	}
	if n := len(i.Connections); n > 0 {
		passed, failed := result.Compare(i.Connections)
		if len(passed)+len(failed) > 0 {
			l.add("Connections", fmt.Sprintf("%d in all: of those that tell of the path, %d went well and %d did not", n, len(passed), len(failed)))
		}
		for _, c := range failed {
			l.add("Failed", fmt.Sprintf("%s from port %d: %s, %s (%s)", c.At.UTC().Format("15:04:05.000"), c.Source.Port(), c.Reached, c.Ended, c.Purpose))
		}
	}
	if d := i.Datagrams; len(d) > 0 {
		l.add("Datagrams", datagramLine(d))
	}
	if c := i.Conversation; c != nil {
		l.add("Service", conversationLine(c))
		l.add("It said", c.Refusal.Reply())
		for _, f := range c.Facts {
			l.add("Told", f.Name+": "+f.Value)
		}
	}
	for _, d := range i.Idle {
		l.add("Idle", fmt.Sprintf("%d s, then the %s spoke: %s", d.GapMS/1000, d.First, d.Outcome))
	}
	if t := i.Trace; t != nil {
		l.add("Hops", traceLine(t, p.Target.Addr()))
	}
	return l
}

// acceptorSaw is what the end that was to accept the connection saw of a path.
func acceptorSaw(p *result.Path) [][2]string {
	var l evidence
	a := p.Acceptor
	if a == nil {
		return nil
	}
	s := word(portWordsAt, a.Port)
	if h := a.Holder; h != nil && h.Name != "" {
		s += ": " + h.Name
		if h.PID > 0 {
			s += fmt.Sprintf(" (process %d)", h.PID)
		}
	}
	l.add("Port", s)
	l.add("Saw", word(sawWords, a.Saw))
	l.add("Why not", a.Reason)
	if a.Match != "" {
		l.add("Known", word(matchWords, a.Match))
	}
	if a.Source.IsValid() {
		l.add("Came from", a.Source.String())
	}
	if a.Local.IsValid() {
		l.add("Arrived at", a.Local.String())
	}
	if a.Proved {
		l.add("Proof", "the keyed proof arrived")
	}
	if a.Conversed {
		l.add("Conversation", "the token of the service's own conversation arrived")
	}
	if a.BytesIn > 0 {
		l.add("Other bytes", bytesWords(a.BytesIn))
	}
	if a.Dropped != "" {
		l.add("Dropped by", word(dropWords, a.Dropped))
	}
	l.add("Ended", a.Detail)
	if j := a.Joined; j != nil {
		const form = "2006-01-02 15:04:05 UTC"
		s := "listened from " + j.Since.UTC().Format(form) + " to " + j.Until.UTC().Format(form) + " by its own clock"
		l.add("From its report", s)
	}
	return l
}

// halves name the two ends of a path, the one that dialed first.
func halves(p *result.Path) (dialed, accepted string) {
	if isReverse(p) {
		return "What the other machine saw, which dialed", "What this machine saw"
	}
	return "What this machine saw, which dialed", "What the other machine saw"
}

// msWords writes a time, with as many decimals as say something.
func msWords(ms float64) string {
	switch {
	case ms >= 10_000:
		return fmt.Sprintf("%.1f s", ms/1000)
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	case ms >= 10:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.2f ms", ms)
}

// bytesWords writes a number of bytes.
func bytesWords(n int64) string {
	if n >= 1<<10 && n%(1<<10) == 0 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

// rateWords writes kilobits per second.
func rateWords(kbit float64) string {
	switch {
	case kbit >= 1e6:
		return fmt.Sprintf("%.1f Gbit/s", kbit/1e6)
	case kbit >= 1e3:
		return fmt.Sprintf("%.0f Mbit/s", kbit/1e3)
	}
	return fmt.Sprintf("%.0f kbit/s", kbit)
}

func transferLine(t *result.Transfer) string {
	if t == nil {
		return ""
	}
	s := fmt.Sprintf("%s, %d of %d bytes", t.Outcome, t.Intact, t.Want)
	if r := t.Rate(); r > 0 {
		s += fmt.Sprintf(" at %.1f Mbit/s", r/1000)
	}
	if h := t.Hole; h != nil {
		s += fmt.Sprintf(", up to %d bytes cross in one packet and %d do not", h.Passes, h.Fails)
	}
	for _, more := range []string{t.Detail, t.Changed} {
		if more != "" {
			s += ", " + more
		}
	}
	return s
}

func datagramLine(all []result.Datagrams) string {
	var out []string
	for _, d := range all {
		out = append(out, fmt.Sprintf("%d of %d answered (%d bytes each, %d asked for; %d source ports, %d of them deaf)", d.Answered, d.Sent, d.Request, d.Answer, d.Sources, d.Deaf))
	}
	return strings.Join(out, "; ")
}

func conversationLine(c *result.Conversation) string {
	s := fmt.Sprintf("%s: %s", c.Speaks, c.Outcome)
	if c.Software != "" {
		s += ", " + c.Software
	}
	return strings.Join(slices.Concat([]string{s}, c.Changed, c.Adapted), "; ")
}

func traceLine(t *result.Trace, target netip.Addr) string {
	if t.Unknown != "" {
		return "not known: " + t.Unknown
	}
	var out []string
	for _, h := range t.Hops {
		s := fmt.Sprintf("%d %s", h.TTL, h.What)
		if h.From.IsValid() {
			s = fmt.Sprintf("%d %s (%s)", h.TTL, h.From, h.What)
		}
		out = append(out, s)
	}
	if at := answersAt(t, target); at > 0 {
		out = append(out, fmt.Sprintf("the target answers at %d", at))
	}
	return strings.Join(out, ", ")
}
