package sock

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/result"
)

// A HalfOpen is a connection attempt whose packets reached this machine,
// whether or not anybody accepted it.
type HalfOpen struct {
	Source, Local netip.AddrPort // as this machine sees them
	First, Last   time.Time      // when it was seen
	// Answered: the TCP stack got the SYN and answered it. False: the SYN was
	// seen at an interface only, and what became of it is not known.
	Answered bool
	Reset    bool // a RST for it arrived
	// Arrivals are its SYNs, as far as they were captured.
	Arrivals []Arrival
}

// A Watch keeps what the kernel shows of half-open connections, so that it can
// be said afterwards what a window of time held. It is bounded: the oldest
// entries go first.
type Watch struct {
	looking sync.Mutex // one look at a time
	looks   looks      // what the last look left for the next; guarded by looking
	capture *capture   // nil: none is open

	mu      sync.Mutex
	started time.Time
	state   result.WitnessState
	ports   func(port int) bool
	seen    map[tuple]*HalfOpen
	blind   []blindness
	rises   []rise
}

type tuple struct{ source, local netip.AddrPort }

// blindness is a moment from which, or a span in which, seeing nothing would
// prove nothing.
type blindness struct {
	from, to time.Time
	why      string
}

const (
	maxHalfOpen  = 16384
	maxBlindness = 1024
	pollEvery    = 100 * time.Millisecond
	// withCapture is how often to poll when packets are captured: the tables
	// then only confirm.
	withCapture = time.Second
)

// NewWatch returns a Watch over local ports that has seen nothing yet. Run
// makes it watch.
func NewWatch(ports func(port int) bool) *Watch {
	return &Watch{ports: ports, seen: map[tuple]*HalfOpen{}, state: result.WitnessNone}
}

// Run watches until ctx ends. ready is closed once it sees, or cannot.
func (w *Watch) Run(ctx context.Context, ready chan<- struct{}) {
	var once sync.Once
	w.run(ctx, func(s result.WitnessState) {
		w.mu.Lock()
		w.state, w.started = s, time.Now()
		w.mu.Unlock()
		once.Do(func() { close(ready) })
	})
	once.Do(func() { close(ready) })
}

// State says how well it sees.
func (w *Watch) State() result.WitnessState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// Look looks now, so that all that happened before the call is known after it. Any
// number of callers at once costs two looks at most.
func (w *Watch) Look() {
	if w.State() != result.WitnessNone {
		w.look(time.Now())
	}
}

// Between returns the attempts of a window on a local port, newest first.
// Those seen before it are not among them.
func (w *Watch) Between(port int, from, to time.Time) []HalfOpen {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []HalfOpen
	for _, h := range w.seen {
		if int(h.Local.Port()) == port && !h.First.Before(from) && !h.First.After(to) {
			copied := *h
			copied.Arrivals = slices.Clone(h.Arrivals)
			out = append(out, copied)
		}
	}
	slices.SortFunc(out, func(a, b HalfOpen) int { return b.First.Compare(a.First) })
	return out
}

// Lingering returns the attempts on a local port that began before a time and
// were still to be seen at it. A new attempt with the same addresses cannot be
// told from them.
func (w *Watch) Lingering(port int, at time.Time) []HalfOpen {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []HalfOpen
	for _, h := range w.seen {
		if int(h.Local.Port()) == port && h.First.Before(at) && !h.Last.Before(at) {
			out = append(out, *h)
		}
	}
	return out
}

// Blind says why seeing nothing between the two times would prove nothing; it
// returns "" if it would.
func (w *Watch) Blind(from, to time.Time) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.state == result.WitnessNone:
		return "this system does not show half-open connections to this program"
	case w.started.After(from):
		return "it was not watching yet"
	}
	for _, b := range w.blind {
		if b.from.Before(to) && b.to.After(from) {
			return b.why
		}
	}
	return ""
}

// saw records one sighting.
func (w *Watch) saw(source, local netip.AddrPort, now time.Time, answered, reset bool) {
	if !w.ports(int(local.Port())) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	k := tuple{source, local}
	h := w.seen[k]
	if h == nil || now.Sub(h.Last) > 2*time.Minute { // a reused source port is another attempt
		if len(w.seen) >= maxHalfOpen {
			w.forget()
		}
		h = &HalfOpen{Source: source, Local: local, First: now}
		w.seen[k] = h
	}
	h.Last = now
	h.Answered = h.Answered || answered
	h.Reset = h.Reset || reset
}

// forget drops the older half.
func (w *Watch) forget() {
	all := make([]tuple, 0, len(w.seen))
	for k := range w.seen {
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b tuple) int { return w.seen[a].Last.Compare(w.seen[b].Last) })
	for _, k := range all[:len(all)/2] {
		delete(w.seen, k)
	}
	// What is forgotten must not be called unseen.
	w.started = time.Now()
}

// notSeeing records that a span proves nothing.
func (w *Watch) notSeeing(from, to time.Time, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.blind); n > 0 && w.blind[n-1].why == why && !w.blind[n-1].to.Before(from) {
		w.blind[n-1].to = to
		return
	}
	if len(w.blind) >= maxBlindness {
		// What is forgotten must not be called watched.
		if last := w.blind[maxBlindness/2-1].to; last.After(w.started) {
			w.started = last
		}
		w.blind = slices.Delete(w.blind, 0, maxBlindness/2)
	}
	w.blind = append(w.blind, blindness{from, to, why})
}

// pace returns how long to wait after a look that took that long: watching
// takes a tenth of one processor at most.
func pace(every, took time.Duration) time.Duration { return max(every, 9*took) }

// keepLooking looks until ctx ends, as often as every if that is cheap.
func (w *Watch) keepLooking(ctx context.Context, every time.Duration) {
	for {
		began := time.Now()
		w.look(began)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pace(every, time.Since(began))):
		}
	}
}
