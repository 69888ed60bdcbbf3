package listener

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
)

// A Contact is what one peer did on one port, for the log and the summary.
type Contact struct {
	At         time.Time
	Kind       echo.Kind
	Peer       echo.Peer
	First      []byte           // first bytes, if they were no STUN
	Submission *echo.Submission // if Kind is KindSubmitted
	Detail     string
}

// contact passes a contact on, before it is answered.
func (l *Listener) contact(c Contact) {
	if c.Peer.Run == l.Instance && l.isSelf(c.Peer.Remote.Addr()) {
		return // our own proof of our own port
	}
	c.At = time.Now().UTC()
	if l.OnContact != nil {
		l.OnContact(c)
	}
}

// An entry is one accepted connection, or one datagram.
type entry struct {
	Transport     plan.Transport
	Remote, Local netip.AddrPort
	At            time.Time
	Kind          echo.Kind // "" while the connection lasts
	Run, Probe    echo.ID   // zero until proved
	Foreign       int       // bytes that were no STUN
}

// maxEntries bounds the ledger; the oldest half goes first.
const maxEntries = 32768

// ledger remembers what reached the ports, so that a witness can tell.
type ledger struct {
	mu      sync.Mutex
	entries []*entry
	since   time.Time // nothing before it is remembered
}

func newLedger() *ledger { return &ledger{since: time.Now()} }

func (l *ledger) accepted(remote, local netip.AddrPort) *entry {
	e := &entry{Transport: plan.TCP, Remote: remote, Local: local, At: time.Now()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) >= maxEntries {
		l.since = l.entries[maxEntries/2].At
		l.entries = slices.Delete(l.entries, 0, maxEntries/2)
	}
	l.entries = append(l.entries, e)
	return e
}

// proved ties a probe to the newest entry of its addresses.
func (l *ledger) proved(p echo.Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range slices.Backward(l.entries) {
		if e.Remote == p.Remote && e.Local == p.Local && e.Transport == p.Transport {
			e.Run, e.Probe = p.Run, p.Probe
			return
		}
	}
}

func (l *ledger) end(e *entry, k echo.Kind, foreign int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Kind, e.Foreign = k, foreign
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

// byProbe returns the first entry that carried the probe. Only keyed messages
// set it.
func (l *ledger) byProbe(probe echo.ID, t plan.Transport) (entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.Probe == probe && e.Transport == t {
			return *e, true
		}
	}
	return entry{}, false
}

// runsFrom reports whether a run other than own proved itself from addr in the
// window.
func (l *ledger) runsFrom(addr netip.Addr, own echo.ID, from, to time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.entries, func(e *entry) bool {
		return e.Remote.Addr() == addr && e.Run != own && e.Run != (echo.ID{}) && !e.At.Before(from) && !e.At.After(to)
	})
}

// has reports whether a connection between the two addresses was accepted.
func (l *ledger) has(remote, local netip.AddrPort) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.entries, func(e *entry) bool { return e.Remote == remote && e.Local == local })
}

// start is when its memory begins.
func (l *ledger) start() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since
}
