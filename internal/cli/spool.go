package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"dialtone/internal/clean"
)

// maxSpool bounds the bytes that wait for a reader.
const maxSpool = 4 << 20

// A Spool passes on what is written to it, in order, and never makes whoever writes
// wait: a terminal that was stopped (Ctrl-S, a selection in a Windows console), or a
// pipe whose reader is busy, must not stop what is being measured. What a reader
// leaves unread beyond a limit is dropped, each write whole. What it passes on is
// lines of text and nothing that acts on a terminal (clean.Text), whoever's words are
// in it.
type Spool struct {
	to io.Writer
	// OnGap is told how many writes were dropped since it was last told that a gap is
	// over: at most once in a minute while it lasts, and once the reader has read half
	// of what waits. It may return a line to stand in the gap. It must not write to the
	// Spool. Nil: nobody is told. It is set before the first write.
	OnGap func(dropped int, over bool) string

	mu      sync.Mutex
	waiting []spooled
	size    int
	gap     bool // what was written last was dropped
	dropped int  // and not told of as over
	told    time.Time
	closed  bool
	more    chan struct{} // has room for one
}

// gapAgain is how often a gap that lasts is told of.
const gapAgain = time.Minute

// spooled is what was written, or whom to tell that all before it is passed on.
type spooled struct {
	text   []byte
	passed chan struct{}
}

// NewSpool returns a Spool before w. Close ends it.
func NewSpool(w io.Writer) *Spool {
	s := &Spool{to: w, more: make(chan struct{}, 1)}
	go s.pass()
	return s
}

// Write takes b. It does not fail.
func (s *Spool) Write(b []byte) (int, error) {
	s.take(clean.Text(b))
	return len(b), nil
}

// take takes what is to be passed on as it is.
func (s *Spool) take(text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.size+len(text) > maxSpool || s.gap && s.size > maxSpool/2 {
		s.gap = true
		s.dropped++
		if now := time.Now(); !s.closed && s.OnGap != nil && now.Sub(s.told) >= gapAgain {
			s.told = now
			s.OnGap(s.dropped, false)
		}
		return
	}
	s.endGap()
	s.waiting = append(s.waiting, spooled{text: text})
	s.size += len(text)
	s.wake()
}

// endGap puts what is said of a gap in its place. The lock is held.
func (s *Spool) endGap() {
	if !s.gap {
		return
	}
	s.gap = false
	if s.OnGap == nil {
		return
	}
	line := clean.Text([]byte(s.OnGap(s.dropped, true)))
	s.dropped = 0
	if len(line) > 0 {
		s.waiting = append(s.waiting, spooled{text: line})
		s.size += len(line)
	}
}

func (s *Spool) wake() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// pass passes on until it is closed. Who is gone reads nothing.
func (s *Spool) pass() {
	for range s.more {
		for next, ok := s.next(); ok; next, ok = s.next() {
			if next.passed != nil {
				close(next.passed)
				continue
			}
			_, _ = s.to.Write(next.text)
			s.mu.Lock()
			s.size -= len(next.text)
			s.mu.Unlock()
		}
	}
}

func (s *Spool) next() (spooled, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 && !s.closed {
		s.endGap()
	}
	if len(s.waiting) == 0 {
		return spooled{}, false
	}
	first := s.waiting[0]
	s.waiting = s.waiting[1:]
	return first, true
}

// Dropped is how many writes were dropped and not told of as over (OnGap).
func (s *Spool) Dropped() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// Flush waits until all that was written is passed on, but no longer than so long.
func (s *Spool) Flush(within time.Duration) {
	passed := make(chan struct{})
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.endGap() // what is missing is of what was written
	s.waiting = append(s.waiting, spooled{passed: passed})
	s.wake()
	s.mu.Unlock()
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-passed:
	case <-late.C:
	}
}

// Close is Flush, and nothing is taken after it.
func (s *Spool) Close(within time.Duration) {
	s.Flush(within)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.more)
	}
}

// Over writes words over the line that the cursor of a terminal is in; without words
// it clears that line.
func Over(terminal io.Writer, format string, args ...any) {
	words := clean.Line(fmt.Sprintf(format, args...), maxOver)
	text := []byte("\r\x1b[K" + words)
	if f := Terminal(terminal); f == nil || !EnableColor(f) { // it may know no escapes
		text = fmt.Appendf(nil, "\r%-70s\r%s", "", words)
	}
	if s, ok := terminal.(*Spool); ok {
		s.take(text)
		return
	}
	_, _ = terminal.Write(text)
}

// maxOver is how many runes Over writes: a line that is broken into several is not
// written over.
const maxOver = 200

// Terminal returns the terminal that a writer leads to, nil if it is none.
func Terminal(w io.Writer) *os.File {
	if s, ok := w.(*Spool); ok {
		w = s.to
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}
