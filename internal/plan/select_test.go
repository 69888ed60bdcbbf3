package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// shortFlow is a flow in one line: "id > from to" forward, "id < from to"
// reverse, with "*" when it counts.
func shortFlow(f Flow) string {
	arrow := map[Direction]string{Forward: " > ", Reverse: " < "}[f.Direction]
	s := f.Row.ID + arrow + string(f.From) + " " + string(f.To)
	if f.Counted {
		s += " *"
	}
	return s
}

func TestSelectTakesTheRowsBetweenTwoMachines(t *testing.T) {
	host := []Role{RoleServer, RoleWeb, RoleDatabase}
	client, server, peer := []Role{RoleClient}, []Role{RoleServer}, []Role{RolePeer}
	tests := []struct {
		name, plan string
		q          Query
		want       []string
	}{
		{"client to the server, the default", "illiad", Query{Local: client, Remote: host}, []string{
			"sql-client > client database *",
			"sql-alt-client > client database",
			"sql-browser > client database",
			"platform > client web *",
			"odyssey-client > client server *",
			"odyssey-back < server client",
		}},
		{"client to the server in 2006", "illiad-2006", Query{Local: client, Remote: host}, []string{
			"sql-client > client database *",
			"odyssey-client > client server *",
		}},
		{"client to a separate database", "illiad", Query{Local: client, Remote: []Role{RoleDatabase}}, []string{
			"sql-client > client database *",
			"sql-alt-client > client database",
			"sql-browser > client database",
		}},
		{"server to a client: the same rows, the other way round", "illiad", Query{Local: host, Remote: client}, []string{
			"sql-client < client database *",
			"sql-alt-client < client database",
			"sql-browser < client database",
			"platform < client web *",
			"odyssey-client < client server *",
			"odyssey-back > server client",
		}},
		{"web server to the database", "illiad", Query{Local: []Role{RoleWeb}, Remote: []Role{RoleDatabase}}, []string{
			"sql-web > web database",
			"sql-alt-web > web database",
			"sql-browser > web database",
		}},
		{"patron and client on one machine", "illiad-2006", Query{Local: []Role{"patron", RoleClient}, Remote: host}, []string{
			"sql-client > client database *",
			"web-http > patron web *",
			"odyssey-client > client server *",
		}},
		{"another institution to the server", "illiad-2006", Query{Local: peer, Remote: host}, []string{
			"odyssey-out < server peer *",
			"odyssey-in > peer server *",
			"iso-out < server peer *",
			"iso-in > peer server *",
		}},
		{"server to another institution, both directions", "illiad",
			Query{Local: server, Remote: peer, Only: []string{"odyssey", "iso"}}, []string{
				"odyssey-out > server peer *",
				"odyssey-in < peer server *",
				"iso-out > server peer",
				"iso-in < peer server",
			}},
		{"server to the vendors", "illiad", Query{Local: server, Remote: []Role{"oclc", "atlas"}}, []string{
			"oclc-server > server oclc *",
			"update-server > server atlas *",
			"ftp-control > server atlas",
			"ftp-data-server < atlas server",
			"direct-request > server oclc",
		}},
		{"the first matching role initiates", "illiad", Query{Local: []Role{RoleWeb, RoleServer}, Remote: []Role{"ldap"}}, []string{
			"ldap > server ldap",
			"ldaps > server ldap",
		}},
		{"the second role initiates if only it is here", "illiad", Query{Local: []Role{RoleWeb}, Remote: []Role{"ldap"}, Only: []string{"ldaps"}}, []string{
			"ldaps > web ldap",
		}},
		{"an id goes before a service of the same name", "illiad", Query{Local: server, Remote: []Role{"ldap"}, Only: []string{"ldap"}}, []string{
			"ldap > server ldap",
		}},
		{"only an id and a service", "illiad", Query{Local: client, Remote: host, Only: []string{"odyssey", "sql-client"}}, []string{
			"sql-client > client database *",
			"odyssey-client > client server *",
			"odyssey-back < server client",
		}},
		{"both ways adds the opposite, never counted", "illiad", Query{Local: client, Remote: host, BothWays: true, Only: []string{"sql-client", "odyssey"}}, []string{
			"sql-client > client database *",
			"sql-client < database client",
			"odyssey-client > client server *",
			"odyssey-client < server client",
			"odyssey-back > client server",
			"odyssey-back < server client",
		}},
		{"both ways adds nothing that is taken already", "illiad-2006",
			Query{Local: []Role{RoleClient, RoleServer}, Remote: []Role{RoleClient, RoleServer}, BothWays: true}, []string{
				"odyssey-client > client server *",
				"odyssey-client < client server *",
			}},
		{"both ways does not take rows between others", "illiad", Query{Local: []Role{"patron"}, Remote: server, BothWays: true}, nil},
		{"all rows, some", "illiad-2006", Query{All: true, Only: []string{"ftp", "web", "iso-client-in"}}, []string{
			"web-http > patron web *",
			"ftp-control > server atlas *",
			"ftp-20-server > server atlas *",
			"ftp-20-client > client atlas *",
			"ftp-data-server > atlas server *",
			"ftp-data-client > atlas client *",
			"iso-client-in > peer client *",
		}},
		{"all rows both ways", "illiad", Query{All: true, BothWays: true, Only: []string{"rdp", "web-https"}}, []string{
			"web-https > patron web *",
			"web-https < web patron",
			"rdp > admin server",
			"rdp < server admin",
		}},
		{"all rows are forward even where a reverse one would match", "illiad", Query{All: true, Local: server, Remote: peer, Only: []string{"odyssey-in"}}, []string{
			"odyssey-in > peer server *",
		}},
		{"no role", "illiad", Query{}, nil},
		{"role of another plan", "illiad", Query{Local: client, Remote: []Role{"moon"}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := load(t, tt.plan)
			flows, left, err := p.Select(tt.q)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			seen := make(map[string]bool)
			for _, f := range flows {
				got = append(got, shortFlow(f))
				seen[f.Row.ID] = true
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"))
			}
			for _, x := range left {
				if seen[x.Row.ID] || x.Why == "" {
					t.Errorf("row %s is left out (%q) and taken: %v", x.Row.ID, x.Why, seen[x.Row.ID])
				}
				seen[x.Row.ID] = true
			}
			if len(seen) != len(p.Rows) {
				t.Errorf("%d of %d rows are taken or left out", len(seen), len(p.Rows))
			}
		})
	}
}

