package merge

import (
	"fmt"

	"dialtone/internal/result"
)

// WithListens joins each report of dial with that of the listen that it dialed, if that
// is among them, and returns what is then left to lay side by side: no report of
// listen's. What is wrong with one of those is a finding.
func WithListens(in []Input) (out []Input, findings []result.Finding) {
	var listens []Input
	for _, i := range in {
		if IsListens(i.Report) {
			listens = append(listens, i)
		} else {
			out = append(out, i)
		}
	}
	used := make([]bool, len(listens))
	for n, i := range out {
		at := -1
		for k, l := range listens {
			if _, ok := Pair(i.Report, l.Report, len(in) == 2); ok && (at < 0 || knows(l.Report, i.Report) && !knows(listens[at].Report, i.Report)) {
				at = k
			}
		}
		if at < 0 {
			continue
		}
		used[at] = true
		out[n].Report = Join(i.Report, listens[at].Report, Pairing{})
	}
	for k, l := range listens {
		if !used[k] {
			findings = append(findings, result.Finding{Code: result.CodeListensUnpaired,
				Text:   fmt.Sprintf("Nothing shows that any of these runs dialed the listen of %s, so what it reports was joined with none of them.", who(l.Report)),
				Advice: "Give the reports of dial that were made at its time and with its key."})
		}
	}
	return out, findings
}

// knows reports whether it is beyond doubt that a run dialed a listen: it was met, or
// listened at that time. Of a listen that was started again there are several reports.
func knows(listens, dials *result.Report) bool {
	l := listens.Listened
	return met(dials, listens) || found(dials, listens) || l != nil && !dials.Started.Before(l.Since.Time) && !dials.Started.After(l.Until.Time)
}
