package dialer

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

// late answers as an end with the key does, after a while.
func late(d time.Duration) func(context.Context, *net.TCPConn) {
	a := answerer()
	return func(ctx context.Context, c *net.TCPConn) {
		time.Sleep(d)
		a.Answer(ctx, c)
	}
}

// What comes over a connection takes as long as the handshake did, and longer: the
// time of a step is not over for it when the handshake took most of that.
func TestAnswerMayTakeAsLongAsTheHandshakeLetsExpect(t *testing.T) {
	const timeout, answer = 2500 * time.Millisecond, 2 * time.Second
	at := prooftest.AcceptLate(t, netip.AddrPortFrom(loop, 0), late(answer))
	p := Path{Flow: "sql", Transport: plan.TCP, Target: at, Probe: echo.NewID()}
	i := Attempt(t.Context(), p, Options{Key: rightKey, Run: echo.NewID(), Timeout: timeout, ProofOnly: true})
	if i.Connect != result.ConnectOpen || i.ConnectMS < 900 || i.Answer != result.AnswerKeyed {
		t.Errorf("%s after %.0f ms, %s: %s", i.Connect, i.ConnectMS, i.Answer, i.Error)
	}
}
