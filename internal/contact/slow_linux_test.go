package contact

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/prooftest"
)

// A control conversation has the time that its handshake lets expect.
func TestConversationWaitsAsLongAsTheHandshakeLetsExpect(t *testing.T) {
	const patience, answer = 2500 * time.Millisecond, 2 * time.Second
	a := &echo.Answerer{Key: prooftest.RightKey, Instance: echo.NewID(), Software: "test 1", Host: echo.NoHost{}}
	at := prooftest.AcceptLate(t, netip.AddrPortFrom(loop, 0), func(ctx context.Context, c *net.TCPConn) {
		time.Sleep(answer)
		a.Answer(ctx, c)
	})
	var l log
	link, err := l.book().Open(t.Context(), at, patience)
	if err != nil {
		t.Fatalf("%v: %+v", err, l.all)
	}
	defer link.Close()
	if len(l.all) != 1 || l.all[0].ConnectMS < 900 {
		t.Errorf("%+v", l.all)
	}
}
