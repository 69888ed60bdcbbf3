package address

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v3"
	"go.uber.org/goleak"

	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guardTime is how long anything may take before a test calls it a hang.
const guardTime = 30 * time.Second

// coturn runs a STUN server of somebody else's on one or two addresses. Without
// it the test is skipped, unless DIALTONE_PEERS says that all peers are there.
func coturn(t *testing.T, port int, addrs ...string) {
	t.Helper()
	path, err := exec.LookPath("turnserver")
	if err != nil {
		if os.Getenv("DIALTONE_PEERS") != "" {
			t.Fatalf("%v: apt-get install coturn", err)
		}
		t.Skipf("%v: apt-get install coturn", err)
	}
	dir := t.TempDir()
	args := []string{"-n", "-p", fmt.Sprint(port), "--alt-listening-port", fmt.Sprint(port + 1), "--no-tls", "--no-dtls", "--no-cli", "--allow-loopback-peers",
		"--log-file", "stdout", "--userdb", dir + "/turndb", "--pidfile", dir + "/pid"}
	for _, a := range addrs {
		args = append(args, "-L", a)
	}
	cmd := exec.Command(path, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for end := time.Now().Add(guardTime); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", net.JoinHostPort(addrs[len(addrs)-1], fmt.Sprint(port)))
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatalf("coturn does not listen: %v", err)
		}
	}
}

func server(t *testing.T, uri string) Server {
	t.Helper()
	s, err := ParseServer(uri)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shifted is the plan with ports that need no privilege.
func shifted(t *testing.T) *plan.Plan {
	t.Helper()
	base, err := plan.Load("illiad")
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := base.Apply(plan.Change{Shift: 10200})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func runOnce(t *testing.T, c Config) *result.AddressReport {
	t.Helper()
	if c.Plan == nil {
		c.Plan = shifted(t)
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), guardTime)
	defer cancel()
	return Run(ctx, c)
}

func findings(r *result.AddressReport) []string { return codes(r.AddressConclusion) }

func TestCoturnTellsTheAddressOverBothTransports(t *testing.T) {
	coturn(t, 23478, "127.0.0.1", "127.0.0.2")
	r := runOnce(t, Config{Servers: []Server{server(t, "stun:127.0.0.1:23478")}, Bind: []netip.Addr{netip.MustParseAddr("127.0.0.3")}})
	for _, transport := range []plan.Transport{plan.TCP, plan.UDP} {
		source := map[result.Endpoint]bool{}
		count := map[result.ViewTest]int{}
		targets := map[string]bool{}
		for _, v := range r.Views {
			if v.Transport != transport {
				continue
			}
			count[v.Test]++
			if v.Outcome != result.ViewAnswered || v.SeenAs != v.Source || v.Source.Addr().String() != "127.0.0.3" || !strings.HasPrefix(v.Software, "Coturn") || v.Attempts < 1 {
				t.Errorf("%s: %+v", transport, v)
			}
			if v.Test != result.TestAgain {
				source[v.Source] = true
				targets[v.Target.String()] = true
			}
		}
		if count[result.TestFirst] != 1 || count[result.TestAlternate] != 2 || count[result.TestAgain] != again {
			t.Errorf("%s: %v", transport, count)
		}
		if len(source) != 1 || len(targets) != 3 || !targets["127.0.0.2:23478"] || !targets["127.0.0.2:23479"] {
			t.Errorf("%s: RFC 5780 wants one local port and three destinations: %v, %v", transport, source, targets)
		}
	}
	if len(r.Mappings) != 2 || r.Mappings[0].Behaviour != result.MappingNone {
		t.Errorf("%+v", r.Mappings)
	}
	if !slices.Equal(r.Seen, []string{"127.0.0.3"}) {
		t.Errorf("seen %v", r.Seen)
	}
}

func TestCoturnTellsTheAddressOverIPv6(t *testing.T) {
	coturn(t, 23480, "::1")
	r := runOnce(t, Config{Servers: []Server{server(t, "stun:[::1]:23480")}})
	if len(r.Views) != 2*(1+again) || !slices.Equal(r.Seen, []string{"::1"}) {
		t.Errorf("seen %v, %+v", r.Seen, r.Views)
	}
}

// fakeServer answers every Binding over UDP and TCP by f and counts what it is
// sent.
type fakeServer struct {
	at    netip.AddrPort
	count atomic.Int64 // requests
}

func fake(t *testing.T, f func(req *stun.Message, from netip.AddrPort) []byte) *fakeServer {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeServer{at: netip.MustParseAddrPort(l.Addr().String())}
	u, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(s.at))
	if err != nil {
		t.Fatal(err)
	}
	answer := func(b []byte, from net.Addr) []byte {
		req := &stun.Message{Raw: b}
		if req.Decode() != nil {
			return nil
		}
		s.count.Add(1)
		return f(req, netip.MustParseAddrPort(from.String()))
	}
	done := make(chan struct{}, 2)
	go func() {
		defer func() { done <- struct{}{} }()
		b := make([]byte, 2048)
		for {
			n, from, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			if a := answer(slices.Clone(b[:n]), from); a != nil {
				_, _ = u.WriteTo(a, from)
			}
		}
	}()
	go func() {
		defer func() { done <- struct{}{} }()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(guardTime))
				b := make([]byte, 2048)
				n, err := c.Read(b)
				if err != nil {
					return
				}
				if a := answer(b[:n], c.RemoteAddr()); a != nil {
					_, _ = c.Write(a)
				}
				_, _ = c.Read(b) // until the asking end closes
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); u.Close(); <-done; <-done })
	return s
}

