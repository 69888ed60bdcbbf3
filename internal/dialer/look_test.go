package dialer

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// Every connection that a second look takes is in the path's list, behind the one
// that it followed.
func TestVisitListsTheConnectionsOfSecondLooks(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	came := map[string]bool{}
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			came[c.RemoteAddr().String()] = true
			mu.Unlock()
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "\x15\x03\x01\x00\x02\x02\x28") // an alert: no handshake to be had
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	to := netip.MustParseAddrPort(l.Addr().String())
	i := Visit(t.Context(), Path{Transport: plan.TCP, Target: to, Source: netip.MustParseAddrPort("127.0.0.1:0")}, Options{Timeout: 2 * time.Second}, Conversation{Speaks: plan.HTTPS, Host: "ils.example.edu"})
	if i.Conversation == nil || i.Conversation.Refusal == nil || i.Conversation.Refusal.Reason != result.ReasonCipher || len(i.Conversation.Looks) != 0 {
		t.Errorf("%+v", i.Conversation)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(i.Connections) != 3 || len(came) != 3 { // the usual hello, the old one, the bare one
		t.Fatalf("%d connections came, these are told: %+v", len(came), i.Connections)
	}
	for n, c := range i.Connections {
		want := result.PurposeLook
		if n == 0 {
			want = result.PurposeConversation
		}
		if c.Purpose != want || !came[c.Source.String()] || c.Reached != result.ReachedConnected || c.At.IsZero() || n > 0 && c.At.Before(i.Connections[n-1].At.Time) {
			t.Errorf("%d: %+v", n, c)
		}
	}
	if passed, failed := result.Compare(i.Connections); len(passed) > 0 || len(failed) > 0 {
		t.Errorf("they say something of the path: %+v, %+v", passed, failed)
	}
}
