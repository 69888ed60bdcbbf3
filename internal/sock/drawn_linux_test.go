package sock

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
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
			a := DialDrawn(t.Context(), network, local, remote, Draw{By: result.DrawnConnect})
			if a.Err != nil {
				t.Fatal(a.Err)
			}
			b := DialDrawn(t.Context(), network, local, remote, Draw{By: result.DrawnBind, Beside: a.Source.Port()})
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

// A rule that names source ports leaves out part of them, and the line may go anywhere:
// a few connections have some on either side of it. Those that connect draws lie near
// one another.
func TestDrawnPortsAreSpreadOverTheRange(t *testing.T) {
	local := netip.MustParseAddr("127.0.0.1")
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		t.Fatal(err)
	}
	var first, last int
	if _, err := fmt.Sscan(string(b), &first, &last); err != nil {
		t.Fatal(err)
	}
	const (
		tries       = 20
		connections = 3
	)
	onOneSide := 0
	for try := range tries {
		of := uint16(first + (last-first)*try/tries) // wherever connect's are
		beside := of
		ports := []int{int(of)}
		for n := range connections {
			d := DialDrawn(t.Context(), "tcp", local, AddrPortOf(l.Addr()), Draw{By: result.DrawnBind, Beside: beside, Nth: n, Far: uint16(ports[min(n, 1)])})
			if d.Err != nil {
				t.Fatal(d.Err)
			}
			beside = d.Source.Port()
			ports = append(ports, int(beside))
			d.Conn.Close()
		}
		for _, part := range []int{2, 5, 8} { // tenths of the range
			line := first + (last-first)*part/10
			if slices.Max(ports) < line || slices.Min(ports) >= line {
				t.Logf("all on one side of %d: %v", line, ports)
				onOneSide++
			}
		}
	}
	if onOneSide > 1 {
		t.Errorf("%d of %d times all were on one side", onOneSide, 3*tries)
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
	d := DialDrawn(ctx, "tcp", local, remote, Draw{By: result.DrawnConnect})
	if Classify(d.Err) != result.ConnectRST || d.Source.Port() == 0 {
		t.Errorf("got %v from %s, want a refusal and the port it left from", d.Err, d.Source)
	}
}
