package listener

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

func TestConnectionsAreKeptIdleTowardsTheAskingAddressOnly(t *testing.T) {
	there, came := far(t, netip.AddrPortFrom(elsewhere, 0))
	l := start(t, Config{Plan: planOf(plan.Row{ID: "back", Transport: plan.TCP, Port: int(there.Port())}), Ports: []plan.Binding{{Transport: plan.TCP}}})
	c, _ := prove(t, elsewhere, l.at, newAsk())
	order := echo.HoldBack{TimeoutMS: 5000, LongestMS: 1000, Path: echo.BackPath{Flow: "back", Probe: echo.NewID(), Transport: plan.TCP, Port: int(there.Port())}}
	var refused *echo.RefusedError
	for name, change := range map[string]func(*echo.BackPath){
		"a port outside the plan": func(p *echo.BackPath) { p.Port++ },
		"a row outside the plan":  func(p *echo.BackPath) { p.Flow = "other" },
		"another transport":       func(p *echo.BackPath) { p.Transport = plan.UDP },
	} {
		bad := order
		bad.Path.Probe = echo.NewID()
		change(&bad.Path)
		if err := c.HoldBack(within(t, guardTime), bad); !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.HoldBack(within(t, guardTime), order); err != nil {
		t.Fatal(err)
	}
	if err := c.HoldBack(within(t, guardTime), order); !errors.As(err, &refused) {
		t.Errorf("the same once more: %v", err)
	}
	// Another run asks for what is not its own.
	other, _ := prove(t, elsewhere, l.at, newAsk())
	if _, err := other.HeldBack(within(t, guardTime), order.Path.Probe); !errors.As(err, &refused) {
		t.Errorf("another run: %v", err)
	}
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		so, err := c.HeldBack(within(t, guardTime), order.Path.Probe)
		if err != nil || time.Since(begun) > guardTime {
			t.Fatalf("%+v, %v", so, err)
		}
		if !so.Done {
			continue
		}
		if len(so.Held) != 2 || so.Held[0].Outcome != result.IdleSurvived || so.Held[1].Outcome != result.IdleSurvived ||
			so.Held[0].First == so.Held[1].First || came.Load() != 3 { // one of them is busy
			t.Errorf("%+v, %d connections", so.Held, came.Load())
		}
		return
	}
}

func TestOldestResultsMakeRoomAndRunningOnesDoNot(t *testing.T) {
	var h idlePaths
	mine, theirs := networkOf(loop), networkOf(elsewhere)
	own := h.begin(idleKey{echo.ID{1}, echo.ID{1}}, mine) // the oldest of all
	var first *idlePath
	for i := range maxIdleKept - 1 {
		so := h.begin(idleKey{echo.ID{byte(i)}, echo.ID{2, byte(i), byte(i >> 8)}}, theirs)
		if so == nil {
			t.Fatalf("no room for number %d", i)
		}
		if i == 0 {
			first = so
		}
	}
	if h.begin(idleKey{echo.ID{9}, echo.ID{255}}, mine) != nil {
		t.Error("room for one too many")
	}
	h.end(own, nil)
	h.end(first, nil)
	h.end(h.held[h.keys[3]], nil)
	for i := range 2 {
		if h.begin(idleKey{probe: echo.ID{255, byte(i)}}, theirs) == nil {
			t.Error("a finished one made no room")
		}
		if _, ok := h.of(idleKey{echo.ID{1}, echo.ID{1}}); ok != (i == 0) { // by then each has one
			t.Errorf("after %d, that of another network is there: %v", i+1, ok)
		}
	}
	if _, ok := h.of(idleKey{echo.ID{0}, echo.ID{2}}); ok {
		t.Error("the finished one is still there")
	}
	if h.begin(idleKey{h.keys[0].run, h.keys[0].probe}, mine) != nil {
		t.Error("one probe is held twice")
	}
}

// One holder of the key with many runs does not take all places for connections that
// are kept idle, and each refusal says whose share is used up.
func TestNoHolderOfTheKeyTakesAllIdleConnections(t *testing.T) {
	mute := prooftest.Accept(t, netip.AddrPortFrom(netip.IPv4Unspecified(), 0), func(_ context.Context, c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	l := start(t, Config{Plan: planOf(plan.Row{ID: "back", Transport: plan.TCP, Port: int(mute.Port())}), Ports: []plan.Binding{{Transport: plan.TCP}}})
	// held is how many of a run's paths are held, and why no more are.
	held := func(from netip.Addr, most int) (n int, why string) {
		c, _ := prove(t, from, l.at, newAsk())
		for ; n < most; n++ {
			err := c.HoldBack(within(t, guardTime), echo.HoldBack{TimeoutMS: 60_000, LongestMS: 60_000, Path: echo.BackPath{Flow: "back", Probe: echo.NewID(), Transport: plan.TCP, Port: int(mute.Port())}})
			var refused *echo.RefusedError
			switch {
			case errors.As(err, &refused):
				return n, refused.Reason
			case err != nil:
				t.Fatal(err)
			}
		}
		return n, ""
	}
	for _, c := range []struct {
		from netip.Addr
		n    int
		why  string
	}{
		{loop, maxIdlePathsOfRun, "keeping connections idle for this run already as often as it does for one run at a time (24)"},
		{loop, maxIdlePathsOfRun, "for this run already"},
		{loop, 0, "for runs from 127.0.0.1 as often as it does for one network at a time (48)"},
		{elsewhere, 16, "as often as it does at a time (64), for this run and others"},
	} {
		if n, why := held(c.from, 2*maxIdlePaths); n != c.n || !strings.Contains(why, c.why) {
			t.Errorf("from %s: %d, want %d: %q, want %q", c.from, n, c.n, why, c.why)
		}
	}
}
