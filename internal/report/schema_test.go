package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"dialtone/internal/result"
)

const schemaFile = "../../docs/report.schema.json"

func schemaDoc(t *testing.T) map[string]any { return readSchema(t, schemaFile) }

func readSchema(t *testing.T, file string) map[string]any {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return doc.(map[string]any)
}

func compileSchema(t *testing.T) *jsonschema.Schema { return compile(t, schemaFile) }

func compile(t *testing.T, file string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	if err := c.AddResource("report.json", readSchema(t, file)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("report.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func decode(t *testing.T, s string) map[string]any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	return v.(map[string]any)
}

func TestReportsMatchTheSchema(t *testing.T) {
	schema := compileSchema(t)
	for name, r := range map[string]*result.Report{
		"all open": allOpen(), "mixed": mixedBag(), "no contact": noContact(), "interrupted": interrupted(),
		"two families": twoFamilies(), "no paths": base(), "every verdict": everything(),
	} {
		if err := schema.Validate(decode(t, render(t, JSON, r, Options{}))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// set puts value where the dotted path leads in v.
func set(t *testing.T, v any, path string, value any) {
	t.Helper()
	keys := strings.Split(path, ".")
	for i, k := range keys {
		last := i == len(keys)-1
		switch in := v.(type) {
		case map[string]any:
			if _, ok := in[k]; !ok && value == gone {
				t.Fatalf("%s: no %s to take away", path, k)
			}
			switch {
			case last && value == gone:
				delete(in, k)
			case last:
				in[k] = value
			default:
				v = in[k]
			}
		case []any:
			n, err := strconv.Atoi(k)
			if err != nil || last {
				t.Fatalf("%s: cannot set %s", path, k)
			}
			v = in[n]
		default:
			t.Fatalf("%s: nothing at %s", path, k)
		}
	}
}

// gone in place of a value takes the key away.
var gone = &struct{ int }{}

func TestSchemaRejects(t *testing.T) {
	schema := compileSchema(t)
	good := render(t, JSON, everything(), Options{})
	type mutation struct {
		path  string
		value any
	}
	mutations := []mutation{
		{"schema", "dialtone.report/2"},
		{"started", "2026-03-17 21:51:40"},
		{"started", "2026-03-17T21:51:40Z"},
		{"started", "2026-03-17T21:51:40.123-05:00"},
		{"elapsed_ms", "4213"},
		{"elapsed_ms", 1.5},
		{"interrupted", nil},
		{"from.addresses", nil},
		{"contact", false},
		{"contact.witness", "eyes"},
		{"contact.clock_ms", "0"},
		{"contact.busy.0.port", 65536},
		{"contact.busy.0.transport", "TCP"},
		{"paths", nil},
		{"paths.0.verdict", "blocked"},
		{"paths.0.verdict", ""},
		{"paths.0.ok", "yes"},
		{"paths.0.ok", nil},
		{"paths.0.proof", ""},
		{"paths.0.direction", "backward"},
		{"paths.0.family", "ipv4"},
		{"paths.0.need", "mandatory"},
		{"paths.0.expect", "filtered"},
		{"paths.0.transport", "sctp"},
		{"paths.0.port", -1},
		{"paths.0.port", "1433"},
		{"paths.0.at", 1773784300},
		{"paths.0.source", "192.0.2.5"},
		{"paths.0.source", "2001:db8::1:80"},
		{"paths.0.source", ""},
		{"paths.0.rtt_ms", -1},
		{"paths.0.finding", "blocked"},
		{"paths.0.finding.code", "Not A Code"},
		{"paths.0.notes", nil},
		{"paths.0.initiator.connect", "ok"},
		{"paths.0.initiator.answer", "hello"},
		{"paths.0.initiator.sent.outcome", "fine"},
		{"paths.0.initiator.icmp.code", 256},
		{"paths.0.acceptor.saw", "something"},
		{"paths.0.acceptor.port", "open"},
		{"paths.0.acceptor.match", "guess"},
		{"summary.verdicts.blocked", 1},
		{"summary.verdicts.open", "1"},
	}
	for _, key := range []string{"schema", "started", "elapsed_ms", "plan", "from", "to", "contact", "paths", "summary",
		"from.role", "from.host", "from.addresses", "summary.ok", "summary.verdicts", "findings.0.code", "findings.0.text", "findings.0.advice"} {
		mutations = append(mutations, mutation{key, gone})
	}
	for _, key := range []string{"flow", "service", "port", "plan_port", "transport", "direction", "from", "to", "need", "verdict", "ok", "proof",
		"at", "source", "target", "seen_as", "attempts", "rtt_ms", "initiator", "acceptor", "finding", "notes"} {
		mutations = append(mutations, mutation{"paths.0." + key, gone})
	}
	for _, m := range mutations {
		v := decode(t, good)
		set(t, v, m.path, m.value)
		if err := schema.Validate(v); err == nil {
			t.Errorf("%s = %v (%v: taken away) passes", m.path, m.value, m.value == gone)
		}
	}
}

func TestSchemaAllowsNewFields(t *testing.T) {
	schema := compileSchema(t)
	v := decode(t, render(t, JSON, everything(), Options{}))
	for _, path := range []string{"new", "paths.0.new", "paths.0.initiator.new", "contact.new", "summary.new"} {
		set(t, v, path, "something")
	}
	if err := schema.Validate(v); err != nil {
		t.Error(err)
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
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				s := s.(*ast.ValueSpec)
				id, ok := s.Type.(*ast.Ident)
				if !ok {
					continue
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
			}
		}
	}
	return out
}

// The schemas' enumerations are those of the source, so neither can change without
// the other: with -update they are written.
func TestSchemasKnowEveryConstant(t *testing.T) {
	consts := constants(t, "../result")
	maps.Copy(consts, constants(t, "../plan"))
	types := map[string]string{
		"verdict": "Verdict", "proof": "Proof", "direction": "Direction", "family": "Family", "need": "Need", "expect": "Expect",
		"transport": "Transport", "witness": "WitnessState", "connect": "ConnectOutcome", "answer": "AnswerOutcome",
		"transfer_outcome": "TransferOutcome", "port_state": "PortState", "sighting": "Sighting", "match": "Match", "clock_source": "ClockSource",
		"lack": "Lack", "drop": "Drop", "tested_by": "TestedBy",
		"view_test": "ViewTest", "view_outcome": "ViewOutcome", "behaviour": "MappingBehaviour", "method": "MappingMethod", "ports": "PortMapping",
		"inbound_outcome": "InboundOutcome", "ended": "Ended", "purpose": "Purpose", "idle_outcome": "IdleOutcome", "drawn": "Drawn", "reached": "Reached", "relation": "Relation", "aspect": "Aspect", "change": "Change",
	}
	files, err := filepath.Glob("../../docs/*.schema.json")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		for def, schema := range readSchema(t, file)["$defs"].(map[string]any) {
			enum, ok := schema.(map[string]any)["enum"].([]any)
			if !ok {
				continue
			}
			want := slices.Clone(consts[types[def]])
			if def == "connect" {
				want = append(want, "") // no attempt was made
			}
			var got []string
			for _, v := range enum {
				got = append(got, v.(string))
			}
			if slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
				continue
			}
			if !*update || len(want) == 0 {
				t.Errorf("%s: $defs/%s has %q, the constants of %q are %q", file, def, got, types[def], want)
				continue
			}
			writeEnum(t, file, def, want)
		}
	}
}

// writeEnum puts the values of a definition into a schema's file, and leaves the rest
// of it as it is.
func writeEnum(t *testing.T, file, def string, values []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	list, err := json.MarshalIndent(values, "      ", "  ")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), "\n    "+strconv.Quote(def)+": {\n")
	before, after, enum := strings.Cut(rest, `"enum": [`)
	_, after, end := strings.Cut(after, "]")
	if !ok || !enum || !end {
		t.Fatalf("%s: no enumeration of %s", file, def)
	}
	if err := os.WriteFile(file, []byte(head+"\n    "+strconv.Quote(def)+": {\n"+before+`"enum": `+string(list)+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Every field that a report can have is described, and required unless it is
// left out when empty.
func TestSchemaDescribesEveryField(t *testing.T) {
	doc := schemaDoc(t)
	defs := doc["$defs"].(map[string]any)
	for _, c := range []struct {
		schema map[string]any
		value  any
	}{
		{doc, result.Report{}},
		{doc["properties"].(map[string]any)["summary"].(map[string]any), result.Summary{}},
		{defs["end"].(map[string]any), result.End{}},
		{defs["contact"].(map[string]any), result.Contact{}},
		{defs["busy_port"].(map[string]any), result.BusyPort{}},
		{defs["holder"].(map[string]any), result.Holder{}},
		{defs["path"].(map[string]any), result.Path{}},
		{defs["out_of_scope"].(map[string]any), result.OutOfScope{}},
		{defs["finding"].(map[string]any), result.Finding{}},
		{defs["note"].(map[string]any), result.Note{}},
		{defs["initiator"].(map[string]any), result.Initiator{}},
		{defs["acceptor"].(map[string]any), result.Acceptor{}},
		{defs["icmp"].(map[string]any), result.ICMP{}},
		{defs["transfer"].(map[string]any), result.Transfer{}},
		{defs["failed"].(map[string]any), result.Failed{}},
		{defs["listened"].(map[string]any), result.Listened{}},
		{defs["listened_port"].(map[string]any), result.ListenedPort{}},
		{defs["arrival"].(map[string]any), result.Arrival{}},
		{defs["expected_port"].(map[string]any), result.ExpectedPort{}},
		{defs["visitor"].(map[string]any), result.Visitor{}},
		{defs["visit"].(map[string]any), result.Visit{}},
		{defs["told"].(map[string]any), result.Told{}},
		{defs["browsed"].(map[string]any), result.Browsed{}},
		{defs["join"].(map[string]any), result.Join{}},
		{defs["joined"].(map[string]any), result.Joined{}},
		{defs["repeated"].(map[string]any), result.Repeated{}},
	} {
		describes(t, c.schema, reflect.TypeOf(c.value))
	}
}

// describes reports what a schema and a struct do not have in common. Fields of
// an embedded struct are the struct's own.
func describes(t *testing.T, schema map[string]any, typ reflect.Type) {
	t.Helper()
	props := schema["properties"].(map[string]any)
	required, _ := json.Marshal(schema["required"])
	n := 0
	for _, field := range reflect.VisibleFields(typ) {
		if field.Anonymous || field.Tag.Get("json") == "-" {
			continue
		}
		n++
		key, option, _ := strings.Cut(field.Tag.Get("json"), ",")
		p, ok := props[key].(map[string]any)
		if !ok {
			t.Errorf("%s.%s: no property %q", typ, field.Name, key)
			continue
		}
		if d, _ := p["description"].(string); d == "" {
			t.Errorf("property %q of %s has no description", key, typ)
		}
		if strings.HasSuffix(key, "_ms") && !strings.Contains(fmt.Sprint(p["description"]), "illiseconds") {
			t.Errorf("property %q of %s names no unit", key, typ)
		}
		if got, want := bytes.Contains(required, []byte(strconv.Quote(key))), option != "omitempty" && option != "omitzero"; got != want {
			t.Errorf("property %q of %s: required is %v, want %v", key, typ, got, want)
		}
	}
	if len(props) != n {
		t.Errorf("%s has %d fields, the schema %d properties", typ, n, len(props))
	}
}