func seenAs(req *stun.Message, ap netip.AddrPort, more ...stun.Setter) []byte {
	m, err := stun.Build(append([]stun.Setter{req, stun.BindingSuccess, &stun.XORMappedAddress{IP: ap.Addr().AsSlice(), Port: int(ap.Port())}}, more...)...)
	if err != nil {
		panic(err)
	}
	return m.Raw
}

func TestAServerThatLiesIsNotBelieved(t *testing.T) {
	for _, lie := range []string{"0.0.0.0:7", "127.0.0.1:0", "224.0.0.1:7", "255.255.255.255:7", "8.8.8.8:7"} {
		s := fake(t, func(req *stun.Message, _ netip.AddrPort) []byte { return seenAs(req, netip.MustParseAddrPort(lie)) })
		r := runOnce(t, Config{Servers: []Server{server(t, s.at.String())}})
		// Over the loopback interface nobody is seen as 8.8.8.8 either.
		if got := findings(r); !slices.Equal(got, []string{"nothing-learned", "implausible-address"}) || len(r.Seen) != 0 {
			t.Errorf("%s: %v, seen %v", lie, got, r.Seen)
		}
	}
}

// However servers answer, what one run sends is bounded.
func TestARunSendsABoundedNumberOfRequests(t *testing.T) {
	other := fake(t, func(*stun.Message, netip.AddrPort) []byte { return nil })
	s := fake(t, func(req *stun.Message, from netip.AddrPort) []byte {
		// Each answer offers another address, and so would each of its answers.
		return seenAs(req, from, &stun.OtherAddress{IP: net.IPv4(127, 0, 0, 2), Port: int(other.at.Port())})
	})
	// A second one that offers others gets no more of them asked.
	r := runOnce(t, Config{Servers: []Server{server(t, s.at.String()), server(t, "stun:"+s.at.String())}, Timeout: time.Second})
	if n := s.count.Load(); n < 2*2*(1+again) || n > 2*2*7*(1+again) {
		t.Errorf("%d requests", n)
	}
	if len(r.Views) != 2*2*(1+again)+2*2 {
		t.Errorf("%d views", len(r.Views))
	}
	for _, v := range r.Views {
		if v.Attempts > 7 { // RFC 8489 section 6.2.1
			t.Errorf("%d attempts: %+v", v.Attempts, v)
		}
	}
}

func TestServersThatDoNotAnswerAreAskedOnce(t *testing.T) {
	s := fake(t, func(*stun.Message, netip.AddrPort) []byte { return nil })
	r := runOnce(t, Config{Servers: []Server{server(t, s.at.String())}, Timeout: 700 * time.Millisecond})
	if len(r.Views) != 2 || r.Views[0].Outcome != result.ViewMute || r.Views[1].Outcome != result.ViewSilent {
		t.Errorf("%+v", r.Views)
	}
	if got := findings(r); !slices.Equal(got, []string{"nothing-learned", "server-silent", "server-silent"}) {
		t.Errorf("%v", got)
	}
}

