package verdict

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

func TestLossIsEstimatedOverAllEvidence(t *testing.T) {
	rtt := func(ms float64) *float64 { return &ms }
	tcp := func(segments, again, needless int) *result.TCP {
		return &result.TCP{MSS: 1448, Segments: segments, Retransmits: again, Needless: needless}
	}
	open := func(t *result.TCP, ms float64) *result.Initiator {
		return &result.Initiator{Connect: result.ConnectOpen, ConnectMS: ms, TCP: t}
	}
	datagrams := func(d ...result.Datagrams) *result.Initiator {
		return &result.Initiator{Connect: result.ConnectOpen, ConnectMS: 0.1, Datagrams: d}
	}
	slow := open(tcp(200, 1, 0), 1210)
	slow.RTTMS = rtt(1200)
	for name, c := range map[string]struct {
		all       []*result.Initiator
		far       []*result.Acceptor
		roundTrip float64
	}{
		"nothing is known":                                          {},
		"nothing is lost":                                           {all: []*result.Initiator{open(tcp(190, 0, 0), 1), open(tcp(190, 0, 0), 1)}},
		"a tenth of what is sent":                                   {all: []*result.Initiator{open(tcp(200, 20, 0), 1), open(tcp(200, 20, 0), 1)}, roundTrip: 0.1},
		"a tenth each way":                                          {all: []*result.Initiator{open(tcp(200, 20, 0), 1)}, far: []*result.Acceptor{{TCP: tcp(200, 20, 0)}, {}, nil}, roundTrip: 0.19},
		"what was sent again needlessly":                            {all: []*result.Initiator{open(tcp(200, 40, 40), 1)}},
		"some of it":                                                {all: []*result.Initiator{open(tcp(200, 40, 20), 1)}, roundTrip: 0.1},
		"a long way is no loss":                                     {all: []*result.Initiator{slow}, roundTrip: 0.005},
		"one SYN of three is no rate":                               {all: []*result.Initiator{open(tcp(190, 0, 0), 1001), open(tcp(190, 0, 0), 1), open(tcp(190, 0, 0), 1)}},
		"SYNs that came late, of many connections":                  {all: []*result.Initiator{{Connect: result.ConnectOpen, ConnectMS: 1, Connections: shaken(30, 10)}}, roundTrip: 0.5},
		"no first SYN arrives":                                      {all: []*result.Initiator{{Connect: result.ConnectOpen, RTTMS: rtt(1), Connections: shaken(30, 30)}}, roundTrip: 1},
		"each takes as long, and so does a trip":                    {all: []*result.Initiator{{Connect: result.ConnectOpen, Connections: shaken(30, 30)}}},
		"half of the datagrams":                                     {all: []*result.Initiator{datagrams(result.Datagrams{Sent: 30, Answered: 15, Sources: 8}, result.Datagrams{Sent: 20, Answered: 10, Sources: 4})}, roundTrip: 0.5},
		"a size that never crosses is no loss":                      {all: []*result.Initiator{datagrams(result.Datagrams{Sent: 20, Answered: 20, Sources: 4}, result.Datagrams{Sent: 60, Sources: 12, Deaf: 12})}},
		"nor are source ports that are deaf":                        {all: []*result.Initiator{datagrams(result.Datagrams{Sent: 20, Answered: 10, Sources: 4, Deaf: 2})}},
		"nor is one that is beside one that got its answer at once": {all: []*result.Initiator{datagrams(result.Datagrams{Sent: 5, Answered: 1, Sources: 2, Deaf: 1, DeafSent: 4}, result.Datagrams{Sent: 23, Answered: 10, Sources: 5, Deaf: 3, DeafSent: 13})}},
		"and one that is deaf to three, which may be loss":          {all: []*result.Initiator{datagrams(result.Datagrams{Sent: 30, Answered: 27, Sources: 7, Deaf: 1, DeafSent: 3})}, roundTrip: 0.1},
		"one datagram a port, and that is loss":                     {all: []*result.Initiator{datagrams(result.Datagrams{Sent: 20, Answered: 10, Sources: 20, Deaf: 10})}, roundTrip: 0.5},
		"an attempt that got nothing is no loss":                    {all: []*result.Initiator{{Connect: result.ConnectTimeout, ConnectMS: 4000}, {NotTried: "no contact"}, nil}},
		"segments that the system did not count":                    {all: []*result.Initiator{{Connect: result.ConnectOpen, TCP: &result.TCP{MSS: 1000, Retransmits: 25}, Sent: &result.Transfer{Intact: 100_000}}}, roundTrip: 0.2},
	} {
		l := LossOf(c.all, c.far...)
		if got := l.RoundTripOf(plan.TCP); math.Abs(got-c.roundTrip) > 0.001 {
			t.Errorf("%s: %.3f of round trips, want %.3f (%+v)", name, got, c.roundTrip, l)
		}
	}
}

