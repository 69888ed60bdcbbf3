package listener

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"dialtone/internal/echo"
)

// turns shares out a few places among the runs of those who have the key: none may
// take them all, nor may all runs of one network. Whoever finds none waits a little.
type turns struct {
	most, mostOfRun, mostFrom int

	mu    sync.Mutex
	taken int
	of    map[echo.ID]int
	from  map[netip.Addr]int // by networkOf
	freed chan struct{}      // closed when a place is given back
}

// turnPatience is how long a place is waited for. The asking end waits for what
// comes of it much longer.
const turnPatience = 5 * time.Second

func newTurns(most, mostOfRun int) *turns {
	return &turns{most: most, mostOfRun: mostOfRun, mostFrom: most - most/4, of: map[echo.ID]int{}, from: map[netip.Addr]int{}, freed: make(chan struct{})}
}

// take takes a place for a run, until release. The reason is that none came free,
// for the middle of a sentence; "": it has one.
func (t *turns) take(ctx context.Context, p echo.Peer) (release func(), why string) {
	run, from := p.Run, networkOf(p.Remote.Addr())
	late := time.NewTimer(turnPatience)
	defer late.Stop()
	for {
		t.mu.Lock()
		freed := t.freed
		switch {
		case t.of[run] >= t.mostOfRun:
			why = "the listener does as much for this run already as it does for one"
		case t.taken >= t.most || t.from[from] >= t.mostFrom:
			why = "the listener is dialing back for too many others; try again"
		default:
			t.taken++
			t.of[run]++
			t.from[from]++
			t.mu.Unlock()
			return sync.OnceFunc(func() { t.giveBack(run, from) }), ""
		}
		t.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, why
		case <-late.C:
			return nil, why
		}
	}
}

func (t *turns) giveBack(run echo.ID, from netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken--
	if t.of[run]--; t.of[run] == 0 {
		delete(t.of, run)
	}
	if t.from[from]--; t.from[from] == 0 {
		delete(t.from, from)
	}
	close(t.freed)
	t.freed = make(chan struct{})
}
