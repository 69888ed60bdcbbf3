package dialer

import (
	"io"
	"net"
	"testing"
	"time"
)

// What was sent by then is to be counted at the far end: nothing more goes out
// meanwhile, whatever else the conversation has to say.
func TestNothingIsSentWhileItIsCounted(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go func() {
		b := make([]byte, 5)
		_, _ = io.ReadFull(far, b)
		_, _ = far.Write([]byte("answer"))
		_, _ = io.Copy(io.Discard, far)
	}()
	tap := &tapConn{Conn: near}
	more := make(chan struct{})
	counted := int64(-1)
	tap.answered = func() {
		go func() { defer close(more); _, _ = tap.Write([]byte("more")) }()
		select {
		case <-more:
		case <-time.After(50 * time.Millisecond):
		}
		counted = tap.sent.Load()
	}
	if _, err := tap.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := tap.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if counted != 5 {
		t.Errorf("%d bytes when it was counted, want 5", counted)
	}
	<-more
	if n := tap.sent.Load(); n != 9 {
		t.Errorf("%d bytes in the end, want 9", n)
	}
}
