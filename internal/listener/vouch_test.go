package listener

import (
	"errors"
	"net/netip"
	"testing"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

func TestListenerVouchesForWhatItSawAlone(t *testing.T) {
	l := start(t, Config{})
	ask := newAsk()
	prove(t, elsewhere, l.at, ask)
	port := int(l.at.Port())
	in := echo.Claim{Direction: plan.Reverse, Transport: plan.TCP, Port: port, Family: result.IP4}
	claims := []echo.Claim{
		in,
		{Direction: plan.Reverse, Transport: plan.TCP, Port: port + 1, Family: result.IP4},
		{Direction: plan.Reverse, Transport: plan.UDP, Port: port, Family: result.IP4},
		{Direction: plan.Reverse, Transport: plan.TCP, Port: port, Family: result.IP6},
		{Direction: plan.Forward, Transport: plan.TCP, Port: port, Family: result.IP4}, // it dialed nobody
	}
	own, _ := prove(t, loop, l.at, newAsk())
	got, err := own.Vouch(within(t, guardTime), echo.Vouch{Run: ask.Run, Claims: claims})
	if err != nil {
		t.Fatal(err)
	}
	for n, borne := range got.Borne {
		if borne != (n == 0) {
			t.Errorf("%+v: %v", claims[n], borne)
		}
	}
	for _, run := range []echo.ID{echo.NewID(), {}} {
		if l.Bears(run, in) {
			t.Errorf("run %s was never here", run)
		}
	}
	far, _ := prove(t, elsewhere, l.at, newAsk())
	var refused *echo.RefusedError
	if _, err := far.Vouch(within(t, guardTime), echo.Vouch{Run: ask.Run, Claims: claims}); !errors.As(err, &refused) {
		t.Errorf("another machine was told: %v", err)
	}
	if _, err := own.Vouch(within(t, guardTime), echo.Vouch{Claims: make([]echo.Claim, echo.MaxClaims+1)}); !errors.As(err, &refused) {
		t.Errorf("too much was answered: %v", err)
	}
}

// What it dialed itself counts only if the proof and the payload came through,
// from the port that was dialed.
func TestDialedBackBearsWhatCameThrough(t *testing.T) {
	target := netip.MustParseAddrPort("192.0.2.7:7968")
	whole := &result.Transfer{Outcome: result.TransferIntact}
	good := result.Initiator{Answer: result.AnswerKeyed, Origin: result.EndpointFrom(target), Sent: whole, Received: whole}
	claim := echo.Claim{Direction: plan.Forward, Transport: plan.TCP, Port: 7968, Family: result.IP4}
	run := echo.NewID()
	for name, c := range map[string]struct {
		change func(*result.Initiator)
		want   bool
	}{
		"whole":        {func(*result.Initiator) {}, true},
		"no proof":     {func(i *result.Initiator) { i.Answer = result.AnswerForeign }, false},
		"another port": {func(i *result.Initiator) { i.Origin = result.EndpointFrom(netip.MustParseAddrPort("192.0.2.7:80")) }, false},
		"no payload":   {func(i *result.Initiator) { i.Received = nil }, false},
		"a part of it": {func(i *result.Initiator) { i.Sent = &result.Transfer{Outcome: result.TransferStalled} }, false},
	} {
		var d dialedBack
		i := good
		c.change(&i)
		d.attempted(run, plan.TCP, target, i)
		if d.bears(run, claim) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
	var d dialedBack
	for range 2*maxDialed + 1 {
		d.attempted(echo.NewID(), plan.TCP, target, good)
	}
	d.attempted(run, plan.TCP, target, good)
	if len(d.well) > maxDialed || !d.bears(run, claim) {
		t.Errorf("%d remembered, the newest %v", len(d.well), d.bears(run, claim))
	}
	service := claim
	service.Service = true
	d.conversed(run, plan.TCP, target, result.Conversation{Outcome: result.ConversationCompleted, Changed: []string{"x"}})
	if d.bears(run, service) {
		t.Error("a conversation that was changed bears a claim out")
	}
	d.conversed(run, plan.TCP, target, result.Conversation{Outcome: result.ConversationCompleted})
	if !d.bears(run, service) {
		t.Error("a conversation that was held does not")
	}
}
