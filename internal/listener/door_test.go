package listener

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

// openDoor opens a door to one TCP port until the test ends.
func openDoor(t *testing.T, at ...netip.AddrPort) *Door {
	t.Helper()
	p := &plan.Plan{}
	for n, a := range at {
		p.Rows = append(p.Rows, plan.Row{ID: fmt.Sprintf("in%d", n), Transport: plan.TCP, Port: int(a.Port())})
	}
	d := OpenDoor(t.Context(), DoorConfig{
		Config: Config{Key: rightKey, Plan: p, Ports: p.Ports(nil), Addrs: []netip.Addr{at[0].Addr()}},
		Run:    echo.NewID(), Timeout: guardTime,
	})
	t.Cleanup(d.Close)
	return d
}

// freePort is one of 127.0.0.1 that nobody has.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, port := listenBelow(t, &net.ListenConfig{}, "tcp4", loop.String())
	l.Close()
	return netip.AddrPortFrom(loop, uint16(port))
}

// queryOf asks about an attempt that proved itself at a port.
func queryOf(ask echo.Ask, at netip.AddrPort) echo.WitnessQuery {
	return echo.WitnessQuery{Probe: ask.Probe, Transport: plan.TCP, Port: int(at.Port()), SourceChanged: true, BeganMS: 5000}
}

func TestADoorThatWasNeverOpenedKnowsOfNothing(t *testing.T) {
	for name, d := range map[string]*Door{"nil": nil, "zero": {}} {
		instance, not := d.Expects(plan.TCP, 7968, result.IP4)
		if instance != "" || not == nil || not.InUse || not.NoPermission || not.Err == nil {
			t.Errorf("%s expects %q, %+v", name, instance, not)
		}
		q := echo.WitnessQuery{Transport: plan.TCP, Port: 7968}
		if a, ok := d.Saw(echo.NewID(), q, loop); ok {
			t.Errorf("%s saw %+v", name, a)
		}
		if a := d.Half(t.Context(), echo.NewID(), q, loop); a != nil {
			t.Errorf("%s has a half: %+v", name, a)
		}
		if d.Listened() != nil || d.Paused() != nil || d.Taken() != nil || d.Fingerprint() != "" || d.HighPort("in", result.IP4) != 0 {
			t.Errorf("%s tells of something", name)
		}
		if d.IsSibling("") || d.Vacated(t.Context(), plan.TCP, 7968, result.IP4) || slices.Contains(d.Bears(t.Context(), echo.NewID(), make([]echo.Claim, 2)), true) {
			t.Errorf("%s knows others", name)
		}
		for c := range d.Collected(t.Context()) {
			t.Errorf("%s collected %+v", name, c)
		}
		d.Close()
	}
}

func TestADoorTellsWhatCameUntilItWasClosed(t *testing.T) {
	at := freePort(t)
	d := openDoor(t, at)
	if instance, not := d.Expects(plan.TCP, int(at.Port()), result.IP4); not != nil || instance != d.l.Instance.String() || len(d.Taken()) > 0 {
		t.Fatalf("expects %q, %v", instance, not)
	}
	ask := newAsk()
	_, conn := prove(t, elsewhere, at, ask)
	for _, state := range []string{"open", "closed"} {
		a, ok := d.Saw(ask.Run, queryOf(ask, at), elsewhere)
		half := d.Half(t.Context(), ask.Run, queryOf(ask, at), elsewhere)
		if !ok || a.Saw != result.SawAccepted || a.Match != result.MatchProbe || half == nil || half.Saw != result.SawAccepted {
			t.Errorf("%s: saw %+v, half %+v", state, a, half)
		}
		if l := d.Listened(); l == nil || len(l.Arrivals) == 0 {
			t.Errorf("%s: listened %+v", state, l)
		}
		conn.Close()
		d.Close()
	}
	if _, err := net.Dial("tcp", at.String()); err == nil {
		t.Error("it answers although it was closed")
	}
}

// What came before a door was opened cannot be known: it was not watched.
func TestADoorLooksNoFurtherBackThanToItsOpening(t *testing.T) {
	at := freePort(t)
	d := openDoor(t, at)
	q := echo.WitnessQuery{Transport: plan.TCP, Port: int(at.Port()), SourceChanged: true, BeganMS: 1 << 62}
	if a := d.Half(t.Context(), echo.NewID(), q, elsewhere); a == nil || strings.Contains(a.Reason, "span of time") || a.Port != result.PortBound {
		t.Errorf("%+v", a)
	}
}

