package sock

import (
	"math"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"dialtone/internal/result"
)

func everyPort(int) bool { return true }

// between is what a Watch has of a window, whatever that is.
func between(w *Watch, port int, from, to time.Time) []HalfOpen {
	out, _ := w.Between(port, from, to, math.MaxInt)
	return out
}

// watching is a Watch as it is after Run began to see.
func watching(since time.Time) *Watch {
	w := NewWatch(everyPort)
	w.state, w.started = result.WitnessTable, since
	return w
}

var (
	client = netip.MustParseAddrPort("192.0.2.7:50000")
	server = netip.MustParseAddrPort("198.51.100.9:1433")
)

func TestWatchThatNeverRanIsBlind(t *testing.T) {
	w := NewWatch(everyPort)
	if w.Blind(1433, time.Now(), time.Now()) == "" || w.State() != result.WitnessNone {
		t.Error("seeing nothing proves something")
	}
	w.Look() // which is no error
}

func TestBlindnessCoversItsSpanOnly(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	w := watching(start)
	w.notSeeing(at(10), at(20), "cookies")
	for _, c := range []struct {
		from, to int
		want     string
	}{
		{1, 9, ""}, {1, 10, ""}, {20, 30, ""}, {21, 30, ""},
		{1, 11, "cookies"}, {12, 13, "cookies"}, {19, 30, "cookies"}, {1, 30, "cookies"},
		{-1, 5, "it was not watching yet"},
	} {
		if got := w.Blind(1433, at(c.from), at(c.to)); got != c.want {
			t.Errorf("%d to %d: %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

func TestBlindnessIsBoundedAndWhatIsForgottenIsNotCalledWatched(t *testing.T) {
	start := time.Unix(1000, 0)
	w := watching(start)
	for i := range 3 * maxBlindness {
		at := start.Add(time.Duration(i) * time.Second)
		w.notSeeing(at, at.Add(time.Second/2), "cookies")
		w.notSeeing(at, at.Add(time.Second/2), "drops")
	}
	if len(w.blind) > maxBlindness {
		t.Errorf("%d spans are kept", len(w.blind))
	}
	for i := range 3 * maxBlindness {
		at := start.Add(time.Duration(i) * time.Second)
		if w.Blind(1433, at, at.Add(time.Second/4)) == "" {
			t.Fatalf("second %d is called watched", i)
		}
	}
	// One long span is one.
	w = watching(start)
	for i := range 100 {
		w.notSeeing(start.Add(time.Duration(i)*time.Second), start.Add(time.Duration(i+1)*time.Second), "cookies")
	}
	if len(w.blind) != 1 {
		t.Errorf("%d spans", len(w.blind))
	}
}

func TestSightingsAreBoundedAndWhatIsForgottenIsNotCalledUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w := watching(start)
		for i := range 3 * maxHalfOpen {
			time.Sleep(time.Millisecond)
			w.saw(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1), server, time.Now(), true, false)
			if len(w.seen) > maxHalfOpen || w.kept != len(w.seen) {
				t.Fatalf("%d sightings are kept", len(w.seen))
			}
		}
		if w.Blind(1433, start.Add(time.Millisecond), time.Now()) == "" {
			t.Error("what it forgot, it calls unseen")
		}
		if n := len(between(w, 1433, start, time.Now())); n < maxHalfOpen/2-1 {
			t.Errorf("%d sightings are left", n)
		}
	})
}

// A program that tries again and again from one port is one attempt that lasts.
func TestAttemptThatLastsForLongLingers(t *testing.T) {
	start := time.Unix(1000, 0)
	w := watching(start)
	at := start
	for range 30 {
		at = at.Add(time.Minute)
		w.saw(client, server, at, true, false)
	}
	if got, whole := w.Lingering(1433, at, 10); !whole || len(got) != 1 || got[0].Source != client {
		t.Errorf("half an hour later: %+v, %v", got, whole)
	}
	if got, _ := w.Lingering(1433, at.Add(time.Second), 10); len(got) != 0 {
		t.Errorf("after the last: %+v", got)
	}
}

