package plan

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func load(t testing.TB, name string) *Plan {
	t.Helper()
	p, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// want is a row as a document describes it. Port 0 is a high port.
type want struct {
	id        string
	port      int
	transport Transport
	from, to  string // from: roles joined by commas
	need      Need
	host      string
}

func checkRows(t *testing.T, p *Plan, wants []want) {
	t.Helper()
	rows := make(map[string]Row)
	for _, r := range p.Rows {
		rows[r.ID] = r
	}
	for _, w := range wants {
		r, ok := rows[w.id]
		if !ok {
			t.Errorf("%s: no row %s", p.Name, w.id)
			continue
		}
		delete(rows, w.id)
		got := want{r.ID, r.Port, r.Transport, join(r.From, ","), string(r.To), r.Need, r.Host}
		if got != w {
			t.Errorf("%s: row is %+v, want %+v", p.Name, got, w)
		}
		wantSource := 0
		if strings.HasPrefix(w.id, "ftp-data") {
			wantSource = 20
		}
		if r.SourcePort != wantSource || r.PlanSourcePort != wantSource || r.PlanPort != r.Port {
			t.Errorf("%s: row %s has source port %d (plan %d), plan port %d", p.Name, r.ID, r.SourcePort, r.PlanSourcePort, r.PlanPort)
		}
		if want := strings.HasSuffix(r.ID, "-closed"); want != (r.Expect == ExpectClosed) {
			t.Errorf("%s: row %s expects %s", p.Name, r.ID, r.Expect)
		}
		if want := strings.HasPrefix(r.ID, "sql") && (r.Port == 1433) && (slices.Contains(r.From, "web") || slices.Contains(r.From, "server")); want != r.Apart {
			t.Errorf("%s: row %s: needed once the database is apart: %v", p.Name, r.ID, r.Apart)
		}
		if r.PortAssumed != (w.id == "z3950") {
			t.Errorf("%s: row %s: port assumed is %v", p.Name, r.ID, r.PortAssumed)
		}
	}
	for id := range rows {
		t.Errorf("%s: row %s is in no document", p.Name, id)
	}
}

func TestIlliadHasEveryRowOfTheFacts(t *testing.T) {
	const oclc, iso, atlas = "webservices.oclc.org", "isoill.oclc.org", "update.atlas-sys.com"
	checkRows(t, load(t, "illiad"), []want{
		{"sql-client", 1433, TCP, "client", "database", Required, ""},
		{"sql-web", 1433, TCP, "web", "database", Conditional, ""},
		{"sql-server", 1433, TCP, "server", "database", Conditional, ""},
		{"sql-alt-client", 1344, TCP, "client", "database", Optional, ""},
		{"sql-alt-web", 1344, TCP, "web", "database", Optional, ""},
		{"sql-alt-server", 1344, TCP, "server", "database", Optional, ""},
		{"sql-browser", 1434, UDP, "client,web,server", "database", Conditional, ""},
		{"sql-reports", 1433, TCP, "reports", "database", Conditional, ""},
		{"sql-closed", 1433, TCP, "patron,peer", "database", Conditional, ""},
		{"sql-alt-closed", 1344, TCP, "patron,peer", "database", Conditional, ""},
		{"web-http", 80, TCP, "patron", "web", Conditional, ""},
		{"web-https", 443, TCP, "patron", "web", Required, ""},
		{"platform", 443, TCP, "client", "web", Required, ""},
		{"oclc-client", 443, TCP, "client", "oclc", Unknown, oclc},
		{"oclc-server", 443, TCP, "server", "oclc", Required, oclc},
		{"update-server", 443, TCP, "server", "atlas", Required, atlas},
		{"update-client", 443, TCP, "client", "atlas", Required, atlas},
		{"ftp-control", 21, TCP, "server,client", "atlas", Legacy, atlas},
		{"ftp-data-server", 0, TCP, "atlas", "server", Legacy, ""},
		{"ftp-data-client", 0, TCP, "atlas", "client", Legacy, ""},
		{"odyssey-client", 7968, TCP, "client", "server", Required, ""},
		{"odyssey-out", 7968, TCP, "server", "peer", Required, ""},
		{"odyssey-in", 7968, TCP, "peer", "server", Required, ""},
		{"odyssey-back", 7968, TCP, "server", "client", Unknown, ""},
		{"iso-out", 1611, TCP, "server", "peer", Conditional, ""},
		{"iso-in", 1611, TCP, "peer", "server", Conditional, ""},
		{"direct-request", 499, TCP, "server", "oclc", Legacy, iso},
		{"ldap", 389, TCP, "server,web", "ldap", Conditional, ""},
		{"ldaps", 636, TCP, "server,web", "ldap", Conditional, ""},
		{"patronapi", 4500, TCP, "server,web", "ils", Conditional, ""},
		{"patronapi-tls", 54620, TCP, "server,web", "ils", Conditional, ""},
		{"z3950", 210, TCP, "client", "opac", Optional, ""},
		{"smtp", 25, TCP, "web,server", "mail", Conditional, ""},
		{"smtp-submission", 587, TCP, "web,server", "mail", Conditional, ""},
		{"smtps", 465, TCP, "web,server", "mail", Conditional, ""},
		{"addons", 443, TCP, "client,server", "addons", Optional, ""},
		{"rdp", 3389, TCP, "admin", "server", Optional, ""},
	})
}

// The comments quote the Atlas knowledge base, January 6, 2006.
func TestIlliad2006HasEveryLineOfTheDocument(t *testing.T) {
	const oclc, iso, atlas = "webservices.oclc.org", "isoill.oclc.org", "update.atlas-sys.com"
	p := load(t, "illiad-2006")
	checkRows(t, p, []want{
		// "1433 for SQL Server: … only … for the web server (if separate server) and the ILLiad clients to access the SQL Server"
		{"sql-client", 1433, TCP, "client", "database", Required, ""},
		{"sql-web", 1433, TCP, "web", "database", Conditional, ""},
		{"sql-server", 1433, TCP, "server", "database", Conditional, ""},
		// "80 for the Web pages: … open to everyone or could be restricted"
		{"web-http", 80, TCP, "patron", "web", Required, ""},
		// "443 for the ILLiad Connection Manager and ILLiad Client: … outbound to webservices.oclc.org"
		{"oclc-client", 443, TCP, "client", "oclc", Required, oclc},
		{"oclc-server", 443, TCP, "server", "oclc", Required, oclc},
		// "20 and 21 for the AutoUpdater: … only needs to be open to update.atlas-sys.com"
		{"ftp-control", 21, TCP, "server,client", "atlas", Required, atlas},
		{"ftp-20-server", 20, TCP, "server", "atlas", Required, atlas},
		{"ftp-20-client", 20, TCP, "client", "atlas", Required, atlas},
		{"ftp-data-server", 0, TCP, "atlas", "server", Required, ""},
		{"ftp-data-client", 0, TCP, "atlas", "client", Required, ""},
		// "7968 for Odyssey Electronic Delivery: … client machines to send … to the ILLiad Server and the ILLiad Server to send … to other ILLiad Servers"
		{"odyssey-client", 7968, TCP, "client", "server", Required, ""},
		{"odyssey-out", 7968, TCP, "server", "peer", Required, ""},
		{"odyssey-in", 7968, TCP, "peer", "server", Required, ""},
		// "1611 for ISO ILL: This allows the ILLiad client to send and receive ISO ILL requests."
		{"iso-client-out", 1611, TCP, "client", "peer", Required, ""},
		{"iso-client-in", 1611, TCP, "peer", "client", Required, ""},
		{"iso-out", 1611, TCP, "server", "peer", Required, ""},
		{"iso-in", 1611, TCP, "peer", "server", Required, ""},
		// "499 for OCLC Direct Request (if used): … the ILLiad server … outbound to isoill.oclc.org"
		{"direct-request", 499, TCP, "server", "oclc", Conditional, iso},
		// "389 for standard LDAP and 636 for SSL: … only necessary if your particular authentication method requires it"
		{"ldap", 389, TCP, "server,web", "ldap", Conditional, ""},
		{"ldaps", 636, TCP, "server,web", "ldap", Conditional, ""},
		// "4500 for Innopac PatronAPI: … only necessary if …"
		{"patronapi", 4500, TCP, "server,web", "ils", Conditional, ""},
		// "Optional Ports: … Z39.50 … ILLiad Client machines … This port differs from OPAC to OPAC"
		{"z3950", 210, TCP, "client", "opac", Optional, ""},
		// "Terminal Services, port 3389 should be opened"
		{"rdp", 3389, TCP, "admin", "server", Optional, ""},
	})
	for _, r := range p.Rows {
		if !strings.Contains(r.Source, "KB 2006") {
			t.Errorf("row %s does not quote its line: %s", r.ID, r.Source)
		}
	}
}

// spoken is what a document means by a port, whoever uses it.
var spoken = map[int]Protocol{
	0: "", 20: "", 21: FTP, 25: SMTP, 80: HTTP, 210: Z3950, 389: LDAP, 443: HTTPS, 465: SMTPS, 499: ISOILL, 587: SMTP, 636: LDAPS,
	1344: TDS, 1433: TDS, 1434: SQLBrowser, 1611: ISOILL, 3389: RDP, 4500: HTTP, 7968: Odyssey, 54620: HTTPS,
}

func TestBuiltInPlansAreComplete(t *testing.T) {
	for _, name := range Names() {
		p := load(t, name)
		if p.Name != name || p.Title == "" || p.Revised == "" {
			t.Errorf("%s: name %q, title %q, revised %q", name, p.Name, p.Title, p.Revised)
		}
		for _, r := range p.Rows {
			if speaks, ok := spoken[r.Port]; !ok || r.Speaks != speaks {
				t.Errorf("%s: row %s speaks %q on port %d, want %q", name, r.ID, r.Speaks, r.Port, speaks)
			}
			if !strings.HasSuffix(r.Why, ".") {
				t.Errorf("%s: row %s: why is no sentence: %s", name, r.ID, r.Why)
			}
			if !slices.ContainsFunc(p.Sources, func(s Page) bool { return strings.Contains(r.Source, s.Name) }) {
				t.Errorf("%s: row %s names none of the plan's pages: %s", name, r.ID, r.Source)
			}
			if strings.Contains(r.Source, "inferred") != r.Inferred {
				t.Errorf("%s: row %s: inferred is %v, and its source says %s", name, r.ID, r.Inferred, r.Source)
			}
			if r.Host != "" && !p.IsExternal(r.To) {
				t.Errorf("%s: row %s has a host but %s is not external", name, r.ID, r.To)
			}
		}
		for _, r := range p.RoleNames() {
			if !slices.ContainsFunc(p.Rows, func(row Row) bool { return row.To == r || slices.Contains(row.From, r) }) {
				t.Errorf("%s: no row has role %s", name, r)
			}
		}
		if p.RoleNames()[0] != RoleClient {
			t.Errorf("%s: roles are not in file order: %v", name, p.RoleNames())
		}
	}
}

func TestJSONShowsHighPortsAndEveryKey(t *testing.T) {
	b, err := json.Marshal(load(t, "illiad-2006"))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Name, Title, Revised string
		Roles                map[string]string
		External             []string
		Rows                 []map[string]any
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "illiad-2006" || got.Roles["peer"] == "" || len(got.External) != 5 {
		t.Errorf("name %q, roles %v, external %v", got.Name, got.Roles, got.External)
	}
	wantKeys := []string{"expect", "from", "high", "host", "id", "name", "need", "plan_port", "plan_source_port", "port", "port_assumed",
		"service", "source", "source_port", "speaks", "to", "transport", "why"}
	for _, r := range got.Rows {
		var keys []string
		for k := range r {
			keys = append(keys, k)
		}
		keys = slices.DeleteFunc(keys, func(k string) bool { return k == "apart" || k == "inferred" || k == "idle_s" })
		slices.Sort(keys)
		if !slices.Equal(keys, wantKeys) {
			t.Fatalf("row %v has keys %v, want %v", r["id"], keys, wantKeys)
		}
		if high := strings.HasPrefix(r["id"].(string), "ftp-data"); r["high"] != high || (r["port"] == 0.0) != high {
			t.Errorf("row %v: port %v, high %v", r["id"], r["port"], r["high"])
		}
	}
	var back Plan
	if err := json.Unmarshal(b, &back); err != nil || len(back.Rows) != len(got.Rows) || back.Rows[0].Port != 1433 {
		t.Errorf("reading it back: %v, %d rows", err, len(back.Rows))
	}
}
