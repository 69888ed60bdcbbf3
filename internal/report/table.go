package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"dialtone/internal/clean"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// places writes where the paths lead, and a line for each tuple there.
func (t *textReport) places() {
	all := places(t.Report)
	shifted := shiftOf(t.Report) != 0 // as the whole run is: no line needs to say so
	var verdicts, ports int
	for _, l := range all {
		for _, b := range l.bundles {
			number, _ := b.portWords()
			verdicts, ports = max(verdicts, width(b.verdict())), max(ports, width(number))
		}
	}
	for _, l := range all {
		t.title(l.heading(t.Report))
		t.blank()
		for _, b := range l.bundles {
			m := b.mark()
			number, more := b.portWords()
			lead := "  " + t.paint(text.Pad(m.word, len("ok"), ' '), m.style) + "  " + t.paint(text.Pad(b.verdict(), verdicts, ' '), m.style) + "  " + text.Pad(number, ports, ' ') + "  "
			columns := 2 + len("ok") + 2 + verdicts + 2 + ports + 2
			if shifted && strings.HasPrefix(more, "plan ") {
				_, more, _ = strings.Cut(more, ", ")
			}
			words := b.names()
			if b[0].Expect == plan.ExpectClosed {
				more = strings.TrimPrefix(more+", must be closed", ", ")
			}
			if p := b[0].Proof; !isUsual(p) {
				more = strings.TrimPrefix(more+", proof "+string(p), ", ")
			}
			if more != "" {
				words += " (" + more + ")"
			}
			t.hangAt(lead, columns, words, plain)
			for _, s := range b.shown() {
				if s = t.once(s, "above"); s != "" {
					t.hang("", s, columns, faint)
				}
			}
		}
		t.blank()
	}
}

// isUsual reports whether a proof goes without saying: that of an exchange with the
// holder of the key, or none where nothing was proved.
func isUsual(p result.Proof) bool {
	return p == "" || p == result.ProofNone || p == result.ProofKeyed
}

// verdict is a bundle's, as it may stand on a page.
func (b bundle) verdict() string { return clean.Line(string(b[0].Verdict), maxCell) }

// shown is what real software behind a bundle says of itself.
func (b bundle) shown() []string {
	var out []string
	for _, p := range b {
		if s := shownBy(p); s != "" {
			out = addOnce(out, s)
		}
	}
	return out
}

// port is the port that was dialed, and how it differs from the plan's.
func port(p *result.Path) string {
	s := fmt.Sprintf("%d/%s", cmp.Or(p.Port, p.PlanPort), p.Transport)
	if p.Port == 0 && p.PlanPort == 0 {
		s = "any/" + string(p.Transport)
	}
	var more []string
	if p.Port != 0 && p.PlanPort != 0 && p.Port != p.PlanPort {
		more = append(more, fmt.Sprintf("plan %d", p.PlanPort))
	}
	if p.SourcePort != 0 {
		more = append(more, fmt.Sprintf("from %d", p.SourcePort))
	}
	if len(more) > 0 {
		s += " (" + strings.Join(more, ", ") + ")"
	}
	return s
}

// endpoints is a path's two ends, as a firewall's log has them.
func endpoints(p *result.Path) string {
	if p.Host != "" {
		q := *p
		q.Host = ""
		return endpoints(&q) + ", " + p.Host
	}
	switch {
	case p.Source.IsValid() && p.Target.IsValid():
		return endpoint(p.Source) + " -> " + p.Target.String()
	case p.Target.IsValid():
		return "? -> " + p.Target.String()
	case p.Source.IsValid():
		return endpoint(p.Source) + " -> ?"
	default:
		if f := familyName(p.Family); f != "" {
			return "(" + f + ")"
		}
		return "-"
	}
}

