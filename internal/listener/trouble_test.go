package listener

import (
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
	"dialtone/internal/witness"
)

func TestTroublesOfASpan(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	var all troubles
	all.add(at(10), at(20), "asleep")
	all.add(at(20), at(21), "asleep")
	all.add(at(60), at(61), "asleep")
	if len(all.spans) != 2 {
		t.Errorf("%+v: what goes on is one span", all.spans)
	}
	for _, c := range []struct {
		from, to int
		want     string
	}{{0, 9, ""}, {0, 10, "asleep"}, {12, 13, "asleep"}, {21, 30, "asleep"}, {22, 59, ""}, {0, 100, "asleep"}} {
		if got := all.during(at(c.from), at(c.to)); got != c.want {
			t.Errorf("from %d to %d: %q", c.from, c.to, got)
		}
	}
	for i := range 2 * maxTroubles {
		all.add(at(100+10*i), at(101+10*i), "asleep")
	}
	if len(all.spans) > maxTroubles {
		t.Errorf("%d spans", len(all.spans))
	}
}

// Spans in which queues were full are told with their ports, the newest, and never crowd
// out those that concern all.
func TestFullQueuesAreToldWithTheirPorts(t *testing.T) {
	start := sock.Now().Add(-time.Hour)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var all troubles
	all.add(at(0), at(2000), "asleep")
	all.turnedAway(1433, at(5000), at(5200))
	all.turnedAway(443, at(5400), at(5600))
	all.turnedAway(1433, at(6000), at(6200))
	all.turnedAway(7968, at(8000), at(8200))   // later than a second after it
	for ms := 20_000; ms < 40_000; ms += 200 { // one that lasts is told in pieces
		all.turnedAway(80, at(ms), at(ms+200))
	}
	var ports [][]int
	for _, s := range all.told(at(41_000)) {
		if ports = append(ports, s.Full); s.BeganMS-s.EndedMS > longestFull.Milliseconds() {
			t.Errorf("a span of %d ms", s.BeganMS-s.EndedMS)
		}
	}
	if want := [][]int{nil, {1433, 443}, {7968}, {80}, {80}, {80}, {80}}; !slices.EqualFunc(ports, want, slices.Equal[[]int]) {
		t.Errorf("told of %v", ports)
	}
	for i := range 1000 {
		all.turnedAway(80, at(100_000+10_000*i), at(100_200+10_000*i))
	}
	told := all.told(sock.Now())
	if len(told) > echo.MaxPaused || len(told[0].Full) > 0 {
		t.Errorf("%d spans, the first of %v", len(told), told[0].Full)
	}
}

// What this program did not do in time is no device's fault.
func TestHalfOpenWhileTheListenerWasStoppedIsNotTheNetworks(t *testing.T) {
	now := time.Now()
	h := witness.HalfOpen{Source: netip.MustParseAddrPort("192.0.2.7:50000"), Local: netip.MustParseAddrPort("198.51.100.9:1433"), First: now, Answered: true}
	l := New(Config{})
	from, to := now.Add(-time.Second), now.Add(time.Second)
	half := func(from, to time.Time) result.Acceptor {
		q := witness.Question{Transport: plan.TCP, From: from, To: to}
		v := witness.View{Port: result.PortBound, ExactHalf: &h}
		l.couldIt(&v, q)
		return witness.Half(q, v)
	}
	if a := half(from, to); a.Saw != result.SawHalfOpen || a.Dropped != "" {
		t.Errorf("without trouble: %+v", a)
	}
	l.troubles.add(now, now, "the listener was stopped")
	if a := half(from, to); a.Saw != result.SawUnknown || a.Reason != "the listener was stopped" {
		t.Errorf("stopped: %+v", a)
	}
	if a := half(from.Add(-time.Hour), to.Add(-time.Hour)); a.Saw != result.SawHalfOpen {
		t.Errorf("an hour before: %+v", a)
	}
}

