package report

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"dialtone/internal/plan"
	"dialtone/internal/request"
	"dialtone/internal/result"
)

// fewRows is how many machines a matrix shows one by one where it is not to tell
// all; more of them are gathered by what is wrong with them.
const fewRows = 12

// fewNames is how many machines are named that need the same thing.
const fewNames = 12

// renderMatrixText writes a matrix for people: the answer, what to do, and who is
// not well; at the end the answer again.
func renderMatrixText(m *result.Matrix, o Options) ([]byte, error) {
	t := matrixText{Matrix: m, page: newPage(o), verbose: o.Verbose, asker: o.Ask.Asker}
	st := good
	if len(t.Rows) == 0 || slices.ContainsFunc(t.Rows, func(r result.MatrixRow) bool { return !r.OK }) {
		st = bad
	}
	t.hang("", matrixAnswer(m), 0, st)
	t.blank()
	t.findings()
	t.requests()
	t.title(fmt.Sprintf("Path matrix of %d %s", len(t.Rows), one(len(t.Rows), "report", "reports")))
	t.blank()
	if t.verbose || len(t.Rows) <= fewRows {
		t.table()
	} else {
		t.gathered()
	}
	t.legend()
	t.hang("", matrixLimits, 0, plain)
	t.blank()
	t.hang("", matrixAnswer(m), 0, st)
	return []byte(t.b.String()), nil
}

// A matrixText is a matrix on its way to a page.
type matrixText struct {
	*result.Matrix
	*page
	verbose bool // with every machine, and each of its requests
	asker   request.Asker
}

// findings writes what is said of single machines, or of all; what differs by
// addresses alone is said once.
func (t *matrixText) findings() {
	for _, g := range t.alikeFindings() {
		text := g.text
		if g.isSame {
			text = t.few(g.names) + ": " + text
		} else if len(g.names) > 0 {
			text = g.names[0] + ": " + text
		}
		t.hang("  !  ", t.once(text, "above"), 0, bad)
		if g.advice != "" {
			t.hang("     ", t.once(g.advice, "above"), 0, plain)
		}
		if rest := g.names; !g.isSame && len(rest) > 1 {
			t.hang("     ", fmt.Sprintf("It is the same, each with its own addresses, with %d more: %s.", len(rest)-1, t.few(rest[1:])), 0, plain)
		}
		t.blank()
	}
}

// few names machines, or as many of them as there is room for.
func (t *matrixText) few(names []string) string {
	n := len(names) - fewNames
	if n <= 1 || t.verbose {
		return list(names)
	}
	return strings.Join(names[:fewNames], ", ") + fmt.Sprintf(" and %d more", n)
}

// A toldOf is a finding and the machines of which it is told.
type toldOf struct {
	text, advice string
	names        []string // none: it is about none by name
	isSame       bool     // word by word the same of several
}

// anAddress is an address in a text.
var anAddress = regexp.MustCompile(`\b\d+\.\d+\.\d+\.\d+\b|\b[0-9a-f]{1,4}(:[0-9a-f]{0,4}){2,}`)

// alikeFindings gathers the findings that differ by the machine's name, or by that
// and by addresses.
func (t *matrixText) alikeFindings() []toldOf {
	var out []toldOf
	index := map[string]int{}
	for _, f := range t.Findings {
		name := ""
		for _, r := range t.Rows {
			if r.Name != "" && len(r.Name) > len(name) && strings.HasPrefix(f.Text, r.Name+": ") {
				name = r.Name
			}
		}
		text := strings.TrimPrefix(f.Text, name+": ")
		if name == "" || t.verbose {
			out = append(out, toldOf{text: f.Text, advice: f.Advice})
			continue
		}
		k := string(f.Code) + "\n" + anAddress.ReplaceAllString(text+"\n"+f.Advice, "ADDRESS")
		n, ok := index[k]
		if !ok {
			n = len(out)
			index[k] = n
			out = append(out, toldOf{text: text, advice: f.Advice, isSame: true})
		}
		g := &out[n]
		g.names = addOnce(g.names, name)
		g.isSame = g.isSame && g.text == text && g.advice == f.Advice
	}
	return out
}

