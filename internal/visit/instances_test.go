package visit

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

// browser answers as SQL Browser of a machine with these instances.
func browser(t *testing.T, at netip.Addr, instances ...string) int {
	t.Helper()
	l, err := net.ListenUDP("udp4", &net.UDPAddr{IP: at.AsSlice()})
	if err != nil {
		prooftest.CannotBind(t, at, err)
	}
	t.Cleanup(func() { l.Close() })
	var text string
	for _, in := range instances {
		name, port, _ := strings.Cut(in, "=")
		text += fmt.Sprintf("ServerName;SQL2;InstanceName;%s;IsClustered;No;Version;15.0.2000.5;", name)
		if port != "" {
			text += "tcp;" + port + ";"
		}
		text += ";"
	}
	go func() {
		b := make([]byte, 512)
		for {
			_, from, err := l.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			l.WriteToUDPAddrPort(append(binary.LittleEndian.AppendUint16([]byte{5}, uint16(len(text))), text...), from)
		}
	}()
	return l.LocalAddr().(*net.UDPAddr).Port
}

func sqlRows(port, browserPort int) *plan.Plan {
	sql, alt, ask := row("sql-client", port, "client", "database"), row("sql-alt-client", port, "client", "database"), row("sql-browser", browserPort, "client", "database")
	sql.Speaks, alt.Speaks, ask.Speaks = plan.TDS, plan.TDS, plan.SQLBrowser
	alt.Need, ask.Need, ask.Transport = plan.Optional, plan.Conditional, plan.UDP
	return prooftest.Plan(sql, alt, ask)
}

func TestWhatSQLBrowserSaysIsTriedAndTold(t *testing.T) {
	served := int(prooftest.FreePort(t, far).Port())
	sql := row("sql", served, "client", "database")
	sql.Speaks = plan.TDS
	p := prooftest.Plan(sql)
	listen(t, p)
	dead, dead2 := int(prooftest.FreePort(t, far).Port()), int(prooftest.FreePort(t, far).Port())
	for _, c := range []struct {
		name      string
		dialed    int
		instances []string
		ok        bool
		code      result.Code
		note      bool
		tried     map[int]result.Verdict
		says      []string
		never     string
	}{
		{"the instance answers elsewhere", dead, []string{fmt.Sprintf("ILLIAD=%d", served)}, false, "instance-port", false, map[int]result.Verdict{served: result.Answered},
			[]string{fmt.Sprintf("--port sql-client=%d", served), fmt.Sprintf("SQL Server answers on port %d (ILLIAD)", served), "names no instance on port", "unless it is fixed"}, ""},
		{"it answers nowhere", dead, []string{fmt.Sprintf("ILLIAD=%d", dead2)}, false, "instance-port", false, map[int]result.Verdict{dead2: result.Refused},
			[]string{fmt.Sprintf("listens on port %d", dead2), "that is the port to ask for"}, ""},
		{"two instances, one of which answers", dead, []string{fmt.Sprintf("ILLIAD=%d", dead2), fmt.Sprintf("PAYROLL=%d", served)}, false, "instance-port", false,
			map[int]result.Verdict{dead2: result.Refused, served: result.Answered}, []string{"in ILLIAD", "in PAYROLL"}, ""},
		{"the port of the row is the instance's", dead, []string{fmt.Sprintf("ILLIAD=%d", dead)}, false, "refused", false, nil, nil, "--port"},
		{"beside the row's own another one", dead, []string{fmt.Sprintf("ILLIAD=%d", dead), fmt.Sprintf("PAYROLL=%d", dead2)}, false, "refused", true, map[int]result.Verdict{dead2: result.Refused}, nil, "--port"},
		{"the row's port answers, and an instance is elsewhere", served, []string{fmt.Sprintf("ILLIAD=%d", dead)}, true, "", true, map[int]result.Verdict{dead: result.Refused}, nil, ""},
		{"an instance without TCP", dead, []string{"ILLIAD"}, false, "refused", false, nil, nil, "--port"},
		{"SQL Browser names a port that cannot be", dead, []string{"ILLIAD=70000"}, false, "refused", false, nil, nil, "--port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(sqlRows(c.dialed, browser(t, far, c.instances...)), far)
			cfg.Remote = []plan.Role{"database"}
			r, err := Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			p := pathTo(t, r, "sql-client")
			f := result.Finding{}
			if p.Finding != nil {
				f = *p.Finding
			}
			if p.OK != c.ok || f.Code != c.code || p.Port != c.dialed {
				t.Errorf("ok %v, finding %+v, port %d", p.OK, f, p.Port)
			}
			tried := map[int]result.Verdict{}
			for _, in := range p.Instances {
				if in.Verdict != result.Untested {
					tried[in.Port] = in.Verdict
				}
			}
			if fmt.Sprint(tried) != fmt.Sprint(c.tried) {
				t.Errorf("tried %v, want %v", tried, c.tried)
			}
			for _, s := range c.says {
				if !strings.Contains(f.Text+" "+f.Advice, s) {
					t.Errorf("%q is not in %q %q", s, f.Text, f.Advice)
				}
			}
			if c.never != "" && strings.Contains(f.Text+f.Advice, c.never) {
				t.Errorf("%q is in %+v", c.never, f)
			}
			if got := slices.ContainsFunc(p.Notes, func(n result.Note) bool { return n.Code == result.NoteInstancePort }); got != c.note {
				t.Errorf("note %v: %+v", got, p.Notes)
			}
			// A fallback row has its own port.
			if alt := pathTo(t, r, "sql-alt-client"); alt.Instances != nil {
				t.Errorf("fallback: %+v", alt.Instances)
			}
		})
	}
}
