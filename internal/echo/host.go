package echo

import "context"

// A Host does what an Answerer is asked for. All its methods may be called
// from several goroutines at once.
type Host interface {
	// Event is told of each Binding, before it is answered, and once a connection
	// of the message that proves the key on it.
	Event(Peer, Kind)
	Hello(Peer) Hello
	Witness(Peer, Witness) Witnessed
	// DialBack returns one half for each path. It refuses a path by a half
	// whose NotTried says why.
	DialBack(context.Context, Peer, DialBack) DialedBack
	// ConverseBack returns one conversation for each path.
	ConverseBack(context.Context, Peer, ConverseBack) ConversedBack
	// HoldBack begins to keep connections idle. The error is for the asking end.
	HoldBack(context.Context, Peer, HoldBack) error
	// HeldBack says what became of them; false: it does not know of any.
	HeldBack(Peer, HeldBack) (HeldSoFar, bool)
	Submit(Peer, Submission)
	// Meet says which of two ends that dial each other makes the run.
	Meet(Peer, Meet) Met
	// Deliver takes a report. The error is for the asking end; taken, unless nil,
	// is called once that end has been told that it was taken.
	Deliver(Peer, Delivery) (r Receipt, taken func(), err error)
	// Collect gives the newest report that was delivered to a program of this
	// machine; an error to any other.
	Collect(Peer) (Collected, error)
	// Vouch says what this listener itself bears out of a run, to a program of
	// this machine; an error to any other.
	Vouch(Peer, Vouch) (Vouched, error)
}

// NoHost is a Host that knows nothing and does nothing. Whoever answers some messages
// alone embeds it, and has a method for each of those.
type NoHost struct{}

var _ Host = NoHost{}

// Event implements Host, as do all methods below.
func (NoHost) Event(Peer, Kind) {}

// Hello says nothing.
func (NoHost) Hello(Peer) (h Hello) { return h }

// Witness has seen nothing, and answers no query.
func (NoHost) Witness(Peer, Witness) (w Witnessed) { return w }

// DialBack attempts nothing.
func (NoHost) DialBack(context.Context, Peer, DialBack) (d DialedBack) { return d }

// ConverseBack converses with nobody.
func (NoHost) ConverseBack(context.Context, Peer, ConverseBack) (c ConversedBack) {
	return c
}

// HoldBack holds nothing, without an error.
func (NoHost) HoldBack(context.Context, Peer, HoldBack) error { return nil }

// HeldBack knows of nothing held.
func (NoHost) HeldBack(Peer, HeldBack) (h HeldSoFar, ok bool) { return h, false }

// Submit forgets the report.
func (NoHost) Submit(Peer, Submission) {}

// Meet takes no part.
func (NoHost) Meet(Peer, Meet) (m Met) { return m }

// Deliver takes the report and forgets it.
func (NoHost) Deliver(Peer, Delivery) (r Receipt, after func(), err error) {
	return r, nil, nil
}

// Collect has nothing.
func (NoHost) Collect(Peer) (c Collected, err error) { return c, nil }

// Vouch bears nothing out.
func (NoHost) Vouch(Peer, Vouch) (v Vouched, err error) { return v, nil }
