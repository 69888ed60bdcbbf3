package sock

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"context"

	"dialtone/internal/result"
)

// Two equal ways are told apart by the source port: whoever draws all of its
// ports alike sees one of them.
func TestDrawnPortsDifferInParity(t *testing.T) {
	local := netip.MustParseAddr("127.0.0.1")
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for network, remote := range map[string]netip.AddrPort{"tcp": AddrPortOf(l.Addr()), "udp": AddrPortOf(u.LocalAddr())} {
		for range 10 {
			a := DialDrawn(t.Context(), network, local, remote, result.DrawnConnect, 0)
			if a.Err != nil {
				t.Fatal(a.Err)
			}
			b := DialDrawn(t.Context(), network, local, remote, result.DrawnBind, a.Source.Port())
			if b.Err != nil {
				t.Fatal(b.Err)
			}
			if a.Source.Port()%2 == b.Source.Port()%2 {
				t.Errorf("%s: both from ports of one parity: %s, %s", network, a.Source, b.Source)
			}
			a.Conn.Close()
			b.Conn.Close()
		}
	}
}

// A rule that names source ports leaves out part of them. Those that connect draws lie
// near one another, so that what bind draws beside them has to be far away, and of two
// that bind draws one from the other.
func TestDrawnPortsLieFarApart(t *testing.T) {
	local := netip.MustParseAddr("127.0.0.1")
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const tries = 20
	for _, first := range []result.Drawn{result.DrawnConnect, result.DrawnBind} {
		near := 0
		for range tries {
			a := DialDrawn(t.Context(), "tcp", local, AddrPortOf(l.Addr()), first, 0)
			if a.Err != nil {
				t.Fatal(a.Err)
			}
			b := DialDrawn(t.Context(), "tcp", local, AddrPortOf(l.Addr()), result.DrawnBind, a.Source.Port())
			if b.Err != nil {
				t.Fatal(b.Err)
			}
			if d := int(a.Source.Port()) - int(b.Source.Port()); max(d, -d) < 7000 { // a quarter of the 28,232 that Linux draws from
				near++
			}
			a.Conn.Close()
			b.Conn.Close()
		}
		// Of sixteen draws none is so far away in one of 2^16, or fewer.
		if near > 1 {
			t.Errorf("after one by %s, %d of %d were near", first, near, tries)
		}
	}
}

// A port that connect drew is known although the connection failed.
func TestAFailedConnectionHasItsSource(t *testing.T) {
	local := netip.MustParseAddr("127.0.0.1")
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	remote := AddrPortOf(l.Addr())
	l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	d := DialDrawn(ctx, "tcp", local, remote, result.DrawnConnect, 0)
	if Classify(d.Err) != result.ConnectRST || d.Source.Port() == 0 {
		t.Errorf("got %v from %s, want a refusal and the port it left from", d.Err, d.Source)
	}
}
