package listener

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

func attendanceOf(t *testing.T, roles ...plan.Role) *Attendance {
	t.Helper()
	p, err := plan.Load("illiad")
	if err != nil {
		t.Fatal(err)
	}
	return NewAttendance(p, roles, 0)
}

func came(kind echo.Kind, from string, port uint16, flow string) Event {
	return Event{At: time.Date(2026, 3, 17, 14, 0, 0, 0, time.UTC), Kind: kind, Peer: echo.Peer{
		Remote: netip.AddrPortFrom(netip.MustParseAddr(from), 50000), Local: netip.AddrPortFrom(netip.MustParseAddr("10.2.0.10"), port), Transport: plan.TCP, Flow: flow,
	}}
}

// missingAt are the roles that lack at a port.
func missingAt(t *testing.T, a *Attendance, port int) (out []plan.Role) {
	t.Helper()
	found := false
	a.Ports(func(p *Attended) {
		if p.Port == port && p.Transport == plan.TCP {
			out, found = p.Missing(), true
		}
	})
	if !found {
		t.Fatalf("nobody is expected at port %d", port)
	}
	return out
}

// A row that several roles have tells of none of them; that dial says at its end which
// it plays settles it, and for what came before as well.
func TestWhichRoleCameIsNotGuessed(t *testing.T) {
	a := attendanceOf(t)
	a.rows = slices.Clone(a.rows)
	for i := range a.rows {
		if a.rows[i].ID == "odyssey-client" {
			a.rows[i].From = []plan.Role{plan.RoleClient, "patron"}
		}
	}
	a.Take(came(echo.KindProved, "10.1.0.10", 7968, "odyssey-client"))
	if left, of := a.Waiting(); len(left) != of {
		t.Errorf("waiting for %v of %d", left, of)
	}
	if got := missingAt(t, a, 7968); !slices.Contains(got, plan.RoleClient) {
		t.Errorf("missing %v", got)
	}
	told := came(echo.KindSubmitted, "10.1.0.10", 7968, "")
	told.Submission = &echo.Submission{Host: "pc-17", Roles: []string{"client", "no such role", "peer\x1b[31m"}, Summary: result.Summary{Counted: 3, Failed: 1}, Broken: []string{"sql-client\x1b[2J"}}
	if !a.Take(told) {
		t.Error("nothing changed")
	}
	if got, want := missingAt(t, a, 7968), []plan.Role{plan.RolePeer}; !slices.Equal(got, want) {
		t.Errorf("missing %v, want %v", got, want)
	}
	// One address with the key can be several machines, behind a NAT: of each the newest.
	again := told
	other := *told.Submission
	other.Host, again.Submission = "pc-18", &other
	a.Take(told)
	a.Take(again)
	j := &Journal{}
	j.Write(came(echo.KindProved, "10.1.0.10", 7968, "odyssey-client"))
	l := &result.Listened{}
	a.Report(l, j)
	if len(l.Visitors) != 1 || len(l.Visitors[0].Told) != 2 || l.Visitors[0].Told[0].Host != "pc-17" || !slices.Equal(l.Visitors[0].Roles, []string{"client"}) {
		t.Fatalf("visitors %+v", l.Visitors)
	}
	if b := l.Visitors[0].Told[0].Broken[0]; b == told.Submission.Broken[0] {
		t.Errorf("%q is passed on as it came", b)
	}
}

// Neither who has the key nor who has not fills the memory, and a stranger is none of
// those who are expected.
func TestAttendanceIsBounded(t *testing.T) {
	a := attendanceOf(t)
	j := &Journal{}
	for n := range 2*maxAddrs + 10 {
		c := came(echo.KindForeign, netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}).String(), 1433, "sql-client")
		if a.Take(c) {
			t.Fatal("a stranger came")
		}
		j.Write(c)
	}
	for n := range 2*maxAddrs + 10 {
		c := came(echo.KindProved, netip.AddrFrom4([4]byte{11, byte(n >> 16), byte(n >> 8), byte(n)}).String(), 1433, "sql-client")
		a.Take(c)
		j.Write(c)
	}
	if len(a.guests) > maxAddrs {
		t.Errorf("%d guests", len(a.guests))
	}
	all, unlisted := j.Visitors()
	if len(all) != maxVisitors || unlisted != 2*(2*maxAddrs+10)-maxVisitors {
		t.Errorf("%d visitors, %d unlisted", len(all), unlisted)
	}
	for _, v := range all {
		if !v.Keyed {
			t.Fatalf("%s is listed, and many with the key are not", v.Address)
		}
	}
}

// Whoever has the key and many addresses fills no memory with how runs ended, and makes
// no other's vanish.
func TestWhatRunsToldIsBounded(t *testing.T) {
	a := attendanceOf(t)
	tell := func(from, host string) {
		c := came(echo.KindSubmitted, from, 1433, "sql-client")
		c.Submission = &echo.Submission{Host: host}
		a.Take(c)
	}
	tell("10.1.0.10", "a staff PC")
	for i := range 2 * maxAddrs {
		for n := range 2 {
			tell(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)}).String(), strconv.Itoa(n))
		}
	}
	for i := range 2 * maxTold {
		tell("10.2.0.1", strconv.Itoa(i))
	}
	n := 0
	for _, g := range a.guests {
		n += len(g.told)
	}
	if n > maxToldByAll || n != a.told || len(a.guests) > maxAddrs {
		t.Errorf("%d are remembered of %d addresses, counted %d", n, len(a.guests), a.told)
	}
	if g := a.guests[netip.MustParseAddr("10.1.0.10")]; len(g.told) != 1 {
		t.Errorf("the other's vanished: %+v", g)
	}
}

// What browsers tested is kept for the report, bounded, and whoever has many addresses of
// one network makes no other's vanish.
func TestBrowsersTestsAreKeptAndBounded(t *testing.T) {
	a := attendanceOf(t)
	browse := func(from, says string) {
		c := came(echo.KindBrowser, from, 80, "")
		c.Detail = says
		if a.Take(c) {
			t.Fatal("a browser proved the key")
		}
	}
	browse("10.1.0.10", "\"Desk 2\": HTTP went through\x1b[2J")
	for i := range 2 * maxBrowsed {
		browse(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)}).String(), "x")
	}
	var l result.Listened
	a.Report(&l, &Journal{})
	if len(l.Browsed) != maxBrowsed {
		t.Errorf("%d are kept", len(l.Browsed))
	}
	if b := l.Browsed[0]; b.Address != "10.1.0.10" || !strings.HasPrefix(b.Says, "\"Desk 2\": HTTP went through") || strings.Contains(b.Says, "\x1b") {
		t.Errorf("%+v", b)
	}
}
