package witness

import (
	"net/netip"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

var (
	from = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	to   = from.Add(3 * time.Second)

	dialer = netip.MustParseAddrPort("10.0.0.5:50000") // as it knows itself
	nat    = netip.MustParseAddrPort("192.0.2.7:40000")
	other  = netip.MustParseAddrPort("198.51.100.8:1234")
	here   = netip.MustParseAddrPort("203.0.113.9:1433")
)

// came is a connection from a source at the moment of the attempt.
func came(source netip.AddrPort) Arrival {
	return Arrival{Remote: source, Local: here, At: from, Kind: "silent"}
}

// syn is a half-open connection from a source at the moment of the attempt.
func syn(source netip.AddrPort, answered bool) HalfOpen {
	return HalfOpen{Source: source, Local: here, First: from, Answered: answered}
}

// fated says what became of any SYN.
func fated(f Fate) func(HalfOpen) Fate { return func(HalfOpen) Fate { return f } }

func TestHalfFollowsFromWhatIsKnown(t *testing.T) {
	direct := Question{Transport: plan.TCP, Source: result.EndpointFrom(dialer), AsSeen: dialer.Addr(), From: from, To: to, Connect: result.ConnectTimeout}
	translated := direct
	translated.SourceChanged, translated.AsSeen = true, nat.Addr()
	noPort := direct
	noPort.Source = result.EndpointFrom(netip.AddrPortFrom(dialer.Addr(), 0))
	twin := netip.AddrPortFrom(dialer.Addr(), 50001)
	siblings := direct
	siblings.AlsoSilent = []uint16{twin.Port()}
	behindNAT := translated
	behindNAT.AlsoSilent = siblings.AlsoSilent
	refused := siblings
	refused.Connect = result.ConnectICMP
	open := translated
	open.Connect = result.ConnectOpen
	packet := direct
	packet.Transport = plan.UDP
	six := translated
	six.Source = result.EndpointFrom(netip.MustParseAddrPort("[2001:db8::5]:50000"))

	mine, others := came(dialer), came(other)
	lost := syn(dialer, false)
	for name, c := range map[string]struct {
		q      Question
		v      View // its port is bound, unless it says otherwise
		saw    result.Sighting
		match  result.Match
		reason string
		drop   result.Drop
	}{
		"its probe came":                         {direct, View{Probed: &mine}, result.SawAccepted, result.MatchProbe, "", ""},
		"its probe came, though the port is not": {direct, View{Probed: &mine, Port: result.PortBusy}, result.SawAccepted, result.MatchProbe, "", ""},
		"its source came":                        {direct, View{Exact: &mine, TooMuch: true}, result.SawAccepted, result.MatchAddress, "", ""},
		"it was ended for a newer one":           {direct, View{Exact: &Arrival{Remote: dialer, Local: here, Kind: "shed", Shed: "too many"}}, result.SawAccepted, result.MatchAddress, "", result.DropListener},
		"its source stayed half-open":            {direct, View{ExactHalf: &HalfOpen{Source: dialer, Answered: true}}, result.SawHalfOpen, result.MatchAddress, "", ""},
		"another of its connections that got no answer stayed half-open":      {siblings, View{Half: []HalfOpen{syn(twin, true)}}, result.SawHalfOpen, result.MatchAddress, "", ""},
		"it got an answer of its own, and another of its connections did not": {refused, View{Half: []HalfOpen{syn(twin, true)}}, result.SawNothing, "", "", ""},
		"that one stayed half-open while the program was stopped":             {siblings, View{Half: []HalfOpen{syn(twin, true)}, Trouble: "stopped"}, result.SawHalfOpen, result.MatchAddress, "", ""},
		"that one's SYN was not answered here":                                {siblings, View{Half: []HalfOpen{syn(twin, false)}}, result.SawNothing, "", "", ""},
		"a neighbour has that port":                                           {siblings, View{Half: []HalfOpen{syn(netip.AddrPortFrom(other.Addr(), twin.Port()), true)}}, result.SawUnknown, "", "in that time a half-open connection came from 198.51.100.8:50001, which may be this attempt with its address changed on the way", ""},
		"another of its connections, of which the far end knows more": {direct, View{Half: []HalfOpen{syn(twin, true)}},
			result.SawUnknown, "", "in that time a half-open connection came from 10.0.0.5:50001, which may be this attempt with its address changed on the way", ""},
		"half-open while the program was stopped": {direct, View{ExactHalf: &HalfOpen{Source: dialer, Answered: true}, Trouble: "stopped"},
			result.SawUnknown, "", "stopped", ""},
		"half-open at its moment, while the program was stopped": {direct, View{ExactHalf: new(syn(dialer, true)), Trouble: "stopped"},
			result.SawHalfOpen, result.MatchAddress, "", ""},
		"opened there, while the program was stopped": {func() Question { q := direct; q.Connect = result.ConnectOpen; return q }(), View{ExactHalf: new(syn(dialer, true)), Trouble: "stopped"},
			result.SawUnknown, "", "stopped", ""},
		"half-open long after its moment, as by a machine that slept": {direct, View{ExactHalf: &HalfOpen{Source: dialer, Local: here, First: from.Add(2 * time.Second), Answered: true}, Trouble: "asleep"},
			result.SawUnknown, "", "asleep", ""},
		"half-open and the queue was full": {direct, View{ExactHalf: &HalfOpen{Source: dialer, Answered: true}, Trouble: "stopped", QueueOverflowed: true},
			result.SawHalfOpen, result.MatchAddress, "", result.DropQueue},
		"nothing came": {direct, View{}, result.SawNothing, "", "", ""},
		"nothing came, and it does not hold the port": {direct, View{Port: result.PortUnbound},
			result.SawUnknown, "", "the listener does not hold that port", ""},
		"nothing came, and nobody watched": {direct, View{Blind: "it was not watching yet"},
			result.SawUnknown, "", "it was not watching yet", ""},
		"nothing came to a port of packets, which needs no watch": {packet, View{Blind: "it was not watching yet"}, result.SawNothing, "", "", ""},
		"its memory begins in that time": {direct, View{Since: from.Add(time.Second)},
			result.SawUnknown, "", "the listener was started, or its memory was full, in that time", ""},
		"too much came": {direct, View{TooMuch: true},
			result.SawUnknown, "", "more reached that port in that time than can be looked through", ""},
		"other software holds the port, and answered": {open, View{Port: result.PortBusy},
			result.SawUnknown, "", "other software holds the port", ""},
		"other software holds the port, and nothing came": {direct, View{Port: result.PortBusy}, result.SawNothing, "", "", ""},
		"other software holds the port, or another machine does": {direct, View{Port: result.PortBusy, LedElsewhere: true},
			result.SawUnknown, "", "a translation on that machine may lead the port elsewhere", ""},
		"somebody else came, whom nobody claims": {direct, View{Accepted: []Arrival{others}},
			result.SawUnknown, "", "in that time something connected from 198.51.100.8:1234, which may be this attempt with its address changed on the way", ""},
		"a half-open one that nobody claims": {direct, View{Half: []HalfOpen{syn(other, true)}},
			result.SawUnknown, "", "in that time a half-open connection came from 198.51.100.8:1234, which may be this attempt with its address changed on the way", ""},
		"a SYN of somebody else's that was not answered": {direct, View{Half: []HalfOpen{syn(other, false)}}, result.SawNothing, "", "", ""},
		"its own port is not known":                      {noPort, View{Accepted: []Arrival{mine}}, result.SawAccepted, result.MatchTime, "", ""},
		"an earlier one of the same source was there still": {direct, View{Lingering: []HalfOpen{syn(dialer, true)}},
			result.SawUnknown, "", "a half-open connection of an earlier attempt from 10.0.0.5:50000 was still there", ""},
		"an earlier one of another source was there still": {direct, View{Lingering: []HalfOpen{syn(other, true)}}, result.SawNothing, "", "", ""},
		"an earlier one may be its own, translated": {translated, View{Lingering: []HalfOpen{syn(other, true)}},
			result.SawUnknown, "", "a half-open connection of an earlier attempt from 198.51.100.8:1234 was still there", ""},
		"one of two that got no answer came, or a neighbour": {behindNAT, View{Half: []HalfOpen{syn(nat, true)}},
			result.SawUnknown, "", "one connection came from the same address on that port in that time, and more were made that got no answer: it may be somebody else's behind it", ""},
		"both that got no answer came": {behindNAT, View{Half: []HalfOpen{syn(nat, true), syn(netip.AddrPortFrom(nat.Addr(), nat.Port()+1), true)}}, result.SawHalfOpen, result.MatchTime, "", ""},
		"too many earlier ones": {direct, View{TooManyLinger: true},
			result.SawUnknown, "", "more half-open connections of earlier attempts were still there than can be looked through", ""},

		"its SYN came, and the firewall here dropped it": {direct, View{Half: []HalfOpen{lost}, Fate: fated(Fate{Dropped: result.DropFirewall})},
			result.SawNothing, "", "", result.DropFirewall},
		"its SYN came, and the answer would not be seen": {direct, View{Half: []HalfOpen{lost}, Fate: fated(Fate{Dropped: result.DropFirewall}), Blind: "SYN cookies"},
			result.SawUnknown, "", "SYN cookies", ""},
		"its SYN came, and the kernel counted why it went": {direct, View{Half: []HalfOpen{lost}, Fate: fated(Fate{Dropped: result.DropReversePath}), Blind: "SYN cookies"},
			result.SawNothing, "", "", result.DropReversePath},
		"its SYN came, and there is no way back": {direct, View{Half: []HalfOpen{lost}, Fate: fated(Fate{NoRoute: true, Dropped: result.DropFirewall})},
			result.SawHalfOpen, result.MatchAddress, "", ""},

		"one came from the NAT, and opened":         {open, View{Accepted: []Arrival{came(nat)}}, result.SawAccepted, result.MatchTime, "", ""},
		"one came from the NAT, and stayed":         {translated, View{Half: []HalfOpen{syn(nat, true)}}, result.SawHalfOpen, result.MatchTime, "", ""},
		"its address did not change after all":      {translated, View{Half: []HalfOpen{syn(dialer, true)}}, result.SawHalfOpen, result.MatchAddress, "", ""},
		"nothing came, whatever its address is":     {translated, View{}, result.SawNothing, "", "", ""},
		"a SYN came from the NAT, and was not seen": {translated, View{Half: []HalfOpen{syn(nat, false)}}, result.SawNothing, "", "", ""},
		"its address did not change, and what opened is somebody else's, for it never did": {translated, View{Half: []HalfOpen{syn(dialer, true)}, Accepted: []Arrival{others}},
			result.SawHalfOpen, result.MatchAddress, "", ""},
		"what opened has an address of another family": {translated, View{Half: []HalfOpen{syn(dialer, true)}, Accepted: []Arrival{came(six.Source.AddrPort)}},
			result.SawHalfOpen, result.MatchAddress, "", ""},
		"its address did not change, and its SYN went unanswered, or it is the one that opened": {translated, View{Half: []HalfOpen{lost}, Accepted: []Arrival{others}},
			result.SawUnknown, "", "in that time something came from another address, which may be this attempt: addresses are changed on the way", ""},
		"its address did not change, or it is the one that opened": {open, View{Half: []HalfOpen{syn(dialer, true)}, Accepted: []Arrival{others}},
			result.SawUnknown, "", "in that time something came from another address, which may be this attempt: addresses are changed on the way", ""},
		"another run is behind the NAT": {open, View{Accepted: []Arrival{came(nat)}, Crowded: true},
			result.SawUnknown, "", "another run came from the same address at that time, and the addresses are changed on the way", ""},
		"somebody else is behind the NAT": {open, View{Accepted: []Arrival{came(nat)}, Before: true},
			result.SawUnknown, "", "somebody else behind the same address connects to that port as well, and the addresses are changed on the way", ""},
		"one came from elsewhere, and addresses change": {open, View{Accepted: []Arrival{others}},
			result.SawUnknown, "", "in that time something came from another address, which may be this attempt: addresses are changed on the way", ""},
		"no path of its family shows its address": {six, View{Half: []HalfOpen{syn(nat, true)}},
			result.SawUnknown, "", "no path of that address family shows which address the attempt would have here", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.v.Port == "" {
				c.v.Port = result.PortBound
			}
			c.v.Instance = "i"
			got := Half(c.q, c.v)
			if got.Saw != c.saw || got.Match != c.match || got.Reason != c.reason || got.Dropped != c.drop {
				t.Errorf("saw %q, match %q, reason %q, dropped %q", got.Saw, got.Match, got.Reason, got.Dropped)
			}
			if got.Source.IsValid() && len(c.q.AlsoSilent) > 0 && !c.q.SourceChanged {
				t.Errorf("another connection's source %v is taken for its own", got.Source)
			}
			if got.Instance != "i" || got.Port != c.v.Port {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Nothing is said of a SYN beyond what was asked of it: where nobody can tell its
// fate, it arrived and that is all.
func TestASYNWhoseFateNobodyTellsArrived(t *testing.T) {
	q := Question{Transport: plan.TCP, Source: result.EndpointFrom(dialer), AsSeen: dialer.Addr(), From: from, To: to}
	got := Half(q, View{Port: result.PortBound, Half: []HalfOpen{syn(dialer, false)}})
	want := result.Acceptor{Port: result.PortBound, Saw: result.SawNothing, Source: result.EndpointFrom(dialer), Local: result.EndpointFrom(here)}
	if got != want {
		t.Errorf("%+v", got)
	}
}
