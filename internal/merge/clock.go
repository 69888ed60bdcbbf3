package merge

import (
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

const (
	// slack is how much two times of one event may differ beside the clocks: the
	// way itself, and how often a witness looks.
	slack = 2 * time.Second
	// synSpread is how much later than the attempt its SYN may be seen first: it
	// is sent again after 1, 3 and 7 s (RFC 6298 section 5).
	synSpread = 8 * time.Second
	// maxClock is the largest difference that is believed.
	maxClock = 10 * 365 * 24 * time.Hour
)

// clocks is how the acceptor's clock and the initiator's compare.
type clocks struct {
	source result.ClockSource
	offset time.Duration // acceptor's minus initiator's
	within time.Duration // how exact that is
}

func (c clocks) known() bool { return c.source != result.ClockUnknown }

// reversed is the same for the other direction.
func (c clocks) reversed() clocks {
	c.offset = -c.offset
	return c
}

// ms is the offset as reports give it, nil if it is not known.
func (c clocks) ms() *int64 {
	if !c.known() {
		return nil
	}
	ms := c.offset.Milliseconds()
	return &ms
}

// compareClocks finds how b's clock differs from a's, and a finding if the two
// reports do not agree on it.
func compareClocks(a, b *result.Report) (clocks, *result.Finding) {
	unknown := clocks{source: result.ClockUnknown}
	var told []time.Duration
	for _, c := range []struct {
		of   *result.Contact
		sign time.Duration
	}{{a.Contact, 1}, {b.Contact, -1}} {
		if c.of == nil || c.of.ClockMS == nil || *c.of.ClockMS > maxClock.Milliseconds() || *c.of.ClockMS < -maxClock.Milliseconds() {
			continue
		}
		told = append(told, c.sign*time.Duration(*c.of.ClockMS)*time.Millisecond)
	}
	estimated, ok := estimateClock(a, b)
	switch {
	case !ok, len(told) == 2 && (told[0]-told[1]).Abs() > slack,
		len(told) > 0 && estimated.known() && (told[0]-estimated.offset).Abs() > synSpread:
		return unknown, &result.Finding{Code: result.CodeContradiction,
			Text:   "The two reports do not agree on how far their clocks differ: one of them was set while the test ran, or the reports are not of the same afternoon.",
			Advice: "What depends on the clocks is left unknown. Run the test again on both sides."}
	case len(told) > 0:
		return clocks{result.ClockContact, told[0], slack}, nil
	}
	return estimated, nil
}

// estimateClock compares the times of attempts that are among the other end's
// arrivals by address and port. It returns false if they contradict each other.
func estimateClock(a, b *result.Report) (clocks, bool) {
	low, high := -maxClock, maxClock
	found := false
	for _, m := range matches(a, b) {
		d := m.arrived.Sub(m.left)
		low, high, found = max(low, d-synSpread), min(high, d), true
	}
	for _, m := range matches(b, a) {
		d := m.left.Sub(m.arrived)
		low, high, found = max(low, d), min(high, d+synSpread), true
	}
	switch {
	case !found:
		return clocks{source: result.ClockUnknown}, true
	case low > high:
		return clocks{source: result.ClockUnknown}, false
	}
	// Most SYNs arrive at once, so the ends of the span are more likely than its
	// middle: high if only b saw attempts, low if only a did.
	offset := high
	if len(matches(a, b)) == 0 {
		offset = low
	}
	return clocks{result.ClockArrival, offset, synSpread}, true
}

// A match is one attempt in the times of both ends.
type match struct {
	left, arrived time.Time
	exact         bool // by the whole address, not by its port and who it belongs to
}

// matches finds the attempts of one report among the arrivals of the other. A
// source port that was used for several attempts shows nothing.
func matches(from, to *result.Report) []match {
	if to.Listened == nil {
		return nil
	}
	used := map[result.Endpoint]map[time.Time]bool{}
	type sent struct {
		transport  plan.Transport
		port       int
		sourcePort uint16
	}
	at := map[sent][]attempt{}
	for i := range from.Paths {
		p := &from.Paths[i]
		if p.Direction != plan.Forward || p.Initiator == nil {
			continue
		}
		for _, t := range attempts(p.Initiator) {
			if !t.source.IsValid() || t.source.Port() == 0 || t.at.IsZero() {
				continue
			}
			if used[t.source] == nil {
				used[t.source] = map[time.Time]bool{}
			}
			used[t.source][t.at] = true
			k := sent{p.Transport, p.Port, t.source.Port()}
			at[k] = append(at[k], t)
		}
	}
	var out []match
	for i := range to.Listened.Arrivals {
		v := &to.Listened.Arrivals[i]
		if !v.Source.IsValid() || v.First.IsZero() {
			continue
		}
		for _, t := range at[sent{v.Transport, v.Port, v.Source.Port()}] {
			if len(used[t.source]) == 1 && isSource(t, v, to) {
				out = append(out, match{t.at, v.First.Time, t.source == v.Source})
				break
			}
		}
	}
	return out
}
