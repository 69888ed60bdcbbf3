package merge

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/verdict"
)

var noon = result.TimeOf(time.Date(2026, 3, 17, 14, 0, 0, 0, time.UTC))

// at is so long after two o'clock.
func at(d time.Duration) result.Time { return result.TimeOf(noon.Add(d)) }

func ap(s string) result.Endpoint { return result.EndpointFrom(netip.MustParseAddrPort(s)) }

const (
	// The first institution has a public address, the second is behind a NAT.
	hostA, hostB, outsideB = "192.0.2.10", "10.3.0.10", "203.0.113.2"
	port                   = 7968
)

// timeout is the half of an attempt that got no answer.
func timeout(source, target string, when time.Duration) *result.Initiator {
	return &result.Initiator{Probe: "p", At: at(when), ElapsedMS: 4000, Source: ap(source), Target: ap(target), Attempts: 1, Connect: result.ConnectTimeout}
}

// keyed is the half of an attempt for which all went well.
func keyed(source, target, instance string) *result.Initiator {
	whole := &result.Transfer{Outcome: result.TransferIntact, Want: 4, Intact: 4}
	i := timeout(source, target, 3*time.Minute)
	i.Connect, i.Answer, i.Origin, i.SeenAs, i.Instance = result.ConnectOpen, result.AnswerKeyed, ap(target), ap(source), instance
	i.Sent, i.Received = whole, whole
	return i
}

// half is a run of dial odyssey: what it dialed, and nothing of the other way.
func half(run, host, own, dials string, i *result.Initiator) *result.Report {
	r := &result.Report{
		Schema: result.Schema, Tool: "dialtone test", Run: run, Started: noon, ElapsedMS: 900_000, Plan: "illiad", Mode: result.ModePaths,
		From: result.End{Role: "server", Host: host, Addresses: result.ParseAddrs(own)},
		To:   result.End{Role: "peer", Host: dials, Addresses: result.ParseAddrs(dials)},
		Listened: &result.Listened{
			Instance: "listener of " + host, Since: noon, Until: at(15 * time.Minute), Witness: result.WitnessTable,
			Ports: []result.ListenedPort{{Port: port, Transport: plan.TCP, Family: result.IP4, State: result.PortBound}},
		},
	}
	out := result.Path{
		Flow: "odyssey-out", Service: "Odyssey", Port: port, PlanPort: port, Transport: plan.TCP, Direction: plan.Forward, Family: result.IP4,
		From: "server", To: "peer", Need: plan.Required, Counted: true, Expect: plan.ExpectOpen,
		At: i.At, Source: i.Source, Target: i.Target, SeenAs: i.SeenAs, Attempts: i.Attempts, Initiator: i,
	}
	in := out
	in.Flow, in.Direction, in.From, in.To = "odyssey-in", plan.Reverse, "peer", "server"
	in.Source, in.Target, in.SeenAs, in.Attempts = result.Endpoint{}, result.Endpoint{}, result.Endpoint{}, 0
	in.Initiator = &result.Initiator{NotTried: "there was no contact"}
	for _, p := range []result.Path{out, in} {
		judge(&p)
		r.Paths = append(r.Paths, p)
	}
	verdict.Summarize(r)
	return r
}

func judge(p *result.Path) {
	instance := ""
	if p.Initiator.Answer == result.AnswerKeyed {
		instance = p.Initiator.Instance
	}
	verdict.Rule(p, verdict.Context{Mode: result.ModePaths, Instance: instance})
}

// halves are two ends neither of which got through: a's attempt at 14:03:07, b's
// at 14:05.
func halves() (a, b *result.Report) {
	return half("run-a", "illiad.a.example", hostA, outsideB, timeout(hostA+":50123", outsideB+":7968", 187*time.Second)),
		half("run-b", "illiad.b.example", hostB, hostA, timeout(hostB+":40999", hostA+":7968", 5*time.Minute))
}

// arrival is one at port 7968.
func arrival(source string, when time.Duration, saw result.Sighting) result.Arrival {
	return result.Arrival{Transport: plan.TCP, Port: port, Source: ap(source), Local: ap("10.3.0.10:7968"), First: at(when), Last: at(when + 3*time.Second), Saw: saw, Count: 1}
}

func joinOf(t *testing.T, a, b *result.Report) *result.Report {
	t.Helper()
	p, ok := Pair(a, b, true)
	if !ok {
		t.Fatal("no pair")
	}
	return Join(a, b, p)
}