func TestSightingTellsThatTheListenerWasStopped(t *testing.T) {
	l := start(t, Config{})
	q := echo.WitnessQuery{Probe: echo.NewID(), Transport: plan.TCP, Port: int(l.at.Port()), Source: result.EndpointFrom(netip.MustParseAddrPort("127.0.0.9:50000")), BeganMS: 3000, EndedMS: 1000}
	before := l.sightings([]echo.WitnessQuery{q}, elsewhere, echo.NewID())[0]
	at := sock.Now().Add(-2 * time.Second)
	l.troubles.add(at, at, "the listener was stopped")
	if got := l.sightings([]echo.WitnessQuery{q}, elsewhere, echo.NewID())[0]; before.Dropped != "" || got.Dropped != result.DropListener || got.Detail != "the listener was stopped" {
		t.Errorf("%+v, then %+v", before, got)
	}
}

func TestHelloTellsOfItsOwnTime(t *testing.T) {
	l := New(Config{Plan: planOf()})
	l.troubles.slept = 12 * time.Second
	l.began = sock.Now().Add(-time.Minute)
	h := l.Hello(echo.Peer{Remote: netip.MustParseAddrPort("127.0.0.1:50000"), Run: echo.NewID()})
	if h.SleptMS != 12_000 || h.UptimeMS < 60_000 || h.UptimeMS > 90_000 || sock.Since(time.UnixMilli(h.Started)) < time.Minute || h.Neighbour {
		t.Errorf("%+v", h)
	}
}

func TestOtherRunsFromAnAddress(t *testing.T) {
	l := newArrivals()
	remote := netip.MustParseAddrPort("192.0.2.7:50000")
	mine, own := echo.NewID(), echo.NewID()
	for i, run := range []echo.ID{mine, mine, own, echo.NewID(), echo.NewID(), {}} {
		e := l.accepted(plan.TCP, netip.AddrPortFrom(remote.Addr(), uint16(50000+i)), remote)
		l.tie(e, run, echo.NewID())
	}
	since := time.Now().Add(-time.Minute)
	if n := l.otherRuns(remote.Addr(), since, mine, own); n != 2 {
		t.Errorf("%d other runs", n)
	}
	if n := l.otherRuns(netip.MustParseAddr("192.0.2.8"), since, mine, own) + l.otherRuns(remote.Addr(), time.Now(), mine, own); n != 0 {
		t.Errorf("%d elsewhere or since now", n)
	}
}

// What arrived while nobody had time to read it is known to have waited here, and no
// device on the way is why it got no answer.
func TestListenerThatReadTooLateAccusesNobody(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells when data arrived")
	}
	l := start(t, Config{})
	prove(t, loop, l.at, newAsk())
	if p := l.Paused(loop); len(p) != 0 {
		t.Fatalf("it was in time: %+v", p)
	}
	ask := newAsk()
	conn := dialFrom(t, loop, l.at)
	began := time.Now()
	l.arrivals.mu.Lock() // nobody is accepted
	late := make(chan error, 1)
	go func() { _, err := echo.Prove(within(t, guardTime), conn, ask); late <- err }()
	time.Sleep(sock.PulseLost + 100*time.Millisecond)
	l.arrivals.mu.Unlock()
	if err := receive(t, late); err != nil {
		t.Fatal(err)
	}
	p := l.Paused(loop)
	if len(p) != 1 || p[0].Shed || time.Duration(p[0].BeganMS-p[0].EndedMS)*time.Millisecond < sock.PulseLost-100*time.Millisecond {
		t.Errorf("%+v", p)
	}
	q := echo.WitnessQuery{Probe: ask.Probe, Transport: plan.TCP, Port: int(l.at.Port()), BeganMS: time.Since(began).Milliseconds()}
	if a := l.sightings([]echo.WitnessQuery{q}, loop, ask.Run)[0]; a.Saw != result.SawAccepted || a.Dropped != result.DropListener || a.Detail != whyLate {
		t.Errorf("%+v", a)
	}
}
