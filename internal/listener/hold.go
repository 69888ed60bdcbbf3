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
	// maxHolds bounds the paths that are kept idle for others at once, maxHoldsOfRun
	// those of one run. Each is three connections a gap.
	maxHolds      = 64
	maxHoldsOfRun = 24
	// maxHeld bounds what is remembered of them, until it is asked for.
	maxHeld = 4 * maxHolds
)

// holds are the paths on which connections are or were kept idle for others, by run
// and probe. Its zero value is ready for use.
type holds struct {
	mu   sync.Mutex
	held map[holdKey]*holding
	keys []holdKey // oldest first
}

type holdKey struct{ run, probe echo.ID }

type holding struct {
	echo.HeldSoFar
	from netip.Prefix // networkOf who asked
}

// begin makes room for a path; nil: it is there already, or all that is remembered
// still lasts.
func (h *holds) begin(k holdKey, from netip.Prefix) *holding {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil {
		h.held = map[holdKey]*holding{}
	}
	if h.held[k] != nil || len(h.keys) >= maxHeld && !h.forget() {
		return nil
	}
	so := &holding{from: from}
	h.held[k] = so
	h.keys = append(h.keys, k)
	return so
}

// forget drops the oldest result that is done, of the network that has most of them:
// who has many made makes no other's vanish. False: none is.
func (h *holds) forget() bool {
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

func (h *holds) end(so *holding, held []echo.Held) {
	h.mu.Lock()
	defer h.mu.Unlock()
	so.Done, so.Held = true, held
}

func (h *holds) of(k holdKey) (echo.HeldSoFar, bool) {
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
	so := l.holds.begin(holdKey{p.Run, h.Path.Probe}, networkOf(p.Remote.Addr()))
	if so == nil {
		release()
		return errors.New("the listener keeps connections idle for this very probe already, or remembers too many others that last")
	}
	longest := time.Duration(h.LongestMS) * time.Millisecond
	l.event(Event{Kind: echo.KindDialBack, Peer: p, Detail: fmt.Sprintf("to %s for %s, kept idle for %v", path.Target, path.Flow, longest)})
	l.background.Go(func() {
		defer release()
		l.holds.end(so, dialer.Hold(ctx, path, dialer.Options{
			Key: p.Key, Run: p.Run, Own: l.Instance, Timeout: min(time.Duration(h.TimeoutMS)*time.Millisecond, maxBackTimeout),
		}, dialer.Gaps(longest)))
	})
	return nil
}

// HeldBack implements echo.Host.
func (l *Listener) HeldBack(p echo.Peer, h echo.HeldBack) (echo.HeldSoFar, bool) {
	return l.holds.of(holdKey{p.Run, h.Probe})
}
