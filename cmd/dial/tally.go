package main

import (
	"fmt"
	"io"

	"dialtone/internal/cli"
)

// A tallyLine tells how many of many are done: on a terminal by one line that is
// written over, elsewhere by a line for each tenth.
type tallyLine struct {
	w        io.Writer
	terminal bool
	all      int
	tenths   int // that were told
}

func newTallyLine(w io.Writer, all int) *tallyLine {
	return &tallyLine{w: w, terminal: cli.Terminal(w) != nil, all: all}
}

func (l *tallyLine) show(done, trouble int) {
	words := fmt.Sprintf("%d of %d partners, %d with trouble", done, l.all, trouble)
	switch tenths := 10 * done / l.all; {
	case l.terminal:
		cli.Over(l.w, "%s", words)
	case tenths > l.tenths:
		l.tenths = tenths
		fmt.Fprintf(l.w, "dial: %s\n", words)
	}
}

// end clears the line.
func (l *tallyLine) end() {
	if l.terminal {
		cli.Over(l.w, "")
	}
}
