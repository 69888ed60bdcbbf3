package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"dialtone/internal/cli"
	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/report"
)

// A board shows on a terminal who has reached which port with the key, beside who
// has to by the plan, below the lines that tell of each contact.
type board struct {
	block *cli.Block
	plan  *plan.Plan

	mu    sync.Mutex
	ports []*boardPort
	wait  []plan.Role // that have to come, in the plan's order
	came  map[plan.Role]bool
	begun bool
}

// A boardPort is a port that somebody is to reach who can run dial.
type boardPort struct {
	transport plan.Transport
	port      int
	must, may []plan.Role  // that open connections to it: where one has to work, and where it may not be needed
	reached   []netip.Addr // maxReached at most
	more      bool         // others did, too
}

// maxReached bounds the addresses that a board has of one port: it has room for few,
// and each is looked for at every contact.
const maxReached = 32

// newBoard makes a board of the rows that are to be reached here.
func (s *serving) newBoard(block *cli.Block) *board {
	b := &board{block: block, plan: s.Plan, came: map[plan.Role]bool{}}
	must := map[plan.Role]bool{}
	here := s.roles
	if len(here) == 0 { // one machine usually has them all
		here = []plan.Role{plan.RoleServer, plan.RoleWeb, plan.RoleDatabase}
	}
	for _, r := range s.Plan.Rows {
		if r.Expect != plan.ExpectOpen || r.Port == 0 || !s.plays(r.To) || s.Plan.IsExternal(r.To) && !slices.Contains(s.roles, r.To) {
			continue
		}
		for _, from := range dialers(r) {
			if s.Plan.IsExternal(from) || r.Need != plan.Required && slices.Contains(here, from) {
				continue // nobody can run dial there, or it is this very machine
			}
			p := b.portOf(r.Transport, r.Port)
			if p == nil {
				p = &boardPort{transport: r.Transport, port: r.Port}
				b.ports = append(b.ports, p)
			}
			if r.Need == plan.Required {
				p.must, must[from] = addOnce(p.must, from), true
			} else {
				p.may = addOnce(p.may, from)
			}
		}
	}
	slices.SortFunc(b.ports, func(a, c *boardPort) int {
		return cmp.Or(cmp.Compare(a.transport, c.transport), cmp.Compare(a.port, c.port))
	})
	for _, r := range s.Plan.RoleNames() {
		if must[r] {
			b.wait = append(b.wait, r)
		}
	}
	return b
}

// dialers are the roles of who connects here for a row. What is a partner to this
// server, it itself is to the partner.
func dialers(r plan.Row) []plan.Role {
	if r.To == plan.RolePeer {
		return []plan.Role{plan.RolePeer}
	}
	return r.From
}

func addOnce[E comparable](s []E, e E) []E {
	if slices.Contains(s, e) {
		return s
	}
	return append(s, e)
}

func (b *board) portOf(t plan.Transport, port int) *boardPort {
	i := slices.IndexFunc(b.ports, func(p *boardPort) bool { return p.transport == t && p.port == port })
	if i < 0 {
		return nil
	}
	return b.ports[i]
}

// contact takes in who came.
func (b *board) contact(c listener.Event) {
	if b == nil || c.Kind != echo.KindAsked && c.Kind != echo.KindProved {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	changed := false
	if p := b.portOf(c.Peer.Transport, int(c.Peer.Local.Port())); p != nil {
		changed = p.add(c.Peer.Remote.Addr().Unmap())
	}
	for _, r := range b.plan.Rows {
		if r.ID == c.Peer.Flow {
			for _, from := range dialers(r) {
				changed = changed || !b.came[from]
				b.came[from] = true
			}
		}
	}
	if changed { // who waits to be answered does not wait for more than that
		b.show()
	}
}

// add adds who reached a port, and reports whether that changes what is shown.
func (p *boardPort) add(a netip.Addr) bool {
	switch {
	case p.more || slices.Contains(p.reached, a):
		return false
	case len(p.reached) == maxReached:
		p.more = true
	default:
		p.reached = append(p.reached, a)
	}
	return true
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
	ports := slices.Clone(b.ports)
	slices.SortStableFunc(ports, func(a, c *boardPort) int { return cmp.Compare(min(1, len(c.must)), min(1, len(a.must))) })
	hidden := 0
	if n := max(1, most-frame); len(ports) > n {
		ports, hidden = ports[:n], len(ports)-n
	}
	names := 0
	for _, p := range ports {
		names = max(names, len(p.roles()))
	}
	names = min(names, columns/2)
	out := []string{"", "Port, who has to reach it (in brackets: may not be needed), and who has:"}
	for _, p := range ports {
		who := "nobody yet"
		if len(p.reached) > 0 {
			var list []string
			for _, a := range p.reached {
				list = append(list, a.String())
			}
			who = strings.Join(list, ", ")
			if n := len(list); len(who) > max(20, columns-15-names) { // the count says more than a cut list
				who = fmt.Sprintf("%s and %d more", list[n-1], n-1)
				if p.more {
					who = fmt.Sprintf("%s and more than %d others", list[n-1], n-1)
				}
			}
		}
		out = append(out, cli.Cut(fmt.Sprintf("  %-9s  %-*s  %s", fmt.Sprintf("%d/%s", p.port, p.transport), names, cli.Cut(p.roles(), names), who), columns))
	}
	if hidden > 0 {
		out = append(out, fmt.Sprintf("  and %d ports more", hidden))
	}
	return append(out, b.waiting())
}

// roles are those that open connections to a port, in brackets where they may not
// need to.
func (p *boardPort) roles() string {
	var out []string
	for _, r := range p.must {
		out = append(out, report.MachineName(string(r)))
	}
	for _, r := range p.may {
		if !slices.Contains(p.must, r) {
			out = append(out, "("+report.MachineName(string(r))+")")
		}
	}
	return strings.Join(out, ", ")
}

// waiting says who has to come, and has not.
func (b *board) waiting() string {
	var left []string
	for _, r := range b.wait {
		if !b.came[r] {
			left = append(left, report.MachineName(string(r)))
		}
	}
	switch {
	case len(left) > 0:
		return "still waiting for: " + strings.Join(left, ", ")
	case len(b.wait) == 0:
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
	s.board = s.newBoard(block)
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
