package verdict

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// The cases below follow the table of verdicts in docs/verdicts.md, not the
// code.

const (
	here  = "here-instance"
	other = "other-instance"
)

var (
	source = result.EndpointFrom(netip.MustParseAddrPort("10.1.0.2:50123"))
	target = result.EndpointFrom(netip.MustParseAddrPort("10.2.0.5:1433"))
	router = netip.MustParseAddr("10.9.0.1")
)

func intact() *result.Transfer {
	return &result.Transfer{Outcome: result.TransferIntact, Want: 4, Intact: 4}
}

func moved(o result.TransferOutcome) *result.Transfer {
	return &result.Transfer{Outcome: o, Want: 262144, Intact: 1400, Changed: "00 became ff"}
}

// holed returns a payload that stalled because large packets vanish.
func holed() *result.Transfer {
	t := moved(result.TransferStalled)
	t.Hole = &result.Hole{Passes: 1348, Fails: 1349, Packet: 1400}
	return t
}

// connected returns the half of an initiator whose connection opened.
func connected(a result.AnswerOutcome) result.Initiator {
	return result.Initiator{Attempts: 1, Source: source, Target: target, Connect: result.ConnectOpen, Answer: a}
}

// proved returns the half of an initiator for which all went well.
func proved() result.Initiator {
	i := connected(result.AnswerKeyed)
	i.Origin, i.SeenAs, i.Instance = target, source, here
	i.Sent, i.Received = intact(), intact()
	return i
}

// failed returns the half of an initiator whose connection did not open.
func failed(c result.ConnectOutcome) result.Initiator {
	return result.Initiator{Attempts: 1, Source: source, Target: target, Connect: c, Error: "connect: " + string(c)}
}

func rejectedBy(m result.ICMP) result.Initiator {
	i := failed(result.ConnectICMP)
	i.ICMP = &m
	return i
}

// connections are samples of a path, one second apart: + passed, - got no
// answer, r was reset, p lost its payload; from ports that differ in parity.
func connections(how string) []result.Connection {
	out := []result.Connection{}
	for n, c := range how {
		one := result.Connection{
			Purpose: result.PurposeSample, At: result.TimeOf(began.Add(time.Duration(n) * time.Second)),
			Source:  result.EndpointFrom(netip.AddrPortFrom(netip.MustParseAddr("10.1.0.2"), uint16(40000+n))),
			Reached: result.ReachedNothing, Ended: result.EndedSilent,
		}
		switch c {
		case '+':
			one.Reached, one.Ended = result.ReachedDone, result.EndedWell
		case 'r':
			one.Ended = result.EndedReset
		case 'p':
			one.Reached = result.ReachedProved
		}
		out = append(out, one)
	}
	return out
}

var began = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

// sampled gives an initiator the connections that how describes.
func sampled(i result.Initiator, how string) result.Initiator {
	i.Connections = connections(how)
	return i
}

// conversed returns the half of an acceptor that a service's conversation
// reached.
func conversed() *result.Acceptor {
	a := acceptor(result.PortBound, result.SawNothing)
	a.Conversed = true
	return a
}

func acceptor(p result.PortState, s result.Sighting) *result.Acceptor {
	return &result.Acceptor{Instance: here, Port: p, Saw: s}
}