func TestSelectTakesEveryRowForEveryRole(t *testing.T) {
	for _, name := range Names() {
		p := load(t, name)
		flows, left, err := p.Select(Query{All: true})
		// One machine cannot be one for which a port must be closed and one for which
		// it must be open.
		open := slices.DeleteFunc(slices.Clone(p.Rows), func(r Row) bool { return r.Expect == ExpectClosed })
		if err != nil || len(flows) != len(open) || len(left) != len(p.Rows)-len(open) {
			t.Fatalf("%d flows, %d left out of %d rows: %v", len(flows), len(left), len(p.Rows), err)
		}
		for i, f := range flows {
			if f.Row.ID != open[i].ID || f.Direction != Forward || f.From != f.Row.From[0] || f.To != f.Row.To {
				t.Errorf("flow %d is %s", i, shortFlow(f))
			}
		}
	}
}

func TestSelectNeverCountsWhatIsNotRequired(t *testing.T) {
	flows, _, err := load(t, "illiad").Select(Query{All: true, BothWays: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range flows {
		if want := f.Row.Need == Required && f.Direction == Forward; f.Counted != want {
			t.Errorf("%s is %s: counted %v", shortFlow(f), f.Row.Need, f.Counted)
		}
	}
}

func TestSelectSaysWhyARowIsLeftOut(t *testing.T) {
	p := load(t, "illiad")
	reason := func(q Query, id string) string {
		_, left, err := p.Select(q)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range left {
			if x.Row.ID == id {
				return x.Why
			}
		}
		return "taken"
	}
	q := Query{Local: []Role{RoleClient}, Remote: []Role{RoleServer, RoleWeb, RoleDatabase}}
	if got, want := reason(q, "web-https"), "from patron to web; this run is client to server, web, database"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := reason(q, "ldap"), "from server or web to ldap; this run is client to server, web, database"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	q.Only = []string{"sql", "rdp"}
	if got, want := reason(q, "platform"), "not among the rows asked for (sql, rdp)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSelectExplainsAnUnknownRow(t *testing.T) {
	p := load(t, "illiad")
	_, _, err := p.Select(Query{All: true, Only: []string{"oddysey"}})
	if want := `only: unknown row id or service "oddysey": did you mean odyssey?`; err == nil || err.Error() != want || !errors.Is(err, ErrUnknownRow) {
		t.Errorf("got %v, want %s", err, want)
	}
	out, _, err := p.Apply(Change{Site: &Site{UsesSet: true}})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = out.Select(Query{All: true, Only: []string{"smtp"}})
	want := `only: unknown row id or service "smtp": it is left out because this site does not use it: add it to uses in the site file`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestPortsAreBoundOncePerTransport(t *testing.T) {
	short := func(b Binding) string {
		s := string(b.Transport) + " " + portWord(b.Port)
		for _, r := range b.Rows {
			s += " " + r.ID
		}
		return s
	}
	tests := []struct {
		name, plan string
		roles      []Role
		want       []string
	}{
		{"client", "illiad-2006", []Role{RoleClient}, []string{"tcp high ftp-data-client", "tcp 1611 iso-client-in"}},
		{"one machine for all", "illiad", []Role{RoleServer, RoleWeb, RoleDatabase}, []string{
			"tcp 1433 sql-client sql-web sql-server sql-reports sql-closed", "tcp 1344 sql-alt-client sql-alt-web sql-alt-server sql-alt-closed", "udp 1434 sql-browser", "tcp 80 web-http",
			"tcp 443 web-https platform", "tcp high ftp-data-server", "tcp 7968 odyssey-client odyssey-in", "tcp 1611 iso-in", "tcp 3389 rdp"}},
		{"every row", "illiad-2006", nil, []string{
			"tcp 1433 sql-client sql-web sql-server", "tcp 80 web-http", "tcp 443 oclc-client oclc-server", "tcp 21 ftp-control", "tcp 20 ftp-20-server ftp-20-client",
			"tcp high ftp-data-server ftp-data-client", "tcp 7968 odyssey-client odyssey-out odyssey-in",
			"tcp 1611 iso-out iso-in iso-client-out iso-client-in", "tcp 499 direct-request", "tcp 389 ldap", "tcp 636 ldaps", "tcp 4500 patronapi",
			"tcp 210 z3950", "tcp 3389 rdp"}},
		{"no role", "illiad", []Role{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, b := range load(t, tt.plan).Ports(tt.roles) {
				got = append(got, short(b))
				if b.PlanPort != b.Port {
					t.Errorf("%s: plan port %d", short(b), b.PlanPort)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"))
			}
		})
	}
}

func TestParseRoles(t *testing.T) {
	p := load(t, "illiad")
	got, err := ParseRoles(p, []string{"server, web", "Database", "web"})
	if err != nil || !slices.Equal(got, []Role{RoleServer, RoleWeb, RoleDatabase}) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := ParseRoles(p, nil); got != nil || err != nil {
		t.Errorf("of nothing: %v, %v", got, err)
	}
	_, err = ParseRoles(p, []string{"servr"})
	want := `unknown role "servr": use one of client, server, web, database, peer, patron, admin, reports, oclc, atlas, ldap, ils, opac, mail, addons (did you mean server?)`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, err = ParseRoles(p, []string{""}); err == nil {
		t.Error("an empty role passes")
	}
}

func TestSelectNamesTheHostToDialNext(t *testing.T) {
	p := load(t, "illiad")
	site := loadSite(t, "roles: {server: app.example.edu, database: [sql1.example.edu, sql2.example.edu], ldap: dir.example.edu, peer: far.example.org}", p)
	why := func(q Query, id string) string {
		t.Helper()
		_, left, err := p.Select(q)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range left {
			if x.Row.ID == id {
				return x.Why
			}
		}
		return ""
	}
	q := Query{Local: []Role{RoleClient}, Remote: []Role{RoleServer, RoleWeb}, Site: site}
	const next = "the site file has the database on sql1.example.edu or sql2.example.edu: dial that host as well"
	if got := why(q, "sql-client"); got != next {
		t.Errorf("the database: %q", got)
	}
	for id, q := range map[string]Query{
		"sql-web":     q,                                                                                // another machine opens it
		"oclc-client": q,                                                                                // nobody runs listen there
		"odyssey-out": {Local: []Role{RoleServer}, Remote: []Role{RoleDatabase}, Site: site},            // dial odyssey does that
		"sql-client":  {Local: q.Local, Remote: q.Remote},                                               // no site file
		"platform":    {Local: q.Local, Remote: q.Remote, Site: site, Only: []string{"odyssey-client"}}, // it was not asked for
	} {
		if got := why(q, id); got == "" || strings.Contains(got, "dial that host") {
			t.Errorf("%s: %q", id, got)
		}
	}
}

// Whoever reads what was left out has to be told where to test it.
func TestWhatIsLeftOutSaysWhichRunTestsIt(t *testing.T) {
	p, err := Load("illiad")
	if err != nil {
		t.Fatal(err)
	}
	site := &Site{Hosts: map[Role][]string{RoleDatabase: {"sql.example.edu"}}}
	_, left, err := p.Select(Query{Local: []Role{RoleClient}, Remote: []Role{RoleServer, RoleWeb}, Site: site})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]TestedBy{}
	for _, e := range left {
		got[e.Row.ID] = e.TestedBy
		if (e.TestedBy == ByHost) != (len(e.Hosts) > 0) {
			t.Errorf("%s: %s, hosts %v", e.Row.ID, e.TestedBy, e.Hosts)
		}
	}
	for id, want := range map[string]TestedBy{
		"sql-client": ByHost, "web-https": ByRole, "rdp": ByRole, "sql-closed": ByRole, "oclc-client": ByEgress, "ldap": ByEgress,
		"odyssey-out": ByPartner, "odyssey-in": ByPartner, "ftp-data-server": ByNobody,
	} {
		if got[id] != want {
			t.Errorf("%s is tested by %q, want %q", id, got[id], want)
		}
	}
	_, left, err = p.Select(Query{Local: []Role{RoleClient}, Remote: []Role{RoleServer}, Only: []string{"odyssey-client"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if e.TestedBy != "" {
			t.Errorf("%s was left out on purpose, and is said to be tested by %q", e.Row.ID, e.TestedBy)
		}
	}
}
