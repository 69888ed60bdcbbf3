package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/result"
)

// A Judgement is a report compared with the truth.
type Judgement struct {
	Paths []PathJudgement
	Wrong []string // everything that differs, a sentence each
}

// A PathJudgement is one path of the report beside what it should have been.
type PathJudgement struct {
	Path string // flow, direction and family
	Want result.Verdict
	Got  result.Verdict
}

// FalseOpen is the worst failure there is: a path said to work that does not.
func (p PathJudgement) FalseOpen() bool { return p.Got == result.Open && p.Want != result.Open }

// FalseOpens counts them.
func (j Judgement) FalseOpens() int {
	n := 0
	for _, p := range j.Paths {
		if p.FalseOpen() {
			n++
		}
	}
	return n
}

// Judge compares what dial reported, and its exit status, with the scenario.
func Judge(s Scenario, run Run) Judgement {
	r, exit := run.Report, run.Exit
	j := Judgement{Wrong: slices.Clone(run.Wrong)}
	wrong := func(format string, args ...any) { j.Wrong = append(j.Wrong, fmt.Sprintf(format, args...)) }

	if exit != s.Exit && (s.OrExit == nil || exit != *s.OrExit) {
		wrong("exit status %d, want %d", exit, s.Exit)
	}
	if r.Schema != result.Schema {
		wrong("schema %q, want %q", r.Schema, result.Schema)
	}
	switch {
	case s.Contact == "none" && r.Contact != nil:
		wrong("contact over %s, want none", r.Contact.Flow)
	case s.Contact == "some" && r.Contact == nil:
		wrong("no contact, want one")
	}
	if len(r.Paths) == 0 {
		wrong("the report has no paths")
	}

	for _, want := range s.Findings {
		if !slices.ContainsFunc(r.Findings, func(f result.Finding) bool { return f.Code == want }) {
			wrong("finding %s about the whole run is missing", want)
		}
	}
	for _, f := range r.Findings {
		if slices.Contains(foundOnlyIfTrue, f.Code) && !slices.Contains(s.Findings, f.Code) {
			wrong("finding %s about the whole run, which is not true here: %s", f.Code, f.Text)
		}
	}

	used := make([]bool, len(s.Expect))
	for _, p := range r.Paths {
		name := fmt.Sprintf("%s %s %s (port %d)", p.Flow, p.Direction, p.Family, p.PlanPort)
		e := Expect{Verdict: s.Default}
		if i := slices.IndexFunc(s.Expect, func(e Expect) bool { return e.matches(p) }); i >= 0 {
			e, used[i] = s.Expect[i], true
		}
		judged := PathJudgement{Path: name, Want: e.Verdict, Got: p.Verdict}
		if slices.Contains(e.Or, p.Verdict) {
			judged.Want = p.Verdict
		}
		j.Paths = append(j.Paths, judged)
		switch {
		case judged.FalseOpen():
			wrong("%s: FALSE OPEN, want %s", name, e.Verdict)
		case p.Verdict != judged.Want:
			wrong("%s: %s, want %s", name, p.Verdict, e.Verdict)
		}
		if e.OK != nil && p.OK != *e.OK {
			wrong("%s: ok is %t, want %t", name, p.OK, *e.OK)
		}
		if e.Proof != "" && p.Proof != e.Proof {
			wrong("%s: proof %s, want %s", name, p.Proof, e.Proof)
		}
		if e.Finding != "" && (p.Finding == nil || p.Finding.Code != e.Finding) {
			wrong("%s: finding %s, want %s", name, findingCode(p), e.Finding)
		}
		for _, want := range e.Notes {
			if !slices.ContainsFunc(p.Notes, func(n result.Note) bool { return n.Code == want }) {
				wrong("%s: note %s is missing", name, want)
			}
		}
		for _, n := range p.Notes {
			if slices.Contains(neverByChance, n.Code) && !slices.Contains(e.Notes, n.Code) {
				wrong("%s: note %s, which is not true here: %s", name, n.Code, n.Text)
			}
		}
		if len(e.Says) > 0 {
			said := sayings(p)
			for _, want := range e.Says {
				if !strings.Contains(said, want) {
					wrong("%s: does not say %q", name, want)
				}
			}
		}
	}
	for i, e := range s.Expect {
		if !used[i] {
			wrong("no path is left for expect number %d (%s): mistyped, or an earlier one takes them all", i+1, e)
		}
	}
	return j
}

// foundOnlyIfTrue are the findings about a run that say something of the
// network: a scenario must list them.
var foundOnlyIfTrue = []result.Code{"ip4-black-hole", "ip6-black-hole", "answers-for-all", "contact-lost", "cut-off", "listener-gone", "listener-restarted", "run-limit", "some-addresses", "several-listeners", "own-answer"}

// neverByChance are the notes that say something of the way that cannot be
// there by chance: every path that has one must be expected to.
var neverByChance = []result.NoteCode{result.NoteRelayed}

func (e Expect) matches(p result.Path) bool {
	return (e.Flow == "" || e.Flow == p.Flow) &&
		(e.Port == 0 || e.Port == p.PlanPort) &&
		(e.Direction == "" || e.Direction == p.Direction) &&
		(e.Family == "" || e.Family == p.Family) &&
		(e.Address == "" || e.Address == p.Address.String())
}

// String is how a message names e.
func (e Expect) String() string {
	var words []string
	add := func(key, value string) {
		if value != "" {
			words = append(words, key+": "+value)
		}
	}
	add("flow", e.Flow)
	if e.Port != 0 {
		add("port", fmt.Sprint(e.Port))
	}
	add("direction", string(e.Direction))
	add("family", string(e.Family))
	add("address", e.Address)
	add("verdict", string(e.Verdict))
	return strings.Join(words, ", ")
}

func findingCode(p result.Path) result.Code {
	if p.Finding == nil {
		return "absent"
	}
	return p.Finding.Code
}

// sayings is everything that a reader of the report could find about p.
func sayings(p result.Path) string {
	var said bytes.Buffer
	if p.Finding != nil {
		fmt.Fprintln(&said, p.Finding.Text)
		fmt.Fprintln(&said, p.Finding.Advice)
	}
	for _, n := range p.Notes {
		fmt.Fprintln(&said, n.Text)
	}
	enc := json.NewEncoder(&said)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(p) // plain data: it came from JSON
	return said.String()
}
