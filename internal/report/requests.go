package report

import (
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/result"
)

// requests lists the steps, numbered through.
func (t *textReport) requests() {
	n, kind := 0, stepKind(0)
	for _, s := range steps(t.Report) {
		if s.kind != kind {
			kind = s.kind
			t.title(stepTitles[kind])
			t.blank()
		}
		n++
		t.step(n, s)
	}
}

// alsoFor names the services of a request beside the one that its words name,
// and why they are needed.
func alsoFor(paths []*result.Path) []string {
	said := []string{finding(paths[0]).Advice}
	var out []string
	for _, p := range paths {
		if a := finding(p).Advice; a != "" && !slices.Contains(said, a) {
			said = append(said, a)
			out = addOnce(out, strings.TrimSuffix(p.Service+": "+p.Why, ": "))
		}
	}
	return out
}

// step writes one step.
func (t *textReport) step(n int, s step) {
	g := s.paths
	first := g[0]
	what, why := finding(first).Advice, texts(g)
	if what == "" {
		if what = finding(first).Text; what == "" {
			what = "No finding was recorded."
		}
		why = nil
	}
	lead := fmt.Sprintf("%3d. ", n)
	t.hang(lead, what, 0, strong)
	fields := [][2]string{{"For", strings.Join(labels(t.Report, g, true), ", ")}}
	label := "Also"
	for _, s := range alsoFor(g) {
		fields = append(fields, [2]string{label, s})
		label = ""
	}
	label = "Seen"
	for _, w := range why {
		s := w.text
		if len(why) > 1 {
			s = strings.Join(labels(t.Report, w.paths, false), ", ") + ": " + s
		}
		fields = append(fields, [2]string{label, s})
		label = ""
	}
	label = "Log"
	for _, s := range logLines(g) {
		if isOwn(first) {
			break // no firewall's log has anything of it
		}
		fields = append(fields, [2]string{label, s})
		label = ""
	}
	t.fields(len(lead), fields)
	t.blank()
}

// sentence ends s with a full stop, unless it ends with one or is empty.
func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

// remarks lists the findings on which nothing depends, and the notes.
func (t *textReport) remarks() {
	var items []string
	for _, g := range groups(t.Report,
		func(p *result.Path) bool { return !wanted(p) && !optional(p) && p.Finding != nil },
		func(p *result.Path) string { return p.Finding.Text + "\x00" + p.Finding.Advice },
	) {
		f := g[0].Finding
		body := strings.TrimSpace(sentence(f.Text) + " " + f.Advice)
		if body != "" {
			items = append(items, strings.Join(labels(t.Report, g, true), ", ")+": "+body)
		}
	}
	type about struct {
		note  result.Note
		paths []*result.Path
	}
	var notes []about
	for i := range t.Paths {
		p := &t.Paths[i]
		for _, n := range p.Notes {
			at := slices.IndexFunc(notes, func(a about) bool { return a.note == n })
			if at < 0 {
				at = len(notes)
				notes = append(notes, about{note: n})
			}
			notes[at].paths = append(notes[at].paths, p)
		}
	}
	for _, n := range notes {
		if n.note.Text != "" {
			items = append(items, fmt.Sprintf("%s (%s): %s", n.note.Code, strings.Join(labels(t.Report, n.paths, false), ", "), n.note.Text))
		}
	}
	if len(items) == 0 {
		return
	}
	t.title("Also noted")
	t.blank()
	for _, s := range items {
		t.hang("  * ", s, 0, plain)
	}
	t.blank()
}
