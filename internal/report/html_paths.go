package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/request"
	"dialtone/internal/result"
)

var pathsPage = htmlTemplate("paths.html")

// Page is a report as a page. A program that shows no other form of it has no need of the
// others, which Paths would bring.
func Page(r *result.Report) ([]byte, error) { return renderPathsHTML(r, Options{}) }

// renderPathsHTML makes a page of a report.
func renderPathsHTML(r *result.Report, o Options) ([]byte, error) {
	t := &textReport{Report: r, verbose: true, asker: o.Ask.Asker}
	s := sheet{
		Kind: "Path report", Class: answerClass(r), Answer: answer(r), Limits: t.caveat(), Next: next(r), Tool: r.Tool,
		Title: "Path report: " + cmp.Or(r.From.Host, r.From.Addresses.String(), "this machine") + " to " + hostName(r.To),
	}
	b := t.body()
	var err error
	if b.Letter, err = letterOf(request.Of(o.Ask, r), func(o Options) ([]byte, error) { return renderRequests(r, o) }, o); err != nil {
		return nil, err
	}
	s.Body = b
	return renderHTML(pathsPage, s)
}

// answerClass is how the answer looks.
func answerClass(r *result.Report) string {
	switch c := count(r); {
	case r.Interrupted, c.all == 0 && len(r.Paths) > 0, len(c.broken) == 0 && len(c.unproved) > 0, c.ok > 0 && len(c.broken) == 0 && len(c.untested) > 0:
		return classes[markUnknown.word]
	case c.allOK():
		return classes[markOK.word]
	}
	return classes[markBroken.word]
}

// A pathsBody is what a page has of a report beside its frame.
type pathsBody struct {
	Since    *htmlSince // nil: it was not compared with an earlier report
	Findings []result.Finding
	Pictures []picture
	Sections []htmlSection
	Letter   asIs // to a firewall's people; "": there is nothing to ask for
	Paths    []htmlPath
	Speeds   []speed
	Noted    []string
	Machines []htmlMachine
	Hints    []string // of their commands
	LeftOut  []string
	Facts    []labelledTexts
}

// An htmlSection is the requests under one title.
type htmlSection struct {
	Title string
	Items []htmlRequest
}

// An htmlRequest is a request, and the text that its button copies; or what is to be
// mended at the two ends, which has none.
type htmlRequest struct {
	Name   string
	What   string
	Fields []labelledTexts
	Copy   asIs
}

// An htmlMachine is another machine to run dial on.
type htmlMachine struct{ Name, Command, Rows string }

// An htmlPath is a bundle and its story.
type htmlPath struct {
	ID                string
	Class             string
	Mark, Verdict     string
	Name, Port        string
	IDs, Flows        string // the rows, in brackets those that do not count; and by service
	Way               string // from where to where
	Means, Story, Why string
	Advice            htmlRef // what to do
	ShownBy           string
	Need              string
	Notes             []string
	Here, There       string // which machine each half is of
	Initiator         []labelledTexts
	Acceptor          []labelledTexts
	NoAcceptor        bool
}

// An htmlRef leads to what there is to do, by its name; the zero value: to nothing.
type htmlRef struct{ Name, Words string }

// A speed is how long a bundle's round trip took, and how fast its payload moved.
type speed struct {
	Name           string
	RTT, Out, Back gauge
}

// A gauge is a number and how long its bar is, in hundredths of the longest.
type gauge struct {
	Text string
	Bar  string
}

// body gathers what the page shows.
func (t *textReport) body() pathsBody {
	r := t.Report
	b := pathsBody{Findings: r.Findings, Pictures: pictures(r), Speeds: speeds(r), Facts: labelled(t.runFacts())}
	b.Since = sinceOf(r.Compared)
	b.Noted = noted(r, false, func(s string) string { return s })
	b.Machines, b.Hints, b.LeftOut = leftOut(r)
	asked := map[*result.Path]htmlRef{}
	kind := stepKind(0)
	for _, e := range entries(r, false) {
		if e.kind != kind {
			kind = e.kind
			b.Sections = append(b.Sections, htmlSection{Title: stepTitles[kind]})
		}
		ref := htmlRef{e.name, "See request " + e.name + "."}
		if e.own {
			ref.Words = "See point " + e.name + "."
		}
		for _, p := range e.paths {
			asked[p] = ref
		}
		at := &b.Sections[len(b.Sections)-1]
		at.Items = append(at.Items, t.newRequest(e))
	}
	var all []bundle
	for _, l := range places(r) {
		all = append(all, l.bundles...)
	}
	slices.SortStableFunc(all, func(x, y bundle) int { return cmp.Compare(urgency(x), urgency(y)) })
	for i, x := range all {
		b.Paths = append(b.Paths, story(r, i+1, x, asked))
	}
	return b
}

