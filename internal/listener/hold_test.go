package listener

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
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
	var h holds
	var first *echo.HeldSoFar
	for i := range maxHolds {
		so, ok := h.begin(holdKey{echo.ID{byte(i / maxHoldsOfRun)}, echo.ID{byte(i)}})
		if !ok {
			t.Fatalf("no room for number %d", i)
		}
		if i == 0 {
			first = so
		}
	}
	if _, ok := h.begin(holdKey{echo.ID{9}, echo.ID{255}}); ok {
		t.Error("room for one too many")
	}
	h.end(first, nil)
	if _, ok := h.begin(holdKey{probe: echo.ID{255}}); !ok {
		t.Error("a finished one made no room")
	}
	if _, ok := h.begin(holdKey{probe: echo.ID{254}}); ok {
		t.Error("one run has more than its share")
	}
	if _, ok := h.of(holdKey{probe: echo.ID{0}}); ok {
		t.Error("the finished one is still there")
	}
}
