package survey

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// leaving is what a program of this machine looks like that has the key and ends
// after it accepted n connections on a port.
func leaving(t *testing.T, at, behind netip.AddrPort, n int) {
	t.Helper()
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for range n {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				to, err := net.Dial("tcp", behind.String())
				if err != nil {
					return
				}
				defer to.Close()
				go func() { _, _ = io.Copy(to, c); to.Close() }()
				_, _ = io.Copy(c, to)
			}()
		}
		l.Close()
	}()
}

// Another dial of this machine accepts on a port in this one's place, and ends
// meanwhile: that its port is refused then says nothing about the network.
func TestASiblingThatEndsAccusesNobody(t *testing.T) {
	near := netip.MustParseAddr("127.78.3.9")
	for name, c := range map[string]struct {
		port, accepts int
		isMute        bool // it is gone before it answers which it is
		want          result.Verdict
	}{
		"before it was dialed back": {24601, 1, false, result.Untested},
		"once it had proved itself": {24602, 2, false, result.Open}, // the question which it is, and the proof
		"before it could be asked":  {24603, 1, true, result.Untested},
	} {
		t.Run(name, func(t *testing.T) {
			p := planOf(row("out", c.port+50, "client", "server"), row("in", c.port, "server", "client"))
			listen(t, p, far)
			sibling := netip.MustParseAddr("127.78.3.10")
			listen(t, planOf(p.Rows[1]), sibling)
			behind := netip.AddrPortFrom(sibling, uint16(c.port))
			if c.isMute {
				behind = netip.AddrPortFrom(sibling, uint16(c.port+1)) // where nobody is
			}
			leaving(t, netip.AddrPortFrom(near, uint16(c.port)), behind, c.accepts)
			cfg := config(p, far)
			cfg.Bind = []netip.Addr{near}
			r := run(t, t.Context(), cfg)
			in := pathTo(t, r, "in", plan.Reverse)
			expect(t, in, c.want)
			expect(t, pathTo(t, r, "out", plan.Forward), result.Open)
			if in.Finding != nil && strings.Contains(in.Finding.Advice, "allow") {
				t.Errorf("a request: %s", in.Finding.Advice)
			}
			if c.want == result.Untested && !strings.Contains(in.Initiator.NotTried, "another dial") {
				t.Errorf("not tried because %q", in.Initiator.NotTried)
			}
		})
	}
}

// Nobody could be asked to dial back: a sibling that holds the port tells what
// reached it all the same.
func TestASiblingTellsWhatReachedAPortThatNobodyWasAskedToDial(t *testing.T) {
	near := netip.MustParseAddr("127.78.3.11")
	p := planOf(row("out", 24611, "client", "server"), row("in", 24612, "server", "client"))
	sibling := listen(t, planOf(p.Rows[1]), near)
	cfg := config(p, netip.MustParseAddr("127.78.3.12")) // where nobody listens
	cfg.Bind = []netip.Addr{near}
	in := pathTo(t, run(t, t.Context(), cfg), "in", plan.Reverse)
	expect(t, in, result.Untested)
	if a := in.Acceptor; a == nil || a.Port != result.PortBound || a.Instance != sibling.Instance.String() {
		t.Errorf("%+v", a)
	}
}
