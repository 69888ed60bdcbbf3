package echo

import (
	"sync"

	"github.com/pion/stun/v3"
)

// repeats remembers the transaction ids of keyed requests, the latest 65,536
// or more of them, so that a recorded request cannot be used again.
type repeats struct {
	mu       sync.Mutex
	now, old map[[stun.TransactionIDSize]byte]struct{}
}

func (r *repeats) repeated(id [stun.TransactionIDSize]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, a := r.now[id]
	_, b := r.old[id]
	if a || b {
		return true
	}
	if r.now == nil || len(r.now) >= 1<<16 {
		r.old, r.now = r.now, map[[stun.TransactionIDSize]byte]struct{}{}
	}
	r.now[id] = struct{}{}
	return false
}
