package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
)

func boardOf(t *testing.T, roles ...plan.Role) *board {
	t.Helper()
	p, err := plan.Load("illiad")
	if err != nil {
		t.Fatal(err)
	}
	return &board{who: listener.NewAttendance(p, roles, 0)}
}

func keyed(kind echo.Kind, from string, transport plan.Transport, port uint16, flow string) listener.Event {
	return listener.Event{Kind: kind, Peer: echo.Peer{
		Remote: netip.AddrPortFrom(netip.MustParseAddr(from), 50000), Local: netip.AddrPortFrom(netip.MustParseAddr("10.2.0.10"), port), Transport: transport, Flow: flow,
	}}
}

func TestTheBoardShowsWhoHasToComeAndWhoHas(t *testing.T) {
	b := boardOf(t)
	if got, want := b.waiting(), "still waiting for: staff PC, partner's server, patron's PC"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	b.who.Take(keyed(echo.KindProved, "10.1.0.10", plan.TCP, 1433, "sql-client"))
	b.who.Take(keyed(echo.KindProved, "10.1.0.10", plan.TCP, 1433, "sql-client"))
	b.who.Take(keyed(echo.KindAsked, "10.1.0.11", plan.TCP, 1433, "sql-client"))
	b.who.Take(keyed(echo.KindPlain, "10.9.9.9", plan.TCP, 1433, "sql-client"))              // no key
	b.who.Take(keyed(echo.KindProved, "203.0.113.2", plan.TCP, 7968, "odyssey-out"))         // as the partner calls what is odyssey-in here
	b.who.Take(keyed(echo.KindProved, "203.0.113.2", plan.TCP, 9999, "no-such-row\x1b[31m")) // of another plan
	lines := b.lines(79, 40)
	for _, want := range []string{
		"  1433/tcp   staff PC, (PC for reports)  10.1.0.10, 10.1.0.11",
		"  7968/tcp   staff PC, partner's server  203.0.113.2; no staff PC",
		"  1611/tcp   (partner's server)          nobody yet",
		"still waiting for: patron's PC",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in\n%s", want, strings.Join(lines, "\n"))
		}
	}
	for _, size := range [][2]int{{79, 40}, {79, 8}, {40, 12}, {119, 6}} {
		lines := b.lines(size[0], size[1])
		if len(lines) > max(5, size[1]) {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, line := range lines[2 : len(lines)-1] {
			if len(line) > size[0] {
				t.Errorf("%v: %q", size, line)
			}
		}
		if lines[len(lines)-1] != b.waiting() {
			t.Errorf("%v: the last line is %q", size, lines[len(lines)-1])
		}
	}
	for n := range 3 {
		b.who.Take(keyed(echo.KindProved, netip.AddrFrom4([4]byte{203, 0, 113, byte(100 + n)}).String(), plan.TCP, 7968, "odyssey-out"))
	}
	if want := "  7968/tcp   staff PC, partner's server  203.0.113.102 and 3 more; no staff PC"; !slices.Contains(b.lines(79, 40), want) {
		t.Errorf("no line %q in\n%s", want, strings.Join(b.lines(79, 40), "\n"))
	}
	if want := "  7968/tcp   staff PC, partner's server  4 came; no staff PC"; !slices.Contains(b.lines(60, 40), want) {
		t.Errorf("no line %q in\n%s", want, strings.Join(b.lines(60, 40), "\n"))
	}
	b.who.Take(keyed(echo.KindProved, "10.7.0.1", plan.TCP, 443, "web-https"))
	if got, want := b.waiting(), "all have come that have to by the plan"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheBoardOfOneRoleHasItsPortsAlone(t *testing.T) {
	b := boardOf(t, plan.RoleDatabase)
	var ports []int
	b.who.Ports(func(p *listener.Attended) { ports = append(ports, p.Port) })
	if want := []int{1344, 1433, 1434}; !slices.Equal(ports, want) {
		t.Errorf("ports %v, want %v", ports, want)
	}
	if got, want := b.waiting(), "still waiting for: staff PC"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Many that come neither fill the terminal nor memory.
func TestTheBoardCountsThoseForWhomThereIsNoRoom(t *testing.T) {
	b := boardOf(t)
	line := func() string {
		for _, l := range b.lines(79, 40) {
			if strings.HasPrefix(l, "  1433/tcp") {
				return l
			}
		}
		return ""
	}
	for n := range 5 {
		b.who.Take(keyed(echo.KindProved, netip.AddrFrom4([4]byte{10, 1, 0, byte(n)}).String(), plan.TCP, 1433, "sql-client"))
	}
	if got, want := line(), "  1433/tcp   staff PC, (PC for reports)  10.1.0.4 and 4 more"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for n := range 250 {
		b.who.Take(keyed(echo.KindProved, netip.AddrFrom4([4]byte{10, 1, 1, byte(n)}).String(), plan.TCP, 1433, "sql-client"))
	}
	if got, want := line(), "  1433/tcp   staff PC, (PC for reports)  10.1.1.26 and more than 31 others"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	b.who.Ports(func(p *listener.Attended) {
		if n := len(p.Reached); n > 32 {
			t.Errorf("%d addresses are kept of %d", n, p.Port)
		}
	})
}
