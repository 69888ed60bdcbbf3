package report

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/request"
	"dialtone/internal/result"
)

// A stepKind says who has to do a step, and how much hangs on it.
type stepKind int

const (
	_            stepKind = iota
	stepOwn               // to be mended at the two ends, before anybody is asked
	stepAsk               // to be asked for: something that counts depends on it
	stepOptional          // to be asked for only if this site needs it
)

// stepTitles are what each kind is called.
var stepTitles = map[stepKind]string{
	stepOwn: "What to see to first, at the two ends", stepAsk: "What to ask for", stepOptional: "Only if this site needs these too",
}

// A step is one thing to do, and the paths that need it. The words are those of
// the first path's finding.
type step struct {
	kind  stepKind
	own   bool // it is for the people at the two ends to do, and no request
	paths []*result.Path
}

// wanted reports whether p is a broken path that somebody must see to.
func wanted(p *result.Path) bool { return p.Counted && !p.OK && !isThrough(p) }

// isThrough reports whether a browser got through and there is nothing to do: that it
// proves nothing is said elsewhere.
func isThrough(p *result.Path) bool { return finding(p).Code == result.CodeBrowserAnswered }

// optional reports whether p is a broken path on which nothing depends here.
func optional(p *result.Path) bool {
	return !p.Counted && p.IsBroken() && !isThrough(p)
}

// isOwn reports whether what p needs is for the people at the two ends to do, so
// that nobody takes it to a firewall's.
func isOwn(p *result.Path) bool { return p.Finding != nil && p.Finding.IsOwn() }

// steps lists what to do for a report, in order: what to mend at the two ends, what
// to ask for, and what only some sites need. What is
// asked for already is not asked for again for a row that is not needed.
func steps(r *result.Report) []step {
	asked := map[cause]bool{}
	for i := range r.Paths {
		if p := &r.Paths[i]; wanted(p) && causeOf(p) != (cause{}) {
			asked[causeOf(p)] = true
		}
	}
	isAsked := func(p *result.Path) bool { return wanted(p) || optional(p) && asked[causeOf(p)] }
	// What may as well be that nothing listens is no request either.
	asks := func(p *result.Path) bool { return request.Asks(r, p) }
	var out []step
	for _, of := range []struct {
		kind stepKind
		own  bool
		keep func(*result.Path) bool
	}{
		{stepOwn, true, func(p *result.Path) bool { return isAsked(p) && !asks(p) || optional(p) && isOwn(p) }},
		{stepAsk, false, func(p *result.Path) bool { return isAsked(p) && asks(p) }},
		{stepOptional, false, func(p *result.Path) bool { return optional(p) && !isAsked(p) && asks(p) }},
		{stepOptional, true, func(p *result.Path) bool { return optional(p) && !isAsked(p) && !asks(p) && !isOwn(p) }},
	} {
		for _, paths := range groups(r, of.keep, requestKey()) {
			out = append(out, step{of.kind, of.own, paths})
		}
	}
	return out
}

// groups gathers the paths that keep has and that have the same key, in order.
func groups(r *result.Report, keep func(*result.Path) bool, key func(*result.Path) string) [][]*result.Path {
	var kept []*result.Path
	for i := range r.Paths {
		if p := &r.Paths[i]; keep(p) {
			kept = append(kept, p)
		}
	}
	return grouped(kept, key)
}

// grouped gathers what has the same key, in the order of the first of each.
func grouped[T any](all []T, key func(T) string) [][]T {
	var out [][]T
	index := map[string]int{}
	for _, x := range all {
		k := key(x)
		n, ok := index[k]
		if !ok {
			n = len(out)
			index[k] = n
			out = append(out, nil)
		}
		out[n] = append(out[n], x)
	}
	return out
}

// A cause is what one firewall rule is about, and what is wrong with it. Rows
// that share a port are one attempt, and one request.
type cause struct {
	tuple
	code result.Code
}

// causeOf is the cause of a path, the zero value if it has none.
func causeOf(p *result.Path) cause {
	t := tupleOf(p)
	if t == (tuple{}) || p.Finding == nil {
		return cause{}
	}
	return cause{t, p.Finding.Code}
}