// gathered counts the machines that are well, and names the others by what is wrong.
func (t *matrixText) gathered() {
	type group struct {
		mark  mark
		what  string
		names []string
	}
	var groups []group
	names := rowNames(t.Matrix)
	well := 0
	for i := range t.Rows {
		r := &t.Rows[i]
		if r.OK {
			well++
			continue
		}
		what := cmp.Or(t.wrong(r), "no required path was tested")
		n := slices.IndexFunc(groups, func(g group) bool { return g.what == what })
		if n < 0 {
			n = len(groups)
			groups = append(groups, group{rowMark(r), what, nil})
		}
		groups[n].names = append(groups[n].names, names[i])
	}
	lead := func(m mark, n int) (string, int) {
		const digits = 4
		return "  " + t.paint(text.Pad(m.word, len("ok"), ' '), m.style) + fmt.Sprintf("  %*d  ", digits, n), 2 + len("ok") + 2 + digits + 2
	}
	if well > 0 {
		s, columns := lead(markOK, well)
		t.hangAt(s, columns, "as they should be: every required path works", plain)
	}
	for _, g := range groups {
		s, columns := lead(g.mark, len(g.names))
		t.hangAt(s, columns, g.what+": "+strings.Join(g.names, ", "), plain)
	}
	t.hang("", "--verbose shows them one by one.", 2, faint)
	t.blank()
}

// wrong is what is not ok in a row, what counts first.
func (t *matrixText) wrong(r *result.MatrixRow) string {
	var counted, other []string
	for n, c := range r.Cells {
		switch {
		case c == nil || c.OK || n >= len(t.Columns):
		case c.Counted:
			counted = append(counted, t.columnName(t.Columns[n])+" "+string(c.Verdict))
		default:
			other = append(other, "("+t.columnName(t.Columns[n])+" "+string(c.Verdict)+")")
		}
	}
	return strings.Join(append(counted, other...), ", ")
}

// columnName names a column: the flow, and what tells it from others of the
// same flow.
func (t *matrixText) columnName(c result.MatrixColumn) string {
	var ways, families, ports bool
	for _, o := range t.Columns {
		if o.Flow == c.Flow {
			ways = ways || o.Direction != c.Direction
			families = families || o.Family != c.Family
			ports = ports || o.Port != c.Port
		}
	}
	s := c.Flow
	if ports && c.Port != 0 {
		s += " " + strconv.Itoa(c.Port)
	}
	if families {
		s += " " + familyName(c.Family)
	}
	if ways || c.Direction == plan.Reverse {
		s += map[plan.Direction]string{plan.Forward: " out", plan.Reverse: " back"}[c.Direction]
	}
	return s
}

// table writes the rows with every verdict, or where that is too wide with a
// number for each column and only the marks in the cells.
func (t *matrixText) table() {
	if len(t.Rows) == 0 || len(t.Columns) == 0 {
		return
	}
	if lines := t.grid(t.cells(true)); t.fits(lines) {
		t.lines(lines)
		t.blank()
		return
	}
	lines := t.grid(t.cells(false))
	if !t.fits(lines) {
		t.rowByRow()
		return
	}
	var names [][2]string
	for n, c := range t.Columns {
		names = append(names, [2]string{strconv.Itoa(n + 1), t.columnName(c)})
	}
	t.fields(2, names)
	t.blank()
	for n, line := range lines {
		t.lines([]string{line})
		if n > 0 {
			if s := t.broken(&t.Rows[n-1]); s != "" {
				t.hang("", s, 6, faint)
			}
		}
	}
	t.blank()
}

