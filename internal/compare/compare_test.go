package compare

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

var day = time.Date(2026, 11, 20, 9, 18, 0, 0, time.UTC)

func ap(s string) result.Endpoint { return result.EndpointFrom(netip.MustParseAddrPort(s)) }

func report(run string, at time.Time, paths ...result.Path) *result.Report {
	return &result.Report{
		Schema: result.Schema, Run: run, Started: result.TimeOf(at), Plan: "illiad", Mode: result.ModePaths, Tool: "dial 1",
		From:    result.End{Role: "client", Host: "pc-7", Addresses: result.ParseAddrs("10.1.0.10")},
		To:      result.End{Role: "server", Host: "illiad.example.edu", Addresses: result.ParseAddrs("10.2.0.10")},
		Contact: &result.Contact{}, Paths: paths,
	}
}

func path(flow string, v result.Verdict, ok bool) result.Path {
	return result.Path{
		Flow: flow, Service: flow, Port: 1433, PlanPort: 1433, Transport: plan.TCP, Direction: plan.Forward, Family: result.IP4, From: "client", To: "server",
		Counted: true, Verdict: v, OK: ok, Source: ap("10.1.0.10:50000"), Target: ap("10.2.0.10:1433"), SeenAs: ap("10.1.0.10:50000"),
	}
}

func TestWhatBecameOfAPath(t *testing.T) {
	missing := result.Path{}
	for _, c := range []struct {
		name     string
		old, now result.Path
		want     result.Change
		ok       bool
	}{
		{"it stopped working", path("a", result.Open, true), path("a", result.Filtered, false), result.ChangeWorse, false},
		{"it works still", path("a", result.Open, true), path("a", result.Open, true), result.ChangeStill, true},
		{"it works since", path("a", result.Filtered, false), path("a", result.Open, true), result.ChangeBetter, true},
		{"it never did", path("a", result.Filtered, false), path("a", result.Refused, false), result.ChangeBroken, true},
		{"it was not tested again", path("a", result.Open, true), path("a", result.Untested, false), result.ChangeUnknown, false},
		{"it is not in the new report", path("a", result.Open, true), missing, result.ChangeUnknown, false},
		{"it is new and fails", missing, path("a", result.Filtered, false), result.ChangeFirst, true},
		{"it was untested and fails", path("a", result.Untested, false), path("a", result.Filtered, false), result.ChangeFirst, true},
		{"live software has the port now, which nothing was sent to", path("a", result.Open, true), path("a", result.Arrived, false), result.ChangeUnknown, false},
		{"something answers, and nobody runs listen now", path("a", result.Open, true), path("a", result.Answered, false), result.ChangeUnknown, false},
		{"live software's conversation completed", path("a", result.Open, true), path("a", result.Occupied, true), result.ChangeStill, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			common := path("common", result.Open, true) // so that the two share something
			old, now := report("1", day, common), report("2", day.Add(time.Hour), common)
			if c.old.Flow != "" {
				old.Paths = append(old.Paths, c.old)
			}
			if c.now.Flow != "" {
				now.Paths = append(now.Paths, c.now)
			}
			got, err := Reports("dial", old, now)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(got.Paths); n != 2 || got.Paths[1].Flow != "a" || got.Paths[1].Change != c.want {
				t.Errorf("got %d paths, %+v; want %s", n, got.Paths[n-1], c.want)
			}
			if got.Summary.OK != c.ok || (ExitCode(got) == 0) != c.ok {
				t.Errorf("ok %v, exit %d, want %v", got.Summary.OK, ExitCode(got), c.ok)
			}
		})
	}
}

