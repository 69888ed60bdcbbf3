package cli

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"
)

// stopped is a reader who does not read until it is told to.
type stopped struct {
	bytes.Buffer
	read chan struct{}
}

func (s *stopped) Write(b []byte) (int, error) {
	<-s.read
	return s.Buffer.Write(b)
}

func TestAStoppedReaderHoldsNobodyUp(t *testing.T) {
	r := &stopped{read: make(chan struct{})}
	s := NewSpool(r)
	const lines = 100
	var want bytes.Buffer
	for i := range lines {
		line := fmt.Sprintln(i)
		want.WriteString(line)
		if n, err := io.WriteString(s, line); n != len(line) || err != nil { // blocks for ever if it waits
			t.Fatal(n, err)
		}
	}
	if _, err := s.Write(make([]byte, maxSpool)); err != nil || s.Dropped() != 1 {
		t.Errorf("dropped %d, %v", s.Dropped(), err)
	}
	s.Flush(time.Millisecond) // it ends though nobody reads
	close(r.read)
	s.Close(time.Minute)
	if r.String() != want.String() {
		t.Errorf("passed on %q", r.String())
	}
}
