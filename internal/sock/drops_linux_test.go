package sock

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dialtone/internal/result"
)

// A socket at which more connections come than may wait is told of, and it alone.
func TestAQueueThatIsFullIsTold(t *testing.T) {
	var of []net.Listener
	for range 2 {
		l, err := ListenTCP(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), false)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		of = append(of, l)
	}
	withDescriptor(of[1], func(fd int) {
		if err := unix.Listen(fd, 1); err != nil { // from now on two may wait
			t.Error(err)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan int, 1)
	go KeepQueues(ctx, of, func(n int, from, to time.Time) {
		if n != 1 || to.Before(from) {
			t.Errorf("socket %d from %v to %v", n, from, to)
		}
		select {
		case told <- n:
		default:
		}
	})
	for end := time.Now().Add(time.Minute); ; {
		for _, l := range of {
			if c, err := net.DialTimeout("tcp", l.Addr().String(), 50*time.Millisecond); err == nil {
				defer c.Close()
			}
		}
		select {
		case <-told:
			return
		default:
		}
		if time.Now().After(end) {
			t.Fatal("nothing is told")
		}
	}
}

// Shortened: names, then a line for each processor.
const procConntrack = `entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error
00000110  00000000 00000000 00000000 00000b31 00006170 00000000 00000000 00000000 00000000 0000000a 00000002 00000000
00000110  00000000 00000000 00000000 0000098f 00005ffa 00000000 00000000 00000000 00000000 00000010 00000000 00000000
`

func TestDropsOfConnectionTracking(t *testing.T) {
	for text, want := range map[string]uint64{procConntrack: 26, "": 0, "a b\n1 2\n": 0, "drop\nzz\n3\n": 3} {
		if got := parseConntrack(text); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
}

func TestDropIsBlamedOnWhatRoseWithEachSYN(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	syns := func(ms ...int) (out []Arrival) {
		for _, m := range ms {
			out = append(out, Arrival{at(m), 2})
		}
		return out
	}
	for name, c := range map[string]struct {
		rises []rise
		syns  []Arrival
		want  result.Drop
	}{
		"nothing rose":               {nil, syns(100, 1100), result.DropFirewall},
		"no SYN was captured":        {[]rise{{byConntrack, at(0), at(9000), 99}}, nil, result.DropFirewall},
		"conntrack rose with each":   {[]rise{{byConntrack, at(0), at(1000), 1}, {byConntrack, at(1000), at(2000), 1}}, syns(100, 1100), result.DropConntrack},
		"both in one look":           {[]rise{{byConntrack, at(0), at(2000), 2}}, syns(100, 1100), result.DropConntrack},
		"too few":                    {[]rise{{byConntrack, at(0), at(2000), 1}}, syns(100, 1100), result.DropFirewall},
		"only with the first":        {[]rise{{byConntrack, at(0), at(1000), 5}}, syns(100, 1900), result.DropFirewall},
		"recorded a little later":    {[]rise{{byConntrack, at(0), at(1000), 1}}, syns(1100), result.DropConntrack},
		"the queue":                  {[]rise{{byQueue, at(0), at(2000), 7}}, syns(100, 1100), result.DropQueue},
		"rp_filter's, and the route": {[]rise{{byReversePath, at(0), at(2000), 7}}, syns(100, 1100), result.DropFirewall}, // the way back is by that interface
	} {
		w := watching(start)
		w.rises = c.rises
		loopback, err := net.InterfaceByName("lo")
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.syns {
			c.syns[i].Interface = loopback.Index
		}
		got, detail := w.Dropped(HalfOpen{Source: netip.MustParseAddrPort("127.0.0.2:50000"), Local: netip.MustParseAddrPort("127.0.0.1:1433"), Arrivals: c.syns})
		if got != c.want || detail == "" {
			t.Errorf("%s: %s (%s)", name, got, detail)
		}
	}
}

func TestCountersThatMovedAreKept(t *testing.T) {
	now := time.Now()
	for c, moved := range map[counter]counters{
		byReversePath: {reversePath: 2}, byConntrack: {conntrack: 2, conntrackFull: true}, byQueue: {overflows: 2, drops: 2},
	} {
		w := watching(now.Add(-time.Minute))
		w.looks = looks{last: now.Add(-time.Second)}
		w.compareCounters(moved)
		at := []Arrival{{now.Add(-time.Second / 2), 1}, {now.Add(-time.Second / 4), 1}}
		if !w.roseWithEach(c, at) || w.roseWithEach(c, append(at, at[0])) {
			t.Errorf("%s: %+v", c, w.rises)
		}
		if got := w.QueueOverflowed(now.Add(-time.Second), now); got != (c == byQueue) {
			t.Errorf("%s: the queue overflowed is %v", c, got)
		}
	}
	w := watching(now)
	w.looks = looks{last: now}
	if w.compareCounters(counters{conntrack: 9}); len(w.rises) != 0 {
		t.Errorf("the table was not full: %+v", w.rises)
	}
}

// An interface that is part of another, such as a port of a bridge, shows a SYN
// at both: the kernel routes by the latter.
func TestArrivalsAreThoseOfTheLastInterface(t *testing.T) {
	w := watching(time.Unix(0, 0))
	h := handshake{client, server, flagSYN}
	for i, ifindex := range []int{4, 7, 4, 7} {
		w.sawPacket(h, false, ifindex, time.Unix(int64(10+i/2), 0))
	}
	at, all := lastInterface(between(w, int(server.Port()), time.Unix(0, 0), time.Unix(100, 0))[0].Arrivals)
	if len(at) != 2 || at[0].Interface != 7 || len(all) != 2 {
		t.Errorf("%+v, interfaces %v", at, all)
	}
	for range 3 * maxArrivals {
		w.sawPacket(h, false, 7, time.Unix(12, 0))
	}
	if n := len(w.seen[tuple{client, server}].Arrivals); n != maxArrivals {
		t.Errorf("%d SYNs are kept", n)
	}
}

func TestRouteOfTheKernel(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skip(err)
	}
	if got, err := routeInterface(netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")); err != nil || got != lo.Index {
		t.Errorf("%d, %v", got, err)
	}
	for _, b := range [][]byte{nil, make([]byte, 28), {0: 44, 4: 24, 27: 0}, append([]byte{0: 36, 4: 24, 27: 0}, 255, 255, 4, 0, 1, 0, 0, 0)} {
		if got, err := parseRoute(b); err == nil {
			t.Errorf("%x is read as interface %d", b, got)
		}
	}
}
