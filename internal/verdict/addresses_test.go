package verdict

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// at is a forward path to one of several addresses.
func at(flow, address string, v result.Verdict, counted bool) result.Path {
	i := proved()
	i.Target = result.EndpointFrom(netip.AddrPortFrom(netip.MustParseAddr(address), 1433))
	p := result.Path{Flow: flow, Direction: plan.Forward, Transport: plan.TCP, Family: result.IP4, To: "database", Address: result.ParseAddr(address), Target: i.Target,
		Verdict: v, OK: v == result.Open, Counted: counted, Attempts: 1, Initiator: &i}
	if p.OK {
		p.Proof = result.ProofKeyed
	} else {
		p.Finding = &result.Finding{Code: result.Code(v), Text: "It fails.", Advice: "Please allow it."}
	}
	return p
}

func concluded(f Facts, paths ...result.Path) *result.Report {
	r := &result.Report{Plan: "illiad", Contact: &result.Contact{Plan: "illiad"}, To: result.End{Host: "sql.example.edu"}, Paths: paths}
	Conclude(r, f)
	return r
}

func codesOf(r *result.Report) []result.Code {
	var out []result.Code
	for _, f := range r.Findings {
		out = append(out, f.Code)
	}
	return out
}

func TestOneDeadAddressOfSeveralIsSaidAndNotOK(t *testing.T) {
	for _, tt := range []struct {
		name  string
		paths []result.Path
		exit  int
		says  []string
	}{
		{"all work", []result.Path{at("sql", "10.0.0.1", result.Open, true), at("sql", "10.0.0.2", result.Open, true)}, 0, nil},
		{"the second is dead", []result.Path{at("sql", "10.0.0.1", result.Open, true), at("sql", "10.0.0.2", result.Silent, true), at("sql", "10.0.0.3", result.Open, true)}, 1,
			[]string{"2 of 3 addresses of sql.example.edu work: 10.0.0.1 and 10.0.0.3. Not so: 10.0.0.2 (sql silent)", "have 10.0.0.2 work as 10.0.0.1 does, or take it out", "addresses: any"}},
		{"the first is, of one row", []result.Path{at("sql", "10.0.0.1", result.Refused, true), at("web", "10.0.0.1", result.Open, true), at("sql", "10.0.0.2", result.Open, true), at("web", "10.0.0.2", result.Open, true)}, 1,
			[]string{"1 of 2 addresses of sql.example.edu works: 10.0.0.2. Not so: 10.0.0.1 (sql refused)"}},
		{"none works", []result.Path{at("sql", "10.0.0.1", result.Silent, true), at("sql", "10.0.0.2", result.Silent, true)}, 1, nil},
		{"a row that does not count is dead at one", []result.Path{at("sql", "10.0.0.1", result.Open, true), at("sql", "10.0.0.2", result.Open, true), at("alt", "10.0.0.2", result.Silent, false)}, 0, nil},
	} {
		r := concluded(Facts{}, tt.paths...)
		text := ""
		for _, f := range r.Findings {
			text += f.Text + " " + f.Advice
			wellFormed(t, result.Path{}, f.Text)
			wellFormed(t, result.Path{}, f.Advice)
		}
		if slices.Contains(codesOf(r), "some-addresses") != (len(tt.says) > 0) || ExitCode(r) != tt.exit {
			t.Errorf("%s: exit %d, %+v", tt.name, ExitCode(r), r.Findings)
		}
		for _, w := range tt.says {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %q does not say %q", tt.name, text, w)
			}
		}
	}
}

func TestAddressesThatAreOfflineOnPurpose(t *testing.T) {
	isAny := func(p result.Path) bool { return p.To == "database" }
	standby := func(p result.Path) bool {
		return slices.ContainsFunc(p.Notes, func(n result.Note) bool {
			return n.Code == result.NoteStandby && strings.Contains(n.Text, p.Address.String())
		})
	}
	for _, tt := range []struct {
		name    string
		dead    result.Path
		others  []result.Path
		standby bool
		exit    int
	}{
		{"another works", at("sql", "10.0.0.1", result.Silent, true), []result.Path{at("sql", "10.0.0.2", result.Open, true)}, true, 0},
		{"no other works", at("sql", "10.0.0.1", result.Silent, true), []result.Path{at("sql", "10.0.0.2", result.Refused, true)}, false, 1},
		{"another works, of another row", at("sql", "10.0.0.1", result.Silent, true), []result.Path{at("alt", "10.0.0.2", result.Open, true)}, false, 1},
		{"it is not offline, it leads elsewhere", at("sql", "10.0.0.1", result.Redirected, true), []result.Path{at("sql", "10.0.0.2", result.Open, true)}, false, 1},
		{"it is the name's only one of that family", func() result.Path {
			p := at("sql", "10.0.0.1", result.Silent, true)
			p.Address = result.Addr{}
			return p
		}(), []result.Path{at("sql", "10.0.0.2", result.Open, true)}, false, 1},
	} {
		r := concluded(Facts{AnyAddress: isAny}, append([]result.Path{tt.dead}, tt.others...)...)
		p := r.Paths[0]
		if standby(p) != tt.standby || p.Counted == tt.standby || p.OK || ExitCode(r) != tt.exit || tt.standby && (p.Finding != nil || len(r.Findings) > 0) {
			t.Errorf("%s: exit %d, %+v, %+v", tt.name, ExitCode(r), p, r.Findings)
		}
	}
	if r := concluded(Facts{}, at("sql", "10.0.0.1", result.Silent, true), at("sql", "10.0.0.2", result.Open, true)); standby(r.Paths[0]) || ExitCode(r) != 1 {
		t.Errorf("without a site file: %+v", r.Paths[0])
	}
}

func TestAddressesThatWereTooManyAreNamed(t *testing.T) {
	r := concluded(Facts{LeftOut: []netip.Addr{netip.MustParseAddr("10.0.0.9")}}, at("sql", "10.0.0.1", result.Open, true))
	if got := codesOf(r); !slices.Equal(got, []result.Code{"addresses-left-out"}) || !strings.Contains(r.Findings[0].Text, "10.0.0.9") {
		t.Errorf("%+v", r.Findings)
	}
}
