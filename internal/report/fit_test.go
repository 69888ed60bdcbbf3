package report

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dialtone/internal/request"
	"dialtone/internal/result"
)

// unpacked reads a document that a run wrote: testdata/real has those of runs across
// real firewalls.
func unpacked(t *testing.T, file string) []byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// realReports are all reports to try, by name.
func realReports(t *testing.T) map[string]*result.Report {
	t.Helper()
	out := map[string]*result.Report{"mixed": mixedBag(), "interrupted": interrupted(), "no contact": noContact(), "two families": twoFamilies(), "everything": everything()}
	files, err := filepath.Glob("testdata/real/[ro]-*.json.gz")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d reports of real runs, %v", len(files), err)
	}
	for _, file := range files {
		r, err := result.ParseReport(unpacked(t, file), 1<<24)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out[filepath.Base(file)] = r
	}
	return out
}

func realMatrices(t *testing.T) map[string]*result.Matrix {
	t.Helper()
	out := map[string]*result.Matrix{}
	files, _ := filepath.Glob("testdata/real/m-*.json.gz")
	for _, file := range files {
		var m result.Matrix
		if err := json.Unmarshal(unpacked(t, file), &m); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out[filepath.Base(file)] = &m
	}
	if len(out) < 2 {
		t.Fatal("no matrices")
	}
	return out
}

// fits reports the lines of a text that are wider than so many columns, but for one
// token, such as an address, or a command to paste, that is alone on its line.
func fitsColumns(t *testing.T, what, text string, columns int) {
	t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		words := strings.TrimPrefix(strings.TrimSpace(line), "-> ")
		alone := !strings.Contains(words, " ") || strings.HasPrefix(words, "dial ")
		if n := len([]rune(line)); n > columns && !alone {
			t.Errorf("%s: %d columns of %d: %q", what, n, columns, line)
		}
		if strings.HasSuffix(line, " ") {
			t.Errorf("%s: a space at the end: %q", what, line)
		}
	}
}

// flat is a text on one line, however it was wrapped.
func flat(s string) string { return strings.Join(strings.Fields(s), " ") }

// isWord reports whether a name stands in a text, and not as part of another.
func isWord(text, name string) bool {
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \n,;:()", r) }) {
		if w == name {
			return true
		}
	}
	return false
}

func TestEveryReportFitsAndAnswersFirstAndLast(t *testing.T) {
	for name, r := range realReports(t) {
		for _, o := range []Options{{}, {Width: 80, Verbose: true}, {Width: 120}, {Width: 120, Verbose: true}, {Width: 300}} {
			what := fmt.Sprintf("%s, %+v", name, o)
			text := render(t, Text, r, o)
			fitsColumns(t, what, text, min(max(o.Width, 80), 120))
			for _, n := range []int{0, -1} {
				if got := paragraph(text, n); got != flat(answer(r)) {
					t.Errorf("%s: paragraph %d is not the answer: %s", what, n, got)
				}
			}
			for i := range r.Paths {
				if !isWord(text, r.Paths[i].Flow) {
					t.Errorf("%s: path %s is not named", what, r.Paths[i].Flow)
				}
			}
		}
	}
}

// What a reader has read once is not to be read again: least of all fifteen times. A
// request alone is whole, since it is sent without the rest of the page.
func TestNoSentenceStandsTwice(t *testing.T) {
	for name, r := range realReports(t) {
		before, requests, after := inParts(render(t, Text, r, Options{}))
		if name == "everything" {
			continue // made-up texts of two words
		}
		check := func(words string) {
			for _, s := range strings.SplitAfter(words, ". ") {
				s = strings.TrimSuffix(strings.TrimSpace(s), ".")
				if len(strings.Fields(s)) < 5 {
					continue
				}
				if n := strings.Count(before+after, s+"."); n > 1 {
					t.Errorf("%s says %d times: %s", name, n, s)
				}
				for number, q := range requests {
					if n := strings.Count(q, s+"."); n > 1 {
						t.Errorf("%s says %d times in request %s: %s", name, n, number, s)
					} else if n == 1 && strings.Contains(after, s+".") {
						t.Errorf("%s says in request %s, and again behind the requests: %s", name, number, s)
					}
				}
			}
		}
		for _, f := range r.Findings {
			check(f.Text + " " + f.Advice)
		}
		for i := range r.Paths {
			p := &r.Paths[i]
			check(flat(finding(p).Text))
			check(flat(finding(p).Advice))
			check(flat(p.Why))
			for _, n := range p.Notes {
				check(flat(n.Text))
			}
		}
	}
}

// aRequest begins a request on a page of text.
var aRequest = regexp.MustCompile(`(?m)^ {0,3}(\d+[a-z]*)\. `)

