package listener

import (
	"errors"
	"sync"
	"time"

	"dialtone/internal/echo"
)

// A mailbox keeps the newest delivered report, packed as it came, until a
// program of this machine fetches it. Its zero value is ready for use.
type mailbox struct {
	mu   sync.Mutex
	kept *echo.Delivery
	at   time.Time
}

func (m *mailbox) put(d echo.Delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept, m.at = &d, time.Now()
}

func (m *mailbox) take() echo.Collected {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		return echo.Collected{}
	}
	c := echo.Collected{Delivery: m.kept, AgeMS: time.Since(m.at).Milliseconds()}
	m.kept = nil
	return c
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
	r, err := d.Open()
	if err != nil {
		l.contact(Contact{Kind: echo.KindDelivered, Peer: p, Detail: "refused: " + err.Error()})
		return receipt, nil, err
	}
	l.contact(Contact{Kind: echo.KindDelivered, Peer: p})
	if l.OnDelivery != nil {
		receipt, taken = l.OnDelivery(r, d.Last)
		return receipt, taken, nil
	}
	l.mailbox.put(d)
	return receipt, nil, nil
}

// Collect implements echo.Host.
func (l *Listener) Collect(p echo.Peer) (echo.Collected, error) {
	if !l.isSelf(p.Remote.Addr()) {
		return echo.Collected{}, errors.New("reports are kept for programs of the listener's own machine")
	}
	return l.mailbox.take(), nil
}
