package sock

import (
	"context"
	"net/netip"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
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
// be said afterwards what a window of time held. It is found by port and time,
// and by source. It is bounded: when it is full, the older half goes of what is
// on the ports that have the most, and there of the network that has the most
// of it if that is more than half. Of a port whose memory has a hole it is
// blind, of the others it is not.
type Watch struct {
	looking sync.Mutex   // one look at a time
	looks   looks        // what the last look left for the next; guarded by looking
	capture *capture     // nil: none is open
	knocked atomic.Bool  // a SYN for one of our addresses and ports was captured since the last look
	addrs   []netip.Addr // ours; none: all of this machine

	mu      sync.Mutex
	started time.Time
	kept    int // sightings
	state   result.WitnessState
	ports   func(port int) bool
	seen    map[tuple]*sighting
	shelves map[uint16]*shelf    // by local port
	sources map[source]*sighting // the newest of each
	blind   []blindness
	rises   []rise
}

type tuple struct{ source, local netip.AddrPort }

// source is where attempts came from, and the local port that they came to.
type source struct {
	remote netip.AddrPort
	port   uint16
}

// A sighting is one attempt in memory.
type sighting struct {
	HalfOpen
	isLong bool
	before *sighting // from the same source to the same port; nil: none
	gone   bool      // forgotten
}

// A shelf is what was seen of one port, by First.
type shelf struct {
	sightings []*sighting
	long      []*sighting // of them, those that were seen for longer than lasts
	lost      time.Time   // nothing up to it is known to be all there was; zero: nothing was forgotten
}

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
// makes it watch. They are bound on addrs; none: on all of this machine.
func NewWatch(ports func(port int) bool, addrs ...netip.Addr) *Watch {
	return &Watch{ports: ports, addrs: addrs, seen: map[tuple]*sighting{}, shelves: map[uint16]*shelf{}, sources: map[source]*sighting{}, state: result.WitnessNone}
}

// Run watches until ctx ends. ready is closed once it sees, or cannot.
func (w *Watch) Run(ctx context.Context, ready chan<- struct{}) {
	var once sync.Once
	w.run(ctx, func(s result.WitnessState) {
		w.mu.Lock()
		w.state, w.started = s, Now()
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
		w.look(Now(), true)
	}
}

// Between returns the attempts of a window on a local port, newest first.
// Those seen before it are not among them. whole is false, and nothing is
// returned, if there are more than most.
func (w *Watch) Between(port int, from, to time.Time, most int) (out []HalfOpen, whole bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.shelves[uint16(port)]
	if s == nil {
		return nil, true
	}
	first := sort.Search(len(s.sightings), func(i int) bool { return !s.sightings[i].First.Before(from) })
	last := sort.Search(len(s.sightings), func(i int) bool { return s.sightings[i].First.After(to) })
	if last-first > most {
		return nil, false
	}
	out = make([]HalfOpen, 0, max(0, last-first))
	for i := last - 1; i >= first; i-- {
		out = append(out, s.sightings[i].copied())
	}
	return out, true
}

// From returns the attempts of a window from a source to a local port, newest
// first.
func (w *Watch) From(from netip.AddrPort, port int, since, until time.Time) (out []HalfOpen) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for h := w.sources[sourceOf(from, uint16(port))]; h != nil && !h.gone && !h.First.Before(since); h = h.before {
		if !h.First.After(until) {
			out = append(out, h.copied())
		}
	}
	return out
}

func (h *sighting) copied() HalfOpen {
	c := h.HalfOpen
	c.Arrivals = slices.Clone(h.Arrivals)
	return c
}

// Lingering returns the attempts on a local port that began before a time and
// were still to be seen at it. A new attempt with the same addresses cannot be
// told from them. whole is false, and nothing is returned, if there are more
// than most that would have to be looked at.
func (w *Watch) Lingering(port int, at time.Time, most int) (out []HalfOpen, whole bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.shelves[uint16(port)]
	if s == nil {
		return nil, true
	}
	last := sort.Search(len(s.sightings), func(i int) bool { return !s.sightings[i].First.Before(at) })
	first := sort.Search(last, func(i int) bool { return s.sightings[i].First.After(at.Add(-lasts)) })
	if last-first+len(s.long) > most {
		return nil, false
	}
	for _, h := range s.sightings[first:last] {
		if !h.Last.Before(at) {
			out = append(out, h.HalfOpen)
		}
	}
	for _, h := range s.long { // whoever tries for so long is tried by its program again and again
		if !h.First.After(at.Add(-lasts)) && !h.Last.Before(at) {
			out = append(out, h.HalfOpen)
		}
	}
	return out, true
}

// lasts is for how long an attempt is usually seen at most: both ends give up
// within some two minutes (tcp_syn_retries, tcp_synack_retries). Those that are
// seen for longer are kept apart.
const lasts = 10 * time.Minute

// Blind says why seeing nothing between the two times on a local port would prove
// nothing; it returns "" if it would. Port 0: on any.
func (w *Watch) Blind(port int, from, to time.Time) string {
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
	for p, s := range w.shelves {
		if (port == 0 || port == int(p)) && !s.lost.Before(from) {
			return "more half-open connections came to that port than are remembered"
		}
	}
	return ""
}

// saw records one sighting.
func (w *Watch) saw(from, local netip.AddrPort, now time.Time, answered, reset bool) {
	if !w.ports(int(local.Port())) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	k := tuple{from, local}
	h := w.seen[k]
	if h == nil || now.Sub(h.Last) > 2*time.Minute { // a reused source port is another attempt
		if w.kept >= maxHalfOpen {
			w.forget()
		}
		h = &sighting{HalfOpen: HalfOpen{Source: from, Local: local, First: now}}
		w.keep(k, h)
	}
	h.Last = now
	if s := w.shelves[k.local.Port()]; !h.isLong && h.Last.Sub(h.First) >= lasts {
		h.isLong = true
		s.long = append(s.long, h)
	}
	h.Answered = h.Answered || answered
	h.Reset = h.Reset || reset
}

// isOurs reports whether what comes to an address and port of this machine comes to
// one that is watched for.
func (w *Watch) isOurs(local netip.AddrPort) bool {
	return w.ports(int(local.Port())) && (len(w.addrs) == 0 || slices.Contains(w.addrs, local.Addr().Unmap().WithZone("")))
}

func sourceOf(remote netip.AddrPort, port uint16) source {
	return source{netip.AddrPortFrom(remote.Addr().Unmap().WithZone(""), remote.Port()), port}
}

// keep puts a new sighting where it is looked for.
func (w *Watch) keep(k tuple, h *sighting) {
	w.kept++
	w.seen[k] = h
	of := sourceOf(k.source, k.local.Port())
	if h.before = w.sources[of]; h.before != nil && h.before.gone {
		h.before = nil
	}
	w.sources[of] = h
	s := w.shelves[k.local.Port()]
	if s == nil {
		s = &shelf{}
		w.shelves[k.local.Port()] = s
	}
	// A look that took its time may be dated back a little.
	at := len(s.sightings)
	for at > 0 && s.sightings[at-1].First.After(h.First) {
		at--
	}
	s.sightings = slices.Insert(s.sightings, at, h)
}

// forget drops the older half of what the fullest ports have.
func (w *Watch) forget() {
	fullest := 0
	for _, s := range w.shelves {
		fullest = max(fullest, len(s.sightings))
	}
	for _, s := range w.shelves {
		if len(s.sightings) <= fullest/8 {
			continue
		}
		crowd := crowdOf(s.sightings)
		for _, h := range crowd[:(len(crowd)+1)/2] {
			h.gone, h.before = true, nil
			w.kept--
			if h.First.After(s.lost) {
				s.lost = h.First
			}
			if k := (tuple{h.Source, h.Local}); w.seen[k] == h {
				delete(w.seen, k)
			}
			if of := sourceOf(h.Source, h.Local.Port()); w.sources[of] == h {
				delete(w.sources, of)
			}
		}
		isGone := func(h *sighting) bool { return h.gone }
		s.sightings, s.long = slices.DeleteFunc(s.sightings, isGone), slices.DeleteFunc(s.long, isGone)
	}
}

// crowdOf is what is to be dropped first: all of it, or what one network left if
// that is more than half.
func crowdOf(all []*sighting) []*sighting {
	network := func(h *sighting) netip.Prefix {
		bits := 32
		if h.Source.Addr().Is6() {
			bits = 64
		}
		p, _ := h.Source.Addr().Prefix(bits) // it has so many
		return p
	}
	count := map[netip.Prefix]int{}
	var most netip.Prefix
	for _, h := range all {
		n := network(h)
		if count[n]++; count[n] > count[most] {
			most = n
		}
	}
	if count[most] <= len(all)/2 {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(h *sighting) bool { return network(h) != most })
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
		began := Now()
		w.look(began, false)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pace(every, Since(began))):
		}
	}
}
