package service

import (
	"bufio"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// readFrom calls first before it is read from.
type readFrom struct {
	net.Conn
	first func()
}

func (c *readFrom) Read(b []byte) (int, error) {
	c.first()
	return c.Conn.Read(b)
}

// A greeting may take its time; what follows it may not.
func TestGreetingIsWaitedFor(t *testing.T) {
	for _, speaks := range []plan.Protocol{"smtp", "ftp"} {
		asked := make(chan struct{})
		at := testServer(t, func(c net.Conn) {
			select {
			case <-asked:
			case <-t.Context().Done():
				return
			}
			time.Sleep(300 * time.Millisecond)
			r := bufio.NewReader(c)
			for _, s := range []string{"220 here", "250 or not", "421 enough"} {
				_, _ = io.WriteString(c, s+"\r\n")
				if _, err := r.ReadString('\n'); err != nil {
					return
				}
			}
		})
		conn, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), guardTime)
		c := Ask(ctx, &readFrom{Conn: conn, first: sync.OnceFunc(func() { close(asked) })}, speaks, Question{Host: "127.0.0.1", AfterGreeting: guardTime})
		cancel()
		conn.Close()
		if !c.Came(result.StageGreeted) || c.GreetingMS < 300 {
			t.Errorf("%s: %+v", speaks, c)
		}
	}
}

func TestWhoGreetsAndSaysNoMoreIsNotWaitedForAsLong(t *testing.T) {
	at := testServer(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "220 here\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	conn, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(t.Context()) // the greeting's limit alone can end it
	defer cancel()
	c := Ask(ctx, conn, "smtp", Question{Host: "127.0.0.1", AfterGreeting: 100 * time.Millisecond})
	if c.Outcome != result.ConversationSilent || !c.Came(result.StageGreeted) || c.GreetingMS == 0 {
		t.Errorf("%+v", c)
	}
}
