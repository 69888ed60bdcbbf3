package survey

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
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
	l       *listener.Listener
	cancel  context.CancelFunc
	done    sync.WaitGroup
	held    map[heldKey]held
	began   atomic.Pointer[time.Time] // when it answered and watched; nil: not yet
	timeout time.Duration
	run     echo.ID // names this end to its siblings
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
	// gone is set if the sibling let go of the port during this run.
	gone bool
	err  *listener.BindError
}

// startAccepting binds the ports of the reverse rows and answers on them,
// unless an acceptor was given to this run.
func (s *survey) startAccepting(ctx context.Context) {
	if s.accept != nil {
		return
	}
	if len(s.reverseBindings()) == 0 {
		s.accept = &acceptor{}
		return
	}
	s.accept = s.newAcceptor(listener.Config{})
	s.accept.start(ctx, s.dialedFrom())
}

// newAcceptor prepares this end's side of the reverse rows that are known by
// now. more holds what goes beyond answering this run.
func (s *survey) newAcceptor(more listener.Config) *acceptor {
	return s.acceptorFor(s.reverseBindings(), more)
}

func (s *survey) acceptorFor(ports []plan.Binding, more listener.Config) *acceptor {
	more.Key, more.Software, more.Plan, more.Roles = s.Key, s.Software, s.Plan, s.Local
	more.Ports, more.Shift, more.Addrs, more.Instance = ports, s.Shift, s.Bind, s.own
	return &acceptor{l: listener.New(more), held: map[heldKey]held{}, timeout: s.Timeout, run: s.id}
}

// start binds the ports and answers on them. A port that is taken is no error:
// what holds it will show. sources are the addresses that this machine dials
// the far end from.
func (a *acceptor) start(ctx context.Context, sources []netip.Addr) {
	for _, err := range a.l.Bind(ctx) {
		addr, _ := netip.ParseAddr(err.Address)
		h := held{err: err}
		if err.InUse && err.Transport == plan.TCP {
			h.sibling, h.instance = a.findSibling(ctx, addr, err.Port, sources)
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
	now := time.Now()
	a.began.Store(&now)
}

// since is when it began to answer and to watch; now, if it has not.
func (a *acceptor) since() time.Time {
	if at := a.began.Load(); at != nil {
		return *at
	}
	return time.Now()
}

// stop closes the ports again.
func (a *acceptor) stop() {
	if a != nil && a.cancel != nil {
		a.cancel()
		a.done.Wait()
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
func (a *acceptor) findSibling(ctx context.Context, addr netip.Addr, port int, sources []netip.Addr) (*netip.AddrPort, string) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	for _, addr := range siblingAddrs(addr, sources) {
		at := netip.AddrPortFrom(addr, uint16(port))
		if instance, ok := a.isSibling(ctx, at); ok {
			return &at, instance
		}
	}
	return nil, ""
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

// dialedFrom are the addresses that forward attempts left from.
func (s *survey) dialedFrom() []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []netip.Addr
	for _, j := range s.jobs {
		if i := j.initiator; j.direction == plan.Forward && i != nil && i.Source.IsValid() {
			out = append(out, i.Source.Addr())
		}
	}
	return out
}

func (a *acceptor) isSibling(ctx context.Context, at netip.AddrPort) (instance string, ok bool) {
	d := sock.Dial(ctx, "tcp", netip.AddrPort{}, at)
	if d.Err != nil {
		return "", false
	}
	defer d.Conn.Close()
	c, err := echo.Prove(ctx, d.Conn, echo.Ask{Key: a.l.Key, Run: a.run, Probe: echo.NewID(), Flow: "sibling"})
	if err != nil {
		return "", false
	}
	return c.Instance.String(), true
}

// askSiblings finds out whether the siblings still hold their ports at the end of
// a run: what was refused once one had ended tells of that alone.
func (s *survey) askSiblings(ctx context.Context) {
	if s.accept == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	for k, h := range s.accept.held {
		if h.sibling == nil {
			continue
		}
		instance, ok := s.accept.isSibling(ctx, *h.sibling)
		h.gone = ctx.Err() == nil && (!ok || instance != h.instance)
		s.accept.held[k] = h
	}
}

// vacated is a reverse job's half where a sibling accepted that let go of the
// port meanwhile: what failed after the last connection that passed is no sign of
// the network, and where none passed nothing is known.
func (s *survey) vacated(j *job, i *result.Initiator) {
	if j.direction != plan.Reverse || s.accept == nil || !s.accept.held[heldKey{j.transport, j.port, j.family}].gone {
		return
	}
	if !isWhole(i) {
		i.NotTried = fmt.Sprintf("another dial or listen with the key, on this machine, held port %d when this run began and ended during it; run this again once it has ended", j.port)
		return
	}
	i.Connections = slices.Clone(i.Connections)
	for n := range slices.Backward(i.Connections) { // in order of time
		c := &i.Connections[n]
		if c.IsPassed() {
			return
		}
		if !c.IsFailed() {
			continue
		}
		c.Ended = result.EndedUnknown
		if c.Purpose == result.PurposeConversation {
			i.Conversation = nil
		}
	}
}

// isSiblings reports whether a listener is another process's of this machine that
// holds a port which this end wanted.
func (a *acceptor) isSiblings(instance string) bool {
	if a == nil {
		return false
	}
	for _, h := range a.held {
		if h.sibling != nil && h.instance == instance {
			return true
		}
	}
	return false
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
