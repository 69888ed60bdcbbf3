package plan

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// goodPlan is the file that the bad ones are made from, by replacing one text.
const goodPlan = `name: x
title: X
roles:
  client: a PC
  server: a server
rows:
  - id: a
    service: s
    name: A
    port: 80
    from: client
    to: server
    need: required
    why: Because.
    source: me
`

const refused = ` is YAML that is not read here (anchors, aliases, tags, merge keys, complex keys, directives): write the value out, or quote it`

var badPlans = []struct{ name, old, new, want string }{
	{"empty file", goodPlan, "", `plan.yaml:1: the file is empty: start from a copy of an existing one`},
	{"only a comment", goodPlan, "# nothing\n", `plan.yaml:1: the file is empty: start from a copy of an existing one`},
	{"not keys", goodPlan, "hello\n", `plan.yaml:1: not a list of keys: begin with "name: …"`},
	{"not YAML", "title: X", `title: "X`, `plan.yaml:2: not YAML (could not find end character of double-quoted text): check indentation, quotes and brackets there`},
	{"tab", "    port", "\tport", `plan.yaml:10: not YAML (found character '	' that cannot start any token): check indentation, quotes and brackets there`},
	{"not UTF-8", "name: A", "name: \xff", `plan.yaml:9: not UTF-8 text: save the file as UTF-8`},
	{"second document", "    source: me\n", "    source: me\n---\nname: y\n", `plan.yaml:16: a second YAML document: keep one per file`},
	{"anchor", "title: X", "title: &t X", `plan.yaml:2: "&t"` + refused},
	{"alias", "title: X", "title: *t", `plan.yaml:2: "*t"` + refused},
	{"merge key", "title: X", "<<: {title: X}", `plan.yaml:2: "<<"` + refused},
	{"tag", "title: X", "title: !!str X", `plan.yaml:2: "!!str"` + refused},
	{"complex key", "title: X", "? title\n: X", `plan.yaml:2: "?"` + refused},
	{"directive", "name: x", "%YAML 1.2\n---\nname: x", `plan.yaml:1: "%"` + refused},
	{"unprintable text", "title: X", `title: "X\u001b[31m"`, `plan.yaml:2: title contains the unprintable character U+001B: remove it`},
	{"text turned right to left", "title: X", "title: X\u202ey", `plan.yaml:2: title contains the unprintable character U+202E: remove it`},
	{"long text", "title: X", "title: " + strings.Repeat("x", maxText+1), `plan.yaml:2: title is longer than 2000 bytes: shorten it`},
	{"no title", "title: X\n", "", `plan.yaml:1: the plan has no "title": add it`},
	{"unknown key in the plan", "title: X\n", "title: X\ntitel: Y\n", `plan.yaml:3: unknown key "titel" in the plan: use one of name, title, revised, roles, external, sources, rows (did you mean title?)`},
	{"no rows", goodPlan[strings.Index(goodPlan, "rows:"):], "rows: []\n", `plan.yaml:6: rows is empty: begin each row with "- id: …"`},
	{"rows without value", goodPlan[strings.Index(goodPlan, "rows:"):], "rows:\n", `plan.yaml:6: rows must be a list: begin each row with "- id: …"`},
	{"row is text", "  - id: a", "  - text\n  - id: a", `plan.yaml:7: a row must be keys with values: write "- id: …" and the other keys below it`},
	{"unknown key in a row", "    port: 80", "    port: 80\n    prot: 80", `plan.yaml:11: unknown key "prot" in a row: use one of id, service, name, port, source_port, port_assumed, transport, speaks, from, to, need, expect, host, path, status, idle, apart, inferred, why, source (did you mean port?)`},
	{"key twice", "    port: 80", "    port: 80\n    port: 81", `plan.yaml:11: key "port" is already on line 10: keep one`},
	{"role twice", "  client: a PC", "  client: a PC\n  client: b", `plan.yaml:5: key "client" is already on line 4: keep one`},
	{"role is no slug", "  server: a server", "  server: a server\n  Web Server: c", `plan.yaml:6: role "Web Server": use lower-case letters, digits and inner hyphens, at most 64`},
	{"role all", "  server: a server", "  server: a server\n  all: c", `plan.yaml:6: role "all" stands for every role: use another name`},
	{"no roles", "roles:\n  client: a PC\n  server: a server", "roles: {}", `plan.yaml:3: roles is empty: add a line "role: what it is" for each`},
	{"unknown external role", "rows:", "external: [servers]\nrows:", `plan.yaml:6: unknown role "servers": use one of client, server (did you mean server?)`},
	{"id is no slug", "id: a", "id: A/1", `plan.yaml:7: id "A/1": use lower-case letters, digits and inner hyphens, at most 64`},
	{"id twice", "    source: me\n", "    source: me\n" + goodPlan[strings.Index(goodPlan, "  - id"):], `plan.yaml:16: row id "a" is already on line 7: give each row its own`},
	{"port 0", "port: 80", "port: 0", `plan.yaml:10: port "0": use a number from 1 to 65535, or high`},
	{"port 65536", "port: 80", "port: 65536", `plan.yaml:10: port "65536": use a number from 1 to 65535, or high`},
	{"negative port", "port: 80", "port: -1", `plan.yaml:10: port "-1": use a number from 1 to 65535, or high`},
	{"octal port", "port: 80", "port: 010", `plan.yaml:10: port "010": use a number from 1 to 65535, or high`},
	{"port in words", "port: 80", "port: eighty", `plan.yaml:10: port "eighty": use a number from 1 to 65535, or high`},
	{"port is a list", "port: 80", "port: [80, 81]", `plan.yaml:10: port must be one value, not a list or keys: write "port: value"`},
	{"port without value", "port: 80", "port:", `plan.yaml:10: port has no value: write one, or remove the line`},
	{"empty name", "name: A", `name: " "`, `plan.yaml:9: name is empty: write a value, or remove the line`},
	{"source port", "port: 80", "port: 80\n    source_port: 70000", `plan.yaml:11: source_port "70000": use a number from 1 to 65535, or remove the line`},
	{"assumed port", "port: 80", "port: 80\n    port_assumed: maybe", `plan.yaml:11: port_assumed "maybe": use true or false`},
	{"assumed high port", "port: 80", "port: high\n    port_assumed: true", `plan.yaml:11: port_assumed with port high: write the usual port, or remove the line`},
	{"unknown transport", "port: 80", "port: 80\n    transport: sctp", `plan.yaml:11: unknown transport "sctp": use one of tcp, udp`},
	{"unknown need", "need: required", "need: require", `plan.yaml:13: unknown need "require": use one of required, conditional, optional, legacy, unknown (did you mean required?)`},
	{"a path of what is no web service", "port: 80", "port: 80\n    speaks: smtp\n    path: /x", `plan.yaml:12: path "/x": give it to rows that speak http or https, and begin it with / (letters, digits and / - . _ ~ % only)`},
	{"a path with a query", "port: 80", "port: 80\n    speaks: http\n    path: /x?y", `plan.yaml:12: path "/x?y": give it to rows that speak http or https, and begin it with / (letters, digits and / - . _ ~ % only)`},
	{"a status that is none", "port: 80", "port: 80\n    speaks: http\n    status: [200, ok]", `plan.yaml:12: status "ok": give numbers from 200 to 599 to rows that speak http or https`},
	{"unknown protocol", "port: 80", "port: 80\n    speaks: gopher", `plan.yaml:11: unknown speaks "gopher": use one of ` + join(Protocols, ", ")},
	{"a protocol over the wrong transport", "port: 80", "port: 80\n    speaks: sql-browser", `plan.yaml:11: speaks sql-browser over tcp: only sql-browser is spoken over udp, and over nothing else`},
	{"unknown expect", "port: 80", "port: 80\n    expect: shut", `plan.yaml:11: unknown expect "shut": use one of open, closed`},
	{"unknown role to", "to: server", "to: sql", `plan.yaml:12: unknown role "sql": use one of client, server`},
	{"unknown role in a list of from", "from: client", "from:\n      - client\n      - sevrer", `plan.yaml:13: unknown role "sevrer": use one of client, server (did you mean server?)`},
	{"from twice", "from: client", "from: [client, client]", `plan.yaml:11: from names "client" twice: keep one`},
	{"from nobody", "from: client", "from: []", `plan.yaml:11: from is empty: name the role that opens the connection`},
	{"host with port", "port: 80", "port: 80\n    host: example.org:80", `plan.yaml:11: host "example.org:80": use one host name or IP address, without port or path (give the name or address alone, example.org; the plan has the ports, and --port changes them, such as --port sql-client=14330)`},
	{"mistyped address", "port: 80", "port: 80\n    host: 10.0.0.256", `plan.yaml:11: host "10.0.0.256": use one host name or IP address, without port or path (256 is more than 255, which is the most that an octet can be)`},
	{"no source", "    source: me\n", "", `plan.yaml:7: row "a" has no "source": add who says so`},
	{"idle that is no time", "    port: 80", "    port: 80\n    idle: long", `plan.yaml:11: idle "long": use a time from 1m to 24h, such as 8h, or remove the line`},
	{"idle of a week", "    port: 80", "    port: 80\n    idle: 168h", `plan.yaml:11: idle "168h": use a time from 1m to 24h, such as 8h, or remove the line`},
	{"error after a folded text", "why: Because.", "why: >\n      Because\n      of this.\n    prot: 1", `plan.yaml:17: unknown key "prot" in a row: use one of id, service, name, port, source_port, port_assumed, transport, speaks, from, to, need, expect, host, path, status, idle, apart, inferred, why, source (did you mean port?)`},
	{"several problems, in order of lines", "port: 80\n    from: client\n    to: server", "port: 0\n    from: clint\n    to: srver",
		"plan.yaml:10: port \"0\": use a number from 1 to 65535, or high\n" +
			"plan.yaml:11: unknown role \"clint\": use one of client, server (did you mean client?)\n" +
			"plan.yaml:12: unknown role \"srver\": use one of client, server (did you mean server?)"},
}