// Who gives up after two or four seconds sees few of the connections that lost
// their SYNs. What is told of the loss must not depend on how long that is, nor on
// when the system sends SYNs again.
func TestLossOfHandshakesIsThatOfTheLineHoweverLongOneWaits(t *testing.T) {
	rfc, linear := []float64{0, 1000, 3000, 7000}, []float64{0, 1000, 2000, 3000, 4000} // ms
	for _, loss := range []float64{0.02, 0.1, 0.3, 0.5} {
		for _, patience := range []float64{2000, 4000, 12000} {
			for _, schedule := range [][]float64{rfc, linear} {
				draw := rand.New(rand.NewPCG(1, 2))
				i := &result.Initiator{Connect: result.ConnectOpen, ConnectMS: 1}
				for range 50_000 {
					c := result.Connection{Reached: result.ReachedNothing, Ended: result.EndedSilent, ElapsedMS: patience}
					for _, at := range schedule {
						if at < patience && draw.Float64() >= loss {
							c = result.Connection{Reached: result.ReachedDone, Ended: result.EndedWell, ConnectMS: at + 1, ElapsedMS: at + 2}
							break
						}
					}
					i.Connections = append(i.Connections, c)
				}
				if got := LossOf([]*result.Initiator{i}).RoundTripOf(plan.TCP); math.Abs(got-loss) > 0.01 {
					t.Errorf("%.3f for a loss of %.2f, with a patience of %.0f s and SYNs at %v", got, loss, patience/1000, schedule)
				}
			}
		}
	}
}

// A connection that was given four seconds sent three SYNs: that chance takes all of
// them is rarer than that it takes the two of one that was given two.
func TestLongerAConnectionHadLessLossExplainsIt(t *testing.T) {
	failed := func(ms ...float64) (list []result.Connection) {
		for _, m := range ms {
			list = append(list, result.Connection{Reached: result.ReachedNothing, Ended: result.EndedSilent, ElapsedMS: m})
		}
		return list
	}
	cut := result.Connection{Reached: result.ReachedProved, Ended: result.EndedSilent, ElapsedMS: 9000}
	for name, c := range map[string]struct {
		loss   float64
		passed int
		failed []result.Connection
		chance float64 // within a tenth of it
	}{
		"one try":                  {0.1, 9, failed(1001), 0.65},
		"two tries":                {0.1, 9, failed(2003), 0.096},
		"three tries":              {0.1, 9, failed(4001), 0.01},
		"four tries":               {0.1, 9, failed(12_000), 0.001},
		"one of two had three":     {0.1, 8, failed(2003, 4001), 0.0043},
		"after the handshake":      {0.1, 9, []result.Connection{cut}, 0.096},
		"two hundredths, two SYNs": {0.02, 16, failed(4001), 0.000136},
	} {
		if got := byLoss(plan.TCP, c.loss, c.passed, c.failed); math.Abs(got/c.chance-1) > 0.1 {
			t.Errorf("%s: %.5f, want %.5f", name, got, c.chance)
		}
	}
}

// A few SYNs that got lost beside much payload of which nothing did are no rate of
// the line: one connection that failed for good is put down to something else.
func TestPayloadThatComesThroughTellsOfSYNsToo(t *testing.T) {
	l := Loss{There: Lost{194, 0}, Back: Lost{194, 0}, Handshakes: Lost{52, 2}}
	loss := l.RoundTripOf(plan.TCP)
	if loss > 0.01 {
		t.Errorf("a loss of %.3f", loss)
	}
	if isLoss(question{Transport: plan.TCP, Loss: loss}, well(16), []result.Connection{{Reached: result.ReachedNothing, Ended: result.EndedSilent, ElapsedMS: 4001}}) {
		t.Error("what the table had no room for is put down to loss")
	}
}