// shownBy is what real software that answered says of itself, and what was said
// on the way, "" if none did.
func shownBy(p *result.Path) string {
	if p.Verdict == result.Open || p.Initiator == nil || p.Initiator.Conversation == nil {
		return ""
	}
	c := p.Initiator.Conversation
	if p.Proof != result.ProofService && p.Verdict != result.Intercepted && len(c.Stages) == 0 {
		return "" // nobody said anything in the service's language
	}
	if c.IsSilence() {
		return fmt.Sprintf("it says nothing, as %s does until it is spoken to: that something accepts is all that shows", c.Speaks.Language().Title)
	}
	words := []string{}
	if c.Software != "" {
		words = append(words, "it says it is "+c.Software)
	}
	for _, in := range c.Instances {
		s := fmt.Sprintf("instance %s (version %s) on TCP port %d", in.Name, cmp.Or(in.Version, "not told"), in.Port)
		if in.Port == 0 {
			s = fmt.Sprintf("instance %s (version %s) without a TCP port", in.Name, cmp.Or(in.Version, "not told"))
		}
		words = append(words, s)
	}
	if v := c.Fact("TLS version"); v != "" {
		words = append(words, v)
	}
	if issuer := c.Fact("issuer"); issuer != "" {
		day, _, _ := strings.Cut(c.Fact("not after"), "T")
		words = append(words, fmt.Sprintf("certificate of %s from %s, valid until %s", c.Fact("subject"), issuer, day))
		if why, ok := strings.CutPrefix(c.Fact(result.FactTrusted), "no: "); ok && p.Verdict != result.Intercepted { // else the finding says so
			words = append(words, "this machine does not trust it ("+why+")")
		}
	}
	return strings.Join(append(words, alsoSaid(c)...), "; ")
}

// alsoSaid is what else of a conversation a reader has to know who looks at its
// row: what fails inside it, where it leads, what was rewritten.
func alsoSaid(c *result.Conversation) []string {
	var out []string
	for _, f := range c.Facts {
		switch {
		case f.Name == "STARTTLS" && strings.HasPrefix(f.Value, "offered, and fails"),
			(f.Name == "passive" || f.Name == "active") && f.Value != "completed",
			(f.Name == "anonymous bind" || f.Name == "root entry" || f.Name == "login") && strings.HasPrefix(f.Value, "refused"),
			f.Name == "status", f.Name == "proxy in front of the server", f.Name == "error":
			out = append(out, f.Name+": "+f.Value)
		case f.Name == result.FactLeadsTo:
			out = append(out, "it leads to "+f.Value)
		}
	}
	return slices.Concat(out, c.Changed, c.Adapted)
}

// endpoint writes an address and port, or the address alone where the system
// did not tell the port.
func endpoint(e result.Endpoint) string {
	if e.Port() == 0 {
		return e.Addr().String()
	}
	return e.String()
}

// legend explains the words that stand before, and no others.
func (t *textReport) legend() {
	var marks, verdicts, proofs [][2]string
	uncounted := false
	for i := range t.Paths {
		p := &t.Paths[i]
		if m := markOf(p); m.meaning != "" {
			marks = addOnce(marks, [2]string{m.word, m.meaning})
		}
		uncounted = uncounted || !p.Counted
	}
	for _, v := range result.Verdicts {
		if slices.ContainsFunc(t.Paths, func(p result.Path) bool { return p.Verdict == v }) {
			verdicts = append(verdicts, [2]string{string(v), t.meaning(v)})
		}
	}
	for _, f := range []result.Proof{result.ProofKeyed, result.ProofSeen, result.ProofService, result.ProofBrowser, result.ProofPlain} {
		if (t.verbose || !isUsual(f)) && slices.ContainsFunc(t.Paths, func(p result.Path) bool { return p.Proof == f }) {
			proofs = append(proofs, [2]string{string(f), "proof by " + proofMeaning[f]})
		}
	}
	if uncounted {
		marks = append(marks, [2]string{"(name)", "in brackets: does not count towards the result"})
	}
	all := slices.Concat(verdicts, proofs, marks)
	if len(all) == 0 {
		return
	}
	t.title("What the words mean")
	t.blank()
	t.fields(2, all)
	t.blank()
}