// requestKey returns the key by which paths are one request: those with the same
// advice, and those with one cause.
func requestKey() func(*result.Path) string {
	keys := map[cause]string{}
	return func(p *result.Path) string {
		k := causeOf(p)
		if k == (cause{}) {
			return adviceKey(p)
		}
		if _, ok := keys[k]; !ok {
			keys[k] = adviceKey(p)
		}
		return keys[k]
	}
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

// alike gathers steps that ask the same for another port, so that ten ports which
// one firewall drops are one item and not ten. The first of each speaks for it.
func alike(all []step) [][]step { return grouped(all, step.pattern) }

// triedTimes is how often something was tried, which makes no two steps different.
var triedTimes = regexp.MustCompile(` It was tried \d+ times\.`)

// pattern is a step's words without what is its path's alone: port, service, roles
// and why it is needed.
func (s step) pattern() string {
	p := s.paths[0]
	f := finding(p)
	if tupleOf(p) == (tuple{}) {
		return s.whose() + adviceKey(p)
	}
	words := withoutWhy(p) + "\n" + triedTimes.ReplaceAllString(f.Text, "")
	for _, r := range [][2]string{
		{", for " + p.Service + ".", ", for SERVICE."}, {" (" + p.From + ") ", " (FROM) "}, {" (" + p.To + ") ", " (TO) "},
		{p.Source.Addr().String(), "SOURCE"}, {p.Target.Addr().String(), "TARGET"}, {"port " + strconv.Itoa(p.Port), "port N"},
	} {
		words = replaceWhole(words, r[0], r[1])
	}
	return s.whose() + string(f.Code) + string(p.Direction) + string(p.Transport) + "\n" + words
}

// whose is what makes two steps two, whatever their words: who is to do it, and how
// much hangs on it.
func (s step) whose() string { return fmt.Sprint(s.kind, s.own, " ") }

// replaceWhole replaces old in s where it is no part of a longer number, name or
// address.
func replaceWhole(s, old, to string) string {
	if old == "" {
		return s
	}
	isPart := func(c byte) bool {
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	var b strings.Builder
	for {
		at := strings.Index(s, old)
		if at < 0 {
			b.WriteString(s)
			return b.String()
		}
		end := at + len(old)
		before := at > 0 && isPart(old[0]) && (isPart(s[at-1]) || s[at-1] == '.' || s[at-1] == ':')
		after := end < len(s) && isPart(old[len(old)-1]) && (isPart(s[end]) || (s[end] == '.' || s[end] == ':') && end+1 < len(s) && isPart(s[end+1]))
		b.WriteString(s[:at])
		if before || after {
			b.WriteString(old)
		} else {
			b.WriteString(to)
		}
		s = s[end:]
	}
}

// whyNeeded leads in why a path is needed, at the end of an advice.
const whyNeeded = " Why it is needed: "

// withoutWhy is a path's advice without why the path is needed: that is the plan's,
// and stands beside it.
func withoutWhy(p *result.Path) string {
	advice := finding(p).Advice
	if p.Why == "" {
		return advice
	}
	if before, why, ok := strings.Cut(advice, whyNeeded); ok && strings.TrimSuffix(why, ".") == strings.TrimSuffix(p.Why, ".") {
		return before
	}
	return advice
}

// A reason is why a service is needed.
type reason struct{ service, why string }

// reasons are why a step's paths are needed, each once.
func (s step) reasons() []reason {
	var out []reason
	for _, p := range s.paths {
		if p.Why != "" {
			out = addOnce(out, reason{p.Service, p.Why})
		}
	}
	return out
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
		for _, e := range request.LogOf(p) {
			out = addOnce(out, logLine(p.Transport, e))
		}
	}
	return out
}

func logLine(transport plan.Transport, e result.LogEntry) string {
	s := string(transport) + " " + endpoint(e.Source) + " -> " + e.Target.String()
	if !e.At.IsZero() {
		s = e.At.UTC().Format("2006-01-02 15:04:05.000 UTC") + " " + s
	}
	if e.SeenAs.IsValid() && e.SeenAs != e.Source {
		s += ", arriving from " + e.SeenAs.String()
	}
	return s
}
