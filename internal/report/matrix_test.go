package report

import (
	"bytes"
	"encoding/csv"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// hostileMatrix is one whose words come from somebody who wishes no good.
func hostileMatrix() *result.Matrix {
	const evil = "=HYPERLINK(\"http://evil.example\")\x1b[31m\r\n+2"
	return &result.Matrix{
		Schema: result.MatrixSchema, Tool: "test",
		Columns: []result.MatrixColumn{{Flow: evil, Port: 1, Transport: plan.TCP, Direction: plan.Forward, Family: result.IP4}},
		Rows: []result.MatrixRow{
			{Name: evil, Role: "+role", To: "@to", Addresses: []string{"-1"}, Cells: []*result.MatrixCell{{Verdict: result.Silent}}},
			{Name: " =spaced", Role: "'=quoted", To: "a;＝b", Cells: []*result.MatrixCell{nil}},
		},
		Requests: []result.Request{{Number: 1, Advice: evil, Flows: []string{evil}, Rows: []int{0, 99, -1}}},
		Findings: []result.Finding{{Code: "x", Text: evil, Advice: evil}},
	}
}

func matrixAs(t *testing.T, f Format, m *result.Matrix, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Matrix.Write(&b, f, m, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestNoCellOfACSVIsAFormula(t *testing.T) {
	rows, err := csv.NewReader(strings.NewReader(matrixAs(t, CSV, hostileMatrix(), Options{}))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 {
		t.Fatalf("%d lines", len(rows))
	}
	seen := 0
	for _, row := range rows {
		for _, c := range row {
			if strings.ContainsAny(c, "\x1b\r\n") {
				t.Errorf("a control character in %q", c)
			}
			for _, cell := range strings.FieldsFunc(c, func(r rune) bool { return r == ';' || r == '\t' }) {
				if strings.IndexAny(strings.TrimLeft(cell, " "), "=+-@＝") == 0 {
					t.Errorf("a formula: %q", c)
				}
			}
			if strings.HasPrefix(c, "'") {
				seen++
			}
		}
	}
	if seen < 6 {
		t.Errorf("only %d cells were made safe", seen)
	}
}

func TestNoControlCharacterOfAMatrixReachesTheTerminal(t *testing.T) {
	for _, width := range []int{0, 40, 200} {
		for _, line := range strings.Split(matrixAs(t, Text, hostileMatrix(), Options{Width: width}), "\n") {
			if strings.ContainsAny(line, "\x1b\r") {
				t.Errorf("%q", line)
			}
		}
	}
}

func TestAMatrixThatIsTooWideNumbersItsColumns(t *testing.T) {
	m := &result.Matrix{Summary: result.Summary{Verdicts: map[result.Verdict]int{result.Open: 1, result.Filtered: 1}}}
	row := result.MatrixRow{Name: "ws-1", Addresses: []string{"10.1.0.1", "2001:db8::1"}}
	for _, flow := range []string{"sql-client", "odyssey-client", "platform", "ftp-control"} {
		for _, family := range []result.Family{result.IP4, result.IP6} {
			m.Columns = append(m.Columns, result.MatrixColumn{Flow: flow, Port: 1, Transport: plan.TCP, Direction: plan.Forward, Family: family})
			row.Cells = append(row.Cells, &result.MatrixCell{Verdict: result.Open, OK: true, Counted: true})
		}
	}
	row.Cells[2] = &result.MatrixCell{Verdict: result.Filtered, Counted: true}
	row.Cells[7] = &result.MatrixCell{Verdict: result.Silent}
	m.Rows = []result.MatrixRow{row}
	narrow := matrixAs(t, Text, m, Options{})
	if !strings.Contains(narrow, "3  odyssey-client IPv4") || !strings.Contains(narrow, "3 filtered, 8 (silent)") {
		t.Errorf("narrow:\n%s", narrow)
	}
	m.Columns, row.Cells = m.Columns[:4], row.Cells[:4]
	m.Rows = []result.MatrixRow{row}
	if wide := matrixAs(t, Text, m, Options{Width: 120}); !strings.Contains(wide, "odyssey-client IPv6") || strings.Contains(wide, "3 filtered") {
		t.Errorf("wide:\n%s", wide)
	}
	m.Rows[0].Name = strings.Repeat("University of a long name ", 3)
	none := matrixAs(t, Text, m, Options{})
	if said := strings.Join(strings.Fields(none), " "); !strings.Contains(said, "(10.1.0.1 +1): odyssey-client IPv4 filtered") {
		t.Errorf("where no table fits:\n%s", none)
	}
	for _, text := range []string{narrow, none} {
		for line := range strings.SplitSeq(text, "\n") {
			if width(line) > 80 {
				t.Errorf("too wide: %q", line)
			}
		}
	}
}

func TestMatrixFormats(t *testing.T) {
	for name, want := range map[string]Format{"a.txt": Text, "b.JSON": JSON, "c.csv": CSV, "d.html": HTML} {
		if got, err := Matrix.ForFile(name); err != nil || got != want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	if _, err := Matrix.ForFile("a.xls"); err == nil || !strings.Contains(err.Error(), ".txt, .json, .csv, .html or .requests") {
		t.Errorf("%v", err)
	}
	if _, err := Matrix.Parse("xls"); err == nil || !strings.Contains(err.Error(), "text, json, csv, html or requests") {
		t.Errorf("%v", err)
	}
}

// The matrix' schema describes and requires every field, and no other.
func TestMatrixSchemaDescribesEveryField(t *testing.T) {
	b, err := os.ReadFile("../../docs/matrix.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	top := doc.(map[string]any)
	defs := top["$defs"].(map[string]any)
	for _, c := range []struct {
		schema any
		value  any
	}{
		{top, result.Matrix{}}, {defs["report_summary"], result.ReportSummary{}}, {defs["column"], result.MatrixColumn{}},
		{defs["row"], result.MatrixRow{}}, {defs["cell"], result.MatrixCell{}}, {defs["request"], result.Request{}},
		{defs["subnet"], result.Subnet{}}, {defs["log"], result.LogEntry{}}, {defs["summary"], result.Summary{}}, {defs["end"], result.End{}},
	} {
		s := c.schema.(map[string]any)
		var want, has, required []string
		for i := range reflect.TypeOf(c.value).NumField() {
			if key := reflect.TypeOf(c.value).Field(i).Tag.Get("json"); key != "-" {
				want = append(want, key)
			}
		}
		for k, v := range s["properties"].(map[string]any) {
			has = append(has, k)
			if d, _ := v.(map[string]any)["description"].(string); d == "" {
				t.Errorf("%T: %s has no description", c.value, k)
			}
		}
		for _, k := range s["required"].([]any) {
			required = append(required, k.(string))
		}
		slices.Sort(want)
		slices.Sort(has)
		slices.Sort(required)
		if !slices.Equal(want, has) || !slices.Equal(want, required) {
			t.Errorf("%T: fields %q, properties %q, required %q", c.value, want, has, required)
		}
	}
}

// Two machines of one name are two, wherever they are named.
func TestMachinesOfOneNameAreToldApart(t *testing.T) {
	m := &result.Matrix{
		Columns: []result.MatrixColumn{{Flow: "sql-client", Port: 1433, Transport: plan.TCP, Direction: plan.Forward, Family: result.IP4}},
		Rows: []result.MatrixRow{
			{Name: "ws", Addresses: []string{"10.1.0.1"}, Cells: []*result.MatrixCell{{Verdict: result.Filtered, Counted: true, Request: 1}}},
			{Name: "ws", Addresses: []string{"10.1.0.2"}, Cells: []*result.MatrixCell{{Verdict: result.Filtered, Counted: true, Request: 1}}},
		},
		Requests: []result.Request{{Number: 1, Advice: "Please allow it.", Counted: true, Flows: []string{"sql-client"}, Rows: []int{0, 1}}},
		Summary:  result.Summary{Counted: 2, Failed: 2, Verdicts: map[result.Verdict]int{result.Filtered: 2}},
	}
	text := matrixAs(t, Text, m, Options{})
	for _, want := range []string{"2 of 2 are not as they should be: ws (10.1.0.1), ws (10.1.0.2).", "sql-client of 2: ws (10.1.0.1) and ws (10.1.0.2)"} {
		if !strings.Contains(flat(text), want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
