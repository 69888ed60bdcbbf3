package contact

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dialtone/internal/echo"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loop = netip.MustParseAddr("127.0.0.1")

// guardTime is how long a test waits for what is to happen at once.
const guardTime = 20 * time.Second

// A far is a listener of the far end's, which says its own name.
type far struct {
	echo.NoHost
	id echo.ID
	at netip.AddrPort
}

func (f *far) Hello(echo.Peer) echo.Hello { return echo.Hello{Instance: f.id} }

// listen answers on a port until the test ends.
func listen(t *testing.T) *far {
	t.Helper()
	f := &far{id: echo.NewID()}
	a := &echo.Answerer{Key: prooftest.RightKey, Instance: f.id, Software: "test 1", Host: f}
	f.at = prooftest.Accept(t, netip.AddrPortFrom(loop, 0), func(ctx context.Context, c *net.TCPConn) { a.Answer(ctx, c) })
	return f
}

// way is a path to a listener that this end came to under its own address, or under
// another one.
func (f *far) way(own bool) Way {
	w := Way{Flow: "sql", Target: f.at, Instance: f.id.String(), Direct: true, Source: loop, SeenAs: loop}
	if !own {
		w.SeenAs = netip.MustParseAddr("192.0.2.1")
	}
	return w
}

// A log has the connections that a Book opened.
type log struct {
	mu  sync.Mutex
	all []result.Connection
	ran []error // how each ended, for each time that it was told
}

func (l *log) book() *Book {
	return New(Config{
		Timeout: guardTime / 2,
		Self:    func() echo.Ask { return echo.Ask{Key: prooftest.RightKey} },
		Greets:  func(uint16) bool { return false },
		Turn:    func(context.Context) {},
		Record: func(_ context.Context, _ netip.AddrPort, c result.Connection) func(error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.all = append(l.all, c)
			return func(err error) {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.ran = append(l.ran, err)
			}
		},
		Lacks: func(result.Lack) {},
		Trips: func() time.Duration { return 0 },
		Watch: func(ctx context.Context, _ netip.AddrPort, _ time.Duration) (context.Context, context.CancelFunc) {
			return context.WithCancel(ctx)
		},
	})
}

func TestTheFirstThatSaysWhatItIsIsTheContact(t *testing.T) {
	var l log
	b := l.book()
	if _, ok := b.Hello(); ok {
		t.Error("somebody said something before anybody was asked")
	}
	closed := prooftest.FreePort(t, loop)
	b.Offer(t.Context(), result.IP4, Way{Target: closed, Instance: "gone", Source: loop, SeenAs: netip.MustParseAddr("192.0.2.1")})
	one, other := listen(t), listen(t)
	b.Offer(t.Context(), result.IP4, one.way(false))
	b.Offer(t.Context(), result.IP4, other.way(true))
	b.Await(prooftest.Within(t, guardTime), nil, result.IP4, result.IP6)
	c, ok := b.First()
	if !ok || c.Hello.Instance != one.id || c.Family != result.IP4 || c.Target != one.at || c.Flow != "sql" || c.Own || c.Wrong {
		t.Errorf("%v: %+v", ok, c)
	}
	if _, ok := b.HelloOf(result.IP6); ok {
		t.Error("somebody answers over IPv6")
	}
	if len(l.all) != 2 || l.all[0].Reached != result.ReachedNothing || l.all[0].Ended != result.EndedReset ||
		l.all[1].Reached != result.ReachedProved || l.all[1].Instance != one.id.String() {
		t.Errorf("opened: %+v", l.all)
	}
	if got := b.Instances(); len(got) != 3 || got[0] != other.id.String() {
		t.Errorf("the one that sees this machine under its own address is not the first of %v", got)
	}
}

func TestAQuestionGoesToWhomItIsMeantForOverAnotherWayIfOneFails(t *testing.T) {
	var l log
	b := l.book()
	one, other := listen(t), listen(t)
	dead := one.way(true)
	dead.Target = prooftest.FreePort(t, loop)
	for _, w := range []Way{other.way(true), dead, one.way(false)} {
		b.Add(result.IP4, w)
	}
	ask := func(instance string, f result.Family, strict bool) (by echo.ID, err error) {
		err = b.Ask(t.Context(), instance, f, strict, guardTime, func(_ context.Context, c *echo.Conn) error {
			by = c.Instance
			return nil
		})
		return by, err
	}
	if by, err := ask(one.id.String(), result.IP4, true); err != nil || by != one.id {
		t.Errorf("%v, %v", by, err)
	}
	if len(l.all) != 2 || l.all[0].Ended != result.EndedReset || len(l.ran) != 2 || l.ran[1] != nil {
		t.Errorf("opened: %+v, %v", l.all, l.ran)
	}
	if by, err := ask(other.id.String(), result.IP6, false); err != nil || by != other.id {
		t.Errorf("over the other family: %v, %v", by, err)
	}
	if _, err := ask(one.id.String(), result.IP6, true); !errors.Is(err, ErrNone) {
		t.Errorf("over that family alone: %v", err)
	}
}