func TestWhatOneEndSawCompletesWhatTheOtherDialed(t *testing.T) {
	const sent = 187 * time.Second
	for _, c := range []struct {
		name    string
		change  func(a, b *result.Report)
		want    result.Verdict
		finding result.Code
		says    string // in the finding's text
	}{
		{"nothing arrived while it listened", func(_, _ *result.Report) {}, result.Filtered, "filtered",
			"left at 2026-03-17 14:03:07 UTC; the other end listened from 2026-03-17 14:00:00 to 14:15:00 UTC by its own clock. How far the two clocks differ is not known: this holds if they differ by less than 3 min 7 s."},
		{"half-open there", func(_, b *result.Report) {
			b.Listened.Arrivals = []result.Arrival{arrival(hostA+":50123", sent, result.SawHalfOpen)}
		}, result.ReplyLost, "reply-lost", "saw it at 14:03:07. The two clocks agree."},
		{"half-open there, under the NAT's address and the same port", func(_, b *result.Report) {
			b.To.Addresses = result.ParseAddrs("192.0.2.99")
			b.Paths[0].Target, b.Paths[0].Initiator.Target = ap("192.0.2.99:7968"), ap("192.0.2.99:7968")
			b.Listened.Arrivals = []result.Arrival{arrival("192.0.2.99:50123", sent, result.SawHalfOpen)}
		}, result.ReplyLost, "reply-lost", "saw it at 14:03:07"},
		{"its SYN came as far as the interface", func(_, b *result.Report) {
			b.Listened.Arrivals = []result.Arrival{arrival(hostA+":50123", sent, result.SawNothing)}
		}, result.Filtered, "filtered-by-host", "own firewall dropped it"},
		{"something came from elsewhere, and the clocks are unknown", func(_, b *result.Report) {
			b.Listened.Arrivals = []result.Arrival{arrival("198.51.100.77:1234", 14*time.Minute, result.SawHalfOpen)}
		}, result.Silent, "silent", "a half-open connection came from 198.51.100.77:1234 at 14:14:00"},
		{"something came from elsewhere at another time, and the clocks are known", func(a, b *result.Report) {
			a.Contact = &result.Contact{ClockMS: new(int64)}
			b.Listened.Arrivals = []result.Arrival{arrival("198.51.100.77:1234", 14*time.Minute, result.SawHalfOpen)}
		}, result.Filtered, "filtered", "The two clocks agree"},
		{"something came from elsewhere at that time", func(a, b *result.Report) {
			a.Contact = &result.Contact{ClockMS: new(int64)}
			b.Listened.Arrivals = []result.Arrival{arrival("198.51.100.77:1234", sent, result.SawHalfOpen)}
		}, result.Silent, "silent", "may be this attempt with its address changed"},
		{"another run proved itself there", func(_, b *result.Report) {
			v := arrival("198.51.100.77:1234", sent, result.SawAccepted)
			v.Proved, v.Run = true, "somebody-else"
			b.Listened.Arrivals = []result.Arrival{v}
		}, result.Filtered, "filtered", ""},
		{"known as that address on other paths, at that time, with another port", func(a, b *result.Report) {
			a.Contact = &result.Contact{ClockMS: new(int64), SeenAs: ap("192.0.2.99:60000")}
			b.Listened.Arrivals = []result.Arrival{arrival("192.0.2.99:61234", sent, result.SawHalfOpen)}
		}, result.ReplyLost, "reply-lost", ""},
		{"the same, and another run from that address at that time", func(a, b *result.Report) {
			a.Contact = &result.Contact{ClockMS: new(int64), SeenAs: ap("192.0.2.99:60000")}
			other := arrival("192.0.2.99:61235", sent, result.SawAccepted)
			other.Proved, other.Run, other.Port = true, "somebody-else", 1611
			b.Listened.Arrivals = []result.Arrival{other, arrival("192.0.2.99:61234", sent, result.SawHalfOpen)}
		}, result.Silent, "silent", "may be this attempt"},
		{"the same address and port at quite another time", func(a, b *result.Report) {
			a.Contact = &result.Contact{ClockMS: new(int64)}
			a.Paths[0].Initiator.Failed = []result.Failed{{At: at(sent - time.Minute), Source: ap(hostA + ":50123"), Connect: result.ConnectTimeout}}
			b.Listened.Arrivals = []result.Arrival{arrival(hostA+":50123", 13*time.Minute, result.SawHalfOpen)}
		}, result.Filtered, "filtered", ""},
		{"the attempt was before it listened", func(_, b *result.Report) {
			b.Listened.Since = at(4 * time.Minute)
		}, result.Silent, "silent", "no attempt is known to lie in that time"},
		{"the attempt was hardly a second inside", func(_, b *result.Report) {
			b.Listened.Since = at(sent - time.Second)
		}, result.Silent, "silent", "no attempt is known to lie in that time"},
		{"two attempts say different things of the clocks", func(a, b *result.Report) {
			a.Paths[0].Initiator.Failed = []result.Failed{{At: at(time.Minute), Source: ap(hostA + ":50001"), Connect: result.ConnectRST}}
			iso := arrival(hostA+":50002", 10*time.Minute, result.SawHalfOpen)
			iso.Port = 1611
			b.Listened.Arrivals = []result.Arrival{arrival(hostA+":50001", time.Minute, result.SawAccepted), iso}
			a.Paths = append(a.Paths, a.Paths[0])
			a.Paths[2].Flow, a.Paths[2].Port, a.Paths[2].Initiator = "iso-out", 1611, timeout(hostA+":50002", outsideB+":1611", 2*time.Minute)
		}, result.Filtered, "filtered", "is not known"},
		{"an earlier attempt was while it listened", func(a, b *result.Report) {
			b.Listened.Until = at(2 * time.Minute)
			a.Paths[0].Initiator.Failed = []result.Failed{{At: at(time.Minute), Source: ap(hostA + ":50001"), Connect: result.ConnectTimeout}}
		}, result.Filtered, "filtered", "left at 2026-03-17 14:01:00"},
		{"an earlier attempt that ended otherwise was", func(a, b *result.Report) {
			b.Listened.Until = at(2 * time.Minute)
			a.Paths[0].Initiator.Failed = []result.Failed{{At: at(time.Minute), Source: ap(hostA + ":50001"), Connect: result.ConnectRST}}
		}, result.Silent, "silent", ""},
		{"the clocks put it outside", func(a, _ *result.Report) {
			ms := (-5 * time.Minute).Milliseconds()
			a.Contact = &result.Contact{ClockMS: &ms}
		}, result.Silent, "silent", "that clock is -5m0s off"},
		{"the clocks put it inside", func(a, b *result.Report) {
			ms := time.Hour.Milliseconds()
			a.Contact = &result.Contact{ClockMS: &ms}
			b.Listened.Since, b.Listened.Until = at(time.Hour), at(time.Hour+15*time.Minute)
		}, result.Filtered, "filtered", "That clock is 1 h 0 min ahead"},
		{"the two reports disagree about the clocks", func(a, b *result.Report) {
			one, two := int64(1000), int64(60_000)
			a.Contact, b.Contact = &result.Contact{ClockMS: &one}, &result.Contact{ClockMS: &two}
		}, result.Filtered, "filtered", "is not known"},
		{"it may have missed something", func(_, b *result.Report) { b.Listened.Blind = "SYN cookies were active" }, result.Silent, "silent", "SYN cookies were active"},
		{"it cannot see half-open connections", func(_, b *result.Report) { b.Listened.Witness = result.WitnessNone }, result.Silent, "silent", "half-open"},
		{"more arrived than it lists", func(_, b *result.Report) { b.Listened.Truncated = true }, result.Silent, "silent", "more arrived"},
		{"it did not hold the port", func(_, b *result.Report) { b.Listened.Ports = nil }, result.Silent, "silent", "did not hold that port"},
		{"other software held the port", func(_, b *result.Report) {
			b.Listened.Ports[0].State, b.Listened.Ports[0].Holder = result.PortBusy, &result.Holder{Name: "OdysseyManager.exe", PID: 4}
		}, result.Silent, "silent", "other software held the port"},
		{"it did not listen at all", func(_, b *result.Report) { b.Listened = nil }, result.Silent, "silent", "there was no contact"},
		{"another address was dialed than the other end has", func(a, b *result.Report) {
			b.From.Addresses = result.ParseAddrs("198.51.100.20")
			b.Paths[0].Initiator.Source = ap("198.51.100.20:40999")
		}, result.Silent, "silent", "nothing shows that the one leads to the other"},
		{"refused, and it held the port", func(a, _ *result.Report) { a.Paths[0].Initiator.Connect = result.ConnectRST }, result.Refused, "nat-no-forward", "less than 3 min 7 s"},
		{"refused, and it did not hold the port", func(a, b *result.Report) {
			a.Paths[0].Initiator.Connect = result.ConnectRST
			b.Listened.Ports = nil
		}, result.Refused, "nothing-listens", ""},
		{"refused before it listened", func(a, b *result.Report) {
			a.Paths[0].Initiator.Connect = result.ConnectRST
			b.Listened.Since = at(4 * time.Minute)
		}, result.Refused, "refused", "cannot tell which"},
		{"other bytes came back, and other software held the port", func(a, b *result.Report) {
			a.Paths[0].Initiator.Connect, a.Paths[0].Initiator.Answer = result.ConnectOpen, result.AnswerForeign
			b.Listened.Ports[0].State, b.Listened.Ports[0].Holder = result.PortBusy, &result.Holder{Name: "OdysseyManager.exe", PID: 4}
		}, result.Occupied, "occupied", "OdysseyManager.exe"},
		{"connected, and half-open there only because other software has the port", func(a, b *result.Report) {
			a.Paths[0].Initiator.Connect, a.Paths[0].Initiator.Answer = result.ConnectOpen, result.AnswerSilent
			b.Listened.Ports[0].State, b.Listened.Ports[0].Holder = result.PortBusy, &result.Holder{Name: "OdysseyManager.exe", PID: 4}
			b.Listened.Arrivals = []result.Arrival{arrival(hostA+":50123", sent, result.SawHalfOpen)}
		}, result.Stalled, "stalled-holder", "held there by OdysseyManager.exe"},
		{"no answer, and half-open there, where other software has the port", func(_, b *result.Report) {
			b.Listened.Ports[0].State, b.Listened.Ports[0].Holder = result.PortBusy, &result.Holder{Name: "OdysseyManager.exe", PID: 4}
			b.Listened.Arrivals = []result.Arrival{arrival(hostA+":50123", sent, result.SawHalfOpen)}
		}, result.ReplyLost, "reply-lost", "saw it at 14:03:07"},
		{"other bytes came back, and the port was its own", func(a, _ *result.Report) {
			a.Paths[0].Initiator.Connect, a.Paths[0].Initiator.Answer = result.ConnectOpen, result.AnswerForeign
		}, result.Intercepted, "intercepted", "never saw this connection"},
		{"other bytes came back before it listened", func(a, b *result.Report) {
			a.Paths[0].Initiator.Connect, a.Paths[0].Initiator.Answer = result.ConnectOpen, result.AnswerForeign
			b.Listened.Since = at(4 * time.Minute)
		}, result.Answered, "answered", ""},
		{"connected to nobody it knows", func(a, _ *result.Report) {
			a.Paths[0].Initiator.Connect, a.Paths[0].Initiator.Answer = result.ConnectOpen, result.AnswerSilent
		}, result.Stalled, "stalled-someone-else", ""},
		{"connected, and its proof arrived there", func(a, b *result.Report) {
			a.Paths[0].Initiator.Connect, a.Paths[0].Initiator.Answer = result.ConnectOpen, result.AnswerSilent
			v := arrival("192.0.2.99:61234", sent, result.SawAccepted)
			v.Proved, v.Run = true, "run-a"
			b.Listened.Arrivals = []result.Arrival{v}
		}, result.Stalled, "stalled-listener", "received our request and answered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := halves()
			c.change(a, b)
			for _, r := range []*result.Report{a, b} {
				judge(&r.Paths[0])
			}
			r := joinOf(t, a, b)
			p := r.Paths[0]
			if p.Verdict != c.want || p.Finding == nil || p.Finding.Code != c.finding || !strings.Contains(p.Finding.Text, c.says) {
				t.Errorf("got %s, %+v\nwant %s, %s: …%s…", p.Verdict, p.Finding, c.want, c.finding, c.says)
			}
			// Seen from the other end it is the same.
			m := joinOf(t, b, a)
			if q := m.Paths[1]; q.Verdict != p.Verdict || q.Direction != plan.Reverse || q.From != "peer" {
				t.Errorf("from the other end: %s %s from %s", q.Direction, q.Verdict, q.From)
			}
		})
	}
}

