package dialer

import (
	"slices"
	"testing"
	"time"
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
