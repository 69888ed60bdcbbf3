package dialer

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// guardTime is how long anything may take before a test calls it a hang.
const guardTime = 10 * time.Second

var (
	rightKey = prooftest.RightKey
	wrongKey = prooftest.WrongKey
	loop     = netip.MustParseAddr("127.0.0.1")
)

func answerer() *echo.Answerer {
	return &echo.Answerer{Key: rightKey, Instance: echo.NewID(), Software: "test 1", Host: echo.NoHost{}}
}

// answering answers as an end with the key does.
func answering(a *echo.Answerer) func(context.Context, *net.TCPConn) {
	return func(ctx context.Context, c *net.TCPConn) { a.Answer(ctx, c) }
}

func try(t *testing.T, target netip.AddrPort, timeout time.Duration) result.Initiator {
	t.Helper()
	return tryPath(t, Path{Flow: "sql", Transport: plan.TCP, Target: target, Probe: echo.NewID()}, timeout)
}

func tryPath(t *testing.T, p Path, timeout time.Duration) result.Initiator {
	t.Helper()
	start := time.Now()
	i := Attempt(t.Context(), p, Options{Key: rightKey, Run: echo.NewID(), Timeout: timeout, Bytes: 10_000})
	if d := time.Since(start); d > guardTime {
		t.Errorf("took %s", d)
	}
	if i.Probe != p.Probe.String() || i.Target.AddrPort != p.Target || i.At.IsZero() || i.ElapsedMS <= 0 {
		t.Errorf("%+v", i)
	}
	return i
}

func TestOpenPathIsProvedAndItsPayloadCrossesBothWays(t *testing.T) {
	for _, addr := range []netip.Addr{loop, netip.IPv6Loopback()} {
		a := answerer()
		at := prooftest.Accept(t, netip.AddrPortFrom(addr, 0), answering(a))
		i := try(t, at, guardTime)
		if i.Connect != result.ConnectOpen || i.Answer != result.AnswerKeyed || i.Attempts != 1 || i.Error != "" || i.NotTried != "" {
			t.Fatalf("%+v", i)
		}
		if i.Origin.AddrPort != at || i.SeenAs != i.Source || i.Instance != a.Instance.String() || i.Software != "test 1" || i.RTTMS == nil || i.FarVersion != echo.Version {
			t.Errorf("%+v", i)
		}
		for _, tr := range []*result.Transfer{i.Sent, i.Received} {
			if tr == nil || tr.Outcome != result.TransferIntact || tr.Intact != 10_000 {
				t.Errorf("%+v", tr)
			}
		}
	}
}

