// Package prooftest is what the tests of several packages do alike: keys that are
// stretched once, ports, servers that last as long as a test, and an end that has
// nothing to say. Only tests import it; those inside plan, result, sock and echo,
// on which it stands, cannot.
package prooftest

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// Two keys: that of the ends under test, and one that they do not have.
var (
	RightKey = Key("correct-horse-battery-staple-dial-tone")
	WrongKey = Key("another-horse-battery-staple-dial-tone")
)

var stretched sync.Map // texts → func() echo.Key

// Key is the key of a text, stretched once in a process. It panics where the text
// is none.
func Key(text string) echo.Key {
	once, _ := stretched.LoadOrStore(text, sync.OnceValue(func() echo.Key {
		k, err := echo.ParseKey(text)
		if err != nil {
			panic(err)
		}
		return k
	}))
	return once.(func() echo.Key)()
}

// Plan is one of some rows, where every role that they name is a machine.
func Plan(rows ...plan.Row) *plan.Plan {
	p := &plan.Plan{Name: "test", Title: "Test", Roles: map[plan.Role]string{}, Rows: rows}
	for _, r := range rows {
		for _, role := range append([]plan.Role{r.To}, r.From...) {
			if role != "" {
				p.Roles[role] = "a machine"
			}
		}
	}
	return p
}

// Within is a context that ends after d, or with the test.
func Within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// Receive returns what comes over a channel, and fails the test if nothing comes
// within d.
func Receive[T any](t testing.TB, c <-chan T, d time.Duration) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(d):
		t.Fatal("nothing came")
	}
	return v
}

// Accept runs f on each connection to an address, until the test ends; port 0 is
// any free one. Then f's context ends and its connection is closed, and the test
// waits until every f has returned.
func Accept(t testing.TB, at netip.AddrPort, f func(context.Context, *net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		CannotBind(t, at.Addr(), err)
	}
	serve(t, l, f)
	return sock.AddrPortOf(l.Addr())
}

// serve runs f on each connection of a listener, until the test ends.
func serve(t testing.TB, l *net.TCPListener, f func(context.Context, *net.TCPConn)) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				stop := context.AfterFunc(ctx, func() { c.Close() })
				defer stop()
				f(ctx, c)
			})
		}
	})
	t.Cleanup(func() { cancel(); l.Close(); all.Wait() })
}

var given sync.Map // ports that FreePort has returned

// FreePort is a port of an address that nobody has, over TCP or UDP, and that is
// not returned twice. It is below those that the system hands out by itself, and
// above those that tests have as numbers, so that nothing else comes to use it
// meanwhile.
func FreePort(t testing.TB, at netip.Addr) netip.AddrPort {
	t.Helper()
	var last error
	for range 100 {
		try := netip.AddrPortFrom(at, uint16(26000+rand.N(6000)))
		if _, again := given.LoadOrStore(try.Port(), nil); again {
			continue
		}
		l, err := net.Listen("tcp", try.String())
		if err == nil {
			var u net.PacketConn
			if u, err = net.ListenPacket("udp", try.String()); err == nil {
				u.Close()
			}
			l.Close()
		}
		if err == nil {
			return try
		}
		last = err
	}
	CannotBind(t, at, last)
	panic("unreachable")
}

// CannotBind skips the test where the system has no other loopback address than
// 127.0.0.1, and fails it elsewhere.
func CannotBind(t testing.TB, at netip.Addr, err error) {
	t.Helper()
	if runtime.GOOS == "darwin" {
		t.Skipf("macOS has no %s unless it is configured: %v", at, err)
	}
	t.Fatalf("%s: %v", at, err)
}

// Row returns a required TCP row of a plan.
func Row(id string, port int, from, to plan.Role) plan.Row {
	return plan.Row{ID: id, Service: id, Name: strings.ToUpper(id), Port: port, PlanPort: port, Transport: plan.TCP,
		From: []plan.Role{from}, To: to, Need: plan.Required, Expect: plan.ExpectOpen, Why: "Because."}
}

// Institutions is a plan of one service between two servers, on a port.
func Institutions(port int) *plan.Plan {
	p := Plan(Row("out", port, "server", "peer"), Row("in", port, "peer", "server"))
	p.Rows[0].Service, p.Rows[1].Service = "odyssey", "odyssey"
	return p
}

// PathTo returns the path of a flow and direction, of which there must be one.
func PathTo(t testing.TB, r *result.Report, flow string, d plan.Direction) result.Path {
	t.Helper()
	var found []result.Path
	for _, p := range r.Paths {
		if p.Flow == flow && p.Direction == d {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d paths of %s %s in %+v", len(found), flow, d, r.Paths)
	}
	return found[0]
}

// Expect fails a test if a path has another verdict.
func Expect(t testing.TB, p result.Path, want result.Verdict) {
	t.Helper()
	if p.Verdict != want {
		t.Errorf("%s %s is %s, want %s: %+v; initiator %+v; acceptor %+v", p.Flow, p.Direction, p.Verdict, want, p.Finding, p.Initiator, p.Acceptor)
	}
}
