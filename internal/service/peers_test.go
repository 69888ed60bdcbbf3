package service

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/sock"
)

// guardTime is how long anything may take before a test calls it a hang.
const guardTime = 20 * time.Second

// need returns the path of somebody else's program, which the Debian package
// brings. Without it the test is skipped, unless DIALTONE_PEERS says that all
// are there.
func need(t *testing.T, program, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		// Packages that exclude one another are unpacked apart by scripts/test.
		for _, dir := range []string{"/usr/sbin/", "/opt/dialtone-peers/usr/sbin/"} {
			if _, serr := os.Stat(dir + program); serr == nil {
				return dir + program
			}
		}
		if os.Getenv("DIALTONE_PEERS") != "" {
			t.Fatalf("%v: apt-get install %s", err, pkg)
		}
		t.Skipf("%v: apt-get install %s", err, pkg)
	}
	return path
}

var loop = netip.MustParseAddr("127.0.0.1")

// serve answers one protocol on a free port of 127.0.0.1 until the test ends.
func serve(t *testing.T, a *Answerer, speaks plan.Protocol) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = a.Serve(ctx, c, speaks)
			})
		}
	})
	t.Cleanup(func() { cancel(); l.Close(); wg.Wait() })
	return sock.AddrPortOf(l.Addr())
}