func TestOnlyTheEndsOfAPairArePaired(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(a, b *result.Report)
		alone   bool
		ok      bool
		assumed bool
	}{
		{"one dialed the other's own address", func(_, _ *result.Report) {}, false, true, false},
		{"by name", func(a, b *result.Report) {
			b.To.Addresses, b.To.Host = result.ParseAddrs("192.0.2.99"), "ILLiad.A.example."
		}, false, true, false},
		{"neither address shows it, and they are the only two", func(_, b *result.Report) {
			b.To = result.End{Role: "peer", Host: "192.0.2.99", Addresses: result.ParseAddrs("192.0.2.99")}
		}, true, true, true},
		{"neither address shows it, and there are more", func(_, b *result.Report) {
			b.To = result.End{Role: "peer", Host: "192.0.2.99", Addresses: result.ParseAddrs("192.0.2.99")}
		}, false, false, false},
		{"neither address shows it, and the key is the same", func(a, b *result.Report) {
			b.To = result.End{Role: "peer", Host: "192.0.2.99", Addresses: result.ParseAddrs("192.0.2.99")}
			a.Tag, b.Tag = "1a2b", "1a2b"
		}, true, true, false},
		{"the listener's key is the same", func(a, b *result.Report) {
			b.To = result.End{Role: "peer", Host: "192.0.2.99", Addresses: result.ParseAddrs("192.0.2.99")}
			a.Tag, b.Listened.Tag = "1a2b", "1a2b"
		}, true, true, false},
		{"the key is the same, and there are more", func(a, b *result.Report) {
			b.To = result.End{Role: "peer", Host: "192.0.2.99", Addresses: result.ParseAddrs("192.0.2.99")}
			a.Tag, b.Tag = "1a2b", "1a2b"
		}, false, false, false},
		{"one does not say which key", func(a, b *result.Report) {
			b.To = result.End{Role: "peer", Host: "192.0.2.99", Addresses: result.ParseAddrs("192.0.2.99")}
			a.Tag = "1a2b"
		}, true, false, false},
		{"another key", func(a, b *result.Report) {
			b.To = result.End{Role: "peer", Host: "192.0.2.99", Addresses: result.ParseAddrs("192.0.2.99")}
			a.Tag, b.Tag = "1a2b", "3c4d"
		}, true, false, false},
		{"another key, and one dialed the other's own address", func(a, b *result.Report) { a.Tag, b.Tag = "1a2b", "3c4d" }, true, false, false},
		{"the same key, and two machines to one partner", func(a, b *result.Report) {
			b.To, a.Tag, b.Tag = a.To, "1a2b", "1a2b"
		}, true, false, false},
		{"a short name is no proof", func(a, b *result.Report) {
			a.From.Host, b.To.Host, b.To.Addresses = "illiad", "illiad", result.ParseAddrs("192.0.2.99")
		}, false, false, false},
		{"an attempt is among the arrivals", func(a, b *result.Report) {
			b.To.Addresses, b.To.Host = result.ParseAddrs("192.0.2.99"), ""
			b.Listened.Arrivals = []result.Arrival{arrival(hostA+":50123", 0, result.SawHalfOpen)}
		}, false, true, false},
		{"the run proved itself there", func(a, b *result.Report) {
			b.To.Addresses, b.To.Host = result.ParseAddrs("192.0.2.99"), ""
			v := arrival("198.51.100.1:5", 0, result.SawAccepted)
			v.Proved, v.Run = true, "run-a"
			b.Listened.Arrivals = []result.Arrival{v}
		}, false, true, false},
		{"the listener is the contact", func(a, b *result.Report) {
			b.To.Addresses, b.To.Host = result.ParseAddrs("192.0.2.99"), ""
			a.Contact = &result.Contact{Instance: b.Listened.Instance}
		}, false, true, false},
		{"the same run", func(_, b *result.Report) { b.Run = "run-a" }, true, false, false},
		{"the same machine, to two partners", func(a, b *result.Report) {
			b.From, b.To.Addresses = a.From, result.ParseAddrs("198.51.100.20")
			b.Paths[0].Initiator.Source = ap(hostA + ":40999")
		}, true, false, false},
		{"two machines, to one partner", func(a, b *result.Report) { b.To = a.To }, true, false, false},
		{"roles that do not match", func(_, b *result.Report) { b.From.Role, b.To.Role = "client", "server" }, true, false, false},
		{"real software", func(_, b *result.Report) { b.Mode = result.ModeInstalled }, true, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := halves()
			c.change(a, b)
			for _, order := range [][2]*result.Report{{a, b}, {b, a}} {
				if p, ok := Pair(order[0], order[1], c.alone); ok != c.ok || p.Assumed != c.assumed {
					t.Errorf("pair %v, assumed %v", ok, p.Assumed)
				}
			}
		})
	}
}

