package listener

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// errTaken says that a port of ours is answered by somebody else.
var errTaken = errors.New("bound here, and yet another program answers on that address")

// proveSelf proves every bound TCP port to itself, on every local address: a
// wildcard binding can coexist with somebody's specific one, and a local
// redirect can take the port away. Such ports become busy.
func (l *Listener) proveSelf(ctx context.Context) []*BindError {
	own, err := sock.LocalAddrs()
	if err != nil {
		return nil // nothing can be said
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(64)
	var mu sync.Mutex
	var taken []*BindError
	for _, b := range l.Bound() {
		if b.Transport != plan.TCP {
			continue
		}
		for _, a := range own {
			if b.Addr.Addr() != a && !(b.Addr.Addr().IsUnspecified() && b.Addr.Addr().Is4() == a.Is4()) {
				continue
			}
			g.Go(func() error {
				at := netip.AddrPortFrom(a, b.Addr.Port())
				if !l.isTaken(gctx, at) {
					return nil
				}
				be := &BindError{
					BusyPort: result.BusyPort{Port: int(at.Port()), Transport: plan.TCP, Address: result.Addr{Addr: a}, InUse: true, Error: errTaken.Error(),
						Holder: sock.PortOwner(gctx, plan.TCP, at)},
					Err: errTaken,
				}
				l.addBusy(be.BusyPort)
				mu.Lock()
				defer mu.Unlock()
				taken = append(taken, be)
				return nil
			})
		}
	}
	_ = g.Wait() // the goroutines return no error
	return taken
}

// isTaken reports whether something answers at one of our addresses that is
// not this listener. Silence and errors prove nothing: a local firewall may
// drop what we send to ourselves.
func (l *Listener) isTaken(ctx context.Context, at netip.AddrPort) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	other, err := tell(ctx, at, echo.Ask{Key: l.Key, Run: l.Instance, Probe: echo.NewID(), Flow: "self"}, func(_ context.Context, c *echo.Conn) (bool, error) {
		return c.Instance != l.Instance, nil
	})
	var foreign *echo.ForeignError
	return other || errors.As(err, &foreign) || errors.Is(err, echo.ErrWrongKey)
}