// rowByRow writes each machine as a text, where no table fits.
func (t *matrixText) rowByRow() {
	for i := range t.Rows {
		r := &t.Rows[i]
		m, what := rowMark(r), "every path works"
		if s := t.wrong(r); s != "" {
			what = s
		}
		s := cmp.Or(r.Name, "-") + " (" + addressWords(r.Addresses) + ")"
		if r.To != "" {
			s += " to " + r.To
		}
		t.hangAt("  "+t.paint(text.Pad(m.word, len("ok"), ' '), m.style)+"  ", 2+len("ok")+2, s+": "+what, plain)
	}
	t.blank()
}

// cells is the matrix as a grid, after a row of headers.
func (t *matrixText) cells(wide bool) [][]cell {
	head := []cell{{"", faint}, {"who", faint}, {"address", faint}}
	hosts := map[string]bool{}
	for _, r := range t.Rows {
		hosts[r.To] = true
	}
	if len(hosts) > 1 {
		head = append(head, cell{"to", faint})
	}
	for n, c := range t.Columns {
		s := strconv.Itoa(n + 1)
		if wide {
			s = t.columnName(c)
		}
		head = append(head, cell{s, faint})
	}
	out := [][]cell{head}
	for i := range t.Rows {
		r := &t.Rows[i]
		m := rowMark(r)
		row := []cell{{m.word, m.style}, {r.Name, strong}, {addressWords(r.Addresses), plain}}
		if len(hosts) > 1 {
			row = append(row, cell{r.To, plain})
		}
		for _, c := range r.Cells {
			row = append(row, matrixCell(c, wide))
		}
		out = append(out, row)
	}
	return out
}

// rowMark says whether a row is as it should be: the worst of what counts of it.
func rowMark(r *result.MatrixRow) mark {
	if r.OK {
		return markOK
	}
	known := func(m mark) bool {
		return slices.ContainsFunc(r.Cells, func(c *result.MatrixCell) bool { return c != nil && matrixCell(c, false).s == m.word })
	}
	if known(markUnknown) && !known(markBroken) {
		return markUnknown
	}
	return markBroken
}

// addressWords is the first address, and how many more there are.
func addressWords(list []string) string {
	switch len(list) {
	case 0:
		return "-"
	case 1:
		return list[0]
	}
	return fmt.Sprintf("%s +%d", list[0], len(list)-1)
}

func matrixCell(c *result.MatrixCell, wide bool) cell {
	if c == nil {
		return cell{"", faint}
	}
	m := markOf(&result.Path{OK: c.OK, Counted: c.Counted, Verdict: c.Verdict, Finding: &result.Finding{Code: c.Code}})
	switch {
	case !wide:
		return cell{m.word, m.style}
	case c.Counted:
		return cell{string(c.Verdict), m.style}
	}
	return cell{"(" + string(c.Verdict) + ")", m.style}
}

// broken lists what is not ok in a row, by column.
func (t *matrixText) broken(r *result.MatrixRow) string {
	var out []string
	for n, c := range r.Cells {
		if c != nil && !c.OK {
			out = append(out, fmt.Sprintf("%d %s", n+1, matrixCell(c, true).s))
		}
	}
	return strings.Join(out, ", ")
}

// legend explains the verdicts that the table has.
func (t *matrixText) legend() {
	words := matrixWords(t.Matrix)
	if len(words) == 0 {
		return
	}
	t.title("What the words mean")
	t.blank()
	t.fields(2, words)
	t.blank()
}

// matrixWords are the verdicts that a matrix has, and what they mean.
func matrixWords(m *result.Matrix) [][2]string {
	var words [][2]string
	uncounted, unknown := false, false
	for _, v := range result.Verdicts {
		if m.Summary.Verdicts[v] > 0 {
			words = append(words, [2]string{string(v), v.Row().Means})
		}
	}
	for _, r := range m.Rows {
		uncounted = uncounted || slices.ContainsFunc(r.Cells, func(c *result.MatrixCell) bool { return c != nil && !c.Counted })
		unknown = unknown || slices.ContainsFunc(r.Cells, func(c *result.MatrixCell) bool { return c != nil && matrixCell(c, false).s == markUnknown.word })
	}
	if unknown {
		words = append(words, [2]string{markUnknown.word, markUnknown.meaning})
	}
	if uncounted {
		words = append(words, [2]string{"(verdict)", "in brackets: does not count towards the result"})
	}
	return words
}

