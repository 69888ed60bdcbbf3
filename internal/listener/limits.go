package listener

import (
	"net/netip"
	"sync"
)

const (
	// maxConns bounds connections in all, maxConnsPerAddr those of one address
	// (of one /64 with IPv6). More are closed at once.
	maxConns        = 4096
	maxConnsPerAddr = 2048
)

// limits counts connections.
type limits struct {
	mu      sync.Mutex
	all     int
	perAddr map[netip.Addr]int
}

func newLimits() *limits { return &limits{perAddr: map[netip.Addr]int{}} }

// take takes a place for a connection from a; ok is false if there is none.
func (l *limits) take(a netip.Addr) (release func(), ok bool) {
	a = networkOf(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= maxConns || l.perAddr[a] >= maxConnsPerAddr {
		return nil, false
	}
	l.all++
	l.perAddr[a]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all--
		if l.perAddr[a]--; l.perAddr[a] == 0 {
			delete(l.perAddr, a)
		}
	}, true
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
