package report

import (
	"slices"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

func machineLines(r *result.Report) []string {
	list, left := machines(r)
	var out []string
	for _, m := range list {
		s := m.name + ": " + m.command
		if m.needsListen {
			s += " (needs listen here)"
		}
		out = append(out, s)
	}
	for _, o := range left {
		out = append(out, "left "+o.Flow)
	}
	return out
}

func TestWhatWasLeftOutNamesTheMachineAndItsCommand(t *testing.T) {
	r := with(base(), path("sql-client", "SQL", 11433, "192.0.2.5:50001", "198.51.100.9:11433"))
	r.Paths[0].PlanPort = 1433
	out := func(flow, from, to string, by plan.TestedBy, hosts ...string) {
		r.OutOfScope = append(r.OutOfScope, result.OutOfScope{Flow: flow, From: from, To: to, TestedBy: by, Hosts: hosts})
	}
	out("web-https", "patron", "web", plan.ByRole)
	out("web-http", "patron", "web", plan.ByRole)
	out("sql-web", "web", "database", plan.ByRole)
	out("sql-closed", "patron,peer", "database", plan.ByRole)
	out("oclc-client", "client", "oclc", plan.ByEgress)
	out("ldap", "server,web", "ldap", plan.ByEgress)
	out("odyssey-out", "server", "peer", plan.ByPartner)
	out("odyssey-in", "peer", "server", plan.ByPartner)
	out("ftp-data", "atlas", "client", plan.ByNobody)
	out("sql-far", "client", "database", plan.ByHost, "sql.example.edu")
	out("unused", "client", "database", "")
	want := []string{
		"this machine: dial egress --role client",
		"this machine: dial --key KEY --port-shift 10000 sql.example.edu",
		"patron's PC: dial --key KEY --port-shift 10000 --role patron library.example.edu",
		"web server, if apart: dial --key KEY --port-shift 10000 --role web DATABASE",
		"web server: dial egress --role web",
		"partner's server: dial --key KEY --port-shift 10000 --role peer library.example.edu",
		"server: dial egress --role server",
		"server: dial odyssey --key KEY --port-shift 10000 PARTNER",
		"left ftp-data",
		"left unused",
	}
	if got := machineLines(r); !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	r.Mode = result.ModeInstalled
	if got, want := machineLines(r)[2], "patron's PC: dial --installed --port-shift 10000 --role patron library.example.edu"; got != want {
		t.Errorf("got %s", got)
	}
	r.Mode = result.ModePaths
	r.Plan, r.Paths = "ares", nil
	if got, want := machineLines(r)[2], "patron's PC: dial --key KEY --plan ares --role patron library.example.edu"; got != want {
		t.Errorf("got %s", got)
	}
}
