package invite

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"dialtone/internal/paste"
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
	letter, err := paste.Mail([]byte(text))
	if err != nil {
		return Invitation{}, fmt.Errorf("%w: %w", ErrNone, err)
	}
	for _, f := range find(letter.Texts) {
		i, err := read(f)
		if err == nil {
			err = i.expired(now)
		}
		switch {
		case err == nil:
			good = append(good, i)
		case worst == nil, errors.Is(worst, ErrCutOff), errors.Is(worst, ErrAltered) && errors.Is(err, ErrExpired):
			worst = err // words about an invitation look like one that is cut off, and markup in a line like an alteration
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
	if letter.Advice != "" {
		return Invitation{}, fmt.Errorf("%w: %s", ErrNone, letter.Advice)
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
func Mentions(text string) bool { return strings.Contains(strings.ToLower(paste.Joined(text)), begin) }

// found is what may be an invitation.
type found struct {
	version string
	text    string // what follows up to the next one, cleaned
}

// A line's beginning may have been made the beginning of a sentence.
var beginning = regexp.MustCompile(`(?i)` + begin + `([0-9]{1,9}):`)

// ending is a line's end in either case. A text in one case is not as long as it was:
// some letters have more bytes in the other.
var ending = regexp.MustCompile(`(?i)` + regexp.QuoteMeta(end))

// find returns everything that begins like an invitation, each text once.
func find(texts []string) []found {
	var out []found
	for _, t := range texts {
		t = paste.Joined(t)
		all := beginning.FindAllStringSubmatchIndex(t, maxFound)
		for n, at := range all {
			stop := len(t)
			if n+1 < len(all) {
				stop = all[n+1][0]
			}
			stop = min(stop, at[1]+2*maxToken)
			f := found{t[at[2]:at[3]], t[at[1]:stop]}
			if last := ending.FindStringIndex(f.text); last != nil {
				f.text = f.text[:last[1]] // the same line with other words behind it is no other
				if f.text == strings.ToUpper(f.text) {
					f.text = strings.ToLower(f.text) // base32 has one case
				}
			}
			if !slices.Contains(out, f) && len(out) < maxFound {
				out = append(out, f)
			}
		}
	}
	return out
}
