package report

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"dialtone/internal/result"
)

// maxItems is how many lines of a log, and reasons, a step gives where it is not to
// tell all.
const maxItems = 6

// requests lists what to do. What is to be mended and is said of the whole run already
// is not said again.
func (t *textReport) requests() {
	kind := stepKind(0)
	for _, e := range entries(t.Report, t.verbose) {
		if e.own && t.isSaid(e) {
			continue
		}
		if e.kind != kind {
			kind = e.kind
			t.title(stepTitles[kind])
			t.blank()
		}
		t.entry(e)
	}
}

// isSaid reports whether what is to be mended stands on the page already: a page
// that tells all wants it of every path.
func (t *textReport) isSaid(e entry) bool {
	for i, p := range e.paths {
		f := finding(p)
		if (i == 0 || t.verbose) && (f.Advice == "" || !t.stands(f.Advice) || !t.stands(f.Text)) {
			return false
		}
	}
	return true
}

// entry writes what to do. A request is whole, since it goes to others, who have
// nothing else of this page.
func (t *textReport) entry(e entry) {
	where := "in " + e.name
	say := t.anew
	if e.own {
		say = t.once
	}
	lead := fmt.Sprintf("%3s. ", e.name)
	t.hang(lead, say(e.what(), where), 0, strong)
	values := map[string][]string{}
	var order []string
	for _, f := range e.fields(t.Report, t.asker) {
		s := f.text
		switch f.label {
		case "Why":
			s = say(s, where)
		case "Seen":
			if once := triedTimes.ReplaceAllString(s, ""); !t.verbose && e.own && t.stands(once) {
				s = once
			}
			s = say(s, where)
		}
		if s != "" {
			order = addOnce(order, f.label)
			values[f.label] = addOnce(values[f.label], f.lead+s)
		}
	}
	var fields [][2]string
	for _, label := range order {
		items := values[label]
		if label == "Why" || label == "Log" {
			items = t.most(items)
		}
		for i, s := range items {
			fields = append(fields, [2]string{[]string{label, ""}[min(i, 1)], s})
		}
	}
	t.fields(len(lead), fields)
	t.blank()
}

// most is as many items as a page that does not tell all has room for.
func (t *textReport) most(items []string) []string {
	n := len(items) - maxItems
	if n <= 1 || t.verbose {
		return items
	}
	return append(items[:maxItems:maxItems], fmt.Sprintf("and %d more, which --verbose lists", n))
}

// forLine names paths with their outcomes: where there are many that all came to
// the same, once for all.
func forLine(r *result.Report, paths []*result.Path) string {
	const few = 3
	names := labels(r, paths, false)
	if len(names) <= few {
		return strings.Join(labels(r, paths, true), ", ")
	}
	for _, p := range paths {
		if outcome(p) != outcome(paths[0]) {
			return strings.Join(labels(r, paths, true), ", ")
		}
	}
	how := outcome(paths[0])
	if over := " over " + familyName(paths[0].Family); !slices.ContainsFunc(names, func(s string) bool { return !strings.HasSuffix(s, over) }) {
		for i, s := range names {
			names[i] = strings.TrimSuffix(s, over)
		}
		how += over
	}
	return strings.Join(names, ", ") + " (all " + how + ")"
}

// alsoLine is what one step more asks for beside the one that speaks for it.
func alsoLine(first, s step) string {
	p := s.paths[0]
	is, of := tupleOf(p), tupleOf(first.paths[0])
	words := is.words()
	if of.port, of.sourcePort = is.port, is.sourcePort; is == of {
		words = fmt.Sprintf("port %d", is.port)
	}
	return words + ", for " + p.Service
}

// sentence ends s with a full stop, unless it ends with one or is empty.
func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

// portOfAddress is the port behind an address in a text.
var portOfAddress = regexp.MustCompile(`([0-9a-f\]]):\d{4,5}\b`)

// withoutPorts is a text without the ports that the system drew: what differs in
// nothing else is said once.
func withoutPorts(s string) string { return portOfAddress.ReplaceAllString(s, "$1") }

// remarks lists what is noted.
func (t *textReport) remarks() {
	items := noted(t.Report, t.verbose, func(s string) string { return t.once(s, "above") })
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

// noted are the findings on which nothing depends, and the notes, each as once has
// it; verbose tells those apart that differ by ports that the system drew.
func noted(r *result.Report, verbose bool, once func(string) string) []string {
	var items []string
	for _, g := range groups(r,
		func(p *result.Path) bool { return !wanted(p) && !optional(p) && !isThrough(p) && p.Finding != nil },
		func(p *result.Path) string { return p.Finding.Text + "\x00" + p.Finding.Advice },
	) {
		f := g[0].Finding
		body := strings.TrimSpace(sentence(f.Text) + " " + f.Advice)
		if body != "" {
			items = append(items, strings.Join(labels(r, g, true), ", ")+": "+once(body))
		}
	}
	type about struct {
		code  result.NoteCode
		texts []string
		paths []*result.Path
	}
	var notes []about
	for i := range r.Paths {
		p := &r.Paths[i]
		for _, n := range p.Notes {
			at := slices.IndexFunc(notes, func(a about) bool {
				return a.code == n.Code && (a.texts[0] == n.Text || !verbose && withoutPorts(a.texts[0]) == withoutPorts(n.Text))
			})
			if at < 0 {
				at = len(notes)
				notes = append(notes, about{code: n.Code})
			}
			notes[at].texts, notes[at].paths = addOnce(notes[at].texts, n.Text), append(notes[at].paths, p)
		}
	}
	for _, n := range notes {
		words := n.texts[0]
		if len(n.texts) > 1 {
			words = withoutPorts(words)
		}
		if words != "" {
			items = append(items, fmt.Sprintf("%s (%s): %s", n.code, strings.Join(labels(r, n.paths, false), ", "), once(words)))
		}
	}
	return items
}
