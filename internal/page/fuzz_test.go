package page

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"dialtone/internal/result"
)

// FuzzBrowser: whatever a browser with the code says of itself and of its requests is
// bounded and told as text, and nothing that it says alone makes a path open.
func FuzzBrowser(f *testing.F) {
	f.Add([]byte(`{"role":"client","name":"a PC"}`), []byte(`{"test":0,"attempt":0,"outcome":"answered","elapsed_ms":12,"rtt_ms":3,"got":262144,"got_ms":9,"payload":true}`), "Mozilla/5.0", "Via")
	f.Add([]byte(`{"role":"server","name":"<b>\u202e\u001b[2J"}`), []byte(`{"test":1,"attempt":1,"outcome":"timeout","ago_ms":1e300,"local_network":"denied"}`), "\x1b[2J", "X-Forwarded-For")
	f.Add([]byte(`{}`), []byte(`{"finished":true}`), "", "")
	f.Add([]byte(`{"role":"client"}`), []byte(`{"test":-1,"got":-9223372036854775808,"outcome":"failed"}`), "a", "b")
	p := newPage(f)
	said := func(path string, b []byte, agent, field string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "http://10.2.0.10"+path, bytes.NewReader(b))
		r.Header.Set("Origin", "http://10.2.0.10")
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("User-Agent", agent)
		r.Header.Set(field, agent)
		return r
	}
	f.Fuzz(func(t *testing.T, start, told []byte, agent, field string) {
		if field == "Origin" || field == "Content-Type" || field == "Sec-Fetch-Site" {
			return
		}
		a := ask(p, client, said(p.Path()+"/start", start, agent, field))
		if !a.known || a.Code != http.StatusOK && a.Code != http.StatusBadRequest {
			t.Fatalf("%v %d", a.known, a.Code)
		}
		if a.Code != http.StatusOK {
			return
		}
		var s began
		if err := json.Unmarshal(a.Body.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			ask(p, client, said(s.Session, told, agent, field))
		}
		if a := ask(p, client, get(s.Session)); a.Code != http.StatusOK || strings.ContainsAny(a.Body.String(), "\x00\x1b\u202e") {
			t.Errorf("the report: %d", a.Code)
		}
		p.mu.Lock()
		last := p.sessions[len(p.sessions)-1]
		p.mu.Unlock()
		r := p.reportOf(last)
		for _, at := range r.Paths {
			if at.OK || at.Verdict == result.Open {
				t.Errorf("%s is %s", at.Flow, at.Verdict)
			}
		}
		b, err := result.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := result.ParseReport(b, result.MaxReport); err != nil {
			t.Error(err)
		}
	})
}
