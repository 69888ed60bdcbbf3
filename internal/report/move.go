package report

import (
	"fmt"
	"strings"

	"dialtone/internal/clean"
	"dialtone/internal/move"
)

// partyName is a party as a heading has it.
func partyName(p move.Party) string {
	s := p.Name
	if len(p.Addresses) > 0 && (len(p.Addresses) > 1 || p.Addresses[0] != p.Name) {
		s = strings.TrimLeft(s+" ("+strings.Join(p.Addresses, ", ")+")", " ")
	}
	if p.Role == "" {
		return s
	}
	role := MachineName(string(p.Role))
	return strings.ToUpper(role[:1]) + role[1:] + " " + s
}

// changeWords are a change in a sentence.
func changeWords(c move.Change) string {
	s := c.What
	if len(c.Ports) > 0 {
		s += ": " + list(c.Ports)
	}
	return strings.ToUpper(c.Where[:1]) + c.Where[1:] + ". " + s + "."
}

func moveAnswer(s *move.Sheet) string {
	n := len(s.Parties)
	return fmt.Sprintf("When %s becomes %s, %d %s to change something. Each part below can be sent alone.", s.Old[0], s.New, n, one(n, "party has", "parties have"))
}

func renderMoveText(s *move.Sheet, o Options) ([]byte, error) {
	p := newPage(o)
	p.hang("", moveAnswer(s), 0, strong)
	p.blank()
	p.title("At this site")
	p.blank()
	for _, h := range s.Home {
		p.hang("  * ", h+".", 0, plain)
	}
	p.blank()
	for _, x := range s.Parties {
		p.title(partyName(x))
		p.blank()
		for i, c := range x.Changes {
			p.hang(fmt.Sprintf("  %d. ", i+1), changeWords(c), 0, plain)
		}
		p.whole("  Then test: ", x.Test, 0)
		p.blank()
	}
	p.hang("", moveLimits, 0, plain)
	return []byte(p.b.String()), nil
}

// moveLimits is what a move sheet does not know.
const moveLimits = "This is what the reports show to be in use. Whoever was in none of them is not here, and whether the new address works a test alone tells."

func renderMoveMarkdown(s *move.Sheet, _ Options) ([]byte, error) {
	m := &ticket{}
	m.line("# %s", "Move sheet: "+strings.Join(s.Old, ", ")+" becomes "+s.New)
	m.line("**%s**", moveAnswer(s))
	m.line("## %s", "At this site")
	m.list(s.Home)
	for _, x := range s.Parties {
		m.line("## %s", partyName(x))
		for i, c := range x.Changes {
			fmt.Fprintf(&m.b, "%d. %s\n", i+1, clean.Markdown(changeWords(c), maxText))
		}
		m.b.WriteString("\nThen test: " + codeSpan(x.Test) + "\n\n")
	}
	m.line("%s", moveLimits)
	return []byte(strings.TrimRight(m.b.String(), "\n") + "\n"), nil
}

func renderMoveCSV(s *move.Sheet, _ Options) ([]byte, error) {
	rows := [][]string{{"who", "role", "addresses", "where", "old", "new", "ports", "what", "test"}}
	for _, x := range s.Parties {
		for _, c := range x.Changes {
			rows = append(rows, []string{x.Name, string(x.Role), strings.Join(x.Addresses, " "), c.Where, c.Old, c.New, strings.Join(c.Ports, " "), c.What, x.Test})
		}
	}
	return csvOf(rows)
}
