package report

import (
	"strconv"
	"strings"

	"dialtone/internal/result"
)

// renderMatrixCSV writes a matrix as RFC 4180 has it, a line for each row and
// the requests in words at its end.
func renderMatrixCSV(m *result.Matrix, _ Options) ([]byte, error) {
	m = itemised(m)
	t := matrixText{Matrix: m}
	head := []string{"who", "role", "addresses", "to", "run", "started", "ok"}
	for _, c := range m.Columns {
		head = append(head, t.columnName(c))
	}
	rows := [][]string{append(head, "requests")}
	for n, r := range m.Rows {
		run, started := "", ""
		if n < len(m.Reports) {
			run = m.Reports[n].Run
			if at := m.Reports[n].Started; !at.IsZero() {
				started = at.UTC().Format("2006-01-02 15:04:05")
			}
		}
		row := []string{r.Name, r.Role, strings.Join(r.Addresses, " "), r.To, run, started, yesNo(r.OK)}
		for _, c := range r.Cells {
			row = append(row, matrixCell(c, true).s)
		}
		rows = append(rows, append(row, requestsOf(m, n)))
	}
	return csvOf(rows)
}

// requestsOf is what a row's machine needs, numbered as in the other forms.
func requestsOf(m *result.Matrix, n int) string {
	var out []string
	for _, q := range m.Requests {
		for _, r := range q.Rows {
			if r == n {
				out = append(out, strconv.Itoa(q.Item)+". "+q.Advice)
			}
		}
	}
	return strings.Join(out, " ")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
