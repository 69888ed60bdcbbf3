package result

import (
	"testing"
)

// FuzzParseReport: what is no report is refused, and what is one can be written and
// read again.
func FuzzParseReport(f *testing.F) {
	f.Add([]byte(`{"schema":"dialtone.report/1","run":"x","mode":"paths","started":"2026-11-24T22:05:48Z","from":{"role":"client","addresses":["192.0.2.1"]},"to":{"role":"server"},` +
		`"paths":[{"flow":"sql-client","port":1433,"transport":"tcp","direction":"forward","family":"ip4","expect":"open","verdict":"open","ok":true,"proof":"keyed","counted":true,"source":"192.0.2.1:5","target":"192.0.2.2:1433"}],` +
		`"summary":{"ok":true,"counted":1,"verdicts":{"open":1}}}`))
	f.Add([]byte(`{"schema":"dialtone.report/1","paths":[{"verdict":"opne"}]}`))
	f.Add([]byte(`{"schema":"dialtone.report/9"}`))
	f.Add([]byte("\xff\xfe{\x00}\x00"))
	f.Add([]byte("\xef\xbb\xbf{}"))
	f.Add([]byte(`[[[[[[[[`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseReport(b, MaxReport)
		if (err == nil) == (r == nil) {
			t.Fatalf("%v, %v", r, err)
		}
		if err != nil {
			return
		}
		out, err := Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseReport(out, 2*MaxReport); err != nil {
			t.Errorf("%v, of %s", err, out)
		}
	})
}
