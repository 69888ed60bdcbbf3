package report

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/request"
	"dialtone/internal/result"
)

var matrixPage = htmlTemplate("matrix.html")

// MatrixPage is a matrix as a page.
func MatrixPage(m *result.Matrix) ([]byte, error) { return renderMatrixHTML(m, Options{}) }

// renderMatrixHTML makes a page of a matrix.
func renderMatrixHTML(m *result.Matrix, o Options) ([]byte, error) {
	s := sheet{
		Kind: "Path matrix", Title: fmt.Sprintf("Path matrix of %d %s", len(m.Rows), one(len(m.Rows), "report", "reports")),
		Class: classes[markOK.word], Answer: matrixAnswer(m), Limits: matrixLimits, Tool: m.Tool, Next: matrixNext(m),
	}
	for i := range m.Rows {
		if mark := rowMark(&m.Rows[i]); mark.word != markOK.word && s.Class != classes[markBroken.word] {
			s.Class = classes[mark.word]
		}
	}
	if len(m.Rows) == 0 {
		s.Class = classes[markBroken.word]
	}
	b := newMatrixBody(m, o.Ask.Asker)
	var err error
	if b.Letter, err = letterOf(request.Of(o.Ask, m.Whole...), func(o Options) ([]byte, error) { return renderMatrixRequests(m, o) }, o); err != nil {
		return nil, err
	}
	s.Body = b
	return renderHTML(matrixPage, s)
}

// A matrixBody is what a page has of a matrix beside its frame.
type matrixBody struct {
	Causes   []causes
	Letter   asIs // to a firewall's people; "": there is nothing to ask for
	Findings []told
	Heads    []htmlHead
	Upright  bool // the columns are too many for their names to lie
	Several  bool // more than one host was dialed
	Rows     []htmlRow
	Fine     int // rows that are as they should be
	Broken   int
	Words    []labelledTexts
}

// An htmlHead is the head of a column, and how many of it count and do not work.
type htmlHead struct {
	Name   string
	Broken int
}

// A told is a finding, and of which machines.
type told struct{ Names, Text, Advice string }

// causes are the requests under one title.
type causes struct {
	Title string
	Items []htmlCause
}

// An htmlCause is a request, and the machines that need it.
type htmlCause struct {
	Number             int
	Headline           string
	What, Also, Seen   string
	Names, From, Log   []string
	Label              string // what From is called
	Many, ManyLogLines bool
	Copy               asIs
}

// manyNames is how many names, or lines, a page folds away.
const manyNames = 8

// An htmlRow is a row of the matrix.
type htmlRow struct {
	Class, Mark       string
	Name, Address, To string
	Cells             []htmlCell
}

// An htmlCell is a path in a row; the zero value where the row has none.
type htmlCell struct{ Class, Text string }

// newMatrixBody gathers what the page shows: rows that are not as they should be
// first.
func newMatrixBody(m *result.Matrix, asker request.Asker) matrixBody {
	t := &matrixText{Matrix: m, asker: asker}
	b := matrixBody{Findings: toldOfMachines(t), Words: labelled(matrixWords(m)), Upright: len(m.Columns) > 6}
	for n, c := range m.Columns {
		h := htmlHead{Name: t.columnName(c)}
		for _, r := range m.Rows {
			if n < len(r.Cells) && r.Cells[n] != nil && matrixCell(r.Cells[n], false).s == markBroken.word {
				h.Broken++
			}
		}
		b.Heads = append(b.Heads, h)
	}
	hosts := map[string]bool{}
	for _, r := range m.Rows {
		hosts[r.To] = true
	}
	b.Several = len(hosts) > 1
	for i := range m.Rows {
		r := &m.Rows[i]
		row := htmlRow{Class: classes[markOK.word], Mark: markOK.word, Name: r.Name, Address: addressWords(r.Addresses), To: r.To}
		if b.Fine++; !r.OK {
			row.Mark = rowMark(r).word
			row.Class = classes[row.Mark]
			b.Fine, b.Broken = b.Fine-1, b.Broken+1
		}
		for _, c := range r.Cells {
			cell := htmlCell{}
			if c != nil {
				cell.Text = matrixCell(c, true).s
				cell.Class = classes[matrixCell(c, false).s]
			}
			row.Cells = append(row.Cells, cell)
		}
		b.Rows = append(b.Rows, row)
	}
	order := []string{markBroken.word, markUnknown.word, markOK.word}
	slices.SortStableFunc(b.Rows, func(x, y htmlRow) int { return slices.Index(order, x.Mark) - slices.Index(order, y.Mark) })
	n := 0
	for part, title := range requestParts {
		c := causes{Title: title}
		for _, all := range t.alikeRequests(result.RequestPart(part)) {
			n++
			c.Items = append(c.Items, newCause(t, n, all))
		}
		if len(c.Items) > 0 {
			b.Causes = append(b.Causes, c)
		}
	}
	return b
}

