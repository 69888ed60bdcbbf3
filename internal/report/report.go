// Package report renders a result.Report. It judges nothing and gives no
// advice of its own: verdicts, findings and advice are the report's.
//
// Much of what a report holds came from the network. No rendering lets a
// control character, an escape sequence or a line break of such a string
// through.
package report

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"dialtone/internal/result"
)

// A Format is a form that a report can take. Its zero value is no format.
type Format string

const (
	Text Format = "text" // for people, on a terminal or in an e-mail
	JSON Format = "json" // for programs: docs/report.schema.json
)

// A renderer writes a report in one Format.
type renderer struct {
	format Format
	ext    string // of a file in this format, lower case
	render func(r *result.Report, o Options) ([]byte, error)
}

// renderers holds every Format, in the order in which messages name them.
var renderers = []renderer{
	{Text, ".txt", renderText},
	{JSON, ".json", renderJSON},
}

// Options are what the destination can show. The zero value is right for a
// file.
type Options struct {
	Color bool // colour by ANSI escape sequences; without it the output has none
	Width int  // columns; 0: tables are as wide as they need
}

// ParseFormat returns the Format that is called s.
func ParseFormat(s string) (Format, error) {
	var known []Format
	for _, r := range renderers {
		known = append(known, r.format)
	}
	return formatOf(s, known)
}

// formatOf returns which of known is called s, in capital letters or as the ending of
// a file's name, too.
func formatOf(s string, known []Format) (Format, error) {
	name := strings.TrimPrefix(strings.ToLower(s), ".")
	var names []string
	for _, f := range known {
		if name == string(f) || name == "txt" && f == Text {
			return f, nil
		}
		names = append(names, string(f))
	}
	return "", fmt.Errorf("unknown report format %q: use %s", s, alternatives(names))
}

// FormatForFile returns the Format that the file name's extension asks for.
func FormatForFile(name string) (Format, error) {
	ext := strings.ToLower(filepath.Ext(name))
	var exts []string
	for _, r := range renderers {
		if ext == r.ext {
			return r.format, nil
		}
		exts = append(exts, r.ext)
	}
	return "", fmt.Errorf("no report format for file %q: end its name in %s", name, alternatives(exts))
}

// Write renders r in format f to w, in one call of w.Write. It does not change
// r.
func Write(w io.Writer, f Format, r *result.Report, o Options) error {
	for _, k := range renderers {
		if k.format != f {
			continue
		}
		b, err := k.render(r, o)
		if err != nil {
			return fmt.Errorf("render report as %s: %w", f, err)
		}
		if _, err := w.Write(b); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
		return nil
	}
	_, err := ParseFormat(string(f))
	return err
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