// listensOf is what listen reports in the place of b, which dialed nothing.
func listensOf(b *result.Report) *result.Report {
	l := *b
	l.Mode, l.Run, l.To, l.Paths = result.ModeListen, "00000000000000000000000000001157", result.End{}, nil
	return &l
}

// The listening side has run listen, and nothing else: what it saw completes what dial
// could not know, and nothing of it counts as a path or a machine of its own.
func TestListensReportCompletesWhatWasDialed(t *testing.T) {
	a, b := halves()
	a.From.Role, a.To.Role, a.Listened = "client", "server,web,database", nil
	b.Listened.Arrivals = []result.Arrival{arrival(hostA+":50123", 187*time.Second+200*time.Millisecond, result.SawHalfOpen)}
	l := listensOf(b)
	out, findings := WithListens([]Input{{Name: "l", Report: l}, {Name: "a", Report: a}})
	if len(out) != 1 || len(findings) != 0 {
		t.Fatalf("%d reports, %v", len(out), findings)
	}
	r := out[0].Report
	if len(r.Paths) != len(a.Paths) || r.Paths[0].Verdict != result.ReplyLost || r.Joined == nil || r.Joined.Run != l.Run {
		t.Errorf("%s joined %+v", verdicts(r), r.Joined)
	}
	if f := find(r, result.CodeNotListened); f != nil {
		t.Errorf("listen dialed nothing, and yet: %s", f.Text)
	}
	// Of a listen that was started again it is the report of that time.
	before := listensOf(b)
	listened := *b.Listened
	listened.Since, listened.Until, listened.Arrivals = at(-2*time.Hour), at(-time.Hour), nil
	before.Run, before.Listened = "00000000000000000000000000001158", &listened
	out, findings = WithListens([]Input{{Report: before}, {Report: l}, {Report: a}})
	if len(out) != 1 || out[0].Report.Joined == nil || out[0].Report.Joined.Run != l.Run {
		t.Errorf("joined %+v", out[0].Report.Joined)
	}
	if len(findings) != 1 || findings[0].Code != result.CodeListensUnpaired {
		t.Errorf("findings %v", findings)
	}
	// Another key is another test's.
	other := *l
	other.Tag, a.Tag = "ffff", "0001"
	if out, findings = WithListens([]Input{{Report: &other}, {Report: a}}); out[0].Report.Joined != nil || len(findings) != 1 {
		t.Errorf("joined %+v, %v", out[0].Report.Joined, findings)
	}
	// Nothing of it proves a path, whatever it says.
	b.Listened.Arrivals[0].Saw, b.Listened.Arrivals[0].Proved, b.Listened.Arrivals[0].Run = result.SawAccepted, true, a.Run
	out, _ = WithListens([]Input{{Report: listensOf(b)}, {Report: a}})
	if v := out[0].Report.Paths[0].Verdict; v == result.Open {
		t.Errorf("verdict %s", v)
	}
}

