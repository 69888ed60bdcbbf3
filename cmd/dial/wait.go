package main

import (
	"context"
	"fmt"
	"io"
	"time"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/clean"
	"dialtone/internal/cli"
	"dialtone/internal/meeting"
	"dialtone/internal/result"
	"dialtone/internal/survey"
)

// maxWait bounds --wait, maxWords the runes that are shown of a reason.
const (
	maxWait  = 24 * time.Hour
	maxWords = 1000
)

// readWait is how long to wait for the other end, 0 not at all.
func readWait(c *ucli.Context) (time.Duration, error) {
	d := cli.Duration(c, "wait")
	if d < 0 || d > maxWait {
		return 0, cli.Usagef("Give a time of up to 24h, such as 15m.", "--wait %v", d)
	}
	return d, nil
}

// meet makes a run for which both ends dial each other.
func meet(ctx context.Context, w io.Writer, cfg survey.Config, wait time.Duration) (*result.Report, error) {
	cfg.OnProgress = nil // the line below takes its place
	fmt.Fprintf(w, "dial: dialing %s until it answers, for up to %v; it may dial this machine meanwhile. Ctrl-C ends it with what is known by then.\n", cfg.Host, wait)
	line := waitingLine(w)
	r, err := meeting.Run(ctx, meeting.Config{Config: cfg, Wait: wait, OnWait: line.show, OnTaken: line.taken})
	line.clear()
	return r, err
}

// A statusLine tells how the waiting goes: on a terminal by one line that is
// written over, elsewhere by a line for each change.
type statusLine struct {
	w        io.Writer
	terminal bool
	last     string
}

func waitingLine(w io.Writer) *statusLine {
	return &statusLine{w: w, terminal: cli.Terminal(w) != nil}
}

func (l *statusLine) show(s meeting.Waiting) {
	words := clean.Line(s.Last, maxWords)
	switch {
	case s.Following:
		words = "the other end got through to this one, and tests both directions now"
	case words == "":
		words = "the other end answers: testing both directions"
	}
	if l.terminal {
		cli.Over(l.w, "%v left, try %d: %s", s.Left.Round(time.Second), s.Tries, words)
		return
	}
	if words != l.last {
		fmt.Fprintf(l.w, "dial: %v left, try %d: %s\n", s.Left.Round(time.Second), s.Tries, words)
		l.last = words
	}
}

// taken says who has a port here in this program's place.
func (l *statusLine) taken(p result.BusyPort, sibling bool) {
	where := fmt.Sprintf("%s port %d of %s", p.Transport, p.Port, p.Address)
	switch {
	case sibling:
		fmt.Fprintf(l.w, "dial: %s is answered by the listen that runs here with the same key.\n", where)
	case p.InUse && p.Holder != nil:
		fmt.Fprintf(l.w, "dial: %s is held here by %q (pid %d): what the partner dials reaches it, and proves nothing. To prove the path, stop it for the test.\n", where, p.Holder.Name, p.Holder.PID)
	default:
		fmt.Fprintf(l.w, "dial: %s could not be opened here (%s): what the partner dials there proves nothing.\n", where, clean.Line(p.Error, maxWords))
	}
}

func (l *statusLine) clear() {
	if l.terminal {
		cli.Over(l.w, "")
	}
}
