package verdict

import (
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
	// Handshakes are those of TCP that came about by the first or the second SYN, and
	// lost is the first one or the answer to it.
	Handshakes Lost
	// Unanswered are the SYNs of connections that nobody answered. They show no rate, for
	// they may have another cause; that something chooses SYNs they do.
	Unanswered Lost
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
			l.Unanswered.ofSilence(i)
		}
		for _, d := range i.Datagrams {
			l.Datagrams.add(d.Told())
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

// ofConnections adds the handshakes of a path's connections that came about by the
// first or the second SYN, by how much longer than a round trip they took: it is
// sent again after 1 second (RFC 6298 section 2), and then when the system likes
// (after 2 or 3). Those that never came about may have another cause.
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
	const first, second = 1000, 2000 // ms
	trip := i.TripMS()
	for _, ms := range took {
		switch late := ms - trip; {
		case ms <= 0 || late >= second:
		case late >= first:
			l.add(1, 1)
		default:
			l.add(1, 0)
		}
	}
}

// ofSilence adds the SYNs of a path's connections that nobody answered.
func (l *Lost) ofSilence(i *result.Initiator) {
	for _, c := range i.Connections {
		if c.Reached == result.ReachedNothing && c.Ended == result.EndedSilent && c.Sent == 0 {
			n := triesOf(c)
			l.add(n, n)
		}
	}
}

// ofFirstSYNs is what Handshakes tell of round trips. Who waits only so long sees
// too few that lost their SYNs, for many of those come about too late; but of
// those that the second SYN opened there are, for each that the first one opened,
// as many as round trips are lost, however long anybody waits.
func (l Loss) ofFirstSYNs() Lost {
	first, second := l.Handshakes.Sent-l.Handshakes.Lost, l.Handshakes.Lost
	return Lost{max(first, second), second}
}

// asked is what was counted of packets and the answers to them.
func (l Loss) asked() Lost {
	asked, syns := l.Datagrams, l.ofFirstSYNs()
	asked.add(syns.Sent, syns.Lost)
	return asked
}

// fewPackets is too few to tell a rate by.
const fewPackets = 20

// IsOfHandshakes reports whether SYNs get lost that payload at the same time does
// not: chance loses all alike, and a device that does not take every new
// connection loses these (a full state table, a limit).
func (l Loss) IsOfHandshakes() bool { return l.isUnlike(l.ofFirstSYNs()) }

// isUnlike reports whether more of what was asked for gets lost than payload at
// the same time shows by chance.
func (l Loss) isUnlike(asked Lost) bool {
	const (
		few   = 200 // segments of payload show no rate yet
		upper = 3   // as many lost and one in twenty runs would still show none
	)
	n := l.There.Sent + l.Back.Sent
	if n < few {
		return false
	}
	oneWay := float64(l.There.Lost+l.Back.Lost+upper) / float64(n)
	return atLeast(asked.Lost, asked.Sent, 1-(1-oneWay)*(1-oneWay)) < refuted
}

// RoundTripOf is the share of round trips, a packet there and the answer to it, of
// which either gets lost, as far as it tells of a transport's connections. Where
// SYNs and datagrams get lost and payload does not, nothing passed for a moment,
// or something chooses: no chance made a connection fail then.
func (l Loss) RoundTripOf(t plan.Transport) float64 {
	all := l.asked()
	all.add(l.Unanswered.Sent, l.Unanswered.Lost)
	if t == plan.TCP && l.isUnlike(all) || t != plan.TCP && l.IsOfHandshakes() {
		l.Handshakes = Lost{}
		if t == plan.TCP {
			l.Datagrams = Lost{}
		}
	}
	asked := l.asked()
	ways := 1 - (1-l.There.share())*(1-l.Back.share())
	pairs := min(l.There.Sent, l.Back.Sent) // of which both directions are known
	switch payload := l.There.Sent + l.Back.Sent; {
	case payload < fewPackets:
		return asked.share()
	case asked.Sent < fewPackets:
		return ways // one SYN of three is no rate
	case t == plan.TCP && pairs >= fewPackets:
		return (ways*float64(pairs) + float64(asked.Lost)) / float64(pairs+asked.Sent)
	}
	return max(ways, asked.share())
}
