package survey

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// acceptor is this end's side of the reverse rows: a listener of our own, or
// where a port is taken whoever holds it.
type acceptor struct {
	l      *listener.Listener
	cancel context.CancelFunc
	done   sync.WaitGroup
	held   map[heldKey]held
	since  time.Time // when it began to answer and to watch
}

type heldKey struct {
	transport plan.Transport
	port      int
	family    result.Family
}

// held is a port that our own listener could not have.
type held struct {
	// sibling is set if a listener with the same key holds it: that one accepts.
	sibling *netip.AddrPort
	// instance of the sibling.
	instance string
	err      *listener.BindError
}

// startAccepting binds the ports of the reverse rows and answers on them. A
// port that is taken is no error: what holds it will show.
func (s *survey) startAccepting(ctx context.Context) {
	bindings := s.reverseBindings()
	if len(bindings) == 0 {
		return
	}
	a := &s.accept
	a.held = map[heldKey]held{}
	a.l = listener.New(listener.Config{
		Key: s.Key, Software: s.Software, Plan: s.Plan, Roles: s.Local, Ports: bindings, Shift: s.Shift, Addrs: s.Bind,
	})
	for _, err := range a.l.Bind(ctx) {
		addr, _ := netip.ParseAddr(err.Address)
		h := held{err: err}
		if err.InUse && err.Transport == plan.TCP {
			h.sibling, h.instance = s.findSibling(ctx, addr, err.Port)
		}
		a.held[heldKey{err.Transport, err.Port, result.FamilyOf(addr)}] = h
	}
	ctx, a.cancel = context.WithCancel(context.WithoutCancel(ctx))
	ready := make(chan struct{})
	isReady := sync.OnceFunc(func() { close(ready) })
	a.done.Go(func() {
		_ = a.l.Serve(ctx, func([]*listener.BindError) { isReady() })
		isReady() // a listener that ended early must not hold up the run
	})
	<-ready
	a.since = time.Now()
}

// stopAccepting closes the ports again.
func (s *survey) stopAccepting() {
	if s.accept.cancel != nil {
		s.accept.cancel()
		s.accept.done.Wait()
	}
}

// reverseBindings lists the ports that this end accepts on in this run.
func (s *survey) reverseBindings() []plan.Binding {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := plan.Plan{}
	seen := map[string]bool{}
	for _, l := range s.legs {
		if l.Direction == plan.Reverse && !seen[l.Row.ID] {
			seen[l.Row.ID] = true
			rows.Rows = append(rows.Rows, l.Row)
		}
	}
	return rows.Ports(nil)
}

// findSibling looks for a listener with our key on a port that is taken.
func (s *survey) findSibling(ctx context.Context, addr netip.Addr, port int) (*netip.AddrPort, string) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	for _, a := range s.siblingAddrs(addr) {
		at := netip.AddrPortFrom(a, uint16(port))
		if instance, ok := s.isSibling(ctx, at); ok {
			return &at, instance
		}
	}
	return nil, ""
}

// siblingAddrs lists the addresses at which a listener can be that keeps us
// from binding addr: addr itself, or if that is all addresses those that this
// run dials from, since the far end dials back to them, and the loopback one.
func (s *survey) siblingAddrs(addr netip.Addr) []netip.Addr {
	if !addr.IsUnspecified() {
		return []netip.Addr{addr}
	}
	loopback := netip.IPv6Loopback()
	if addr.Is4() {
		loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	var out []netip.Addr
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if i := j.initiator; j.direction == plan.Forward && j.family == result.FamilyOf(addr) && i != nil && i.Source.IsValid() {
			out = append(out, i.Source.Addr())
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(append(slices.DeleteFunc(out, func(a netip.Addr) bool { return a == loopback }), loopback))
}

func (s *survey) isSibling(ctx context.Context, at netip.AddrPort) (instance string, ok bool) {
	d := sock.Dial(ctx, "tcp", netip.AddrPort{}, at)
	if d.Err != nil {
		return "", false
	}
	defer d.Conn.Close()
	c, err := echo.Prove(ctx, d.Conn, echo.Ask{Key: s.Key, Run: s.run, Probe: echo.NewID(), Flow: "sibling"})
	if err != nil {
		return "", false
	}
	return c.Instance.String(), true
}

// noAcceptor says why a reverse job cannot be attempted at all, "" if it can.
func (a *acceptor) noAcceptor(j *job) string {
	h, ok := a.held[heldKey{j.transport, j.port, j.family}]
	if !ok || h.sibling != nil || h.err.InUse {
		return ""
	}
	if h.err.NoPermission {
		return fmt.Sprintf("this machine may not open port %d (%v); run dial as root or administrator, or use --port-shift on both sides", j.port, h.err.Err)
	}
	return fmt.Sprintf("this machine could not open port %d: %v", j.port, h.err.Err)
}