// shaken are connections whose handshake came about, some of them a second late.
func shaken(n, late int) []result.Connection {
	out := make([]result.Connection, n)
	for i := range out {
		out[i] = result.Connection{Reached: result.ReachedDone, ConnectMS: 1}
		if i < late {
			out[i].ConnectMS = 1001
		}
	}
	return append(out, result.Connection{Reached: result.ReachedNothing, ConnectMS: 4000})
}

// SYNs that get lost while payload does not are a device's doing, which does not
// take every new connection: no chance explains a connection that failed then.
func TestLostHandshakesAloneAreNoLossOfTheLine(t *testing.T) {
	for name, c := range map[string]struct {
		l      Loss
		device bool
	}{
		"SYNs only, beside much payload":     {Loss{There: Lost{1000, 0}, Back: Lost{1000, 0}, Handshakes: Lost{60, 8}}, true},
		"all alike":                          {Loss{There: Lost{1000, 100}, Back: Lost{1000, 90}, Handshakes: Lost{60, 9}}, false},
		"little payload":                     {Loss{There: Lost{60, 0}, Back: Lost{60, 0}, Handshakes: Lost{20, 3}}, false},
		"one SYN":                            {Loss{There: Lost{1000, 0}, Back: Lost{1000, 0}, Handshakes: Lost{60, 1}}, false},
		"no SYN":                             {Loss{There: Lost{1000, 0}, Back: Lost{1000, 0}, Handshakes: Lost{60, 0}}, false},
		"a third of both, and few were sent": {Loss{There: Lost{300, 90}, Back: Lost{300, 80}, Handshakes: Lost{12, 6}}, false},
	} {
		if got := c.l.IsOfHandshakes(); got != c.device {
			t.Errorf("%s: %v", name, got)
		}
	}
	// For a moment nothing passed: datagrams show that as little as SYNs do.
	outage := Loss{There: Lost{740, 12}, Back: Lost{740, 0}, Handshakes: Lost{72, 6}, Datagrams: Lost{28, 6}}
	if outage.IsOfHandshakes() || outage.RoundTripOf(plan.TCP) > 0.03 || outage.RoundTripOf(plan.UDP) < 0.1 {
		t.Errorf("%v, %.3f of TCP and %.3f of UDP", outage.IsOfHandshakes(), outage.RoundTripOf(plan.TCP), outage.RoundTripOf(plan.UDP))
	}
	all := Loss{There: Lost{740, 74}, Back: Lost{740, 60}, Handshakes: Lost{72, 14}, Datagrams: Lost{28, 6}}
	if all.RoundTripOf(plan.TCP) < 0.15 {
		t.Errorf("%.3f where all are lost alike", all.RoundTripOf(plan.TCP))
	}
	full := Loss{There: Lost{1000, 0}, Back: Lost{1000, 0}, Handshakes: Lost{300, 5}}
	if loss := full.RoundTripOf(plan.TCP); loss == 0 {
		t.Error("5 of 300 SYNs beside 2000 segments may be loss")
	}
	full.Unanswered = Lost{4, 4}
	if loss := full.RoundTripOf(plan.TCP); loss != 0 {
		t.Errorf("%.4f where two connections got no answer to any SYN, 5 of 300 others lost one, and none of 2000 segments got lost", loss)
	}
	lossy := Loss{There: Lost{740, 74}, Back: Lost{740, 60}, Handshakes: Lost{72, 14}, Unanswered: Lost{6, 6}}
	if loss := lossy.RoundTripOf(plan.TCP); loss < 0.15 {
		t.Errorf("%.3f where all are lost alike", loss)
	}
	device := Loss{There: Lost{1000, 0}, Back: Lost{1000, 0}, Handshakes: Lost{60, 8}}.RoundTripOf(plan.TCP)
	failed := []result.Connection{{Ended: result.EndedSilent}}
	if isLoss(question{Transport: "tcp", Loss: device}, well(20), failed) {
		t.Errorf("1 of 21 is put down to a loss of %.3f", device)
	}
	if !isLoss(question{Transport: "tcp", Loss: 0.13}, well(20), failed) {
		t.Error("1 of 21 is not put down to the loss of each eighth packet")
	}
	silent := func(n int) []result.Connection { return slices.Repeat(failed, n) }
	if !isLoss(question{Transport: "tcp", Loss: 0.24}, well(20), silent(5)) {
		t.Error("5 of 25 is a device's doing where nearly each fourth round trip is lost, which happens by chance in one path of fifty")
	}
	if isLoss(question{Transport: "tcp", Loss: 0.33}, well(8), silent(4)) {
		t.Error("4 of 12 is put down to the loss of each third round trip, which fails users' connections, too")
	}
	if q := (question{Transport: "tcp", Loss: 0.33}); !isLoss(q, well(8), silent(2)) || !IsUndecided(q.Transport, q.Loss, well(8), silent(2)) {
		t.Error("2 of 10 is no reason to look further where each third round trip is lost")
	}
	if !isLoss(question{Transport: "tcp", Loss: 0.0975}, well(41), silent(3)) {
		t.Error("3 of 44 is a device's doing where a tenth of the round trips is lost, which happens by chance on one path of a hundred")
	}
	if isLoss(question{Transport: "tcp", Loss: 0.3}, well(36), silent(12)) {
		t.Error("12 of 48 is put down to the loss of three in ten round trips")
	}
	if isLoss(question{Transport: "tcp", Loss: 0.2}, well(18), silent(6)) {
		t.Error("6 of 24 is put down to the loss of each fifth round trip, which makes that of one path in three thousand")
	}
}

