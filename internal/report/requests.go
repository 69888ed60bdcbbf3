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
	what, fields := s.details(t.Report)
	lead := fmt.Sprintf("%3d. ", n)
	t.hang(lead, what, 0, strong)
	for i := len(fields) - 1; i > 0; i-- {
		if fields[i][0] == fields[i-1][0] {
			fields[i][0] = ""
		}
	}
	t.fields(len(lead), fields)
	t.blank()
}

// details are what a step asks for, in its first path's words, and what else is to
// be said of it, labelled.
func (s step) details(r *result.Report) (what string, fields [][2]string) {
	first, why := s.paths[0], texts(s.paths)
	if what = finding(first).Advice; what == "" {
		if what = finding(first).Text; what == "" {
			what = "No finding was recorded."
		}
		why = nil
	}
	fields = append(fields, [2]string{"For", strings.Join(labels(r, s.paths, true), ", ")})
	for _, also := range alsoFor(s.paths) {
		fields = append(fields, [2]string{"Also", also})
	}
	for _, w := range why {
		text := w.text
		if len(why) > 1 {
			text = strings.Join(labels(r, w.paths, false), ", ") + ": " + text
		}
		fields = append(fields, [2]string{"Seen", text})
	}
	if isOwn(first) {
		return what, fields // no firewall's log has anything of it
	}
	for _, line := range logLines(s.paths) {
		fields = append(fields, [2]string{"Log", line})
	}
	return what, fields
}

// sentence ends s with a full stop, unless it ends with one or is empty.
func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

// remarks lists what is noted.
func (t *textReport) remarks() {
	items := noted(t.Report)
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

// noted are the findings on which nothing depends, and the notes.
func noted(r *result.Report) []string {
	var items []string
	for _, g := range groups(r,
		func(p *result.Path) bool { return !wanted(p) && !optional(p) && p.Finding != nil },
		func(p *result.Path) string { return p.Finding.Text + "\x00" + p.Finding.Advice },
	) {
		f := g[0].Finding
		body := strings.TrimSpace(sentence(f.Text) + " " + f.Advice)
		if body != "" {
			items = append(items, strings.Join(labels(r, g, true), ", ")+": "+body)
		}
	}
	type about struct {
		note  result.Note
		paths []*result.Path
	}
	var notes []about
	for i := range r.Paths {
		p := &r.Paths[i]
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
			items = append(items, fmt.Sprintf("%s (%s): %s", n.note.Code, strings.Join(labels(r, n.paths, false), ", "), n.note.Text))
		}
	}
	return items
}