func TestASiblingAcceptsInADoorsPlace(t *testing.T) {
	sibling := start(t, Config{})
	d := openDoor(t, sibling.at)
	port, instance := int(sibling.at.Port()), sibling.Instance.String()
	if got, not := d.Expects(plan.TCP, port, result.IP4); got != instance || not != nil || !d.IsSibling(instance) || d.IsSibling(d.l.Instance.String()) {
		t.Fatalf("expects %q, %v; taken %+v", got, not, d.Taken())
	}
	ask := newAsk()
	_, conn := prove(t, elsewhere, sibling.at, ask)
	defer conn.Close()
	if a, ok := d.Saw(ask.Run, queryOf(ask, sibling.at), elsewhere); ok {
		t.Errorf("its own listener saw %+v", a)
	}
	if a := d.Half(t.Context(), ask.Run, queryOf(ask, sibling.at), elsewhere); a.Saw != result.SawAccepted || a.Instance != instance || a.Port != result.PortBound {
		t.Errorf("half %+v", a)
	}
	claims := make([]echo.Claim, echo.MaxClaims+1) // more than one question
	claims[echo.MaxClaims] = echo.Claim{Direction: plan.Reverse, Transport: plan.TCP, Port: port, Family: result.IP4}
	if got := d.Bears(t.Context(), ask.Run, claims); slices.Index(got, true) != echo.MaxClaims {
		t.Errorf("borne %v", got)
	}
	if d.Vacated(t.Context(), plan.TCP, port, result.IP4) {
		t.Error("vacated while the sibling runs")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	sibling.stop()
	if d.Vacated(ended, plan.TCP, port, result.IP4) {
		t.Error("vacated, though there was no time to ask")
	}
	if !d.Vacated(t.Context(), plan.TCP, port, result.IP4) {
		t.Error("not vacated although the sibling ended")
	}
	if a := d.Half(t.Context(), ask.Run, queryOf(ask, sibling.at), elsewhere); a.Saw != result.SawUnknown || a.Instance != instance || a.Reason == "" {
		t.Errorf("half of one that ended %+v", a)
	}
}

// A Door whose run is over goes on accepting while a sibling leans on it. Two that
// lean on each other both end.
func TestADoorGoesOnForItsSiblings(t *testing.T) {
	first, second := freePort(t), freePort(t)
	for second == first {
		second = freePort(t)
	}
	early, late := openDoor(t, first), openDoor(t, first, second)
	early2 := openDoor(t, second, first)
	if at := late.siblings()[early.l.Instance.String()]; at != first || early2.siblings()[late.l.Instance.String()] != second {
		t.Fatalf("taken %+v and %+v", late.Taken(), early2.Taken())
	}
	for !early.IsLent() || !late.IsLent() { // what they lean with may be on its way
		time.Sleep(time.Millisecond)
	}
	ended := make(chan struct{})
	go func() { early.Close(); close(ended) }()
	select {
	case <-ended:
		t.Fatal("it ended while others leaned on it")
	case <-time.After(100 * time.Millisecond): // as long as one that does not wait is given
	}
	_, conn := prove(t, elsewhere, first, newAsk())
	conn.Close()
	early2.Close()
	late.Close()
	<-ended
	if early.IsLent() || late.IsLent() {
		t.Error("they are lent still")
	}
	if !isFree(t.Context(), plan.TCP, first) || !isFree(t.Context(), plan.TCP, second) {
		t.Error("ports are held after all were closed")
	}
}

func TestDoorsThatLeanOnEachOtherEnd(t *testing.T) {
	one, other := openDoor(t, freePort(t)), openDoor(t, freePort(t))
	for _, d := range [][2]*Door{{one, other}, {other, one}} {
		if at, _ := d[0].findSibling(t.Context(), loop, int(d[1].l.Bound()[0].Addr.Port())); !at.IsValid() {
			t.Fatal("not found")
		}
	}
	for !one.IsLent() || !other.IsLent() {
		time.Sleep(time.Millisecond)
	}
	ended := make(chan struct{})
	go func() { one.Close(); close(ended) }()
	other.Close()
	<-ended
}

// A sibling that is asked by this machine takes what came from this machine for the
// attempt, where addresses are changed on the way and the time is all it has.
func TestASiblingTakesNothingOfThisMachineForTheFarEnds(t *testing.T) {
	sibling := start(t, Config{})
	d := openDoor(t, sibling.at)
	conn := dialFrom(t, loop, sibling.at)
	conn.Close()
	sibling.told.await(t, 2) // the door's own question was the first
	q := echo.WitnessQuery{
		Transport: plan.TCP, Port: int(sibling.at.Port()), Source: result.EndpointFrom(netip.MustParseAddrPort("10.2.0.5:5000")), SourceChanged: true, BeganMS: 5000,
	}
	if a := d.Half(t.Context(), d.c.Run, q, elsewhere); a.Saw != result.SawUnknown || a.Match != "" || a.Source.IsValid() || a.Reason == "" || a.Port != result.PortBound {
		t.Errorf("half %+v", a)
	}
}

func TestADoorTellsThatOtherSoftwareHasItsPort(t *testing.T) {
	at := prooftest.Accept(t, netip.AddrPortFrom(loop, 0), func(_ context.Context, c *net.TCPConn) { c.Close() })
	d := openDoor(t, at)
	instance, not := d.Expects(plan.TCP, int(at.Port()), result.IP4)
	if instance != "" || not == nil || !not.InUse || errors.Is(not, errNeverOpened) {
		t.Errorf("expects %q, %v", instance, not)
	}
	a := d.Half(t.Context(), echo.NewID(), echo.WitnessQuery{Transport: plan.TCP, Port: int(at.Port())}, loop)
	if a == nil || a.Port != result.PortBusy || a.Saw != result.SawUnknown || a.Instance != d.l.Instance.String() {
		t.Errorf("half %+v", a)
	}
	if d.Vacated(t.Context(), plan.TCP, int(at.Port()), result.IP4) {
		t.Error("no sibling had it")
	}
}

// What has a port on the loopback interface alone is in the way of binding it, and
// yet accepts nothing that the far end dials back.
// A port that could not be had for another cause is nobody's: no other software is
// accused of it.
func TestADoorAccusesNobodyOfAPortThatItMayNotHave(t *testing.T) {
	at := netip.AddrPortFrom(netip.MustParseAddr("198.51.100.7"), 7968) // no address of this machine
	d := openDoor(t, at)
	h := d.Half(t.Context(), echo.NewID(), queryOf(echo.Ask{}, at), loop)
	if h == nil || h.Port != result.PortUnbound || h.Holder != nil || h.Saw != result.SawUnknown || !strings.Contains(h.Reason, "could not open the port") {
		t.Errorf("%+v", h)
	}
}

func TestASiblingOnTheLoopbackInterfaceAloneAcceptsNothingFromElsewhere(t *testing.T) {
	sibling := start(t, Config{})
	port := int(sibling.at.Port())
	for name, c := range map[string]struct {
		from []netip.Addr
		want string
	}{
		"where the far end dials back, nobody has it": {[]netip.Addr{elsewhere}, ""},
		"it is where the far end dials back":          {[]netip.Addr{elsewhere, loop}, sibling.Instance.String()},
		"nobody knows where the far end dials back":   {nil, sibling.Instance.String()},
	} {
		p := planOf(plan.Row{ID: "in", Transport: plan.TCP, Port: port})
		d := OpenDoor(t.Context(), DoorConfig{Config: Config{Key: rightKey, Plan: p, Ports: p.Ports(nil)}, From: c.from, Run: echo.NewID(), Timeout: guardTime})
		d.Close()
		instance, not := d.Expects(plan.TCP, port, result.IP4)
		if instance != c.want || (not == nil) != (c.want != "") || not != nil && !not.InUse {
			t.Errorf("%s: expects %q, %v", name, instance, not)
		}
	}
}

func TestSiblingsAreLookedForWhereTheFarEndDialsBack(t *testing.T) {
	from := []netip.Addr{netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("127.0.0.1")}
	for addr, want := range map[string]string{
		"0.0.0.0":  "10.1.0.2 127.0.0.1",
		"::":       "::1",
		"10.9.9.9": "10.9.9.9",
	} {
		var got []string
		for _, a := range siblingAddrs(netip.MustParseAddr(addr), from) {
			got = append(got, a.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", addr, got, want)
		}
	}
}

// Somebody else's software is not asked by key whether it is one of ours.
func TestOnlyWhatMayBeOursIsAskedByKey(t *testing.T) {
	for name, want := range map[string]bool{"sqlservr.exe": false, "nginx": false, "ncat": false, "listen": true, "dial.exe": true, "dialtone-listen": true, "listener.test": true} {
		if got := mayBeSibling(&result.Holder{Name: name, PID: 7}); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if !mayBeSibling(nil) || !mayBeSibling(&result.Holder{PID: 7}) {
		t.Error("what is not told may be one of ours")
	}
}
