package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dialtone/internal/request"
	"dialtone/internal/result"
)

// An entry is a step, or several that are alike, as every page lists it: what to ask
// for, or what to mend at the two ends.
type entry struct {
	kind stepKind
	own  bool // it is for the people at the two ends
	// name is the number of a request, "2", or of a part of one that asks for several
	// changes, "2b"; of what is to be mended it is a letter, "A". Every page and form
	// of a report has the same for the same.
	name   string
	number int // of the request; 0: it is none
	steps  []step
	paths  []*result.Path // of all steps
}

// entries lists what to do. With each, every step of those that are alike is an entry
// of its own.
func entries(r *result.Report, each bool) []entry {
	var out []entry
	numbers, letters := 0, 0
	entryOf := map[*result.Path]int{}
	for _, all := range alike(steps(r)) {
		e := entry{kind: all[0].kind, own: all[0].own, steps: all}
		for _, s := range all {
			e.paths = append(e.paths, s.paths...)
		}
		if e.own {
			e.name = strings.ToUpper(letter(letters))
			letters++
		} else {
			numbers++
			e.number, e.name = numbers, strconv.Itoa(numbers)
			for _, p := range e.paths {
				entryOf[p] = numbers
			}
		}
		out = append(out, e)
	}
	if !each {
		return out
	}
	list := request.Of(request.Options{}, r).Requests
	part := map[*result.Path]string{}
	for i, name := range partNames(list, func(p *result.Path) int { return entryOf[p] }) {
		for _, p := range list[i].Paths {
			part[p] = name
		}
	}
	var single []entry
	for _, e := range out {
		for _, s := range e.steps {
			one := entry{kind: e.kind, own: e.own, name: e.name, number: e.number, steps: []step{s}, paths: s.paths}
			if name := part[s.paths[0]]; len(e.steps) > 1 && name != "" {
				one.name = name
			}
			single = append(single, one)
		}
	}
	return single
}

// partNames names requests of package request by the entries of a page that they are
// part of: 1 where the entry asks for that alone, else 1a, 1b, .... What is on no page
// comes after all others.
func partNames(list []request.Request, entryOf func(*result.Path) int) []string {
	var first, times = make([]int, len(list)), map[int]int{}
	last := 0
	for i, q := range list {
		for _, p := range q.Paths {
			n := entryOf(p)
			if last = max(last, n); n > 0 && first[i] == 0 {
				first[i] = n
			}
		}
		if first[i] > 0 {
			times[first[i]]++
		}
	}
	names, nth := make([]string, len(list)), map[int]int{}
	for i, q := range list {
		n := first[i]
		switch {
		case n == 0:
			last++
			names[i] = strconv.Itoa(last)
			continue
		case times[n] == 1:
			names[i] = strconv.Itoa(n)
		default:
			names[i] = strconv.Itoa(n) + letter(nth[n])
			nth[n]++
		}
		for _, p := range q.Paths { // two entries that one change mends
			if o := entryOf(p); o > 0 && times[o] == 0 {
				times[o]++
				names[i] += fmt.Sprintf(" and %d", o)
			}
		}
	}
	return names
}

// letter is the n-th letter, from 0 on; after z comes aa.
func letter(n int) string {
	const letters = 26
	if n >= letters {
		return letter(n/letters-1) + letter(n%letters)
	}
	return string(rune('a' + n))
}

// named puts requests in the order of a page's entries, and names them so.
func named(list []request.Request, entryOf func(*result.Path) int) ([]request.Request, []string) {
	place := func(q request.Request) int {
		for _, p := range q.Paths {
			if n := entryOf(p); n > 0 {
				return n
			}
		}
		return len(list) + 1<<16 // after all others
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b request.Request) int { return place(a) - place(b) })
	return list, partNames(list, entryOf)
}

// numbered returns the number of the entry of a page that asks for what a path needs;
// 0: none does.
func numbered(r *result.Report) func(*result.Path) int {
	of := map[*result.Path]int{}
	for _, e := range entries(r, false) {
		for _, p := range e.paths {
			of[p] = e.number
		}
	}
	return func(p *result.Path) int { return of[p] }
}

// An entryField is something that is to be known of an entry: a text, after words that
// lead it in, and paths of which it is said.
type entryField struct{ label, lead, text string }

// what is the thing to do in a sentence or more.
func (e entry) what() string {
	p := e.paths[0]
	for _, s := range []string{withoutWhy(p), finding(p).Text} {
		if s != "" {
			return s
		}
	}
	return "No finding was recorded."
}

// fields are what is to be known of an entry, in order, each text whole.
func (e entry) fields(r *result.Report, asker request.Asker) []entryField {
	var out []entryField
	add := func(label, lead, text string) {
		if f := (entryField{label, lead, text}); text != "" {
			out = addOnce(out, f)
		}
	}
	first := e.steps[0]
	for _, s := range e.steps[1:] {
		add("Also", "", alsoLine(first, s))
	}
	if !e.own {
		for _, p := range e.paths {
			add("Ask", "", request.Whom(r, p))
		}
	}
	add("For", "", forLine(r, e.paths))
	if !e.own {
		var reasons []reason
		for _, s := range e.steps {
			for _, why := range s.reasons() {
				reasons = addOnce(reasons, why)
			}
		}
		for _, why := range reasons {
			lead := ""
			if len(reasons) > 1 && why.service != "" {
				lead = why.service + ": "
			}
			add("Why", lead, why.why)
		}
	}
	if seen := texts(first.paths); withoutWhy(first.paths[0]) != "" {
		for _, w := range seen {
			lead := ""
			if len(seen) > 1 {
				lead = strings.Join(labels(r, w.paths, false), ", ") + ": "
			}
			if len(e.steps) > 1 {
				w.text = triedTimes.ReplaceAllString(w.text, "")
			}
			add("Seen", lead, w.text)
		}
	}
	if e.own {
		if !isOwn(first.paths[0]) { // else no firewall's log has anything of it
			e.log(add)
		}
		return out
	}
	e.log(add)
	add("Asked by", "", askerWords(asker))
	return out
}

func (e entry) log(add func(label, lead, text string)) {
	for _, s := range logLines(e.paths) {
		add("Log", "", s)
	}
}
