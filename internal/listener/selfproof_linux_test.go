package listener

import (
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// With SO_REUSEPORT on both, as a port has that is also dialed from, Linux lets
// somebody bind one address of a port whose wildcard is ours, and hands the
// connections there to them.
func TestSpecificBindUnderOurWildcardIsFound(t *testing.T) {
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		return rc.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	lc.SetMultipathTCP(false)
	other, port := listenBelow(t, &lc, "tcp4", "127.0.0.1")
	go func() {
		for {
			c, err := other.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "220 somebody else\r\n")
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	l := start(t, Config{
		Plan:  planOf(plan.Row{ID: "data", Transport: plan.TCP, Port: port, SourcePort: port}),
		Addrs: []netip.Addr{netip.IPv4Unspecified()},
	})
	if len(l.taken) != 1 || l.taken[0].Port != port || l.taken[0].Address.String() != "127.0.0.1" {
		t.Fatalf("taken: %+v", l.taken)
	}
	h := l.Hello(echo.Peer{Remote: netip.MustParseAddrPort("127.0.0.1:1")})
	if len(h.Busy) != 1 || h.Busy[0].Port != port || !h.Busy[0].InUse {
		t.Errorf("busy: %+v", h.Busy)
	}
	a := l.sightings([]echo.WitnessQuery{{Transport: plan.TCP, Port: port, Source: result.EndpointFrom(netip.MustParseAddrPort("127.0.0.1:5"))}}, loop, echo.NewID())
	if a[0].Port != result.PortBusy {
		t.Errorf("%+v", a[0])
	}
}

// deferAccept keeps connections to a listener half-open until data comes.
func deferAccept(t *testing.T, l *Listener) {
	t.Helper()
	rc, err := l.bound[0].tcp.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = rc.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 10) })
	if err != nil {
		t.Skip(err)
	}
}

func TestHalfOpenConnectionIsSeen(t *testing.T) {
	l := start(t, Config{})
	if l.watch.State() == result.WitnessNone {
		t.Skip("this system does not show half-open connections")
	}
	deferAccept(t, l.Listener)
	conn := dialFrom(t, elsewhere, l.at) // the listener's own proof came from 127.0.0.1
	source := result.EndpointFrom(sock.AddrPortOf(conn.LocalAddr()))
	port := int(l.at.Port())
	changed := result.EndpointFrom(netip.MustParseAddrPort("192.0.2.7:50000"))
	got := l.sightings([]echo.WitnessQuery{
		{Transport: plan.TCP, Port: port, Source: source, BeganMS: 5000},
		{Transport: plan.TCP, Port: port, Source: changed, SourceChanged: true, BeganMS: 5000},
		{Transport: plan.TCP, Port: port, Source: changed, BeganMS: 5000},
	}, elsewhere, echo.NewID())
	for i, want := range []result.Match{result.MatchAddress, result.MatchTime} {
		if a := got[i]; a.Saw != result.SawHalfOpen || a.Match != want || a.Source != source || a.Local.AddrPort != l.at || a.Port != result.PortBound {
			t.Errorf("%s: %+v", want, a)
		}
	}
	if a := got[2]; a.Saw != result.SawUnknown || a.Reason == "" {
		t.Errorf("somebody's half-open connection: %+v", a)
	}
}
