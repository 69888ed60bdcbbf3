package report

import (
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"dialtone/internal/clean"
)

// Widths, in columns. A page fits 80 where nothing is known of where it goes: that
// is what terminals, e-mails and tickets show unbroken.
const (
	usualWidth = 80
	minWidth   = 40 // the narrowest that is laid out; a narrower terminal wraps
	maxWidth   = 120
	// proseWidth is the widest that sentences get, however wide the terminal:
	// longer lines are hard to read.
	proseWidth = 100
)

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
	width int               // columns
	said  map[string]string // sentences that stand on the page, and where
}

func newPage(o Options) *page {
	p := &page{color: o.Color, width: usualWidth, said: map[string]string{}}
	if o.Width > 0 {
		p.width = min(max(o.Width, minWidth), maxWidth)
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
	lead = text.Pad(clean.Line(lead, maxText), indent, ' ')
	p.hangAt(lead, width(lead), s, st)
}

// hangAt is hang after a lead that is ready for the page, so many columns wide.
func (p *page) hangAt(lead string, columns int, s string, st style) {
	margin := strings.Repeat(" ", columns)
	for i, line := range wrap(clean.Line(s, maxText), p.proseWidth()-columns) {
		if i > 0 {
			lead = margin
		}
		p.b.WriteString(strings.TrimRight(lead+p.paint(line, st), " "))
		p.b.WriteByte('\n')
	}
}

// whole writes what must not be broken, such as a command to paste, after the
// lead, or on a line of its own where there is no room.
func (p *page) whole(lead, s string, indent int) {
	lead, s = text.Pad(clean.Line(lead, maxText), indent, ' '), clean.Line(s, maxText)
	if width(lead)+width(s) <= p.width {
		p.lines([]string{lead + s})
		return
	}
	p.lines([]string{strings.TrimRight(lead, " "), "    " + s})
}

func (p *page) proseWidth() int { return min(p.width, proseWidth) }

// once is what of a text does not stand on the page yet, and where the rest of it
// stands; where says where this text is to stand. A page says no sentence twice.
func (p *page) once(s, where string) string {
	var fresh []string
	elsewhere := ""
	for _, sentence := range sentences(s) {
		at, ok := p.said[sentence]
		switch {
		case !ok:
			p.said[sentence] = where
			fresh = append(fresh, sentence)
		case at == where: // this very text says it twice
		case elsewhere == "":
			elsewhere = at
		}
	}
	switch {
	case elsewhere == "":
	case len(fresh) == 0:
		fresh = []string{"As " + elsewhere + "."}
	default:
		fresh = append(fresh, "The rest is as "+elsewhere+".")
	}
	return strings.Join(fresh, " ")
}

// anew is a text for what is sent alone, such as a request: whole, whatever stands on
// the rest of the page, but for what stands under where itself.
func (p *page) anew(s, where string) string {
	var out []string
	for _, sentence := range sentences(s) {
		if p.said[sentence] != where {
			p.said[sentence] = where
			out = append(out, sentence)
		}
	}
	return strings.Join(out, " ")
}

// stands reports whether all of a text stands on the page already.
func (p *page) stands(s string) bool {
	for _, sentence := range sentences(s) {
		if _, ok := p.said[sentence]; !ok {
			return false
		}
	}
	return true
}

// sentences splits a text after each full stop that a capital letter follows.
func sentences(s string) []string {
	var out []string
	for s = strings.TrimSpace(s); s != ""; {
		end := len(s)
		for i := 0; i+2 < len(s); i++ {
			if s[i] == '.' && s[i+1] == ' ' && s[i+2] >= 'A' && s[i+2] <= 'Z' {
				end = i + 1
				break
			}
		}
		out = append(out, s[:end])
		s = strings.TrimSpace(s[end:])
	}
	return out
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
		if width(line) > p.width {
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
// such as an address, stays whole: it is there to be copied. So does what an arrow
// joins, where a line has room for it.
func wrap(s string, columns int) []string {
	var lines []string
	var line string
	for _, word := range arrowed(strings.Fields(s), columns) {
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

// arrowed makes one word of an arrow and its two ends, if it fits into so many
// columns; else it leaves the arrow with its second end.
func arrowed(words []string, columns int) []string {
	var out []string
	for i := 0; i < len(words); i++ {
		if words[i] != "->" || i+1 == len(words) || len(out) == 0 {
			out = append(out, words[i])
			continue
		}
		i++
		to := "-> " + words[i]
		if pair := out[len(out)-1] + " " + to; width(pair) <= columns {
			out[len(out)-1] = pair
		} else {
			out = append(out, to)
		}
	}
	return out
}
