package page

import (
	"bytes"
	"compress/gzip"
	_ "embed" // its page
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dialtone/internal/merge"
	"dialtone/internal/report"
	"dialtone/internal/result"
)

// A Board lays side by side what browsers and dial report to a listener, live, for who
// started it. Its reports are bounded in number and in bytes; where there are too many
// the oldest goes of the network that has most.
type Board struct {
	tool string
	code code
	most int // bytes of all reports, at most

	mu      sync.Mutex
	version int // counts what was taken in
	rows    []*boardRow
	columns []boardColumn
	size    int // bytes of all reports
}

// A boardRow is one report.
type boardRow struct {
	ID      string               `json:"id"`
	Name    string               `json:"name"`
	Role    string               `json:"role"`
	By      string               `json:"by"` // dial, or a browser
	At      string               `json:"at"`
	Answer  string               `json:"answer"`
	Cells   map[string]boardCell `json:"cells"`
	version int
	run     string
	from    netip.Addr
	packed  []byte
	size    int // of the report, in bytes of JSON
}

// A boardCell is a path of it; a boardColumn a flow.
type (
	boardCell   struct{ Class, Text string }
	boardColumn struct{ Key, Words string }
)

const (
	// maxRows and maxSize, in bytes of JSON, bound a Board, maxOne each of its reports, and
	// maxColumns what they may call flows. Packed they would say nothing of what becomes of
	// them where all are laid side by side.
	maxRows    = 2048
	maxSize    = 128 << 20
	maxOne     = 4 << 20
	maxColumns = 128
)

// NewBoard returns an empty Board; tool is the name and version of the program.
func NewBoard(tool string) *Board { return &Board{tool: tool, code: newCode(), most: maxSize} }

// Path is where it is on its own server. Other users of the machine do not know it.
func (b *Board) Path() string { return "/" + b.code.String() + "/" }

