package report

import (
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"dialtone/internal/clean"
)

// proseWidth is the widest that sentences get, however wide the terminal:
// longer lines are hard to read, and break badly in e-mail.
const proseWidth = 100

// Longest text that is shown, in runes: of anything, and of one table cell.
const (
	maxText = 4000
	maxCell = 120 // two IPv6 addresses with ports, at their longest, fit
)

// A page is text under construction. Whatever is put on it goes through clean.Line
// first, and only the page adds line breaks and colours.
//
// The page's own words are ASCII, so that they survive a pipe through a
// Windows console's code page.
type page struct {
	b     strings.Builder
	color bool
	width int // columns; 0: unlimited
}

// minWidth is the narrowest page that is laid out; a narrower terminal wraps.
const minWidth = 40

func newPage(o Options) *page {
	p := &page{color: o.Color, width: o.Width}
	if o.Width > 0 {
		p.width = max(o.Width, minWidth)
	}
	return p
}

// A style is how a piece of text looks in colour. Nothing may depend on it.
type style []text.Color

var (
	plain   style
	strong  = style{text.Bold}
	faint   = style{text.Faint}
	good    = style{text.FgGreen}
	bad     = style{text.Bold, text.FgRed}
	pending = style{text.FgYellow}
)

// paint colours s, which is clean already. It goes by the page's choice alone
// and not, as text.Colors.Sprint does, by the environment.
func (p *page) paint(s string, st style) string {
	if !p.color || len(st) == 0 || s == "" {
		return s
	}
	return text.Escape(s, text.Colors(st).EscapeSeq())
}

// blank ends a section with an empty line.
func (p *page) blank() { p.b.WriteByte('\n') }

// title writes a heading.
func (p *page) title(s string) { p.hang("", s, 0, strong) }

// hang writes s after the lead, wrapped, with every line of s indented to the
// column in which the lead ends or to indent, whichever is further.
func (p *page) hang(lead, s string, indent int, st style) {
	lead, s = clean.Line(lead, maxText), clean.Line(s, maxText)
	lead = text.Pad(lead, indent, ' ')
	margin := strings.Repeat(" ", width(lead))
	for i, line := range wrap(s, p.proseWidth()-len(margin)) {
		if i > 0 {
			lead = margin
		}
		p.b.WriteString(strings.TrimRight(lead+p.paint(line, st), " "))
		p.b.WriteByte('\n')
	}
}

func (p *page) proseWidth() int {
	if p.width > 0 && p.width < proseWidth {
		return p.width
	}
	return proseWidth
}

// fields writes labelled texts, aligned.
func (p *page) fields(indent int, fields [][2]string) {
	column := 0
	for _, f := range fields {
		column = max(column, width(clean.Line(f[0], maxText)))
	}
	for _, f := range fields {
		p.hang(strings.Repeat(" ", indent)+f[0], f[1], indent+column+2, plain)
	}
}

// A cell is one field of a row.
type cell struct {
	s     string
	style style
}

// grid lays rows out in aligned columns and returns one line for each,
// without writing them.
func (p *page) grid(rows [][]cell) []string {
	t := table.NewWriter()
	s := table.StyleDefault
	s.Options = table.OptionsNoBordersAndSeparators
	s.Box.PaddingLeft, s.Box.PaddingRight = "  ", ""
	t.SetStyle(s)
	t.SuppressTrailingSpaces()
	for _, row := range rows {
		var out table.Row
		for _, c := range row {
			out = append(out, p.paint(clean.Line(c.s, maxCell), c.style))
		}
		t.AppendRow(out)
	}
	lines := strings.Split(t.Render(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return lines
}

// fits reports whether every line fits the page.
func (p *page) fits(lines []string) bool {
	for _, line := range lines {
		if p.width > 0 && width(line) > p.width {
			return false
		}
	}
	return true
}

func (p *page) lines(lines []string) {
	for _, line := range lines {
		p.b.WriteString(line)
		p.b.WriteByte('\n')
	}
}

// width is the number of columns that s takes, escape sequences aside.
func width(s string) int { return text.StringWidthWithoutEscSequences(s) }

// wrap breaks s between words into lines of at most columns. A longer word,
// such as an address, stays whole: it is there to be copied.
func wrap(s string, columns int) []string {
	var lines []string
	var line string
	for _, word := range strings.Fields(s) {
		switch {
		case line == "":
			line = word
		case width(line)+1+width(word) <= columns:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