func TestAnAssumedPairSaysSo(t *testing.T) {
	a, b := halves()
	b.To = result.End{Role: "peer", Host: "192.0.2.99", Addresses: result.ParseAddrs("192.0.2.99")}
	r := joinOf(t, a, b)
	if f := find(r, "ends-assumed"); f == nil || !strings.Contains(f.Text, "192.0.2.99") || !strings.Contains(f.Text, hostB) || !r.Joined.Assumed {
		t.Errorf("findings %+v", r.Findings)
	}
}

func TestReportsUnderDifferentKeysSaySo(t *testing.T) {
	a, b := halves()
	a.Tag, b.Tag = "1a2b", "3c4d"
	if f := OtherKey(a, b); f == nil || !strings.Contains(f.Text, "illiad.a.example") || !strings.Contains(f.Text, "illiad.b.example") {
		t.Errorf("%+v", f)
	}
	if b.Tag = a.Tag; OtherKey(a, b) != nil {
		t.Error("one key is called two")
	}
	if b.Tag = ""; OtherKey(a, b) != nil {
		t.Error("a report without a tag is called another key's")
	}
}

func find(r *result.Report, code result.Code) *result.Finding {
	for i := range r.Findings {
		if r.Findings[i].Code == code {
			return &r.Findings[i]
		}
	}
	return nil
}

