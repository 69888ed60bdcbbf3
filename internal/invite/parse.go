package invite

import (
	"errors"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// MaxInput is how long a text Parse looks through, in bytes: a saved e-mail with
// its attachments.
const MaxInput = 8 << 20

// maxFound bounds how many lines of a text are looked at: each one costs the
// time that stretching a key takes.
const maxFound = 64

// Parse finds the one invitation in a text: the line alone, or broken, quoted
// and surrounded by the words of an e-mail, or such an e-mail as it was saved.
// Of several the one that has not expired counts. The error wraps one of this
// package's and ends with what to do.
func Parse(text string, now time.Time) (Invitation, error) {
	if len(text) > MaxInput {
		return Invitation{}, fmt.Errorf("%w: %d MB are too long: save the line alone", ErrNone, len(text)>>20)
	}
	var good []Invitation
	var worst error
	for _, f := range find(text) {
		i, err := read(f)
		if err == nil {
			err = i.expired(now)
		}
		switch {
		case err == nil:
			good = append(good, i)
		case worst == nil, errors.Is(worst, ErrCutOff):
			worst = err // words about an invitation look like one that is cut off
		}
	}
	switch {
	case len(good) > 1:
		var from []string
		for _, i := range good {
			from = append(from, fmt.Sprintf("%v until %s", i, stamp(i.Expires)))
		}
		return Invitation{}, fmt.Errorf("%w: from %s: give the line of one alone", ErrSeveral, strings.Join(from, ", from "))
	case len(good) == 1:
		return good[0], nil
	case worst != nil:
		return Invitation{}, worst
	}
	return Invitation{}, fmt.Errorf("%w: nothing in it begins with %s%s: give the line that listen --invite printed, or the file that has it", ErrNone, begin, version)
}

func (i Invitation) expired(now time.Time) error {
	if ago := now.Sub(i.Expires); ago >= Skew {
		return fmt.Errorf("%w: it ended at %s, %v ago by this machine's clock (%s): ask %v to start listen --invite again and to send what it prints, which has a new key",
			ErrExpired, stamp(i.Expires), ago.Round(time.Second), stamp(now), i)
	}
	return nil
}

// Mentions reports whether a text has anything in it that Parse would take for
// an invitation, good or bad.
func Mentions(text string) bool { return strings.Contains(clean(text), begin) }

// found is what may be an invitation.
type found struct {
	version string
	text    string // what follows up to the next one, cleaned
}

var beginning = regexp.MustCompile(begin + `([0-9]{1,9}):`)

// find returns everything that begins like an invitation, each text once.
func find(text string) []found {
	var out []found
	for _, t := range append([]string{text}, bodies(text)...) {
		t = clean(t)
		all := beginning.FindAllStringSubmatchIndex(t, maxFound)
		for n, at := range all {
			stop := len(t)
			if n+1 < len(all) {
				stop = all[n+1][0]
			}
			stop = min(stop, at[1]+2*maxToken)
			f := found{t[at[2]:at[3]], t[at[1]:stop]}
			if i := strings.Index(f.text, end); i >= 0 {
				f.text = f.text[:i+len(end)] // the same line with other words behind it is no other
			}
			if !slices.Contains(out, f) && len(out) < maxFound {
				out = append(out, f)
			}
		}
	}
	return out
}

var (
	softBreak = regexp.MustCompile(`=\r?\n`)                   // RFC 2045 section 6.7
	tag       = regexp.MustCompile(`</?[a-zA-Z][^<>]{0,500}>`) // HTML
)

// clean takes out what mail programs put into a line: breaks, quote marks,
// markup, and characters that are not seen (zero bytes too: UTF-16).
func clean(text string) string {
	text = softBreak.ReplaceAllLiteralString(text, "")
	text = html.UnescapeString(tag.ReplaceAllLiteralString(text, ""))
	return strings.Map(func(r rune) rune {
		if r == 0 || r == '>' || r == '|' || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, text)
}