// Take takes a report in, in the place of an earlier one of the same run.
func (b *Board) Take(r *result.Report, from netip.Addr) error {
	r = merge.Sound(r)
	doc, err := result.Encode(r)
	if err != nil {
		return fmt.Errorf("keep a report: %w", err)
	}
	if len(doc) > maxOne {
		return fmt.Errorf("a report of %s has %d bytes, and %d are the most: it is left out", from, len(doc), maxOne)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(doc) // to memory
	_ = z.Close()
	row := &boardRow{
		ID: newToken().String(), Role: text(r.From.Role), By: "dial", At: time.Now().UTC().Format("15:04:05"), Answer: report.Answer(r),
		Cells: map[string]boardCell{}, run: r.Run, from: from.Unmap(), packed: packed.Bytes(), size: len(doc),
	}
	if row.Name = text(r.From.Host); row.Name == "" {
		row.Name = row.from.String()
	} else {
		row.Name += " (" + row.from.String() + ")"
	}
	if r.Mode == result.ModeBrowser {
		row.By = "browser"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := slices.IndexFunc(b.rows, func(o *boardRow) bool { return o.run == row.run && networkOf(o.from) == networkOf(row.from) }); n >= 0 {
		row.ID = b.rows[n].ID
		b.drop(n)
	}
	for len(b.rows) >= maxRows || len(b.rows) > 0 && b.size+row.size > b.most {
		b.drop(b.crowded())
	}
	for i := range r.Paths {
		b.cell(row, &r.Paths[i])
	}
	b.version++
	row.version = b.version
	b.rows = append(b.rows, row)
	b.size += row.size
	return nil
}

// cell puts a path into its row: of several of one column the one that is worst. The lock
// is held.
func (b *Board) cell(row *boardRow, p *result.Path) {
	key := fmt.Sprintf("%s %s %d/%s %s", p.Direction, p.Flow, p.Port, p.Transport, p.Family)
	if !slices.ContainsFunc(b.columns, func(c boardColumn) bool { return c.Key == key }) {
		if len(b.columns) >= maxColumns {
			return
		}
		words := text(fmt.Sprintf("%d %s", p.Port, p.Flow))
		if p.Direction == "reverse" {
			words += ", back"
		}
		if p.Family == result.IP6 {
			words += ", IPv6"
		}
		b.columns = append(b.columns, boardColumn{key, words})
	}
	class, mark := report.MarkOf(p)
	if old, ok := row.Cells[key]; ok && old.Class == "bad" {
		return
	}
	row.Cells[key] = boardCell{class, strings.TrimSpace(mark + " " + string(p.Verdict))}
}

// drop takes a row away. The lock is held.
func (b *Board) drop(n int) {
	b.size -= b.rows[n].size
	b.rows = slices.Delete(b.rows, n, n+1)
}

// crowded is the oldest row of the network that has most. The lock is held.
func (b *Board) crowded() int {
	count := map[netip.Prefix]int{}
	for _, o := range b.rows {
		count[networkOf(o.from)]++
	}
	most := 0
	for n, o := range b.rows {
		if count[networkOf(o.from)] > count[networkOf(b.rows[most].from)] {
			most = n
		}
	}
	return most
}

//go:embed board.html
var boardHTML string

//go:embed board.js
var boardScript string

var (
	boardTemplate = template.Must(template.New("board").Funcs(template.FuncMap{
		"style":  func() template.CSS { return template.CSS(pageStyle) },
		"script": func() template.JS { return template.JS(boardScript) },
	}).Parse(boardHTML))
	boardPolicy = "default-src 'none'; img-src data:; style-src '" + sourceHash(pageStyle) + "'; script-src '" + sourceHash(boardScript) + "'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)

// ServeHTTP implements http.Handler, for a listener of this machine's own.
func (b *Board) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", boardPolicy)
	typed, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if !isLocalHost(hostOf(r)) || !b.code.is(typed) {
		refuse(w, http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refuse(w, http.StatusMethodNotAllowed)
		return
	}
	switch {
	case rest == "":
		var out bytes.Buffer
		if err := boardTemplate.Execute(&out, nil); err != nil {
			panic(err) // the template is ours: the tests would have shown it
		}
		send(w, "text/html; charset=utf-8", out.Bytes())
	case rest == "state":
		since, _ := strconv.Atoi(r.URL.Query().Get("since"))
		b.state(w, since)
	case strings.HasPrefix(rest, "r/"):
		rep := b.reportOf(strings.TrimPrefix(rest, "r/"))
		if rep == nil {
			refuse(w, http.StatusNotFound)
			return
		}
		sendReport(w, rep)
	case strings.HasPrefix(rest, "matrix."):
		b.matrix(w, strings.TrimPrefix(rest, "matrix"))
	default:
		refuse(w, http.StatusNotFound)
	}
}

// isLocalHost reports whether a browser asks for this machine's own address, and by no
// name that leads here.
func isLocalHost(host string) bool {
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback() || host == "localhost"
}

// state is what changed since a version.
func (b *Board) state(w http.ResponseWriter, since int) {
	b.mu.Lock()
	out := struct {
		Version int           `json:"version"`
		IDs     []string      `json:"ids"` // of all rows, in order
		Columns []boardColumn `json:"columns"`
		Rows    []*boardRow   `json:"rows"`
	}{b.version, []string{}, slices.Clone(b.columns), []*boardRow{}}
	for _, row := range b.rows {
		out.IDs = append(out.IDs, row.ID)
		if row.version > since {
			out.Rows = append(out.Rows, row) // which nobody changes
		}
	}
	b.mu.Unlock()
	answer(w, out)
}

// unpack is a report as it was taken in; nil: it is none.
func unpack(packed []byte) *result.Report {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil
	}
	doc, err := io.ReadAll(z)
	if err != nil {
		return nil
	}
	r, err := result.ParseReport(doc, int64(len(doc)))
	if err != nil {
		return nil
	}
	return r
}

// reportOf is a row's report; nil: there is none of that name.
func (b *Board) reportOf(id string) *result.Report {
	b.mu.Lock()
	n := slices.IndexFunc(b.rows, func(o *boardRow) bool { return o.ID == id })
	var packed []byte
	if n >= 0 {
		packed = b.rows[n].packed
	}
	b.mu.Unlock()
	return unpack(packed)
}

// Reports are all that there are, the oldest first.
func (b *Board) Reports() (out []*result.Report) {
	b.mu.Lock()
	rows := slices.Clone(b.rows)
	b.mu.Unlock()
	for _, row := range rows {
		if r := unpack(row.packed); r != nil {
			out = append(out, r)
		}
	}
	return out
}

// matrix sends all of it, as dial merge writes it.
func (b *Board) matrix(w http.ResponseWriter, ext string) {
	var in []merge.Input
	for _, r := range b.Reports() {
		in = append(in, merge.Input{Report: r})
	}
	m := merge.Tabulate(b.tool, in)
	var doc []byte
	var err error
	kind := "application/json"
	switch ext {
	case ".html":
		kind = "text/html; charset=utf-8"
		w.Header().Set("Content-Security-Policy", reportPolicy)
		doc, err = report.MatrixPage(m)
	case ".json":
		w.Header().Set("Content-Disposition", `attachment; filename="matrix.json"`)
		doc, err = report.MatrixJSON(m)
	case ".csv":
		kind = "text/csv; charset=utf-8"
		w.Header().Set("Content-Disposition", `attachment; filename="matrix.csv"`)
		doc, err = report.MatrixCSV(m)
	case ".requests.txt":
		kind = "text/plain; charset=utf-8"
		w.Header().Set("Content-Disposition", `attachment; filename="matrix.requests.txt"`)
		doc, err = report.MatrixRequests(m)
	default:
		refuse(w, http.StatusNotFound)
		return
	}
	if err != nil {
		refuse(w, http.StatusInternalServerError)
		return
	}
	send(w, kind, doc)
}
