package merge

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"dialtone/internal/report"
	"dialtone/internal/result"
)

func example(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "mixed-a.json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever is read can be joined, tabulated and written again.
func FuzzParse(f *testing.F) {
	// Small ones: most of a whole report is words.
	f.Add([]byte(`{"schema":"dialtone.report/1","run":"x","mode":"paths","from":{"role":"server","host":"b","addresses":["10.3.0.10"]},"to":{"role":"peer","addresses":["10.2.0.10"]},` +
		`"paths":[{"flow":"odyssey-out","port":7968,"transport":"tcp","direction":"forward","family":"ip4","expect":"open","verdict":"silent","proof":"none","counted":true,` +
		`"initiator":{"at":"2026-11-24T22:05:48Z","elapsed_ms":4e3,"source":"10.3.0.10:37041","target":"10.2.0.10:7968","attempts":1,"connect":"timeout","failed":[{"at":"2026-11-24T22:05:40Z","source":"10.3.0.10:1","connect":"timeout"}]}}],` +
		`"listened":{"since":"2026-11-24T22:00:00Z","until":"2026-11-24T22:06:00Z","witness":"table","ports":[{"port":7968,"transport":"tcp","family":"ip4","state":"bound"}],` +
		`"arrivals":[{"transport":"tcp","port":7968,"source":"10.2.0.10:43537","first":"2026-11-24T22:05:48Z","last":"2026-11-24T22:05:49Z","saw":"half-open"}]}}`))
	f.Add([]byte(`{"schema":"dialtone.report/1","run":"x","mode":"paths","paths":[{"verdict":"reply-lost","direction":"forward","transport":"tcp","family":"ip4","expect":"open","proof":"none","finding":{"advice":"x"}}]}`))
	f.Add([]byte(`{"schema":"dialtone.report/1","run":"x","mode":"paths","started":null,"listened":{"arrivals":[{"saw":"half-open"}],"ports":[{"state":"bound"}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := result.ParseReport(b, result.MaxReport)
		if err != nil {
			return
		}
		other, err := result.ParseReport(example(t), result.MaxReport)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		for _, two := range [][2]*result.Report{{r, other}, {other, r}} {
			if p, ok := Pair(two[0], two[1], true); ok {
				joined := Join(two[0], two[1], p)
				write(t, &out, joined)
			} else {
				write(t, &out, Join(two[0], two[1], Pairing{Assumed: true}))
			}
		}
		m := Tabulate("test", []Input{{Report: r}, {Name: "other", Report: other}})
		for _, f := range []report.Format{report.Text, report.JSON, report.CSV} {
			if err := report.Matrix.Write(&out, f, m, report.Options{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func write(t *testing.T, out *bytes.Buffer, r *result.Report) {
	t.Helper()
	for _, f := range []report.Format{report.Text, report.JSON} {
		out.Reset()
		if err := report.Paths.Write(out, f, r, report.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if !json.Valid(out.Bytes()) {
		t.Fatal("what was written is no JSON")
	}
}
