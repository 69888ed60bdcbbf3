package result

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// documents are what Encode is for.
var documents = []any{Report{}, Matrix{}, AddressReport{}}

// eachType calls f for every type that a document is made of, with where it is.
func eachType(t reflect.Type, at string, seen map[reflect.Type]bool, f func(at string, t reflect.Type)) {
	if f(at, t); seen[t] {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		eachType(t.Elem(), at, seen, f)
	case reflect.Struct:
		if t.PkgPath() != reflect.TypeFor[Report]().PkgPath() || t == reflect.TypeFor[Time]() || t == reflect.TypeFor[Endpoint]() {
			return
		}
		for i := range t.NumField() {
			eachType(t.Field(i).Type, at+"."+t.Field(i).Name, seen, f)
		}
	}
}

// A field of another type for a time has the wrong form as soon as it is
// written.
func TestEveryTimeOfADocumentIsATime(t *testing.T) {
	times := 0
	for _, d := range documents {
		eachType(reflect.TypeOf(d), reflect.TypeOf(d).Name(), map[reflect.Type]bool{}, func(at string, of reflect.Type) {
			switch of {
			case reflect.TypeFor[time.Time]():
				t.Errorf("%s is a time.Time, and is to be a Time", at)
			case reflect.TypeFor[Time]():
				times++
			}
		})
	}
	if times < 10 {
		t.Errorf("only %d times were found", times)
	}
}

func TestATimeHasOneForm(t *testing.T) {
	for at, want := range map[time.Time]string{
		time.Date(2026, 3, 17, 16, 51, 40, 0, time.FixedZone("", -5*3600)): `"2026-03-17T21:51:40.000Z"`,
		time.Date(2026, 3, 17, 21, 51, 40, 120_499_999, time.UTC):          `"2026-03-17T21:51:40.120Z"`,
		time.Date(2026, 12, 31, 23, 59, 59, 999_600_000, time.UTC):         `"2027-01-01T00:00:00.000Z"`,
		{}: "null",
	} {
		b, err := json.Marshal(Time{at})
		if err != nil || string(b) != want {
			t.Errorf("%v: %s, %v", at, b, err)
		}
		var back Time
		if err := json.Unmarshal(b, &back); err != nil || back.Sub(at).Abs() > time.Millisecond || back.Location() != time.UTC {
			t.Errorf("%s is read as %v, %v", b, back, err)
		}
	}
	if b, err := json.Marshal(TimeOf(time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC))); err == nil {
		t.Errorf("%s", b)
	}
	for _, bad := range []string{`7`, `"yesterday"`, `{}`} {
		if err := json.Unmarshal([]byte(bad), new(Time)); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

// Whatever list or table a document has, and may get, is written as one.
func TestEncodedListsAreNeverNull(t *testing.T) {
	type Inner struct {
		List  []string          `json:"list"`
		Table map[string][]byte `json:"table"`
		None  []int             `json:"none,omitempty"`
		At    Time              `json:"at"`
		From  Endpoint          `json:"from"`
	}
	type outer struct {
		Inner
		In     Inner            `json:"inner"`
		Many   []*Inner         `json:"many"`
		By     map[string]Inner `json:"by"`
		Nobody *Inner           `json:"nobody"`
	}
	in := outer{Many: []*Inner{{}, nil}, By: map[string]Inner{"a": {}}}
	b, err := Encode(in)
	if err != nil {
		t.Fatal(err)
	}
	one := `"list":[],"table":{},"at":null,"from":null`
	want := `{` + one + `,"inner":{` + one + `},"many":[{` + one + `},null],"by":{"a":{` + one + `}},"nobody":null}`
	var got bytes.Buffer
	if err := json.Compact(&got, b); err != nil || got.String() != want {
		t.Errorf("got  %s\nwant %s", &got, want)
	}
	if in.List != nil || in.Many[0].List != nil || in.By["a"].List != nil {
		t.Error("Encode changed what it was given")
	}
}

// Every enumeration that is checked on reading is the source's own, so that a
// value that is added cannot be forgotten.
func TestReaderKnowsEveryConstant(t *testing.T) {
	source := constants(t, ".")
	maps.Copy(source, constants(t, "../plan"))
	for typ, got := range known {
		want, ok := source[typ.Name()]
		if !ok {
			t.Errorf("no constants of type %s", typ)
		}
		for _, v := range want {
			if v != "" && !slices.Contains(got, v) {
				t.Errorf("%s: a report with %q is refused", typ, v)
			}
		}
		for _, v := range got {
			if !slices.Contains(want, v) {
				t.Errorf("%s: %q is no constant", typ, v)
			}
		}
	}
}

// constants returns the values of the string constants of each named type in
// the package in dir.
func constants(t *testing.T, dir string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			id, ok := s.Type.(*ast.Ident)
			if !ok {
				return true
			}
			for _, v := range s.Values {
				if lit, ok := v.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					value, err := strconv.Unquote(lit.Value)
					if err != nil {
						t.Fatal(err)
					}
					out[id.Name] = append(out[id.Name], value)
				}
			}
			return true
		})
	}
	return out
}

// What is added to a document later is held to the same bounds.
func TestParseLooksEverywhere(t *testing.T) {
	good := string(example(t))
	for name, c := range map[string]struct{ from, to, want string }{
		"a transfer":       {`"probe":`, `"sent": {"outcome": "splendid"}, "probe":`, `outcome is "splendid"`},
		"an answer":        {`"probe":`, `"answer": "hello", "probe":`, `answer is "hello"`},
		"an earlier try":   {`"failed": [`, `"failed": [{"connect": "open"}, {"connect": "fine"}, `, `initiator.failed[1]: connect is "fine"`},
		"its time":         {`"failed": [`, `"failed": [{"connect": "open", "at": "0031-01-01T00:00:00Z"}, `, "year 31"},
		"a busy port":      {`"contact": null`, `"contact": {"busy": [{"port": -1}]}`, "-1 is no port"},
		"a long list":      {`"out_of_scope": [`, `"out_of_scope": [` + strings.Repeat(`{},`, maxList), "out_of_scope, and 16384 are the most"},
		"a missing family": {`"family": "ip4"`, `"family": ""`, "family is missing"},
	} {
		if !strings.Contains(good, c.from) {
			t.Fatalf("%s: no %s in the example", name, c.from)
		}
		_, err := ParseReport([]byte(strings.Replace(good, c.from, c.to, 1)), MaxReport)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want …%s…", name, err, c.want)
		}
	}
}
