package report

import (
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/clean"
	"dialtone/internal/plan"
	"dialtone/internal/request"
	"dialtone/internal/result"
)

// renderMarkdown writes a report for a ticket or a wiki: the answer, what to ask for,
// the paths as tables, and the requests in full as a text to copy.
func renderMarkdown(r *result.Report, o Options) ([]byte, error) {
	t := &textReport{Report: r, verbose: true, asker: o.Ask.Asker}
	m := &ticket{}
	body := t.body()
	m.line("# %s", "Path report: "+endName(r.From)+" to "+hostName(r.To))
	m.line("**%s**", answer(r))
	if c := r.Compared; c != nil {
		m.line("**%s**", comparisonAnswer(c))
	}
	for _, f := range r.Findings {
		m.line("> %s", strings.TrimSpace(sentence(f.Text)+" "+f.Advice))
	}
	for _, s := range body.Sections {
		m.line("## %s", s.Title)
		for _, q := range s.Items {
			m.request(q)
		}
	}
	uncounted := false
	for _, l := range places(r) {
		m.place(r, l)
		for _, b := range l.bundles {
			uncounted = uncounted || slices.ContainsFunc(b, func(p *result.Path) bool { return !p.Counted })
		}
	}
	if uncounted {
		m.line("%s", "Rows in brackets do not count towards the result.")
	}
	if len(body.Noted) > 0 {
		m.line("## %s", "Also noted")
		m.list(body.Noted)
	}
	if len(body.Machines) > 0 {
		m.line("## %s", "Not tested in this run")
		for _, x := range body.Machines {
			m.b.WriteString("- " + clean.Markdown(x.Name, maxText) + ": " + codeSpan(x.Command) + "\n")
		}
		m.b.WriteByte('\n')
		for _, h := range body.Hints {
			m.line("%s", h)
		}
	}
	m.line("## %s", "This run")
	var facts []string
	for _, f := range body.Facts {
		facts = append(facts, f.Label+": "+strings.Join(f.Texts, "; "))
	}
	m.list(facts)
	letter, err := letterOf(request.Of(o.Ask, r), func(o Options) ([]byte, error) { return renderRequests(r, o) }, o)
	if err != nil {
		return nil, err
	}
	if letter != "" {
		m.line("## %s", "For the firewall team")
		m.fenced(string(letter))
	}
	m.line("%s", t.caveat())
	return []byte(strings.TrimRight(m.b.String(), "\n") + "\n"), nil
}

// A ticket is a document under construction. Whatever is put in it goes through
// clean.Markdown, or stands as code.
type ticket struct{ b strings.Builder }

// line writes a paragraph: text in the place of the format's one %s.
func (m *ticket) line(format, text string) {
	fmt.Fprintf(&m.b, format+"\n\n", clean.Markdown(text, maxText))
}

func (m *ticket) list(items []string) {
	for _, s := range items {
		m.b.WriteString("- " + clean.Markdown(s, maxText) + "\n")
	}
	m.b.WriteByte('\n')
}

// request writes one thing to do, with what is to be known of it.
func (m *ticket) request(q htmlRequest) {
	lead := q.Name + ". "
	m.b.WriteString(lead + "**" + clean.Markdown(q.What, maxText) + "**\n\n")
	in := strings.Repeat(" ", len(lead))
	for _, f := range q.Fields {
		for _, s := range f.Texts {
			words := clean.Markdown(s, maxText)
			if f.Label == "Log" {
				words = codeSpan(s)
			}
			m.b.WriteString(in + "- " + clean.Markdown(f.Label, maxCell) + ": " + words + "\n")
		}
	}
	m.b.WriteByte('\n')
}

// place writes a table of the paths that lead to one place.
func (m *ticket) place(r *result.Report, l place) {
	m.line("## %s", l.heading(r))
	m.b.WriteString("| | verdict | port | service | rows |\n| --- | --- | --- | --- | --- |\n")
	for _, b := range l.bundles {
		p := b[0]
		number, more := b.portWords()
		if p.Expect == plan.ExpectClosed {
			more = strings.TrimPrefix(more+", must be closed", ", ")
		}
		if more != "" {
			number += " (" + more + ")"
		}
		verdict := string(p.Verdict)
		if !isUsual(p.Proof) {
			verdict += ", proof " + string(p.Proof)
		}
		service, rows, _ := strings.Cut(b.names(), ": ")
		for _, s := range []string{b.mark().word, verdict, number, service, rows} {
			m.b.WriteString("| " + clean.Markdown(s, maxText) + " ")
		}
		m.b.WriteString("|\n")
	}
	m.b.WriteByte('\n')
}

// fenced writes lines as they are.
func (m *ticket) fenced(text string) {
	fence := strings.Repeat("`", max(3, ticks(text)+1))
	m.b.WriteString(fence + "text\n" + strings.TrimRight(text, "\n") + "\n" + fence + "\n\n")
}

// codeSpan is text as code within a line.
func codeSpan(s string) string {
	s = clean.Line(s, maxText)
	if s == "" {
		return ""
	}
	fence := strings.Repeat("`", ticks(s)+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return fence + s + fence
}

// ticks is the longest run of backticks in a text.
func ticks(s string) int {
	most, n := 0, 0
	for _, r := range s {
		if r != '`' {
			n = 0
			continue
		}
		n++
		most = max(most, n)
	}
	return most
}
