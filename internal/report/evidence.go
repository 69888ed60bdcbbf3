package report

import (
	"fmt"
	"strings"

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
			here, there := halves(p)
			t.half(here, initiatorSaw(p))
			t.half(there, acceptorSaw(p))
			t.blank()
		}
	}
}

// half writes what one end saw, if it told anything.
func (t *textReport) half(whose string, saw [][2]string) {
	if len(saw) == 0 {
		return
	}
	t.hang("    ", whose, 0, plain)
	for i := len(saw) - 1; i > 0; i-- {
		if saw[i][0] == saw[i-1][0] {
			saw[i][0] = ""
		}
	}
	t.fields(6, saw)
}

// facts are what is known of a bundle's one attempt beside what each end saw.
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
	if p.SeenAs.IsValid() && (p.Initiator == nil || p.Initiator.SeenAs != p.SeenAs) {
		add("Seen as", p.SeenAs.String())
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

// milliseconds is a time behind a lead, "" if it is not known.
func milliseconds(lead string, ms *float64) string {
	if ms == nil || *ms <= 0 {
		return ""
	}
	return fmt.Sprintf("%s%.1f ms", lead, *ms)
}

// need is how much a path is needed, in brackets where it does not count.
func need(p *result.Path) string {
	if !p.Counted {
		return "(" + string(p.Need) + ")"
	}
	return string(p.Need)
}