// toldOfMachines are the findings, those that are alike as one.
func toldOfMachines(t *matrixText) []told {
	var out []told
	for _, g := range t.alikeFindings() {
		f := told{Text: g.text, Advice: g.advice, Names: strings.Join(g.names, ", ")}
		if !g.isSame && len(g.names) > 1 {
			f.Names += " (each with its own addresses)"
		}
		out = append(out, f)
	}
	return out
}

// newCause makes one request of those that are alike.
func newCause(t *matrixText, number int, all []*result.Request) htmlCause {
	q := all[0]
	names, also, logs, subnets := t.gather(all)
	h := htmlCause{Number: number, What: q.Advice, Names: names, Log: logs, Label: "From"}
	for _, s := range subnets {
		h.From = append(h.From, fmt.Sprintf("%s (in %s)", strings.Join(s.Addresses, ", "), s.Prefix))
	}
	if q.Direction == plan.Reverse {
		h.Label = "Towards"
	}
	joined := *q
	joined.Rows, joined.Subnets = nil, subnets
	for _, q := range all {
		joined.Rows = append(joined.Rows, q.Rows...)
	}
	p := result.Path{Port: q.Port, Transport: q.Transport}
	h.Headline = fmt.Sprintf("%s: %s, %s %s", whose(t.Matrix, &joined), strings.Join(q.Flows, ", "), port(&p), outcomeOf(t.Matrix, q))
	h.Many, h.ManyLogLines = len(h.Names) > manyNames, len(h.Log) > manyNames
	var fields [][2]string
	if len(also) > 0 {
		h.Also = "the same at " + strings.Join(also, ", ")
		fields = append(fields, [2]string{"Also", h.Also})
	}
	fields = append(fields, [2]string{"For", fmt.Sprintf("%s of %d: %s", strings.Join(q.Flows, ", "), len(h.Names), strings.Join(h.Names, ", "))})
	for _, s := range h.From {
		fields = append(fields, [2]string{h.Label, s})
	}
	if h.Seen = t.seen(q); h.Seen != "" {
		fields = append(fields, [2]string{"Seen", h.Seen})
	}
	for _, s := range h.Log {
		fields = append(fields, [2]string{"Log", s})
	}
	if s := askerWords(t.asker); s != "" && !q.Ends {
		fields = append(fields, [2]string{"Asked by", s})
	}
	h.Copy = copied(q.Advice, fields)
	return h
}

// outcomeOf is the verdict of those who need a request.
func outcomeOf(m *result.Matrix, q *result.Request) string {
	var out []string
	for _, r := range m.Rows {
		for _, c := range r.Cells {
			if c != nil && c.Request == q.Number {
				out = addOnce(out, string(c.Verdict))
			}
		}
	}
	return cmp.Or(strings.Join(out, " or "), string(q.Code))
}

