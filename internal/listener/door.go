package listener

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// A DoorConfig is a Listener's, and how others of this machine are asked.
type DoorConfig struct {
	Config
	Run     echo.ID       // names this end to its siblings
	From    []netip.Addr  // addresses that this machine dials the far end from
	Timeout time.Duration // of each question to a sibling
}

// A Door is where the far end dials back to while a run lasts: a Listener of this
// end's own and, for each port that it could not have, whoever holds that. A
// sibling is another listener of this machine with the same key: it accepts in the
// place of one that wanted its port. A nil Door, or a zero one, was never opened,
// and may be asked all the same: it knows of nothing.
type Door struct {
	l      *Listener // nil: it was never opened
	c      DoorConfig
	taken  []Taken
	since  time.Time // when it began to answer and to watch
	cancel context.CancelFunc
	done   sync.WaitGroup

	needed  context.Context // ends with the run, or when who opened it wants no more
	unneed  context.CancelFunc
	over    <-chan struct{} // closed when who opened it wants no more
	leaning sync.WaitGroup
}

// Taken is a port that a Door's own listener could not have.
type Taken struct {
	*BindError
	Sibling string // instance of the sibling that holds it; "": none does

	at     netip.AddrPort // where that answers
	family result.Family
}

// OpenDoor binds the ports, and returns once it answers on them. A port that is
// taken is no error: what holds it will show. It stays open until Close.
func OpenDoor(ctx context.Context, c DoorConfig) *Door {
	d := &Door{l: New(c.Config), c: c, over: ctx.Done()}
	d.needed, d.unneed = context.WithCancel(ctx)
	for _, err := range d.l.Bind(ctx) {
		addr := err.Address.Addr
		t := Taken{BindError: err, family: result.FamilyOf(addr)}
		if err.InUse && err.Transport == plan.TCP && mayBeSibling(err.Holder) {
			t.at, t.Sibling = d.findSibling(ctx, addr, err.Port)
		}
		d.taken = append(d.taken, t)
	}
	ctx, d.cancel = context.WithCancel(context.WithoutCancel(ctx))
	ready := make(chan struct{})
	isReady := sync.OnceFunc(func() { close(ready) })
	d.done.Go(func() {
		_ = d.l.Serve(ctx, func([]*BindError) { isReady() })
		isReady() // a listener that ended early must not hold up the run
	})
	<-ready
	d.since = sock.Now()
	return d
}

// mayBeSibling reports whether a program that has a port may be one of ours, which
// alone is to be asked by key. Where the system does not tell which it is, it may.
func mayBeSibling(h *result.Holder) bool {
	name := strings.ToLower(holderNamed(h))
	if name == "" {
		return true
	}
	own, err := os.Executable()
	const short = 15 // characters of a name that Linux keeps
	ours := strings.ToLower(filepath.Base(own))
	return err == nil && (name == ours || name == ours[:min(len(ours), short)]) || strings.Contains(name, "listen") || strings.Contains(name, "dial")
}

// Close closes the ports again, once no sibling needs them; it needs those of none
// itself any more. What came until then is known on.
func (d *Door) Close() {
	if d != nil && d.cancel != nil {
		d.unneed()
		d.leaning.Wait()
		d.lend()
		d.cancel()
		d.done.Wait()
	}
}

// Taken lists the ports that its own listener could not have.
func (d *Door) Taken() []Taken {
	if d == nil {
		return nil
	}
	return slices.Clone(d.taken)
}

// errNeverOpened is why a Door that was never opened has no port.
var errNeverOpened = errors.New("this run accepts no connections")

// takenAt says who has a port, nil if its own listener does.
func (d *Door) takenAt(t plan.Transport, port int, f result.Family) *Taken {
	if d == nil || d.l == nil {
		return &Taken{BindError: &BindError{BusyPort: result.BusyPort{Port: port, Transport: t}, Err: errNeverOpened}}
	}
	if i := slices.IndexFunc(d.taken, func(k Taken) bool { return k.Transport == t && k.Port == port && k.family == f }); i >= 0 {
		return &d.taken[i]
	}
	return nil
}

// Expects says which listener ought to answer what is dialed back to a port: its
// own, or a sibling. If none can, not says why.
func (d *Door) Expects(t plan.Transport, port int, f result.Family) (instance string, not *BindError) {
	switch k := d.takenAt(t, port, f); {
	case k == nil:
		return d.l.Instance.String(), nil
	case k.Sibling != "":
		return k.Sibling, nil
	default:
		return "", k.BindError
	}
}

// Saw is what its own listener saw of an attempt of a run; ok is false if that has
// not the port. asSeen is the far end's address as it arrives here.
func (d *Door) Saw(run echo.ID, q echo.WitnessQuery, asSeen netip.Addr) (a result.Acceptor, ok bool) {
	if d.takenAt(q.Transport, q.Port, result.FamilyOf(asSeen)) != nil {
		return a, false
	}
	return d.l.sightings([]echo.WitnessQuery{q}, asSeen, run)[0], true
}

// Half is the accepting end's half of an attempt of a run: what whoever accepts on
// the port saw, or that other software has it; nil of a Door that was never
// opened. It looks no further back than to when it was.
func (d *Door) Half(ctx context.Context, run echo.ID, q echo.WitnessQuery, asSeen netip.Addr) *result.Acceptor {
	k := d.takenAt(q.Transport, q.Port, result.FamilyOf(asSeen))
	if k != nil && k.Err == errNeverOpened {
		return nil
	}
	q.BeganMS = min(q.BeganMS, sock.Since(d.since).Milliseconds())
	switch {
	case k == nil:
		return &d.l.sightings([]echo.WitnessQuery{q}, asSeen, run)[0]
	case k.Sibling != "":
		return d.siblingHalf(ctx, k, run, q)
	case !k.InUse: // a range that Windows keeps, a privilege that is missing
		return &result.Acceptor{
			Instance: d.l.Instance.String(), Port: result.PortUnbound,
			Saw: result.SawUnknown, Reason: "this end could not open the port: " + k.Error(),
		}
	}
	if k.InUse && q.Connect == result.ConnectTimeout {
		return &d.l.sightings([]echo.WitnessQuery{q}, asSeen, run)[0] // half-open connections are watched for
	}
	return &result.Acceptor{
		Instance: d.l.Instance.String(), Port: result.PortBusy, Holder: k.Holder,
		Saw: result.SawUnknown, Reason: "other software holds the port here",
	}
}

// of is what f says of a Door's own listener; the zero value if there is none.
func of[T any](d *Door, f func(*Listener) T) (t T) {
	if d != nil && d.l != nil {
		t = f(d.l)
	}
	return t
}

// Listened tells what reached its ports; nil of a Door that was never opened.
func (d *Door) Listened() *result.Listened {
	return of(d, func(l *Listener) *result.Listened { return l.Listened(d.since) })
}

// Paused is Listener.Paused, for anybody.
func (d *Door) Paused() []echo.Span {
	return of(d, func(l *Listener) []echo.Span { return l.Paused(netip.Addr{}) })
}

// Fingerprint is Listener.Fingerprint.
func (d *Door) Fingerprint() string { return of(d, (*Listener).Fingerprint) }

// HighPort is Listener.HighPort.
func (d *Door) HighPort(row string, f result.Family) int {
	return of(d, func(l *Listener) int { return l.HighPort(row, f) })
}
