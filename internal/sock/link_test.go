package sock

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// An absence lasts from the last look that found the address usable to the first
// that does again.
func TestAbsencesOfAnAddress(t *testing.T) {
	a, never := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	on := true
	l := links{find: func(x netip.Addr, _ link) (link, bool) {
		if x != a {
			return link{}, false
		}
		return link{index: 3}, on
	}}
	began := time.Now()
	at := func(n int) time.Time { return began.Add(time.Duration(n) * linkEvery) }
	for n, c := range []struct {
		on   bool
		want []absence
	}{
		{true, nil},
		{true, nil},
		{false, []absence{{a, at(1), at(2)}}},
		{false, []absence{{a, at(1), at(3)}}},
		{true, []absence{{a, at(1), at(4)}}},
		{true, nil},
		{false, []absence{{a, at(5), at(6)}}},
	} {
		on = c.on
		if got := l.look([]netip.Addr{a, never}, at(n)); !slices.Equal(got, c.want) {
			t.Errorf("look %d: %v, want %v", n, got, c.want)
		}
	}
	// One that is found on an interface that is down at the first look.
	l = links{find: func(netip.Addr, link) (link, bool) { return link{index: 3}, false }}
	l.look([]netip.Addr{a}, at(0))
	if got := l.look([]netip.Addr{a}, at(2)); !slices.Equal(got, []absence{{a, at(0), at(2)}}) {
		t.Errorf("down from the beginning: %v", got)
	}
}

func TestLoopbackIsUsable(t *testing.T) {
	on, ok := usable(netip.MustParseAddr("127.0.0.1"), link{})
	if !ok || on.index == 0 {
		t.Errorf("%+v, %v", on, ok)
	}
	if again, ok := usable(netip.MustParseAddr("127.0.0.1"), on); !ok || again != on {
		t.Errorf("again %+v, %v", again, ok)
	}
	if _, ok := usable(netip.MustParseAddr("192.0.2.77"), on); ok {
		t.Error("an address that this machine does not have")
	}
}
