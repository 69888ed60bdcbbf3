package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dialtone/internal/clean"
	"dialtone/internal/result"
)

var listenedPage = htmlTemplate("listened.html")

// renderListenedHTML makes a page of listen's own report.
func renderListenedHTML(r *result.Report, _ Options) ([]byte, error) {
	h := hear(r)
	answer, look := h.answer()
	s := sheet{Kind: "Listening report", Title: "Listening report: " + hostName(r.From), Class: classes[markUnknown.word], Answer: answer, Limits: heardLimits, Tool: r.Tool}
	if len(look) == len(good) && look[0] == good[0] {
		s.Class = classes[markOK.word]
	}
	if len(h.Lacking) > 0 {
		s.Next = append(s.Next, todo{lackingAdvice, "#guests"})
	}
	if len(h.Half) > 0 {
		s.Next = append(s.Next, todo{"Connections arrived that were not completed. " + halfAdvice, "#half"})
	}
	for _, m := range h.Commands {
		s.Next = append(s.Next, todo{fmt.Sprintf("On a %s run: %s (KEY is what listen printed)", m.name, m.command), ""})
	}
	s.Body = heardBody{portsTitle, h.Ports, heardLegend, guestsTitle, h.Guests, h.lists(), labelled(h.Facts)}
	return renderHTML(listenedPage, s)
}

// A heardBody is what a page has of listen's own report beside its frame.
type heardBody struct {
	PortsTitle  string
	Ports       []heardPort
	Legend      string
	GuestsTitle string
	Guests      []labelledTexts
	Lists       []heardList
	Facts       []labelledTexts
}

// renderListenedMarkdown writes listen's own report for a ticket or a wiki.
func renderListenedMarkdown(r *result.Report, _ Options) ([]byte, error) {
	h := hear(r)
	answer, _ := h.answer()
	m := &ticket{}
	m.line("# %s", "Listening report: "+endName(r.From))
	m.line("**%s**", answer)
	if len(h.Ports) > 0 {
		m.line("## %s", portsTitle)
		m.b.WriteString("| | port | service | must be reached by | reached from |\n| --- | --- | --- | --- | --- |\n")
		for _, p := range h.Ports {
			for _, s := range []string{p.Mark, p.Port, p.Service, p.By, p.From} {
				m.b.WriteString("| " + clean.Markdown(s, maxText) + " ")
			}
			m.b.WriteString("|\n")
		}
		m.b.WriteByte('\n')
		m.line("%s", heardLegend)
	}
	if len(h.Lacking) > 0 {
		m.line("%s", lackingAdvice)
	}
	if len(h.Half) > 0 {
		m.line("%s", "Connections arrived that were not completed. "+halfAdvice)
	}
	if len(h.Commands) > 0 {
		m.line("## %s", "Still to be run")
		for _, c := range h.Commands {
			m.b.WriteString("- " + clean.Markdown(c.name, maxText) + ": " + codeSpan(c.command) + "\n")
		}
		m.b.WriteByte('\n')
	}
	var guests []string
	for _, g := range h.Guests {
		guests = append(guests, strings.TrimPrefix(g.Label+": ", ": ")+strings.Join(g.Texts, ". "))
	}
	var facts []string
	for _, f := range h.Facts {
		facts = append(facts, f[0]+": "+f[1])
	}
	for _, l := range slices.Concat([]heardList{{Title: guestsTitle, Texts: guests}}, h.lists(), []heardList{{Title: "This run", Texts: facts}}) {
		if len(l.Texts) > 0 {
			m.line("## %s", l.Title)
			m.list(l.Texts)
		}
	}
	m.line("%s", heardLimits)
	return []byte(strings.TrimRight(m.b.String(), "\n") + "\n"), nil
}

// renderListenedCSV writes listen's own report as RFC 4180 has it: a line for each thing
// that was done at a port, then one for each role that has to reach a port and did not.
func renderListenedCSV(r *result.Report, _ Options) ([]byte, error) {
	rows := [][]string{{"port", "transport", "service", "address", "roles", "key", "what", "count", "first", "last"}}
	if l := r.Listened; l != nil {
		stamp := func(t result.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }
		for _, v := range l.Visitors {
			for _, x := range v.Visits {
				what := x.Kind
				if x.Words != "" {
					what = x.Words
				}
				rows = append(rows, []string{
					strconv.Itoa(x.Port), string(x.Transport), x.Service, v.Address, strings.Join(v.Roles, " "), yesNo(isKeyedAt(v, x.Port, x.Transport)),
					what, strconv.Itoa(x.Count), stamp(x.First), stamp(x.Last),
				})
			}
		}
		for _, e := range l.Expected {
			for _, role := range e.Missing {
				rows = append(rows, []string{strconv.Itoa(e.Port), string(e.Transport), e.Service, "", role, "no", "must reach it, and did not", "0", "", ""})
			}
		}
	}
	return csvOf(rows)
}

// csvOf writes rows whose cells are nobody's formulas.
func csvOf(rows [][]string) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	for _, row := range rows {
		for i := range row {
			row[i] = clean.Cell(row[i], maxText)
		}
		if err := w.Write(row); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return b.Bytes(), w.Error()
}