// inParts are the requests of a page of text, by their names, and what stands before
// and behind them.
func inParts(text string) (before string, requests map[string]string, after string) {
	requests = map[string]string{}
	at := aRequest.FindAllStringSubmatchIndex(text, -1)
	if len(at) == 0 {
		return flat(text), requests, ""
	}
	before = flat(text[:at[0][0]])
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		whole, rest := text[m[0]:end], ""
		if n := strings.Index(whole, "\n\n"); n >= 0 { // a request has no empty line in it
			whole, rest = whole[:n], whole[n:]
		}
		requests[text[m[2]:m[3]]] = flat(whole)
		after += flat(rest) + " "
	}
	return before, requests, after
}

// A request goes to people who have nothing else of the page, so that nothing in it
// leads elsewhere.
func TestEachRequestIsWholeByItself(t *testing.T) {
	seen := 0
	for name, r := range realReports(t) {
		asker := request.Asker{Institution: "Example University Library", Contact: "ils@example.edu"}
		for _, o := range []Options{{Ask: request.Options{Asker: asker}}, {Verbose: true, Ask: request.Options{Asker: asker}}} {
			_, requests, _ := inParts(render(t, Text, r, o))
			page := parsePage(t, render(t, HTML, r, o))
			for _, b := range page.all("button") {
				if number, ok := strings.CutPrefix(inner(b), "Copy request "); ok {
					requests["copy of "+number] = flat(attr(b, "data-copy"))
				}
			}
			for number, q := range requests {
				var of []*result.Path
				for i := range r.Paths {
					p := &r.Paths[i]
					from := []result.Endpoint{p.Source}
					if p.Verdict == result.Unsteady {
						for _, c := range p.Initiator.Connections {
							from = append(from, c.Source)
						}
					}
					if request.Asks(r, p) && slices.ContainsFunc(from, func(e result.Endpoint) bool {
						return e.IsValid() && strings.Contains(q, endpoint(e)+" -> "+p.Target.String())
					}) {
						of = append(of, p)
					}
				}
				for _, lead := range []string{"As in", "As above", "rest is as"} {
					if strings.Contains(q, lead) {
						t.Errorf("%s, request %s leads elsewhere:\n%s", name, number, q)
					}
				}
				if len(of) == 0 {
					if !strings.Contains(q, "and ") || strings.Contains(q, "Log") {
						t.Errorf("%s, request %s is for no path:\n%s", name, number, q)
					}
					continue
				}
				seen++
				want := []string{"Asked by Example University Library. Ask back: ils@example.edu", "For ", "Seen ", "Log ", fmt.Sprint(of[0].Port), of[0].At.UTC().Format("2006-01-02 15:04:05")}
				for _, p := range of {
					if p.Why != "" && len(of) < maxItems {
						want = append(want, flat(p.Why))
					}
				}
				for _, s := range want {
					if !strings.Contains(q, s) {
						t.Errorf("%s, request %s lacks %q:\n%s", name, number, s, q)
					}
				}
				if !slices.ContainsFunc(of, func(p *result.Path) bool {
					for _, s := range sentences(flat(p.Finding.Text)) {
						if !triedTimes.MatchString(" "+s) && !strings.Contains(q, s) {
							return false
						}
					}
					return true
				}) {
					t.Errorf("%s, request %s does not say all that was seen:\n%s", name, number, q)
				}
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d requests", seen)
	}
	t.Logf("%d requests", seen)
}

// Whoever is told of request 2 finds the same under 2 on the page, in the text and in
// the letter.
func TestEveryFormHasTheSameNumbers(t *testing.T) {
	anItem := regexp.MustCompile(`(?m)^Request (\d+)([a-z]*)( and \d+)?\. `)
	seen := 0
	for name, r := range realReports(t) {
		_, texts, _ := inParts(render(t, Text, r, Options{}))
		_, single, _ := inParts(render(t, Text, r, Options{Verbose: true}))
		page := parsePage(t, render(t, HTML, r, Options{}))
		letter := string(render(t, Requests, r, Options{}))
		at := anItem.FindAllStringSubmatchIndex(letter, -1)
		names := map[string]bool{}
		for i, m := range at {
			end := len(letter)
			if i+1 < len(at) {
				end = at[i+1][0]
			}
			number, part := letter[m[2]:m[3]], letter[m[2]:m[5]]
			if names[part] {
				t.Errorf("%s has two requests %s", name, part)
			}
			names[part] = true
			q := flat(letter[m[0]:end])
			log := regexp.MustCompile(`[^ ]+ -> [^ ,]+`).FindString(q)
			seen++
			inText := strings.Contains(texts[number], log) || strings.Contains(texts[number], "more, which --verbose lists")
			if _, ok := single[part]; !ok {
				single[part] = single[number] // one step asks for several
			}
			if log == "" || !inText || !strings.Contains(single[part], log) {
				t.Errorf("%s, request %s (%s) is not what the text has:\n%s\n%s\n%s", name, part, log, q, texts[number], single[part])
			}
			if a := page.byID("request-" + number); a == nil || !strings.Contains(flat(inner(a)), log) {
				t.Errorf("%s, request %s (%s) is not what the page has", name, part, log)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d requests", seen)
	}
	t.Logf("%d requests", seen)
}

// With --verbose a report has all that it had when it had one form.
func TestVerboseTellsEverything(t *testing.T) {
	for name, r := range realReports(t) {
		text := flat(render(t, Text, r, Options{Verbose: true}))
		want := []string{endName(r.From), endName(r.To), r.Plan, r.Run, r.Tool, startLine(r.Started.Time, r.ElapsedMS)}
		if r.Mode == result.ModePaths {
			want = append(want, contactLine(r.Contact))
		}
		if r.Contact != nil {
			for _, b := range r.Contact.Busy {
				want = append(want, busyLine(b))
			}
		}
		for i := range r.Paths {
			p := &r.Paths[i]
			want = append(want, p.Service, endpoints(p), port(p), string(p.Verdict), string(p.Need), p.Verdict.Row().Means)
			if p.Proof != "" && p.Proof != result.ProofNone && !p.Opposite {
				want = append(want, "proof "+string(p.Proof))
			}
			for _, n := range p.Notes {
				want = append(want, string(n.Code), n.Text)
			}
			f := finding(p)
			if f.Advice == "" || p.OK { // else it is split where sentences stand already
				want = append(want, f.Text)
			}
			want = append(want, sentences(f.Text)...)
			if i := p.Initiator; i != nil && i.Trace != nil {
				for _, h := range i.Trace.Hops {
					if h.From.IsValid() {
						want = append(want, fmt.Sprintf("%d %s", h.TTL, h.From))
					}
				}
			}
		}
		for _, o := range r.OutOfScope {
			want = append(want, o.Flow, o.Why)
		}
		for _, s := range want {
			s = flat(s)
			if p := strings.Index(s, "proof that rests"); p >= 0 || s == "" {
				continue
			}
			if r.Mode.IsReal() && s == result.Answered.Row().Means {
				continue // it has words of its own there
			}
			if !strings.Contains(text, s) {
				t.Errorf("%s: %q is not told", name, s)
			}
		}
	}
}

// What each end saw stands on the page and, with --verbose, in the text in the same words.
func TestThePageAndTheTextTellTheSameEvidence(t *testing.T) {
	n := 0
	for name, r := range realReports(t) {
		text := flat(render(t, Text, r, Options{Verbose: true}))
		for _, half := range parsePage(t, render(t, HTML, r, Options{})).classed("halves") {
			for d := range half.Descendants() {
				if d.Data != "dd" {
					continue
				}
				n++
				if s := flat(inner(d)); !strings.Contains(text, s) {
					t.Errorf("%s: only the page says %q", name, s)
				}
			}
		}
	}
	t.Logf("%d texts", n)
}

func TestAMatrixFitsAndCountsThoseThatAreWell(t *testing.T) {
	for name, m := range realMatrices(t) {
		for _, o := range []Options{{}, {Width: 80, Verbose: true}, {Width: 120}, {Width: 120, Verbose: true}} {
			what := fmt.Sprintf("%s, %+v", name, o)
			text := matrixAs(t, Text, m, o)
			fitsColumns(t, what, text, max(o.Width, 80))
			for _, n := range []int{0, -1} {
				if got := paragraph(text, n); got != flat(matrixAnswer(m)) {
					t.Errorf("%s: paragraph %d is not the answer: %s", what, n, got)
				}
			}
			said := flat(text)
			for _, r := range m.Rows {
				if (o.Verbose || !r.OK) && !slices.ContainsFunc([]string{",", " ", ":"}, func(end string) bool { return strings.Contains(said, r.Name+end) }) {
					t.Errorf("%s: %s is not named", what, r.Name)
				}
			}
			if n := strings.Count(text, "\n"); !o.Verbose && n > 120 {
				t.Errorf("%s: %d lines", what, n)
			}
		}
	}
}

func TestAnAddressReportFits(t *testing.T) {
	var r result.AddressReport
	if err := json.Unmarshal(unpacked(t, "testdata/real/a-own.json.gz"), &r); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{}, {Width: 80, Verbose: true}, {Width: 120}} {
		text := renderAddress(t, Text, &r, o)
		fitsColumns(t, fmt.Sprintf("%+v", o), text, max(o.Width, 80))
		for _, v := range r.Views {
			if !strings.Contains(flat(text), v.Observer+" "+v.Target.String()) && o.Width < 120 && !o.Verbose {
				t.Errorf("%s at %s is not told", v.Observer, v.Target)
			}
		}
		if got := paragraph(text, -1); got != r.Findings[0].Text {
			t.Errorf("last is %s", got)
		}
	}
}