// reverseOf has b's report on a's forward path, as b's run had a dial it back.
func reverseOf(b *result.Report, i *result.Initiator, a *result.Acceptor) {
	p := &b.Paths[1]
	p.Initiator, p.Acceptor = i, a
	p.At, p.Source, p.Target, p.SeenAs, p.Attempts = i.At, i.Source, i.Target, i.SeenAs, i.Attempts
	judge(p)
}

func TestContradictionsCountAsTheWorse(t *testing.T) {
	a, b := halves()
	reverseOf(b, keyed(hostA+":50200", outsideB+":7968", "x"), nil)
	if b.Paths[1].Verdict != result.Open {
		t.Fatalf("the other report says %s", b.Paths[1].Verdict)
	}
	b.Listened.Blind = "it was not watching yet"
	r := joinOf(t, a, b)
	if r.Paths[0].Verdict != result.Silent || find(r, "contradiction") == nil {
		t.Errorf("got %s, %+v", r.Paths[0].Verdict, r.Findings)
	}
}

func TestWhatBothEndsProvedStaysOpen(t *testing.T) {
	_, b := halves()
	a := half("run-a", "illiad.a.example", hostA, outsideB, keyed(hostA+":50123", outsideB+":7968", b.Listened.Instance))
	r := joinOf(t, a, b)
	if p := r.Paths[0]; p.Verdict != result.Open || !p.OK || p.Proof != result.ProofKeyed || len(r.Findings) != 0 {
		t.Errorf("got %s, %+v", p.Verdict, r.Findings)
	}
}

func TestAProofByAnotherListenerIsNotOpen(t *testing.T) {
	_, b := halves()
	a := half("run-a", "illiad.a.example", hostA, outsideB, keyed(hostA+":50123", outsideB+":7968", "another listener"))
	a.Contact = &result.Contact{ClockMS: new(int64), Instance: "another listener"}
	r := joinOf(t, a, b)
	if p := r.Paths[0]; p.Verdict != result.Redirected || p.OK || find(r, "contradiction") == nil {
		t.Errorf("got %s, %+v", p.Verdict, r.Findings)
	}
}

func TestAReportThatClaimsMoreThanItsEvidenceIsNotBelieved(t *testing.T) {
	a, b := halves()
	a.Paths[0].Verdict, a.Paths[0].Proof, a.Paths[0].OK, a.Paths[0].Finding = result.Open, result.ProofKeyed, true, nil
	r := joinOf(t, a, b)
	if p := r.Paths[0]; p.Verdict != result.Filtered || p.OK || find(r, "contradiction") == nil {
		t.Errorf("joined: got %s, %+v", p.Verdict, r.Findings)
	}
	m := Tabulate("test", []Input{{Report: a}})
	if c := m.Rows[0].Cells[0]; c.OK || c.Verdict != result.Silent || ExitCode(m) != 1 {
		t.Errorf("matrix: %+v, exit %d", c, ExitCode(m))
	}
}

