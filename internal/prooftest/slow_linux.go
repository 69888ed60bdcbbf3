package prooftest

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dialtone/internal/sock"
)

// AcceptLate is as Accept, but the connections that are begun in its first moments
// take about a second to open: their first SYN finds the listener's queue full, and it
// is sent again after a second (RFC 6298 section 2).
func AcceptLate(t testing.TB, at netip.AddrPort, f func(context.Context, *net.TCPConn)) netip.AddrPort {
	t.Helper()
	const (
		full = 800 * time.Millisecond
		wide = 64
	)
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		CannotBind(t, at.Addr(), err)
	}
	Queue(t, l, 0)
	inQueue, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	opens := time.AfterFunc(full, func() {
		c, err := l.AcceptTCP()
		if err != nil {
			return // the test is over
		}
		c.Close()
		Queue(t, l, wide)
		serve(t, l, f)
	})
	t.Cleanup(func() { opens.Stop(); inQueue.Close(); l.Close() })
	return sock.AddrPortOf(l.Addr())
}

// Queue gives a listener a queue for so many connections beside one.
func Queue(t testing.TB, l *net.TCPListener, n int) {
	t.Helper()
	raw, err := l.SyscallConn()
	if err == nil {
		if cerr := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), n) }); cerr != nil {
			err = cerr
		}
	}
	if err != nil {
		t.Error(err)
	}
}