// whose says which rows need a request: all, all of a network, or how many of each.
func whose(m *result.Matrix, q *result.Request) string {
	needs := map[int]bool{}
	for _, n := range q.Rows {
		if n >= 0 && n < len(m.Rows) {
			needs[n] = true
		}
	}
	if len(needs) == len(m.Rows) {
		return fmt.Sprintf("All %d", len(needs))
	}
	if len(needs) == 1 {
		for n := range needs {
			return m.Rows[n].Name
		}
	}
	var own []netip.Addr
	for n := range m.Rows {
		if needs[n] {
			own = append(own, addressOf(m.Rows[n]))
		}
	}
	for _, p := range networksOf(own) {
		if len(within(m, p)) == len(needs) {
			return fmt.Sprintf("All %d in %s", len(needs), p)
		}
	}
	var parts []string
	known := 0
	for _, s := range q.Subnets {
		p, err := netip.ParsePrefix(s.Prefix)
		if err != nil {
			continue
		}
		all, those := within(m, p), 0
		for _, n := range all {
			if needs[n] {
				those++
			}
		}
		known += those
		switch {
		case those == 0, len(all) == len(m.Rows): // a NAT gives it another address than its own; or it tells nothing
		case those == len(all):
			parts = append(parts, fmt.Sprintf("all %d in %s", those, p))
		default:
			parts = append(parts, fmt.Sprintf("%d of %d in %s", those, len(all), p))
		}
	}
	if len(parts) == 0 || len(parts) > 3 || known != len(needs) {
		return fmt.Sprintf("%d of %d", len(needs), len(m.Rows))
	}
	return fmt.Sprintf("%d of %d (%s)", len(needs), len(m.Rows), strings.Join(parts, ", "))
}

// addressOf is the first address of the machine of a row; invalid: none is known.
func addressOf(r result.MatrixRow) netip.Addr {
	if len(r.Addresses) == 0 {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(r.Addresses[0])
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// within are the rows whose machine has its address in p.
func within(m *result.Matrix, p netip.Prefix) []int {
	var out []int
	for n, r := range m.Rows {
		if p.Contains(addressOf(r)) {
			out = append(out, n)
		}
	}
	return out
}

// networksOf are networks that have all addresses in them, the one that people would
// name first.
func networksOf(addresses []netip.Addr) []netip.Prefix {
	p := covering(addresses)
	if !p.IsValid() || p.Bits() == 0 {
		return nil
	}
	usual := 24
	if p.Addr().Is6() {
		usual = 64
	}
	if p.Bits() <= usual {
		return []netip.Prefix{p}
	}
	return []netip.Prefix{netip.PrefixFrom(p.Addr(), usual).Masked(), p}
}

// covering is the smallest network that has all addresses in it; invalid if one is not
// known, or they are of two families.
func covering(addresses []netip.Addr) netip.Prefix {
	var p netip.Prefix
	for i, a := range addresses {
		switch {
		case !a.IsValid() || i > 0 && a.BitLen() != p.Addr().BitLen():
			return netip.Prefix{}
		case i == 0:
			p = netip.PrefixFrom(a, a.BitLen())
		}
		for !p.Contains(a) {
			p = netip.PrefixFrom(p.Addr(), p.Bits()-1)
		}
	}
	return p.Masked()
}

// matrixNext is what to do, from the first thing on.
func matrixNext(m *result.Matrix) []todo {
	var out []todo
	t := &matrixText{Matrix: m}
	needed, others := len(t.alikeRequests(result.AskedFor)), len(t.alikeRequests(result.AskedToo))
	var names, own []string
	for n := range needed + others {
		names = append(names, strconv.Itoa(n+1))
	}
	if needed > 0 {
		out = append(out, todo{sendWords(names[:needed], names[needed:], "the firewall team", "the firewall team"), "#request-1"})
	}
	if n := len(t.alikeRequests(result.DoneByEnds)); n > 0 {
		first := needed + others + 1
		for i := range n {
			own = append(own, strconv.Itoa(first+i))
		}
		out = append(out, todo{"Do at the two ends what " + list(own) + one(n, " says.", " say."), "#request-" + own[0]})
	}
	if n := len(t.alikeFindings()); n > 0 {
		out = append(out, todo{fmt.Sprintf("Read what is noted of single machines: %d %s.", n, one(n, "point", "points")), "#noted"})
	}
	switch {
	case len(m.Rows) == 0:
	case slices.ContainsFunc(m.Rows, func(r result.MatrixRow) bool { return !r.OK }):
		out = append(out, todo{"Then run the same test again on the machines that are not as they should be.", "#matrix"})
	case len(out) == 0:
		out = append(out, todo{nothingToAsk, ""})
	}
	return out
}
