package sock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

func listen(t *testing.T, at string) net.Listener {
	t.Helper()
	l, err := ListenTCP(t.Context(), netip.MustParseAddrPort(at), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// closedPort is one that nothing listens on: it was free a moment ago.
func closedPort(t *testing.T, at string) netip.AddrPort {
	t.Helper()
	ap := netip.MustParseAddrPort(at)
	var err error
	for range 100 {
		// Below the ports that the system hands out by itself.
		ap = netip.AddrPortFrom(ap.Addr(), uint16(15000+rand.N(15000)))
		var l net.Listener
		if l, err = ListenTCP(t.Context(), ap, false); err == nil {
			l.Close()
			return ap
		}
	}
	t.Fatal(err)
	panic("unreachable")
}

func TestRefusedDialKnowsItsSource(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		d := Dial(t.Context(), "tcp", netip.AddrPort{}, closedPort(t, at))
		if d.Conn != nil || Classify(d.Err) != result.ConnectRST || d.ICMP != nil {
			t.Errorf("%s: %v, %+v", at, d.Err, d.ICMP)
		}
		if !d.Source.Addr().IsLoopback() || d.Source.Port() == 0 {
			t.Errorf("%s: source %s", at, d.Source)
		}
	}
}

func TestOpenDialKnowsItsSource(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		l := listen(t, at)
		d := Dial(t.Context(), "tcp", netip.AddrPort{}, AddrPortOf(l.Addr()))
		if d.Err != nil {
			t.Fatal(d.Err)
		}
		defer d.Conn.Close()
		peer, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		if d.Source != AddrPortOf(peer.RemoteAddr()) {
			t.Errorf("source %s, seen as %s", d.Source, peer.RemoteAddr())
		}
	}
}

func TestListeningTakesOneFamilyOnly(t *testing.T) {
	var why error
	for range 5 { // somebody else may have the port over IPv4
		six, err := ListenTCP(t.Context(), netip.MustParseAddrPort("[::]:0"), false)
		if err != nil {
			t.Skip(err)
		}
		defer six.Close()
		at := netip.AddrPortFrom(netip.IPv4Unspecified(), AddrPortOf(six.Addr()).Port())
		four, err := ListenTCP(t.Context(), at, false)
		if why = err; err == nil {
			four.Close()
			break
		}
	}
	if why != nil {
		t.Errorf("the IPv6 socket holds IPv4 too: %v", why)
	}
}

