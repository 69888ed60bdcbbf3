package plan

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const goodSite = `name: Example University
roles:
  server: illiad.example.edu
  database: [sql.example.edu, 10.1.2.3]
  opac: z.example.edu
ports:
  z3950: 2200
  odyssey: 7969
  rdp: 13389
uses:
  - sql-browser
  - iso
`

func loadSite(t *testing.T, text string, p *Plan) *Site {
	t.Helper()
	s, err := decodeSite("site.yaml", []byte(text), p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLoadSiteReadsRolesPortsAndUses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "site.yaml")
	if err := os.WriteFile(file, []byte(goodSite), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := LoadSite(file, load(t, "illiad"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "Example University" || !s.UsesSet || !slices.Equal(s.Uses, []string{"sql-browser", "iso"}) {
		t.Errorf("got %+v", s)
	}
	if want := map[string]int{"z3950": 2200, "odyssey": 7969, "rdp": 13389}; !reflect.DeepEqual(s.Ports, want) {
		t.Errorf("ports %v, want %v", s.Ports, want)
	}
	if want := []string{"sql.example.edu", "10.1.2.3"}; !slices.Equal(s.Hosts[RoleDatabase], want) {
		t.Errorf("database %v, want %v", s.Hosts[RoleDatabase], want)
	}
	if _, err := LoadSite(file+"x", load(t, "illiad")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestUsesIsUnsetEmptyOrOneValue(t *testing.T) {
	p := load(t, "illiad")
	for text, want := range map[string]struct {
		uses []string
		set  bool
	}{
		"name: a\n":             {nil, false},
		"name: a\nuses: []\n":   {nil, true},
		"name: a\nuses: smtp\n": {[]string{"smtp"}, true},
	} {
		if s := loadSite(t, text, p); s.UsesSet != want.set || !slices.Equal(s.Uses, want.uses) {
			t.Errorf("%q: uses %v, set %v", text, s.Uses, s.UsesSet)
		}
	}
}

func TestBadSiteNamesFileLineValueAndWhatToDo(t *testing.T) {
	const roles = "client, server, web, database, peer, patron, admin, reports, oclc, atlas, ldap, ils, opac, mail, addons"
	for _, tt := range []struct{ name, old, new, want string }{
		{"empty file", goodSite, "", `site.yaml:1: the file is empty: start from a copy of an existing one`},
		{"unknown key", "ports:", "port:", `site.yaml:6: unknown key "port" in the site file: use one of name, institution, contact, roles, ports, uses, addresses (did you mean ports?)`},
		{"contact that is no text", "ports:", "contact: {mail: a@example.edu}\nports:", `site.yaml:6: contact must be one value, not a list or keys: write "contact: value"`},
		{"contact without value", "ports:", "contact:\nports:", `site.yaml:6: contact has no value: write one, or remove the line`},
		{"contact that is a letter", "ports:", "contact: " + strings.Repeat("long ", 61) + "\nports:", `site.yaml:6: contact is longer than 300 bytes: shorten it`},
		{"institution twice", "ports:", "institution: A\ninstitution: B\nports:", `site.yaml:7: key "institution" is already on line 6: keep one`},
		{"unknown role", "  opac:", "  sql:", `site.yaml:5: unknown role "sql": use one of ` + roles},
		{"role twice", "  opac: z", "  server: z", `site.yaml:5: key "server" is already on line 3: keep one`},
		{"host with port", "illiad.example.edu", "illiad.example.edu:1433", `site.yaml:3: host "illiad.example.edu:1433": use one host name or IP address, without port or path (give the name or address alone, illiad.example.edu; the plan has the ports, and --port changes them, such as --port sql-client=14330)`},
		{"host is a URL", "z.example.edu", "http://z.example.edu/", `site.yaml:5: host "http://z.example.edu/": use one host name or IP address, without port or path (give the name or address alone, z.example.edu; the plan has the ports, and --port changes them, such as --port sql-client=14330)`},
		{"role without host", " illiad.example.edu", "", `site.yaml:3: role "server" has no value: write one, or remove the line`},
		{"port of nothing", "z3950: 2200", "z3905: 2200", `site.yaml:7: unknown row id or service "z3905": did you mean z3950?`},
		{"port out of range", "2200", "70000", `site.yaml:7: port of "z3950" "70000": use a number from 1 to 65535`},
		{"high port", "2200", "high", `site.yaml:7: port of "z3950" "high": use a number from 1 to 65535`},
		{"service with several ports", "rdp:", "web:", `site.yaml:9: service "web" has several ports: set them row by row: web-http (80), web-https (443)`},
		{"port that the other end names", "rdp:", "ftp-data-client:", `site.yaml:9: "ftp-data-client" has no port to set, the accepting end names one each time: remove it`},
		{"uses nothing known", "  - iso", "  - isoill", `site.yaml:12: unknown row id or service "isoill": did you mean iso?`},
		{"uses without value", "uses:\n  - sql-browser\n  - iso", "uses:", `site.yaml:10: uses has no value: write one, or remove the line`},
		{"two problems", "10.1.2.3]\n  opac:", "10.1.2.300]\n  opak:", `site.yaml:4: host "10.1.2.300": use one host name or IP address, without port or path (300 is more than 255, which is the most that an octet can be)` + "\n" +
			`site.yaml:5: unknown role "opak": use one of ` + roles + ` (did you mean opac?)`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Count(goodSite, tt.old) != 1 {
				t.Fatalf("%q is not once in the good site file", tt.old)
			}
			_, err := decodeSite("site.yaml", []byte(strings.Replace(goodSite, tt.old, tt.new, 1)), load(t, "illiad"))
			if err == nil {
				t.Fatal("no error")
			}
			if err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
		})
	}
}

func TestRolesOfAHost(t *testing.T) {
	p := load(t, "illiad")
	const one = "roles: {server: illiad.example.edu}"
	const three = "roles: {server: [illiad.example.edu, \"2001:db8::1\"], web: www.example.edu, database: [10.0.0.5, 10.0.0.6]}"
	const noWeb = "roles: {server: illiad.example.edu, database: sql.example.edu}"
	for _, tt := range []struct{ site, host, want string }{
		{one, "illiad.example.edu", "server,web,database"},
		{one, "ILLiad.Example.EDU.", "server,web,database"},
		{one, "illiad", ""},
		{three, "illiad.example.edu", "server"},
		{three, "www.example.edu", "web"},
		{three, "10.0.0.6", "database"},
		{three, "::ffff:10.0.0.6", "database"},
		{three, "[2001:0db8:0::1]", "server"},
		{three, "10.0.0.60", ""},
		{noWeb, "illiad.example.edu", "server,web"},
		{noWeb, "sql.example.edu", "database"},
		{"roles: {server: a.example, peer: a.example, ldap: a.example}", "a.example", "server,web,database,peer,ldap"},
		{"roles: {web: a.example}", "a.example", "web"},
		{"name: none", "a.example", ""},
	} {
		got := loadSite(t, tt.site, p).RolesOf(tt.host)
		if join(got, ",") != tt.want || (got == nil) != (tt.want == "") {
			t.Errorf("%s: roles of %s are %v, want %s", tt.site, tt.host, got, tt.want)
		}
	}
	// A Site made by hand knows no plan: sorted.
	if got := (&Site{Hosts: map[Role][]string{RoleServer: {"a"}}}).RolesOf("a"); join(got, ",") != "database,server,web" {
		t.Errorf("made by hand: %v", got)
	}
	if got := (&Site{}).RolesOf("a"); got != nil {
		t.Errorf("of the zero Site: %v", got)
	}
	// A plan without those roles is not given them.
	other, err := decodePlan("p", []byte(goodPlan))
	if err != nil {
		t.Fatal(err)
	}
	if got := loadSite(t, one, other).RolesOf("illiad.example.edu"); join(got, ",") != "server" {
		t.Errorf("in a plan without web and database: %v", got)
	}
}

func rowOf(t *testing.T, p *Plan, id string) Row {
	t.Helper()
	for _, r := range p.Rows {
		if r.ID == id {
			return r
		}
	}
	t.Fatalf("no row %s", id)
	return Row{}
}

func TestApplySetsPortsInOrderOfPrecedence(t *testing.T) {
	p := load(t, "illiad")
	site := &Site{Ports: map[string]int{"odyssey": 7000, "odyssey-in": 7001, "z3950": 2200, "iso": 1700}}
	out, left, err := p.Apply(Change{Site: site, Ports: map[string]int{"iso-in": 1801, "iso": 1800, "rdp": 65535}, Shift: 10000})
	if err != nil || left != nil {
		t.Fatal(err, left)
	}
	for id, want := range map[string]int{
		"sql-client":      11433, // plan and shift
		"odyssey-client":  17000, // service of the site, and shift
		"odyssey-in":      17001, // row of the site, and shift
		"z3950":           12200,
		"iso-out":         1800, // service on the command line: exact
		"iso-in":          1801, // row on the command line: exact
		"rdp":             65535,
		"ftp-data-client": 0, // still high
	} {
		r := rowOf(t, out, id)
		if r.Port != want || r.PlanPort != rowOf(t, p, id).Port {
			t.Errorf("%s: port %d (plan %d), want %d", id, r.Port, r.PlanPort, want)
		}
	}
	if r := rowOf(t, out, "ftp-data-server"); r.SourcePort != 10020 || r.PlanSourcePort != 20 {
		t.Errorf("source port %d, plan %d", r.SourcePort, r.PlanSourcePort)
	}
	if rowOf(t, out, "z3950").PortAssumed || !rowOf(t, p, "z3950").PortAssumed {
		t.Error("a port that the site set is assumed, or the plan was changed")
	}
	if b := out.Ports([]Role{RolePeer}); len(b) != 2 || b[0].Port != 17000 || b[0].PlanPort != 7968 {
		t.Errorf("bindings of peer: %+v", b)
	}
}

func TestApplyKeepsAnAssumedPortAssumedUnderAShift(t *testing.T) {
	p := load(t, "illiad")
	out, _, err := p.Apply(Change{Shift: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if r := rowOf(t, out, "z3950"); !r.PortAssumed || r.Port != 1210 {
		t.Errorf("got %+v", r)
	}
	if out, _, _ = p.Apply(Change{Ports: map[string]int{"z3950": 210}}); rowOf(t, out, "z3950").PortAssumed {
		t.Error("a port set on the command line is assumed")
	}
}

func TestApplyMakesUsedRowsRequiredAndLeavesOutUnusedConditionalOnes(t *testing.T) {
	p := load(t, "illiad")
	out, left, err := p.Apply(Change{Site: &Site{Uses: []string{"iso", "ldap", "rdp", "odyssey-back", "direct-request"}, UsesSet: true}})
	if err != nil {
		t.Fatal(err)
	}
	// Conditional, optional, unknown and legacy alike; "ldap" is the row, not the service.
	for _, id := range []string{"iso-out", "iso-in", "ldap", "rdp", "odyssey-back", "direct-request", "sql-client"} {
		if r := rowOf(t, out, id); r.Need != Required {
			t.Errorf("%s is %s", id, r.Need)
		}
	}
	for id, need := range map[string]Need{"z3950": Optional, "ftp-control": Legacy} {
		if r := rowOf(t, out, id); r.Need != need {
			t.Errorf("%s is %s", id, r.Need)
		}
	}
	var ids []string
	for _, x := range left {
		ids = append(ids, x.Row.ID)
		if x.Why != "this site does not use it" {
			t.Errorf("%s: %s", x.Row.ID, x.Why)
		}
	}
	if want := []string{"sql-web", "sql-server", "sql-browser", "sql-reports", "sql-closed", "sql-alt-closed", "web-http", "ldaps", "patronapi", "patronapi-tls", "smtp", "smtp-submission", "smtps"}; !slices.Equal(ids, want) {
		t.Errorf("left out %v, want %v", ids, want)
	}
	if len(out.Rows)+len(left) != len(p.Rows) {
		t.Errorf("%d rows and %d left out of %d", len(out.Rows), len(left), len(p.Rows))
	}
}

func TestApplyKeepsConditionalRowsWhereTheSiteDoesNotSay(t *testing.T) {
	p := load(t, "illiad")
	for _, c := range []Change{{}, {Site: &Site{Hosts: map[Role][]string{RoleServer: {"a"}}}}} {
		out, left, err := p.Apply(c)
		if err != nil || left != nil || len(out.Rows) != len(p.Rows) {
			t.Fatalf("%d rows, left out %v: %v", len(out.Rows), left, err)
		}
		if r := rowOf(t, out, "iso-in"); r.Need != Conditional {
			t.Errorf("iso-in is %s", r.Need)
		}
	}
}

func TestApplyGivesExternalRowsTheSitesHosts(t *testing.T) {
	out, _, err := load(t, "illiad").Apply(Change{Site: &Site{Hosts: map[Role][]string{
		"ldap": {"ad1.example.edu", "ad2.example.edu"}, "oclc": {"proxy.example.edu"}, RoleServer: {"illiad.example.edu"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		"ldap": "ad1.example.edu", "ldaps": "ad1.example.edu", "oclc-client": "proxy.example.edu", "direct-request": "proxy.example.edu",
		"update-client": "update.atlas-sys.com", "patronapi": "", "odyssey-client": "", "ftp-data-server": "",
	} {
		if r := rowOf(t, out, id); r.Host != want {
			t.Errorf("%s: host %q, want %q", id, r.Host, want)
		}
	}
}

func TestApplyDoesNotChangeThePlan(t *testing.T) {
	p, untouched := load(t, "illiad"), load(t, "illiad")
	out, _, err := p.Apply(Change{Site: &Site{Uses: []string{"smtp"}, UsesSet: true, Hosts: map[Role][]string{"ldap": {"a"}}}, Shift: 100})
	if err != nil {
		t.Fatal(err)
	}
	for i := range out.Rows {
		out.Rows[i].From[0] = "changed"
	}
	out.External[0] = "changed"
	out.Roles[RoleClient] = "changed"
	if !reflect.DeepEqual(p, untouched) {
		t.Error("the plan was changed")
	}
}

func TestApplyErrorsNameRowAndValue(t *testing.T) {
	p := load(t, "illiad")
	ports := func(term string, n int) Change { return Change{Ports: map[string]int{term: n}} }
	for _, tt := range []struct {
		name string
		c    Change
		want string
	}{
		{"unknown id", ports("sqlclient", 1), `port: unknown row id or service "sqlclient": did you mean sql-client or sql?`},
		{"a hyphen too many", ports("patronapi-", 1), `port: unknown row id or service "patronapi-": did you mean patronapi or patronapi-tls?`},
		{"several ports", ports("sql", 1500), `port: service "sql" has several ports: set them row by row: sql-client (1433), sql-web (1433), sql-server (1433), sql-alt-client (1344), sql-alt-web (1344), sql-alt-server (1344), sql-browser (1434), sql-reports (1433), sql-closed (1433), sql-alt-closed (1344)`},
		{"port 0", ports("rdp", 0), `port: rdp: port 0: use a number from 1 to 65535`},
		{"port too large", ports("rdp", 65536), `port: rdp: port 65536: use a number from 1 to 65535`},
		{"high port", ports("ftp-data-server", 5000), `port: "ftp-data-server" has no port to set, the accepting end names one each time: remove it`},
		{"shift too far up", Change{Shift: 20000}, `row patronapi-tls: port 54620 shifted by 20000 is not within 1 to 65535: use a shift from -54619 to 10915`},
		{"shift too far down", Change{Shift: -100}, `row web-http: port 80 shifted by -100 is not within 1 to 65535: use a shift from -79 to 65455`},
		{"shift beyond any number", Change{Shift: int(^uint(0) >> 1)}, `row sql-client: port 1433 shifted by 9223372036854775807 is not within 1 to 65535: use a shift from -1432 to 64102`},
		{"source port", Change{Shift: -20, Ports: map[string]int{"ftp-control": 21}}, `row ftp-data-server: source port 20 shifted by -20 is not within 1 to 65535: use a shift from -19 to 65515`},
		{"site uses", Change{Site: &Site{Uses: []string{"mail"}}}, `site: uses: unknown row id or service "mail": use one of sql, sql-client, sql-web,`},
		{"site ports", Change{Site: &Site{Ports: map[string]int{"rpd": 1}}}, `site: ports: unknown row id or service "rpd": did you mean rdp?`},
		{"site role", Change{Site: &Site{Hosts: map[Role][]string{"sql": {"a"}}}}, `site: unknown role "sql": use one of client, server,`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := p.Apply(tt.c)
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
		})
	}
}

func FuzzSite(f *testing.F) {
	p := load(f, "illiad")
	f.Add([]byte(goodSite))
	f.Add([]byte("roles: {server: a, ldap: [b, \"::1\"]}\nports: {sql-client: 1}\nuses: [smtp, z3950]\n"))
	f.Add([]byte("uses: []\n"))
	f.Add([]byte("ports:\n  web: 1\n  nobody: x\nroles:\n  - a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeSite("s", data, p)
		if (s == nil) == (err == nil) {
			t.Fatalf("site %v with error %v", s, err)
		}
		if err != nil {
			if !strings.HasPrefix(err.Error(), "s:") {
				t.Errorf("error does not name the file: %v", err)
			}
			return
		}
		// A site that loads can be applied.
		out, left, err := p.Apply(Change{Site: s})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Rows)+len(left) != len(p.Rows) {
			t.Errorf("%d rows and %d left out of %d", len(out.Rows), len(left), len(p.Rows))
		}
		for r, hosts := range s.Hosts {
			for _, h := range hosts {
				if !slices.Contains(s.RolesOf(h), r) {
					t.Errorf("roles of %s lack %s", h, r)
				}
			}
		}
	})
}

func TestRowsToADatabaseApartAreRequired(t *testing.T) {
	for _, c := range []struct {
		name, site string
		want       []string // required
		left       []string
	}{
		{"one machine", "roles: {server: a}", nil, nil},
		{"one machine, said twice", "roles: {server: a.example.edu, database: A.example.edu.}", nil, nil},
		{"the database elsewhere", "roles: {server: a, database: b}", []string{"sql-web", "sql-server"}, nil},
		{"the database elsewhere, and other features are listed", "roles: {server: a, database: b}\nuses: [iso]", []string{"sql-web", "sql-server"}, []string{"sql-browser"}},
		{"the database with the server, the web server elsewhere", "roles: {server: a, web: w, database: a}", []string{"sql-web"}, nil},
		{"the database with one of two servers", "roles: {server: [a, b], database: a}", []string{"sql-web", "sql-server"}, nil},
		{"the database alone is named", "roles: {database: b}", []string{"sql-web", "sql-server"}, nil},
		{"no file", "", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := load(t, "illiad")
			var s *Site
			if c.site != "" {
				s = loadSite(t, c.site, p)
			}
			out, left, err := p.Apply(Change{Site: s})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range out.Rows {
				if r.Apart && r.Need == Required {
					got = append(got, r.ID)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("required %v, want %v", got, c.want)
			}
			for _, id := range c.left {
				if !slices.ContainsFunc(left, func(x Excluded) bool { return x.Row.ID == id }) {
					t.Errorf("%s is not left out", id)
				}
			}
		})
	}
}
