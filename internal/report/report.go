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

	"dialtone/internal/move"
	"dialtone/internal/request"
	"dialtone/internal/result"
)

// A Format is a form that a document can take. Its zero value is no format.
type Format string

const (
	Text     Format = "text"       // for people, on a terminal or in an e-mail
	JSON     Format = "json"       // for programs: docs/*.schema.json
	CSV      Format = "csv"        // for a spreadsheet
	HTML     Format = "html"       // for a browser: one file that asks nobody for anything
	Markdown Format = "markdown"   // for a ticket or a wiki
	JUnit    Format = "junit"      // for continuous integration, as a test's result
	Prom     Format = "prometheus" // for monitoring: Prometheus' text format
	Requests Format = "requests"   // for the firewall's people: what to ask for, each to be sent as it is
)

// Options are what the destination can show. The zero value is right for a
// file.
type Options struct {
	Color   bool // colour by ANSI escape sequences; without it the output has none
	Width   int  // columns of text, of which it uses up to 120; 0: 80
	Verbose bool // text has all evidence, too

	// Ask says for whom and for how long requests are, and Dialect in whose words
	// their rules stand; "": in words for people.
	Ask     request.Options
	Dialect string
}

// A Form writes a document in one Format.
type Form[T any] struct {
	Format Format
	Ext    string // of a file in this format, lower case
	Also   string // another ending of its name; "": none
	Render func(T, Options) ([]byte, error)
}

// A Kind is a kind of document: what it is called, and every Form of it, in the
// order in which messages name them.
type Kind[T any] struct {
	What  string
	Forms []Form[T]
}

// The kinds of documents that there are.
var (
	Paths = Kind[*result.Report]{"report", []Form[*result.Report]{
		{Format: Text, Ext: ".txt", Render: renderText},
		{Format: JSON, Ext: ".json", Render: encode[*result.Report]},
		{Format: HTML, Ext: ".html", Render: renderPathsHTML},
		{Format: Markdown, Ext: ".md", Render: renderMarkdown},
		{Format: JUnit, Ext: ".xml", Render: renderJUnit},
		{Format: Prom, Ext: ".prom", Render: renderPrometheus},
		{Requests, ".requests", ".requests.txt", renderRequests},
	}}
	// Listened is listen's own: what reached which port from where, and what the plan
	// still expects.
	Listened = Kind[*result.Report]{"report", []Form[*result.Report]{
		{Format: Text, Ext: ".txt", Render: renderListenedText},
		{Format: JSON, Ext: ".json", Render: encode[*result.Report]},
		{Format: HTML, Ext: ".html", Render: renderListenedHTML},
		{Format: Markdown, Ext: ".md", Render: renderListenedMarkdown},
		{Format: CSV, Ext: ".csv", Render: renderListenedCSV},
	}}
	Matrix = Kind[*result.Matrix]{"matrix", []Form[*result.Matrix]{
		{Format: Text, Ext: ".txt", Render: renderMatrixText},
		{Format: JSON, Ext: ".json", Render: func(m *result.Matrix, _ Options) ([]byte, error) { return MatrixJSON(m) }},
		{Format: CSV, Ext: ".csv", Render: renderMatrixCSV},
		{Format: HTML, Ext: ".html", Render: renderMatrixHTML},
		{Requests, ".requests", ".requests.txt", renderMatrixRequests},
	}}
	Comparison = Kind[*result.Comparison]{"comparison", []Form[*result.Comparison]{
		{Format: Text, Ext: ".txt", Render: renderComparisonText},
		{Format: JSON, Ext: ".json", Render: encode[*result.Comparison]},
	}}
	Address = Kind[*result.AddressReport]{"address report", []Form[*result.AddressReport]{
		{Format: Text, Ext: ".txt", Render: renderAddressText},
		{Format: JSON, Ext: ".json", Render: encode[*result.AddressReport]},
		{Format: HTML, Ext: ".html", Render: renderAddressHTML},
	}}
	// Move is what changes for others when a server gets another address.
	Move = Kind[*move.Sheet]{"move sheet", []Form[*move.Sheet]{
		{Format: Text, Ext: ".txt", Render: renderMoveText},
		{Format: Markdown, Ext: ".md", Render: renderMoveMarkdown},
		{Format: CSV, Ext: ".csv", Render: renderMoveCSV},
	}}
)

// encode writes exactly the struct.
func encode[T any](v T, _ Options) ([]byte, error) { return result.Encode(v) }

// Names are the names of the forms.
func (k Kind[T]) Names() (out []string) {
	for _, f := range k.Forms {
		out = append(out, string(f.Format))
	}
	return out
}

// Formats names the forms, as in "text, json or csv".
func (k Kind[T]) Formats() string { return alternatives(k.Names()) }

// Endings names what a file's name ends in for each form, as in ".txt, .json or .csv".
func (k Kind[T]) Endings() string {
	var exts []string
	for _, f := range k.Forms {
		exts = append(exts, f.Ext)
	}
	return alternatives(exts)
}

// Parse returns the Format that is called s, in capital letters or as the ending of
// a file's name, too.
func (k Kind[T]) Parse(s string) (Format, error) {
	name := strings.TrimPrefix(strings.ToLower(s), ".")
	for _, f := range k.Forms {
		if name == string(f.Format) || "."+name == f.Ext {
			return f.Format, nil
		}
	}
	return "", fmt.Errorf("unknown report format %q: use %s", s, k.Formats())
}

// ForFile returns the Format that the extension of a file's name asks for.
func (k Kind[T]) ForFile(name string) (Format, error) {
	ext := strings.ToLower(filepath.Ext(name))
	for _, f := range k.Forms {
		if f.Also != "" && strings.HasSuffix(strings.ToLower(name), f.Also) {
			return f.Format, nil
		}
	}
	for _, f := range k.Forms {
		if ext == f.Ext {
			return f.Format, nil
		}
	}
	return "", fmt.Errorf("no report format for file %q: end its name in %s", name, k.Endings())
}

// Write renders v in format f to w, in one call of w.Write. It does not change v.
func (k Kind[T]) Write(w io.Writer, f Format, v T, o Options) error {
	for _, form := range k.Forms {
		if form.Format != f {
			continue
		}
		b, err := form.Render(v, o)
		if err != nil {
			return fmt.Errorf("render %s as %s: %w", k.What, f, err)
		}
		if _, err := w.Write(b); err != nil {
			return fmt.Errorf("write %s: %w", k.What, err)
		}
		return nil
	}
	_, err := k.Parse(string(f))
	return err
}