func TestBadPlanNamesFileLineValueAndWhatToDo(t *testing.T) {
	if _, err := decodePlan("plan.yaml", []byte(goodPlan)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range badPlans {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Count(goodPlan, tt.old) != 1 {
				t.Fatalf("%q is not once in the good plan", tt.old)
			}
			bad := strings.Replace(goodPlan, tt.old, tt.new, 1)
			for _, eol := range []string{"\n", "\r\n"} {
				_, err := decodePlan("plan.yaml", []byte(strings.ReplaceAll(bad, "\n", eol)))
				if err == nil {
					t.Fatal("no error")
				}
				if err.Error() != tt.want {
					t.Errorf("line ends %q\ngot  %s\nwant %s", eol, err, tt.want)
				}
			}
		})
	}
}

func TestPlanReadsEveryNotation(t *testing.T) {
	file := "\ufeff---\n" + `
{name: x, title: 2006, external: far, roles: {near: this, far: "that"}, rows: [
  {id: a, service: s, name: 'A', port: "80", source_port: 20, port_assumed: true, transport: udp, from: [near, far],
   to: far, need: legacy, expect: closed, host: "2001:db8::1", why: "one
   sentence.", source: me}]}
`
	p, err := decodePlan("p", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	want := Row{ID: "a", Service: "s", Name: "A", Port: 80, PlanPort: 80, SourcePort: 20, PlanSourcePort: 20, PortAssumed: true, Transport: UDP,
		From: []Role{"near", "far"}, To: "far", Need: Legacy, Expect: ExpectClosed, Host: "2001:db8::1", Why: "one sentence.", Source: "me"}
	if got := p.Rows[0]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if p.Title != "2006" || !p.IsExternal("far") || p.IsExternal("near") {
		t.Errorf("title %q, external %v", p.Title, p.External)
	}
}

func TestRoleThatARowGivesAHostIsExternal(t *testing.T) {
	p, err := decodePlan("p", []byte(strings.Replace(goodPlan, "port: 80", "port: 80\n    host: example.org", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if !p.IsExternal(RoleServer) || p.IsExternal(RoleClient) {
		t.Errorf("external: %v", p.External)
	}
}

func TestLoadReadsAFileAndExplainsAnUnknownName(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ares.yaml")
	if err := os.WriteFile(file, []byte(goodPlan), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := Load(file); err != nil || p.Name != "x" {
		t.Errorf("Load(%s): %v", file, err)
	}
	_, err := Load("iliad")
	if want := `no plan "iliad": use one of illiad, illiad-2006, illiad-hosted, illiad-10, ares (did you mean illiad?), or the path of a plan file`; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, err = Load(dir); err == nil {
		t.Error("a folder was read as a plan")
	}
	if err := os.WriteFile(file, make([]byte, maxFileBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(file)
	if want := file + ": larger than 1048576 bytes: shorten it"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestTooManyRowsAreRefusedAndTheMostAreRead(t *testing.T) {
	head, row := goodPlan[:strings.Index(goodPlan, "  - id")], "  - {id: r%d, service: s, name: A, port: 80, from: client, to: server, need: required, why: Because., source: me}\n"
	var b strings.Builder
	b.WriteString(head)
	for i := range maxRows {
		fmt.Fprintf(&b, row, i)
	}
	p, err := decodePlan("p", []byte(b.String()))
	if err != nil || len(p.Rows) != maxRows {
		t.Fatalf("%d rows: %v", maxRows, err)
	}
	fmt.Fprintf(&b, row, maxRows)
	_, err = decodePlan("p", []byte(b.String()))
	if want := "p:6: 4097 rows, more than 4096: split the plan"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestProblemsBeyondTheFirstTwentyAreCounted(t *testing.T) {
	bad := goodPlan + strings.Repeat("  - text\n", 30)
	_, err := decodePlan("p", []byte(bad))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxProblems+1 || lines[maxProblems] != "p: 10 more problems: mend these first" {
		t.Errorf("%d lines, the last is %s", len(lines), lines[len(lines)-1])
	}
}

// hostile are files made to be expensive to read. All are refused.
func hostile() map[string]string {
	const size = maxFileBytes / 2
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	count := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	var deep strings.Builder
	for i := 0; deep.Len() < size; i++ {
		deep.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'z'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), ", "))
	}
	return map[string]string{
		"alias bomb":              bomb,
		"alias bomb under rows":   goodPlan + "    host: &h [*h, *h]\n",
		"merge bomb":              "a: &a {b: c}\nd:\n  <<: [*a, *a, *a]\n",
		"brackets":                fill("["),
		"braces":                  fill("{"),
		"pairs of brackets":       fill("[]"),
		"dashes":                  fill("- "),
		"keys on one line":        fill("a: "),
		"question marks":          fill("? "),
		"anchors":                 fill("&a "),
		"tags":                    fill("!a "),
		"reserved characters":     fill("@"),
		"quoted words":            fill(`"a" `),
		"keys":                    count("k%d: v\n"),
		"roles":                   "roles:\n" + count("  k%d: v\n"),
		"keys in braces":          "{" + count("k%d: v,") + "}",
		"nesting":                 deep.String(),
		"lists of keys":           fill("- a: b\n"),
		"unknown roles":           goodPlan + "external: [" + strings.Repeat("nobody, ", maxRows-1) + "]\n",
		"documents":               fill("---\n"),
		"colons":                  fill(": "),
		"flow pairs":              "[" + fill("a: b, ") + "]",
		"a key, colons, brackets": "{" + fill("a: ") + "}",
	}
}

func TestHostileFilesAreRefusedInBoundedTimeAndMemory(t *testing.T) {
	p := load(t, "illiad")
	for name, file := range hostile() {
		t.Run(name, func(t *testing.T) {
			if len(file) > maxFileBytes {
				t.Fatalf("%d bytes: refused for its size only", len(file))
			}
			for kind, decode := range map[string]func() error{
				"plan": func() error { _, err := decodePlan("p", []byte(file)); return err },
				"site": func() error { _, err := decodeSite("s", []byte(file), p); return err },
			} {
				if kind == "site" && len(file) > 64<<10 {
					continue // it takes the same way, and the race detector makes it slow
				}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := time.Now()
				err := decode()
				took := time.Since(start)
				runtime.ReadMemStats(&after)
				if err == nil {
					t.Errorf("%s: no error", kind)
				} else if n := len(err.Error()); n > 32<<10 {
					t.Errorf("%s: the error has %d bytes", kind, n)
				}
				// What is read at all is a few hundred bytes per token; a bomb
				// that went off would not end.
				if took > time.Minute { // a guard against a hang, not a measure
					t.Errorf("%s: took %v", kind, took)
				}
				if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<30 {
					t.Errorf("%s: allocated %d MiB", kind, grown>>20)
				}
				t.Logf("%s: %v, %d MiB: %.80s", kind, took, (after.TotalAlloc-before.TotalAlloc)>>20, err)
			}
		})
	}
}

func FuzzPlan(f *testing.F) {
	for _, name := range Names() {
		data, err := builtin.ReadFile(name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(goodPlan))
	for _, tt := range badPlans {
		f.Add([]byte(strings.Replace(goodPlan, tt.old, tt.new, 1)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decodePlan("p", data)
		if (p == nil) == (err == nil) {
			t.Fatalf("plan %v with error %v", p, err)
		}
		if err != nil {
			if !strings.HasPrefix(err.Error(), "p:") {
				t.Errorf("error does not name the file: %v", err)
			}
			return
		}
		if len(p.Rows) == 0 {
			t.Error("a plan without rows")
		}
		for _, r := range p.Rows {
			if r.ID == "" || r.Service == "" || len(r.From) == 0 || r.To == "" || r.Need == "" || r.Expect == "" || r.Transport == "" ||
				r.Port < 0 || r.Port > maxPort || r.SourcePort < 0 || r.SourcePort > maxPort {
				t.Errorf("bad row: %+v", r)
			}
		}
		// A plan that loads can be used whole.
		out, _, err := p.Apply(Change{})
		if err != nil {
			t.Fatal(err)
		}
		if flows, left, err := out.Select(Query{All: true}); err != nil || len(flows)+len(left) != len(p.Rows) ||
			slices.ContainsFunc(left, func(x Excluded) bool { return x.Row.Expect == ExpectOpen }) {
			t.Errorf("%d flows, %d left out of %d rows: %v", len(flows), len(left), len(p.Rows), err)
		}
	})
}
