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
	if _, err := s.Write(bytes.Repeat([]byte("x\n"), maxSpool/2)); err != nil || s.Dropped() != 1 {
		t.Errorf("dropped %d, %v", s.Dropped(), err)
	}
	s.Flush(time.Millisecond) // it ends though nobody reads
	close(r.read)
	s.Close(time.Minute)
	if r.String() != want.String() {
		t.Errorf("passed on %.2000q", r.String())
	}
}

// Who comes back to a screen that nobody read is told, in the place of what is
// missing, how much that is; while it lasts, it is told elsewhere, not for each line.
func TestWhatIsMissingIsToldWhereItIsMissing(t *testing.T) {
	r := &stopped{read: make(chan struct{})}
	s := NewSpool(r)
	lasting := 0
	s.OnGap = func(n int, over bool) string {
		if !over {
			lasting++
			return ""
		}
		return fmt.Sprintf("%d lines are missing here\n", n)
	}
	const lines = 60
	line := bytes.Repeat([]byte("x"), maxSpool/40)
	line[len(line)-1] = '\n'
	for range lines {
		if _, err := s.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if lasting != 1 {
		t.Errorf("told %d times while it lasts", lasting)
	}
	dropped := s.Dropped()
	close(r.read)
	s.Flush(time.Minute)
	if s.Dropped() != 0 { // told by itself, without another line
		t.Errorf("%d are left to be told", s.Dropped())
	}
	if _, err := io.WriteString(s, "again\n"); err != nil {
		t.Fatal(err)
	}
	s.Close(time.Minute)
	want := append(bytes.Repeat(line, lines-dropped), fmt.Sprintf("%d lines are missing here\nagain\n", dropped)...)
	if dropped == 0 || !bytes.Equal(r.Bytes(), want) {
		t.Errorf("%d dropped; it ends with %q", dropped, r.Bytes()[max(0, r.Len()-100):])
	}
}

// Nothing that a peer said moves the cursor, or begins a line.
func TestWhatIsPassedOnIsText(t *testing.T) {
	var out bytes.Buffer
	s := NewSpool(&out)
	fmt.Fprintf(s, "dial: %s\n", "\x1b[2J\x1b]0;t\a\r\u009b1A\u202e")
	Over(s, "try 1: %s", "\x1b[2J\nforged")
	s.Flush(time.Minute) // what follows goes past it
	Over(&out, "%s", "\x1b[1A")
	s.Close(time.Minute)
	if bytes.ContainsAny(out.Bytes(), "\x1b\a\u202e") || bytes.Count(out.Bytes(), []byte("\n")) != 1 {
		t.Errorf("%q", out.String())
	}
}
