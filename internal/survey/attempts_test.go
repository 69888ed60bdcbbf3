package survey

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"dialtone/internal/contact"
	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// tried is an attempt over TCP from an address and port as seen at the other end, of
// which the listener that proved itself has an address of its own.
func tried(d plan.Direction, port int, source, target, seenAs, origin string) *job {
	at := func(s string) result.Endpoint {
		if s == "" {
			return result.Endpoint{}
		}
		return result.EndpointFrom(netip.MustParseAddrPort(s))
	}
	k := jobKey{direction: d, transport: plan.TCP, port: port, family: result.IP4}
	i := &result.Initiator{Source: at(source), Target: at(target), SeenAs: at(seenAs), Origin: at(origin)}
	if seenAs != "" {
		i.Connect, i.Answer = result.ConnectOpen, result.AnswerKeyed
	}
	return &job{jobKey: k, port: port, initiator: i}
}

func TestAttemptsAreListedInOneOrder(t *testing.T) {
	s := &evidence{jobs: map[jobKey]*job{}}
	for _, k := range []jobKey{
		{direction: plan.Reverse, transport: plan.TCP, port: 80, family: result.IP4},
		{direction: plan.Forward, transport: plan.UDP, port: 80, family: result.IP4, to: far},
		{direction: plan.Forward, transport: plan.TCP, port: 1433, family: result.IP4, to: far},
		{direction: plan.Forward, transport: plan.TCP, port: 80, family: result.IP4, to: far},
		{direction: plan.Forward, transport: plan.TCP, port: 80, family: result.IP4, to: near},
		{direction: plan.Forward, transport: plan.TCP, port: 80, sourcePort: 20, family: result.IP4, to: far},
	} {
		s.jobs[k] = &job{jobKey: k}
	}
	const want = "forward tcp 127.78.0.1 80 0, forward tcp 127.78.0.1 80 20, forward tcp 127.78.0.1 1433 0, forward tcp 127.78.0.2 80 0, forward udp 127.78.0.1 80 0, reverse tcp invalid IP 80 0, "
	for range 20 { // a map's order is chance
		got := ""
		for _, j := range s.attempts() {
			got += fmt.Sprintf("%s %s %s %d %d, ", j.direction, j.transport, j.to, j.jobKey.port, j.sourcePort)
		}
		if got != want {
			t.Fatalf("%s", got)
		}
	}
}

func TestWhatOtherAttemptsShowOfTranslations(t *testing.T) {
	silent := tried(plan.Forward, 1, "10.0.0.5:1", "203.0.113.9:1", "", "")
	plain := tried(plan.Forward, 2, "198.51.100.5:2", "203.0.113.9:2", "198.51.100.5:2", "203.0.113.9:2")
	nat := tried(plan.Forward, 3, "10.0.0.5:3", "203.0.113.9:3", "192.0.2.1:30", "172.16.0.9:3")
	elsewhere := tried(plan.Forward, 4, "10.0.0.5:4", "203.0.113.9:4", "192.0.2.2:40", "172.16.0.8:4")
	ports := tried(plan.Forward, 5, "198.51.100.5:5", "203.0.113.9:5", "198.51.100.5:50", "203.0.113.9:5")
	for name, c := range map[string]struct {
		all            attempts
		changed        bool
		seenAs, origin string
	}{
		"nobody proved itself, and the address is private": {attempts{silent}, true, "", ""},
		"nothing is changed":        {attempts{silent, plain}, false, "", ""},
		"a port is changed":         {attempts{silent, ports}, true, "", ""},
		"both ends are translated":  {attempts{silent, nat}, true, "192.0.2.1", "172.16.0.9"},
		"to several addresses":      {attempts{silent, nat, elsewhere}, true, "", ""},
		"some are and some are not": {attempts{silent, nat, plain}, true, "", ""},
	} {
		if got := c.all.sourceChanged(plan.Forward, result.IP4); got != c.changed {
			t.Errorf("%s: changed is %v", name, got)
		}
		if seenAs, origin := c.all.othersSeenAs(silent).String(), c.all.othersOrigin(silent).String(); seenAs != c.seenAs || origin != c.origin {
			t.Errorf("%s: seen as %q, at %q", name, seenAs, origin)
		}
	}
	kept := tried(plan.Forward, 9, "10.0.0.5:9", "203.0.113.9:9", "192.0.2.1:9", "172.16.0.9:9")
	for name, c := range map[string]struct {
		all  attempts
		want bool
	}{
		"nobody proved itself":   {attempts{silent}, false},
		"each that did":          {attempts{silent, kept}, true},
		"one of two":             {attempts{kept, nat}, false},
		"nothing changes at all": {attempts{plain}, true},
	} {
		if got := c.all.portsKept(plan.Forward, result.IP4); got != c.want {
			t.Errorf("%s: ports are kept: %v", name, got)
		}
	}
	// A NAT may give UDP another address than TCP: each tells of its own first.
	datagram := tried(plan.Forward, 7, "10.0.0.5:7", "203.0.113.9:7", "192.0.2.66:7", "203.0.113.9:7")
	datagram.transport = plan.UDP
	deaf := tried(plan.Forward, 8, "10.0.0.5:8", "203.0.113.9:8", "", "")
	deaf.transport = plan.UDP
	for name, c := range map[string]struct {
		all  attempts
		of   *job
		want string
	}{
		"TCP beside UDP":     {attempts{silent, nat, datagram}, silent, "192.0.2.1"},
		"UDP beside TCP":     {attempts{deaf, nat, datagram}, deaf, "192.0.2.66"},
		"UDP by TCP alone":   {attempts{deaf, nat}, deaf, "192.0.2.1"},
		"TCP by UDP alone":   {attempts{silent, datagram}, silent, "192.0.2.66"},
		"of its own several": {attempts{silent, nat, elsewhere, datagram}, silent, ""},
	} {
		if got := c.all.othersSeenAs(c.of).String(); got != c.want {
			t.Errorf("%s: seen as %q, want %q", name, got, c.want)
		}
	}
	back := tried(plan.Reverse, 6, "203.0.113.9:6", "192.0.2.1:6", "", "")
	if got := (attempts{silent, back}).othersOrigin(back).String(); got != "10.0.0.5" {
		t.Errorf("behind the NAT is %q", got)
	}
	back.initiator.Target = result.EndpointFrom(netip.MustParseAddrPort("10.0.0.5:6"))
	if got := (attempts{silent, back}).othersOrigin(back).String(); got != "" {
		t.Errorf("dialed directly, and behind a NAT is %q", got)
	}
}

