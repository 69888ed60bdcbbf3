package report

import (
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"strings"
)

// meaning is a verdict in the words of what this run asked.
func (t *textReport) meaning(v result.Verdict) string {
	if t.Mode == result.ModeBrowser {
		switch v {
		case result.Answered:
			return "HTTP went through, which is what a browser can show"
		case result.Silent:
			return "the browser got no answer, and why is not known"
		case result.Stalled:
			return "the request arrived, and its answer, or the data, did not come back whole"
		case result.Untested:
			return "the browser makes no such request"
		}
	}
	if v == result.Answered && (t.Mode == result.ModeInstalled || t.Mode == result.ModeEgress) {
		return "something answered under that address; the proof says how it showed what it is"
	}
	return v.Row().Means
}

// proofMeaning is what each proof rests on.
var proofMeaning = map[result.Proof]string{
	result.ProofKeyed:   "a fresh exchange with the holder of the key",
	result.ProofService: "the service's own conversation",
	result.ProofSeen:    "the far end's kernel, which saw live software there accept this very connection",
	result.ProofBrowser: "HTTP: the request of a browser brought a token of the listener's, and its answer arrived",
	result.ProofPlain:   "an answer that does not prove who gave it",
}

// A mark says whether a path is as it should be.
type mark struct {
	word    string
	style   style
	meaning string // "": needs none
}

var (
	markOK      = mark{"ok", good, ""}
	markBroken  = mark{"NO", bad, ""}
	markUnknown = mark{"?", pending, "required, but not known to work"}
	markIgnored = mark{"-", faint, "not ok, and not counted"}
)

func markOf(p *result.Path) mark {
	switch {
	case p.OK:
		return markOK
	case !p.Counted:
		return markIgnored
	case p.Verdict == result.Untested, isUnproved(p):
		return markUnknown
	default:
		return markBroken
	}
}

// MarkOf says whether a path is as it should be: how that looks on a page, and its word.
func MarkOf(p *result.Path) (class, word string) {
	m := markOf(p)
	return classes[m.word], m.word
}

// isUnproved reports whether a path is not ok and yet nothing shows that it does not
// work: something accepted or answered there, and whether that is what it leads to is
// not known; or a port that must be closed does not answer, and nothing else of that
// machine does.
func isUnproved(p *result.Path) bool {
	switch code := finding(p).Code; {
	case p.OK:
		return false
	case p.Expect == plan.ExpectClosed, code == result.CodeShouldBeClosed, code == result.CodeClosedOrOff:
		return code == result.CodeClosedOrOff
	}
	switch p.Verdict {
	case result.Arrived, result.Answered, result.Occupied:
		return true
	case result.Silent:
		return p.Initiator != nil && p.Initiator.Fetch != nil // it may be the browser itself
	}
	return false
}

// outcome is a path's verdict, as a sentence names it.
func outcome(p *result.Path) string {
	if p.Expect == plan.ExpectClosed && !p.OK && p.Verdict != result.Untested {
		return string(p.Verdict) + ", must be closed"
	}
	return string(p.Verdict)
}

// familyName is how people call an address family; "" if it is not known.
func familyName(f result.Family) string {
	switch f {
	case result.IP4:
		return "IPv4"
	case result.IP6:
		return "IPv6"
	default:
		return ""
	}
}

// alternatives joins words as in "a, b or c".
func alternatives(words []string) string { return join(words, "or") }

// list joins words as in "a, b and c".
func list(words []string) string { return join(words, "and") }

func join(words []string, last string) string {
	n := len(words)
	if n < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:n-1], ", ") + " " + last + " " + words[n-1]
}