// newRequest is an entry of the page. What is copied is sent alone, so that it says
// when and by whom it was tested, too.
func (t *textReport) newRequest(e entry) htmlRequest {
	var fields [][2]string
	for _, f := range e.fields(t.Report, t.asker) {
		fields = append(fields, [2]string{f.label, f.lead + f.text})
	}
	q := htmlRequest{Name: e.name, What: e.what(), Fields: labelled(fields)}
	if !e.own {
		q.Copy = copied(q.What, append(fields, [2]string{"Tested", testedWords(t.Report)}))
	}
	return q
}

// urgency orders bundles: what does not work, what is not known, what does not
// count, what works.
func urgency(b bundle) int {
	return slices.Index([]string{markBroken.word, markUnknown.word, markIgnored.word, markOK.word}, b.mark().word)
}

// copied is what a button copies: words for an e-mail or a ticket.
func copied(what string, fields [][2]string) asIs {
	p := newPage(Options{Width: copyWidth})
	p.hang("", what, 0, plain)
	p.blank()
	once := slices.Clone(fields)
	for i := len(once) - 1; i > 0; i-- {
		if once[i][0] == once[i-1][0] {
			once[i][0] = ""
		}
	}
	p.fields(0, once)
	return asIs(p.b.String())
}

// leftOut are the rows that this run left out: the machines that test them, what else
// is to be known of their commands, and rows of which there is no such machine, by
// reason.
func leftOut(r *result.Report) (on []htmlMachine, notes, others []string) {
	list, left := machines(r)
	for _, m := range list {
		on = append(on, htmlMachine{m.name, m.command, strings.Join(m.rows, ", ")})
	}
	for _, x := range leftOutAlike(left) {
		others = append(others, strings.Join(x.flows, ", ")+": "+x.why)
	}
	return on, hints(list), others
}

// copyWidth fits what a button copies into an e-mail.
const copyWidth = 78

// story tells of one bundle.
func story(r *result.Report, n int, b bundle, asked map[*result.Path]htmlRef) htmlPath {
	p, m := b[0], b.mark()
	h := htmlPath{
		ID: fmt.Sprintf("path-%d", n), Class: classes[m.word], Mark: m.word, Verdict: outcome(p), Name: services(b), Port: port(p), Way: endpoints(p),
		Means: capital((&textReport{Report: r}).meaning(p.Verdict)), Advice: asked[p], ShownBy: shownBy(p), Flows: b.names(),
		Initiator: labelled(initiatorSaw(p)), Acceptor: labelled(acceptorSaw(p)),
		NoAcceptor: p.Acceptor == nil && p.Verdict != result.Untested && !r.Mode.IsReal(),
	}
	h.Here, h.There = halves(p)
	var ids []string
	for _, q := range b {
		id := q.Flow
		if !q.Counted {
			id = "(" + id + ")"
		}
		ids = addOnce(ids, id)
	}
	h.IDs = strings.Join(ids, ", ")
	if isReverse(p) {
		h.Name += ", to here"
	}
	if m.word == markIgnored.word {
		h.Mark = "" // as in the picture
		h.Verdict = "(" + h.Verdict + ")"
	}
	h.Story = finding(p).Text
	if f := finding(p); h.Advice == (htmlRef{}) {
		h.Story = strings.TrimSpace(sentence(f.Text) + " " + f.Advice)
	}
	var whys, needs []string
	for _, q := range b {
		if q.Why != "" {
			whys = addOnce(whys, q.Why)
		}
		need := string(q.Need)
		if !q.Counted {
			need = "(" + need + ")"
		}
		needs = addOnce(needs, need)
		for _, n := range q.Notes {
			h.Notes = addOnce(h.Notes, cmp.Or(n.Text, string(n.Code)))
		}
	}
	h.Why, h.Need = strings.Join(whys, " "), strings.Join(needs, ", ")
	return h
}