// requests lists what to ask for, once for all machines that need it: first
// what is needed, then the rest, then what no firewall's people are asked. What is asked for at several targets alike is one
// item.
func (t *matrixText) requests() {
	n := 0
	for part, title := range requestParts {
		alike := t.alikeRequests(result.RequestPart(part))
		if len(alike) > 0 {
			t.title(title)
			t.blank()
		}
		for _, all := range alike {
			n++
			t.request(n, all)
		}
	}
}

// requestParts are the titles of the parts of the requests.
var requestParts = [result.RequestParts]string{
	result.AskedFor:   "What to ask for",
	result.AskedToo:   "Only if these are needed too",
	result.DoneByEnds: "What to do at the two ends",
}

// alikeRequests gathers the requests that differ by the far end's address alone.
func (t *matrixText) alikeRequests(part result.RequestPart) [][]*result.Request {
	var all []*result.Request
	for i := range t.Requests {
		if q := &t.Requests[i]; q.Part() == part {
			all = append(all, q)
		}
	}
	if t.verbose {
		return slices.Collect(slices.Chunk(all, 1))
	}
	return grouped(all, func(q *result.Request) string {
		words := q.Advice
		for _, s := range t.targets(q) {
			words = replaceWhole(words, s, "TARGET")
		}
		return fmt.Sprint(q.Code, q.Port, q.Transport, q.Direction, q.Flows, words)
	})
}

// itemised is a matrix whose requests have the numbers of the items that they are part
// of on every page: programs name them as people do.
func itemised(m *result.Matrix) *result.Matrix {
	out := *m
	out.Requests = slices.Clone(m.Requests)
	t := &matrixText{Matrix: &out}
	n := 0
	for part := range result.RequestParts {
		for _, all := range t.alikeRequests(part) {
			n++
			for _, q := range all {
				q.Item = n
			}
		}
	}
	return &out
}

// MatrixJSON is a matrix for programs.
func MatrixJSON(m *result.Matrix) ([]byte, error) { return result.Encode(itemised(m)) }

// MatrixCSV is a matrix for a spreadsheet.
func MatrixCSV(m *result.Matrix) ([]byte, error) { return renderMatrixCSV(m, Options{}) }

// MatrixRequests is what to ask for by a matrix.
func MatrixRequests(m *result.Matrix) ([]byte, error) { return renderMatrixRequests(m, Options{}) }

// targets are the names and addresses of the other ends of a request.
func (t *matrixText) targets(q *result.Request) []string {
	var out []string
	for _, e := range q.Log {
		at := e.Target
		if q.Direction == plan.Reverse {
			at = e.Source
		}
		if at.IsValid() {
			out = addOnce(out, at.Addr().String())
		}
	}
	for _, n := range q.Rows {
		if n >= 0 && n < len(t.Rows) && t.Rows[n].To != "" {
			out = addOnce(out, t.Rows[n].To)
		}
	}
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // 10.0.0.12 before 10.0.0.1
	return out
}

// request writes requests that are alike as one.
func (t *matrixText) request(number int, all []*result.Request) {
	q := all[0]
	where := fmt.Sprintf("in %d", number)
	lead := fmt.Sprintf("%3d. ", number)
	t.hang(lead, t.anew(q.Advice, where), 0, strong)
	names, also, logs, subnets := t.gather(all)
	var fields [][2]string
	if len(also) > 0 {
		fields = append(fields, [2]string{"Also", "the same at " + t.few(also)})
	}
	fields = append(fields, [2]string{"For", fmt.Sprintf("%s of %d: %s", strings.Join(q.Flows, ", "), len(names), t.few(names))})
	label := "From"
	if q.Direction == plan.Reverse {
		label = "Towards"
	}
	for _, s := range subnets {
		fields = append(fields, [2]string{label, fmt.Sprintf("%s (in %s)", t.few(s.Addresses), s.Prefix)})
		label = ""
	}
	if s := t.seen(q); s != "" {
		fields = append(fields, [2]string{"Seen", s})
	}
	label = "Log"
	if n := len(logs) - maxItems; n > 1 && !t.verbose {
		logs = append(logs[:maxItems:maxItems], fmt.Sprintf("and %d more, which --verbose lists", n))
	}
	for _, s := range logs {
		fields = append(fields, [2]string{label, s})
		label = ""
	}
	if s := askerWords(t.asker); s != "" && !q.Ends {
		fields = append(fields, [2]string{"Asked by", s})
	}
	t.fields(len(lead), fields)
	t.blank()
}

