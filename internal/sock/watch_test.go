package sock

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"dialtone/internal/result"
)

func everyPort(int) bool { return true }

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
	if w.Blind(time.Now(), time.Now()) == "" || w.State() != result.WitnessNone {
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
		if got := w.Blind(at(c.from), at(c.to)); got != c.want {
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
		if w.Blind(at, at.Add(time.Second/4)) == "" {
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
			if len(w.seen) > maxHalfOpen {
				t.Fatalf("%d sightings are kept", len(w.seen))
			}
		}
		if w.Blind(start.Add(time.Millisecond), time.Now()) == "" {
			t.Error("what it forgot, it calls unseen")
		}
		if n := len(w.Between(1433, start, time.Now())); n < maxHalfOpen/2-1 {
			t.Errorf("%d sightings are left", n)
		}
	})
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
	got := w.Between(1433, at(10), at(11))
	if len(got) != 2 || got[0].Source != other || got[0].Answered || got[1].Source != client || !got[1].Answered || !got[1].First.Equal(at(10)) || !got[1].Last.Equal(at(12)) {
		t.Errorf("%+v", got)
	}
	if got := w.Between(1433, at(12), at(20)); len(got) != 0 {
		t.Errorf("seen before, and in the window: %+v", got)
	}
	if got := w.Lingering(1433, at(12)); len(got) != 1 || got[0].Source != client {
		t.Errorf("lingering: %+v", got)
	}
	// Much later the same addresses are another attempt.
	w.saw(client, server, at(300), true, false)
	if got := w.Between(1433, at(299), at(301)); len(got) != 1 {
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
