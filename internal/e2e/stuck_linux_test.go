package e2e

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A terminal that was stopped, or a pipe that nobody reads from, does not keep
// listen from answering.
func TestListenAnswersWhileNobodyReadsWhatItSays(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	size, err := unix.FcntlInt(f.Fd(), unix.F_SETPIPE_SZ, 4096)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddr("127.78.2.5")
	_, said := listening(t, at, `exec "$@" >`+pipe)
	isFull := func() bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLOUT}}, 0)
		return err == nil && n == 0
	}
	const most = 50
	for n := 0; !isFull(); n++ {
		if n == most {
			t.Fatalf("the pipe of %d bytes does not fill", size)
		}
		if exit, out := dialing(t, netip.MustParseAddr("127.78.2.6"), at); exit != 0 {
			t.Fatalf("dial ends with %d:\n%s%s", exit, out, said())
		}
	}
	for range 2 { // as all that it says waits
		if exit, out := dialing(t, netip.MustParseAddr("127.78.2.6"), at); exit != 0 {
			t.Errorf("dial ends with %d:\n%s%s", exit, out, said())
		}
	}
}
