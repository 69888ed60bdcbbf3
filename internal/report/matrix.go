package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// renderMatrixText writes a matrix for people.
func renderMatrixText(m *result.Matrix, o Options) ([]byte, error) {
	t := matrixText{Matrix: m, page: newPage(o)}
	t.head()
	t.table()
	t.legend()
	t.requests()
	t.bottomLine()
	return []byte(t.b.String()), nil
}

// A matrixText is a matrix on its way to a page.
type matrixText struct {
	*result.Matrix
	*page
}

func (t *matrixText) head() {
	t.title(fmt.Sprintf("Path matrix of %d %s", len(t.Rows), one(len(t.Rows), "report", "reports")))
	t.blank()
	for _, f := range t.Findings {
		t.hang("  !  ", f.Text, 0, bad)
		if f.Advice != "" {
			t.hang("     ", f.Advice, 0, plain)
		}
		t.blank()
	}
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
	var names [][2]string
	for n, c := range t.Columns {
		names = append(names, [2]string{strconv.Itoa(n + 1), t.columnName(c)})
	}
	t.fields(2, names)
	t.blank()
	for n, line := range t.grid(t.cells(false)) {
		t.lines([]string{line})
		if n > 0 {
			if s := t.broken(&t.Rows[n-1]); s != "" {
				t.hang("", s, 6, faint)
			}
		}
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
		m := markOK
		if !r.OK {
			m = markBroken
		}
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
	m := markOf(&result.Path{OK: c.OK, Counted: c.Counted, Verdict: c.Verdict})
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
	uncounted := false
	for _, v := range result.Verdicts {
		if m.Summary.Verdicts[v] > 0 {
			words = append(words, [2]string{string(v), v.Row().Means})
		}
	}
	for _, r := range m.Rows {
		uncounted = uncounted || slices.ContainsFunc(r.Cells, func(c *result.MatrixCell) bool { return c != nil && !c.Counted })
	}
	if uncounted {
		words = append(words, [2]string{"(verdict)", "in brackets: does not count towards the result"})
	}
	return words
}

// requests lists what to ask for, once for all machines that need it: first
// what is needed, then the rest.
func (t *matrixText) requests() {
	for _, of := range []struct {
		title   string
		counted bool
	}{{"What to ask for", true}, {"Only if these are needed too", false}} {
		titled := false
		for i := range t.Requests {
			q := &t.Requests[i]
			if q.Counted != of.counted {
				continue
			}
			if !titled {
				titled = true
				t.title(of.title)
				t.blank()
			}
			t.request(q)
		}
	}
}

// request writes one request.
func (t *matrixText) request(q *result.Request) {
	lead := fmt.Sprintf("%3d. ", q.Number)
	t.hang(lead, q.Advice, 0, strong)
	fields := [][2]string{{"For", fmt.Sprintf("%s of %d: %s", strings.Join(q.Flows, ", "), len(needers(t.Matrix, q)), strings.Join(needers(t.Matrix, q), ", "))}}
	label := "From"
	if q.Direction == plan.Reverse {
		label = "Towards"
	}
	for _, s := range subnetLines(q) {
		fields = append(fields, [2]string{label, s})
		label = ""
	}
	label = "Log"
	for _, s := range requestLog(q) {
		fields = append(fields, [2]string{label, s})
		label = ""
	}
	t.fields(len(lead), fields)
	t.blank()
}

// needers are the names of the rows that need a request.
func needers(m *result.Matrix, q *result.Request) []string {
	var names []string
	for _, n := range q.Rows {
		if n >= 0 && n < len(m.Rows) {
			names = addOnce(names, m.Rows[n].Name)
		}
	}
	return names
}

// subnetLines are the machines of a request, as the firewalls see them.
func subnetLines(q *result.Request) []string {
	var out []string
	for _, s := range q.Subnets {
		out = append(out, fmt.Sprintf("%s (in %s)", strings.Join(s.Addresses, ", "), s.Prefix))
	}
	return out
}

// requestLog is what to search a firewall's log for.
func requestLog(q *result.Request) []string {
	var out []string
	for _, e := range q.Log {
		p := result.Path{Transport: q.Transport, Source: e.Source, SeenAs: e.SeenAs, Target: e.Target, At: e.At}
		out = append(out, logLines([]*result.Path{&p})...)
	}
	return out
}

// bottomLine ends the matrix with its result.
func (t *matrixText) bottomLine() {
	st := good
	if len(t.Rows) == 0 || slices.ContainsFunc(t.Rows, func(r result.MatrixRow) bool { return !r.OK }) {
		st = bad
	}
	t.hang("", matrixAnswer(t.Matrix), 0, st)
	t.hang("", matrixLimits, 0, plain)
}

// matrixLimits is what a matrix does not speak for.
const matrixLimits = "This speaks for the machines and times in it, not for other machines of the same networks, and not for the software itself."
