package listener

import (
	"net/netip"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
)

// lendAtMost bounds how long a Door that was closed goes on accepting for others.
const lendAtMost = 30 * time.Second

// tenants are the connections over which siblings use this listener's ports: who
// leans on it keeps one open for as long. Its zero value is ready for use.
type tenants struct {
	mu   sync.Mutex
	from map[netip.AddrPort]struct{}
	none chan struct{} // closed once there are none; nil while there are none
}

func (t *tenants) came(from netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.from) == 0 {
		t.from, t.none = map[netip.AddrPort]struct{}{}, make(chan struct{})
	}
	t.from[from] = struct{}{}
}

func (t *tenants) left(from netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.from[from]; !ok {
		return
	}
	if delete(t.from, from); len(t.from) == 0 {
		close(t.none)
		t.none = nil
	}
}

// gone is closed once there are none; it is nil if there are none now.
func (t *tenants) gone() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.none
}

// isTenant reports whether who proved the key is a sibling that asks or leans.
func (l *Listener) isTenant(p echo.Peer) bool {
	return p.Flow == siblingFlow && p.Transport == plan.TCP && l.isSelf(p.Remote.Addr())
}

// lean keeps a connection to a sibling until this Door's own run is over, so that it
// goes on accepting in its place after its own.
func (d *Door) lean(l *echo.Link) {
	d.leaning.Go(func() {
		defer l.Close()
		_ = l.HoldAsker(d.needed, echo.MaxHold) // one that ends shows by its port (see Vacated)
	})
}

// IsLent reports whether siblings use its ports.
func (d *Door) IsLent() bool {
	return of(d, func(l *Listener) bool { return l.tenants.gone() != nil })
}

// lend goes on accepting while siblings need it, for lendAtMost and until who opened
// it wants no more.
func (d *Door) lend() {
	gone := d.l.tenants.gone()
	if gone == nil {
		return
	}
	late := time.NewTimer(lendAtMost)
	defer late.Stop()
	select {
	case <-gone:
	case <-late.C:
	case <-d.over:
	}
}
