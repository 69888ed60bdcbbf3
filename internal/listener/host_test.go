package listener

import (
	"context"
	"io"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// far is an answering end with the key, as dial has for its reverse rows.
func far(t *testing.T, at netip.AddrPort) (netip.AddrPort, *atomic.Int32) {
	t.Helper()
	return farWith(t, at, rightKey)
}

func farWith(t *testing.T, at netip.AddrPort, k echo.Key) (netip.AddrPort, *atomic.Int32) {
	t.Helper()
	var came atomic.Int32
	a := &echo.Answerer{Key: k, Instance: echo.NewID(), Host: New(Config{Key: k})}
	return prooftest.Accept(t, at, func(ctx context.Context, c *net.TCPConn) {
		came.Add(1)
		a.Answer(ctx, c)
	}), &came
}

func TestDialBackGoesToTheAskingAddressAndNoOther(t *testing.T) {
	at := prooftest.FreePort(t, loop)
	there, came := far(t, netip.AddrPortFrom(elsewhere, at.Port()))
	_, cameHere := far(t, at)
	l := start(t, Config{Plan: planOf(
		plan.Row{ID: "back", Transport: plan.TCP, Port: int(there.Port())},
		plan.Row{ID: "data", Transport: plan.TCP},
	), Ports: []plan.Binding{{Transport: plan.TCP}}})
	c, conn := prove(t, elsewhere, l.at, newAsk())
	probe := echo.NewID()
	halves, err := c.DialBack(within(t, guardTime), echo.DialBack{TimeoutMS: 5000, Bytes: 1000, Paths: []echo.BackPath{
		{Flow: "back", Probe: probe, Transport: plan.TCP, Port: int(there.Port())},
		{Flow: "data", Probe: echo.NewID(), Transport: plan.TCP, Port: int(there.Port())},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range halves {
		if h.Target.AddrPort != there || h.Answer != result.AnswerKeyed || h.Sent == nil || h.Sent.Outcome != result.TransferIntact || h.Received == nil || h.Received.Outcome != result.TransferIntact {
			t.Errorf("%+v", h)
		}
		if h.Source.Addr() != loop {
			t.Errorf("dialed from %s, bound to %s", h.Source, loop)
		}
	}
	if halves[0].Probe != probe.String() || came.Load() != 4 || // each once for the proof and once for the backlog
		cameHere.Load() != 0 {
		t.Errorf("%d connections there, %d to another address", came.Load(), cameHere.Load())
	}
	for _, x := range l.told.await(t, 4)[2:] {
		if x.Kind != echo.KindDialBack || x.Peer.Remote != sock.AddrPortOf(conn.LocalAddr()) || !strings.Contains(x.Detail, there.String()) {
			t.Errorf("told %+v", x)
		}
	}
}

func TestDialBackOutsideThePlanIsRefusedAndTold(t *testing.T) {
	there, came := far(t, netip.AddrPortFrom(loop, 0))
	port := int(there.Port())
	l := start(t, Config{Plan: planOf(
		plan.Row{ID: "sql", Transport: plan.TCP, Port: 1433},
		plan.Row{ID: "back", Transport: plan.TCP, Port: port},
		plan.Row{ID: "browser", Transport: plan.UDP, Port: port},
		plan.Row{ID: "data", Transport: plan.TCP, SourcePort: 20},
	), Ports: []plan.Binding{{Transport: plan.TCP}}})
	hostile := "\x1b[2J\r\nforged line\u202e" + strings.Repeat("x", 40_000)
	paths := []echo.BackPath{
		{Flow: "sql", Transport: plan.TCP, Port: port},
		{Flow: "back", Transport: plan.TCP, Port: 22},
		{Flow: "nothing", Transport: plan.TCP, Port: port},
		{Flow: "", Transport: plan.TCP, Port: port},
		{Flow: "back", Transport: plan.UDP, Port: port},
		{Flow: "browser", Transport: plan.TCP, Port: port},
		{Flow: "back", Transport: plan.TCP, Port: port, SourcePort: 53},
		{Flow: "data", Transport: plan.TCP, Port: port}, // not from 20
		{Flow: "data", Transport: plan.TCP, Port: 1023, SourcePort: 20},
		{Flow: "data", Transport: plan.TCP, Port: 0, SourcePort: 20},
		{Flow: "data", Transport: plan.TCP, Port: -1, SourcePort: 20},
		{Flow: "data", Transport: plan.TCP, Port: 1 << 16, SourcePort: 20},
		{Flow: "data", Transport: plan.TCP, Port: 1<<16 + port, SourcePort: 20},
		{Flow: "back", Transport: plan.TCP, Port: 1<<16 + port},
		{Flow: hostile, Transport: plan.TCP, Port: port},
		{Flow: "back", Transport: plan.Transport("tcp\x1b[2J\r\n"), Port: port},
	}
	c, _ := prove(t, loop, l.at, newAsk())
	halves, err := c.DialBack(within(t, guardTime), echo.DialBack{TimeoutMS: 1000, Bytes: 1, Paths: paths})
	if err != nil {
		t.Fatal(err)
	}
	all := l.told.await(t, 2+len(paths))[2:]
	for i, h := range halves {
		if h.NotTried == "" || h.Connect != "" || len(h.NotTried) > 500 {
			t.Errorf("%.60q/%d: %+v", paths[i].Flow, paths[i].Port, h)
		}
		if d := all[i].Detail; all[i].Kind != echo.KindDialBack || !strings.HasPrefix(d, "refused: ") || strings.ContainsAny(d, "\x1b\r\n\u202e") || len(d) > 500 {
			t.Errorf("told %q", d)
		}
	}
	if came.Load() != 0 {
		t.Errorf("%d connections all the same", came.Load())
	}
}

func TestTooManyDialBacksAtOnceAreRefused(t *testing.T) {
	t.Parallel()
	there, came := far(t, netip.AddrPortFrom(loop, 0))
	l := start(t, Config{Plan: planOf(plan.Row{ID: "back", Transport: plan.TCP, Port: int(there.Port())}), Ports: []plan.Binding{{Transport: plan.TCP}}})
	var releases []func()
	for i := range maxDialBacks {
		release, why := l.backs.take(t.Context(), peerFrom(i/8, 1, byte(i)))
		if why != "" {
			t.Fatal(why)
		}
		releases = append(releases, release)
	}
	c, _ := prove(t, loop, l.at, newAsk())
	ask := echo.DialBack{TimeoutMS: 1000, Bytes: 1, Paths: []echo.BackPath{{Flow: "back", Transport: plan.TCP, Port: int(there.Port())}}}
	halves, err := c.DialBack(within(t, guardTime), ask)
	if err != nil || !strings.Contains(halves[0].NotTried, "for this run and others") || came.Load() != 0 {
		t.Errorf("%+v, %v, %d connections", halves, err, came.Load())
	}
	releases[0]()
	if halves, err = c.DialBack(within(t, guardTime), ask); err != nil || halves[0].Answer != result.AnswerKeyed {
		t.Errorf("with one place free: %+v, %v", halves, err)
	}
	if l.backs.taken != maxDialBacks-1 {
		t.Error("its place was not given back")
	}
}

// One run does not take the places of all, and whoever waits for one gets it.
func TestPlacesAreSharedOutAmongRuns(t *testing.T) {
	s := newTurns("dialing back", 4, 2)
	greedy, other := peerFrom(1, 1), peerFrom(2, 2)
	first, _ := s.take(t.Context(), greedy)
	_, _ = s.take(t.Context(), greedy)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, why := s.take(over, greedy); !strings.Contains(why, "for this run already") {
		t.Errorf("a third place: %q", why)
	}
	if _, why := s.take(t.Context(), peerFrom(1, 7)); why != "" {
		t.Errorf("another run of that network: %q", why)
	}
	if _, why := s.take(over, peerFrom(1, 8)); !strings.Contains(why, "for runs from 192.0.2.1 as often") {
		t.Errorf("one network has all places: %q", why)
	}
	release, why := s.take(t.Context(), other)
	if why != "" {
		t.Fatal(why)
	}
	if _, why := s.take(over, peerFrom(3, 3)); !strings.Contains(why, "for this run and others") {
		t.Errorf("a fifth place: %q", why)
	}
	got := make(chan string, 1)
	go func() { _, why := s.take(context.Background(), peerFrom(3, 3)); got <- why }()
	release()
	release() // again does nothing
	if why := receive(t, got); why != "" {
		t.Errorf("it waited for nothing: %q", why)
	}
	first()
	if s.taken != 3 || s.of[greedy.Run] != 1 || len(s.of) != 3 || len(s.from) != 2 {
		t.Errorf("%d taken, %v, %v", s.taken, s.of, s.from)
	}
}

// peerFrom is one of a network, in a run.
func peerFrom(network int, run ...byte) echo.Peer {
	p := echo.Peer{Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(network)}), 1)}
	copy(p.Run[:], run)
	return p
}

func TestListenerStopsWhileItDialsBackAndAnswers(t *testing.T) {
	arrived := make(chan struct{}, 1)
	mute := prooftest.Accept(t, netip.AddrPortFrom(loop, 0), func(_ context.Context, c *net.TCPConn) {
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, c)
	})
	l := start(t, Config{Plan: planOf(plan.Row{ID: "back", Transport: plan.TCP, Port: int(mute.Port())}), Ports: []plan.Binding{{Transport: plan.TCP}}})
	silent := dialFrom(t, loop, l.at)
	c, _ := prove(t, loop, l.at, newAsk())
	over := make(chan error, 1)
	go func() {
		_, err := c.DialBack(within(t, guardTime), echo.DialBack{TimeoutMS: 60_000, Bytes: 1, Paths: []echo.BackPath{{Flow: "back", Transport: plan.TCP, Port: int(mute.Port())}}})
		over <- err
	}()
	receive(t, arrived)
	l.stop() // a hang here fails the test
	if err := receive(t, over); err == nil {
		t.Error("an answer from a listener that stopped in between")
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("a connection outlives its listener")
	}
}