// well are connections that passed, from nobody knows which ports.
func well(n int) []result.Connection {
	return slices.Repeat([]result.Connection{{Reached: result.ReachedDone, Ended: result.EndedWell}}, n)
}

// Loss knows no source ports: where they decide it is not loss, however much is lost.
func TestLossDoesNotChooseSourcePorts(t *testing.T) {
	from := func(ended result.Ended, ports ...uint16) (out []result.Connection) {
		for _, p := range ports {
			c := result.Connection{Ended: ended, ElapsedMS: 2007, Source: result.Endpoint{AddrPort: netip.AddrPortFrom(netip.MustParseAddr("10.1.0.10"), p)}}
			if ended == result.EndedWell {
				c.Reached = result.ReachedDone
			}
			out = append(out, c)
		}
		return out
	}
	const loss = 0.24
	for name, c := range map[string]struct {
		passed, failed    []uint16
		isLoss, undecided bool
	}{
		"each odd one":            {[]uint16{2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34}, []uint16{3, 3, 5, 7, 9, 11}, false, false},
		"three of the odd ones":   {[]uint16{2, 4, 6, 8, 10, 12, 14, 16, 18, 5, 7, 9, 11, 13}, []uint16{3, 17, 21}, true, false},
		"each of three odd ones":  {[]uint16{2, 4, 6, 8, 10, 12, 14}, []uint16{3, 5, 7}, true, true},
		"the same ports again":    {[]uint16{2, 2, 2, 5, 5, 5, 9, 9, 9, 12, 12, 12}, []uint16{4, 4, 4, 7, 7, 7}, false, false},
		"a port that does both":   {[]uint16{2, 2, 2, 5, 5, 5, 9, 9, 9, 12, 12, 12, 4}, []uint16{4, 4, 7, 7, 7}, true, true},
		"as loss would choose":    {[]uint16{2, 4, 6, 8, 10, 12, 3, 5, 7, 9, 11, 13}, []uint16{14, 15, 16}, true, false},
		"all but one, odd or not": {[]uint16{2}, []uint16{3}, true, false},
	} {
		passed, failed := from(result.EndedWell, c.passed...), from(result.EndedSilent, c.failed...)
		q := question{Transport: plan.TCP, Loss: loss}
		if got := isLoss(q, passed, failed); got != c.isLoss {
			t.Errorf("%s: put down to loss: %v (chance %.5f, by ports %.5f)", name, got, byLoss(plan.TCP, loss, len(passed), failed), portsByChance(passed, failed))
		}
		if got := IsUndecided(plan.TCP, loss, passed, failed); got != c.undecided {
			t.Errorf("%s: undecided: %v (chance %.5f, by ports %.5f)", name, got, byLoss(plan.TCP, loss, len(passed), failed), portsByChance(passed, failed))
		}
	}
}

