package listener

import (
	"errors"
	"net/netip"
	"slices"
	"sync"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// Bears reports whether this listener itself bears out a claim of a run: what a
// report from elsewhere says of paths to and from this machine can be held
// against it.
func (l *Listener) Bears(run echo.ID, c echo.Claim) bool {
	switch {
	case run == (echo.ID{}):
		return false
	case c.Direction == plan.Forward:
		return l.dialed.bears(run, c)
	}
	return l.arrivals.bears(run, c)
}

// Vouch implements echo.Host.
func (l *Listener) Vouch(p echo.Peer, v echo.Vouch) (echo.Vouched, error) {
	if !l.isSelf(p.Remote.Addr()) {
		return echo.Vouched{}, errors.New("a listener vouches to programs of its own machine only")
	}
	out := echo.Vouched{Borne: make([]bool, len(v.Claims))}
	for i, c := range v.Claims {
		out.Borne[i] = l.Bears(v.Run, c)
	}
	return out, nil
}

// bears reports whether a connection or datagram of a run proved the key on a
// port; or, for a service, whether its own conversation carried a token there,
// from where that run came.
func (l *arrivals) bears(run echo.ID, c echo.Claim) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.runs[run]
	if r == nil {
		return false
	}
	there := func(e *entry) bool {
		return e.Transport == c.Transport && int(e.Local.Port()) == c.Port && result.FamilyOf(e.Local.Addr()) == c.Family
	}
	if slices.ContainsFunc(r.entries, there) {
		return true
	}
	if !c.Service { // else a token, which names no run
		return false
	}
	looked := map[netip.Addr]bool{}
	return slices.ContainsFunc(r.entries, func(e *entry) bool {
		a := plainAddr(e.Remote.Addr())
		if looked[a] {
			return false
		}
		looked[a] = true
		return slices.ContainsFunc(l.from[a].keyed, there)
	})
}

// maxDialed bounds what is remembered of dialing back; the oldest go first.
const maxDialed = 4096

// dialedBack remembers which paths this listener dialed itself for a run, and
// got through. Its zero value is ready for use.
type dialedBack struct {
	mu   sync.Mutex
	well []dialedPath // oldest first, each once
}

type dialedPath struct {
	run   echo.ID
	claim echo.Claim
}

// attempted takes what came of an attempt.
func (d *dialedBack) attempted(run echo.ID, t plan.Transport, target netip.AddrPort, i result.Initiator) {
	whole := func(t *result.Transfer) bool { return t != nil && t.Outcome == result.TransferIntact }
	if i.Answer == result.AnswerKeyed && int(i.Origin.Port()) == int(target.Port()) && whole(i.Sent) && whole(i.Received) {
		d.add(run, t, target, false)
	}
}

// conversed takes what came of a service's own conversation.
func (d *dialedBack) conversed(run echo.ID, t plan.Transport, target netip.AddrPort, c result.Conversation) {
	if c.Outcome == result.ConversationCompleted && len(c.Changed) == 0 && c.Impostor == "" {
		d.add(run, t, target, true)
	}
}

func (d *dialedBack) add(run echo.ID, t plan.Transport, target netip.AddrPort, service bool) {
	p := dialedPath{run, echo.Claim{Direction: plan.Forward, Transport: t, Port: int(target.Port()), Family: result.FamilyOf(target.Addr()), Service: service}}
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Contains(d.well, p) {
		return
	}
	if len(d.well) >= maxDialed {
		d.well = slices.Delete(d.well, 0, maxDialed/2)
	}
	d.well = append(d.well, p)
}

func (d *dialedBack) bears(run echo.ID, c echo.Claim) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.well, dialedPath{run, c})
}
