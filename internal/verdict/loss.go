package verdict

import (
	"math"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A Loss counts what a run's evidence shows of packets that get lost. What is
// not known is none of none.
type Loss struct {
	// There are the segments with payload that initiators sent, Back those of
	// acceptors, as TCP counts them: lost is what had to be sent again because it
	// had not arrived (DSACK, RFC 2883, tells which had).
	There, Back Lost
	// Datagrams asked for an answer, and lost is that or the answer.
	Datagrams Lost
	// Handshakes are the SYNs of TCP's handshakes that came about, and lost is one or
	// the answer to it.
	Handshakes Lost
}

// Lost counts how many of several packets were lost.
type Lost struct{ Sent, Lost int }

func (l *Lost) add(sent, lost int) {
	l.Sent += sent
	l.Lost += min(max(0, lost), sent)
}

// share is how many of them were lost, from 0 to 1; 0 of none.
func (l Lost) share() float64 {
	if l.Sent <= 0 {
		return 0
	}
	return float64(l.Lost) / float64(l.Sent)
}

// severalTries is from how many datagrams of one source port on silence to all of
// them is not taken for loss.
const severalTries = 4

// LossOf adds up what the attempts of a run, and what the accepting ends know of
// them, show of loss. What shows another cause is left out: an attempt that got
// no answer at all, datagrams of a size that never crosses, and source ports
// that stay deaf to several where others are not.
func LossOf(initiators []*result.Initiator, acceptors ...*result.Acceptor) Loss {
	var l Loss
	for _, i := range initiators {
		if i == nil || i.NotTried != "" || i.Connect != result.ConnectOpen {
			continue
		}
		l.There.ofTCP(i.TCP, i.Sent)
		if len(i.Datagrams) == 0 {
			l.Handshakes.ofConnections(i)
		}
		for _, d := range i.Datagrams {
			sent := d.Sent
			if d.Deaf > 0 && d.Sources > d.Deaf && d.Sent/d.Sources >= severalTries {
				sent = max(d.Answered, d.Sent*(d.Sources-d.Deaf)/d.Sources)
			}
			if d.Answered > 0 {
				l.Datagrams.add(sent, sent-d.Answered)
			}
		}
	}
	for _, a := range acceptors {
		if a != nil {
			l.Back.ofTCP(a.TCP, nil)
		}
	}
	return l
}

// ofTCP adds a connection's segments. Where the system did not count them, they
// are reckoned from the payload that got through.
func (l *Lost) ofTCP(t *result.TCP, sent *result.Transfer) {
	if t == nil {
		return
	}
	all := t.Segments
	if all == 0 && t.MSS > 0 && sent != nil {
		all = int((sent.Intact+int64(t.MSS)-1)/int64(t.MSS)) + t.Retransmits
	}
	l.add(all, t.Lost())
}

// ofConnections adds the handshakes of a path's connections that came about, by
// how much longer than a round trip they took: a SYN is sent again after 1, 3 and
// 7 seconds (RFC 6298 section 2). Those that never came about may have another
// cause.
func (l *Lost) ofConnections(i *result.Initiator) {
	took := []float64{i.ConnectMS}
	if len(i.Connections) > 0 {
		took = nil
	}
	for _, c := range i.Connections {
		if c.Reached != result.ReachedNothing && c.Sent == 0 {
			took = append(took, c.ConnectMS)
		}
	}
	for _, ms := range took {
		if ms <= 0 {
			continue
		}
		lost := 0
		for after := 1.0; ms-i.RoundTripMS() >= after*1000; after = 2*after + 1 {
			lost++
		}
		l.add(1+lost, lost)
	}
}

// fewPackets is too few to tell a rate by.
const fewPackets = 20

// IsOfHandshakes reports whether SYNs get lost that payload at the same time does
// not: chance loses all alike, and a device that does not take every new
// connection loses these (a full state table, a limit).
func (l Loss) IsOfHandshakes() bool { return l.isUnlike(l.Handshakes) }

// isUnlike reports whether more of what was asked for gets lost than payload at
// the same time shows by chance.
func (l Loss) isUnlike(asked Lost) bool {
	const (
		few      = 200   // segments of payload show no rate yet
		upper    = 3     // as many lost and one in twenty runs would still show none
		unlikely = 0.001 // that chance does so
	)
	n := l.There.Sent + l.Back.Sent
	if n < few {
		return false
	}
	oneWay := float64(l.There.Lost+l.Back.Lost+upper) / float64(n)
	return atLeast(asked.Lost, asked.Sent, 1-(1-oneWay)*(1-oneWay)) < unlikely
}

// RoundTripOf is RoundTrip as far as it tells of a transport's connections. Where
// SYNs and datagrams get lost and payload does not, nothing passed for a moment,
// or something chooses: no chance made a connection fail then.
func (l Loss) RoundTripOf(t plan.Transport) float64 {
	asked := l.Datagrams
	asked.add(l.Handshakes.Sent, l.Handshakes.Lost)
	if t == plan.TCP && l.isUnlike(asked) {
		l.Datagrams, l.Handshakes = Lost{}, Lost{}
	}
	return l.RoundTrip()
}

// RoundTrip is the share of round trips, a packet there and the answer to it, of
// which either gets lost: the worse of what was counted directly and of what the
// two directions come to.
func (l Loss) RoundTrip() float64 {
	ways := 1 - (1-l.There.share())*(1-l.Back.share())
	asked := l.Datagrams
	if !l.IsOfHandshakes() {
		asked.add(l.Handshakes.Sent, l.Handshakes.Lost)
	}
	switch {
	case asked.Sent < fewPackets && l.There.Sent+l.Back.Sent >= fewPackets:
		return ways // one SYN of three is no rate
	case l.There.Sent+l.Back.Sent < fewPackets:
		return asked.share()
	}
	return max(ways, asked.share())
}

// OneWay is the share of packets that get lost in the worse direction. Where only
// round trips were counted, both are taken to lose alike.
func (l Loss) OneWay() float64 {
	if l.There.Sent+l.Back.Sent >= fewPackets {
		return max(l.There.share(), l.Back.share())
	}
	return 1 - math.Sqrt(1-l.RoundTrip())
}

// Explains is how likely it is that loss alone made at least one of so many
// connections fail, each of which had so many tries of a round trip (a SYN is
// sent again after 1, 3 and 7 seconds, RFC 6298). Where no loss was seen it is 0:
// then something else did.
func (l Loss) Explains(connections, tries int) float64 {
	one := math.Pow(l.RoundTrip(), float64(max(1, tries)))
	return 1 - math.Pow(1-one, float64(max(1, connections)))
}