// A flood makes it blind on the port that it floods, and not on others; and
// where one network makes the flood, it forgets that network's first.
func TestFloodOfHalfOpenConnectionsBlindsItsOwnPortAlone(t *testing.T) {
	start := time.Unix(1000, 0)
	w := watching(start)
	w.saw(client, netip.AddrPortFrom(server.Addr(), 80), start.Add(time.Second), true, false)
	w.saw(client, server, start.Add(time.Second), true, false)
	at := start.Add(2 * time.Second)
	for i := range 4 * maxHalfOpen {
		at = at.Add(time.Millisecond)
		w.saw(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i >> 16)}), uint16(i)), server, at, true, false)
	}
	if w.kept > maxHalfOpen || w.kept != len(w.seen) || len(w.sources) != len(w.seen) {
		t.Errorf("%d are kept, %d by addresses, %d by source", w.kept, len(w.seen), len(w.sources))
	}
	if w.Blind(1433, start, at) == "" || w.Blind(0, start, at) == "" || w.Blind(80, start, at) != "" || w.Blind(1433, at, at) != "" {
		t.Error("blind where it is not, or not where it is")
	}
	if got := w.From(client, 80, start, at); len(got) != 1 {
		t.Errorf("of another port it remembers %+v", got)
	}
	// 10.0.0.0 alone left more than half at first.
	if got := w.From(client, 1433, start, at); len(got) != 1 {
		t.Errorf("of another network it remembers %+v", got)
	}
	if _, whole := w.Between(1433, start, at, 100); whole {
		t.Error("more than were asked for are all")
	}
	if _, whole := w.Lingering(1433, at, 100); whole {
		t.Error("more than were asked for are all")
	}
	if got, whole := w.Lingering(80, at, 100); !whole || len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestAttemptsOfASource(t *testing.T) {
	start := time.Unix(1000, 0)
	w := watching(start)
	for i, local := range []string{"198.51.100.9:1433", "198.51.100.10:1433", "198.51.100.9:80"} {
		w.saw(client, netip.MustParseAddrPort(local), start.Add(time.Duration(i)*time.Second), true, false)
	}
	w.saw(netip.AddrPortFrom(client.Addr(), 1), server, start, true, false)
	w.saw(client, server, start.Add(time.Hour), true, false) // again
	for _, c := range []struct{ from, to, want int }{{0, 9, 2}, {1, 9, 1}, {0, 0, 1}, {0, 3600, 3}, {9, 99, 0}} {
		if got := w.From(client, 1433, start.Add(time.Duration(c.from)*time.Second), start.Add(time.Duration(c.to)*time.Second)); len(got) != c.want {
			t.Errorf("%d to %d: %+v", c.from, c.to, got)
		}
	}
}

func TestSightingsOfAWindow(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	w := watching(start)
	other := netip.AddrPortFrom(client.Addr(), 50001)
	w.saw(client, server, at(10), false, false)
	w.saw(client, server, at(12), true, false)
	w.saw(other, server, at(11), false, false)
	w.saw(other, netip.AddrPortFrom(server.Addr(), 80), at(11), true, false)
	got := between(w, 1433, at(10), at(11))
	if len(got) != 2 || got[0].Source != other || got[0].Answered || got[1].Source != client || !got[1].Answered || !got[1].First.Equal(at(10)) || !got[1].Last.Equal(at(12)) {
		t.Errorf("%+v", got)
	}
	if got := between(w, 1433, at(12), at(20)); len(got) != 0 {
		t.Errorf("seen before, and in the window: %+v", got)
	}
	if got, _ := w.Lingering(1433, at(12), 10); len(got) != 1 || got[0].Source != client {
		t.Errorf("lingering: %+v", got)
	}
	// Much later the same addresses are another attempt.
	w.saw(client, server, at(300), true, false)
	if got := between(w, 1433, at(299), at(301)); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestPortsOfOthersAreNotKept(t *testing.T) {
	w := NewWatch(func(p int) bool { return p == 80 })
	w.saw(client, server, time.Now(), true, false)
	if len(w.seen) != 0 {
		t.Error("kept")
	}
}

func TestWatchingTakesATenthOfAProcessorAtMost(t *testing.T) {
	if cheap, dear := pace(pollEvery, time.Microsecond), pace(pollEvery, time.Second); cheap != pollEvery || dear != 9*time.Second {
		t.Error(cheap, dear)
	}
}