func TestEveryVerdictFromItsEvidence(t *testing.T) {
	slow := func(i result.Initiator) result.Initiator { i.ConnectMS = 3000; return i }
	with := func(i result.Initiator, change func(*result.Initiator)) result.Initiator { change(&i); return i }
	self := result.ICMP{Type: 3, Code: 13, From: source.Addr(), Local: true}
	askedFor := func(ms float64) result.Initiator { // a datagram socket connects at once, and the error comes later
		return with(connected(result.AnswerICMP), func(i *result.Initiator) {
			i.ConnectMS, i.ICMP = 0.03, &result.ICMP{Type: 3, Code: 1, From: source.Addr(), Local: true}
			i.Connections = []result.Connection{{Purpose: result.PurposeProof, Reached: result.ReachedNothing, Ended: result.EndedICMP, ElapsedMS: ms}}
		})
	}
	for _, c := range []struct {
		name  string
		i     result.Initiator
		a     *result.Acceptor
		udp   bool
		want  result.Verdict
		proof result.Proof
	}{
		{name: "the name does not resolve", i: result.Initiator{ResolveError: "no such name"}, want: result.Unresolved},
		{name: "not tried", i: result.Initiator{NotTried: "out of order"}, want: result.Untested},
		{name: "not tried outweighs all", i: with(proved(), func(i *result.Initiator) { i.NotTried = "interrupted" }), want: result.Untested, proof: result.ProofKeyed},
		{name: "a fault of this machine before any packet", i: failed(result.ConnectFailed), want: result.Untested},
		{name: "no outcome at all", i: failed(""), want: result.Untested},
		{name: "open and no outcome of the answer", i: connected(""), want: result.Untested},

		{name: "no route", i: failed(result.ConnectNoRoute), want: result.Unreachable},
		{name: "no neighbour, IPv4", i: slow(rejectedBy(result.ICMP{Type: 3, Code: 1, From: source.Addr(), Local: true})), want: result.Unreachable},
		{name: "no neighbour, IPv6", i: slow(rejectedBy(result.ICMP{Type: 1, Code: 3, From: source.Addr(), Local: true, V6: true})), want: result.Unreachable},
		{name: "denied", i: failed(result.ConnectDenied), want: result.BlockedLocally},
		{name: "own ICMP", i: rejectedBy(self), want: result.BlockedLocally},
		{name: "own host-unreachable at once is a firewall's", i: rejectedBy(result.ICMP{Type: 3, Code: 1, From: source.Addr(), Local: true}), want: result.BlockedLocally},
		{name: "no neighbour, over UDP", i: askedFor(2870), udp: true, want: result.Unreachable},
		{name: "own host-unreachable at once, over UDP, is a firewall's", i: askedFor(0.4), udp: true, want: result.BlockedLocally},
		{name: "own ICMP after connecting", i: with(connected(result.AnswerICMP), func(i *result.Initiator) { i.ICMP = &self }), want: result.BlockedLocally},

		{name: "ICMP of a router", i: rejectedBy(result.ICMP{Type: 3, Code: 13, From: router}), want: result.Rejected},
		{name: "slow host-unreachable of a router", i: slow(rejectedBy(result.ICMP{Type: 3, Code: 1, From: router})), want: result.Rejected},
		{name: "ICMP of nobody known", i: failed(result.ConnectICMP), want: result.Rejected},
		{name: "ICMP after connecting", i: with(connected(result.AnswerICMP), func(i *result.Initiator) { i.ICMP = &result.ICMP{Type: 3, Code: 3, From: target.Addr()} }), udp: true, want: result.Rejected},
		{name: "ICMP outweighs what the listener saw", i: rejectedBy(result.ICMP{Type: 3, Code: 13, From: router}), a: acceptor(result.PortBound, result.SawHalfOpen), want: result.Rejected},
		{name: "a machine that dials itself", i: with(rejectedBy(result.ICMP{Type: 3, Code: 3, From: target.Addr(), Local: true}), func(*result.Initiator) {}), udp: true, want: result.Rejected},
		{name: "UDP has no RST", i: failed(result.ConnectRST), udp: true, want: result.Rejected},

		{name: "RST, nobody to ask", i: failed(result.ConnectRST), want: result.Refused},
		{name: "RST, listener bound", i: failed(result.ConnectRST), a: acceptor(result.PortBound, result.SawNothing), want: result.Refused},
		{name: "RST, listener not bound", i: failed(result.ConnectRST), a: acceptor(result.PortUnbound, result.SawUnknown), want: result.Refused},
		{name: "RST, half-open there", i: failed(result.ConnectRST), a: acceptor(result.PortBound, result.SawHalfOpen), want: result.Refused},

		{name: "silence, half-open there", i: failed(result.ConnectTimeout), a: acceptor(result.PortBound, result.SawHalfOpen), want: result.ReplyLost},
		{name: "silence, accepted there", i: failed(result.ConnectTimeout), a: acceptor(result.PortBound, result.SawAccepted), want: result.ReplyLost},
		{name: "UDP silence, arrived there", i: connected(result.AnswerSilent), a: acceptor(result.PortBound, result.SawAccepted), udp: true, want: result.ReplyLost},
		{name: "silence, nothing there", i: failed(result.ConnectTimeout), a: acceptor(result.PortBound, result.SawNothing), want: result.Filtered},
		{name: "UDP silence, nothing there", i: connected(result.AnswerSilent), a: acceptor(result.PortBound, result.SawNothing), udp: true, want: result.Filtered},
		{name: "silence, nobody to ask", i: failed(result.ConnectTimeout), want: result.Silent},
		{name: "silence, the witness does not know", i: failed(result.ConnectTimeout), a: acceptor(result.PortBound, result.SawUnknown), want: result.Silent},
		{name: "UDP silence, nobody to ask", i: connected(result.AnswerSilent), udp: true, want: result.Silent},

		{name: "another port proved itself", i: with(proved(), func(i *result.Initiator) {
			i.Origin = result.EndpointFrom(netip.MustParseAddrPort("10.2.0.5:21433"))
		}), want: result.Redirected, proof: result.ProofKeyed},
		{name: "another process proved itself", i: with(proved(), func(i *result.Initiator) { i.Instance = other }), want: result.Redirected, proof: result.ProofKeyed},
		{name: "no origin", i: with(proved(), func(i *result.Initiator) { i.Origin = result.Endpoint{} }), want: result.Redirected, proof: result.ProofKeyed},
		{name: "another address alone is only a NAT", i: with(proved(), func(i *result.Initiator) {
			i.Origin = result.EndpointFrom(netip.MustParseAddrPort("192.168.7.7:1433"))
		}), want: result.Open, proof: result.ProofKeyed},
		{name: "redirected outweighs corrupted", i: with(proved(), func(i *result.Initiator) { i.Instance, i.Sent = other, moved(result.TransferCorrupted) }), want: result.Redirected, proof: result.ProofKeyed},

		{name: "corrupted there", i: with(proved(), func(i *result.Initiator) { i.Sent = moved(result.TransferCorrupted) }), want: result.Corrupted, proof: result.ProofKeyed},
		{name: "corrupted back", i: with(proved(), func(i *result.Initiator) { i.Received = moved(result.TransferCorrupted) }), want: result.Corrupted, proof: result.ProofKeyed},
		{name: "corrupted outweighs reset", i: with(proved(), func(i *result.Initiator) {
			i.Sent, i.Received = moved(result.TransferReset), moved(result.TransferCorrupted)
		}), want: result.Corrupted, proof: result.ProofKeyed},
		{name: "corrupted outweighs stalled", i: with(proved(), func(i *result.Initiator) {
			i.Sent, i.Received = moved(result.TransferCorrupted), moved(result.TransferStalled)
		}), want: result.Corrupted, proof: result.ProofKeyed},
		{name: "corrupted outweighs a payload that is missing", i: with(proved(), func(i *result.Initiator) { i.Sent, i.Received = nil, moved(result.TransferCorrupted) }), want: result.Corrupted, proof: result.ProofKeyed},

		{name: "only small packets cross", i: with(proved(), func(i *result.Initiator) { i.Sent = holed() }), want: result.MTUHole, proof: result.ProofKeyed},
		{name: "only small packets come back", i: with(proved(), func(i *result.Initiator) { i.Received = holed() }), want: result.MTUHole, proof: result.ProofKeyed},
		{name: "corrupted outweighs a hole", i: with(proved(), func(i *result.Initiator) { i.Sent, i.Received = holed(), moved(result.TransferCorrupted) }), want: result.Corrupted, proof: result.ProofKeyed},
		{name: "a hole outweighs reset", i: with(proved(), func(i *result.Initiator) { i.Sent, i.Received = moved(result.TransferReset), holed() }), want: result.MTUHole, proof: result.ProofKeyed},

		{name: "open", i: proved(), a: acceptor(result.PortBound, result.SawAccepted), want: result.Open, proof: result.ProofKeyed},
		{name: "open, nobody to ask", i: proved(), want: result.Open, proof: result.ProofKeyed},
		{name: "open over UDP", i: proved(), udp: true, want: result.Open, proof: result.ProofKeyed},

		{name: "reset while sending", i: with(proved(), func(i *result.Initiator) { i.Sent = moved(result.TransferReset) }), want: result.Reset, proof: result.ProofKeyed},
		{name: "closed while receiving", i: with(proved(), func(i *result.Initiator) { i.Received = moved(result.TransferClosed) }), want: result.Reset, proof: result.ProofKeyed},
		{name: "reset outweighs stalled, one way", i: with(proved(), func(i *result.Initiator) {
			i.Sent, i.Received = moved(result.TransferStalled), moved(result.TransferReset)
		}), want: result.Reset, proof: result.ProofKeyed},
		{name: "reset outweighs stalled, other way", i: with(proved(), func(i *result.Initiator) { i.Sent, i.Received = moved(result.TransferReset), nil }), want: result.Reset, proof: result.ProofKeyed},
		{name: "payload stalls", i: with(proved(), func(i *result.Initiator) { i.Sent = moved(result.TransferStalled) }), want: result.Stalled, proof: result.ProofKeyed},
		{name: "payload of unknown fate", i: with(proved(), func(i *result.Initiator) { i.Received = moved(result.TransferUnknown) }), want: result.Stalled, proof: result.ProofKeyed},
		{name: "no payload sent", i: with(proved(), func(i *result.Initiator) { i.Sent = nil }), want: result.Stalled, proof: result.ProofKeyed},
		{name: "no payload received", i: with(proved(), func(i *result.Initiator) { i.Received = nil }), want: result.Stalled, proof: result.ProofKeyed},

		{name: "other bytes, held by other software", i: connected(result.AnswerForeign), a: acceptor(result.PortBusy, result.SawUnknown), want: result.Occupied, proof: result.ProofPlain},
		{name: "echo, held by other software", i: connected(result.AnswerEchoed), a: acceptor(result.PortBusy, result.SawUnknown), want: result.Occupied, proof: result.ProofPlain},
		{name: "other bytes, ours and never seen", i: connected(result.AnswerForeign), a: acceptor(result.PortBound, result.SawNothing), want: result.Intercepted, proof: result.ProofPlain},
		{name: "other bytes, ours and accepted: content changed", i: connected(result.AnswerForeign), a: acceptor(result.PortBound, result.SawAccepted), want: result.Intercepted, proof: result.ProofPlain},
		{name: "echo, ours and never seen", i: connected(result.AnswerEchoed), a: acceptor(result.PortBound, result.SawNothing), want: result.Intercepted, proof: result.ProofPlain},
		{name: "other bytes, nobody to ask", i: connected(result.AnswerForeign), want: result.Answered, proof: result.ProofPlain},
		{name: "echo, nobody to ask", i: connected(result.AnswerEchoed), want: result.Answered, proof: result.ProofPlain},
		{name: "other bytes, not our port", i: connected(result.AnswerForeign), a: acceptor(result.PortUnbound, result.SawUnknown), want: result.Answered, proof: result.ProofPlain},
		{name: "other bytes, port state unknown", i: connected(result.AnswerForeign), a: acceptor(result.PortUnknown, result.SawUnknown), want: result.Answered, proof: result.ProofPlain},
		{name: "wrong key", i: connected(result.AnswerWrongKey), want: result.Answered, proof: result.ProofPlain},
		{name: "address not allowed", i: connected(result.AnswerForbidden), want: result.Answered, proof: result.ProofPlain},
		{name: "other version", i: connected(result.AnswerVersion), want: result.Answered, proof: result.ProofKeyed},

		{name: "one of several connections led to another process", i: with(proved(), func(i *result.Initiator) {
			i.Repeated = &result.Repeated{Tried: 2, Proved: 2, Origin: target, Instance: other}
		}), want: result.Redirected, proof: result.ProofKeyed},
		{name: "one of several connections came to another port", i: with(proved(), func(i *result.Initiator) {
			i.Repeated = &result.Repeated{Tried: 2, Proved: 2, Origin: result.EndpointFrom(netip.MustParseAddrPort("10.2.0.5:21433")), Instance: here}
		}), want: result.Redirected, proof: result.ProofKeyed},
		{name: "one of several connections failed: noise", i: with(proved(), func(i *result.Initiator) {
			i.Repeated = &result.Repeated{Tried: 5, Proved: 4, Origin: target, Instance: here}
		}), want: result.Open, proof: result.ProofKeyed},
		{name: "all connections passed", i: sampled(proved(), "++++++"), want: result.Open, proof: result.ProofKeyed},
		{name: "one of six got no answer", i: sampled(proved(), "+++-++"), want: result.Unsteady, proof: result.ProofKeyed},
		{name: "the first was reset", i: sampled(proved(), "r+++++"), want: result.Unsteady, proof: result.ProofKeyed},
		{name: "some lose their payload", i: sampled(with(proved(), func(i *result.Initiator) { i.Sent.Outcome = result.TransferStalled }), "p++p++"), want: result.Unsteady, proof: result.ProofKeyed},
		{name: "all lose their payload", i: sampled(with(proved(), func(i *result.Initiator) { i.Sent.Outcome = result.TransferStalled }), "pppppp"), want: result.Stalled, proof: result.ProofKeyed},
		{name: "some changed on the way", i: sampled(with(proved(), func(i *result.Initiator) { i.Sent.Outcome = result.TransferCorrupted }), "-++-++"), want: result.Corrupted, proof: result.ProofKeyed},
		{name: "none passed", i: sampled(failed(result.ConnectTimeout), "--"), a: acceptor(result.PortBound, result.SawNothing), want: result.Filtered},
		{name: "a conversation passed and no proof", i: with(sampled(connected(result.AnswerSilent), "--"), func(i *result.Initiator) {
			i.Conversation = &result.Conversation{Speaks: "tds", Outcome: result.ConversationCompleted, Keyed: true}
		}), a: conversed(), want: result.Open, proof: result.ProofService},

		{name: "FIN before proof", i: connected(result.AnswerClosed), want: result.Reset},
		{name: "RST before proof", i: connected(result.AnswerReset), a: acceptor(result.PortBound, result.SawNothing), want: result.Reset},
		{name: "no byte comes back", i: connected(result.AnswerSilent), want: result.Stalled},
		{name: "no byte comes back, half-open there", i: connected(result.AnswerSilent), a: acceptor(result.PortBound, result.SawHalfOpen), want: result.Stalled},
		{name: "no byte comes back, never seen there", i: connected(result.AnswerSilent), a: acceptor(result.PortBound, result.SawNothing), want: result.Stalled},
	} {
		t.Run(c.name, func(t *testing.T) {
			transport := plan.TCP
			if c.udp {
				transport = plan.UDP
			}
			if c.proof == "" {
				c.proof = result.ProofNone
			}
			got := judge(question{Transport: transport, Port: 1433, Initiator: &c.i, Acceptor: c.a, Instance: here})
			want := ruling{Verdict: c.want, Proof: c.proof, OK: c.want == result.Open}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestNoEvidenceOfTheInitiatorIsUntested(t *testing.T) {
	got := judge(question{Transport: plan.TCP, Port: 1433, Acceptor: acceptor(result.PortBound, result.SawAccepted)})
	if want := (ruling{result.Untested, result.ProofNone, false}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A listener that is not known cannot be the wrong one.
func TestUnknownInstanceIsNotAnotherInstance(t *testing.T) {
	i := proved()
	if got := judge(question{Transport: plan.TCP, Port: 1433, Initiator: &i}).Verdict; got != result.Open {
		t.Errorf("got %s, want open", got)
	}
}

func TestPortThatMustBeClosed(t *testing.T) {
	evidence := map[result.Verdict]struct {
		i result.Initiator
		a *result.Acceptor
	}{
		result.Filtered:       {failed(result.ConnectTimeout), acceptor(result.PortBound, result.SawNothing)},
		result.Silent:         {failed(result.ConnectTimeout), nil},
		result.Refused:        {failed(result.ConnectRST), nil},
		result.Rejected:       {rejectedBy(result.ICMP{Type: 3, Code: 13, From: router}), nil},
		result.Open:           {proved(), nil},
		result.Answered:       {connected(result.AnswerForeign), nil},
		result.Stalled:        {connected(result.AnswerSilent), nil},
		result.Reset:          {connected(result.AnswerReset), nil},
		result.Unreachable:    {failed(result.ConnectNoRoute), nil},
		result.BlockedLocally: {failed(result.ConnectDenied), nil},
		result.Unresolved:     {result.Initiator{ResolveError: "no such name"}, nil},
		result.Untested:       {result.Initiator{NotTried: "interrupted"}, nil},
	}
	ok := []result.Verdict{result.Filtered, result.Silent, result.Refused, result.Rejected}
	// By themselves: only these have a sign that the machine was on.
	shown := []result.Verdict{result.Filtered, result.Refused}
	for v, e := range evidence {
		for _, alive := range []bool{true, false} {
			c := question{Transport: plan.TCP, Port: 1433, Initiator: &e.i, Acceptor: e.a, Instance: here, Expect: plan.ExpectClosed, Alive: alive}
			got, want := judge(c), slices.Contains(ok, v) && (alive || slices.Contains(shown, v))
			if got.Verdict != v || got.OK != want {
				t.Errorf("%s, alive %v: got %+v, want ok %v", v, alive, got, want)
			}
			if f := explain(pathOf(c), Context{Mode: result.ModePaths}); !alive && slices.Contains(ok, v) && !want && (f == nil || f.Code != "closed-or-off") {
				t.Errorf("%s: got %+v, want closed-or-off", v, f)
			}
		}
	}
}

// A machine is on if anything of the same run shows it: not only what came of
// the port that must be closed.
func TestAlive(t *testing.T) {
	forward := func(i result.Initiator, a *result.Acceptor) result.Path {
		return pathOf(question{Transport: plan.TCP, Port: 1433, Initiator: &i, Acceptor: a})
	}
	back := forward(proved(), nil)
	back.Direction = plan.Reverse
	another := forward(proved(), nil)
	another.Host = "ldap.example.edu"
	byTarget := rejectedBy(result.ICMP{Type: 3, Code: 13, From: target.Addr()})
	byRouter := rejectedBy(result.ICMP{Type: 3, Code: 1, From: router})
	for name, c := range map[string]struct {
		path result.Path
		want bool
	}{
		"a proof":                          {forward(proved(), nil), true},
		"a reset":                          {forward(failed(result.ConnectRST), nil), true},
		"its listener watched":             {forward(failed(result.ConnectTimeout), acceptor(result.PortBound, result.SawNothing)), true},
		"its own ICMP error":               {forward(byTarget, nil), true},
		"a router's ICMP error":            {forward(byRouter, nil), false},
		"silence":                          {forward(failed(result.ConnectTimeout), nil), false},
		"something opened and said naught": {forward(connected(result.AnswerSilent), nil), false},
		"this end accepted":                {back, false},
		"another host's proof":             {another, false},
		"nobody dialed":                    {forward(result.Initiator{NotTried: "x"}, acceptor(result.PortBound, result.SawNothing)), false},
	} {
		of := forward(failed(result.ConnectTimeout), nil)
		if got := isAlive([]result.Path{of, c.path}, of); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestPortThatMustBeClosedAndLetsOneConnectionThroughIsNotOK(t *testing.T) {
	i := sampled(proved(), "+--")
	c := question{Transport: plan.TCP, Port: 1433, Initiator: &i, Acceptor: acceptor(result.PortBound, result.SawNothing), Instance: here, Expect: plan.ExpectClosed}
	if got := judge(c); got.OK {
		t.Errorf("got %+v", got)
	}
	f := explain(pathOf(c), Context{Mode: result.ModePaths})
	if f == nil || f.Code != "should-be-closed" || !strings.Contains(f.Text, "1 was proved of 3 connections") || !strings.HasPrefix(f.Advice, "Please block ") {
		t.Errorf("got %+v", f)
	}
}

// Without a proof of the service's own, neither other software on the port nor
// a real server makes a path ok.
func TestOtherSoftwareAloneIsNotOK(t *testing.T) {
	i := connected(result.AnswerForeign)
	for _, c := range []question{
		{Acceptor: acceptor(result.PortBusy, result.SawUnknown)},
		{Mode: result.ModeEgress},
		{Mode: result.ModeInstalled},
	} {
		c.Transport, c.Port, c.Initiator = plan.TCP, 1433, &i
		if got := judge(c); got.OK {
			t.Errorf("%+v is ok: %+v", c, got)
		}
	}
}

var (
	connects = []result.ConnectOutcome{"", result.ConnectOpen, result.ConnectTimeout, result.ConnectRST, result.ConnectICMP, result.ConnectDenied, result.ConnectNoRoute, result.ConnectFailed}
	answers  = []result.AnswerOutcome{"", result.AnswerKeyed, result.AnswerWrongKey, result.AnswerForbidden, result.AnswerVersion, result.AnswerForeign,
		result.AnswerEchoed, result.AnswerClosed, result.AnswerReset, result.AnswerSilent, result.AnswerICMP}
	transfers = []*result.Transfer{nil, intact(), moved(result.TransferCorrupted), moved(result.TransferStalled), moved(result.TransferReset),
		moved(result.TransferClosed), moved(result.TransferUnknown), moved("")}
	acceptors = func() []*result.Acceptor {
		out := []*result.Acceptor{nil}
		for _, p := range []result.PortState{result.PortUnknown, result.PortBound, result.PortBusy, result.PortUnbound} {
			for _, s := range []result.Sighting{result.SawUnknown, result.SawNothing, result.SawHalfOpen, result.SawAccepted} {
				out = append(out, acceptor(p, s))
			}
		}
		return out
	}()
	icmps = []*result.ICMP{nil, {Type: 3, Code: 1, From: source.Addr(), Local: true}, {Type: 3, Code: 13, From: router}, {Type: 1, Code: 1, V6: true}}
)

// everyCase calls f for every combination of evidence.
func everyCase(f func(question)) {
	elsewhere := result.EndpointFrom(netip.MustParseAddrPort("10.2.0.5:21433"))
	for _, connect := range connects {
		for _, answer := range answers {
			for _, sent := range transfers {
				for _, received := range transfers {
					for _, origin := range []result.Endpoint{target, elsewhere, {}} {
						for _, instance := range []string{"", here, other} {
							for _, a := range acceptors {
								for n, m := range icmps {
									if n > 0 && connect != result.ConnectICMP && answer != result.AnswerICMP {
										break // only these can have one
									}
									i := result.Initiator{
										Attempts: 1, Source: source, Target: target, Connect: connect, Answer: answer,
										Sent: sent, Received: received, Origin: origin, Instance: here, ICMP: m,
									}
									for _, transport := range []plan.Transport{plan.TCP, plan.UDP} {
										f(question{Transport: transport, Port: 1433, Initiator: &i, Acceptor: a, Instance: instance})
									}
								}
							}
						}
					}
				}
			}
		}
	}
}

// Open is the one verdict that must never be wrong. Whatever the evidence: no
// open without the key's proof, both payloads intact, the dialed port and the
// expected listener; and with all of them, open.
func TestOpenNeedsAllOfItsEvidence(t *testing.T) {
	opens, all := 0, 0
	everyCase(func(c question) {
		all++
		i := c.Initiator
		earned := i.Connect == result.ConnectOpen && i.Answer == result.AnswerKeyed && i.Origin.Port() == 1433 &&
			(c.Instance == "" || i.Instance == c.Instance) &&
			i.Sent != nil && i.Sent.Outcome == result.TransferIntact && i.Received != nil && i.Received.Outcome == result.TransferIntact
		r := judge(c)
		if (r.Verdict == result.Open) != earned {
			t.Fatalf("%s for %+v of %+v", r.Verdict, c, *i)
		}
		if r.OK != earned {
			t.Fatalf("ok is %v for %+v of %+v", r.OK, c, *i)
		}
		if r.Verdict == result.Open && r.Proof != result.ProofKeyed {
			t.Fatalf("open with proof %s", r.Proof)
		}
		if !slices.Contains(result.Verdicts, r.Verdict) {
			t.Fatalf("%q is no verdict, for %+v of %+v", r.Verdict, c, *i)
		}
		if earned {
			opens++
		}
	})
	if opens == 0 || all < 1_000_000 {
		t.Fatalf("%d opens among %d cases: the enumeration is broken", opens, all)
	}
}

// A port that must be closed is never ok when something connects to it.
func TestClosedIsNeverOKOnceConnected(t *testing.T) {
	everyCase(func(c question) {
		c.Expect = plan.ExpectClosed
		if c.Transport == plan.TCP && c.Initiator.Connect == result.ConnectOpen && c.Initiator.Answer != result.AnswerICMP && judge(c).OK {
			t.Fatalf("closed is ok for %+v of %+v", c, *c.Initiator)
		}
	})
}