func TestHelloTellsWhatIsBound(t *testing.T) {
	_, port := listenBelow(t, &net.ListenConfig{}, "tcp4", "127.0.0.1")
	p := planOf(
		plan.Row{ID: "data", Transport: plan.TCP},
		plan.Row{ID: "browser", Transport: plan.UDP},
		plan.Row{ID: "sql", Transport: plan.TCP, Port: port},
	)
	l := New(Config{Key: rightKey, Software: "test 1", Plan: p, Ports: p.Ports(nil), Shift: 7, Roles: []plan.Role{"server"}, Addrs: []netip.Addr{loop, netip.IPv6Loopback()}})
	t.Cleanup(l.Close)
	errs := l.Bind(t.Context())
	if len(errs) != 1 || errs[0].Port != port || !errs[0].InUse || errs[0].Address.String() != "127.0.0.1" || errs[0].Unwrap() == nil {
		t.Fatalf("%+v", errs)
	}
	h := l.Hello(echo.Peer{Remote: netip.MustParseAddrPort("127.0.0.1:1")})
	high := l.HighPort("data", result.IP4)
	if high == 0 || h.High["data"] != high || l.HighPort("data", result.IP6) == high || l.HighPort("sql", result.IP4) != 0 {
		t.Errorf("high %v, %d", h.High, high)
	}
	if len(h.Bound["tcp4"]) != 1 || len(h.Bound["udp4"]) != 1 || len(h.Bound["udp6"]) != 1 || !reflect.DeepEqual(h.Bound["tcp6"], []int{l.HighPort("data", result.IP6), port}) {
		t.Errorf("bound %v", h.Bound)
	}
	if len(h.Busy) != 1 || h.Busy[0].Port != port || h.Instance != l.Instance || h.Shift != 7 || h.Plan != "test" || !reflect.DeepEqual(h.Roles, []string{"server"}) {
		t.Errorf("%+v", h)
	}
	if six := l.Hello(echo.Peer{Remote: netip.MustParseAddrPort("[::1]:1")}); six.High["data"] != l.HighPort("data", result.IP6) {
		t.Errorf("over IPv6: high %v", six.High)
	}
	if d := time.Since(time.UnixMilli(h.Clock)); d < -time.Minute || d > time.Minute {
		t.Errorf("clock %s ago", d)
	}
}

func TestAllowedAddresses(t *testing.T) {
	l := New(Config{Allowed: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}})
	for a, want := range map[string]bool{
		"192.0.2.7": true, "::ffff:192.0.2.7": true, "198.51.100.1": false, "2001:db8::7%eth0": true, "2001:db9::1": false,
		"127.0.0.1": true, // itself
	} {
		if got := l.allowed(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
}

func TestAddressThatIsNotAllowedGetsNothingDone(t *testing.T) {
	l := start(t, Config{Allowed: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	conn := dialFrom(t, elsewhere, l.at)
	if c, err := echo.Prove(within(t, guardTime), conn, newAsk()); c != nil || err != echo.ErrForbidden {
		t.Errorf("%v, %v", c, err)
	}
	if all := l.told.await(t, 1); all[0].Kind != echo.KindForbidden {
		t.Errorf("told %+v", all)
	}
}