// Where a quarter of all packets is lost, one conversation that stops in the middle
// is told as what happens to some connections, not as a device that reads it.
func TestConversationThatLossStoppedIsUnsteady(t *testing.T) {
	whole := func() *result.Transfer {
		return &result.Transfer{Outcome: result.TransferIntact, Want: 262144, Intact: 262144}
	}
	c := question{Transport: "tcp", Port: 1344, Instance: "a", Loss: 0.4, Acceptor: &result.Acceptor{Port: result.PortBound, Instance: "a"}, Initiator: &result.Initiator{
		Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Instance: "a", Origin: result.Endpoint{AddrPort: netip.MustParseAddrPort("10.0.0.1:1344")},
		Sent: whole(), Received: whole(), Conversation: &result.Conversation{Speaks: "z39.50", Outcome: result.ConversationSilent},
	}}
	for range 12 {
		c.Initiator.Connections = append(c.Initiator.Connections, result.Connection{Purpose: result.PurposeSample, Reached: result.ReachedDone, Ended: result.EndedWell})
	}
	stopped := result.Connection{Purpose: result.PurposeConversation, Reached: result.ReachedConnected, Ended: result.EndedSilent}
	c.Initiator.Connections = append(c.Initiator.Connections, stopped)
	if r := judge(c); r.Verdict != result.Unsteady || r.OK {
		t.Errorf("%+v", r)
	}
	p := result.Path{Verdict: result.Unsteady, From: "client", To: "server", Transport: "tcp", Port: 1344, Service: "Z39.50", Initiator: c.Initiator, Acceptor: c.Acceptor}
	if f := explain(p, Context{Mode: result.ModePaths}); f == nil || f.Code != "cut-off-later" {
		t.Errorf("%+v", f)
	}
	few := c
	if few.Loss = 0.02; judge(few).Verdict != result.Stalled {
		t.Errorf("a loss of 2 %% is the excuse")
	}
	c.Initiator.Conversation.Failures = 2
	c.Initiator.Conversation.Controls = []result.Control{{Answer: result.AnswerKeyed}, {Answer: result.AnswerKeyed}}
	if r := judge(c); r.Verdict != result.Stalled {
		t.Errorf("it fails for what it says, and is %s", r.Verdict)
	}
	c.Initiator.Conversation = nil
	c.Initiator.Received.Outcome = result.TransferStalled
	c.Initiator.Received.Intact = 0
	if r := judge(c); r.Verdict != result.Unsteady || r.OK {
		t.Errorf("the payload stopped where others carried theirs and many packets are lost, and is %s", r.Verdict)
	}
	c.Initiator.Connections = c.Initiator.Connections[:12] // of which none failed
	p.Initiator = c.Initiator
	if f := explain(p, Context{Mode: result.ModePaths}); f == nil || !strings.Contains(f.Text, "Of 13 connections 12 passed, and on one the payload stopped (from server to client: stalled after 0 of 262144 bytes)") {
		t.Errorf("%+v", f)
	}
	few = c
	if few.Loss = 0.05; judge(few).Verdict != result.Stalled {
		t.Errorf("a loss of 5 %% is the excuse")
	}
	for i := range c.Initiator.Connections {
		c.Initiator.Connections[i].Reached, c.Initiator.Connections[i].Ended = result.ReachedProved, result.EndedCut
	}
	if r := judge(c); r.Verdict != result.Stalled {
		t.Errorf("no payload ever came through, and is %s", r.Verdict)
	}
}

