package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/survey"
)

// A live shows a run on a terminal while it lasts: a line for each attempt, which
// fills in, and below them what the run does now and how long that may take. On a
// terminal whose cursor does not move it is a line for each attempt that is over.
type live struct {
	block *cli.Block // nil: lines only
	plain io.Writer
	ends  time.Time // of the run, at the latest

	mu       sync.Mutex
	rows     []*liveRow
	phase    string
	until    time.Time // of what the phase waits for; zero: not known
	finished chan struct{}
	over     sync.WaitGroup
}

// A liveRow is one attempt.
type liveRow struct {
	survey.Attempt
	until time.Time // it is over by then
}

// phaseWords are what a run does in each of survey's phases.
var phaseWords = map[string]string{
	"settle":                    "waiting for what is late",
	"meet others":               "asking further listeners who they are",
	"live software":             "trying what other software holds there by ordinary connections",
	"dial back again":           "having the far end dial back once more",
	"bans":                      "seeing whether a device bans whoever touches one of the ports",
	"retry":                     "trying again what failed",
	"retry what a pause spoilt": "trying again what failed while one end stood still",
	"study":                     "opening more connections where some failed",
	"decoys":                    "seeing whether something answers for any port",
	"halves":                    "asking the far end what arrived there",
	"converse":                  "speaking each service's own language",
	"study again":               "opening more connections where some failed",
	"confirm":                   "confirming what was found",
	"trace":                     "finding out which way the packets take",
	"hold":                      "keeping connections idle",
	"pauses":                    "asking the far end what it could not do meanwhile",
	"siblings":                  "asking the other listeners here",
	"lend":                      "keeping the ports open for another dial of this machine, up to half a minute",
}

// shown makes the run that cfg configures, and shows it on the terminal that the
// program's words go to. It ends by itself within longest; 0: that is not known.
func shown(c *ucli.Context, cfg *survey.Config, longest time.Duration, run func() (*result.Report, error)) (*result.Report, error) {
	w := c.App.ErrWriter
	beside, stop := showLive(w, cfg, longest)
	c.App.ErrWriter = beside
	defer func() {
		stop()
		c.App.ErrWriter = w
	}()
	return run()
}

// showLive shows a run that cfg makes on the terminal that w leads to. It returns
// where else to write meanwhile, and what ends it.
func showLive(w io.Writer, cfg *survey.Config, longest time.Duration) (io.Writer, func()) {
	if cli.Terminal(w) == nil {
		return w, func() {}
	}
	l := &live{plain: w, block: cli.NewBlock(w), phase: "trying every path", finished: make(chan struct{})}
	if longest > 0 {
		l.ends = time.Now().Add(longest)
	}
	cfg.OnAttempt, cfg.OnPhase, cfg.OnHold, cfg.OnRestart = l.attempt, l.enter, l.hold, l.restart
	if l.block == nil {
		return w, func() {}
	}
	l.over.Go(l.tick)
	return l.block, func() {
		close(l.finished)
		l.over.Wait()
		l.block.Close()
	}
}

// tick shows it anew each second, for what counts down.
func (l *live) tick() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		l.mu.Lock()
		l.show(time.Now())
		l.mu.Unlock()
		select {
		case <-l.finished:
			return
		case <-tick.C:
		}
	}
}

func (l *live) attempt(a survey.Attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	row := &liveRow{Attempt: a, until: now.Add(a.Within)}
	known := false
	for i, r := range l.rows {
		if r.Direction == a.Direction && r.To == a.To && r.Host == a.Host && strings.Join(r.Flows, ",") == strings.Join(a.Flows, ",") {
			l.rows[i], known = row, true
		}
	}
	if !known {
		l.rows = append(l.rows, row)
	}
	if l.block == nil {
		if a.Half != nil {
			fmt.Fprintf(l.plain, "dial: %s\n", strings.Join(strings.Fields(row.words(now, 0, 0)), " "))
		}
		return
	}
	l.show(now)
}

func (l *live) enter(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phase, l.until = name, time.Time{}
	if words := phaseWords[name]; words != "" {
		l.phase = words
	}
	l.show(time.Now())
}