func TestPathsThatOnlyTheOtherEndKnows(t *testing.T) {
	a, b := halves()
	six := b.Paths[0]
	six.Family = result.IP6
	six.Initiator = timeout("[2001:db8:3::10]:40999", "[2001:db8:1::10]:7968", 5*time.Minute)
	six.Source, six.Target = six.Initiator.Source, six.Initiator.Target
	judge(&six)
	b.Paths = append(b.Paths, six)
	r := joinOf(t, a, b)
	if len(r.Paths) != 3 {
		t.Fatalf("%d paths", len(r.Paths))
	}
	if p := r.Paths[2]; p.Flow != "odyssey-in" || p.Direction != plan.Reverse || p.From != "peer" || p.To != "server" || p.Verdict != result.Silent || !p.Counted {
		t.Errorf("got %+v", p)
	}
}

// real reads a half as dial wrote it in the lab: in "drop" both firewalls drop
// what comes in, in "mixed" the peer's does and the server's drops the answers.
func real(t *testing.T, name string, shift time.Duration) *result.Report {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	b = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[0-9:.]+Z"`).ReplaceAllFunc(b, func(s []byte) []byte {
		v, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(s))
		if err != nil {
			t.Fatal(err)
		}
		return []byte(v.Add(shift).Format(`"2006-01-02T15:04:05.000Z"`))
	})
	r, err := result.ParseReport(b, result.MaxReport)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func verdicts(r *result.Report) string {
	var out []string
	for _, p := range r.Paths {
		out = append(out, fmt.Sprintf("%s %s", p.Flow, p.Verdict))
	}
	return strings.Join(out, ", ")
}

func TestRealHalves(t *testing.T) {
	const (
		dropped = "odyssey-out filtered, odyssey-in filtered, iso-out filtered, iso-in filtered"
		mixed   = "odyssey-out filtered, odyssey-in reply-lost, iso-out filtered, iso-in reply-lost"
		mirror  = "odyssey-out reply-lost, odyssey-in filtered, iso-out reply-lost, iso-in filtered"
		silent  = "odyssey-out silent, odyssey-in silent, iso-out silent, iso-in silent"
	)
	for _, c := range []struct {
		a, b  string
		shift time.Duration // of b
		want  string
		clock time.Duration // -1: unknown
	}{
		{"drop-a", "drop-b", 0, dropped, -1},
		{"drop-b", "drop-a", 0, dropped, -1},
		{"drop-a", "drop-b", 3 * time.Second, dropped, -1},
		{"drop-a", "drop-b", 90 * time.Second, silent, -1}, // its 25 s do not overlap by the clocks
		{"mixed-a", "mixed-b", 0, mixed, 0},
		{"mixed-b", "mixed-a", 0, mirror, 0},
		{"mixed-a", "mixed-b", 90 * time.Second, mixed, 90 * time.Second},
		{"mixed-b", "mixed-a", 90 * time.Second, mirror, 90 * time.Second},
		{"mixed-a", "mixed-b", -36 * time.Hour, mixed, -36 * time.Hour},
	} {
		t.Run(fmt.Sprintf("%s and %s %v later", c.a, c.b, c.shift), func(t *testing.T) {
			r := joinOf(t, real(t, c.a, 0), real(t, c.b, c.shift))
			if got := verdicts(r); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if (r.Joined.ClockMS == nil) != (c.clock < 0 && c.clock == -1) {
				t.Fatalf("clock %v, want %v", r.Joined.ClockMS, c.clock)
			}
			if r.Joined.ClockMS != nil {
				if got := time.Duration(*r.Joined.ClockMS) * time.Millisecond; (got - c.clock).Abs() > 2*time.Second {
					t.Errorf("clock %v, want %v", got, c.clock)
				}
			}
		})
	}
}

