package dialer

import "testing"

func TestDocumentIsNoLargerThanItsTimeAllows(t *testing.T) {
	for _, c := range []struct {
		rate float64 // kilobits per second
		want int
	}{
		{0, 0},             // not known: the service's own size
		{100_000, 0},       // fast enough for the largest
		{1_000, 1_250_000}, // 10 seconds of it
		{10, 64 << 10},     // a document is a document
	} {
		if got := documentSize(c.rate); got != c.want {
			t.Errorf("%v kbit/s: got %d bytes, want %d", c.rate, got, c.want)
		}
	}
}
