package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/request"
	"dialtone/internal/result"
)

// wanted reports whether p is a broken path that somebody must see to.
func wanted(p *result.Path) bool { return p.Counted && !p.OK }

// groups gathers the paths that keep has and that have the same key, in order.
func (t *textReport) groups(keep func(*result.Path) bool, key func(*result.Path) string) [][]*result.Path {
	var out [][]*result.Path
	index := map[string]int{}
	for i := range t.Paths {
		p := &t.Paths[i]
		if !keep(p) {
			continue
		}
		k := key(p)
		n, ok := index[k]
		if !ok {
			n = len(out)
			index[k] = n
			out = append(out, nil)
		}
		out[n] = append(out[n], p)
	}
	return out
}

// optional reports whether p is a broken path on which nothing depends here.
func optional(p *result.Path) bool {
	return !p.Counted && !p.OK && p.Verdict != result.Untested && p.Finding != nil
}

// isOwn reports whether what p needs is for the people at the two ends to do, so
// that nobody takes it to a firewall's.
func isOwn(p *result.Path) bool { return p.Finding != nil && p.Finding.IsOwn() }

// requests lists what to mend at the two ends, then what to ask for: first what
// is needed, then the rest. What is
// asked for already is not asked for again for a row that is not needed.
func (t *textReport) requests() {
	asked := map[tuple]bool{}
	for i := range t.Paths {
		if p := &t.Paths[i]; wanted(p) && tupleOf(p) != (tuple{}) {
			asked[tupleOf(p)] = true
		}
	}
	isAsked := func(p *result.Path) bool { return wanted(p) || optional(p) && asked[tupleOf(p)] }
	// What may as well be that nothing listens is no request either.
	asks := func(p *result.Path) bool { return request.Asks(t.Report, p) }
	n := t.requestsFor("What to mend first, at the two ends", func(p *result.Path) bool { return isAsked(p) && !asks(p) || optional(p) && isOwn(p) }, 0)
	n = t.requestsFor("What to ask for", func(p *result.Path) bool { return isAsked(p) && asks(p) }, n)
	t.requestsFor("Only if this site needs these too", func(p *result.Path) bool { return optional(p) && !isAsked(p) && !isOwn(p) }, n)
}

// A tuple is what one firewall rule is about, and what is wrong with it. Rows
// that share a port are one attempt, and one request.
type tuple struct {
	transport        plan.Transport
	from, to         netip.Addr
	port, sourcePort int
	direction        plan.Direction
	code             result.Code
}

// tupleOf is the tuple of a path, the zero value if it has none.
func tupleOf(p *result.Path) tuple {
	if !p.Source.IsValid() || !p.Target.IsValid() || p.Finding == nil || p.Port == 0 {
		return tuple{}
	}
	return tuple{p.Transport, p.Source.Addr(), p.Target.Addr(), p.Port, p.SourcePort, p.Direction, p.Finding.Code}
}

// requestKey returns the key by which paths are one request: those with the same
// advice, and those with one tuple.
func requestKey() func(*result.Path) string {
	keys := map[tuple]string{}
	return func(p *result.Path) string {
		k := tupleOf(p)
		if k == (tuple{}) {
			return adviceKey(p)
		}
		if _, ok := keys[k]; !ok {
			keys[k] = adviceKey(p)
		}
		return keys[k]
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

// requestsFor lists one item for each different advice about the paths that
// keep has, numbered after n. It returns the last number.
func (t *textReport) requestsFor(title string, keep func(*result.Path) bool, n int) int {
	titled := false
	for _, g := range t.groups(keep, requestKey()) {
		first := g[0]
		what, why := finding(first).Advice, texts(g)
		if what == "" {
			if what = finding(first).Text; what == "" {
				what = "No finding was recorded."
			}
			why = nil
		}
		if n++; !titled {
			titled = true
			t.title(title)
			t.blank()
		}
		lead := fmt.Sprintf("%3d. ", n)
		t.hang(lead, what, 0, strong)
		fields := [][2]string{{"For", strings.Join(t.labels(g, true), ", ")}}
		label := "Also"
		for _, s := range alsoFor(g) {
			fields = append(fields, [2]string{label, s})
			label = ""
		}
		label = "Seen"
		for _, w := range why {
			s := w.text
			if len(why) > 1 {
				s = strings.Join(t.labels(w.paths, false), ", ") + ": " + s
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
	return n
}

// sentence ends s with a full stop, unless it ends with one or is empty.
func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

func adviceKey(p *result.Path) string {
	if f := finding(p); f.Advice != "" {
		return "a" + f.Advice
	} else if f.Text != "" {
		return "t" + f.Text
	}
	return ""
}

func finding(p *result.Path) result.Finding {
	if p.Finding == nil {
		return result.Finding{}
	}
	return *p.Finding
}

// A said is a text and the paths of which it is said.
type said struct {
	text  string
	paths []*result.Path
}

// texts gathers the different texts of the findings of paths.
func texts(paths []*result.Path) []said {
	var out []said
	for _, p := range paths {
		s := finding(p).Text
		if s == "" {
			continue
		}
		i := slices.IndexFunc(out, func(o said) bool { return o.text == s })
		if i < 0 {
			i = len(out)
			out = append(out, said{text: s})
		}
		out[i].paths = append(out[i].paths, p)
	}
	return out
}

// logLines is what to search a firewall's log for.
func logLines(paths []*result.Path) []string {
	var out []string
	for _, p := range paths {
		if !p.Source.IsValid() || !p.Target.IsValid() {
			continue
		}
		s := string(p.Transport) + " " + endpoints(p)
		if !p.At.IsZero() {
			s = p.At.UTC().Format("2006-01-02 15:04:05.000 UTC") + " " + s
		}
		if p.SeenAs.IsValid() && p.SeenAs != p.Source {
			s += ", arriving from " + p.SeenAs.String()
		}
		out = addOnce(out, s)
	}
	return out
}

// labels names paths by flow, and by direction, family and address where the
// flow alone would not tell, each with its outcome if that is wanted.
func (t *textReport) labels(paths []*result.Path, outcomes bool) []string {
	var out []string
	for _, p := range paths {
		s := p.Flow
		var twoWays, twoFamilies bool
		for i := range t.Paths {
			if o := &t.Paths[i]; o.Flow == p.Flow {
				twoWays = twoWays || isReverse(o) != isReverse(p)
				twoFamilies = twoFamilies || isReverse(o) == isReverse(p) && o.Family != p.Family
			}
		}
		if twoWays && isReverse(p) {
			s += " to here"
		}
		switch f := familyName(p.Family); {
		case p.Address != "":
			s += " at " + p.Address
		case twoFamilies && f != "":
			s += " over " + f
		}
		if outcomes {
			s += " (" + outcome(p) + ")"
		}
		out = addOnce(out, s)
	}
	return out
}

// remarks lists the findings on which nothing depends, and the notes.
func (t *textReport) remarks() {
	var items []string
	for _, g := range t.groups(
		func(p *result.Path) bool { return !wanted(p) && !optional(p) && p.Finding != nil },
		func(p *result.Path) string { return p.Finding.Text + "\x00" + p.Finding.Advice },
	) {
		f := g[0].Finding
		body := strings.TrimSpace(sentence(f.Text) + " " + f.Advice)
		if body != "" {
			items = append(items, strings.Join(t.labels(g, true), ", ")+": "+body)
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
			items = append(items, fmt.Sprintf("%s (%s): %s", n.note.Code, strings.Join(t.labels(n.paths, false), ", "), n.note.Text))
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
