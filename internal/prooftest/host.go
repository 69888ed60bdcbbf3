package prooftest

import (
	"context"

	"dialtone/internal/echo"
)

// Host is an echo.Host that knows nothing and does nothing. A test that wants one
// thing of a host embeds it.
type Host struct {
	echo.Host // nil: a message that has no method here is for the test that has it sent
}

// Event implements echo.Host, as do all methods below.
func (Host) Event(echo.Peer, echo.Kind) {}

// Hello says nothing.
func (Host) Hello(echo.Peer) (h echo.Hello) { return h }

// Witness has seen nothing, and answers no query.
func (Host) Witness(echo.Peer, echo.Witness) (w echo.Witnessed) { return w }

// DialBack attempts nothing.
func (Host) DialBack(context.Context, echo.Peer, echo.DialBack) (d echo.DialedBack) { return d }

// ConverseBack converses with nobody.
func (Host) ConverseBack(context.Context, echo.Peer, echo.ConverseBack) (c echo.ConversedBack) {
	return c
}

// HoldBack holds nothing, without an error.
func (Host) HoldBack(context.Context, echo.Peer, echo.HoldBack) error { return nil }

// HeldBack knows of nothing held.
func (Host) HeldBack(echo.Peer, echo.HeldBack) (h echo.HeldSoFar, ok bool) { return h, false }

// Submit forgets the report.
func (Host) Submit(echo.Peer, echo.Submission) {}

// Meet takes no part.
func (Host) Meet(echo.Peer, echo.Meet) (m echo.Met) { return m }

// Deliver takes the report and forgets it.
func (Host) Deliver(echo.Peer, echo.Delivery) (r echo.Receipt, after func(), err error) {
	return r, nil, nil
}

// Collect has nothing.
func (Host) Collect(echo.Peer) (c echo.Collected, err error) { return c, nil }

// Vouch bears nothing out.
func (Host) Vouch(echo.Peer, echo.Vouch) (v echo.Vouched, err error) { return v, nil }
