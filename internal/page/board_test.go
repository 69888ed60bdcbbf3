package page

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dialtone/internal/result"
)

// reportFrom is a report of a browser, from a network, with a row that is blocked.
func reportFrom(t *testing.T, n int) *result.Report {
	t.Helper()
	p := newPage(t)
	b := begin(t, p, "client", fmt.Sprintf("Desk %d <b>", n))
	tells(t, p, b, told{Test: b.on(t, 1433), Outcome: "timeout", AgoMS: 8000, ElapMS: 8000})
	ask(p, client, post(b.Session, told{Finished: true}))
	return p.reportOf(p.sessions[0])
}

func watch(b *Board, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:7900"+b.Path()+path, nil)
	b.ServeHTTP(w, r)
	return w
}

// A state is what the page is told.
type state struct {
	Version int
	IDs     []string
	Columns []boardColumn
	Rows    []boardRow
}

func stateOf(t *testing.T, b *Board, since int) (s state) {
	t.Helper()
	if err := json.Unmarshal(watch(b, fmt.Sprintf("state?since=%d", since)).Body.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheBoardTellsWhatChangedAndNoMore(t *testing.T) {
	b := NewBoard("Dialtone test")
	one := reportFrom(t, 1)
	if err := b.Take(one, client.Addr()); err != nil {
		t.Fatal(err)
	}
	first := stateOf(t, b, 0)
	if len(first.Rows) != 1 || first.Rows[0].By != "browser" || !strings.Contains(first.Rows[0].Answer, "sql-client (filtered)") || len(first.Columns) != 5 {
		t.Errorf("%+v", first)
	}
	if again := stateOf(t, b, first.Version); len(again.Rows) != 0 || len(again.IDs) != 1 {
		t.Errorf("nothing changed, and it tells %+v", again)
	}
	_ = b.Take(one, client.Addr()) // of the same run
	if again := stateOf(t, b, first.Version); len(again.Rows) != 1 || len(again.IDs) != 1 || again.IDs[0] != first.IDs[0] {
		t.Errorf("the same run is not in its own place: %+v", again)
	}
	page := watch(b, "r/"+first.IDs[0])
	if page.Code != http.StatusOK || !strings.Contains(page.Body.String(), "Please allow TCP from 10.1.2.3") || strings.Contains(page.Body.String(), "<b>") {
		t.Errorf("the story is %d: %.300s", page.Code, page.Body)
	}
	for name, want := range map[string]string{"matrix.html": "<!doctype html>", "matrix.json": `"dialtone.matrix/1"`, "matrix.csv": "who,role,", "matrix.requests.txt": "Firewall requests: 1"} {
		if got := watch(b, name); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), want) {
			t.Errorf("%s: %d %.200s", name, got.Code, got.Body)
		}
	}
}

func TestTheBoardIsForThisMachinesOwnerAlone(t *testing.T) {
	b := NewBoard("Dialtone test")
	_ = b.Take(reportFrom(t, 1), client.Addr())
	for name, r := range map[string]*http.Request{
		"without its code":      httptest.NewRequest(http.MethodGet, "http://127.0.0.1:7900/", nil),
		"with another code":     httptest.NewRequest(http.MethodGet, "http://127.0.0.1:7900/00000-00000/state", nil),
		"by a name (rebinding)": httptest.NewRequest(http.MethodGet, "http://evil.example:7900"+b.Path(), nil),
		"by an address of all":  httptest.NewRequest(http.MethodGet, "http://10.2.0.10:7900"+b.Path(), nil),
		"what it does not have": httptest.NewRequest(http.MethodGet, "http://127.0.0.1:7900"+b.Path()+"../x", nil),
		"an order to change it": httptest.NewRequest(http.MethodPost, "http://127.0.0.1:7900"+b.Path()+"state", nil),
		"a report of no name":   httptest.NewRequest(http.MethodGet, "http://127.0.0.1:7900"+b.Path()+"r/x", nil),
		"a matrix of no format": httptest.NewRequest(http.MethodGet, "http://127.0.0.1:7900"+b.Path()+"matrix.exe", nil),
	} {
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		if w.Code < 400 || strings.Contains(w.Body.String(), "Desk") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// A report that packs well is as large in memory as any other: of those that a holder of
// the key can hand in, so many are kept that all of them can be laid side by side.
func TestTheBoardIsBoundedByWhatItsReportsBecome(t *testing.T) {
	b := NewBoard("Dialtone test")
	b.most = 1 << 20
	r := reportFrom(t, 1)
	path := r.Paths[0]
	for len(r.Paths) < 200 { // each alike: some 300 KB of JSON, and some KB packed
		r.Paths = append(r.Paths, path)
	}
	const n = 8
	for i := range n {
		one := *r
		one.Run = fmt.Sprintf("%032x", i+1)
		if err := b.Take(&one, client.Addr()); err != nil {
			t.Fatal(err)
		}
	}
	sum := 0
	for _, row := range b.rows {
		z, err := gzip.NewReader(bytes.NewReader(row.packed))
		if err != nil {
			t.Fatal(err)
		}
		n, _ := io.Copy(io.Discard, z)
		sum += int(n)
	}
	if sum > b.most || sum < b.most/2 || len(b.rows) == n {
		t.Errorf("%d rows of %d bytes", len(b.rows), sum)
	}
	for len(r.Paths) < 3500 {
		r.Paths = append(r.Paths, path)
	}
	if err := b.Take(r, client.Addr()); err == nil || !strings.Contains(err.Error(), "left out") {
		t.Errorf("a report that is too large: %v", err)
	}
}

func TestTheBoardIsBounded(t *testing.T) {
	b := NewBoard("Dialtone test")
	r := reportFrom(t, 1)
	_ = b.Take(r, netip.MustParseAddr("10.9.9.9"))
	for i := range maxRows + 5 {
		one := *r
		one.Run = fmt.Sprintf("%032x", i+1)
		if err := b.Take(&one, client.Addr()); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.rows) != maxRows || b.rows[0].from != netip.MustParseAddr("10.9.9.9") || b.size > maxSize {
		t.Errorf("%d rows, %d bytes, the first from %s", len(b.rows), b.size, b.rows[0].from)
	}
	start := time.Now()
	if s := stateOf(t, b, 0); len(s.Rows) != maxRows {
		t.Errorf("%d rows", len(s.Rows))
	}
	t.Logf("%d rows are told in %v", maxRows, time.Since(start))
}
