// Package merge makes one report of several that were written apart: it joins
// the reports of the two ends of a pair, so that each path has both halves of
// its evidence, and it lays the reports of many machines side by side. Package
// verdict judges what is joined; nothing here does. Like it, this package is
// pure: no clock, no network.
//
// The reports come from other institutions. Whatever one says of itself, a path
// is open only if its own report proved it by key, and what cannot be told from
// two files stays unknown.
package merge

import (
	"fmt"

	"dialtone/internal/result"
	"dialtone/internal/verdict"
)

// An Input is a report and the name of the file, or of the partner, that it is
// about.
type Input struct {
	Name   string
	Report *result.Report
}

// Unique leaves out further copies of the same run and says so.
func Unique(in []Input) ([]Input, []result.Finding) {
	var out []Input
	var findings []result.Finding
	first := map[string]string{}
	for _, i := range in {
		name, again := first[i.Report.Run]
		if again && i.Report.Run != "" {
			findings = append(findings, result.Finding{Code: result.CodeSameRun,
				Text:   fmt.Sprintf("%s and %s are reports of the same run (%s): only the first is counted.", name, i.Name, i.Report.Run),
				Advice: "Give each run's report once."})
			continue
		}
		first[i.Report.Run] = i.Name
		out = append(out, i)
	}
	return out, findings
}

// sound returns a path as its own evidence bears it, and whether that is what
// the report says. A report does not carry all that a verdict may depend on (the
// listener that was expected), so a verdict that claims less than its evidence
// stands; one that claims more does not.
func sound(r *result.Report, p result.Path) (result.Path, bool) {
	instance := ""
	if p.Acceptor != nil {
		instance = p.Acceptor.Instance // a service's conversation is confirmed by who accepted it
	}
	if p.Initiator != nil && p.Initiator.Answer == result.AnswerKeyed {
		instance = p.Initiator.Instance
	}
	borne := p
	verdict.Rule(&borne, verdict.ContextOf(r, &p, instance))
	switch {
	case p.Verdict == borne.Verdict:
		claimed := p.OK
		p.Proof, p.OK = borne.Proof, borne.OK
		return p, !claimed || p.OK
	case p.Verdict != result.Open && !p.OK:
		return p, true
	}
	return borne, false
}

// Sound returns a copy of a report whose paths claim no more than their
// evidence bears, with a finding if one did.
func Sound(r *result.Report) *result.Report {
	c := *r
	c.Compared = nil // what it says of an earlier report nobody can see to
	c.Paths = make([]result.Path, len(r.Paths))
	c.Findings = append([]result.Finding{}, r.Findings...)
	var first *result.Path
	count := 0
	for i, p := range r.Paths {
		var ok bool
		if c.Paths[i], ok = sound(r, p); !ok {
			if count++; first == nil {
				first = &r.Paths[i]
			}
		}
	}
	if count > 0 {
		c.Findings = append(c.Findings, result.Finding{Code: result.CodeContradiction,
			Text:   fmt.Sprintf("The report of %s contradicts itself: it calls %d of its paths better than their evidence bears, such as %s (%s). The evidence counts.", who(r), count, first.Flow, first.Verdict),
			Advice: "Have the test run again there, and take the file as dial wrote it."})
	}
	verdict.Summarize(&c)
	return &c
}

// who names the machine that made a report.
func who(r *result.Report) string {
	switch {
	case r.From.Host != "":
		return r.From.Host
	case len(r.From.Addresses) > 0:
		return r.From.Addresses[0].String()
	}
	return "run " + r.Run
}
