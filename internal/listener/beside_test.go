package listener

import (
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// live is software that holds a port and takes connections when told to.
type live struct {
	net.Listener
	at netip.AddrPort
}

func startLive(t *testing.T) live {
	t.Helper()
	l, _ := listenBelow(t, &net.ListenConfig{}, "tcp4", loop.String())
	return live{l, sock.AddrPortOf(l.Addr())}
}

func (l live) take(t *testing.T) net.Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// besideLive is a listener that wanted the port of live software, too.
func besideLive(t *testing.T, l live) *running {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the kernel's table of connections is read on Linux")
	}
	p := planOf(plan.Row{ID: "high", Transport: plan.TCP}, plan.Row{ID: "odyssey", Port: int(l.at.Port()), Transport: plan.TCP})
	return startBeside(t, Config{Plan: p, Ports: p.Ports(nil), Addrs: []netip.Addr{loop}}, 1)
}

// sees is what it answers to a question about a connection from somewhere.
func (l *running) sees(live live, from result.Endpoint, asSeen netip.Addr, run echo.ID, moment echo.Moment, changed bool) result.Acceptor {
	return l.sightings([]echo.WitnessQuery{{Transport: plan.TCP, Port: int(live.at.Port()), Source: from, SourceChanged: changed, Moment: moment}}, asSeen, run)[0]
}

func endpointOf(c net.Conn) result.Endpoint {
	return result.EndpointFrom(sock.AddrPortOf(c.LocalAddr()))
}

