package listener

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/echo"
)

const (
	// maxMail bounds the reports that are kept, maxMailFrom those of one address: who
	// delivers many makes none of another's vanish.
	maxMail     = 16
	maxMailFrom = 4
)

// A mailbox keeps the newest delivered report of each run, packed as it came, until
// a program of this machine fetches it. Its zero value is ready for use.
type mailbox struct {
	mu   sync.Mutex
	kept []mail // the newest last
}

type mail struct {
	run      echo.ID
	from     netip.Prefix // networkOf
	at       time.Time
	delivery echo.Delivery
}

func (m *mailbox) put(p echo.Peer, d echo.Delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := networkOf(p.Remote.Addr())
	m.kept = slices.DeleteFunc(m.kept, func(k mail) bool { return k.run == p.Run && k.from == from })
	ofIt := func(k mail) bool { return k.from == from }
	n := 0
	for _, k := range m.kept {
		if ofIt(k) {
			n++
		}
	}
	switch {
	case n >= maxMailFrom:
		i := slices.IndexFunc(m.kept, ofIt)
		m.kept = slices.Delete(m.kept, i, i+1)
	case len(m.kept) >= maxMail:
		m.kept = slices.Delete(m.kept, 0, 1)
	}
	m.kept = append(m.kept, mail{p.Run, from, time.Now(), d})
}

// take returns the newest, and keeps it no longer.
func (m *mailbox) take() echo.Collected {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.kept) == 0 {
		return echo.Collected{}
	}
	last := m.kept[len(m.kept)-1]
	m.kept = m.kept[:len(m.kept)-1]
	return echo.Collected{Delivery: &last.delivery, AgeMS: time.Since(last.at).Milliseconds()}
}

// Meet implements echo.Host. A listener makes no run of its own.
func (l *Listener) Meet(p echo.Peer, m echo.Meet) echo.Met {
	if l.OnMeet == nil {
		return echo.Met{Turn: echo.TurnLead}
	}
	return echo.Met{Turn: l.OnMeet(p, m)}
}

// Deliver implements echo.Host.
func (l *Listener) Deliver(p echo.Peer, d echo.Delivery) (receipt echo.Receipt, taken func(), err error) {
	l.opening.Lock() // one at a time: each may become much
	r, err := d.Open()
	if err == nil && l.OnReport != nil {
		l.OnReport(r, p)
	}
	l.opening.Unlock()
	if err != nil {
		l.event(Event{Kind: echo.KindDelivered, Peer: p, Detail: "refused: " + err.Error()})
		return receipt, nil, err
	}
	if d.Board {
		return receipt, nil, nil
	}
	l.event(Event{Kind: echo.KindDelivered, Peer: p})
	if l.OnDelivery != nil {
		receipt, taken = l.OnDelivery(r, d.Last)
		return receipt, taken, nil
	}
	l.mailbox.put(p, d)
	return receipt, nil, nil
}

// Collect implements echo.Host.
func (l *Listener) Collect(p echo.Peer) (echo.Collected, error) {
	if !l.isSelf(p.Remote.Addr()) {
		return echo.Collected{}, errors.New("reports are kept for programs of the listener's own machine")
	}
	return l.mailbox.take(), nil
}
