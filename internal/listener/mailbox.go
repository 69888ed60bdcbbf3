package listener

import (
	"errors"
	"sync"

	"dialtone/internal/echo"
)

// maxDeliveries bounds the reports that wait to be fetched. Each fits into one
// control message.
const maxDeliveries = 8

// A mailbox keeps delivered reports, packed as they came, until a program of
// this machine fetches them. Its zero value is ready for use.
type mailbox struct {
	mu   sync.Mutex
	kept []echo.Delivery
}

func (m *mailbox) put(d echo.Delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.kept) >= maxDeliveries {
		m.kept = m.kept[1:] // the oldest
	}
	m.kept = append(m.kept, d)
}

// take returns the newest that one message can carry, and forgets them all.
func (m *mailbox) take() []echo.Delivery {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.kept) == 0 {
		return nil
	}
	newest := m.kept[len(m.kept)-1:]
	m.kept = nil
	return newest
}

// Meet implements echo.Host. A listener makes no run of its own.
func (l *Listener) Meet(p echo.Peer, m echo.Meet) echo.Met {
	if l.OnMeet == nil {
		return echo.Met{Turn: echo.TurnLead}
	}
	return echo.Met{Turn: l.OnMeet(p, m)}
}

// Deliver implements echo.Host.
func (l *Listener) Deliver(p echo.Peer, d echo.Delivery) (taken func(), err error) {
	r, err := d.Open()
	if err != nil {
		l.contact(Contact{Kind: echo.KindDelivered, Peer: p, Detail: "refused: " + err.Error()})
		return nil, err
	}
	l.contact(Contact{Kind: echo.KindDelivered, Peer: p})
	if l.OnDelivery != nil {
		return func() { l.OnDelivery(p, r) }, nil
	}
	l.mailbox.put(d)
	return nil, nil
}

// Collect implements echo.Host.
func (l *Listener) Collect(p echo.Peer) (echo.Collected, error) {
	if !l.isSelf(p.Remote.Addr()) {
		return echo.Collected{}, errors.New("reports are kept for programs of the listener's own machine")
	}
	return echo.Collected{Deliveries: l.mailbox.take()}, nil
}
