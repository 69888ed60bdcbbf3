package listener

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/sock"
)

// troubles are spans of time in which this program could not do its part: it
// was stopped, its machine asleep, or it had no file descriptor left. What it
// did not see or answer then proves nothing, and no device on the way is to
// blame.
type troubles struct {
	mu    sync.Mutex
	spans []trouble
	full  []trouble     // in which connections to some ports were turned away, and no more than that
	slept time.Duration // in all
	here  []netip.Addr  // of this machine, that connections came to
}

type trouble struct {
	from, to time.Time
	why      string // for the middle of a sentence
	ports    []int  // those that the queue was full of
}

const (
	maxTroubles = 256
	maxHere     = 16 // addresses that are looked after
)

// add records a span; one that goes on with the last of the same kind makes it
// longer.
func (t *troubles) add(from, to time.Time, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.spans); n > 0 && t.spans[n-1].why == why && !t.spans[n-1].to.Add(time.Second).Before(from) {
		if last := &t.spans[n-1]; from.Before(last.from) {
			last.from = from
		}
		t.spans[n-1].to = to
		return
	}
	if len(t.spans) >= maxTroubles {
		t.spans = slices.Delete(t.spans, 0, maxTroubles/2)
	}
	t.spans = append(t.spans, trouble{from: from, to: to, why: why})
}

// longestFull is how long one span may be in which queues were full: it is told of all
// ports together that had it in that time.
const longestFull = 5 * time.Second

// turnedAway keeps that connections to a port found its queue full. Spans close to each
// other are one: they come in hundreds.
func (t *troubles) turnedAway(port int, from, to time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.full); n > 0 && !t.full[n-1].to.Add(time.Second).Before(from) && to.Sub(t.full[n-1].from) <= longestFull {
		last := &t.full[n-1]
		if last.to = to; !slices.Contains(last.ports, port) {
			last.ports = append(last.ports, port)
		}
		return
	}
	if len(t.full) >= echo.MaxPaused/2 { // the other half is for what concerns all
		t.full = slices.Delete(t.full, 0, 1)
	}
	t.full = append(t.full, trouble{from: from, to: to, ports: []int{port}})
}

// came keeps that a connection came to an address of this machine.
func (t *troubles) came(to netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.here) < maxHere && !to.IsLoopback() && !slices.Contains(t.here, to) {
		t.here = append(t.here, to)
	}
}

func (t *troubles) addrs() []netip.Addr {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.here)
}

// during says what was wrong at some time between the two, "" if nothing was.
func (t *troubles) during(from, to time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.spans {
		if !s.from.After(to) && !s.to.Before(from) {
			return s.why
		}
	}
	return ""
}

// told are the newest spans, as the other end is told of them.
func (t *troubles) told(now time.Time) []echo.Span {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := []echo.Span{}
	for _, s := range t.spans[max(0, len(t.spans)-echo.MaxPaused):] {
		out = append(out, echo.Span{BeganMS: now.Sub(s.from).Milliseconds(), EndedMS: now.Sub(s.to).Milliseconds()})
	}
	for _, s := range t.full {
		out = append(out, echo.Span{BeganMS: now.Sub(s.from).Milliseconds(), EndedMS: now.Sub(s.to).Milliseconds(), Full: slices.Clone(s.ports)})
	}
	return out
}

func (t *troubles) sleptFor() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.slept
}

// keepPulse notices until ctx ends when this program did not run for a while.
func (l *Listener) keepPulse(ctx context.Context) {
	sock.KeepPulse(ctx, sock.PulseLost, func(since time.Time, gap time.Duration) {
		why := fmt.Sprintf("the listener was stopped, or its machine asleep or overloaded, for %v at that time", gap.Round(100*time.Millisecond))
		now := sock.Now()
		l.troubles.mu.Lock()
		l.troubles.slept += gap
		l.troubles.mu.Unlock()
		l.troubles.add(since, now, why)
		l.watch.NotSeeing(since, now, why)
		l.tell(fmt.Sprintf("It was stopped, or this machine asleep or overloaded, for %v until now: whoever tested meanwhile was told nothing.", gap.Round(100*time.Millisecond)))
	})
}