func TestEachAnswerIsToldApart(t *testing.T) {
	otherKey, closedTo, version := answerer(), answerer(), answerer()
	otherKey.Key = wrongKey
	closedTo.Allowed = func(netip.Addr) bool { return false }
	version.Version = echo.Version + 1
	long := "HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22\r\n\r\n" + strings.Repeat("\x1b[2J", 200)
	for name, c := range map[string]struct {
		peer    func(context.Context, *net.TCPConn)
		want    result.AnswerOutcome
		timeout time.Duration
		check   func(result.Initiator) bool
	}{
		"another key":         {answering(otherKey), result.AnswerWrongKey, guardTime, nil},
		"address not allowed": {answering(closedTo), result.AnswerForbidden, guardTime, nil},
		"another version": {answering(version), result.AnswerVersion, guardTime, func(i result.Initiator) bool {
			return i.FarVersion == echo.Version+1 && i.Sent == nil && i.Received == nil && i.Instance != ""
		}},
		"an HTTP server": {func(_ context.Context, c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 1000))
			_, _ = io.WriteString(c, long)
		}, result.AnswerForeign, guardTime, func(i result.Initiator) bool {
			return i.Software == "nginx/1.22" && strings.HasPrefix(i.Reply, `"HTTP/1.1 400`) && strings.HasSuffix(i.Reply, "(512 bytes)") && !strings.ContainsAny(i.Reply, "\x1b\r\n")
		}},
		"an FTP server that greets": {func(_ context.Context, c *net.TCPConn) {
			_, _ = io.WriteString(c, "220 vsFTPd 3.0.3\r\n")
			_, _ = io.Copy(io.Discard, c)
		}, result.AnswerForeign, guardTime, func(i result.Initiator) bool { return i.Software == "vsFTPd 3.0.3" }},
		"a listener that greets, and tells of a PROXY protocol header": {func(_ context.Context, c *net.TCPConn) {
			_, _ = io.WriteString(c, "220 "+strings.Repeat("x", 200)+"\r\n"+result.ProxyHeaderWords+"\r\n")
			_, _ = io.Copy(io.Discard, c)
		}, result.AnswerForeign, guardTime, func(i result.Initiator) bool { return strings.HasPrefix(i.Reply, `"`+result.ProxyHeaderWords) }},
		"an echo server": {func(_ context.Context, c *net.TCPConn) { _, _ = io.Copy(c, c) }, result.AnswerEchoed, guardTime, nil},
		"a STUN server": {func(_ context.Context, c *net.TCPConn) {
			b := make([]byte, 1000)
			n, _ := c.Read(b)
			req := stun.New()
			req.Raw = b[:n]
			if req.Decode() != nil {
				return
			}
			resp, _ := stun.Build(req, stun.BindingSuccess, &stun.XORMappedAddress{IP: net.IPv4(127, 0, 0, 1), Port: 1}, stun.Fingerprint)
			_, _ = c.Write(resp.Raw)
		}, result.AnswerForeign, guardTime, func(i result.Initiator) bool { return strings.Contains(i.Error, "without the key's proof") }},
		"the end at once": {func(_ context.Context, c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 1000))
		}, result.AnswerClosed, guardTime, nil},
		"a reset": {func(_ context.Context, c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 1000))
			_ = c.SetLinger(0)
		}, result.AnswerReset, guardTime, nil},
		"silence": {func(_ context.Context, c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }, result.AnswerSilent, 300 * time.Millisecond, nil},
	} {
		t.Run(name, func(t *testing.T) {
			i := try(t, prooftest.Accept(t, netip.AddrPortFrom(loop, 0), c.peer), c.timeout)
			tries := 2 // one of each parity
			if isWord(c.want) {
				tries = 1
			}
			if i.Connect != result.ConnectOpen || i.Answer != c.want || i.Attempts != tries || len(i.Connections) != tries || (i.Error == "") != (c.want == result.AnswerVersion) {
				t.Errorf("%+v", i)
			}
			if !i.Source.IsValid() || i.Source.Port() == 0 {
				t.Errorf("source %s", i.Source)
			}
			if c.check != nil && !c.check(i) {
				t.Errorf("%+v", i)
			}
		})
	}
}

func TestRefusedPathKnowsItsSource(t *testing.T) {
	i := try(t, prooftest.FreePort(t, loop), guardTime)
	if i.Connect != result.ConnectRST || i.Answer != "" || i.Error == "" || i.ICMP != nil || i.Source.Addr() != loop || i.Source.Port() == 0 || i.Attempts != 2 {
		t.Errorf("%+v", i)
	}
}

func TestUDPPath(t *testing.T) {
	a := answerer()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loop, 0)))
	if err != nil {
		t.Fatal(err)
	}
	at := sock.AddrPortOf(c.LocalAddr())
	over := make(chan struct{})
	go func() {
		defer close(over)
		b := make([]byte, 2048)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if resp, _ := a.AnswerPacket(from, at, b[:n]); resp != nil {
				_, _ = c.WriteToUDPAddrPort(resp, from)
			}
		}
	}()
	defer func() { c.Close(); <-over }()
	i := tryPath(t, Path{Flow: "browser", Transport: plan.UDP, Target: at, Probe: echo.NewID()}, guardTime)
	if i.Answer != result.AnswerKeyed || i.Origin.AddrPort != at || i.SeenAs != i.Source || i.Sent.Intact < 1000 || i.Received.Intact < 900 || i.Attempts != 1 {
		t.Errorf("%+v", i)
	}
}

func TestClosedUDPPortIsAnICMPError(t *testing.T) {
	i := tryPath(t, Path{Flow: "browser", Transport: plan.UDP, Target: prooftest.FreePort(t, loop), Probe: echo.NewID()}, guardTime)
	if i.Connect != result.ConnectOpen || i.Answer != result.AnswerICMP {
		t.Errorf("%+v", i)
	}
}

