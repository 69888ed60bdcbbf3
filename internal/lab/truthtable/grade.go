package main

import (
	"fmt"

	"dialtone/internal/lab"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A truth is what is planted on a path: the verdict that the scenario expects.
type truth struct {
	verdict   result.Verdict
	transport plan.Transport
	// The next two are set only where a grade depends on them.
	bare  bool // no listener runs: a refusal is the host's own
	alone bool // no contact: dial has no far end to ask
}

func truthOf(s lab.Scenario, over plan.Transport, want result.Verdict) truth {
	t := truth{verdict: want, transport: over}
	switch want {
	case result.Refused:
		t.bare, t.alone = s.Bare(), s.Contact == "none" && !s.Bare()
	case result.Rejected:
		t.bare = s.Bare()
	case result.Stalled, result.Reset:
		t.alone = s.Contact == "none"
	}
	return t
}

// String is how a row of a table names t.
func (t truth) String() string {
	words := string(t.verdict)
	if t.bare {
		words += ", nothing listens"
	}
	if t.alone {
		words += ", no contact"
	}
	return words + ", " + string(t.transport)
}

// A claim is what an answer of any tool amounts to.
type claim int

const (
	claimOpen          claim = iota // it works
	claimOpenOrBlocked              // no answer came, and that may be in order
	claimSilence                    // no answer came
	claimClosed                     // the host is reached, and nothing listens there
	claimError                      // a network or a device says no
	claimLocal                      // this machine says no
	claimNothing                    // it failed, or ended, without saying what it found
)

// A grade is how a claim stands to the truth.
type grade int

const (
	right grade = iota
	ambiguous
	wrong
	falseOpen // wrong too, and the worst of it
	grades    // how many there are
)

// Marks stand behind the numbers of a table.
var marks = [grades]string{right: "=", ambiguous: "~", wrong: "x", falseOpen: "!!"}

// gradeOther grades what a tool without a far end claims. rules says the same
// for people.
func gradeOther(t truth, c claim) grade {
	switch t.verdict {
	case result.Open:
		switch c {
		case claimOpen:
			return right
		case claimOpenOrBlocked:
			return ambiguous
		}
		return wrong
	case result.Occupied, result.Arrived:
		switch c {
		case claimOpen, claimOpenOrBlocked:
			return ambiguous
		}
		return wrong
	}
	if c == claimOpen {
		return falseOpen
	}
	if c == claimOpenOrBlocked || c == claimNothing {
		return ambiguous
	}
	switch t.verdict {
	case result.Filtered, result.ReplyLost, result.Silent:
		if c == claimClosed {
			return wrong
		}
		return ambiguous
	case result.Rejected:
		if c == claimError || c == claimClosed && t.bare {
			return right
		}
		return ambiguous
	case result.Unreachable, result.BlockedLocally:
		switch c {
		case claimLocal:
			return right
		case claimClosed:
			return wrong
		}
		return ambiguous
	case result.Refused:
		switch {
		case c == claimClosed && t.bare:
			return right
		case c == claimClosed:
			return ambiguous
		}
		return wrong
	}
	return wrong // the connection opens, and something is wrong with it
}

// rules is gradeOther for the reader of the page.
const rules = `| truth | right | ambiguous | wrong |
| --- | --- | --- | --- |
| open | open | open or filtered | anything else |
| occupied, reached | | open, open or filtered: something listens, and not what it is | anything else |
| filtered, reply-lost, silent | | no answer, or an error: something blocks, and not where or in which direction | closed |
| rejected | an error; closed, if no listener runs | anything else | |
| unreachable, blocked-locally | an error that only this machine can give | no answer, or an error that a device could have sent | closed |
| refused | closed, if no listener runs: the host itself says so | closed, if one does: a device says so in its name | anything else |
| redirected, corrupted, mtu-hole, idle-dropped, intercepted, answered, reset, stalled | | | anything but the next line |
| any but open, occupied and reached | | open or filtered; a failure without a word | **open: FALSE OPEN** |
`

// gradeDial grades dial by the same measure: the right verdict is ambiguous
// where it does not tell one fault from another.
func gradeDial(t truth, got result.Verdict) grade {
	switch {
	case got == result.Open && t.verdict != result.Open:
		return falseOpen
	case got != t.verdict:
		return wrong
	}
	switch got {
	case result.Silent, result.Answered:
		return ambiguous
	case result.Stalled, result.Reset:
		if t.alone {
			return ambiguous
		}
	case result.Refused:
		if t.alone {
			return ambiguous
		}
	}
	return right
}

// counts are how many answers had each grade.
type counts [grades]int

func (c counts) sum() int {
	n := 0
	for _, v := range c {
		n += v
	}
	return n
}

// String is c in a cell of a table.
func (c counts) String() string {
	words := ""
	for g, n := range c {
		if n == 0 {
			continue
		}
		if words != "" {
			words += ", "
		}
		words += fmt.Sprintf("%d %s", n, marks[g])
	}
	if words == "" {
		return "-"
	}
	return words
}
