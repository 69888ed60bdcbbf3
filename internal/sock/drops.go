package sock

import (
	"context"
	"net"
	"slices"
	"time"
)

// An Arrival is a SYN at one of this machine's interfaces.
type Arrival struct {
	At        time.Time
	Interface int // its index
}

// maxArrivals bounds the SYNs kept of one attempt: with their pauses doubled
// (RFC 6298 section 5) they last for minutes.
const maxArrivals = 8

// A rise says that a counter of the kernel grew between two looks.
type rise struct {
	counter  counter
	from, to time.Time
	by       uint64
}

// counter names one of the kernel's that says what became of packets.
type counter string

const (
	byReversePath counter = "reverse path"
	byConntrack   counter = "conntrack" // at a time when its table was full
	byQueue       counter = "accept queue"
)

const maxRises = 1024

// rose records that a counter grew between two looks.
func (w *Watch) rose(c counter, from, to time.Time, by uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rises) >= maxRises {
		w.rises = slices.Delete(w.rises, 0, maxRises/2)
	}
	w.rises = append(w.rises, rise{c, from, to, by})
}

// recorded is how much later than the kernel dealt with a packet it may be
// recorded here.
const recorded = 300 * time.Millisecond

// roseWithEach reports whether a counter grew with each of an attempt's SYNs.
// It counts for the whole machine: what grows now and then tells nothing, what
// grows each time does.
func (w *Watch) roseWithEach(c counter, arrivals []Arrival) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := map[int]uint64{}
	for i, r := range w.rises {
		if r.counter == c {
			left[i] = r.by
		}
	}
	for _, a := range arrivals {
		found := -1
		for i, r := range w.rises {
			if left[i] > 0 && !a.At.Before(r.from) && !a.At.After(r.to.Add(recorded)) {
				found = i
				break
			}
		}
		if found < 0 {
			return false
		}
		left[found]--
	}
	return len(arrivals) > 0
}

// QueueOverflowed reports whether connections came in a span of time that found
// the queue of a program's listening socket full: of which program, the system
// does not tell.
func (w *Watch) QueueOverflowed(from, to time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.rises, func(r rise) bool { return r.counter == byQueue && r.from.Before(to) && r.to.After(from) })
}

// KeepQueues tells until ctx ends of each span in which connections came to one of these
// sockets, by its place, and were turned away by this machine, since its program had not
// taken yet as many as may wait there. Short pauses of a busy program do that.
func KeepQueues(ctx context.Context, of []net.Listener, full func(n int, from, to time.Time)) {
	turned, _ := overflows()
	dropped := make([]uint32, len(of))
	for n, l := range of {
		dropped[n] = droppedBy(l)
	}
	for last := Now(); Wait(ctx, pulseEvery); {
		var rose []int
		for n, l := range of {
			if d := droppedBy(l); d != dropped[n] {
				dropped[n], rose = d, append(rose, n)
			}
		}
		now := Now()
		// A socket's own counter has also what was malformed, which anybody can send.
		if len(rose) > 0 {
			if all, ok := overflows(); ok && all != turned {
				turned = all
				for _, n := range rose {
					full(n, last, now)
				}
			}
		}
		last = now
	}
}

// NotSeeing records that seeing nothing in a span proves nothing, for a cause
// outside of the watch.
func (w *Watch) NotSeeing(from, to time.Time, why string) { w.notSeeing(from, to, why) }

// arrived records the SYN of an attempt at an interface. An interface that is
// part of another shows it at both: the last is the one that the kernel's own
// routing goes by.
func (w *Watch) arrived(k tuple, at Arrival) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h := w.seen[k]; h != nil && len(h.Arrivals) < maxArrivals {
		h.Arrivals = append(h.Arrivals, at)
	}
}

// lastInterface picks the arrivals at the interface that showed an attempt
// last, and reports all interfaces that showed it.
func lastInterface(all []Arrival) (at []Arrival, interfaces []int) {
	if len(all) == 0 {
		return nil, nil
	}
	last := all[len(all)-1].Interface
	for _, a := range all {
		if a.Interface == last {
			at = append(at, a)
		}
		if !slices.Contains(interfaces, a.Interface) {
			interfaces = append(interfaces, a.Interface)
		}
	}
	return at, interfaces
}
