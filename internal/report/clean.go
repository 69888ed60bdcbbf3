package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Longest text that is shown, in runes: of anything, and of one table cell.
const (
	maxText = 4000
	maxCell = 120 // two IPv6 addresses with ports, at their longest, fit
)

// clean makes s safe to show on one line of a terminal: control characters (C0
// and C1), line and paragraph separators, invisible and bidirectional format
// characters, whatever else does not print, and bytes that are not UTF-8
// become visible escapes. At most limit runes of s are kept.
func clean(s string, limit int) string {
	var b strings.Builder
	for i, n := 0, 0; i < len(s); n++ {
		if n == limit {
			b.WriteString("...")
			break
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case unicode.Is(unicode.Zs, r):
			b.WriteByte(' ')
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += size
	}
	return b.String()
}
