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
	slept time.Duration // in all
	here  []netip.Addr  // of this machine, that connections came to
}

type trouble struct {
	from, to time.Time
	why      string // for the middle of a sentence
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
	t.spans = append(t.spans, trouble{from, to, why})
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
