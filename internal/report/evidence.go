package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/clean"
	"dialtone/internal/result"
)

// evidence writes all that is known of each tuple, for whoever wants to check it.
func (t *textReport) evidence() {
	all := places(t.Report)
	if len(all) == 0 {
		return
	}
	t.title("All evidence")
	t.blank()
	for _, l := range all {
		for _, b := range l.bundles {
			p := b[0]
			head := strings.Join(labels(t.Report, b, false), ", ")
			t.hang("  ", head+": "+endpoints(p)+" over "+string(p.Transport), 0, strong)
			t.fields(4, t.facts(b))
			t.blank()
		}
	}
}

// facts are what is known of a bundle's one attempt.
func (t *textReport) facts(b bundle) [][2]string {
	p := b[0]
	var out [][2]string
	add := func(label, s string) {
		if s != "" {
			out = append(out, [2]string{label, s})
		}
	}
	var rows []string
	for _, p := range b {
		rows = addOnce(rows, fmt.Sprintf("%s, %s to %s, %s", p.Service, p.From, p.To, need(p)))
	}
	for i, s := range rows {
		add([]string{"Rows", ""}[min(i, 1)], s)
	}
	proof := ""
	for _, p := range b {
		if words := ", proof " + string(p.Proof); p.Proof != "" && p.Proof != result.ProofNone && !strings.Contains(proof+",", words+",") {
			proof += words
		}
	}
	add("Result", outcome(p)+proof)
	add("Port", port(p))
	if !p.At.IsZero() && p.Source.IsValid() {
		add("Tried", p.At.UTC().Format("2006-01-02 15:04:05.000 UTC")+fmt.Sprintf(", %d %s", p.Attempts, one(p.Attempts, "attempt", "attempts"))+milliseconds(", round trip ", p.RTTMS))
	}
	if p.SeenAs.IsValid() {
		add("Seen as", p.SeenAs.String())
	}
	if i := p.Initiator; i != nil {
		t.initiator(i, add)
	}
	if a := p.Acceptor; a != nil {
		add("There", acceptorLine(a))
	}
	if s := p.Stop; s != nil && s.Last.IsValid() {
		add("Stops", fmt.Sprintf("behind %s (hop %d)", s.Last, s.LastHop))
	}
	for _, p := range b {
		for _, in := range p.Instances {
			add("Instance", fmt.Sprintf("%s on TCP port %d", in.Instance, in.Port))
		}
	}
	var notes []string
	for _, p := range b {
		for _, n := range p.Notes {
			notes = addOnce(notes, string(n.Code))
		}
	}
	add("Notes", strings.Join(notes, ", "))
	return out
}

// initiator tells what the end saw that opened the connection.
func (t *textReport) initiator(i *result.Initiator, add func(label, s string)) {
	add("Here", strings.Join(slices.DeleteFunc([]string{
		string(i.Connect), string(i.Answer), i.Error, i.NotTried, i.ResolveError, i.SourceError,
	}, func(s string) bool { return s == "" }), ", ")+connectedIn(i))
	if m := i.ICMP; m != nil && m.From.IsValid() {
		add("ICMP", fmt.Sprintf("type %d code %d from %s", m.Type, m.Code, m.From))
	}
	add("Reply", clean.Line(i.Reply, maxCell))
	add("Software", i.Software)
	add("Sent", transferLine(i.Sent))
	add("Received", transferLine(i.Received))
	if n := len(i.Connections); n > 0 {
		passed, failed := result.Compare(i.Connections)
		add("Opened", fmt.Sprintf("%d %s in all: of those that tell of the path, %d went well and %d did not", n, one(n, "connection", "connections"), len(passed), len(failed)))
		for k, c := range failed {
			add([]string{"Failed", ""}[min(k, 1)], fmt.Sprintf("%s from port %d: %s, %s (%s)", c.At.UTC().Format("15:04:05.000"), c.Source.Port(), c.Reached, c.Ended, c.Purpose))
		}
	}
	if d := i.Datagrams; len(d) > 0 {
		add("Datagrams", datagramLine(d))
	}
	if c := i.TCP; c != nil {
		add("TCP", fmt.Sprintf("segments of %d bytes, path MTU %d, round trip %.1f ms, %d of %d segments sent again", c.MSS, c.PathMTU, c.RTTMS, c.Retransmits, c.Segments))
	}
	for k, d := range i.Idle {
		add([]string{"Idle", ""}[min(k, 1)], fmt.Sprintf("%.0f s, then the %s spoke: %s", float64(d.GapMS)/1000, d.First, d.Outcome))
	}
	if c := i.Conversation; c != nil {
		add("Service", conversationLine(c))
		for k, f := range c.Facts {
			add([]string{"Told", ""}[min(k, 1)], f.Name+": "+f.Value)
		}
	}
	if tr := i.Trace; tr != nil {
		add("Hops", traceLine(tr))
	}
}

// connectedIn is how long the handshake took, "" if there was none.
func connectedIn(i *result.Initiator) string {
	if i.Connect != result.ConnectOpen {
		return ""
	}
	return milliseconds(", connected in ", &i.ConnectMS)
}

// milliseconds is a time behind a lead, "" if it is not known.
func milliseconds(lead string, ms *float64) string {
	if ms == nil || *ms <= 0 {
		return ""
	}
	return fmt.Sprintf("%s%.1f ms", lead, *ms)
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

func acceptorLine(a *result.Acceptor) string {
	s := string(a.Saw)
	if a.Match != "" {
		s += ", known by " + string(a.Match)
	}
	if a.Source.IsValid() {
		s += ", from " + a.Source.String()
	}
	if a.Local.IsValid() {
		s += " at " + a.Local.String()
	}
	s += ", port " + cmp.Or(string(a.Port), string(result.PortUnknown))
	if h := a.Holder; h != nil && h.Name != "" {
		s += " by " + h.Name
	}
	for _, more := range []string{a.Reason, a.Detail, string(a.Dropped)} {
		if more != "" {
			s += ", " + more
		}
	}
	return s
}

func traceLine(t *result.Trace) string {
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
	if t.Distance > 0 {
		out = append(out, fmt.Sprintf("the target answers at %d", t.Distance))
	}
	return strings.Join(out, ", ")
}

// need is how much a path is needed, in brackets where it does not count.
func need(p *result.Path) string {
	if !p.Counted {
		return "(" + string(p.Need) + ")"
	}
	return string(p.Need)
}
