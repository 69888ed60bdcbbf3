package survey

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

// Over a way that is longer than a step may take nothing opens in its time. That is no
// firewall's doing: it is said how long the way is, and with what patience to try again.
func TestWayLongerThanAStepIsNotCalledBlocked(t *testing.T) {
	p := cutRows(24661)
	const answer = 1500 * time.Millisecond
	a := &echo.Answerer{Key: prooftest.RightKey, Instance: echo.NewID(), Software: "test 1", Host: echo.NoHost{}}
	for _, r := range p.Rows {
		prooftest.AcceptLate(t, netip.AddrPortFrom(device, uint16(r.Port)), func(ctx context.Context, c *net.TCPConn) {
			time.Sleep(answer) // as long as a round trip takes
			a.Answer(ctx, c)
		})
	}
	udp := row("u", 24669, "client", "server")
	udp.Transport = plan.UDP
	p.Rows = append(p.Rows, udp)
	mute, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(device, 24669)))
	if err != nil {
		cannotBind(t, device, err)
	}
	t.Cleanup(func() { mute.Close() })
	c := config(p, device)
	c.Timeout = 700 * time.Millisecond
	r := run(t, t.Context(), c)
	f := findingOf(r, result.CodeSlowPath)
	if f == nil || len(r.Findings) != 1 || !strings.Contains(f.Text, "A round trip to") || !strings.Contains(f.Text, "takes 1.5 s") || !strings.Contains(f.Advice, "--timeout 4s") {
		t.Errorf("%+v", r.Findings)
	}
	for _, p := range r.Paths {
		if p.Verdict != result.Untested || p.OK || !strings.Contains(p.Finding.Text, "takes 1.5 s, and nothing of this path was waited for longer than 700ms (--timeout)") || strings.Contains(p.Finding.Advice, "irewall") {
			t.Errorf("%s is %s: %+v", p.Flow, p.Verdict, p.Finding)
		}
	}
	if r.Summary.OK {
		t.Error("the run is called ok")
	}
}

// A way that opens only with more patience, since its first SYNs were lost, is a contact
// like any other.
func TestWayThatLostItsSYNsIsNotCalledSlow(t *testing.T) {
	p := planOf(row("a", 24665, "client", "server"))
	l := listen(t, p, far)
	prooftest.AcceptLate(t, netip.AddrPortFrom(device, 24665), func(_ context.Context, c *net.TCPConn) {
		to, err := net.Dial("tcp", netip.AddrPortFrom(far, 24665).String())
		if err != nil {
			return
		}
		defer to.Close()
		go func() { _, _ = io.Copy(to, c); to.Close() }()
		_, _ = io.Copy(c, to)
	})
	c := config(p, device)
	c.Timeout = 700 * time.Millisecond
	r := run(t, t.Context(), c)
	if findingOf(r, result.CodeSlowPath) != nil || r.Contact == nil || r.Contact.Instance != l.Instance.String() {
		t.Errorf("%+v, %+v", r.Contact, r.Findings)
	}
}