// What does not count changes neither the answer nor the exit code.
func TestOnlyRequiredPathsCount(t *testing.T) {
	free := path("b", result.Filtered, false)
	free.Counted = false
	was := free
	was.Verdict, was.OK = result.Open, true
	got, err := Reports("dial", report("1", day, path("a", result.Open, true), was), report("2", day.Add(time.Hour), path("a", result.Open, true), free))
	if err != nil || !got.Summary.OK || got.Summary.Worse != 0 || got.Paths[1].Change != result.ChangeWorse {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAPathIsFoundAgainUnderAnotherNameAddressOrPort(t *testing.T) {
	open := path("a", result.Open, true)
	edit := func(f func(*result.Path)) result.Path { p := open; f(&p); return p }
	for name, p := range map[string]result.Path{
		"another row of another plan": edit(func(p *result.Path) { p.Flow = "sql-2006" }),
		"another address of the name": edit(func(p *result.Path) { p.Address = result.ParseAddr("10.2.0.11") }),
		"another host":                edit(func(p *result.Path) { p.Host = "elsewhere.example" }),
		"a shifted port":              edit(func(p *result.Path) { p.Port = 11433 }),
	} {
		got, err := Reports("dial", report("1", day, open), report("2", day.Add(time.Hour), p))
		if err != nil || len(got.Paths) != 1 || got.Paths[0].Change != result.ChangeStill {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, p := range map[string]result.Path{
		"the other direction":  edit(func(p *result.Path) { p.Direction = plan.Reverse }),
		"the other family":     edit(func(p *result.Path) { p.Family = result.IP6 }),
		"another row and port": edit(func(p *result.Path) { p.Flow, p.PlanPort = "b", 80 }),
	} {
		if _, err := Reports("dial", report("1", day, open), report("2", day.Add(time.Hour), p)); !errors.Is(err, ErrNothing) {
			t.Errorf("%s: %v, want %v", name, err, ErrNothing)
		}
	}
}

// Two of one name, of which one is gone, are not taken for each other.
func TestOneOfTwoAddressesIsNotTakenForTheOther(t *testing.T) {
	at := func(a string, v result.Verdict, ok bool) result.Path {
		p := path("a", v, ok)
		p.Address = result.ParseAddr(a)
		return p
	}
	got, err := Reports("dial", report("1", day, at("10.2.0.1", result.Open, true), at("10.2.0.2", result.Open, true)),
		report("2", day.Add(time.Hour), at("10.2.0.2", result.Open, true), at("10.2.0.3", result.Filtered, false)))
	if err != nil {
		t.Fatal(err)
	}
	var changes []result.Change
	for _, p := range got.Paths {
		changes = append(changes, p.Change)
	}
	if got.Paths[0].Address.String() != "10.2.0.2" || got.Paths[0].Change != result.ChangeStill || slices.Contains(changes, result.ChangeBroken) {
		t.Errorf("%v", changes)
	}
}

func TestTwoReportsThatSayNothingTogether(t *testing.T) {
	a := path("a", result.Open, true)
	if _, err := Reports("dial", report("1", day, a), report("1", day, a)); !errors.Is(err, ErrSameRun) {
		t.Error(err)
	}
	if _, err := Reports("dial", report("1", day.Add(time.Hour), a), report("2", day, a)); !errors.Is(err, ErrOrder) {
		t.Error(err)
	}
	if _, err := Reports("dial", report("1", day), report("2", day.Add(time.Hour), a)); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
}

func TestWhatTwoReportsAreToEachOther(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*result.Report)
		want result.Relation
		code result.Code // "": no finding
	}{
		{"the same machine", func(*result.Report) {}, result.RelationLater, ""},
		{"with another address", func(r *result.Report) { r.From.Addresses = result.ParseAddrs("10.9.0.1") }, result.RelationLater, ""},
		{"under another name", func(r *result.Report) { r.From.Host = "pc-7b" }, result.RelationLater, ""},
		{"another machine", func(r *result.Report) { r.From = result.End{Host: "pc-8", Addresses: result.ParseAddrs("10.1.0.11")} }, result.RelationElsewhere, result.CodeComparedElsewhere},
		{"another machine, both with a loopback address", func(r *result.Report) { r.From = result.End{Host: "pc-8", Addresses: result.ParseAddrs("127.0.0.1")} }, result.RelationElsewhere, result.CodeComparedElsewhere},
		{"another far end", func(r *result.Report) {
			r.To = result.End{Host: "new.example.edu", Addresses: result.ParseAddrs("10.2.0.20")}
		}, result.RelationOtherTarget, result.CodeComparedTarget},
		{"the name leads elsewhere now", func(r *result.Report) { r.To.Addresses = result.ParseAddrs("10.2.0.20") }, result.RelationLater, ""},
		{"dialed by address, in other letters", func(r *result.Report) { r.To.Host = "ILLIAD.example.edu." }, result.RelationLater, ""},
		{"real software was asked", func(r *result.Report) { r.Mode = result.ModeInstalled }, result.RelationLater, result.CodeComparedModes},
		{"it was interrupted", func(r *result.Report) { r.Interrupted = true }, result.RelationLater, result.CodeInterrupted},
	} {
		now := report("2", day.Add(time.Hour), path("a", result.Open, true))
		c.edit(now)
		old := report("1", day, path("a", result.Open, true))
		if c.name == "another machine, both with a loopback address" {
			old.From.Addresses = result.ParseAddrs("127.0.0.1")
		}
		got, err := Reports("dial", old, now)
		if err != nil || got.Relation != c.want || (c.code == "") != (len(got.Findings) == 0) || c.code != "" && got.Findings[0].Code != c.code {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// Each thing that can differ, by itself.
func TestWhatDiffers(t *testing.T) {
	real := func(facts ...result.Fact) func(*result.Path) {
		return func(p *result.Path) {
			p.Verdict, p.Proof = result.Occupied, result.ProofService
			p.Initiator = &result.Initiator{Conversation: &result.Conversation{Software: "IIS", Facts: facts}}
		}
	}
	cert := func(sum string) []result.Fact {
		return []result.Fact{{Name: result.FactCertificate, Value: sum}, {Name: "subject", Value: "illiad"}, {Name: "issuer", Value: "CA"}, {Name: "not after", Value: "2027-01-01T00:00:00Z"}}
	}
	mss := func(n int) func(*result.Path) {
		return func(p *result.Path) { p.Initiator = &result.Initiator{TCP: &result.TCP{MSS: n}} }
	}
	rtt := func(ms float64) func(*result.Path) { return func(p *result.Path) { p.RTTMS = &ms } }
	nothing := func(*result.Path) {}
	fails := func(f func(*result.Path)) func(*result.Path) {
		return func(p *result.Path) { p.Verdict, p.OK = result.Filtered, false; f(p) }
	}
	for _, c := range []struct {
		name     string
		old, now func(*result.Path)
		want     []result.Difference
	}{
		{"nothing", nothing, nothing, nil},
		{"the port from which it was dialed", nothing, func(p *result.Path) { p.Source = ap("10.1.0.10:50001"); p.SeenAs = p.Source }, nil},
		{"its source", nothing, func(p *result.Path) { p.Source = ap("10.1.9.9:50000") }, []result.Difference{{What: result.AspectSource, Old: "10.1.0.10", New: "10.1.9.9"}}},
		{"its target", nothing, func(p *result.Path) { p.Target = ap("10.2.0.99:1433") }, []result.Difference{{What: result.AspectTarget, Old: "10.2.0.10", New: "10.2.0.99"}}},
		{"a NAT", nothing, func(p *result.Path) { p.SeenAs = ap("192.0.2.1:999") }, []result.Difference{{What: result.AspectSeenAs, Old: "10.1.0.10", New: "192.0.2.1"}}},
		{"nobody saw it", nothing, fails(func(p *result.Path) { p.SeenAs = result.Endpoint{} }), nil},
		{"where it stops", nothing, fails(func(p *result.Path) { p.Stop = &result.Stop{LastHop: 3, Last: netip.MustParseAddr("198.51.100.6")} }), []result.Difference{{What: result.AspectStops, New: "behind 198.51.100.6 (hop 3)"}}},
		{"who holds the port", nothing, func(p *result.Path) { p.Acceptor = &result.Acceptor{Holder: &result.Holder{Name: "sqlservr"}} }, []result.Difference{{What: result.AspectHolder, New: "sqlservr"}}},
		{"its certificate", real(cert("aa")...), real(cert("bb")...), []result.Difference{{What: result.AspectCertificate,
			Old: "of illiad from CA, valid until 2027-01-01 (SHA-256 aa...)", New: "of illiad from CA, valid until 2027-01-01 (SHA-256 bb...)"}}},
		{"the same certificate", real(cert("aa")...), real(cert("aa")...), nil},
		{"our own listener's, made anew each time", real(cert("aa")...), func(p *result.Path) {
			real(cert("bb")...)(p)
			p.Initiator.Conversation.Keyed = true
		}, nil},
		{"its round trip", rtt(2), rtt(80), []result.Difference{{What: result.AspectRTT, Old: "2.0 ms", New: "80.0 ms"}}},
		{"its round trip, as it comes", rtt(0.2), rtt(9), nil},
		{"a far one, as it comes", rtt(100), rtt(150), nil},
		{"a tunnel", mss(1448), mss(1348), []result.Difference{{What: result.AspectMTU, Old: "segments up to 1448 bytes", New: "segments up to 1348 bytes"}}},
		{"within a machine", mss(65483), mss(32741), nil},
		{"one of them does not know", mss(1448), nothing, nil},
		{"a hole", mss(1448), fails(func(p *result.Path) {
			p.Initiator = &result.Initiator{Sent: &result.Transfer{Hole: &result.Hole{Packet: 1400}}}
		}), []result.Difference{{What: result.AspectMTU, New: "packets up to 1400 bytes"}}},
		{"a relay", nothing, func(p *result.Path) { p.Notes = []result.Note{{Code: result.NoteRelayed, Text: "Two."}} }, []result.Difference{{What: result.AspectNote, New: "relayed: Two."}}},
		{"how the run went", nothing, func(p *result.Path) { p.Notes = []result.Note{{Code: result.NoteRetried, Text: "Two."}} }, nil},
	} {
		old, now := path("a", result.Open, true), path("a", result.Open, true)
		c.old(&old)
		c.now(&now)
		got, err := Reports("dial", report("1", day, old), report("2", day.Add(time.Hour), now))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Paths[0].Differs, c.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, got.Paths[0].Differs, c.want)
		}
	}
}

func TestDevicesOnTheWay(t *testing.T) {
	traced := func(hops ...string) result.Path {
		p := path("a", result.Open, true)
		p.Initiator = &result.Initiator{Trace: &result.Trace{}}
		for i, h := range hops {
			hop := result.Hop{TTL: i + 1, What: result.HopSilent}
			if h != "" {
				hop.What, hop.From = result.HopExceeded, netip.MustParseAddr(h)
			}
			p.Initiator.Trace.Hops = append(p.Initiator.Trace.Hops, hop)
		}
		return p
	}
	for _, c := range []struct {
		name     string
		old, now result.Path
		want     string
	}{
		{"the same", traced("10.1.0.1", "192.0.2.1"), traced("10.1.0.1", "192.0.2.1"), ""},
		{"another device", traced("10.1.0.1", "192.0.2.1"), traced("10.1.0.1", "192.0.2.9"), "1: 10.1.0.1, 2: 192.0.2.1 -> 1: 10.1.0.1, 2: 192.0.2.9"},
		{"one says nothing this time", traced("10.1.0.1", "192.0.2.1"), traced("10.1.0.1", ""), ""},
		{"not traced this time", traced("10.1.0.1"), path("a", result.Open, true), ""},
	} {
		got, err := Reports("dial", report("1", day, c.old), report("2", day.Add(time.Hour), c.now))
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, d := range got.Differs {
			all = append(all, d.Old+" -> "+d.New)
		}
		if s := strings.Join(all, "; "); s != c.want {
			t.Errorf("%s: %q, want %q", c.name, s, c.want)
		}
	}
	// The device at which it stops now was passed before.
	now := path("a", result.Filtered, false)
	now.Stop = &result.Stop{LastHop: 2, Last: netip.MustParseAddr("192.0.2.1")}
	got, err := Reports("dial", report("1", day, traced("10.1.0.1", "192.0.2.1")), report("2", day.Add(time.Hour), now))
	if err != nil || len(got.Paths[0].Differs) != 1 || !strings.HasSuffix(got.Paths[0].Differs[0].New, "the traces of then show the same device on the way") {
		t.Errorf("%+v, %v", got, err)
	}
}
