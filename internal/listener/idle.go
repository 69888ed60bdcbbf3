package listener

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"dialtone/internal/dialer"
	"dialtone/internal/echo"
)

const (
	// maxIdlePaths bounds the paths that are kept idle for others at once, maxIdlePathsOfRun
	// those of one run. Each is three connections a gap.
	maxIdlePaths      = 64
	maxIdlePathsOfRun = 24
	// maxIdleKept bounds what is remembered of them, until it is asked for.
	maxIdleKept = 4 * maxIdlePaths
)

// idlePaths are those on which connections are or were kept idle for others, by run
// and probe. Its zero value is ready for use.
type idlePaths struct {
	mu   sync.Mutex
	held map[idleKey]*idlePath
	keys []idleKey // oldest first
}

type idleKey struct{ run, probe echo.ID }

type idlePath struct {
	echo.HeldSoFar
	from netip.Prefix // networkOf who asked
}

// begin makes room for a path; nil: it is there already, or all that is remembered
// still lasts.
func (h *idlePaths) begin(k idleKey, from netip.Prefix) *idlePath {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil {
		h.held = map[idleKey]*idlePath{}
	}
	if h.held[k] != nil || len(h.keys) >= maxIdleKept && !h.forget() {
		return nil
	}
	so := &idlePath{from: from}
	h.held[k] = so
	h.keys = append(h.keys, k)
	return so
}

// forget drops the oldest result that is done, of the network that has most of them:
// who has many made makes no other's vanish. False: none is.
func (h *idlePaths) forget() bool {
	done := map[netip.Prefix]int{}
	most := 0
	for _, so := range h.held {
		if so.Done {
			done[so.from]++
			most = max(most, done[so.from])
		}
	}
	for i, k := range h.keys {
		if so := h.held[k]; so.Done && done[so.from] == most {
			delete(h.held, k)
			h.keys = append(h.keys[:i], h.keys[i+1:]...)
			return true
		}
	}
	return false
}

func (h *idlePaths) end(so *idlePath, held []echo.Held) {
	h.mu.Lock()
	defer h.mu.Unlock()
	so.Done, so.Held = true, held
}

func (h *idlePaths) of(k idleKey) (echo.HeldSoFar, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if so := h.held[k]; so != nil {
		return so.HeldSoFar, true
	}
	return echo.HeldSoFar{}, false
}

// HoldBack implements echo.Host. It dials where DialBack would.
func (l *Listener) HoldBack(ctx context.Context, p echo.Peer, h echo.HoldBack) error {
	path, err := l.backPath(p, h.Path)
	if err != nil {
		l.event(Event{Kind: echo.KindDialBack, Peer: p, Detail: "refused: " + err.Error()})
		return err
	}
	release, why, _ := l.idle.try(p)
	if why != "" {
		l.event(Event{Kind: echo.KindDialBack, Peer: p, Detail: "refused: " + why})
		return errors.New(why)
	}
	so := l.idlePaths.begin(idleKey{p.Run, h.Path.Probe}, networkOf(p.Remote.Addr()))
	if so == nil {
		release()
		return errors.New("the listener keeps connections idle for this very probe already, or remembers too many others that last")
	}
	longest := time.Duration(h.LongestMS) * time.Millisecond
	l.event(Event{Kind: echo.KindDialBack, Peer: p, Detail: fmt.Sprintf("to %s for %s, kept idle for %v", path.Target, path.Flow, longest)})
	l.background.Go(func() {
		defer release()
		l.idlePaths.end(so, dialer.Idle(ctx, path, l.backOptions(p, h.TimeoutMS), dialer.Gaps(longest)))
	})
	return nil
}

// HeldBack implements echo.Host.
func (l *Listener) HeldBack(p echo.Peer, h echo.HeldBack) (echo.HeldSoFar, bool) {
	return l.idlePaths.of(idleKey{p.Run, h.Probe})
}
