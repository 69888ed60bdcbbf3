package listener

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/sock"
)

// sheds remembers which connections were ended to keep within the limits: no
// device on the way did that, and whoever has the key is told so. Its zero value
// is ready for use.
type sheds struct {
	mu      sync.Mutex
	began   time.Time // the first
	seconds [shedWindow]struct {
		at int64 // since began, whatever the clock is set to
		n  int
	}
	networks moments   // in which connections were ended, by network
	declined moments   // in which datagrams were left unanswered, by address alone
	told     time.Time // when it was last said on the screen
}

const (
	// shedWindow is over how many seconds it is counted.
	shedWindow = 60
	// maxShedNetworks bounds the networks of which the moments are remembered.
	maxShedNetworks = 4096
)

// add counts one, and remembers its moment for those of its network.
func (s *sheds) add(from netip.Addr, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.second(now)
	if c := &s.seconds[at%shedWindow]; c.at == at {
		c.n++
	} else {
		c.at, c.n = at, 1
	}
	s.networks.add(networkOf(from), now)
}

// decline remembers that a datagram of an address was left unanswered.
func (s *sheds) decline(from netip.Addr, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.declined.add(netip.PrefixFrom(from, from.BitLen()), now)
}

// moments are spans of time by network, each bounded. Its zero value is ready for use.
type moments struct {
	spans map[netip.Prefix][]trouble
	// forgotten spans what was forgotten to make room: whoever asks may have been
	// among them.
	forgotten trouble
}

// add adds a moment. Those that are close to each other are one span.
func (m *moments) add(a netip.Prefix, now time.Time) {
	spans := m.spans[a]
	if n := len(spans); n > 0 && !spans[n-1].to.Add(time.Second).Before(now) {
		spans[n-1].to = now
		return
	}
	if spans == nil && len(m.spans) >= maxShedNetworks {
		m.forget()
	}
	if m.spans == nil {
		m.spans = map[netip.Prefix][]trouble{}
	}
	if len(spans) >= echo.MaxPaused {
		spans = slices.Delete(spans, 0, echo.MaxPaused/2)
	}
	m.spans[a] = append(spans, trouble{from: now, to: now})
}

// forget makes room, and keeps of it from when to when it was.
func (m *moments) forget() {
	for _, spans := range m.spans {
		for _, t := range spans {
			if m.forgotten.from.IsZero() || t.from.Before(m.forgotten.from) {
				m.forgotten.from = t.from
			}
			if t.to.After(m.forgotten.to) {
				m.forgotten.to = t.to
			}
		}
	}
	m.spans = nil
}

// second is in which second since the first one a moment is.
func (s *sheds) second(now time.Time) int64 {
	if s.began.IsZero() {
		s.began = now
	}
	return int64(max(0, now.Sub(s.began)) / time.Second)
}

// lately counts those of the last minute.
func (s *sheds) lately(now time.Time) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.seconds {
		if s.second(now)-c.at < shedWindow {
			n += c.n
		}
	}
	return n
}

// of are the spans in which connections from an address's network were ended,
// or its datagrams left unanswered, as the other end is told of them; the zero
// address: from any.
func (s *sheds) of(a netip.Addr, now time.Time) (out []echo.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tell := func(m moments, of netip.Prefix, as echo.Span) {
		var all []trouble
		for a, spans := range m.spans {
			if !of.IsValid() || of == a {
				all = append(all, spans...)
			}
		}
		if !m.forgotten.to.IsZero() {
			all = append(all, m.forgotten)
		}
		for _, t := range all {
			as.BeganMS, as.EndedMS = now.Sub(t.from).Milliseconds(), now.Sub(t.to).Milliseconds()
			out = append(out, as)
		}
	}
	var network, address netip.Prefix // of anybody's
	if a.IsValid() {
		network, address = networkOf(a), netip.PrefixFrom(a, a.BitLen())
	}
	tell(s.networks, network, echo.Span{Shed: true})
	tell(s.declined, address, echo.Span{Declined: true})
	return out
}

// shallTell says whether to say it on the screen, once a minute.
func (s *sheds) shallTell(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.told.IsZero() && now.Sub(s.told) < time.Minute {
		return false
	}
	s.told = now
	return true
}

// whyShed is what the other end is told of a connection that was shed.
const whyShed = "the listener had as many connections as it may have, and ended this one for a newer one: it had not proved itself, or was beyond the share of those that had"

// shed records that a connection was ended, or not taken, to keep within the
// limits. The memory of arrivals tells it of that connection alone: what the others did was
// seen all the same.
func (l *Listener) shed(e *entry) {
	l.arrivals.end(e, echo.KindShed, 0, nil)
}

// countShed counts a connection that was ended, or not taken, and says it. beyond: it
// proved itself, beyond its share.
func (l *Listener) countShed(from netip.Addr, beyond bool) {
	now := sock.Now()
	l.sheds.add(from, now)
	if !l.sheds.shallTell(now) {
		return
	}
	most, all, widest, count := l.limits.crowded()
	what := fmt.Sprintf("It has %d connections, and may have %d", all, most)
	if n := sock.MaxDescriptors(); most < maxConns {
		what += fmt.Sprintf(" (of %d file descriptors, ulimit -n, %d are kept for dialing back and for itself): start it with a higher limit if that is too few", n, reserveOf(n))
	} else {
		what += ", its own limit"
	}
	what += ". For each new one it closes the oldest that has proved nothing, of the network that holds the most first; whoever has the key gets through."
	if beyond {
		what += fmt.Sprintf(" One of %s had proved itself, beyond the share that those of one run (a quarter), one network (three) or all (seven eighths) have of them.", networkText(networkOf(from)))
	}
	if count > 0 {
		what += fmt.Sprintf(" The most, %d, come from %s.", count, networkText(widest))
	}
	if n := l.sheds.lately(now); n > 1 {
		what += fmt.Sprintf(" It closed %d in the last minute.", n)
	}
	l.tell(what)
}

// crowded says how many connections there may be and are, and which network
// holds the most of those that have proved nothing.
func (l *limits) crowded() (most, all int, widest netip.Prefix, count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := &l.crowds[tierStrange]; len(c.order) > 0 && c.excess(c.order[0]) > 0 {
		widest, count = c.order[0].prefix, c.order[0].places.Len()
	}
	return l.most, l.all, widest, count
}
