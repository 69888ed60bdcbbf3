package listener

import (
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"dialtone/internal/echo"
)

// A listener whose queue is full tells so, and of that port alone.
func TestAFullQueueIsToldToTheFarEnd(t *testing.T) {
	l := start(t, Config{})
	rc, err := l.bound[0].tcp.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := rc.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) }); err != nil {
		t.Fatal(err)
	}
	isFull := func(s echo.Span) bool { return slices.Equal(s.Full, []int{int(l.at.Port())}) }
	for end := time.Now().Add(time.Minute); !slices.ContainsFunc(l.Paused(loop), isFull); {
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				if c, err := net.DialTimeout("tcp", l.at.String(), 100*time.Millisecond); err == nil {
					c.Close()
				}
			})
		}
		if all.Wait(); time.Now().After(end) {
			t.Fatalf("it tells of %+v", l.Paused(loop))
		}
	}
}
