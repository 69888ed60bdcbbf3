package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaChecker returns a command that validates reports: valid FILE…
func schemaChecker(file string) func(*testscript.TestScript, bool, []string) {
	compile := sync.OnceValues(func() (*jsonschema.Schema, error) {
		return jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "docs", file))
	})
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) == 0 {
			ts.Fatalf("usage: valid FILE…")
		}
		schema, err := compile()
		ts.Check(err)
		for _, name := range args {
			v, err := jsonschema.UnmarshalJSON(strings.NewReader(ts.ReadFile(name)))
			ts.Check(err)
			if err := schema.Validate(v); err != nil {
				ts.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// checkReport checks values of a report: report FILE key=value…
// A key is a path through objects and arrays, as findings.0.code.
func checkReport(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: report FILE key=value…")
	}
	want(ts, "report", decode(ts, args[0]), args[1:])
}

// checkPath checks values of the paths of one flow and direction, of which
// there must be at least one: path FILE FLOW DIRECTION key=value…
// ! path FILE FLOW DIRECTION says that there is none.
func checkPath(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 || neg && len(args) > 3 {
		ts.Fatalf("usage: path FILE FLOW DIRECTION key=value…")
	}
	found := 0
	for _, p := range pathsOf(ts, args[0]) {
		if lookUp(p, "flow") == args[1] && lookUp(p, "direction") == args[2] {
			found++
			want(ts, args[1]+" "+args[2], p, args[3:])
		}
	}
	if found == 0 != neg {
		ts.Fatalf("%d paths of %s %s", found, args[1], args[2])
	}
}

// checkPaths checks values of all paths, and how many there are:
// paths FILE COUNT key=value…
func checkPaths(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: paths FILE COUNT key=value…")
	}
	all := pathsOf(ts, args[0])
	if n := strconv.Itoa(len(all)); n != args[1] {
		ts.Fatalf("%s paths, want %s", n, args[1])
	}
	for _, p := range all {
		want(ts, lookUp(p, "flow")+" "+lookUp(p, "direction"), p, args[2:])
	}
}

// checkLines checks that a file holds at least one line of JSON with these
// values, and that every line is JSON: jsonl FILE key=value…
func checkLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: jsonl FILE key=value…")
	}
	found := false
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			ts.Fatalf("%s: %q: %v", args[0], line, err)
		}
		matches := true
		for _, kv := range args[1:] {
			k, w, _ := strings.Cut(kv, "=")
			matches = matches && lookUp(v, k) == w
		}
		found = found || matches
	}
	if !found {
		ts.Fatalf("%s: no line with %v in\n%s", args[0], args[1:], ts.ReadFile(args[0]))
	}
}

func decode(ts *testscript.TestScript, name string) any {
	var v any
	if err := json.Unmarshal([]byte(ts.ReadFile(name)), &v); err != nil {
		ts.Fatalf("%s: %v", name, err)
	}
	return v
}

func pathsOf(ts *testscript.TestScript, name string) []any {
	m, _ := decode(ts, name).(map[string]any)
	p, ok := m["paths"].([]any)
	if !ok {
		ts.Fatalf("%s has no paths", name)
	}
	return p
}

func want(ts *testscript.TestScript, what string, v any, pairs []string) {
	for _, kv := range pairs {
		k, w, ok := strings.Cut(kv, "=")
		if !ok {
			ts.Fatalf("%q is not key=value", kv)
		}
		if got := lookUp(v, k); got != w {
			b, _ := json.MarshalIndent(v, "", "  ")
			ts.Fatalf("%s: %s is %q, want %q in\n%s", what, k, got, w, b)
		}
	}
}

// lookUp follows a dotted path and renders what is there; "absent" if nothing
// is. A trailing len counts the elements.
func lookUp(v any, path string) string {
	for key := range strings.SplitSeq(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			if key == "len" {
				return strconv.Itoa(len(at))
			}
			next, ok := at[key]
			if !ok {
				return "absent"
			}
			v = next
		case []any:
			if key == "len" {
				return strconv.Itoa(len(at))
			}
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(at) {
				return "absent"
			}
			v = at[i]
		default:
			return "absent"
		}
	}
	switch v := v.(type) {
	case nil:
		return "null"
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}
