package listener

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"dialtone/internal/dialer"
	"dialtone/internal/echo"
)

const (
	// maxHolds bounds the paths that are kept idle for others at once, and the
	// results that wait to be asked for. Each is three connections a gap.
	maxHolds = 64
	// maxHoldsOfRun bounds those of one run that last: no holder of the key takes all.
	maxHoldsOfRun = 24
)

// holds are the paths on which connections are kept idle for others, by run and
// probe. Its zero value is ready for use.
type holds struct {
	mu   sync.Mutex
	held map[holdKey]*echo.HeldSoFar
	keys []holdKey // oldest first
}

type holdKey struct{ run, probe echo.ID }

// begin makes room for a path; false: there is none.
func (h *holds) begin(k holdKey) (*echo.HeldSoFar, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil {
		h.held = map[holdKey]*echo.HeldSoFar{}
	}
	if h.held[k] != nil {
		return nil, false
	}
	ofRun := 0
	for _, other := range h.keys {
		if other.run == k.run && !h.held[other].Done {
			ofRun++
		}
	}
	if ofRun >= maxHoldsOfRun || len(h.keys) >= maxHolds && !h.forget() {
		return nil, false
	}
	so := &echo.HeldSoFar{}
	h.held[k] = so
	h.keys = append(h.keys, k)
	return so, true
}

// forget drops the oldest result that is done; false: none is.
func (h *holds) forget() bool {
	for i, k := range h.keys {
		if h.held[k].Done {
			delete(h.held, k)
			h.keys = append(h.keys[:i], h.keys[i+1:]...)
			return true
		}
	}
	return false
}

func (h *holds) end(so *echo.HeldSoFar, held []echo.Held) {
	h.mu.Lock()
	defer h.mu.Unlock()
	so.Done, so.Held = true, held
}

func (h *holds) of(k holdKey) (echo.HeldSoFar, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if so := h.held[k]; so != nil {
		return *so, true
	}
	return echo.HeldSoFar{}, false
}

// HoldBack implements echo.Host. It dials where DialBack would.
func (l *Listener) HoldBack(ctx context.Context, p echo.Peer, h echo.HoldBack) error {
	path, err := l.backPath(p, h.Path)
	if err != nil {
		l.contact(Contact{Kind: echo.KindDialBack, Peer: p, Detail: "refused: " + err.Error()})
		return err
	}
	so, ok := l.holds.begin(holdKey{p.Run, h.Path.Probe})
	if !ok {
		return errors.New("the listener keeps too many connections idle already")
	}
	longest := time.Duration(h.LongestMS) * time.Millisecond
	l.contact(Contact{Kind: echo.KindDialBack, Peer: p, Detail: fmt.Sprintf("to %s for %s, kept idle for %v", path.Target, path.Flow, longest)})
	l.background.Go(func() {
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
