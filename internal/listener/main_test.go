package listener

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
)

// TestMain fails if a goroutine outlives the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guardTime is how long anything may take before a test calls it a hang.
const guardTime = 10 * time.Second

var (
	rightKey  = prooftest.RightKey
	wrongKey  = prooftest.WrongKey
	loop      = netip.MustParseAddr("127.0.0.1")
	elsewhere = netip.MustParseAddr("127.0.0.2") // an address that LocalAddrs does not list
)

// What tests of other packages have, too.
var (
	planOf = prooftest.Plan
	within = prooftest.Within
)

// contacts remembers what a listener told.
type contacts struct {
	mu  sync.Mutex
	all []Event
}

func (c *contacts) add(x Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, x)
}

func (c *contacts) list() []Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Event(nil), c.all...)
}

// await waits until n contacts were told.
func (c *contacts) await(t *testing.T, n int) []Event {
	t.Helper()
	for start := time.Now(); time.Since(start) < guardTime; time.Sleep(time.Millisecond) {
		if all := c.list(); len(all) >= n {
			return all
		}
	}
	t.Fatalf("told %d contacts, want %d: %+v", len(c.list()), n, c.list())
	return nil
}

// running is a listener that serves until the test ends.
type running struct {
	*Listener
	at    netip.AddrPort // its first bound port
	told  *contacts
	taken []*BindError
	stop  func() // and waits until it has
}

// start binds and serves. The zero Config is completed: one high TCP port on
// 127.0.0.1 for row "high".
func start(t *testing.T, c Config) *running {
	t.Helper()
	return startBeside(t, c, 0)
}

// startBeside does the same beside software that holds so many of the ports.
func startBeside(t *testing.T, c Config, held int) *running {
	t.Helper()
	r := &running{told: &contacts{}}
	if c.Key == (echo.Key{}) {
		c.Key = rightKey
	}
	if c.Plan == nil {
		c.Plan = planOf(plan.Row{ID: "high", Transport: plan.TCP})
	}
	if c.Ports == nil {
		c.Ports = c.Plan.Ports(nil)
	}
	if c.Addrs == nil {
		c.Addrs = []netip.Addr{loop}
	}
	if c.OnEvent == nil {
		c.OnEvent = r.told.add
	}
	r.Listener = New(c)
	if errs := r.Bind(t.Context()); len(errs) != held {
		t.Fatal(errs)
	}
	r.at = r.Bound()[0].Addr
	ctx, cancel := context.WithCancel(context.Background())
	ready, over := make(chan struct{}), make(chan error, 1)
	go func() {
		over <- r.Serve(ctx, func(taken []*BindError) { r.taken = taken; close(ready) })
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := receive(t, over); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(r.stop)
	receive(t, ready)
	return r
}

// listenBelow listens on a port below those that the system hands out by
// itself, so that nothing else comes to use the same number meanwhile.
func listenBelow(t *testing.T, lc *net.ListenConfig, network, host string) (net.Listener, int) {
	t.Helper()
	var err error
	for range 100 {
		port := 15000 + rand.N(15000)
		var l net.Listener
		if l, err = lc.Listen(t.Context(), network, net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
			t.Cleanup(func() { l.Close() })
			return l, port
		}
	}
	t.Fatal(err)
	panic("unreachable")
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	return prooftest.Receive(t, c, guardTime)
}

// dialFrom connects from an address of this machine.
func dialFrom(t *testing.T, from netip.Addr, to netip.AddrPort) *net.TCPConn {
	t.Helper()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	c, err := d.DialContext(within(t, guardTime), "tcp", to.String())
	if err != nil {
		t.Skipf("from %s: %v", from, err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(guardTime))
	return c.(*net.TCPConn)
}

func newAsk() echo.Ask {
	return echo.Ask{Key: rightKey, Run: echo.NewID(), Probe: echo.NewID(), Flow: "sql"}
}

// prove makes a keyed Binding or fails the test.
func prove(t *testing.T, from netip.Addr, to netip.AddrPort, ask echo.Ask) (*echo.Conn, *net.TCPConn) {
	t.Helper()
	conn := dialFrom(t, from, to)
	c, err := echo.Prove(within(t, guardTime), conn, ask)
	if err != nil {
		t.Fatalf("no proof: %v", err)
	}
	return c, conn
}
