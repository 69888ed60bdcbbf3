package echo

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"dialtone/internal/result"
)

// aReport is a whole report as a file has it, with what a run leaves in memory:
// times finer than a millisecond, and lists that nobody filled.
func aReport(t *testing.T) *result.Report {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "merge", "testdata", "mixed-a.json"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := result.ParseReport(b, result.MaxReport)
	if err != nil {
		t.Fatal(err)
	}
	r.Started = result.TimeOf(r.Started.Add(123_456 * time.Nanosecond))
	r.Findings, r.OutOfScope, r.From.Addresses, r.Paths[0].Notes, r.Summary.Verdicts = nil, nil, nil, nil, nil
	r.Paths[0].At, r.Paths[1].At = result.TimeOf(r.Started.Add(7*time.Microsecond)), result.Time{}
	return r
}

// What one end hands over is the document that docs/report.schema.json
// describes, as docs/wire.md promises.
func TestDeliveryIsTheDocumentOfTheSchema(t *testing.T) {
	d, err := NewDelivery(aReport(t))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(d.Report))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "docs", "report.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(v); err != nil {
		t.Error(err)
	}
	back, err := d.Open()
	if err != nil {
		t.Fatal(err)
	}
	want, err := result.Encode(aReport(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := result.Encode(back); err != nil || !bytes.Equal(got, want) {
		t.Errorf("it is read as another: %v", err)
	}
}

func TestDeliveryIsReadByTheCheckedReader(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*result.Report)
		want   string
	}{
		"an unknown verdict": {func(r *result.Report) { r.Paths[0].Verdict = "splendid" }, `verdict is "splendid"`},
		"no direction":       {func(r *result.Report) { r.Paths[0].Direction = "" }, "direction is missing"},
		"another schema":     {func(r *result.Report) { r.Schema = "other/1" }, "its schema"},
		"no run":             {func(r *result.Report) { r.Run = "" }, "run is missing"},
		"too much":           {func(r *result.Report) { r.Tool = strings.Repeat("x", maxReport) }, "larger than"},
	} {
		r := aReport(t)
		c.change(r)
		d, err := NewDelivery(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.Open(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v", name, reflect.TypeOf(got), err)
		}
	}
}