// seen is what was seen on the first of the paths that need a request; "": the reports
// do not tell.
func (t *matrixText) seen(q *result.Request) string {
	for _, n := range q.Rows {
		if n < 0 || n >= len(t.Whole) {
			continue
		}
		for i := range t.Whole[n].Paths {
			p := &t.Whole[n].Paths[i]
			if p.OK || finding(p).Text == "" || finding(p).Code != q.Code || p.Transport != q.Transport || p.Direction != q.Direction || p.Port != q.Port {
				continue
			}
			if len(q.Rows) > 1 {
				return fmt.Sprintf("by the first of the %d: %s", len(q.Rows), finding(p).Text)
			}
			return finding(p).Text
		}
	}
	return ""
}

// numbered returns the number of the entry of this page that asks for what a path of
// the reports needs; 0: none does.
func (t *matrixText) numbered() func(*result.Path) int {
	type key struct {
		row       int
		code      result.Code
		port      int
		transport plan.Transport
		direction plan.Direction
	}
	type asked struct {
		number int
		*result.Request
	}
	of := map[key][]asked{}
	n := 0
	for part := range result.RequestParts {
		for _, all := range t.alikeRequests(part) {
			n++
			for _, q := range all {
				for _, row := range q.Rows {
					k := key{row, q.Code, q.Port, q.Transport, q.Direction}
					of[k] = append(of[k], asked{n, q})
				}
			}
		}
	}
	rows := map[*result.Path]int{}
	for i, r := range t.Whole {
		for k := range r.Paths {
			rows[&r.Paths[k]] = i
		}
	}
	return func(p *result.Path) int {
		row, ok := rows[p]
		if !ok || p.Finding == nil {
			return 0
		}
		found := 0
		for _, a := range of[key{row, p.Finding.Code, p.Port, p.Transport, p.Direction}] {
			if found == 0 {
				found = a.number
			}
			// Another of that port leads to another host.
			if own := request.LogOf(p); len(own) > 0 && slices.Contains(a.Log, own[0]) {
				return a.number
			}
		}
		return found
	}
}

// gather joins what requests that are alike have: the machines that need them, the
// targets beside the first, lines to search a log for, and networks.
func (t *matrixText) gather(all []*result.Request) (names, also, logs []string, subnets []result.Subnet) {
	called := rowNames(t.Matrix)
	for i, q := range all {
		for _, n := range q.Rows {
			if n >= 0 && n < len(t.Rows) {
				names = addOnce(names, called[n])
			}
		}
		if targets := t.targets(q); i > 0 && len(targets) > 0 {
			also = addOnce(also, targets[0])
		}
		for _, s := range q.Subnets {
			if !slices.ContainsFunc(subnets, func(o result.Subnet) bool { return o.Prefix == s.Prefix && slices.Equal(o.Addresses, s.Addresses) }) {
				subnets = append(subnets, s)
			}
		}
		for _, e := range q.Log {
			if e.Source.IsValid() && e.Target.IsValid() {
				logs = append(logs, logLine(q.Transport, e))
			}
		}
	}
	return names, also, logs, subnets
}

// matrixLimits is what a matrix does not speak for.
const matrixLimits = "This speaks for the machines and times in it, not for other machines of the same networks, and not for the software itself."
