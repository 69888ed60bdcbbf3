package listener

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

const (
	// maxArrivals bounds what a run's report tells of what reached the ports, and
	// maxAllArrivals what listen's own does, which is for many runs.
	maxArrivals    = 256
	maxAllArrivals = 8192
)

// Listened tells what reached the ports since a time, for a far end that cannot
// be asked to tell which of it was its own.
func (l *Listener) Listened(since time.Time) *result.Listened {
	return l.listened(since, maxArrivals)
}

// ListenedToAll is Listened for whoever came, as listen's own report has it.
func (l *Listener) ListenedToAll(since time.Time) *result.Listened {
	return l.listened(since, maxAllArrivals)
}

func (l *Listener) listened(since time.Time, most int) *result.Listened {
	l.watch.Look()
	until := sock.Now()
	out := &result.Listened{
		Instance: l.Instance.String(), Tag: l.Key.Tag(), Since: result.TimeOf(since), Until: result.TimeOf(until), Witness: l.watch.State(),
		Blind: l.watch.Blind(0, since, until), Ports: l.listenedPorts(), Arrivals: []result.Arrival{},
	}
	if l.arrivals.start().After(since) {
		out.Blind = "its memory was full in that time"
	}
	if out.Blind == "" {
		out.Blind = clockSet(time.Since(since.Round(0)), until.Sub(since))
	}
	arrivals := map[ends]*result.Arrival{}
	for i, p := range out.Ports {
		if slices.ContainsFunc(out.Ports[:i], func(o result.ListenedPort) bool { return o.Port == p.Port && o.Transport == p.Transport }) {
			continue // of the other family: what came is looked up for both
		}
		for _, e := range l.arrivals.between(p.Transport, p.Port, since, until) {
			if e.Run != l.Instance {
				addArrival(arrivals, ends{e.Transport, e.Remote, e.Local}, ofEntry(e))
			}
		}
		if p.Transport != plan.TCP {
			continue
		}
		half, _ := l.watch.Between(p.Port, since, until, math.MaxInt)
		for _, h := range half {
			if l.binds(h.Local) && !l.arrivals.has(h.Source, h.Local) {
				addArrival(arrivals, ends{plan.TCP, h.Source, h.Local}, ofHalfOpen(h))
			}
		}
	}
	for _, a := range arrivals {
		out.Arrivals = append(out.Arrivals, *a)
	}
	slices.SortFunc(out.Arrivals, func(a, b result.Arrival) int { return a.First.Compare(b.First.Time) })
	if len(out.Arrivals) > most {
		out.Truncated = true
		out.Arrivals = out.Arrivals[len(out.Arrivals)-most:]
	}
	return out
}

// clockSet says that the clock was set in a span that was so long by the clock, and
// so long by what nobody sets (sock.Now), "" if it was not: what came
// in it has then no times that the other end's can be held against. Clocks that are
// slewed (NTP) run no more than 1 in 2,000 apart.
func clockSet(byClock, passed time.Duration) string {
	const (
		slewed = 2000
		exact  = time.Second
	)
	by := byClock - passed
	if by.Abs() <= exact+passed.Abs()/slewed {
		return ""
	}
	return fmt.Sprintf("its clock was set in that time (by %v)", by.Round(time.Second))
}

// binds reports whether a local address and port are bound by it.
func (l *Listener) binds(local netip.AddrPort) bool {
	if l.isBusy(local) {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.bound, func(b *boundPort) bool {
		at := b.addr.Addr()
		return b.addr.Port() == local.Port() && (at == local.Addr() || at.IsUnspecified() && at.Is4() == local.Addr().Is4())
	})
}

func addArrival(to map[ends]*result.Arrival, k ends, a result.Arrival) {
	if known := to[k]; known != nil {
		known.Count++
		known.First, known.Last = earlier(known.First, a.First), later(known.Last, a.Last)
		return
	}
	a.Port, a.Transport = int(k.local.Port()), k.transport
	a.Source, a.Local = result.EndpointFrom(k.remote), result.EndpointFrom(k.local)
	a.Count = 1
	to[k] = &a
}

func ofEntry(e entry) result.Arrival {
	a := result.Arrival{First: result.TimeOf(e.At), Last: result.TimeOf(e.At), Saw: result.SawAccepted, Kind: string(e.Kind)}
	a.Proved = e.Proved
	if e.Run != (entry{}).Run {
		a.Run = e.Run.String()
	}
	return a
}

func ofHalfOpen(h sock.HalfOpen) result.Arrival {
	a := result.Arrival{First: result.TimeOf(h.First), Last: result.TimeOf(h.Last), Saw: result.SawHalfOpen}
	switch {
	case !h.Answered:
		a.Saw, a.Detail = result.SawNothing, "its SYN was seen at the network interface, and this machine's TCP stack did not answer it"
	case h.Reset:
		a.Detail = "its SYN-ACK was answered with RST"
	}
	return a
}

func earlier(a, b result.Time) result.Time {
	if b.Before(a.Time) {
		return b
	}
	return a
}

func later(a, b result.Time) result.Time {
	if b.After(a.Time) {
		return b
	}
	return a
}

// listenedPorts lists the ports that this listener wanted, and what became of
// each.
func (l *Listener) listenedPorts() []result.ListenedPort {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []result.ListenedPort{}
	for _, b := range l.busy {
		if !b.Address.IsValid() {
			continue
		}
		p := result.ListenedPort{Port: b.Port, Transport: b.Transport, Family: result.FamilyOf(b.Address.Addr), State: result.PortUnbound}
		if b.InUse {
			p.State, p.Holder = result.PortBusy, b.Holder
		}
		out = append(out, p)
	}
	for _, b := range l.bound {
		p := result.ListenedPort{Port: int(b.addr.Port()), Transport: b.Transport, Family: result.FamilyOf(b.addr.Addr()), State: result.PortBound}
		taken := slices.ContainsFunc(out, func(o result.ListenedPort) bool {
			return o.Port == p.Port && o.Transport == p.Transport && o.Family == p.Family
		})
		if !taken { // somebody else answers it in spite of the binding
			out = append(out, p)
		}
	}
	return out
}
