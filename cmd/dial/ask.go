package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"dialtone/internal/invite"
	"dialtone/internal/paste"
)

// ask asks whoever opened dial by a double-click for what it cannot do without: whom to
// dial and the key. Who pastes the line that listen printed is understood, too.
func ask(line func() (string, bool), w io.Writer) []string {
	fmt.Fprint(w, "dial tests the paths from this computer to the one that runs listen.\n\n")
	fmt.Fprint(w, "Paste the line that listen printed there (dial --key ...), or an invitation,\nor type the name or address of that computer: ")
	text, ok := line()
	if !ok || paste.Value(text) == "" {
		return nil // what is missing is said as on the command line
	}
	if invite.Mentions(text) {
		return []string{"odyssey", text}
	}
	if args := words(text); len(args) > 1 && isDial(args[0]) {
		return args[1:]
	}
	if strings.HasPrefix(text, "@") {
		return []string{text}
	}
	fmt.Fprint(w, "The key, as listen printed it: ")
	key, _ := line()
	fmt.Fprintln(w)
	return []string{"--key=" + key, "--", text}
}

// isDial reports whether the first word of a line is this program.
func isDial(word string) bool {
	name := strings.ToLower(filepath.Base(strings.ReplaceAll(word, `\`, "/")))
	return name == "dial" || name == "dial.exe"
}

// words cuts a command line as shells do: at spaces that are not in quotes.
func words(text string) []string {
	var out []string
	var word strings.Builder
	in, open := false, false // a word, quotes
	for _, r := range text {
		switch {
		case r == '"':
			in, open = true, !open
		case (r == ' ' || r == '\t') && !open:
			if in {
				out = append(out, word.String())
			}
			word.Reset()
			in = false
		default:
			in = true
			word.WriteRune(r)
		}
	}
	if in {
		out = append(out, word.String())
	}
	return out
}
