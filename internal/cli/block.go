package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"dialtone/internal/clean"
)

// A Block is lines at the end of what a terminal shows, which are written over as
// they change. What else is to be shown goes through its Write, and stays above
// them. It moves the cursor up and clears from there (ECMA-48 CUU and ED), and no
// more: no library, no colour, no other screen, so that what scrolls away is as it
// was. Whoever changes the lines never waits for the terminal.
type Block struct {
	to   io.Writer
	file *os.File

	mu     sync.Mutex
	lines  []string
	above  bytes.Buffer // written since the lines were drawn last
	stale  bool
	closed bool

	drawing sync.Mutex // held while writing
	drawn   int        // lines on the terminal
	stop    chan struct{}
	stopped chan struct{}
}

// redrawEvery is how often a Block that changes is drawn: often enough to look
// alive, seldom enough for a line of 9,600 baud.
const redrawEvery = 150 * time.Millisecond

// NewBlock returns a Block on w; nil if that is no terminal whose cursor can be
// moved. Close ends it.
func NewBlock(w io.Writer) *Block {
	f := Terminal(w)
	if f == nil || !movesCursor(f) {
		return nil
	}
	b := &Block{to: w, file: f, stop: make(chan struct{}), stopped: make(chan struct{})}
	go b.draw()
	return b
}

// Size is how many columns and lines a Block can have.
func (b *Block) Size() (columns, lines int) {
	columns, lines, err := term.GetSize(int(b.file.Fd()))
	if err != nil || columns <= 1 || lines <= 1 {
		return 79, 23
	}
	return columns - 1, lines - 1 // what reaches the last column, or line, may move all
}

// Show sets the lines.
func (b *Block) Show(lines []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.lines, b.stale = lines, true
	}
}

// Write shows p above the lines, and once they are gone below what there is.
func (b *Block) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return b.to.Write(p)
	}
	b.above.Write(clean.Text(p))
	b.stale = true
	return len(p), nil
}

// Flush draws what has changed by now.
func (b *Block) Flush() { b.drawOnce() }

// Close takes the lines away.
func (b *Block) Close() {
	b.mu.Lock()
	closed := b.closed
	b.closed, b.lines, b.stale = true, nil, true
	b.mu.Unlock()
	if closed {
		return
	}
	close(b.stop)
	<-b.stopped
	if s, ok := b.to.(*Spool); ok {
		s.Flush(time.Second) // what is written elsewhere next stands below what is gone
	}
}

// draw draws what changed until the Block is closed.
func (b *Block) draw() {
	defer close(b.stopped)
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.stop:
			b.drawOnce()
			return
		case <-tick.C:
			b.drawOnce()
		}
	}
}

func (b *Block) drawOnce() {
	b.drawing.Lock() // before the other: what was taken first is written first
	defer b.drawing.Unlock()
	b.mu.Lock()
	if !b.stale {
		b.mu.Unlock()
		return
	}
	b.stale = false
	columns, most := b.Size()
	lines := fit(b.lines, columns, most)
	above := fold(b.above.String(), columns)
	b.above.Reset()
	b.mu.Unlock()

	var out bytes.Buffer
	if b.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", b.drawn)
	}
	out.WriteString("\r\x1b[J")
	out.WriteString(above)
	if above != "" && !strings.HasSuffix(above, "\n") {
		out.WriteByte('\n')
	}
	for _, line := range lines {
		out.WriteString(line + "\n")
	}
	b.drawn = len(lines)
	if s, ok := b.to.(*Spool); ok {
		s.take(out.Bytes())
		return
	}
	_, _ = b.to.Write(out.Bytes())
}

// maxFront is how long what stands in front of a line's words is at most.
const maxFront = 12

// fold breaks the lines of a text between words, so that a terminal of so many
// columns need not do so in their middle, and keeps below the words what follows a
// time or a name in front. What is indented stays whole: it is a command to be copied,
// or a table.
func fold(text string, columns int) string {
	var out strings.Builder
	for line := range strings.SplitAfterSeq(text, "\n") {
		margin := ""
		if at := strings.Index(line, "  "); at > 0 && at <= maxFront {
			margin = strings.Repeat(" ", at+2)
		}
		for first := true; utf8.RuneCountInString(line) > columns && (!first || !strings.HasPrefix(line, " ")); first = false {
			runes := []rune(line)
			end := strings.LastIndex(strings.TrimRight(string(runes[:columns+1]), " "), " ")
			if end <= len(margin) {
				break
			}
			out.WriteString(strings.TrimRight(line[:end], " ") + "\n")
			line = margin + strings.TrimLeft(line[end:], " ")
		}
		out.WriteString(line)
	}
	return out.String()
}

// fit cuts lines to what a terminal has room for.
func fit(lines []string, columns, most int) []string {
	var out []string
	for i, line := range lines {
		if i == most-1 && len(lines) > most {
			line = fmt.Sprintf("  and %d lines more", len(lines)-i)
		}
		out = append(out, Cut(line, columns))
		if len(out) == most {
			break
		}
	}
	return out
}

// Cut is a line of at most so many columns, on which nothing acts on a terminal.
func Cut(line string, columns int) string {
	line = clean.Line(line, 4*columns+4)
	if utf8.RuneCountInString(line) <= columns {
		return strings.TrimRight(line, " ")
	}
	const end = "..."
	runes := []rune(line)
	return strings.TrimRight(string(runes[:max(0, columns-len(end))]), " ") + end
}
