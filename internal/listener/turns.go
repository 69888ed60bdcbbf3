package listener

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"dialtone/internal/echo"
)

// turns shares out a few places among the runs of those who have the key: none may
// take them all, nor may all runs of one network.
type turns struct {
	doing                     string // what a place is for, behind "is", for people
	most, mostOfRun, mostFrom int

	mu    sync.Mutex
	taken int
	of    map[echo.ID]int
	from  map[netip.Prefix]int // by networkOf
	freed chan struct{}        // closed when a place is given back
}

// turnPatience is how long a place is waited for. The asking end waits for what
// comes of it much longer.
const turnPatience = 5 * time.Second

func newTurns(doing string, most, mostOfRun int) *turns {
	return &turns{doing: doing, most: most, mostOfRun: mostOfRun, mostFrom: most - most/4, of: map[echo.ID]int{}, from: map[netip.Prefix]int{}, freed: make(chan struct{})}
}

// take takes a place for a run, until release, and waits a little for one. why is
// which share is used up, for the middle of a sentence; "": it has one.
func (t *turns) take(ctx context.Context, p echo.Peer) (release func(), why string) {
	late := time.NewTimer(turnPatience)
	defer late.Stop()
	for {
		var freed chan struct{}
		if release, why, freed = t.try(p); why == "" {
			return release, ""
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, why
		case <-late.C:
			return nil, why
		}
	}
}

// try is take without waiting; freed is closed when it is worth another try.
func (t *turns) try(p echo.Peer) (release func(), why string, freed chan struct{}) {
	run, from := p.Run, networkOf(p.Remote.Addr())
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.of[run] >= t.mostOfRun:
		return nil, fmt.Sprintf("the listener is %s for this run already as often as it does for one run at a time (%d)", t.doing, t.mostOfRun), t.freed
	case t.taken >= t.most:
		return nil, fmt.Sprintf("the listener is %s as often as it does at a time (%d), for this run and others; try again", t.doing, t.most), t.freed
	case t.from[from] >= t.mostFrom:
		return nil, fmt.Sprintf("the listener is %s for runs from %s as often as it does for one network at a time (%d); try again", t.doing, networkText(from), t.mostFrom), t.freed
	}
	t.taken++
	t.of[run]++
	t.from[from]++
	return sync.OnceFunc(func() { t.giveBack(run, from) }), "", nil
}

func (t *turns) giveBack(run echo.ID, from netip.Prefix) {
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