func TestErrorsAreClassified(t *testing.T) {
	timeout := &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	for _, c := range []struct {
		err  error
		want result.ConnectOutcome
	}{
		{nil, result.ConnectOpen},
		{context.DeadlineExceeded, result.ConnectTimeout},
		{fmt.Errorf("dial: %w", timeout), result.ConnectTimeout},
		{errors.New("else"), result.ConnectFailed},
		{context.Canceled, result.ConnectFailed},
	} {
		if got := Classify(c.err); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
	if !IsClosed(fmt.Errorf("x: %w", io.EOF)) || !IsClosed(io.ErrUnexpectedEOF) || IsClosed(os.ErrDeadlineExceeded) || IsReset(io.EOF) {
		t.Error("the end is not told from the rest")
	}
	if !IsNoPermission(os.ErrPermission) || !IsSourcePort(os.ErrPermission) || IsSourcePort(io.EOF) {
		t.Error("permission")
	}
}

func TestOwnAddressesAreKnown(t *testing.T) {
	own, err := LocalAddrs()
	if err != nil || !slices.Contains(own, netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("%v, %v", own, err)
	}
	for a, want := range map[string]bool{"127.0.0.1": true, "127.9.9.9": true, "::1": true, "192.0.2.7": false} {
		if got := isOwn(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
	if isOwn(netip.Addr{}) {
		t.Error("no address is our own")
	}
}

func TestPortOwnerGoesByTheAddress(t *testing.T) {
	for _, c := range []struct {
		held, wanted string
		want         bool
	}{
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "127.0.0.2", false},
		{"127.0.0.1", "0.0.0.0", true},
		{"127.0.0.1", "::", false},
		{"0.0.0.0", "127.0.0.2", true},
		{"0.0.0.0", "::1", false},
		{"::", "::1", true},
		{"::", "127.0.0.1", true}, // a socket of both families
		{"::ffff:127.0.0.1", "127.0.0.1", true},
		{"::1", "::", true},
		{"fe80::1%eth0", "fe80::1", true},
		{"*", "127.0.0.1", true},
	} {
		if got := overlaps(c.held, netip.MustParseAddr(c.wanted)); got != c.want {
			t.Errorf("%s keeps %s: got %v", c.held, c.wanted, got)
		}
	}
}

func TestPortOwnerNamesThisProgram(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	h := PortOwner(t.Context(), plan.TCP, AddrPortOf(l.Addr()))
	if h == nil || int(h.PID) != os.Getpid() || h.Name == "" {
		t.Errorf("%+v, are %d", h, os.Getpid())
	}
	if h := PortOwner(t.Context(), plan.TCP, closedPort(t, "127.0.0.1:0")); h != nil {
		t.Errorf("nobody's port is held by %+v", h)
	}
}

func TestAddressesReadOnceServeAllWhoAskedBefore(t *testing.T) {
	other := []net.Addr{&net.IPNet{IP: net.IPv4(192, 0, 2, 1), Mask: net.CIDRMask(24, 32)}}
	r := interfaceReader{began: time.Now().Add(time.Hour), last: other}
	if got, err := r.addrs(); err != nil || len(got) != 1 || got[0] != other[0] {
		t.Errorf("a reading that began later does not serve: %v, %v", got, err)
	}
	r.began = time.Now().Add(-time.Hour)
	if got, err := r.addrs(); err != nil || slices.ContainsFunc(got, func(a net.Addr) bool { return a == other[0] }) || time.Since(r.began) > time.Minute {
		t.Errorf("one that began before does: %v, %v", got, err)
	}
}

// What comes over a connection has the time of its opening, and longer where the
// handshake took long, but no longer than what it is part of.
func TestWaitForAnAnswerFollowsTheHandshake(t *testing.T) {
	phase, end := context.WithTimeout(t.Context(), time.Hour)
	defer end()
	short, end := context.WithTimeout(t.Context(), 5*time.Second)
	defer end()
	opening, over := context.WithTimeout(phase, 4*time.Second)
	last, _ := phase.Deadline()
	opened, _ := opening.Deadline()
	shortest, _ := short.Deadline()
	for name, c := range map[string]struct {
		phase    context.Context
		took     time.Duration
		from, to time.Time
	}{
		"a short way":                {phase, time.Millisecond, opened, opened},
		"most of the step":           {phase, 3 * time.Second, opened.Add(3 * time.Second), opened.Add(time.Minute)},
		"longer than all of it":      {phase, time.Hour, last, last},
		"part of something shorter":  {short, 3 * time.Second, shortest, shortest},
		"no longer than the opening": {phase, time.Second, opened, opened},
	} {
		ctx, cancel := AfterHandshake(c.phase, opening, c.took)
		if at, ok := ctx.Deadline(); !ok || at.Before(c.from) || at.After(c.to) {
			t.Errorf("%s: until %v, want from %v to %v", name, at, c.from, c.to)
		}
		cancel()
	}
	ctx, cancel := AfterHandshake(phase, opening, 3*time.Second)
	defer cancel()
	over()
	if IsOver(ctx) {
		t.Error("it ended with the opening")
	}
}

// A SYN that was lost makes no way long.
func TestTripIsNoLongerThanTheSystemMeasured(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	trip := TripOf(c, 3*time.Second)
	if info := TCPInfoOf(c); info != nil && trip.Seconds()*1000 > 2*info.RTTMS+1 || info == nil && trip != time.Second {
		t.Errorf("%v, where the system says %+v", trip, info)
	}
	if trip := TripOf(nil, 10*time.Millisecond); trip != 10*time.Millisecond {
		t.Errorf("%v of a handshake of 10 ms", trip)
	}
}
