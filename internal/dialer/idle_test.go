package dialer

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"dialtone/internal/result"
)

func TestGapsAreTheLongestAndItsHalves(t *testing.T) {
	for longest, want := range map[time.Duration][]time.Duration{
		8 * time.Second:        {1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second},
		3 * time.Second:        {1500 * time.Millisecond, 3 * time.Second},
		time.Second:            {time.Second},
		500 * time.Millisecond: nil,
		0:                      nil,
	} {
		if got := Gaps(longest); !slices.Equal(got, want) {
			t.Errorf("%v: %v", longest, got)
		}
	}
	if n := len(Gaps(24 * time.Hour)); n != 12 {
		t.Errorf("24h: %d gaps", n)
	}
}

// A connection that was to be kept idle and did not come about is evidence of the
// path, not of idleness.
func TestHoldTellsOfConnectionsThatDidNotOpen(t *testing.T) {
	at := netip.MustParseAddrPort("127.78.9.1:24671") // nothing listens there
	held := Idle(t.Context(), Path{Transport: "tcp", Target: at}, Options{Timeout: time.Second}, []time.Duration{time.Second})
	if len(held) != 2 {
		t.Fatalf("%d held", len(held))
	}
	for _, h := range held {
		if h.Outcome != result.IdleNotHeld || h.Opening == nil || h.Opening.Ended != result.EndedReset || h.Opening.Purpose != result.PurposeHold {
			t.Errorf("%+v, opening %+v", h, h.Opening)
		}
	}
	// The busy one beside them counts as well.
	if one := held[0].Beside; len(one) != 1 || one[0].Ended != result.EndedReset || len(held[1].Beside) != 0 {
		t.Errorf("beside: %+v and %+v", one, held[1].Beside)
	}
	passed := result.Connection{Purpose: result.PurposeProof, Reached: result.ReachedDone, Ended: result.EndedWell}
	died := result.Connection{Purpose: result.PurposeHold, Reached: result.ReachedProved, Ended: result.EndedSilent}
	if _, failed := result.Compare([]result.Connection{passed, died, *held[0].Opening}); len(failed) != 1 || failed[0].Ended != result.EndedReset {
		t.Errorf("failed: %+v", failed)
	}
}
