package survey

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"dialtone/internal/contact"
	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

// balance passes the connections to an address on to others in turn, until the
// test ends.
func balance(t *testing.T, at netip.AddrPort, members ...netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		cannotBind(t, at.Addr(), err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for n := 0; ; n++ {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", members[n%len(members)].String())
			if err != nil {
				in.Close()
				continue
			}
			all.Go(func() { defer out.Close(); _, _ = io.Copy(out, in) })
			all.Go(func() { defer in.Close(); _, _ = io.Copy(in, out) })
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
}

// Behind a balancer every question must reach the listener that it is about: the
// other one saw nothing of what arrived at this one.
func TestTheListenerThatIsMeantIsAsked(t *testing.T) {
	const port = 24199
	p := planOf(row("sql", port, "client", "server"))
	members := []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr("127.78.4.1"), port), netip.AddrPortFrom(netip.MustParseAddr("127.78.4.2"), port)}
	var listeners []*listener.Listener
	for _, m := range members {
		listeners = append(listeners, listenWith(t, listener.Config{Key: prooftest.RightKey, Plan: p, Ports: p.Ports(nil), Addrs: []netip.Addr{m.Addr()}}))
	}
	at := netip.AddrPortFrom(netip.MustParseAddr("127.78.4.9"), port)
	balance(t, at, members...)
	s := newSurvey(config(p, at.Addr()))
	for _, l := range listeners {
		s.contacts.Add(result.IP4, contact.Way{Target: at, Instance: l.Instance.String()})
	}
	for n := range 6 {
		want := listeners[n/3].Instance
		err := s.askOf(t.Context(), want.String(), result.IP4, true, s.Timeout, func(ctx context.Context, c *echo.Conn) error {
			hello, err := c.Hello(ctx)
			if err == nil && (c.Instance != want || hello.Instance != want) {
				t.Errorf("%s was meant and %s asked", want, hello.Instance)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	gone := echo.NewID().String()
	s.contacts.Add(result.IP4, contact.Way{Target: at, Instance: gone})
	err := s.askOf(t.Context(), gone, result.IP4, true, s.Timeout, func(context.Context, *echo.Conn) error {
		t.Error("another listener was asked in its place")
		return nil
	})
	if !errors.Is(err, contact.ErrElsewhere) {
		t.Errorf("a listener that is gone: %v", err)
	}
}

// A path through a balancer is never taken for one machine's, and the run says
// who is behind it.
func TestABalancerWithTwoListenersIsSaid(t *testing.T) {
	const port = 24200
	p := planOf(row("sql", port, "client", "server"))
	members := []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr("127.78.5.1"), port), netip.AddrPortFrom(netip.MustParseAddr("127.78.5.2"), port)}
	for _, m := range members {
		listenWith(t, listener.Config{Key: prooftest.RightKey, Plan: p, Ports: p.Ports(nil), Addrs: []netip.Addr{m.Addr()}})
	}
	at := netip.AddrPortFrom(netip.MustParseAddr("127.78.5.9"), port)
	balance(t, at, members...)
	r, err := Run(t.Context(), config(p, at.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	path := r.Paths[0]
	expect(t, path, result.Redirected)
	var codes []result.Code
	for _, f := range r.Findings {
		codes = append(codes, f.Code)
	}
	if path.Finding == nil || path.Finding.Code != "redirected-in-turn" || len(codes) != 1 || codes[0] != "several-listeners" {
		t.Errorf("finding %+v, of the run %v", path.Finding, codes)
	}
}
