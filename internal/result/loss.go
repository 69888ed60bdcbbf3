package result

// A TCP is what the system knows of a connection (TCP_INFO, tcp(7)).
type TCP struct {
	MSS         int     `json:"mss"`         // bytes that one segment may carry to the far end
	RTTMS       float64 `json:"rtt_ms"`      // smoothed
	Retransmits int     `json:"retransmits"` // segments sent again, in all
	Timestamps  bool    `json:"timestamps"`  // both ends agreed on timestamps (RFC 7323)
	PathMTU     int     `json:"path_mtu"`    // as this end believes

	// Segments is how many with payload were sent, those sent again among them;
	// 0: not known.
	Segments int `json:"segments,omitempty"`
	// Needless is how many of those sent again had arrived the first time, as the
	// far end told (DSACK, RFC 2883): they were late or in disorder, not lost.
	Needless int `json:"needless,omitempty"`
	// Reordered is how often segments were seen to arrive in another order.
	Reordered int `json:"reordered,omitempty"`
	// Unscaled says that the handshake agreed on no window scale (RFC 7323
	// section 2.2), as this end saw it.
	Unscaled bool `json:"unscaled,omitempty"`
	// Window is how many bytes the far end offered last to take at once; 0: none,
	// or not known.
	Window int `json:"window,omitempty"`
	// ECN: the handshake agreed on explicit congestion notification (RFC 3168), so that
	// what this end sends for the first time is marked as capable of it (ECT), and what it
	// sends again is not. ECNSeen: something so marked arrived here.
	ECN     bool `json:"ecn,omitempty"`
	ECNSeen bool `json:"ecn_seen,omitempty"`
}

// Datagrams counts those of one size that asked over UDP, from however many
// source ports. Each asked for one answer.
type Datagrams struct {
	Request  int `json:"request"`             // bytes of UDP payload of each
	Answer   int `json:"answer"`              // bytes asked for in the answer
	Sent     int `json:"sent"`                // whose time for an answer is over
	Answered int `json:"answered"`            // of them
	Sources  int `json:"sources"`             // source ports they left from
	Deaf     int `json:"deaf"`                // of these, which got no answer to any
	DeafSent int `json:"deaf_sent,omitempty"` // of those sent, how many left from these; 0: not known, if there are any
}

// severalTries is from how many datagrams of one source port on silence to all of
// them is not taken for loss.
const severalTries = 4

// Told is how many of them tell of loss, and how many of these were lost: none of a size
// that never crosses, and none of source ports that stay deaf to several where others
// are not.
func (d Datagrams) Told() (sent, lost int) {
	if d.Answered == 0 {
		return 0, 0
	}
	sent = d.Sent
	if d.Deaf > 0 && d.Sources > d.Deaf {
		deaf := d.DeafSent
		if deaf == 0 {
			deaf = d.Sent * d.Deaf / d.Sources
		}
		if deaf >= severalTries*d.Deaf {
			sent = max(d.Answered, d.Sent-deaf)
		}
	}
	return sent, sent - d.Answered
}

const (
	// synAgainMS: a SYN that is not answered is sent again after a second
	// (RFC 6298 section 2), so a handshake that takes so much longer than a round
	// trip lost one.
	synAgainMS = 1000
	// fewLost may be lost on a sound path too.
	fewLost = 3
)

// IsLossy reports whether the handshake or the connection shows that packets
// get lost, or enough datagrams stayed without an answer.
func (i *Initiator) IsLossy() bool {
	if i.Connect != ConnectOpen {
		return false
	}
	if i.LostSYN() || i.TCP.IsLossy() {
		return true
	}
	missing := 0
	for _, d := range i.Datagrams {
		_, lost := d.Told()
		missing += lost
	}
	return missing > fewLost
}

// LostSYN reports whether the handshake of any connection took so long that its
// first packet or the answer to it was lost. A long way is no loss: its round
// trip is allowed for, and where none was measured, the shortest handshake is
// taken for one.
func (i *Initiator) LostSYN() bool {
	return i.LongestConnectMS()-i.TripMS() >= synAgainMS
}

// TripMS is how long a round trip took at most, in milliseconds: the shortest that
// was seen, or else the shortest handshake; 0: there was none.
func (i *Initiator) TripMS() float64 {
	trip := i.RoundTripMS()
	if trip > 0 {
		return trip
	}
	for _, ms := range i.handshakes() {
		if ms > 0 && (trip == 0 || ms < trip) {
			trip = ms
		}
	}
	return trip
}

// LongestConnectMS is how long the longest handshake took that came about, in
// milliseconds; 0: none did.
func (i *Initiator) LongestConnectMS() float64 {
	longest := 0.0
	for _, ms := range i.handshakes() {
		longest = max(longest, ms)
	}
	return longest
}

// handshakes are how long those took that came about, in milliseconds.
func (i *Initiator) handshakes() (all []float64) {
	if i.Connect == ConnectOpen {
		all = append(all, i.ConnectMS)
	}
	for _, c := range i.Connections {
		if c.Reached != ReachedNothing && c.Sent == 0 {
			all = append(all, c.ConnectMS)
		}
	}
	return all
}

// RoundTripMS is the shortest round trip that was seen, in milliseconds; 0: none
// is known.
func (i *Initiator) RoundTripMS() float64 {
	ms := 0.0
	if i.RTTMS != nil {
		ms = *i.RTTMS
	}
	if i.TCP != nil && i.TCP.RTTMS > 0 && (ms == 0 || i.TCP.RTTMS < ms) {
		ms = i.TCP.RTTMS
	}
	return ms
}

// Lost is how many segments had to be sent again because they did not arrive.
func (t *TCP) Lost() int {
	if t == nil {
		return 0
	}
	return max(0, t.Retransmits-t.Needless)
}

// IsLossy reports whether several segments were lost.
func (t *TCP) IsLossy() bool { return t.Lost() > fewLost }

// smallWindow is fewer bytes than any end offers that is ready to take a
// payload: a segment or two (RFC 9293 section 3.8.6.2.2 has it offer no less).
const smallWindow = 2 * 1460

// IsThrottled reports whether the far end's window, as it arrived, lets less out
// than a few segments at once. Without window scale it may be one of which a
// device took the scale away (RFC 7323 section 2.2: the far end still counts
// with it).
func (t *TCP) IsThrottled() bool {
	return t != nil && t.Unscaled && t.Window > 0 && t.Window < smallWindow
}
