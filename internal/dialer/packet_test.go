package dialer

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// answerPackets answers datagrams as a listener does, but for those that are
// lost on the way there or back.
func answerPackets(t *testing.T, lost func(from netip.AddrPort, bytes int, back bool) bool) netip.AddrPort {
	t.Helper()
	a := answerer()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loop, 0)))
	if err != nil {
		t.Fatal(err)
	}
	at := sock.AddrPortOf(c.LocalAddr())
	done := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, echo.MaxPacket)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if lost(from, n, false) {
				continue
			}
			if resp, _ := a.AnswerPacket(from, at, b[:n]); resp != nil && !lost(from, len(resp), true) {
				_, _ = c.WriteToUDPAddrPort(resp, from)
			}
		}
	}()
	return at
}

func tryPackets(t *testing.T, lost func(from netip.AddrPort, bytes int, back bool) bool) result.Initiator {
	t.Helper()
	at := answerPackets(t, lost)
	return Attempt(t.Context(), Path{Flow: "browser", Transport: plan.UDP, Target: at, Probe: echo.NewID()}, Options{Key: rightKey, Timeout: 2 * time.Second})
}

// at random loses so many of a hundred packets each way, as a seed has it.
func atRandom(seed uint64, percent int) func(netip.AddrPort, int, bool) bool {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(netip.AddrPort, int, bool) bool { return r.IntN(100) < percent }
}

func TestDatagramsLostAtRandomAreCountedAndBlamedOnNothing(t *testing.T) {
	t.Parallel()
	for _, percent := range []int{10, 30} {
		for seed := range uint64(12) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				i := tryPackets(t, atRandom(seed, percent))
				if i.Answer != result.AnswerKeyed || i.Sent.Hole != nil || i.Received.Hole != nil {
					t.Fatalf("%d %%, seed %d: answer %s, sent %+v, received %+v, %+v", percent, seed, i.Answer, i.Sent, i.Received, i.Datagrams)
				}
				if i.Sent.Want < 1000 || i.Sent.Outcome != result.TransferIntact || i.Received.Want < 1000 || i.Received.Outcome != result.TransferIntact {
					t.Errorf("%d %%, seed %d: no full packet crossed: %+v, %+v", percent, seed, i.Sent, i.Received)
				}
				sent, answered := 0, 0
				for _, d := range i.Datagrams {
					sent, answered = sent+d.Sent, answered+d.Answered
				}
				if percent == 30 && answered < sent && (sent < 20 || !i.IsLossy()) {
					t.Errorf("seed %d: %d of %d answered, lossy %t: %+v", seed, answered, sent, i.IsLossy(), i.Datagrams)
				}
			})
		}
	}
}

func TestCleanUDPPathIsSentFewDatagrams(t *testing.T) {
	i := tryPackets(t, atRandom(1, 0))
	sent := 0
	for _, d := range i.Datagrams {
		sent += d.Sent
		if d.Answered != d.Sent || d.Deaf != 0 {
			t.Errorf("%+v", d)
		}
	}
	if sent != 3 || i.IsLossy() {
		t.Errorf("%d sent, lossy %t: %+v", sent, i.IsLossy(), i.Datagrams)
	}
}

func TestDatagramsDroppedBySourcePortAreNeitherAHoleNorLoss(t *testing.T) {
	t.Parallel()
	i := tryPackets(t, func(from netip.AddrPort, _ int, _ bool) bool { return from.Port()%2 == 1 })
	passed, failed := result.Compare(i.Connections)
	if i.Answer != result.AnswerKeyed || len(passed) == 0 || len(failed) == 0 {
		t.Fatalf("%s, %+v, %+v", i.Answer, i.Connections, i.Datagrams)
	}
	for _, c := range i.Connections {
		if even := c.Source.Port()%2 == 0; even != c.IsPassed() || c.Sent == 0 || even == (c.Lost > 0) {
			t.Errorf("%+v", c)
		}
	}
	for _, tr := range []*result.Transfer{i.Sent, i.Received} {
		if tr == nil || tr.Hole != nil || tr.Want < 1000 {
			t.Errorf("%+v", tr)
		}
	}
}

func TestLargeDatagramsThatNeverCrossAreAHole(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		percent int
		back    bool
	}{{0, false}, {0, true}, {20, false}, {20, true}} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			random := atRandom(7, c.percent)
			i := tryPackets(t, func(from netip.AddrPort, n int, back bool) bool {
				return n > 1000 && back == c.back || random(from, n, back)
			})
			with, without := i.Sent, i.Received
			if c.back {
				with, without = without, with
			}
			if i.Answer != result.AnswerKeyed || with == nil || with.Hole == nil || without.Hole != nil {
				t.Fatalf("%+v: %s, sent %+v, received %+v, %+v", c, i.Answer, i.Sent, i.Received, i.Datagrams)
			}
			if h := with.Hole; h.Passes != 1000 || h.Fails != 1004 || h.FailsTried < 6 || h.PassesCrossed == 0 {
				t.Errorf("%+v: %+v", c, *h)
			}
		})
	}
}

func TestSizeIsBlamedOnlyWhereChanceDoesNotExplainIt(t *testing.T) {
	for _, c := range []struct {
		small, large tally
		want         bool
	}{
		{tally{6, 6}, tally{6, 0}, true},
		{tally{6, 4}, tally{6, 0}, true},
		{tally{6, 3}, tally{6, 0}, false}, // half of all are lost
		{tally{20, 10}, tally{6, 0}, false},
		{tally{20, 10}, tally{8, 0}, true},
		{tally{6, 6}, tally{1, 0}, false}, // once is no rule
		{tally{6, 6}, tally{20, 1}, false},
		{tally{6, 0}, tally{6, 0}, false},
		{tally{}, tally{6, 0}, false},
		{tally{6, 6}, tally{}, false},
	} {
		if got := neverCrosses(c.small, c.large); got != c.want {
			t.Errorf("small %+v, large %+v: %t", c.small, c.large, got)
		}
	}
}

func TestWriteVanishesOnlyAsOneSegmentSentAgain(t *testing.T) {
	for name, c := range map[string]struct {
		f    sock.Flight
		want bool
	}{
		"sent again twice":         {sock.Flight{Unacknowledged: 1, Resent: 2, MSS: 1448, Window: 64000}, true},
		"the window is smaller":    {sock.Flight{Unacknowledged: 1, Resent: 5, MSS: 1448, Window: 502}, false},
		"it was two segments":      {sock.Flight{Unacknowledged: 2, Resent: 3, MSS: 536, Window: 64000}, false},
		"it was sent once only":    {sock.Flight{Unacknowledged: 1, Resent: 0, MSS: 1448, Window: 64000}, false},
		"it arrived":               {sock.Flight{Resent: 3, MSS: 1448, Window: 64000}, false},
		"nobody knows of a window": {sock.Flight{Unacknowledged: 1, Resent: 3, MSS: 1448}, true},
	} {
		if got := hasVanished(c.f, 1200); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
