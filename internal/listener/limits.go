package listener

import (
	"net/netip"
	"slices"
	"sync"

	"dialtone/internal/sock"
)

const (
	// maxConns bounds connections in all, maxConnsPerAddr those of one address
	// (of one /64 with IPv6). More are closed at once.
	maxConns        = 4096
	maxConnsPerAddr = 2048
	// reserve is how many file descriptors are kept from connections: for looking
	// at the kernel's tables, dialing back, and the ports themselves come on top.
	reserve = 16
	// fewestConns is allowed whatever the limit is.
	fewestConns = 8
)

// limits counts connections. Those that have proved nothing make room for new
// ones when there are as many as there may be: whoever has the key gets through.
type limits struct {
	mu      sync.Mutex
	most    int
	all     int
	perAddr map[netip.Addr]int
	idle    []*place // that have proved nothing, the oldest first
}

// A place is a connection's among those that there may be.
type place struct {
	l     *limits
	addr  netip.Addr
	evict func() // ends the connection
	gone  bool   // evicted, or released
}

func newLimits() *limits { return &limits{most: maxConns, perAddr: map[netip.Addr]int{}} }

// allow takes into account how many descriptors the process may have, of which
// used are taken for good.
func (l *limits) allow(used int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = max(fewestConns, min(maxConns, sock.MaxDescriptors()-used-reserve))
}

// take takes a place for a connection from a; ok is false if there is none.
// evict ends the connection to make room for another, as long as it has not
// been kept. crowded: one was ended for this.
func (l *limits) take(a netip.Addr, evict func()) (p *place, crowded, ok bool) {
	a = networkOf(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.perAddr[a] >= maxConnsPerAddr {
		return nil, false, false
	}
	if l.all >= l.most {
		if !l.evictOldest() {
			return nil, false, false
		}
		crowded = true
	}
	p = &place{l: l, addr: a, evict: evict}
	l.all++
	l.perAddr[a]++
	l.idle = append(l.idle, p)
	return p, crowded, true
}

// makeRoom ends the oldest connection that has proved nothing.
func (l *limits) makeRoom() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.evictOldest()
}

func (l *limits) evictOldest() bool {
	if len(l.idle) == 0 {
		return false
	}
	p := l.idle[0]
	l.idle = slices.Delete(l.idle, 0, 1)
	l.leave(p)
	go p.evict() // which may wait for the connection's own end
	return true
}

func (l *limits) leave(p *place) {
	if p.gone {
		return
	}
	p.gone = true
	l.all--
	if l.perAddr[p.addr]--; l.perAddr[p.addr] == 0 {
		delete(l.perAddr, p.addr)
	}
}

// keep keeps a connection from making room: it has proved something.
func (p *place) keep() {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	p.l.idle = slices.DeleteFunc(p.l.idle, func(q *place) bool { return q == p })
}

// isEvicted reports whether the connection was ended to make room.
func (p *place) isEvicted() bool {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	return p.gone
}

// release gives the place up.
func (p *place) release() {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	p.l.idle = slices.DeleteFunc(p.l.idle, func(q *place) bool { return q == p })
	p.l.leave(p)
}

// networkOf is what one stranger usually has: an address, with IPv6 a /64.
func networkOf(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
