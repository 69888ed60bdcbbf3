// Package paste reads what people type, paste and save: a key, a host's name, a
// list, a mail. The characters that programs put in unasked (byte order marks,
// no-break and zero width spaces, curly quotes, long dashes, line breaks) are
// taken out here and nowhere else. What is plainly meant is taken as meant; of
// the rest the error says what to write instead.
package paste

import (
	"fmt"
	"strings"
	"unicode"
)

// An Error says what is wrong with a text, and what to write instead.
type Error struct {
	Problem string
	Do      string // a sentence, without its full stop if it ends an error's line
	Line    int    // where, from 1; 0: the text as a whole
}

func (e *Error) Error() string { return e.Problem + ": " + e.Do }

func refuse(do, format string, args ...any) error {
	return &Error{Problem: fmt.Sprintf(format, args...), Do: do}
}

// Clean drops the characters that are not seen, and makes every kind of space a
// space and every kind of line end a line feed. Nothing that a person sees is
// changed, and no line is added or lost.
func Clean(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r', r == '\u2028', r == '\u2029', r == '\u0085':
			return '\n'
		case r == '\n', r == '\t':
			return r
		case isSpace(r):
			return ' '
		case isUnseen(r):
			return -1
		}
		return r
	}, text)
}

// Line makes one line of a text: Clean, white space collapsed.
func Line(text string) string { return strings.Join(strings.Fields(Clean(text)), " ") }

// Value is Line without the quotes around it, straight or curly.
func Value(text string) string {
	text = Line(text)
	for {
		r := []rune(text)
		if len(r) < 2 || !isQuote(r[0]) || !isQuote(r[len(r)-1]) || strings.IndexFunc(string(r[1:len(r)-1]), isQuote) >= 0 && !sameAround(r) {
			return text
		}
		text = strings.TrimSpace(string(r[1 : len(r)-1]))
	}
}

// sameAround reports whether what is between two quotes is between quotes again.
func sameAround(r []rune) bool {
	return len(r) >= 4 && isQuote(r[1]) && isQuote(r[len(r)-2])
}

// isSpace knows the spaces of Unicode, and those that are shown as one.
func isSpace(r rune) bool {
	return unicode.IsSpace(r) || unicode.Is(unicode.Zs, r) || r == '\u2800' || r == '\u3164'
}

// isUnseen knows what takes no room on the screen: format characters (soft
// hyphen, zero width space, byte order mark, direction marks, tags), fillers and
// variation selectors. Not the two that turn text around: they change what a
// person reads.
func isUnseen(r rune) bool {
	if r == '\u202d' || r == '\u202e' {
		return false
	}
	return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r) || r == '\u034f' || r == '\u115f' || r == '\u1160'
}

// isQuote knows the quotes of word processors, and what is taken for one.
func isQuote(r rune) bool {
	return strings.ContainsRune("\"'`\u00b4«»‹›‘’‚‛“”„‟′″＂＇「」", r)
}

// isDash knows what looks like a hyphen, U+002D among them.
func isDash(r rune) bool { return unicode.Is(unicode.Pd, r) || r == '\u2212' || r == '\u2043' }

// Hyphens writes every dash as the hyphen of the keyboard.
func Hyphens(text string) string {
	return strings.Map(func(r rune) rune {
		if isDash(r) {
			return '-'
		}
		return r
	}, text)
}

// Dashed returns what an argument is with the hyphens of the keyboard, if it
// begins like a flag with at least one other dash, or with unseen characters.
func Dashed(arg string) (string, bool) {
	text := strings.TrimSpace(Clean(arg))
	lead := strings.IndexFunc(text, func(r rune) bool { return !isDash(r) })
	if lead <= 0 || strings.HasPrefix(arg, "-") && strings.Trim(text[:lead], "-") == "" {
		return arg, false
	}
	name, value, has := strings.Cut(text[lead:], "=")
	out := "--" + Hyphens(name)
	if has {
		out += "=" + value
	}
	return out, true
}

// character names a character for people.
func character(r rune) string {
	if unicode.IsPrint(r) {
		return fmt.Sprintf("%q (U+%04X)", r, r)
	}
	return fmt.Sprintf("U+%04X", r)
}