// Whatever two halves say, a path is open only if one of them proved it.
func TestNothingIsOpenWithoutAKeyedProof(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(n int) int { return rnd.IntN(n) }
	connects := []result.ConnectOutcome{result.ConnectOpen, result.ConnectOpen, result.ConnectTimeout, result.ConnectRST, result.ConnectICMP, result.ConnectNoRoute, result.ConnectFailed, ""}
	answers := []result.AnswerOutcome{"", result.AnswerKeyed, result.AnswerKeyed, result.AnswerForeign, result.AnswerEchoed, result.AnswerSilent, result.AnswerReset, result.AnswerWrongKey, result.AnswerVersion}
	states := []result.PortState{result.PortUnknown, result.PortBound, result.PortBusy, result.PortUnbound}
	saw := []result.Sighting{result.SawUnknown, result.SawNothing, result.SawHalfOpen, result.SawAccepted}
	sources := []string{hostA + ":50123", hostB + ":40999", outsideB + ":40999", "198.51.100.7:1"}
	initiator := func() *result.Initiator {
		i := keyed(sources[pick(4)], []string{hostA, hostB, outsideB}[pick(3)]+":7968", []string{"x", "listener of illiad.b.example"}[pick(2)])
		i.At, i.Connect, i.Answer = at(time.Duration(pick(20))*time.Minute), connects[pick(len(connects))], answers[pick(len(answers))]
		if pick(3) == 0 {
			i.Sent = &result.Transfer{Outcome: result.TransferStalled, Want: 4}
		}
		if pick(4) == 0 {
			i.Conversation = &result.Conversation{Speaks: "odyssey", Outcome: result.ConversationCompleted, Keyed: pick(2) == 0}
		}
		return i
	}
	fill := func(r *result.Report) {
		for k := range r.Paths {
			p := &r.Paths[k]
			p.Initiator = initiator()
			if pick(2) == 0 {
				p.Acceptor = &result.Acceptor{Instance: "x", Port: states[pick(4)], Saw: saw[pick(4)], Conversed: pick(2) == 0}
			}
			judge(p)
			if pick(3) == 0 { // a liar
				p.Verdict, p.OK, p.Proof = result.Open, true, result.ProofKeyed
			}
		}
		if pick(5) == 0 {
			r.Listened = nil
			return
		}
		r.Listened.Ports[0].State = states[pick(4)]
		for range pick(4) {
			v := arrival(sources[pick(4)], time.Duration(pick(20))*time.Minute, saw[pick(4)])
			v.Proved, v.Run = pick(2) == 0, []string{"", "run-a", "run-b", "other"}[pick(4)]
			r.Listened.Arrivals = append(r.Listened.Arrivals, v)
		}
		if pick(3) == 0 {
			r.Contact = &result.Contact{Instance: "x", ClockMS: new(int64)}
		}
	}
	isProved := func(ps ...*result.Path) bool {
		for _, p := range ps {
			i := p.Initiator
			t := i.Conversation
			if i.Connect == result.ConnectOpen && (i.Answer == result.AnswerKeyed && i.Sent.Outcome == result.TransferIntact ||
				t != nil && t.Keyed && p.Acceptor != nil && p.Acceptor.Conversed) {
				return true
			}
		}
		return false
	}
	opened := 0
	for range 5_000 {
		a, b := halves()
		fill(a)
		fill(b)
		p, ok := Pair(a, b, true)
		if !ok {
			continue
		}
		r := Join(a, b, p)
		for k := range r.Paths {
			if r.Paths[k].Verdict != result.Open && r.Paths[k].Proof != result.ProofKeyed {
				continue
			}
			if r.Paths[k].Verdict == result.Open {
				opened++
				if !isProved(&a.Paths[k], &b.Paths[1-k]) {
					t.Fatalf("%s is open without proof:\n%+v\n%+v\n%+v", r.Paths[k].Flow, r.Paths[k].Initiator, a.Paths[k].Initiator, b.Paths[1-k].Initiator)
				}
			}
		}
		m := Tabulate("test", []Input{{Report: a}, {Report: b}})
		for n, rep := range []*result.Report{a, b} {
			for k := range rep.Paths {
				if m.Rows[n].Cells[k].Verdict == result.Open && !isProved(&rep.Paths[k]) {
					t.Fatalf("cell %d %d is open without proof", n, k)
				}
			}
		}
	}
	if opened < 100 {
		t.Errorf("only %d paths were open: this tests little", opened)
	}
}

// What is known of one address of a name says nothing of another: a dead one
// must not be taken for the one that works.
func TestEachAddressOfANameIsAPathOfItsOwn(t *testing.T) {
	const dead = "203.0.113.3"
	a := half("run-a", "a", hostA, "ill.b.example", keyed(hostA+":5001", outsideB+":7968", "listener of b"))
	second := a.Paths[0]
	second.Initiator = timeout(hostA+":5002", dead+":7968", 3*time.Minute)
	second.Target, second.Source = second.Initiator.Target, second.Initiator.Source
	judge(&second)
	a.Paths[0].Address, second.Address = result.ParseAddr(outsideB), result.ParseAddr(dead)
	a.Paths = append(a.Paths, second)
	b := half("run-b", "b", hostB, hostA, timeout(hostB+":6001", hostA+":7968", 3*time.Minute))
	in := &b.Paths[1]
	in.Initiator = keyed(hostA+":5003", outsideB+":7968", b.Listened.Instance)
	in.Source, in.Target, in.Attempts = in.Initiator.Source, in.Initiator.Target, 1
	judge(in)
	got := map[string]result.Verdict{}
	for _, p := range Join(a, b, Pairing{}).Paths {
		if p.Direction == plan.Forward {
			got[p.Target.Addr().String()+" "+p.Address.String()] = p.Verdict
		}
	}
	if len(got) != 2 || got[outsideB+" "+outsideB] != result.Open || got[dead+" "+dead] != result.Silent {
		t.Errorf("%v", got)
	}
}
