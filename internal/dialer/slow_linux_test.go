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

// A device that holds back each handshake, or the first data, for seconds makes
// connections slow, and none of them fails for an ordinary program.
func TestConnectionsThatAllTakeLongAreNoFailures(t *testing.T) {
	at := prooftest.Accept(t, netip.AddrPortFrom(loop, 0), late(openTimeout+300*time.Millisecond))
	i := Attempt(t.Context(), Path{Flow: "sql", Transport: plan.TCP, Target: at, Probe: echo.NewID()},
		Options{Key: rightKey, Run: echo.NewID(), Timeout: guardTime, Bytes: 10_000, Samples: 4})
	if passed, failed := result.Compare(i.Connections); len(passed) != 4 || len(failed) != 0 {
		t.Errorf("%d passed and %d failed: %+v", len(passed), len(failed), i.Connections)
	}
}
