package sock

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// until waits for what the kernel does in its own time.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 500 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it never came to it that " + what)
}

// The kernel's own word on one connection, from its handshake to its end: nobody has
// it until it is accepted, each byte of payload is counted once, and SYN and FIN not.
func TestConnectionIsLookedUpFromHandshakeToEnd(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		t.Run(at, func(t *testing.T) {
			l, err := net.Listen("tcp", at)
			if err != nil {
				t.Skip(err)
			}
			defer l.Close()
			port := AddrPortOf(l.Addr()).Port()
			to := netip.AddrPortFrom(AddrPortOf(l.Addr()).Addr(), port)
			if to.Addr().IsUnspecified() {
				to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port) // IPv4 to a socket of IPv6
			}
			c, err := net.Dial("tcp", to.String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			from := AddrPortOf(c.LocalAddr())
			look := func() Seen {
				t.Helper()
				s, ok, err := LookUp(port, from)
				if err != nil || !ok {
					t.Fatalf("look up %s to %d: %v, %v", from, port, ok, err)
				}
				return s
			}

			until(t, "the handshake is complete", func() bool { return look().State == ConnOpen })
			if s := look(); s.Taken == nil || *s.Taken || s.Local != to || s.Remote != from {
				t.Errorf("before it is accepted: %+v", s)
			}
			far, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer far.Close()
			if s := look(); s.Taken == nil || !*s.Taken || *s.In != 0 || *s.Out != 0 || s.UID != uint32(os.Getuid()) {
				t.Errorf("accepted: %+v, in %d, out %d", s, *s.In, *s.Out)
			}
			if _, err := c.Write(make([]byte, 94)); err != nil {
				t.Fatal(err)
			}
			until(t, "94 bytes are counted", func() bool { return *look().In == 94 })
			if _, err := far.Write(make([]byte, 17)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 17)); err != nil {
				t.Fatal(err)
			}
			until(t, "17 bytes are acknowledged", func() bool { return *look().Out == 17 })

			if err := c.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			until(t, "the FIN has arrived", func() bool { return look().State == ConnLeft })
			if s := look(); *s.In != 94 || !*s.Taken {
				t.Errorf("after the FIN: %+v, in %d", s, *s.In)
			}
			far.Close()
			until(t, "it is gone", func() bool { s, ok, err := LookUp(port, from); return err == nil && (!ok || s.State == ConnGone) })
		})
	}
}

// A port that somebody listens on is no connection, nor is another one's.
func TestConnectionThatIsNotThereIsNotFound(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	port, from := AddrPortOf(l.Addr()).Port(), AddrPortOf(c.LocalAddr())
	for _, remote := range []netip.AddrPort{
		netip.MustParseAddrPort("192.0.2.9:50123"), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), from.Port()),
		netip.AddrPortFrom(from.Addr(), from.Port()^1), netip.AddrPortFrom(netip.MustParseAddr("::1"), from.Port()),
	} {
		if s, ok, err := LookUp(port, remote); err != nil || ok {
			t.Errorf("%s: %+v, %v", remote, s, err)
		}
	}
	// Its own other half has the two ends the other way round.
	if s, ok, err := LookUp(from.Port()^1, netip.AddrPortFrom(from.Addr(), port)); err != nil || ok {
		t.Errorf("%+v, %v", s, err)
	}
	if _, _, err := LookUp(0, from); err == nil {
		t.Error("port 0: no error")
	}
	came, err := CameFrom(port, from.Addr())
	if err != nil || len(came) != 1 || came[0].Remote != from {
		t.Errorf("%+v, %v", came, err)
	}
	if came, err := CameFrom(port, netip.MustParseAddr("127.0.0.2")); err != nil || len(came) != 0 {
		t.Errorf("%+v, %v", came, err)
	}
}

func FuzzDiag(f *testing.F) {
	f.Add([]byte{})
	f.Add(diagRequest(netip.MustParseAddrPort("127.0.0.1:80"), netip.MustParseAddrPort("127.0.0.1:81"), false))
	b := make([]byte, unix.NLMSG_HDRLEN+msgSize+4)
	b[0], b[4] = byte(len(b)), sockDiagByFamily
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if all, _, err := parseDiag(b); err == nil && len(all) > len(b) {
			t.Errorf("%d sockets in %d bytes", len(all), len(b))
		}
	})
}

// heldEnv has this program hold so many connections to itself until its input ends.
const heldEnv = "DIALTONE_TEST_CONNECTIONS"

func TestHoldConnections(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv(heldEnv))
	if err != nil {
		t.Skip("BenchmarkLookUp runs it")
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
	}
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// BenchmarkLookUp looks one connection up among more than 50,000 that are established.
// Other processes hold those, since one may not have so many descriptors; both ends of
// each are on this machine, so that the kernel's table has twice as many.
func BenchmarkLookUp(b *testing.B) {
	const holders, each = 7, 7500
	for range holders {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestHoldConnections$")
		cmd.Env = append(os.Environ(), heldEnv+"="+strconv.Itoa(each))
		in, err := cmd.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		defer func() { in.Close(); _ = cmd.Wait() }()
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
			b.Skipf("%q, %v", line, err)
		}
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	from, port := AddrPortOf(c.LocalAddr()), AddrPortOf(l.Addr()).Port()
	b.Run("found", func(b *testing.B) {
		for b.Loop() {
			if _, ok, err := LookUp(port, from); err != nil || !ok {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("not there", func(b *testing.B) {
		for b.Loop() {
			if _, ok, err := LookUp(port, netip.MustParseAddrPort("192.0.2.9:50123")); err != nil || ok {
				b.Fatal(ok, err)
			}
		}
	})
}

// A machine without translation may not be said to lead a port elsewhere, or nothing
// is ever said to be missing there.
func TestMachineThatTracksNothingLeadsNothingElsewhere(t *testing.T) {
	b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
	switch {
	case errors.Is(err, os.ErrNotExist):
		if MayBeLedElsewhere() {
			t.Error("nothing tracks connections here")
		}
	case err == nil && string(b) == "0\n":
		if MayBeLedElsewhere() {
			t.Error("no connection is tracked here")
		}
	default:
		t.Skipf("connections are tracked on this machine (%s, %v)", b, err)
	}
}
