package listener

import (
	"context"
	"io"
	"iter"
	"net/netip"
	"slices"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// tell proves the key at an address of this machine, and says something to whoever
// has it, too.
func tell[T any](ctx context.Context, at netip.AddrPort, ask echo.Ask, say func(context.Context, *echo.Conn) (T, error)) (got T, err error) {
	l, err := echo.Open(ctx, netip.AddrPort{}, at, ask)
	if err != nil {
		return got, err
	}
	defer l.Close()
	return say(ctx, l.Conn)
}

// InstanceAt is which listener with a key answers at an address of this machine. An
// error says why none does.
func InstanceAt(ctx context.Context, at netip.AddrPort, key echo.Key, run echo.ID) (instance string, err error) {
	return tell(ctx, at, siblingAsk(key, run), func(_ context.Context, c *echo.Conn) (string, error) { return c.Instance.String(), nil })
}

// siblingFlow names what programs of one machine say to each other.
const siblingFlow = "sibling"

func siblingAsk(key echo.Key, run echo.ID) echo.Ask {
	return echo.Ask{Key: key, Run: run, Probe: echo.NewID(), Flow: siblingFlow}
}

// tellSibling says something to a sibling of a Door's. An error is one that does
// not answer: another release, or it ended.
func tellSibling[T any](ctx context.Context, d *Door, at netip.AddrPort, run echo.ID, say func(context.Context, *echo.Conn) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, d.c.Timeout)
	defer cancel()
	return tell(ctx, at, siblingAsk(d.c.Key, run), say)
}

// findSibling looks for a listener with our key on a port that is taken, and leans
// on it. One that answers on the loopback interface alone, where an address that is dialed back to
// refuses, accepts nothing from elsewhere.
func (d *Door) findSibling(ctx context.Context, addr netip.Addr, port int) (at netip.AddrPort, instance string) {
	ctx, cancel := context.WithTimeout(ctx, d.c.Timeout)
	defer cancel()
	refused := false
	for _, a := range siblingAddrs(addr, d.c.From) {
		if refused && !slices.Contains(d.c.From, a) {
			break
		}
		at = netip.AddrPortFrom(a, uint16(port))
		l, err := echo.Open(ctx, netip.AddrPort{}, at, siblingAsk(d.c.Key, d.c.Run))
		if err == nil {
			d.lean(l)
			return at, l.Instance.String()
		}
		refused = refused || sock.Classify(err) == result.ConnectRST
	}
	return at, ""
}

// siblingAddrs lists the addresses at which a listener can be that keeps us
// from binding addr: addr itself, or if that is all addresses those that this
// machine dials the far end from, since the far end dials back to them, and the
// loopback one.
func siblingAddrs(addr netip.Addr, sources []netip.Addr) []netip.Addr {
	if !addr.IsUnspecified() {
		return []netip.Addr{addr}
	}
	loopback := netip.IPv6Loopback()
	if addr.Is4() {
		loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	var out []netip.Addr
	for _, a := range sources {
		if a != loopback && a.Is4() == addr.Is4() {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return append(slices.Compact(out), loopback)
}

// siblings are where each of its siblings answers, by instance.
func (d *Door) siblings() map[string]netip.AddrPort {
	out := map[string]netip.AddrPort{}
	for _, k := range d.Taken() {
		if k.Sibling != "" {
			out[k.Sibling] = k.at
		}
	}
	return out
}

// IsSibling reports whether a listener is a sibling that holds a port which its
// own listener wanted.
func (d *Door) IsSibling(instance string) bool { return d.siblings()[instance].IsValid() }

// siblingHalf asks the sibling that holds a port what it saw of an attempt. Where
// it goes by the time and the asking end's address alone, that is this machine's,
// and what came from it is not the far end's.
func (d *Door) siblingHalf(ctx context.Context, k *Taken, run echo.ID, q echo.WitnessQuery) *result.Acceptor {
	w, err := tellSibling(ctx, d, k.at, run, func(ctx context.Context, c *echo.Conn) (echo.Witnessed, error) {
		return c.Witness(ctx, []echo.WitnessQuery{q})
	})
	why := "the listener of this machine could not be asked what it saw"
	if err == nil {
		if a := &w.Answers[0]; !q.SourceChanged || a.Match != result.MatchTime || !a.Source.IsValid() {
			return a
		}
		why = "in that time something of this machine itself connected, and the addresses are changed on the way"
	}
	return &result.Acceptor{Port: result.PortBound, Instance: k.Sibling, Saw: result.SawUnknown, Reason: why}
}

// isFree reports whether a port can be had.
func isFree(ctx context.Context, t plan.Transport, at netip.AddrPort) bool {
	var held io.Closer
	var err error
	if t == plan.UDP {
		held, err = sock.ListenUDP(ctx, at)
	} else {
		held, err = sock.ListenTCP(ctx, at, false)
	}
	if err != nil {
		return false
	}
	held.Close()
	return true
}

// Vacated reports whether a sibling, or a program that may be one and was gone before it
// could be asked, had a port when the Door was opened, and has it no more: what was
// refused since then tells of that alone.
func (d *Door) Vacated(ctx context.Context, t plan.Transport, port int, f result.Family) bool {
	k := d.takenAt(t, port, f)
	if k == nil {
		return false
	}
	if k.Sibling == "" {
		return k.BindError != nil && k.InUse && mayBeSibling(k.Holder) && isFree(ctx, t, netip.AddrPortFrom(k.Address.Addr, uint16(port)))
	}
	ctx, cancel := context.WithTimeout(ctx, d.c.Timeout)
	defer cancel()
	instance, _ := InstanceAt(ctx, k.at, d.c.Key, d.c.Run)
	return instance != k.Sibling && !sock.IsOver(ctx)
}

// Bears says of each claim of a run whether its own listener bears it out, or a
// sibling (see Listener.Bears).
func (d *Door) Bears(ctx context.Context, run echo.ID, claims []echo.Claim) []bool {
	out := make([]bool, len(claims))
	for n, c := range claims {
		out[n] = of(d, func(l *Listener) bool { return l.Bears(run, c) })
	}
	for _, at := range d.siblings() {
		for from := 0; from < len(claims); from += echo.MaxClaims {
			some := claims[from:min(from+echo.MaxClaims, len(claims))]
			got, err := tellSibling(ctx, d, at, d.c.Run, func(ctx context.Context, c *echo.Conn) (echo.Vouched, error) {
				return c.Vouch(ctx, echo.Vouch{Run: run, Claims: some})
			})
			if err != nil {
				break // nobody vouches
			}
			for n, b := range got.Borne {
				out[from+n] = out[from+n] || b
			}
		}
	}
	return out
}

// Collected are the reports that were delivered to its siblings in its place. Each
// is fetched when it comes to it, and then kept there no more.
func (d *Door) Collected(ctx context.Context) iter.Seq[echo.Collected] {
	return func(yield func(echo.Collected) bool) {
		for _, at := range d.siblings() {
			got, err := tellSibling(ctx, d, at, d.c.Run, func(ctx context.Context, c *echo.Conn) (echo.Collected, error) { return c.Collect(ctx) })
			if err == nil && got.Delivery != nil && !yield(got) {
				return
			}
		}
	}
}
