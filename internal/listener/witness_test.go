package listener

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// strange makes a connection that says something strange, and waits until the
// listener is done with it.
func strange(t *testing.T, l *running, from netip.Addr) result.Endpoint {
	t.Helper()
	n := len(l.told.list())
	c := dialFrom(t, from, l.at)
	_, _ = io.WriteString(c, "HELLO")
	_ = c.CloseWrite()
	_, _ = io.Copy(io.Discard, c)
	l.told.await(t, n+1)
	return result.EndpointFrom(sock.AddrPortOf(c.LocalAddr()))
}

func TestAttemptsAreToldByProbeByAddressAndByTime(t *testing.T) {
	l := start(t, Config{})
	port := int(l.at.Port())
	ask := newAsk()
	_, conn := prove(t, elsewhere, l.at, ask) // the listener's own proof came from 127.0.0.1
	proved := result.EndpointFrom(sock.AddrPortOf(conn.LocalAddr()))
	source := strange(t, l, elsewhere)
	hidden := result.EndpointFrom(netip.MustParseAddrPort("192.0.2.7:50000"))
	noPort := result.EndpointFrom(netip.AddrPortFrom(elsewhere, 0))
	for name, c := range map[string]struct {
		q    echo.WitnessQuery
		want result.Acceptor
	}{
		"by probe": {
			echo.WitnessQuery{Probe: ask.Probe, Source: hidden, SourceChanged: true},
			result.Acceptor{Match: result.MatchProbe, Source: proved, Proved: true, Lasts: true},
		},
		"by address": {
			echo.WitnessQuery{Probe: echo.NewID(), Source: source},
			result.Acceptor{Match: result.MatchAddress, Source: source, BytesIn: 5, Detail: "the listener recorded it as not-stun"},
		},
		"by address, without a probe": {
			echo.WitnessQuery{Source: source},
			result.Acceptor{Match: result.MatchAddress, Source: source, BytesIn: 5, Detail: "the listener recorded it as not-stun"},
		},
		"by address, the port not known": {
			echo.WitnessQuery{Probe: echo.NewID(), Source: noPort},
			result.Acceptor{Match: result.MatchTime, Source: source, BytesIn: 5, Detail: "the listener recorded it as not-stun"},
		},
		"by time": {
			echo.WitnessQuery{Probe: echo.NewID(), Source: hidden, SourceChanged: true},
			result.Acceptor{Match: result.MatchTime, Source: source, BytesIn: 5, Detail: "the listener recorded it as not-stun"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.q.Transport, c.q.Port, c.q.BeganMS = plan.TCP, port, 5000
			c.want.Instance, c.want.Port, c.want.Saw, c.want.Local = l.Instance.String(), result.PortBound, result.SawAccepted, result.EndpointFrom(l.at)
			got := l.sightings([]echo.WitnessQuery{c.q}, elsewhere, ask.Run)[0]
			if runtime.GOOS == "linux" && !got.Lasts && (got.TCP == nil || got.TCP.MSS < 500) {
				t.Errorf("its end of the connection: %+v", got.TCP)
			}
			got.TCP = nil
			if got != c.want {
				t.Errorf("%+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestWhatCannotBeToldIsUnknown(t *testing.T) {
	l := start(t, Config{})
	port := int(l.at.Port())
	prove(t, loop, l.at, newAsk()) // another run
	strange(t, l, loop)
	hidden := result.EndpointFrom(netip.MustParseAddrPort("192.0.2.7:50000"))
	six := result.EndpointFrom(netip.MustParseAddrPort("[2001:db8::7]:50000"))
	for name, c := range map[string]struct {
		q      echo.WitnessQuery
		asSeen netip.Addr
	}{
		"another run came from there":             {echo.WitnessQuery{Source: hidden, SourceChanged: true, BeganMS: 5000}, loop},
		"something came that nobody claims":       {echo.WitnessQuery{Source: hidden, BeganMS: 5000}, loop},
		"something came from elsewhere, by time":  {echo.WitnessQuery{Source: hidden, SourceChanged: true, BeganMS: 5000}, elsewhere},
		"its family is not the conversation's":    {echo.WitnessQuery{Source: six, SourceChanged: true, BeganMS: 5000}, loop},
		"before the listener began":               {echo.WitnessQuery{Source: hidden, BeganMS: 3_600_000, EndedMS: 3_599_000}, loop},
		"a port it does not have":                 {echo.WitnessQuery{Source: hidden, Port: 1}, loop},
		"a transport it does not have":            {echo.WitnessQuery{Source: hidden, Transport: plan.UDP}, loop},
		"no transport":                            {echo.WitnessQuery{Source: hidden, Transport: "x"}, loop},
		"an end before its beginning":             {echo.WitnessQuery{Source: hidden, BeganMS: 1, EndedMS: 2}, loop},
		"a time to come":                          {echo.WitnessQuery{Source: hidden, BeganMS: -5000, EndedMS: -6000}, loop},
		"a time that no number of a clock holds":  {echo.WitnessQuery{Source: hidden, BeganMS: 1 << 62, EndedMS: 1 << 61}, loop},
		"a time that is too long ago by a minute": {echo.WitnessQuery{Source: hidden, BeganMS: maxAge + 60_000}, loop},
	} {
		if c.q.Port == 0 {
			c.q.Port = port
		}
		if c.q.Transport == "" {
			c.q.Transport = plan.TCP
		}
		if got := l.sightings([]echo.WitnessQuery{c.q}, c.asSeen, echo.NewID())[0]; got.Saw != result.SawUnknown || got.Reason == "" || got.Match != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestNothingIsSaidOnlyOfATimeThatWasWatched(t *testing.T) {
	l := start(t, Config{})
	if l.watch.State() == result.WitnessNone {
		t.Skip("this system does not show half-open connections")
	}
	source := result.EndpointFrom(netip.MustParseAddrPort("192.0.2.7:50000"))
	q := echo.WitnessQuery{Transport: plan.TCP, Port: int(l.at.Port()), Source: source}
	var got result.Acceptor
	// Other programs of this machine may blind the watch for a moment.
	for began := time.Now(); time.Since(began) < guardTime; time.Sleep(10 * time.Millisecond) {
		if got = l.sightings([]echo.WitnessQuery{q}, loop, echo.NewID())[0]; got.Saw == result.SawNothing {
			break
		}
	}
	if got.Saw != result.SawNothing || got.Port != result.PortBound || got.Reason != "" {
		t.Errorf("%+v", got)
	}
}

func TestNothingIsNotSaidOfATimeBeforeTheListener(t *testing.T) {
	l := start(t, Config{Plan: planOf(plan.Row{ID: "browser", Transport: plan.UDP})})
	q := echo.WitnessQuery{Transport: plan.UDP, Port: int(l.at.Port()), Source: result.EndpointFrom(netip.MustParseAddrPort("192.0.2.7:50000"))}
	if got := l.sightings([]echo.WitnessQuery{q}, loop, echo.NewID())[0]; got.Saw != result.SawNothing {
		t.Errorf("now: %+v", got)
	}
	q.BeganMS, q.EndedMS = 3_600_000, 3_599_000
	if got := l.sightings([]echo.WitnessQuery{q}, loop, echo.NewID())[0]; got.Saw != result.SawUnknown {
		t.Errorf("an hour ago: %+v", got)
	}
}

func TestListenerThatNeverServedSawNothingItCouldTell(t *testing.T) {
	l := New(Config{Key: rightKey, Plan: planOf(plan.Row{ID: "high", Transport: plan.TCP}), Ports: []plan.Binding{{Transport: plan.TCP}}, Addrs: []netip.Addr{loop}})
	defer l.Close()
	if errs := l.Bind(t.Context()); len(errs) > 0 {
		t.Fatal(errs[0])
	}
	q := echo.WitnessQuery{Transport: plan.TCP, Port: int(l.Bound()[0].Addr.Port()), Source: result.EndpointFrom(netip.MustParseAddrPort("192.0.2.7:50000"))}
	if got := l.sightings([]echo.WitnessQuery{q}, loop, echo.NewID())[0]; got.Saw != result.SawUnknown {
		t.Errorf("%+v", got)
	}
}

// An attempt that got no answer, and of which nothing is known here, is told: somebody
// can look where this program cannot.
func TestWhatCannotBeSeenHereIsTold(t *testing.T) {
	var told []string
	l := start(t, Config{Plan: planOf(plan.Row{ID: "browser", Transport: plan.UDP}), OnUnseen: func(tr plan.Transport, port int, from netip.Addr) {
		told = append(told, fmt.Sprintf("%s/%d from %s", tr, port, from))
	}})
	port := int(l.at.Port())
	hidden := result.EndpointFrom(netip.MustParseAddrPort("192.0.2.7:50000"))
	ask := func(q echo.WitnessQuery) {
		q.Transport, q.Source = plan.UDP, hidden
		l.sightings([]echo.WitnessQuery{q}, loop, echo.NewID())
	}
	ask(echo.WitnessQuery{Port: port, Connect: result.ConnectTimeout})                                      // nothing came, which is known
	ask(echo.WitnessQuery{Port: port, BeganMS: 3_600_000, EndedMS: 3_599_000})                              // it did not wait in vain
	ask(echo.WitnessQuery{Port: 1, Connect: result.ConnectTimeout, BeganMS: 3_600_000, EndedMS: 3_599_000}) // not ours
	if len(told) != 0 {
		t.Errorf("told: %q", told)
	}
	ask(echo.WitnessQuery{Port: port, Connect: result.ConnectTimeout, BeganMS: 3_600_000, EndedMS: 3_599_000})
	if want := fmt.Sprintf("udp/%d from 192.0.2.7", port); len(told) != 1 || told[0] != want {
		t.Errorf("told: %q, want %q", told, want)
	}
}

func TestMemoryOfContactsIsBoundedAndWhatIsForgottenIsUnknown(t *testing.T) {
	l := newArrivals()
	began := l.start()
	local := netip.AddrPortFrom(loop, 1433)
	for i := range 2*maxEntries + 1 {
		l.accepted(plan.TCP, netip.AddrPortFrom(loop, uint16(i)), local)
		if l.n > maxEntries {
			t.Fatalf("%d entries", l.n)
		}
	}
	if !l.startOf(plan.TCP, 1433).After(began) || !l.start().After(began) {
		t.Error("it forgot, and says that it remembers")
	}
	if !l.startOf(plan.TCP, 80).Equal(began) || !l.startOf(plan.UDP, 1433).Equal(began) {
		t.Error("it says that it forgot what came to other ports")
	}
	left := l.between(plan.TCP, 1433, time.Time{}, farFuture)
	for _, e := range left {
		if e.At.Before(l.start()) {
			t.Fatal("it remembers older ones than it says")
		}
	}
	if len(left) != l.n || len(l.from[loop].all) != l.n {
		t.Errorf("%d entries, %d of the port, %d of the address", l.n, len(left), len(l.from[loop].all))
	}
}

// A flood does not make it forget what came with the key, nor what came to
// other ports.
func TestFloodBlindsThePortThatItFloodsAlone(t *testing.T) {
	l := newArrivals()
	began := l.start()
	proof := echo.Peer{Remote: netip.MustParseAddrPort("192.0.2.7:20"), Local: netip.MustParseAddrPort("198.51.100.9:1433"), Transport: plan.TCP, Run: echo.NewID(), Probe: echo.NewID()}
	l.accepted(plan.TCP, proof.Remote, proof.Local)
	l.asked(proof)
	l.proved(proof)
	elsewhere := netip.AddrPortFrom(proof.Local.Addr(), 80)
	alone := netip.MustParseAddrPort("192.0.2.8:30")
	l.accepted(plan.TCP, alone, elsewhere)
	l.accepted(plan.TCP, alone, proof.Local)
	for i := range 4 * maxEntries {
		l.accepted(plan.TCP, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i >> 16)}), uint16(i)), proof.Local)
	}
	if _, ok := l.byProbe(proof.Probe, plan.TCP, proof.Remote); !ok || !l.provedFrom(proof.Run, proof.Remote.Addr()) || !l.runsFrom(proof.Remote.Addr(), began, farFuture) {
		t.Error("what came with the key is forgotten")
	}
	if got := l.between(plan.TCP, 80, began, farFuture); len(got) != 1 || !l.startOf(plan.TCP, 80).Equal(began) {
		t.Errorf("of another port it remembers %+v", got)
	}
	if l.startOf(plan.TCP, 1433).Equal(began) {
		t.Error("it forgot, and says that it remembers")
	}
}

// One network that leaves most of it is forgotten first.
func TestFloodOfOneNetworkIsForgottenBeforeOthers(t *testing.T) {
	l := newArrivals()
	local := netip.MustParseAddrPort("198.51.100.9:1433")
	alone := netip.MustParseAddrPort("192.0.2.8:30")
	l.accepted(plan.TCP, alone, local)
	for i := range 4 * maxEntries {
		l.accepted(plan.TCP, netip.AddrPortFrom(loop, uint16(i)), local)
	}
	if !l.has(alone, local) {
		t.Error("what came from elsewhere is forgotten")
	}
}

// A run that floods it with the key makes it forget that run's own, and nothing
// is left of what was forgotten.
func TestRunThatFloodsWithTheKeyForgetsItself(t *testing.T) {
	l := newArrivals()
	local := netip.MustParseAddrPort("198.51.100.9:1433")
	ask := func(remote netip.AddrPort, run echo.ID) {
		l.accepted(plan.TCP, remote, local)
		p := echo.Peer{Remote: remote, Local: local, Transport: plan.TCP, Run: run, Probe: echo.NewID()}
		l.asked(p)
		l.proved(p)
	}
	partner, flood := echo.NewID(), echo.NewID()
	ask(netip.MustParseAddrPort("192.0.2.8:30"), partner)
	for i := range 2 * maxEntries {
		ask(netip.AddrPortFrom(loop, uint16(i)), flood)
	}
	if !l.provedFrom(partner, netip.MustParseAddr("192.0.2.8")) || !l.provedFrom(flood, loop) {
		t.Error("it forgot that a run proved itself")
	}
	var all []*entry
	for _, s := range l.ports {
		all = append(all, s.entries...)
	}
	l.drop(all)
	if l.n+l.keyed+len(l.sources)+len(l.probes)+len(l.runs)+len(l.from) != 0 || l.ports[portKey{plan.TCP, 1433}].strangers != 0 {
		t.Errorf("left: %d entries, %d with the key, %d sources, %d probes, %d runs, %d addresses", l.n, l.keyed, len(l.sources), len(l.probes), len(l.runs), len(l.from))
	}
}

// A full memory and a full list of questions, all about the crowded port: each
// is answered, those that the crowd leaves in doubt with unknown.
func TestQuestionsAboutACrowdAreAnswered(t *testing.T) {
	l := New(Config{Key: rightKey, Plan: planOf()})
	t.Cleanup(func() { l.Close() })
	l.fill(t)
	mine := netip.MustParseAddrPort("192.0.2.8:30")
	l.arrivals.accepted(plan.TCP, mine, crowded)
	var queries []echo.WitnessQuery
	for i := range echo.MaxWitness {
		source := result.EndpointFrom(netip.AddrPortFrom(mine.Addr(), uint16(50000+i)))
		queries = append(queries, echo.WitnessQuery{Probe: echo.NewID(), Transport: plan.TCP, Port: int(crowded.Port()), Source: source, SourceChanged: i%2 == 0, BeganMS: 60_000})
	}
	queries[1].Source = result.EndpointFrom(mine)
	got := l.sightings(queries, loop, echo.NewID())
	for i, a := range got {
		switch {
		case i == 1 && (a.Saw != result.SawAccepted || a.Match != result.MatchAddress):
			t.Errorf("what is known by its source: %+v", a)
		case i != 1 && (a.Saw != result.SawUnknown || a.Reason != "more reached that port in that time than can be looked through"):
			t.Errorf("question %d: %+v", i, a)
		}
	}
}

var crowded = netip.MustParseAddrPort("127.0.0.1:1433")

// fill fills its memory with what strangers left on one port, and its watch's
// with half-open connections to it.
func (l *Listener) fill(t testing.TB) {
	t.Helper()
	l.bound = append(l.bound, &boundPort{Binding: plan.Binding{Transport: plan.TCP}, addr: crowded, tcp: nothing{}})
	for i := range maxEntries {
		l.arrivals.accepted(plan.TCP, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 50000), crowded)
	}
}

// nothing is a port that nobody comes to.
type nothing struct{ net.Listener }

func (nothing) Close() error { return nil }

// BenchmarkQuestionsAboutACrowd asks a full list of questions of a full memory.
func BenchmarkQuestionsAboutACrowd(b *testing.B) {
	l := New(Config{Key: rightKey, Plan: planOf()})
	l.fill(b)
	var queries []echo.WitnessQuery
	for i := range echo.MaxWitness {
		source := result.EndpointFrom(netip.AddrPortFrom(loop, uint16(50000+i)))
		queries = append(queries, echo.WitnessQuery{Probe: echo.NewID(), Transport: plan.TCP, Port: int(crowded.Port()), Source: source, SourceChanged: i%2 == 0, BeganMS: 60_000})
	}
	for b.Loop() {
		l.sightings(queries, loop, echo.NewID())
	}
}

func TestProofIsTiedToTheNewestConnectionOfItsAddresses(t *testing.T) {
	l := newArrivals()
	remote, local := netip.MustParseAddrPort("192.0.2.7:20"), netip.MustParseAddrPort("198.51.100.9:50000")
	first, second := l.accepted(plan.TCP, remote, local), l.accepted(plan.TCP, remote, local)
	p := echo.Peer{Remote: remote, Local: local, Transport: plan.TCP, Run: echo.NewID(), Probe: echo.NewID()}
	l.asked(p)
	if first.Probe != (echo.ID{}) || second.Probe != p.Probe {
		t.Error(fmt.Sprint(first, second))
	}
	if !l.runsFrom(remote.Addr(), time.Time{}, farFuture, echo.NewID()) || l.runsFrom(remote.Addr(), time.Time{}, farFuture, p.Run) {
		t.Error("runs are not told apart")
	}
}

// With many partners at once something always comes from another; it is no
// reason to know nothing of this one, whose own address is known.
func TestWhatIsKnownToBeAnothersLeavesNoDoubt(t *testing.T) {
	l := start(t, Config{})
	if l.watch.State() == result.WitnessNone {
		t.Skip("this system does not show half-open connections")
	}
	mine, theirs := newAsk(), newAsk()
	prove(t, netip.MustParseAddr("127.0.0.3"), l.at, mine)
	prove(t, elsewhere, l.at, theirs)
	strange(t, l, elsewhere)
	q := echo.WitnessQuery{Transport: plan.TCP, Port: int(l.at.Port()), Source: result.EndpointFrom(netip.MustParseAddrPort("127.0.0.3:50000")), BeganMS: 100}
	saw := func(run echo.ID) (got result.Acceptor) {
		// Other programs of this machine may blind the watch for a moment.
		for began := time.Now(); time.Since(began) < guardTime; time.Sleep(10 * time.Millisecond) {
			if got = l.sightings([]echo.WitnessQuery{q}, loop, run)[0]; got.Saw == result.SawNothing {
				break
			}
		}
		return got
	}
	if got := saw(mine.Run); got.Saw != result.SawNothing {
		t.Errorf("of the run that is known to come from another address: %+v", got)
	}
	q.BeganMS = 5000
	if got := l.sightings([]echo.WitnessQuery{q}, loop, theirs.Run)[0]; got.Saw != result.SawUnknown {
		t.Errorf("of the run that comes from there: %+v", got)
	}
	if got := l.sightings([]echo.WitnessQuery{q}, loop, echo.NewID())[0]; got.Saw != result.SawUnknown {
		t.Errorf("of a run whose address is not known: %+v", got)
	}
}

// An attempt that is made again keeps its probe: each is told by its own source.
func TestProbeThatCameTwiceIsToldByItsSource(t *testing.T) {
	l := start(t, Config{})
	ask := newAsk()
	var sources []result.Endpoint
	for range 2 {
		_, conn := prove(t, elsewhere, l.at, ask)
		sources = append(sources, result.EndpointFrom(sock.AddrPortOf(conn.LocalAddr())))
	}
	unknown := result.EndpointFrom(netip.MustParseAddrPort("192.0.2.7:50000"))
	for from, want := range map[result.Endpoint]result.Endpoint{sources[0]: sources[0], sources[1]: sources[1], unknown: sources[0]} {
		q := echo.WitnessQuery{Probe: ask.Probe, Transport: plan.TCP, Port: int(l.at.Port()), Source: from, BeganMS: 5000}
		if got := l.sightings([]echo.WitnessQuery{q}, elsewhere, ask.Run)[0]; got.Match != result.MatchProbe || got.Source != want {
			t.Errorf("asked about %s: %+v", from, got)
		}
	}
}
