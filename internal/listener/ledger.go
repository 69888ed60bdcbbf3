package listener

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/service"
)

// A Contact is what one peer did on one port, for the log and the summary. Of
// who has not proved the key it holds no byte but the addresses.
type Contact struct {
	At         time.Time
	Kind       echo.Kind
	Peer       echo.Peer
	Visit      service.Visit    // the service that was reached, and what a stranger did there
	Submission *echo.Submission // if Kind is KindSubmitted
	Detail     string
}

// contact passes a contact on, before it is answered.
func (l *Listener) contact(c Contact) {
	if c.Peer.Run == l.Instance && l.isSelf(c.Peer.Remote.Addr()) {
		return // our own proof of our own port
	}
	c.At = time.Now().UTC()
	if c.Visit.Service == "" {
		c.Visit.Service = l.serviceAt(c.Peer.Transport, c.Peer.Local.Port())
	}
	if l.OnContact != nil {
		l.OnContact(c)
	}
}

// serviceAt names the service that belongs on a port, for people; "": none that
// is known.
func (l *Listener) serviceAt(t plan.Transport, port uint16) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.bound {
		if b.Transport == t && b.addr.Port() == port {
			return b.Speaks().Language().Title
		}
	}
	return ""
}

// An entry is one accepted connection, or one datagram.
type entry struct {
	Transport     plan.Transport
	Remote, Local netip.AddrPort
	At            time.Time
	Kind          echo.Kind   // "" while the connection lasts
	Run, Probe    echo.ID     // that a keyed Binding named; zero until one did
	Proved        bool        // a keyed message with its nonce came: no recording
	Foreign       int         // bytes that were no STUN
	TCP           *result.TCP // what the system knew of it at its end
	shown         func(tier)  // called when it shows more of itself; nil: nobody wants to know
}

// maxEntries bounds the ledger; the oldest half goes first.
const maxEntries = 32768

// ledger remembers what reached the ports, so that a witness can tell.
type ledger struct {
	mu      sync.Mutex
	entries []*entry
	since   time.Time          // nothing before it is remembered
	ends    map[ends]*entry    // the newest of two addresses
	probes  map[echo.ID]*entry // the first that carried a probe
}

// ends are the two addresses of a connection or datagram.
type ends struct {
	transport     plan.Transport
	remote, local netip.AddrPort
}

func newLedger() *ledger {
	return &ledger{since: time.Now(), ends: map[ends]*entry{}, probes: map[echo.ID]*entry{}}
}

func (l *ledger) accepted(t plan.Transport, remote, local netip.AddrPort) *entry {
	e := &entry{Transport: t, Remote: remote, Local: local, At: time.Now()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) >= maxEntries {
		l.forget()
	}
	l.entries = append(l.entries, e)
	l.ends[ends{t, remote, local}] = e
	return e
}

// forget drops the older half.
func (l *ledger) forget() {
	l.since = l.entries[maxEntries/2].At
	for _, e := range l.entries[:maxEntries/2] {
		if k := (ends{e.Transport, e.Remote, e.Local}); l.ends[k] == e {
			delete(l.ends, k)
		}
		if l.probes[e.Probe] == e {
			delete(l.probes, e.Probe)
		}
	}
	l.entries = slices.Delete(l.entries, 0, maxEntries/2)
}

// asked ties a probe to the newest entry of its addresses.
func (l *ledger) asked(p echo.Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.ends[ends{p.Transport, p.Remote, p.Local}]
	if e == nil {
		return
	}
	e.Run, e.Probe = p.Run, p.Probe
	if l.probes[p.Probe] == nil {
		l.probes[p.Probe] = e
	}
	if e.shown != nil {
		e.shown(tierAsked)
	}
}

// whenShown has shown called when an entry's connection shows more of itself.
func (l *ledger) whenShown(e *entry, shown func(tier)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.shown = shown
}

// proved records that the newest entry of its addresses is no recording.
func (l *ledger) proved(p echo.Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.ends[ends{p.Transport, p.Remote, p.Local}]; e != nil && e.Probe == p.Probe {
		e.Proved = true
		if e.shown != nil {
			e.shown(tierProved)
		}
	}
}

// conversed ties the probe of a service's own conversation to its connection.
func (l *ledger) conversed(e *entry, probe echo.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Probe = probe
	if l.probes[probe] == nil {
		l.probes[probe] = e
	}
	if e.shown != nil {
		e.shown(tierAsked)
	}
}

func (l *ledger) end(e *entry, k echo.Kind, foreign int, tcp *result.TCP) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Kind, e.Foreign, e.TCP, e.shown = k, foreign, tcp, nil
}

// between returns copies of the entries of a window on a local port.
func (l *ledger) between(t plan.Transport, port int, from, to time.Time) []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []entry
	for _, e := range l.entries {
		if e.Transport == t && int(e.Local.Port()) == port && !e.At.Before(from) && !e.At.After(to) {
			out = append(out, *e)
		}
	}
	return out
}

// byProbe returns the entry that carried the probe from that very source, or
// else the first that carried it: an attempt that is made again keeps its probe.
// Only keyed messages set it.
func (l *ledger) byProbe(probe echo.ID, t plan.Transport, source netip.AddrPort) (entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.Probe == probe && e.Transport == t && e.Remote == source {
			return *e, true
		}
	}
	if e := l.probes[probe]; e != nil && e.Transport == t {
		return *e, true
	}
	return entry{}, false
}

// provedFrom reports whether a run proved itself over TCP from addr. A datagram
// does not count, which anybody can send in another's name, and a Binding does
// not, which anybody can have recorded.
func (l *ledger) provedFrom(run echo.ID, addr netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.entries, func(e *entry) bool {
		return e.Transport == plan.TCP && e.Proved && e.Run == run && e.Remote.Addr() == addr && run != (echo.ID{})
	})
}

// runsFrom reports whether a run other than these proved itself from addr in
// the window.
func (l *ledger) runsFrom(addr netip.Addr, from, to time.Time, but ...echo.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.entries, func(e *entry) bool {
		return result.IsSameAddr(e.Remote.Addr(), addr) && e.Run != (echo.ID{}) && !slices.Contains(but, e.Run) && !e.At.Before(from) && !e.At.After(to)
	})
}

// otherRuns counts the runs other than these that proved themselves from addr
// since a time.
func (l *ledger) otherRuns(addr netip.Addr, since time.Time, but ...echo.ID) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	runs := map[echo.ID]bool{}
	for _, e := range l.entries {
		if result.IsSameAddr(e.Remote.Addr(), addr) && e.Run != (echo.ID{}) && !slices.Contains(but, e.Run) && e.At.After(since) {
			runs[e.Run] = true
		}
	}
	return len(runs)
}

// isAnothers reports whether an address is known to be another run's: that run
// proved itself from it, and this one only from other addresses of its family.
// With many partners at once, something always comes from another. own is the
// listener's proof of itself.
func (l *ledger) isAnothers(addr netip.Addr, run, own echo.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine, theirs := false, false
	for _, e := range l.entries {
		from := e.Remote.Addr()
		switch {
		case e.Transport != plan.TCP || e.Run == (echo.ID{}) || e.Run == own || from.Is4() != addr.Is4():
		case e.Run == run && from == addr:
			return false
		case e.Run == run:
			mine = true
		case from == addr:
			theirs = true
		}
	}
	return mine && theirs
}

// has reports whether a TCP connection between the two addresses was accepted.
func (l *ledger) has(remote, local netip.AddrPort) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ends[ends{plan.TCP, remote, local}] != nil
}

// start is when its memory begins.
func (l *ledger) start() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since
}
