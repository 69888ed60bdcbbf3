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
