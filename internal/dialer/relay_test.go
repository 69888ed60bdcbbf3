package dialer

import (
	"context"
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"dialtone/internal/prooftest"
)

func TestRelayIsToldFromOneConnection(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux is asked for what its TCP counts")
	}
	direct := prooftest.Accept(t, netip.AddrPortFrom(loop, 0), answering(answerer()))
	relayed := prooftest.Accept(t, netip.AddrPortFrom(loop, 0), func(ctx context.Context, c *net.TCPConn) {
		s, err := net.Dial("tcp", direct.String())
		if err != nil {
			return
		}
		defer s.Close()
		stop := context.AfterFunc(ctx, func() { s.Close() })
		defer stop()
		go func() { _, _ = io.Copy(c, s); c.Close() }()
		_, _ = io.Copy(s, c)
	})
	for range 3 {
		if i := try(t, direct, guardTime); i.Relay == nil || i.Relay.Relayed() || i.Relay.Arrived < 1000 {
			t.Errorf("one connection: %+v", i.Relay)
		}
		if i := try(t, relayed, guardTime); i.Relay == nil || !i.Relay.Relayed() || i.Relay.Arrived < 1000 {
			t.Errorf("two connections: %+v", i.Relay)
		}
	}
}
