package page

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"dialtone/internal/result"
)

// FuzzBrowser has a browser say anything where the page speaks: nothing of it makes a row
// more than unknown, and its report is a report.
func FuzzBrowser(f *testing.F) {
	f.Add(`{"role":"client","name":"Desk 2"}`, `{"test":0,"attempt":0,"outcome":"answered","ago_ms":5,"elapsed_ms":5,"got":262144,"payload":true}`)
	f.Add(`{"role":"admin"}`, `{"test":-1,"attempt":9,"outcome":"timeout","ago_ms":1e300}`)
	f.Add(`{"role":"client","name":"\u001b[31m<b>=1+1"}`, `{"finished":true}`)
	f.Fuzz(func(t *testing.T, start, said string) {
		p := newPage(&testing.T{})
		order := func(path, body string) asked {
			r := httptest.NewRequest(http.MethodPost, "http://10.2.0.10"+path, strings.NewReader(body))
			r.Header.Set("Origin", "http://10.2.0.10")
			r.Header.Set("Content-Type", "application/json")
			return ask(p, client, r)
		}
		order(p.Path()+"/start", start)
		if len(p.sessions) == 0 {
			return
		}
		s := p.sessions[0]
		order(sessionPath+s.id.String(), said)
		r := p.reportOf(s)
		for _, at := range r.Paths {
			if at.OK || at.Verdict == result.Answered || at.Verdict == result.Open {
				t.Errorf("%s is %s, ok %v", at.Flow, at.Verdict, at.OK)
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
