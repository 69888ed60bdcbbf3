package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dialtone/internal/lab/random/oracle"
)

func TestPeersAreGradedByPlainConnections(t *testing.T) {
	web, alt := row{443, "tcp", false}, row{1344, "tcp", false}
	tried := func(r row, ok ...bool) (all []oracle.Tried) {
		for _, o := range ok {
			all = append(all, oracle.Tried{OK: o, Name: fmt.Sprintf("server:%d", r.Port), Ended: "silence"})
		}
		return all
	}
	f := facts{
		Before: oracle.Results{sql.String(): tried(sql, false, false), web.String(): tried(web, true, false), alt.String(): tried(alt, true, true)},
		After:  oracle.Results{}, Hits: []int{1},
		Report: report{Paths: []path{blocked(sql, "filtered", "", "", ""), open(web), open(alt)}},
		Peers:  asked{},
	}
	for _, p := range peers {
		f.Peers[p.name] = map[row]bool{sql: true, web: true, alt: false}
	}
	grades := map[string]*grade{}
	gradePeers(trial{Faults: []fault{{Kind: "drop", nature: static}}}, f, grades)
	if g := *grades["dial"]; g != (grade{never: 1, part: 1, openPart: 1, whole: 1}) {
		t.Errorf("dial: %+v", g)
	}
	for _, p := range peers {
		if g := *grades[p.name]; g != (grade{never: 1, openNever: 1, part: 1, openPart: 1, whole: 1, shutWhole: 1}) {
			t.Errorf("%s: %+v", p.name, g)
		}
		if !strings.Contains(tabulatePeers(grades), p.name) {
			t.Errorf("%s is not in the table", p.name)
		}
	}
	// What ends or begins in the middle was otherwise when the peers were asked.
	for _, later := range []fault{{Kind: "dies", at: time.Second}, {Kind: "rate", nature: limit}, {Kind: "idle", nature: resting}, {Kind: "second-dial", beside: true}} {
		grades := map[string]*grade{}
		if gradePeers(trial{Faults: []fault{later}}, f, grades); len(grades) > 0 || tabulatePeers(grades) != "" {
			t.Errorf("%s: %+v", later.Kind, grades)
		}
	}
}

// What the tools wrote: nmap 7.93, its nping, netcat-openbsd 1.219.
func TestPeersAreReadAsTheyWrite(t *testing.T) {
	says := map[string][2]string{ // open, and not
		"nmap -sT":             {"Host: 10.2.0.10 ()\tPorts: 1433/open/tcp//ms-sql-s///", "Host: 10.2.0.10 ()\tPorts: 1433/filtered/tcp//ms-sql-s///"},
		"nping, four connects": {"TCP connection attempts: 4 | Successful connections: 4 | Failed: 0 (0.00%)", "TCP connection attempts: 4 | Successful connections: 3 | Failed: 1 (25.00%)"},
	}
	for _, p := range peers {
		said, ok := says[p.name]
		if !ok {
			if !p.open("", 0) || p.open("", 1) {
				t.Errorf("%s goes by its exit status", p.name)
			}
			continue
		}
		if !p.open(said[0], 0) || p.open(said[1], 0) {
			t.Errorf("%s: %q is not told from %q", p.name, said[0], said[1])
		}
	}
}
