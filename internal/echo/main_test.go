package echo

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// TestMain fails if a goroutine outlives the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guardTime is how long anything may take before a test calls it a hang.
const guardTime = 10 * time.Second

var (
	rightKey = mustKey("correct-horse-battery-staple-dial-tone")
	wrongKey = mustKey("another-horse-battery-staple-dial-tone")
	loop4    = netip.MustParseAddr("127.0.0.1")
	loop6    = netip.MustParseAddr("::1")
)

func mustKey(text string) Key {
	k, err := ParseKey(text)
	if err != nil {
		panic(err)
	}
	return k
}

func newAsk() Ask { return Ask{Key: rightKey, Run: NewID(), Probe: NewID(), Flow: "sql"} }

// told is one call of Host.Event.
type told struct {
	Peer
	Kind Kind
}

// fakeHost is a Host that remembers what it was asked.
type fakeHost struct {
	NoHost
	mu        sync.Mutex
	told      []told
	onContact func(Peer, Kind)
	hellos    int
	dialed    []DialBack
	submitted []Submission
	held      []HoldBack
	conversed int
	halves    func(context.Context, DialBack) DialedBack
}

func (h *fakeHost) Event(p Peer, k Kind) {
	h.mu.Lock()
	h.told = append(h.told, told{p, k})
	h.mu.Unlock()
	if h.onContact != nil {
		h.onContact(p, k)
	}
}

func (h *fakeHost) Hello(Peer) Hello {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hellos++
	return Hello{Software: "test", Plan: "plan", Bound: map[string][]int{"tcp4": {1433}}}
}

func (h *fakeHost) Witness(_ Peer, w Witness) Witnessed {
	return Witnessed{Answers: make([]result.Acceptor, len(w.Queries))}
}

func (h *fakeHost) DialBack(ctx context.Context, _ Peer, d DialBack) DialedBack {
	h.mu.Lock()
	h.dialed = append(h.dialed, d)
	f := h.halves
	h.mu.Unlock()
	if f != nil {
		return f(ctx, d)
	}
	return DialedBack{Halves: make([]result.Initiator, len(d.Paths))}
}

func (h *fakeHost) ConverseBack(_ context.Context, _ Peer, b ConverseBack) ConversedBack {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conversed++
	return ConversedBack{Conversations: make([]result.Conversation, len(b.Paths))}
}

func (h *fakeHost) HoldBack(_ context.Context, _ Peer, o HoldBack) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = append(h.held, o)
	return nil
}

func (h *fakeHost) HeldBack(_ Peer, o HeldBack) (HeldSoFar, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.held {
		if b.Path.Probe == o.Probe {
			return HeldSoFar{Done: true, Held: []Held{{Probe: o.Probe}}}, true
		}
	}
	return HeldSoFar{}, false
}

func (h *fakeHost) Submit(_ Peer, s Submission) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.submitted = append(h.submitted, s)
}

func (h *fakeHost) Meet(Peer, Meet) Met { return Met{Turn: TurnFollow} }

func (h *fakeHost) Deliver(_ Peer, d Delivery) (Receipt, func(), error) {
	_, err := d.Open()
	return Receipt{More: true}, nil, err
}

func (h *fakeHost) Collect(Peer) (Collected, error) {
	return Collected{Delivery: &Delivery{Report: []byte("kept")}, AgeMS: 7}, nil
}

func (h *fakeHost) Vouch(_ Peer, v Vouch) (Vouched, error) {
	return Vouched{Borne: make([]bool, len(v.Claims))}, nil
}

func (h *fakeHost) kinds() []Kind {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []Kind
	for _, c := range h.told {
		out = append(out, c.Kind)
	}
	return out
}

// did says how often anything behind the control methods was done.
func (h *fakeHost) did() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hellos + len(h.dialed) + len(h.submitted) + len(h.held) + h.conversed
}

func newAnswerer(h *fakeHost) *Answerer {
	return &Answerer{Key: rightKey, Instance: NewID(), Software: "test 1", Host: h}
}

// ended is what one connection amounted to.
type ended struct {
	kind  Kind
	first []byte
}

// serve answers on a loopback port until the test ends.
func serve(t *testing.T, addr netip.Addr, a *Answerer) (at netip.AddrPort, over <-chan ended) {
	t.Helper()
	ends := make(chan ended, 64)
	at = accept(t, addr, func(ctx context.Context, c net.Conn) {
		k, first := a.Answer(ctx, c)
		select {
		case ends <- ended{k, first}:
		default:
		}
	})
	return at, ends
}

// accept runs f on each connection to a loopback port, until the test ends.
func accept(t *testing.T, addr netip.Addr, f func(context.Context, net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
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
				stop := context.AfterFunc(ctx, func() { c.Close() })
				defer stop()
				f(ctx, c)
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		l.Close()
		wg.Wait()
	})
	return sock.AddrPortOf(l.Addr())
}

func dialTCP(t *testing.T, at netip.AddrPort) *net.TCPConn {
	t.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(guardTime))
	return c
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// prove proves the right key or fails the test.
func prove(t *testing.T, at netip.AddrPort, ask Ask) *Conn {
	t.Helper()
	c, err := Prove(within(t, guardTime), dialTCP(t, at), ask)
	if err != nil {
		t.Fatalf("no proof: %v", err)
	}
	return c
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(guardTime):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// addressed is a net.Pipe end that has addresses, as every real peer has.
type addressed struct {
	net.Conn
	local, remote netip.AddrPort
}

func (a addressed) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(a.local) }
func (a addressed) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(a.remote) }

func pipe() (asker, answerer net.Conn) {
	a, b := net.Pipe()
	x, y := netip.MustParseAddrPort("192.0.2.7:50000"), netip.MustParseAddrPort("198.51.100.9:1433")
	return addressed{a, x, y}, addressed{b, y, x}
}