// A NAT's address that connections come from need not be the one that partners dial.
func TestAnAddressThatNobodyNamedIsAssumed(t *testing.T) {
	seen, other := netip.MustParseAddr("198.51.100.77"), netip.MustParseAddr("198.51.100.6")
	for name, c := range map[string]struct {
		from     string
		dialed   netip.Addr
		partners []netip.Addr
		want     bool
	}{
		"nobody said":                   {"peer", seen, nil, true},
		"the far end knows several":     {"peer", seen, []netip.Addr{other, far}, true},
		"the far end dials it":          {"peer", seen, []netip.Addr{other, seen}, false},
		"the far end dialed another":    {"peer", other, []netip.Addr{other}, false},
		"nobody publishes a client's":   {"server", seen, nil, false},
		"nor does it matter where from": {"client", seen, nil, false},
	} {
		s := newSurvey(Config{})
		s.contacts.Put(contact.Contact{Family: result.IP4, SeenAs: netip.AddrPortFrom(seen, 40000), Heard: contact.Heard{Hello: echo.Hello{Partners: c.partners}}})
		p := result.Path{From: c.from, Direction: plan.Reverse, Family: result.IP4, Target: result.EndpointFrom(netip.AddrPortFrom(c.dialed, 7968))}
		if got := s.isAssumed(p); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A listener that stood still answered late; the way is no longer for that, and nothing
// that is asked afterwards is to be waited for as if it were.
func TestAPauseOfTheListenerMakesTheWayNoLonger(t *testing.T) {
	late := 1500.0
	for name, c := range map[string]struct {
		i    result.Initiator
		want time.Duration
	}{
		"UDP, answered late":               {result.Initiator{Connect: result.ConnectOpen, ConnectMS: 0.1, RTTMS: &late}, 100 * time.Microsecond},
		"TCP, the system tells no trip":    {result.Initiator{Connect: result.ConnectOpen, ConnectMS: 20, RTTMS: &late}, 20 * time.Millisecond},
		"TCP, the first SYN was lost":      {result.Initiator{Connect: result.ConnectOpen, ConnectMS: 1020, RTTMS: &late, TCP: &result.TCP{RTTMS: 21}}, 21 * time.Millisecond},
		"TCP over a way that is as long":   {result.Initiator{Connect: result.ConnectOpen, ConnectMS: 1600, RTTMS: &late, TCP: &result.TCP{RTTMS: 1500}}, 1500 * time.Millisecond},
		"TCP that nothing was answered to": {result.Initiator{Connect: result.ConnectTimeout, ConnectMS: 4000}, 0},
	} {
		if got := (attempts{{initiator: &c.i}}).longestTrip(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
