package listener

import (
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// doorBeside is an open Door that could not have the port of live software.
func doorBeside(t *testing.T, l live) *Door {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the kernel's table of connections is read on Linux")
	}
	p := planOf(plan.Row{ID: "odyssey", Port: int(l.at.Port()), Transport: plan.TCP})
	d := OpenDoor(t.Context(), DoorConfig{Config: Config{Key: rightKey, Plan: p, Ports: p.Ports(nil), Addrs: []netip.Addr{loop}}, Timeout: time.Second})
	t.Cleanup(d.Close)
	return d
}

// takeFrom takes connections until it has the one that was made: a Door asks whoever
// has its port whether it is one of ours.
func (l live) takeFrom(t *testing.T, made net.Conn) net.Conn {
	t.Helper()
	for {
		if c := l.take(t); c.RemoteAddr().String() == made.LocalAddr().String() {
			_ = c.SetDeadline(time.Now().Add(guardTime))
			return c
		}
	}
}

// madeBy is the far end's half of ordinary connections, of which it tells the last.
func madeBy(o result.Ordinary, conns ...net.Conn) *result.Initiator {
	i := &result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerSilent, Ordinary: &o}
	for _, c := range conns {
		i.Source = endpointOf(c)
		i.Connections = append(i.Connections, result.Connection{Purpose: result.PurposeOrdinary, Reached: result.ReachedDone, Source: i.Source})
	}
	return i
}

// seenTo waits until a Visits has looked after all that happened before.
func seenTo(v *Visits) {
	looked := func() time.Time { v.mu.Lock(); defer v.mu.Unlock(); return v.last }
	for range 2 { // one may be under way
		for last := looked(); looked().Equal(last); {
			time.Sleep(time.Millisecond)
		}
	}
}

// What the far end makes is seen by this end itself: which connection, that it was
// accepted, and how much had come when the answer to it went out.
func TestVisitsAreSeenFromHere(t *testing.T) {
	live := startLive(t)
	d := doorBeside(t, live)
	old := dialFrom(t, elsewhere, live.at)
	live.takeFrom(t, old)
	v := d.Watch(int(live.at.Port()), elsewhere)
	if v == nil {
		t.Fatal("it is not watched")
	}
	c := dialFrom(t, elsewhere, live.at)
	far := live.takeFrom(t, c)
	seenTo(v)
	if _, err := c.Write(make([]byte, 94)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(far, make([]byte, 94)); err != nil {
		t.Fatal(err)
	}
	seenTo(v)
	if _, err := c.Write(make([]byte, 6)); err != nil { // a goodbye, of which the half does not tell
		t.Fatal(err)
	}
	if _, err := io.ReadFull(far, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	seenTo(v)
	c.Close()
	far.Close()
	seenTo(v)
	v.End()
	a := v.Half(madeBy(result.Ordinary{Sent: 94}, c))
	if a.Saw != result.SawAccepted || a.Match != result.MatchAddress || a.Source != endpointOf(c) || a.Counted == nil || a.Counted.In != 94 {
		t.Errorf("%+v, counted %+v", a, a.Counted)
	}
	if a := v.Half(madeBy(result.Ordinary{Sent: 95}, c)); !v.late && (a.Counted == nil || a.Counted.In == 95) {
		t.Errorf("of 95 bytes: %+v", a.Counted)
	}
	// Between two looks that are far apart more may have come than the first saw.
	late := v.late
	v.late = true
	if a := v.Half(madeBy(result.Ordinary{Sent: 250}, c)); a.Saw != result.SawAccepted || a.Counted != nil {
		t.Errorf("of 250 bytes, by a machine that was too slow: %+v, counted %+v", a, a.Counted)
	}
	if a := v.Half(madeBy(result.Ordinary{Sent: 94}, c)); a.Counted == nil || a.Counted.In != 94 {
		t.Errorf("what it did count: %+v", a.Counted)
	}
	v.late = late

	// One that was there before is nobody's that was made since.
	want := result.SawNothing
	if sock.MayBeLedElsewhere() {
		want = result.SawUnknown
	}
	if a := v.Half(madeBy(result.Ordinary{}, old)); a.Saw != want && !v.late {
		t.Errorf("one that was there before: %+v", a)
	}
	// Behind a NAT it is the n-th, if as many came as were made.
	hidden := madeBy(result.Ordinary{Sent: 94}, c)
	hidden.Source = result.EndpointFrom(netip.MustParseAddrPort("192.0.2.7:50000"))
	hidden.Connections[0].Source = hidden.Source
	if a := v.Half(hidden); a.Saw != result.SawAccepted || a.Match != result.MatchTime {
		t.Errorf("behind a NAT: %+v", a)
	}
	hidden.Connections = append(hidden.Connections, hidden.Connections[0])
	if a := v.Half(hidden); a.Saw != result.SawUnknown {
		t.Errorf("behind a NAT, and one of two came: %+v", a)
	}
}

// Where the machine leads a port, the system is asked, which may take its time: nobody
// waits for it who only looks.
func TestWhereAPortIsLedIsAskedWithoutKeepingOthersWaiting(t *testing.T) {
	v := &Visits{port: 443}
	v.translated = func() (string, bool) {
		if !v.mu.TryLock() {
			t.Error("what was seen is locked meanwhile")
		} else {
			v.mu.Unlock()
		}
		return "10.9.9.9/443", true
	}
	if a := v.Half(&result.Initiator{}); a.Saw != result.SawUnknown || !strings.Contains(a.Reason, "leads the port on to 10.9.9.9/443") {
		t.Errorf("%+v", a)
	}
}

// A port that is this end's own is nobody else's to be watched.
func TestOwnPortIsNotWatchedForVisits(t *testing.T) {
	p := planOf(plan.Row{ID: "high", Transport: plan.TCP})
	d := OpenDoor(t.Context(), DoorConfig{Config: Config{Key: rightKey, Plan: p, Ports: p.Ports(nil), Addrs: []netip.Addr{loop}}, Timeout: time.Second})
	defer d.Close()
	if v := d.Watch(d.HighPort("high", result.IP4), elsewhere); v != nil {
		t.Error("it is watched")
	}
	if v := (*Door)(nil).Watch(7968, elsewhere); v != nil {
		t.Error("a Door that was never opened watches")
	}
	(*Visits)(nil).End()
}