// Where a device leads a path to another listener than was meant, that one may have
// spoken first.
func TestSettlingMakesTheExpectedListenerTheContact(t *testing.T) {
	var l log
	b := l.book()
	stray, meant := listen(t), listen(t)
	b.Offer(t.Context(), result.IP4, stray.way(true))
	b.Add(result.IP4, meant.way(false))
	b.Add(result.IP4, Way{Target: meant.at, Instance: meant.id.String(), Source: loop, SeenAs: loop})
	b.Settle(t.Context(), meant.id.String(), result.IP4)
	if c, ok := b.First(); !ok || c.Hello.Instance != meant.id || !c.Own || c.Wrong {
		t.Errorf("%v: %+v", ok, c)
	}
	b.MeetOthers(t.Context(), result.IP4)
	if h, ok := b.HelloBy(stray.id.String()); !ok || h.Instance != stray.id {
		t.Errorf("the other one: %v: %+v", ok, h)
	}
	b.Settle(t.Context(), "nobody", result.IP4)
	if c, ok := b.Of(result.IP4); !ok || !c.Wrong {
		t.Errorf("%v: %+v", ok, c)
	}
	if _, ok := b.HelloOf(result.IP4); ok {
		t.Error("what another listener says is taken for the expected one's")
	}
	if _, ok := b.First(); ok {
		t.Error("another listener is the contact")
	}
}

// A NAT of this end's in front of a far end that is dialed at its own address
// is on that end's network, too, and hides nothing.
func TestTranslationAtTheFarEndHidesTheSource(t *testing.T) {
	a := netip.MustParseAddr
	here, gateway, dialed, container := a("10.88.96.10"), a("172.18.0.1"), a("10.88.96.20"), a("172.18.0.2")
	for name, c := range map[string]struct {
		neighbour            bool
		seen, dialed, origin netip.Addr
		want                 bool
	}{
		"the host of a container masquerades":        {true, gateway, dialed, container, true},
		"it forwards only":                           {false, here, dialed, container, false},
		"this end's own NAT, next to the far end":    {true, a("10.88.98.1"), dialed, dialed, false},
		"this end's own NAT, and a forwarding one":   {false, a("203.0.113.9"), dialed, container, false},
		"what leads elsewhere masquerades as itself": {false, dialed, dialed, a("10.1.0.10"), true},
		"nobody says who answered":                   {true, gateway, dialed, netip.Addr{}, false},
	} {
		if got := hidesSource(c.neighbour, here, c.seen, c.dialed, c.origin); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Each answer tells when a listener was started, give or take how long it took: together
// they tell more, and a slow one takes nothing back.
func TestAnswersTogetherNarrowWhenAListenerWasStarted(t *testing.T) {
	began := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	one := echo.Hello{Instance: echo.NewID()}
	heard := func(hello echo.Hello, late, sooner time.Duration) Heard {
		return Heard{Hello: hello, Began: began.Add(late), Sooner: sooner}
	}
	slow, quick := heard(one, 800*time.Millisecond, 900*time.Millisecond), heard(one, 2*time.Millisecond, 3*time.Millisecond)
	for name, got := range map[string]Heard{"the quick one last": slow.narrowed(quick), "and first": quick.narrowed(slow), "alone": quick} {
		if got.Began != quick.Began || got.Sooner != quick.Sooner {
			t.Errorf("%s: %v and %v sooner", name, got.Began.Sub(began), got.Sooner)
		}
	}
	if got := heard(one, 5*time.Millisecond, 10*time.Millisecond).narrowed(heard(one, 8*time.Millisecond, 6*time.Millisecond)); got.Began.Sub(began) != 5*time.Millisecond || got.Sooner != 3*time.Millisecond {
		t.Errorf("of both: %v and %v sooner", got.Began.Sub(began), got.Sooner)
	}
	if got := quick.narrowed(heard(echo.Hello{Instance: echo.NewID()}, time.Second, time.Millisecond)); got.Began.Sub(began) != time.Second {
		t.Errorf("another listener was started %v later", got.Began.Sub(began))
	}
	for at, doubtful := range map[time.Duration]bool{-200 * time.Millisecond: false, 0: true, 799 * time.Millisecond: true, 801 * time.Millisecond: false} {
		if got := slow.mayHaveBegun(began.Add(at)); got != doubtful {
			t.Errorf("%v after it: doubtful is %v", at, got)
		}
	}
}