func TestThrottledStallIsToldByItsWindow(t *testing.T) {
	p := result.Path{Verdict: result.Stalled, From: "client", To: "server", Transport: "tcp", Port: 7968, Service: "Odyssey", Initiator: &result.Initiator{
		Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Sent: &result.Transfer{Outcome: result.TransferStalled, Want: 262144, Intact: 936},
		Received: &result.Transfer{Outcome: result.TransferIntact, Want: 262144, Intact: 262144}, TCP: &result.TCP{MSS: 1448, Unscaled: true, Window: 64},
	}}
	if f := explain(p, Context{Mode: result.ModePaths}); f == nil || f.Code != "window-scale" {
		t.Errorf("%+v", f)
	}
	for _, roomy := range []result.TCP{{Window: 64}, {Unscaled: true, Window: 64240}, {Unscaled: true}} {
		p.Initiator.TCP = &roomy
		if f := explain(p, Context{Mode: result.ModePaths}); f == nil || f.Code != "stalled-payload" {
			t.Errorf("%+v: %+v", roomy, f)
		}
	}
}

func TestLateOrNeedlessIsNotLossy(t *testing.T) {
	ms := 1200.0
	for name, i := range map[string]*result.Initiator{
		"a round trip of 1.2 s":            {Connect: result.ConnectOpen, ConnectMS: 1215, RTTMS: &ms, TCP: &result.TCP{RTTMS: 1203, Retransmits: 1}},
		"sent again needlessly":            {Connect: result.ConnectOpen, ConnectMS: 1, TCP: &result.TCP{Retransmits: 60, Needless: 58, Reordered: 40}},
		"datagrams of a size that cannot":  {Connect: result.ConnectOpen, Datagrams: []result.Datagrams{{Sent: 20, Answered: 20}, {Sent: 20}}},
		"two datagrams":                    {Connect: result.ConnectOpen, Datagrams: []result.Datagrams{{Sent: 20, Answered: 18}}},
		"a handshake that never completed": {Connect: result.ConnectTimeout, ConnectMS: 4000},
	} {
		if i.IsLossy() {
			t.Errorf("%s is lossy", name)
		}
	}
	for name, i := range map[string]*result.Initiator{
		"a SYN":             {Connect: result.ConnectOpen, ConnectMS: 1002, TCP: &result.TCP{RTTMS: 1}},
		"a SYN on long way": {Connect: result.ConnectOpen, ConnectMS: 2215, RTTMS: &ms},
		"several segments":  {Connect: result.ConnectOpen, TCP: &result.TCP{Retransmits: 10, Needless: 2}},
		"several datagrams": {Connect: result.ConnectOpen, Datagrams: []result.Datagrams{{Sent: 20, Answered: 14}}},
	} {
		if !i.IsLossy() {
			t.Errorf("%s: not lossy", name)
		}
	}
}

// Where a third of all round trips is lost, connections that failed are said with the
// estimate, and no device is looked for first; what no loss explains is said as ever.
func TestHeavyLossIsSaidWithItsEstimate(t *testing.T) {
	some := func(n, from int, c result.Connection) (out []result.Connection) {
		for i := range n {
			c.Source = result.EndpointFrom(netip.AddrPortFrom(netip.MustParseAddr("10.1.0.10"), uint16(from+i)))
			out = append(out, c)
		}
		return out
	}
	passed := some(8, 50000, result.Connection{Purpose: result.PurposeSample, Reached: result.ReachedDone, Ended: result.EndedWell})
	failed := some(4, 50100, result.Connection{Purpose: result.PurposeSample, Reached: result.ReachedNothing, Ended: result.EndedSilent, ElapsedMS: 2003})
	var all []result.Connection
	for n, c := range passed {
		if n == 1 || n == 2 || n == 5 || n == 7 {
			all = append(all, failed[0])
			failed = failed[1:]
		}
		all = append(all, c)
	}
	for n := range all {
		all[n].At = result.TimeOf(time.Unix(int64(n), 0))
	}
	for loss, want := range map[float64]string{0.33: "about 33 in 100 round trips", 0.02: "nothing in common"} {
		p := result.Path{
			Transport: plan.TCP, Port: 1611, Direction: plan.Forward, Verdict: result.Unsteady,
			Initiator: &result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Connections: all},
		}
		f := explain(p, Context{Mode: result.ModePaths, Loss: loss})
		if f == nil || f.Code != result.CodeUnsteady || !strings.Contains(f.Text, want) || strings.Contains(f.Advice, "have the line looked at") != (loss > heavy) {
			t.Errorf("a loss of %v: %+v", loss, f)
		}
	}
}
