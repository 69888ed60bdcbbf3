package result

import (
	"slices"
	"time"
)

// AlsoSilent are the source ports of a path's other connections, and of its trace's, to
// which nobody answered anything.
func (i *Initiator) AlsoSilent() []uint16 {
	var ports []uint16
	add := func(port uint16) {
		if port != 0 && port != i.Source.Port() && !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	for _, c := range i.Connections {
		if c.Reached == ReachedNothing && c.Ended == EndedSilent {
			add(c.Source.Port())
		}
	}
	if i.Trace != nil {
		for _, port := range i.Trace.Unanswered {
			add(port)
		}
	}
	return ports
}

// A Connection is one connection that a run opened to a path's port, or over
// UDP one exchange on a socket of its own. Every one is evidence, and none
// takes the place of another: what works only in part shows in the list.
type Connection struct {
	Purpose   Purpose  `json:"purpose"`
	At        Time     `json:"at"` // when it began, UTC
	ElapsedMS float64  `json:"elapsed_ms"`
	Source    Endpoint `json:"source"`
	Drawn     Drawn    `json:"drawn,omitempty"` // how its source port was chosen; "": it was given
	Reached   Reached  `json:"reached"`         // how far it came
	Ended     Ended    `json:"ended"`           // how it ended
	ConnectMS float64  `json:"connect_ms,omitempty"`
	ProvedMS  float64  `json:"proved_ms,omitempty"` // from its beginning to the proof; 0: none came
	// Origin and Instance are of the listener that proved itself on it, where
	// that is not the path's own.
	Origin   Endpoint `json:"origin,omitzero"`
	Instance string   `json:"instance,omitempty"`
	// Sent and Lost count what a datagram exchange had to send and how much of
	// that went unanswered; 0 for TCP.
	Sent int `json:"sent,omitempty"`
	Lost int `json:"lost,omitempty"`
	// Ordinary is what went over an ordinary one, and Answer what came back; nil and
	// "": it is none, or did not open.
	Ordinary *Ordinary     `json:"ordinary,omitempty"`
	Answer   AnswerOutcome `json:"answer,omitempty"`
}

// Purpose is what a Connection was for.
type Purpose string

const (
	PurposeProof        Purpose = "proof"        // the keyed proof, and over TCP the payload
	PurposeSample       Purpose = "sample"       // one more proof, with a little payload
	PurposeStudy        Purpose = "study"        // as a sample, while no other path was tried
	PurposeConversation Purpose = "conversation" // the service's own
	PurposeControl      Purpose = "control"      // asking the far end
	PurposeHold         Purpose = "hold"         // to be kept idle
	PurposeLook         Purpose = "look"         // a second look at real software that did not speak as its row has it
	PurposeOrdinary     Purpose = "ordinary"     // one as any program makes it, to live software, while its end is asked whether it came there
)

// Drawn is how a source port was chosen. On Linux an ordinary connect draws
// ports of one parity and bind those of the other, so that of two equal ways
// (ECMP, a bundle of links) either sees only one.
type Drawn string

const (
	DrawnConnect Drawn = "connect" // as an ordinary program's
	DrawnBind    Drawn = "bind"    // of the other parity
)

// Reached is how far a Connection came.
type Reached string

const (
	ReachedNothing   Reached = "nothing"   // no handshake
	ReachedConnected Reached = "connected" // the handshake was complete
	ReachedProved    Reached = "proved"    // the far end proved itself
	ReachedDone      Reached = "done"      // all that it was for
)

// Ended is how a Connection ended.
type Ended string

const (
	EndedWell      Ended = "well"
	EndedSilent    Ended = "silent"    // nothing more came
	EndedReset     Ended = "reset"     // RST
	EndedClosed    Ended = "closed"    // FIN before its time
	EndedICMP      Ended = "icmp"      // an ICMP error
	EndedForeign   Ended = "foreign"   // something else than the listener answered
	EndedElsewhere Ended = "elsewhere" // another listener, or another port, proved itself
	EndedCut       Ended = "cut"       // after more payload than others carried, which the path's transfers tell: it is no measure of those
	EndedLocal     Ended = "local"     // this machine could not open it: it tells nothing of the path
	EndedUnknown   Ended = "unknown"   // it was interrupted, or refused by agreement: it tells nothing
)

// Opened is when the connection had opened, or had not by then.
func (c *Connection) Opened() time.Time {
	return c.At.Add(time.Duration(c.ConnectMS * float64(time.Millisecond)))
}

// Over is when the connection had ended.
func (c *Connection) Over() time.Time {
	return c.At.Add(time.Duration(c.ElapsedMS * float64(time.Millisecond)))
}

// Heard is when something that the far end had said was last known to have come over it: at
// its end if it passed, else with its proof. Zero: nothing did.
func (c *Connection) Heard() time.Time {
	switch {
	case c.IsPassed():
		return c.Over()
	case c.ProvedMS > 0:
		return c.At.Add(time.Duration(c.ProvedMS * float64(time.Millisecond)))
	}
	return time.Time{}
}

// IsPassed reports whether it did all that it was for.
func (c *Connection) IsPassed() bool { return c.Ended == EndedWell }

// IsFailed reports whether it failed in a way that tells of the path.
func (c *Connection) IsFailed() bool {
	switch c.Ended {
	case EndedSilent, EndedReset, EndedClosed, EndedICMP, EndedForeign:
		return true
	}
	return false
}

// carried reports whether it moved a payload once it was proved. Where a proof is
// all that it was for, it is proved and no more.
func (c *Connection) carried() bool {
	return c.IsPassed() && c.Reached == ReachedDone && (c.Purpose == PurposeProof || c.Purpose == PurposeSample || c.Purpose == PurposeStudy)
}

// Compare splits connections into those that passed and those that failed, as
// far as one can be held against another, in order of time. Where no payload
// passes at all, all that came as far as the proof count as passed: that they go
// no further is no difference between them. What became of a conversation that
// began is a matter of its content, unless another one went well; what was kept
// idle is judged as that, once it opened. That an ordinary one opened is a difference
// to one that did not, even if nobody knows what became of it.
func Compare(all []Connection) (passed, failed []Connection) {
	paid, conversed, unopened := false, false, false
	for i := range all {
		c := &all[i]
		paid = paid || c.carried()
		conversed = conversed || c.Purpose == PurposeConversation && c.IsPassed()
		unopened = unopened || c.IsFailed() && c.Reached == ReachedNothing && (c.Purpose == PurposeOrdinary || c.Purpose == PurposeProof || c.Purpose == PurposeSample)
	}
	for _, c := range all {
		switch {
		case c.Purpose == PurposeLook, // how it fared is a matter of what it said
			c.Purpose == PurposeHold && c.Reached != ReachedNothing,
			c.Purpose == PurposeConversation && c.Reached != ReachedNothing && !conversed:
		case c.IsPassed(), c.Reached == ReachedProved && c.IsFailed() && !paid, unopened && c.Ended == EndedUnknown && c.Ordinary != nil:
			passed = append(passed, c)
		case c.IsFailed():
			failed = append(failed, c)
		}
	}
	byTime := func(a, b Connection) int { return a.At.Compare(b.At.Time) }
	slices.SortStableFunc(passed, byTime)
	slices.SortStableFunc(failed, byTime)
	return passed, failed
}
