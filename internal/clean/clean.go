// Package clean makes text that came from elsewhere safe to show: what a peer, a
// name server, a certificate, a service's banner, a file or this machine's
// environment said. Every exit uses it: reports (internal/report), JSON
// (internal/result), what the programs write to a terminal (internal/cli) and what
// listen keeps of others (internal/echo, internal/listener). Text is escaped where
// something else than a person or a parser would act on it, and cut; it is never
// dropped without a sign.
package clean

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxMarks is how many marks in a row may stand over a letter: more than any
// script's spelling has, and too few to cover the lines above and below.
const maxMarks = 6

// maxLine is the most runes of one line that Text passes on: more than the longest
// of listen --json.
const maxLine = 256 << 10

// An eye reads runes in a row and says which show as themselves.
type eye struct{ marks int }

// shows reports whether r shows as itself and does nothing: it is no control
// character (C0 and C1), no line or paragraph separator (U+2028, U+2029), no
// bidirectional or other format character (Unicode's Cf), not invisible (its
// Default_Ignorable_Code_Point), not private or unassigned, and no mark in a flood
// of them.
func (e *eye) shows(r rune) bool {
	if r < utf8.RuneSelf {
		e.marks = 0
		return r >= ' ' && r != 0x7f
	}
	if unicode.Is(unicode.M, r) {
		e.marks++
	} else {
		e.marks = 0
	}
	return unicode.IsPrint(r) && e.marks <= maxMarks &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) &&
		r != '\u2800' // BRAILLE PATTERN BLANK, which looks like a space and is none
}

// Line returns s as one line of text: what does not show (see eye) and bytes that
// are no UTF-8 become visible escapes, every space one of ASCII. It has at most
// most runes, and "..." behind them if that is not all.
func Line(s string, most int) string {
	if len(s) <= most && isPlain(s) {
		return s
	}
	var b strings.Builder
	var e eye
	for i, n := 0, 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		piece := s[i : i+size]
		switch {
		case r == utf8.RuneError && size == 1:
			piece = fmt.Sprintf(`\x%02x`, s[i])
		case e.shows(r):
		case unicode.Is(unicode.Zs, r):
			piece = " "
		case r == '\n':
			piece = `\n`
		case r == '\r':
			piece = `\r`
		case r == '\t':
			piece = `\t`
		case r < utf8.RuneSelf:
			piece = fmt.Sprintf(`\x%02x`, r)
		case r <= 0xffff:
			piece = fmt.Sprintf(`\u%04x`, r)
		default:
			piece = fmt.Sprintf(`\U%08x`, r)
		}
		if n += utf8.RuneCountInString(piece); n > most {
			return b.String() + "..."
		}
		b.WriteString(piece)
		i += size
	}
	return b.String()
}

// isPlain reports whether s is printable ASCII.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// Bytes is Line within so many bytes, the "..." among them.
func Bytes(s string, most int) string {
	s = Line(s, most)
	if len(s) <= most {
		return s
	}
	s = strings.TrimSuffix(s, "...")
	for len(s) > most-len("...") {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s + "..."
}

// Cell is Line for a cell of a table that a spreadsheet may open. It takes one that
// begins like a formula for one, wherever it came from; and where the decimal sign
// is a comma, it begins a cell at each semicolon.
func Cell(s string, most int) string {
	cells := strings.Split(Line(s, most), ";")
	for i, c := range cells {
		if strings.IndexAny(strings.TrimLeft(c, " '\""), "=+-@＝＋－＠") == 0 {
			cells[i] = "'" + c
		}
	}
	return strings.Join(cells, ";")
}

// JSON writes as \u escapes what encoding/json leaves as it is and does not show.
// It occurs in strings only, so the value stays the same.
func JSON(b []byte) []byte {
	out := make([]byte, 0, len(b))
	var e eye
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && size == 1:
			out = append(out, `\ufffd`...)
		case e.shows(r) || r < ' ': // such as JSON has between values
			out = append(out, b[:size]...)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		b = b[size:]
	}
	return out
}

// Text is Line for each line of a text, whatever it was put together from. Text from
// elsewhere in it goes through Line first, or its line feeds end lines, too.
func Text(b []byte) []byte {
	lines := strings.Split(string(b), "\n")
	for i, l := range lines {
		lines[i] = Line(l, maxLine)
	}
	return []byte(strings.Join(lines, "\n"))
}

// Characters that may begin something in Markdown (CommonMark, with tables, links,
// strikethrough and mathematics as GitHub has them): wherever they stand, and at the
// beginning of a line or of an item of a list. A backslash before one makes it a
// character.
const (
	markdownMarks  = "\\`*_[]<|~&$"
	markdownStarts = "#+-=>"
)

// Markdown is Line for text within a line of Markdown, where it stays text: nothing
// in it is emphasis, code, HTML, a link, a cell of a table, a heading or the
// beginning of a list.
func Markdown(s string, most int) string {
	s = strings.TrimSpace(Line(s, most)) // spaces in front make code of it
	var b strings.Builder
	for i, r := range s {
		switch {
		case strings.ContainsRune(markdownMarks, r),
			i == 0 && strings.ContainsRune(markdownStarts, r),
			(r == '.' || r == ')') && i > 0 && strings.Trim(s[:i], "0123456789") == "" && (i+1 == len(s) || s[i+1] == ' '), // "1." begins a list
			r == ':' && strings.HasPrefix(s[i:], "://"),                                                                    // an address becomes a link by itself
			r == '.' && i >= 3 && strings.EqualFold(s[i-3:i], "www"):                                                       // likewise
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