func TestSilentUDPPortIsSilent(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	i := tryPath(t, Path{Flow: "browser", Transport: plan.UDP, Target: sock.AddrPortOf(c.LocalAddr()), Probe: echo.NewID()}, 300*time.Millisecond)
	if i.Answer != result.AnswerSilent || i.Attempts != 2 {
		t.Errorf("%+v", i)
	}
}

func TestWantedSourcePortIsUsedOrWhyNotIsSaid(t *testing.T) {
	at := prooftest.Accept(t, netip.AddrPortFrom(loop, 0), answering(answerer()))
	free := prooftest.FreePort(t, loop)
	p := Path{Flow: "data", Transport: plan.TCP, Target: at, Source: free, Probe: echo.NewID()}
	for n := range 2 {
		i := tryPath(t, p, guardTime)
		// The second time the system may still keep these very addresses in
		// TIME_WAIT: then another port is used, and said so.
		kept := n == 1 && i.SourceError != "" || i.Source.AddrPort == free && i.SourceError == ""
		if i.Answer != result.AnswerKeyed || i.WantedSource != int(free.Port()) || !kept {
			t.Errorf("%+v", i)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p.Source = sock.AddrPortOf(l.Addr())
	if i := tryPath(t, p, guardTime); i.Answer != result.AnswerKeyed || i.Source.AddrPort == p.Source || i.WantedSource != int(p.Source.Port()) || i.SourceError == "" {
		t.Errorf("%+v", i)
	}
}

func TestUploadThatFailsLeavesTheOtherDirectionAConnectionOfItsOwn(t *testing.T) {
	a := answerer()
	target := prooftest.Accept(t, netip.AddrPortFrom(loop, 0), answering(a))
	for name, again := range map[string]bool{"and it works": true, "and it fails": false} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int32
			// A relay that cuts the first connection within the upload.
			at := prooftest.Accept(t, netip.AddrPortFrom(loop, 0), func(ctx context.Context, c *net.TCPConn) {
				first := n.Add(1) == 1
				if !first && !again {
					return
				}
				s, err := net.Dial("tcp", target.String())
				if err != nil {
					return
				}
				defer s.Close()
				stop := context.AfterFunc(ctx, func() { s.Close() })
				defer stop()
				go func() { _, _ = io.Copy(c, s); c.Close() }()
				if first {
					_, _ = io.CopyN(s, c, 5000)
				} else {
					_, _ = io.Copy(s, c)
				}
			})
			i := try(t, at, guardTime)
			if i.Answer != result.AnswerKeyed || i.Sent == nil || i.Sent.Outcome == result.TransferIntact || i.Received == nil || n.Load() != 3 {
				t.Fatalf("%+v", i)
			}
			if want := map[bool]result.TransferOutcome{true: result.TransferIntact, false: result.TransferUnknown}[again]; i.Received.Outcome != want {
				t.Errorf("received %+v", i.Received)
			}
		})
	}
}

func TestInterruptedAttemptSaysSoAtOnce(t *testing.T) {
	arrived := make(chan struct{})
	at := prooftest.Accept(t, netip.AddrPortFrom(loop, 0), func(_ context.Context, c *net.TCPConn) { close(arrived); _, _ = io.Copy(io.Discard, c) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	start := time.Now()
	i := Attempt(ctx, Path{Flow: "sql", Transport: plan.TCP, Target: at, Probe: echo.NewID()}, Options{Key: rightKey, Timeout: time.Hour})
	if i.NotTried != "interrupted" || time.Since(start) > guardTime {
		t.Errorf("%+v", i)
	}
}

func TestAttemptsLeakNothing(t *testing.T) {
	at := prooftest.Accept(t, netip.AddrPortFrom(loop, 0), answering(answerer()))
	closed := prooftest.FreePort(t, loop)
	once := func() { try(t, at, guardTime); try(t, closed, guardTime) }
	count := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(d)
	}
	once()
	before := count()
	for range 5 {
		once()
	}
	// The answering end closes its descriptors a moment later.
	for start := time.Now(); count() > before; time.Sleep(time.Millisecond) {
		if time.Since(start) > guardTime {
			t.Fatalf("%d descriptors, %d before", count(), before)
		}
	}
}
