package main

import (
	"fmt"
	"strings"
	"sync"

	"dialtone/internal/cli"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/report"
)

// A board shows on a terminal who has reached which port with the key, beside who
// has to by the plan, below the lines that tell of each event.
type board struct {
	block *cli.Block
	who   *listener.Attendance

	mu    sync.Mutex
	begun bool
}

// changed draws it anew: who waits to be answered does not wait for more than that.
func (b *board) changed() {
	if b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.show()
	}
}

// show draws it, once it has begun. The lock is held.
func (b *board) show() {
	if !b.begun {
		return
	}
	columns, lines := b.block.Size()
	b.block.Show(b.lines(columns, lines/2))
}

// lines is the board in so many columns and, as far as there is room, lines: ports
// that have to be reached come first.
func (b *board) lines(columns, most int) []string {
	const frame = 4 // a line above, the title, what is hidden, who is waited for
	var must, may [][3]string
	b.who.Ports(func(p *listener.Attended) {
		row := [3]string{fmt.Sprintf("%d/%s", p.Port, p.Transport), roleWords(p), ""}
		row[2] = reachedWords(p, columns-15-min(columns/2, len(row[1])))
		if len(p.Must) > 0 {
			must = append(must, row)
		} else {
			may = append(may, row)
		}
	})
	ports := append(must, may...)
	hidden := 0
	if n := max(1, most-frame); len(ports) > n {
		ports, hidden = ports[:n], len(ports)-n
	}
	names := 0
	for _, p := range ports {
		names = max(names, len(p[1]))
	}
	names = min(names, columns/2)
	out := []string{"", "Port, who has to reach it (in brackets: may not be needed), and who has:"}
	for _, p := range ports {
		out = append(out, cli.Cut(fmt.Sprintf("  %-9s  %-*s  %s", p[0], names, cli.Cut(p[1], names), p[2]), columns))
	}
	if hidden > 0 {
		out = append(out, fmt.Sprintf("  and %d ports more", hidden))
	}
	return append(out, b.waiting())
}

// reachedWords say who reached a port, in about so many columns: where they are many,
// the newest and how many.
func reachedWords(p *listener.Attended, room int) string {
	if len(p.Reached) == 0 {
		return "nobody yet"
	}
	var list []string
	for _, a := range p.Reached {
		list = append(list, a.String())
	}
	who, lacks := strings.Join(list, ", "), ""
	if missing := p.Missing(); len(missing) > 0 {
		lacks = "; no " + strings.Join(machineNames(missing), ", no ")
	}
	if n := len(list); len(who)+len(lacks) > max(20, room) && n > 1 { // the count says more than a cut list
		who = fmt.Sprintf("%s and %d more", list[n-1], n-1)
		if p.More {
			who = fmt.Sprintf("%s and more than %d others", list[n-1], n-1)
		}
		if lacks != "" && len(who)+len(lacks) > max(20, room) { // what is missing says more than who came last
			who = fmt.Sprintf("%d came", n)
		}
	}
	return who + lacks
}

func machineNames(roles []plan.Role) (out []string) {
	for _, r := range roles {
		out = append(out, report.MachineName(string(r)))
	}
	return out
}

// roleWords are those that open connections to a port, in brackets where they may not
// need to.
func roleWords(p *listener.Attended) string {
	out := machineNames(p.Must)
	for _, r := range machineNames(p.May) {
		out = append(out, "("+r+")")
	}
	return strings.Join(out, ", ")
}

// waiting says who has to come, and has not.
func (b *board) waiting() string {
	switch left, of := b.who.Waiting(); {
	case len(left) > 0:
		return "still waiting for: " + strings.Join(machineNames(left), ", ")
	case of == 0:
		return "nobody has to come by the plan"
	}
	return "all have come that have to by the plan"
}

// watch shows a board on the terminal that listen runs on, if it does, and what else
// it says above it.
func (s *serving) watch(journal *listener.Journal) {
	if journal.JSON {
		return
	}
	block := cli.NewBlock(s.screen)
	if block == nil {
		return
	}
	if cli.Terminal(s.errs) != nil {
		s.errs, journal.Err = block, block
	}
	s.words, journal.Out = block, block
	s.board = &board{block: block, who: s.who}
}

// begin shows the board, once listen answers. A nil board shows nothing.
func (b *board) begin() {
	if b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.begun = true
		b.show()
	}
}

// flush has all shown that was said.
func (b *board) flush() {
	if b != nil {
		b.block.Flush()
	}
}

// end takes the board away.
func (b *board) end() {
	if b != nil {
		b.block.Close()
	}
}
