package sock

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"dialtone/internal/result"
)

// descriptors counts this process's open ones.
func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(d)
}

func TestDialingLeaksNoDescriptor(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	open, closed := AddrPortOf(l.Addr()), closedPort(t, "127.0.0.1:0")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	dials := map[string]func() Dialed{
		"open":     func() Dialed { return Dial(t.Context(), "tcp", netip.AddrPort{}, open) },
		"refused":  func() Dialed { return Dial(t.Context(), "tcp", netip.AddrPort{}, closed) },
		"canceled": func() Dialed { return Dial(canceled, "tcp", netip.AddrPort{}, open) },
		"no such source": func() Dialed {
			return Dial(t.Context(), "tcp", netip.MustParseAddrPort("192.0.2.7:0"), open)
		},
		"udp": func() Dialed { return Dial(t.Context(), "udp", netip.AddrPort{}, closed) },
		// Connects to itself, which net.Dialer then tries again.
		"to itself": func() Dialed { return Dial(t.Context(), "tcp", closed, closed) },
	}
	for name, dial := range dials {
		once := func() {
			if d := dial(); d.Conn != nil {
				d.Conn.Close()
			}
		}
		once() // the first one opens what the runtime keeps
		before := descriptors(t)
		for range 5 {
			once()
		}
		if after := descriptors(t); after > before {
			t.Errorf("%s: %d descriptors, %d before", name, after, before)
		}
	}
}

func TestClosedConnectionSendsFIN(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	d := Dial(t.Context(), "tcp", netip.AddrPort{}, AddrPortOf(l.Addr()))
	if d.Err != nil {
		t.Fatal(d.Err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	d.Conn.Close()
	_ = peer.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("%d, %v: a duplicate of the descriptor keeps it open", n, err)
	}
}

func TestPortIsDialedFromAndListenedOnAtOnce(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	// Its own port, as FTP's port 20: listened on first, then dialed from, twice
	// so that the second finds the first in TIME_WAIT.
	shared, err := ListenTCP(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), true)
	if err != nil {
		t.Fatal(err)
	}
	from := AddrPortOf(shared.Addr())
	for range 2 {
		d := Dial(t.Context(), "tcp", from, AddrPortOf(l.Addr()))
		if d.Err != nil || d.Source != from {
			t.Fatalf("from %s: %v", d.Source, d.Err)
		}
		peer, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		d.Conn.Close() // first, so that TIME_WAIT is ours
		_, _ = io.Copy(io.Discard, peer)
		peer.Close()
	}
	shared.Close()
	// And it can be listened on right behind.
	if shared, err = ListenTCP(t.Context(), from, true); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", from.String())
	if err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	shared.Close()
}

func TestUnsharedPortIsNotShared(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	if again, err := ListenTCP(t.Context(), AddrPortOf(l.Addr()), false); err == nil {
		again.Close()
		t.Error("bound twice")
	} else if !IsInUse(err) || !IsSourcePort(err) || IsNoPermission(err) {
		t.Errorf("%v is not told as in use", err)
	}
	d := Dial(t.Context(), "tcp", AddrPortOf(l.Addr()), closedPort(t, "127.0.0.1:0"))
	if d.Err == nil || !IsSourcePort(d.Err) {
		t.Errorf("dialed from somebody's port: %v", d.Err)
	}
}

func TestClosedUDPPortShowsItsICMPError(t *testing.T) {
	d := Dial(t.Context(), "udp", netip.AddrPort{}, closedPort(t, "127.0.0.1:0"))
	if d.Err != nil {
		t.Fatal(d.Err)
	}
	defer d.Conn.Close()
	_, _ = d.Conn.Write([]byte("x"))
	_ = d.Conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, err := d.Conn.Read(make([]byte, 1))
	if Classify(err) != result.ConnectRST {
		t.Errorf("%v", err)
	}
	icmp := ICMPOf(d.Conn)
	if icmp == nil || icmp.Type != 3 || icmp.Code != 3 || icmp.V6 || !icmp.Local || icmp.From.String() != "127.0.0.1" {
		t.Errorf("%+v", icmp)
	}
}