// capital begins s like a sentence.
func capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// next is what to do, from the first thing on.
func next(r *result.Report) []todo {
	var out []todo
	for _, f := range r.Findings {
		if f.Advice != "" {
			out = append(out, todo{f.Advice, ""})
		}
	}
	var own, send, maybe []string // names
	for _, e := range entries(r, false) {
		switch {
		case e.own && e.kind == stepOwn:
			own = append(own, e.name)
		case e.kind == stepAsk:
			send = append(send, e.name)
		case !e.own:
			maybe = append(maybe, e.name)
		}
	}
	if len(own) > 0 {
		out = append(out, todo{fmt.Sprintf("See to what concerns the two ends: %s %s below.", one(len(own), "point", "points"), list(own)), "#request-" + own[0]})
	}
	if len(send) > 0 {
		s := sendWords(send, maybe, "those whom it says to ask", "those whom each says to ask")
		if slices.ContainsFunc(r.Findings, func(f result.Finding) bool { return f.Code == result.CodeNoContact }) {
			s = "If listen did run there: s" + strings.TrimPrefix(s, "S")
		}
		out = append(out, todo{s, "#request-" + send[0]})
	}
	c := count(r)
	switch {
	case len(own)+len(send) > 0:
		out = append(out, todo{"Then run the same test again.", ""})
	case len(c.untested) > 0 && len(r.Findings) == 0:
		out = append(out, todo{"Run the same test again: not everything was tested.", ""})
	case r.Mode == result.ModeBrowser && len(out) == 0:
		out = append(out, todo{"Nothing was found blocked. Run dial once on a computer of the same network, if any program may run there: it proves what a browser cannot.", ""})
	case c.allOK() && !r.Interrupted && len(out) == 0:
		out = append(out, todo{nothingToAsk, ""})
	}
	elsewhere, _ := machines(r)
	var rows []string
	for _, m := range elsewhere {
		for _, row := range m.rows {
			rows = addOnce(rows, row)
		}
	}
	if n := len(rows); n > 0 {
		out = append(out, todo{fmt.Sprintf("%d more %s of the plan can be tested by other commands or from elsewhere: see which, and how.", n, one(n, "row", "rows")), "#left-out"})
	}
	return out
}

// sendWords says what to do with requests, by their names: those that something
// depends on, and the others. to says where to, of one and of several.
func sendWords(needed, others []string, to, toEach string) string {
	s := fmt.Sprintf("Send %s %s to %s; a button copies %s", one(len(needed), "request", "requests"), fewNamed(needed), one(len(needed), to, toEach), one(len(needed), "it", "each"))
	if len(others) > 0 {
		s += fmt.Sprintf(". Send %s only if this site needs %s", fewNamed(others), one(len(others), "it", "them"))
	}
	return s + "."
}

// fewNamed is names that are numbers one after the other: 1 and 2, or 1 to 9.
func fewNamed(names []string) string {
	if n := len(names); n > 3 {
		return names[0] + " to " + names[n-1]
	}
	return list(names)
}

const nothingToAsk = "Nothing has to be asked for. Keep this report: should a path fail later, it shows that it worked."

// speeds are the bundles that were timed.
func speeds(r *result.Report) []speed {
	type timed struct {
		name           string
		rtt, out, back float64
	}
	var all []timed
	var most timed
	for _, l := range places(r) {
		for _, b := range l.bundles {
			p := b[0]
			v := timed{name: port(p) + " " + services(b)}
			if isReverse(p) {
				v.name += ", to here"
			}
			if p.RTTMS != nil {
				v.rtt = *p.RTTMS
			}
			if i := p.Initiator; i != nil {
				v.out, v.back = i.Sent.Rate(), i.Received.Rate()
			}
			if v.rtt == 0 && v.out == 0 && v.back == 0 {
				continue
			}
			most.rtt, most.out, most.back = max(most.rtt, v.rtt), max(most.out, v.out), max(most.back, v.back)
			all = append(all, v)
		}
	}
	var out []speed
	for _, v := range all {
		out = append(out, speed{v.name, newGauge(msWords(v.rtt), v.rtt, most.rtt), newGauge(rateWords(v.out), v.out, max(most.out, most.back)), newGauge(rateWords(v.back), v.back, max(most.out, most.back))})
	}
	return out
}

func newGauge(text string, v, most float64) gauge {
	if v <= 0 || most <= 0 {
		return gauge{}
	}
	return gauge{text, fmt.Sprintf("%.1f%%", max(1, 100*v/most))}
}
