package meeting

import (
	"context"
	"net/netip"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/survey"
)

// part is what an end of a meeting does just now.
type part int

const (
	knocking  part = iota // dials, and has not got through
	asking                // got through, and asks who is to test
	leading               // tests
	following             // waits for the other end's report
)

// followAtLeast is how long the end that tests may be silent before this one
// dials again by itself.
const followAtLeast = time.Minute

// mayLead asks the far end over a path that works whether this end is to test.
func (m *meeting) mayLead(ctx context.Context, at netip.AddrPort) bool {
	m.mu.Lock()
	if m.part != knocking {
		m.mu.Unlock()
		return false
	}
	m.part = asking
	m.mu.Unlock()
	var turn echo.Turn
	err := survey.New(m.Config.Config, m.With).AskAt(ctx, at, func(ctx context.Context, c *echo.Conn) (err error) {
		turn, err = c.Meet(ctx, echo.Meet{QuietMS: m.Hold.Milliseconds()})
		return err
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.part == following: // it asked meanwhile, and leads
		return false
	case err != nil:
		m.part = knocking // the path died, or that end is another release
		return false
	case turn == echo.TurnFollow:
		m.follow(echo.ID{}, 0)
		return false
	}
	m.part = leading
	return true
}

// turn answers the far end's question who is to test.
func (m *meeting) turn(p echo.Peer, o echo.Meet) echo.Turn {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.part == leading, m.part == asking && echo.Leads(m.ID, p.Run):
		return echo.TurnFollow
	}
	m.follow(p.Run, time.Duration(o.QuietMS)*time.Millisecond)
	return echo.TurnLead
}

func (m *meeting) follow(leader echo.ID, quiet time.Duration) {
	m.part, m.leader, m.quiet, m.last = following, leader, max(quiet, m.Hold), time.Now()
}

// heard notes that the far end is still there.
func (m *meeting) heard(c listener.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.part == following && (c.Kind == echo.KindAsked || c.Kind == echo.KindProved) && (m.leader == (echo.ID{}) || c.Peer.Run == m.leader) {
		m.last = time.Now()
	}
}

// isFollowing reports whether the far end tests. One that was silent for long
// does not any more: a path that worked may have died, and its program too.
func (m *meeting) isFollowing() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.part == following && time.Since(m.last) > max(followAtLeast, 10*m.Timeout)+m.quiet {
		m.part = knocking
	}
	return m.part == following
}
