package listener

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/result"
)

func delivery(t *testing.T, run string) echo.Delivery {
	t.Helper()
	return mustPack(t, &result.Report{Schema: result.Schema, Run: run, Mode: result.ModePaths})
}

func TestDeliveredReportIsKeptOnceForTheListenersOwnMachine(t *testing.T) {
	l := start(t, Config{})
	far, _ := prove(t, elsewhere, l.at, newAsk())
	for _, run := range []string{"older", "newer"} {
		if _, err := far.Deliver(within(t, guardTime), delivery(t, run)); err != nil {
			t.Fatal(err)
		}
	}
	var refused *echo.RefusedError
	if _, err := far.Collect(within(t, guardTime)); !errors.As(err, &refused) {
		t.Errorf("another machine fetched it: %v", err)
	}
	own, _ := prove(t, loop, l.at, newAsk())
	got, err := own.Collect(within(t, guardTime))
	if err != nil || got.Delivery == nil || got.AgeMS < 0 || got.AgeMS > time.Hour.Milliseconds() {
		t.Fatalf("%+v, %v", got, err)
	}
	if r, err := got.Delivery.Open(); err != nil || r.Run != "newer" {
		t.Errorf("%+v, %v", r, err)
	}
	if got, err := own.Collect(within(t, guardTime)); err != nil || got.Delivery != nil {
		t.Errorf("it was there twice: %+v, %v", got, err)
	}
}

// Who delivers often makes another's report neither vanish nor come first for ever.
func TestOneDelivererTakesNoOthersMail(t *testing.T) {
	var m mailbox
	from := func(addr string, run byte) echo.Peer {
		return echo.Peer{Remote: netip.AddrPortFrom(netip.MustParseAddr(addr), 1), Run: echo.ID{run}}
	}
	m.put(from("192.0.2.1", 1), echo.Delivery{Report: []byte("mine")})
	for i := range 100 {
		m.put(from("192.0.2.2", byte(10+i)), echo.Delivery{Report: []byte("theirs")})
	}
	var got []string
	for c := m.take(); c.Delivery != nil; c = m.take() {
		got = append(got, string(c.Delivery.Report))
	}
	if len(got) != 1+maxMailFrom || got[len(got)-1] != "mine" {
		t.Errorf("%q", got)
	}
	for i := range 100 { // from as many addresses
		m.put(from(fmt.Sprintf("192.0.2.%d", 10+i), byte(i)), echo.Delivery{})
	}
	if len(m.kept) != maxMail {
		t.Errorf("%d are kept", len(m.kept))
	}
}

func TestDeliveredReportGoesToWhoWaitsForIt(t *testing.T) {
	came := make(chan *result.Report, 1)
	l := start(t, Config{OnDelivery: func(r *result.Report, _ bool) (echo.Receipt, func()) { return echo.Receipt{}, func() { came <- r } }})
	far, _ := prove(t, elsewhere, l.at, newAsk())
	if _, err := far.Deliver(within(t, guardTime), delivery(t, "awaited")); err != nil {
		t.Fatal(err)
	}
	if r := receive(t, came); r.Run != "awaited" {
		t.Errorf("%+v", r)
	}
}

func TestDeliveryThatIsNoReportIsRefused(t *testing.T) {
	l := start(t, Config{})
	far, _ := prove(t, elsewhere, l.at, newAsk())
	for name, d := range map[string]echo.Delivery{
		"nothing":       {},
		"no gzip":       {Report: []byte("{}")},
		"another thing": mustPack(t, &result.Report{Schema: "other/1", Run: "r", Mode: result.ModePaths}),
		"claims":        mustPack(t, &result.Report{Schema: result.Schema, Run: "r", Mode: result.ModePaths, Paths: []result.Path{{Verdict: "splendid"}}}),
		"a bomb":        mustPack(t, &result.Report{Schema: result.Schema, Run: "r", Mode: result.ModePaths, Tool: strings.Repeat("x", 5<<20)}),
	} {
		var refused *echo.RefusedError
		if _, err := far.Deliver(within(t, guardTime), d); !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	own, _ := prove(t, loop, l.at, newAsk())
	if got, err := own.Collect(within(t, guardTime)); err != nil || got.Delivery != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func mustPack(t *testing.T, r *result.Report) echo.Delivery {
	t.Helper()
	d, err := echo.NewDelivery(r)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
