package listener

import (
	"net/netip"
	"strings"
	"testing"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

// backTo asks a listener to dial back to an address and returns the half.
func backTo(t *testing.T, c *echo.Conn, to netip.Addr, port int) result.Initiator {
	t.Helper()
	halves, err := c.DialBack(within(t, guardTime), echo.DialBack{TimeoutMS: 5000, Bytes: 1000, Paths: []echo.BackPath{
		{Flow: "back", Probe: echo.NewID(), Transport: plan.TCP, Port: port, Address: to},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return halves[0]
}

func backPlan(port int) *plan.Plan {
	return planOf(plan.Row{ID: "back", Transport: plan.TCP, Port: port}, plan.Row{ID: "data", Transport: plan.TCP})
}

var anyPort = []plan.Binding{{Transport: plan.TCP}}

// Whoever has the key may not aim the listener at somebody who has not proved
// it in the same run.
func TestDialBackToAnAddressThatTheRunNeverProvedItselfFromIsRefused(t *testing.T) {
	victim, came := far(t, netip.AddrPortFrom(elsewhere, 0))
	l := start(t, Config{Plan: backPlan(int(victim.Port())), Ports: anyPort})
	run := newAsk()
	c, _ := prove(t, loop, l.at, run)
	// Another run proved itself from there, which is no leave for this one.
	prove(t, elsewhere, l.at, newAsk())
	for name, to := range map[string]netip.Addr{
		"a stranger's":        netip.MustParseAddr("127.9.9.9"),
		"another run's":       elsewhere,
		"everybody's":         netip.IPv4Unspecified(),
		"of the other family": netip.IPv6Loopback(),
		"mapped into IPv6":    netip.AddrFrom16(elsewhere.As16()),
	} {
		if h := backTo(t, c, to, int(victim.Port())); h.Attempts != 0 || !strings.Contains(h.NotTried, "no address from which this run proved itself") {
			t.Errorf("%s: %+v", name, h)
		}
	}
	if n := came.Load(); n != 0 {
		t.Errorf("%d connections to the victim", n)
	}
	refused := 0
	for _, x := range l.told.list() {
		if x.Kind == echo.KindDialBack && strings.HasPrefix(x.Detail, "refused: ") {
			refused++
		}
	}
	if refused != 5 {
		t.Errorf("%d refusals were written down, not 5", refused)
	}
}

// IPv6 beside IPv4, or a pool of addresses: the same run proves itself from each.
func TestDialBackToAnotherAddressOfTheSameRun(t *testing.T) {
	there, came := far(t, netip.AddrPortFrom(elsewhere, 0))
	l := start(t, Config{Plan: backPlan(int(there.Port())), Ports: anyPort})
	run := newAsk()
	c, _ := prove(t, loop, l.at, run)
	second := newAsk()
	second.Run = run.Run
	other, _ := prove(t, elsewhere, l.at, second)
	if h := backTo(t, c, elsewhere, int(there.Port())); h.Attempts != 0 {
		t.Errorf("a Binding alone, which may be a recording, is leave to dial back: %+v", h)
	}
	if _, err := other.Hello(within(t, guardTime)); err != nil {
		t.Fatal(err)
	}
	if h := backTo(t, c, elsewhere, int(there.Port())); h.Answer != result.AnswerKeyed || h.Target.AddrPort != there {
		t.Errorf("%+v", h)
	}
	if came.Load() == 0 {
		t.Error("nobody came")
	}
}

// A datagram's source address is anybody's to choose.
func TestDatagramIsNoLeaveToDialBack(t *testing.T) {
	victim, came := far(t, netip.AddrPortFrom(elsewhere, 0))
	l := start(t, Config{Plan: backPlan(int(victim.Port())), Ports: anyPort})
	run := newAsk()
	c, _ := prove(t, loop, l.at, run)
	forged := netip.AddrPortFrom(elsewhere, 40000)
	l.arrivals.accepted(plan.UDP, forged, l.at)
	datagram := echo.Peer{Transport: plan.UDP, Remote: forged, Local: l.at, Run: run.Run, Probe: echo.NewID()}
	l.arrivals.asked(datagram)
	l.arrivals.proved(datagram)
	if h := backTo(t, c, elsewhere, int(victim.Port())); h.Attempts != 0 || came.Load() != 0 {
		t.Errorf("%+v", h)
	}
}

func TestDialBackToWhereTheSiteKnowsThePartner(t *testing.T) {
	there, came := far(t, netip.AddrPortFrom(elsewhere, 0))
	l := start(t, Config{Plan: backPlan(int(there.Port())), Ports: anyPort, Partners: []netip.Addr{elsewhere}})
	c, _ := prove(t, loop, l.at, newAsk())
	hello, err := c.Hello(within(t, guardTime))
	if err != nil || len(hello.Partners) != 1 || hello.Partners[0] != elsewhere {
		t.Errorf("hello tells of %v, %v", hello.Partners, err)
	}
	if h := backTo(t, c, elsewhere, int(there.Port())); h.Answer != result.AnswerKeyed {
		t.Errorf("%+v", h)
	}
	if h := backTo(t, c, elsewhere, 22); h.Attempts != 0 || !strings.Contains(h.NotTried, "not in the listener's plan") {
		t.Errorf("a port outside the plan: %+v", h)
	}
	if came.Load() == 0 {
		t.Error("nobody came")
	}
}

// Partners do not know each other's keys, and each gets answers under its own.
func TestEachKeyIsAnsweredUnderItself(t *testing.T) {
	second := prooftest.Key("another partner's key")
	there, _ := farWith(t, netip.AddrPortFrom(elsewhere, 0), second)
	l := start(t, Config{Plan: backPlan(int(there.Port())), Ports: anyPort, Others: []echo.Key{second}})
	first, _ := prove(t, loop, l.at, newAsk())
	if _, err := first.Hello(within(t, guardTime)); err != nil {
		t.Error(err)
	}
	ask := newAsk()
	ask.Key = second
	c, _ := prove(t, elsewhere, l.at, ask)
	if got := c.Send(within(t, guardTime), 1000); got.Outcome != result.TransferIntact {
		t.Errorf("payload under the second key: %+v", got)
	}
	// Dialing back proves the same key, not the listener's first.
	if h := backTo(t, c, netip.Addr{}, int(there.Port())); h.Answer != result.AnswerKeyed {
		t.Errorf("%+v", h)
	}
}