// keepQueues notices until ctx ends when more connections came to these ports than could
// wait for this program. No pause that it notices has to be why: a queue may be short, or
// strangers many.
func (l *Listener) keepQueues(ctx context.Context, ports []*boundPort) {
	var of []net.Listener
	var at []int
	for _, p := range ports {
		if p.tcp != nil {
			of, at = append(of, p.tcp), append(at, int(p.addr.Port()))
		}
	}
	var told time.Time
	sock.KeepQueues(ctx, of, func(n int, from, to time.Time) {
		l.troubles.turnedAway(at[n], from, to)
		if told.IsZero() || to.Sub(told) >= time.Minute {
			told = to
			l.tell(fmt.Sprintf("More connections came to port %d at once than may wait there (net.core.somaxconn, when it was started), so that this machine turned some away: it is overloaded, or strangers are many.", at[n]))
		}
	})
}

// whyLate is said of a span in which what had arrived was left unread.
const whyLate = "the listener was overloaded, or its machine, and read only seconds later what had arrived at that time"

// noteLate notices that what came last on a connection, which was read just now, had
// arrived long before: the kernel had it, and this program had no time for it. Unlike a
// pulse that is lost, that may concern some connections of many.
func (l *Listener) noteLate(conn net.Conn) {
	if late := sock.SinceData(conn); late >= sock.PulseLost {
		now := sock.Now()
		l.troubles.add(now.Add(-late), now, whyLate)
	}
}

// keepLinks notices until ctx ends when an address that connections came to could
// not be used: nothing arrives there then, and no device on the way is why.
func (l *Listener) keepLinks(ctx context.Context) {
	since, until := map[netip.Addr]time.Time{}, map[netip.Addr]time.Time{}
	sock.KeepLinks(ctx, l.troubles.addrs, func(addr netip.Addr, from, to time.Time) {
		why := fmt.Sprintf("the address %s of the listener's machine could not be used at that time: its interface was down or without a carrier, or it was taken away", addr)
		if !since[addr].Equal(from) {
			since[addr], until[addr] = from, from
			l.tell(fmt.Sprintf("This machine's address %s cannot be used: its interface is down or without a carrier, or the address was taken away. Whoever tests meanwhile is told nothing.", addr))
		}
		l.troubles.add(until[addr], to, why)
		l.watch.NotSeeing(until[addr], to, why)
		until[addr] = to
	})
}

// tell tells whoever runs the program of a trouble.
func (l *Listener) tell(what string) {
	if l.OnTrouble != nil {
		l.OnTrouble(what)
	}
}

// Paused are the newest spans in which this listener could not do its part, those
// among them in which it ended connections from the network of an address to
// keep within its limits; the zero address: from any.
func (l *Listener) Paused(from netip.Addr) []echo.Span {
	now := sock.Now()
	all := append(l.troubles.told(now), l.sheds.of(from, now)...)
	slices.SortFunc(all, func(a, b echo.Span) int { return cmp.Compare(b.BeganMS, a.BeganMS) })
	return all[max(0, len(all)-echo.MaxPaused):]
}

// outOfDescriptors records that a connection could not be taken, since no file
// descriptor is free and none can be made free.
func (l *Listener) outOfDescriptors() {
	const why = "the listener had no file descriptor left for another connection at that time"
	now := sock.Now()
	l.troubles.add(now.Add(-acceptAgain), now, why)
	l.watch.NotSeeing(now.Add(-acceptAgain), now, why)
	l.mu.Lock()
	told := !l.toldDescriptors.IsZero() && now.Sub(l.toldDescriptors) < time.Minute
	if !told {
		l.toldDescriptors = now
	}
	l.mu.Unlock()
	if !told {
		l.tell(fmt.Sprintf("It has no file descriptor left for more connections (of %d, ulimit -n), and none that it could close for them: new ones wait. See who holds so many connections to it, or start it with a higher limit.", sock.MaxDescriptors()))
	}
}