// The kernel says whether this very connection was accepted by the program that has
// the port, and counts what came.
func TestConnectionToLiveSoftwareIsSeen(t *testing.T) {
	live := startLive(t)
	l := besideLive(t, live)
	run := echo.NewID()
	c := dialFrom(t, elsewhere, live.at)
	from := endpointOf(c)

	await := func(saw result.Sighting) (a result.Acceptor) {
		t.Helper()
		for start := time.Now(); time.Since(start) < guardTime; time.Sleep(time.Millisecond) {
			if a = l.sees(live, from, elsewhere, run, echo.MomentNow, false); a.Saw == saw {
				return a
			}
		}
		t.Fatalf("%+v, want %s", a, saw)
		return a
	}
	if a := await(result.SawWaiting); a.Counted != nil || a.Port != result.PortBusy || a.Match != result.MatchAddress {
		t.Errorf("before it is accepted: %+v", a)
	}
	far := live.take(t)
	if a := await(result.SawAccepted); a.Counted == nil || *a.Counted != (result.Counted{}) || a.Source != from || a.Local != result.EndpointFrom(live.at) {
		t.Errorf("accepted: %+v, %+v", a, a.Counted)
	}
	if _, err := c.Write(make([]byte, 94)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(far, make([]byte, 94)); err != nil {
		t.Fatal(err)
	}
	if a := await(result.SawAccepted); a.Counted.In != 94 || a.BytesIn != 94 {
		t.Errorf("after 94 bytes: %+v", a.Counted)
	}
	_ = far.Close()
	if a := await(result.SawUnknown); !strings.Contains(a.Reason, "closed") {
		t.Errorf("after it was closed there: %+v", a)
	}
}

// What is not there is said not to be, where nothing may lead it elsewhere: then
// somebody on the way accepted it.
func TestConnectionThatNeverCameIsNotThere(t *testing.T) {
	live := startLive(t)
	l := besideLive(t, live)
	a := l.sees(live, result.EndpointFrom(netip.AddrPortFrom(elsewhere, 50123)), elsewhere, echo.NewID(), echo.MomentNow, false)
	want := result.SawNothing
	if sock.MayBeLedElsewhere() {
		want = result.SawUnknown
	}
	if a.Saw != want {
		t.Errorf("%+v, want %s", a, want)
	}
}

// Whoever has the key learns of its own connections, and of nobody else's.
func TestOnesOwnConnectionsAloneAreTold(t *testing.T) {
	live := startLive(t)
	l := besideLive(t, live)
	others := dialFrom(t, elsewhere, live.at)
	live.take(t)
	ask := newAsk()
	for _, asSeen := range []netip.Addr{netip.MustParseAddr("127.0.0.3"), loop} {
		a := l.sees(live, endpointOf(others), asSeen, ask.Run, echo.MomentNow, false)
		if a.Saw != result.SawUnknown || a.Source.IsValid() || a.Local.IsValid() || a.Counted != nil || !strings.Contains(a.Reason, "no address from which this run came") {
			t.Errorf("asked from %s: %+v", asSeen, a)
		}
	}
	// Once the run proved itself from there, it is its own.
	c, _ := prove(t, elsewhere, l.at, ask)
	if _, err := c.Hello(within(t, guardTime)); err != nil {
		t.Fatal(err)
	}
	if a := l.sees(live, endpointOf(others), loop, ask.Run, echo.MomentNow, false); a.Saw != result.SawAccepted {
		t.Errorf("of an address that the run proved: %+v", a)
	}
	for name, q := range map[string]echo.WitnessQuery{
		"no port":       {Source: result.EndpointFrom(netip.AddrPortFrom(elsewhere, 0)), Moment: echo.MomentNow},
		"no address":    {Moment: echo.MomentNow},
		"other moments": {Source: endpointOf(others), Moment: "yesterday"},
	} {
		q.Transport, q.Port = plan.TCP, int(live.at.Port())
		if a := l.sightings([]echo.WitnessQuery{q}, elsewhere, ask.Run)[0]; a.Saw != result.SawUnknown {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// Behind a NAT that changes ports one new connection is the asker's, and of two none
// is known to be.
func TestConnectionBehindANATIsToldByTimeAndCount(t *testing.T) {
	live := startLive(t)
	l := besideLive(t, live)
	run, hidden := echo.NewID(), result.EndpointFrom(netip.MustParseAddrPort("192.0.2.7:50000"))
	old := dialFrom(t, elsewhere, live.at)
	live.take(t)

	if a := l.sees(live, hidden, elsewhere, run, echo.MomentNow, true); a.Saw != result.SawUnknown {
		t.Errorf("asked without a before: %+v", a)
	}
	l.sees(live, hidden, elsewhere, run, echo.MomentBefore, true)
	if a := l.sees(live, hidden, elsewhere, run, echo.MomentNow, true); a.Saw != result.SawUnknown || a.Source.IsValid() {
		t.Errorf("nothing new, and %s is another's: %+v", old.LocalAddr(), a)
	}
	mine := dialFrom(t, elsewhere, live.at)
	live.take(t)
	if a := l.sees(live, hidden, elsewhere, run, echo.MomentNow, true); a.Saw != result.SawAccepted || a.Match != result.MatchTime || a.Source != endpointOf(mine) {
		t.Errorf("one new: %+v", a)
	}
	if a := l.sees(live, hidden, elsewhere, echo.NewID(), echo.MomentNow, true); a.Saw != result.SawUnknown {
		t.Errorf("asked by another run: %+v", a)
	}
	dialFrom(t, elsewhere, live.at)
	live.take(t)
	if a := l.sees(live, hidden, elsewhere, run, echo.MomentNow, true); a.Saw != result.SawUnknown || !strings.Contains(a.Reason, "2 connections") {
		t.Errorf("two new: %+v", a)
	}
	// Another run from the same address may have made it.
	l.sees(live, hidden, elsewhere, run, echo.MomentBefore, true)
	dialFrom(t, elsewhere, live.at)
	live.take(t)
	prove(t, elsewhere, l.at, newAsk())
	if a := l.sees(live, hidden, elsewhere, run, echo.MomentNow, true); a.Saw != result.SawUnknown || !strings.Contains(a.Reason, "another run") {
		t.Errorf("another run from there: %+v", a)
	}
}

// What another program has at another address of this machine is not its.
func TestConnectionToAnotherAddressOfThePortIsNotSeen(t *testing.T) {
	live := startLive(t)
	l := besideLive(t, live)
	other, err := net.Listen("tcp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.4"), live.at.Port()).String())
	if err != nil {
		t.Skip(err)
	}
	defer other.Close()
	c := dialFrom(t, elsewhere, sock.AddrPortOf(other.Addr()))
	far, err := other.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	run := echo.NewID()
	for _, changed := range []bool{false, true} {
		if a := l.sees(live, endpointOf(c), elsewhere, run, echo.MomentNow, changed); a.Saw == result.SawAccepted {
			t.Errorf("address changed %t: %+v", changed, a)
		}
	}
}