func TestNobodyListensIsToldFromSilence(t *testing.T) {
	s := fake(t, nil)
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), s.at.Port()) // bound on 127.0.0.1 only
	r := runOnce(t, Config{Servers: []Server{server(t, at.String())}, Timeout: 700 * time.Millisecond})
	for _, v := range r.Views {
		if v.Outcome != result.ViewRefused {
			t.Errorf("%+v", v)
		}
	}
	if len(r.Views) != 2 || len(r.Seen) != 0 {
		t.Errorf("%+v", r.Views)
	}
}

// listening runs a listener for the whole plan on an address.
func listening(t *testing.T, p *plan.Plan, addr string, key echo.Key) *listener.Listener {
	t.Helper()
	l := listener.New(listener.Config{Key: key, Software: "test", Plan: p, Ports: p.Ports(nil), Addrs: []netip.Addr{netip.MustParseAddr(addr)}})
	if errs := l.Bind(t.Context()); len(errs) > 0 {
		t.Fatal(errs[0])
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = l.Serve(ctx, func([]*listener.BindError) { close(ready) })
	}()
	<-ready
	t.Cleanup(func() { cancel(); <-done })
	return l
}

func TestAListenerTellsTheAddressAndDialsBack(t *testing.T) {
	p, key := shifted(t), prooftest.Key("one key for both ends")
	listening(t, p, "127.0.0.1", key)
	r := runOnce(t, Config{Plan: p, Host: "127.0.0.1", Key: key, Bind: []netip.Addr{netip.MustParseAddr("127.0.0.4")}})
	proved := map[plan.Transport]int{}
	for _, v := range r.Views {
		if !v.Keyed || v.Outcome != result.ViewAnswered || v.SeenAs != v.Source {
			t.Errorf("%+v", v)
		}
		proved[v.Transport]++
	}
	if proved[plan.TCP] != 2+again || proved[plan.UDP] != 1+again {
		t.Errorf("%v", proved)
	}
	if len(r.Inbound) != 1 || r.Inbound[0].Outcome != result.InboundReached || r.Inbound[0].Target.String() != "127.0.0.4:18168" {
		t.Errorf("%+v", r.Inbound)
	}
}

func TestARunningListenerIsReachedInPlaceOfOurOwn(t *testing.T) {
	p, key := shifted(t), prooftest.Key("one key for both ends")
	listening(t, p, "127.0.0.1", key)
	listening(t, p, "127.0.0.4", key)
	r := runOnce(t, Config{Plan: p, Host: "127.0.0.1", Key: key, Bind: []netip.Addr{netip.MustParseAddr("127.0.0.4")}})
	if len(r.Inbound) != 1 || r.Inbound[0].Outcome != result.InboundReached {
		t.Errorf("%+v", r.Inbound)
	}
}

func TestSoftwareOnOurPortIsNamedAndNothingIsClaimed(t *testing.T) {
	p, key := shifted(t), prooftest.Key("one key for both ends")
	listening(t, p, "127.0.0.1", key)
	held, err := net.Listen("tcp4", "127.0.0.4:18168")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	go func() {
		for {
			c, err := held.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	r := runOnce(t, Config{Plan: p, Host: "127.0.0.1", Key: key, Bind: []netip.Addr{netip.MustParseAddr("127.0.0.4")}})
	if len(r.Inbound) != 1 || r.Inbound[0].Outcome != result.InboundUntried || !strings.Contains(r.Inbound[0].Error, "port 18168 here is held by") {
		t.Errorf("%+v", r.Inbound)
	}
}

func TestAnotherKeyIsNotBelieved(t *testing.T) {
	p := shifted(t)
	listening(t, p, "127.0.0.1", prooftest.Key("one key for both ends"))
	r := runOnce(t, Config{Plan: p, Host: "127.0.0.1", Key: prooftest.Key("quite another key"), Timeout: time.Second})
	if got := findings(r); !slices.Equal(got, []string{"nothing-learned", "wrong-key"}) || len(r.Seen) != 0 || len(r.Inbound) != 0 {
		t.Errorf("%v, seen %v, %+v", got, r.Seen, r.Inbound)
	}
}

func TestAnInterruptedRunSaysSo(t *testing.T) {
	s := fake(t, func(*stun.Message, netip.AddrPort) []byte { return nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := Run(ctx, Config{Plan: shifted(t), Servers: []Server{server(t, s.at.String())}, Timeout: guardTime})
	if !r.Interrupted || len(r.Seen) != 0 || s.count.Load() != 0 {
		t.Errorf("%+v", r)
	}
}
