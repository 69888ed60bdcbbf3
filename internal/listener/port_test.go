package listener

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

func TestEachStrangerIsToldOfOnce(t *testing.T) {
	for name, c := range map[string]struct {
		say  string
		want echo.Kind
	}{
		"other bytes":                        {"GET / HTTP/1.1\r\n\r\n", echo.KindForeign},
		"no byte":                            {"", echo.KindSilent},
		"a control request before the proof": {"\x36\x40\x00\x00\x21\x12\xa4\x42abcdefghijkl", echo.KindBadOrder},
		"an indication":                      {"\x00\x11\x00\x00\x21\x12\xa4\x42abcdefghijkl", echo.KindForeign},
		"a Binding changed on the way":       {"\x00\x01\x00\x08\x21\x12\xa4\x42abcdefghijkl\x80\x28\x00\x04....", echo.KindForeign},
		"a plain Binding":                    {"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl", echo.KindPlain},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t, Config{})
			conn := dialFrom(t, loop, l.at)
			_, _ = io.WriteString(conn, c.say)
			_ = conn.CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
			l.told.await(t, 1)
			l.stop() // whatever there is to tell is told by now
			all := l.told.list()
			if len(all) != 1 || all[0].Kind != c.want || all[0].Peer.Remote != sock.AddrPortOf(conn.LocalAddr()) || all[0].Peer.Local != l.at || all[0].At.IsZero() {
				t.Errorf("told %+v", all)
			}
			if c.want == echo.KindForeign && name != "a Binding changed on the way" && all[0].Visit.Words == "" {
				t.Error("without words")
			}
		})
	}
}

func TestOwnProofIsNotTold(t *testing.T) {
	l := start(t, Config{})
	if all := l.told.list(); len(all) != 0 || len(l.taken) != 0 {
		t.Errorf("told %+v, taken %v", all, l.taken)
	}
}

func TestHolderOfTheKeyCannotHideBehindTheListenersId(t *testing.T) {
	l := start(t, Config{})
	ask := newAsk()
	ask.Run = l.Instance
	prove(t, elsewhere, l.at, ask)
	if all := l.told.list(); len(all) != 1 || all[0].Kind != echo.KindAsked {
		t.Errorf("told %+v", all)
	}
}

// Where all that there may be have proved themselves, nobody is ended for one more.
func TestMoreConnectionsThanAllowedAreShed(t *testing.T) {
	l := start(t, Config{})
	var all []*place
	for len(all) < maxConns {
		from := netip.AddrFrom4([4]byte{192, 0, 2, byte(len(all) % 4)})
		p, _ := l.limits.take(from, func() {})
		if p == nil { // the listener's own proof of its port may hold one for a moment
			time.Sleep(time.Millisecond)
			continue
		}
		p.raise(tierProved, echo.NewID())
		all = append(all, p)
	}
	conn := dialFrom(t, loop, l.at)
	dialFrom(t, loop, l.at) // for which it is ended
	if b, err := io.ReadAll(conn); len(b) > 0 || err != nil && !isReset(err) {
		t.Errorf("%x, %v", b, err)
	}
	a := l.sightings([]echo.WitnessQuery{{Transport: plan.TCP, Port: int(l.at.Port()), Source: result.EndpointFrom(sock.AddrPortOf(conn.LocalAddr())), BeganMS: 5000}}, loop, echo.NewID())
	if a[0].Saw != result.SawAccepted || a[0].Dropped != result.DropListener || a[0].Detail != whyShed {
		t.Errorf("%+v", a[0])
	}
	if p := l.Paused(loop); len(p) != 1 || !p[0].Shed {
		t.Errorf("whoever tested meanwhile from there is told of %+v", p)
	}
	if p := l.Paused(netip.MustParseAddr("198.51.100.1")); len(p) != 0 {
		t.Errorf("whoever tested from elsewhere is told of %+v", p)
	}
	prove(t, loop, l.at, newAsk())
}

func isReset(err error) bool {
	_, ok := err.(*net.OpError)
	return ok
}

func TestDatagramsAreAnsweredFromWhereTheyWereSentTo(t *testing.T) {
	for _, addr := range []netip.Addr{loop, netip.IPv6Loopback()} {
		l := start(t, Config{Plan: planOf(plan.Row{ID: "browser", Transport: plan.UDP}), Addrs: []netip.Addr{addr}})
		c, err := net.Dial("udp", l.at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Write(nil)                // an empty datagram harms nobody
		_, _ = c.Write([]byte("\x02"))     // nor does a question of SQL Browser
		_, _ = c.Write(make([]byte, 4000)) // nor one that is too large
		ask := newAsk()
		p, _, _, _, err := echo.ProvePacket(within(t, guardTime), c, ask, echo.SmallPacket)
		if err != nil || p.Origin != l.at || p.SeenAs != sock.AddrPortOf(c.LocalAddr()) {
			t.Errorf("%+v, %v", p, err)
		}
		a := l.sightings([]echo.WitnessQuery{{Probe: ask.Probe, Transport: plan.UDP, Port: int(l.at.Port()), BeganMS: 5000}}, addr, ask.Run)
		if a[0].Saw != result.SawAccepted || a[0].Match != result.MatchProbe || !a[0].Proved || a[0].Local.AddrPort != l.at {
			t.Errorf("%+v", a[0])
		}
	}
}

func TestForeignDatagramIsSeen(t *testing.T) {
	l := start(t, Config{Plan: planOf(plan.Row{ID: "browser", Transport: plan.UDP})})
	c, err := net.Dial("udp", l.at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("\x02hello"))
	// What follows is read after it.
	if _, _, _, _, err := echo.ProvePacket(within(t, guardTime), c, newAsk(), echo.SmallPacket); err != nil {
		t.Fatal(err)
	}
	got := l.arrivals.between(plan.UDP, int(l.at.Port()), l.arrivals.start(), farFuture)
	if len(got) != 2 || got[0].Foreign != 6 || got[0].Kind != echo.KindForeign || got[1].Foreign != 0 || got[1].Kind != echo.KindAsked {
		t.Errorf("%+v", got)
	}
}

func TestPortThatAnotherAnswersIsTaken(t *testing.T) {
	l := start(t, Config{})
	ctx := within(t, guardTime)
	if l.isTaken(ctx, l.at) {
		t.Error("its own port")
	}
	other := start(t, Config{})
	if !l.isTaken(ctx, other.at) {
		t.Error("another listener with the same key")
	}
	stranger := start(t, Config{Key: wrongKey})
	if !l.isTaken(ctx, stranger.at) {
		t.Error("another listener with another key")
	}
	ftp := prooftest.Accept(t, netip.AddrPortFrom(loop, 0), func(_ context.Context, c *net.TCPConn) { _, _ = io.WriteString(c, "220 ready\r\n") })
	if !l.isTaken(ctx, ftp) {
		t.Error("an FTP server")
	}
	closing := prooftest.Accept(t, netip.AddrPortFrom(loop, 0), func(context.Context, *net.TCPConn) {})
	if l.isTaken(ctx, closing) {
		t.Error("an end of the connection proves nothing")
	}
	stranger.stop()
	if l.isTaken(ctx, stranger.at) {
		t.Error("a closed port proves nothing")
	}
}