func (l *live) hold(left time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Now().Add(left)
	l.show(time.Now())
}

func (l *live) restart() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = nil
	l.phase, l.until = "listen was started anew; trying every path again", time.Time{}
	if l.block == nil {
		fmt.Fprintln(l.plain, "dial: listen was started anew; beginning again")
	}
	l.show(time.Now())
}

// show draws it. The lock is held.
func (l *live) show(now time.Time) {
	if l.block == nil {
		return
	}
	columns, most := l.block.Size()
	l.block.Show(l.lines(now, columns, most))
}

// lines is the run in so many lines at most: where all attempts do not fit, those
// that are under way come first, and the others are counted.
func (l *live) lines(now time.Time, columns, most int) []string {
	const status = 2
	rows := l.rows
	hidden := 0
	if len(rows) > most-status && most > status+1 {
		var open, over []*liveRow
		for _, r := range rows {
			if r.Half == nil {
				open = append(open, r)
			} else {
				over = append(over, r)
			}
		}
		rows = append(open, over...)[:most-status-1]
		hidden = len(l.rows) - len(rows)
	}
	names, ports := 0, 0
	for _, r := range rows {
		names, ports = max(names, len(r.names())), max(ports, len(r.port()))
	}
	var out []string
	for _, r := range rows {
		out = append(out, r.words(now, ports, min(names, columns/2)))
	}
	if hidden > 0 {
		out = append(out, fmt.Sprintf("  and %d more", hidden))
	}
	left := func(at time.Time) string { return max(0, at.Sub(now)).Round(time.Second).String() }
	words := l.phase
	if !l.until.IsZero() {
		words += ", " + left(l.until) + " left"
	}
	if !l.ends.IsZero() {
		words += fmt.Sprintf(" (the run ends by itself within %s)", left(l.ends))
	}
	return append(out, "", words)
}

func (r *liveRow) names() string {
	s := strings.Join(r.Flows, ", ")
	switch {
	case r.Direction == plan.Reverse:
		return s + " to here"
	case r.Host != "":
		return s + " at " + r.Host
	}
	return s
}

func (r *liveRow) port() string {
	if r.Port == 0 {
		return "any/" + string(r.Transport)
	}
	return fmt.Sprintf("%d/%s", r.Port, r.Transport)
}

// words is a row with columns of so many characters for port and names.
func (r *liveRow) words(now time.Time, ports, names int) string {
	s := r.names()
	if names > 0 {
		s = cli.Cut(s, names)
	}
	return fmt.Sprintf("  %-*s  %-*s  %s", ports, r.port(), names, s, r.state(now))
}

// state is how far it is, in words: what this end saw, which is no verdict yet.
func (r *liveRow) state(now time.Time) string {
	if r.Half == nil && r.Within == 0 {
		return "trying"
	}
	if r.Half == nil {
		return fmt.Sprintf("trying, at most %v more", max(0, r.until.Sub(now)).Round(time.Second))
	}
	i := r.Half
	switch {
	case i.NotTried != "":
		return "not tried"
	case i.Answer == result.AnswerKeyed:
		return "proved"
	case i.Answer == result.AnswerWrongKey:
		return "another key"
	case r.Real && i.Conversation != nil && i.Conversation.Outcome == result.ConversationCompleted:
		return "answers in its own language"
	case r.Real && i.Connect == result.ConnectOpen && i.Answer == result.AnswerForeign:
		return "something answers"
	case i.Answer == result.AnswerForeign, i.Answer == result.AnswerEchoed, i.Answer == result.AnswerOwn:
		return "something else answers"
	}
	switch i.Connect {
	case result.ConnectTimeout:
		return "no answer"
	case result.ConnectRST:
		return "turned away by a reset"
	case result.ConnectICMP:
		return "turned away by an ICMP error"
	case result.ConnectDenied:
		return "forbidden by this machine"
	case result.ConnectNoRoute:
		return "no route"
	case result.ConnectOpen:
		if r.Transport == plan.UDP {
			return "no answer"
		}
		if r.Real {
			return "connected"
		}
		return "connected, and not proved"
	}
	return "failed here"
}
