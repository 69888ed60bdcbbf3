// Package report renders a result.Report. It judges nothing and gives no
// advice of its own: verdicts, findings and advice are the report's.
//
// Much of what a report holds came from the network. No rendering lets a
// control character, an escape sequence or a line break of such a string
// through.
package report

import "strings"

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
