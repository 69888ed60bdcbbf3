package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"dialtone/internal/dialect"
	"dialtone/internal/plan"
	"dialtone/internal/request"
	"dialtone/internal/result"
)

var update = flag.Bool("update", false, "write the golden files")

// isGolden holds what was rendered to a golden file of testdata, which -update writes.
func isGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (see it with -update and git diff):\n%s", file, got)
	}
}

// t0 carries a zone, as a caller's time.Now does.
var t0 = result.Time{Time: time.Date(2026, 3, 17, 16, 51, 40, 123_456_789, time.FixedZone("", -5*3600))}

func ap(s string) result.Endpoint { return result.EndpointFrom(netip.MustParseAddrPort(s)) }

func ptr[T any](v T) *T { return &v }

// base is a report on no paths, with contact.
func base() *result.Report {
	return &result.Report{
		Schema: result.Schema, Mode: result.ModePaths, Tool: "dial 0.1.0", Run: "7f3a91c2",
		Started: t0, ElapsedMS: 4213, Plan: "illiad",
		From: result.End{Role: "client", Host: "ws-114.example.edu", Addresses: result.ParseAddrs("192.0.2.5")},
		To:   result.End{Role: "server,web,database", Host: "library.example.edu", Addresses: result.ParseAddrs("198.51.100.9")},
		Contact: &result.Contact{
			Flow: "odyssey-client", Direction: plan.Forward, Port: 7968, Family: result.IP4, Target: ap("198.51.100.9:7968"), SeenAs: ap("192.0.2.5:51613"),
			Instance: "c0ffee", Software: "listen 0.1.0", Plan: "illiad", Roles: []string{"server", "web", "database"},
			ClockMS: ptr(int64(12)), Witness: result.WitnessTable, Partners: []netip.Addr{},
		},
		Summary: result.Summary{Verdicts: map[result.Verdict]int{}},
	}
}

// path is an open, required path from the client.
func path(flow, service string, port int, source, target string) result.Path {
	p := result.Path{
		Flow: flow, Service: service, Port: port, PlanPort: port, Transport: plan.TCP, Direction: plan.Forward,
		Family: result.IP4, From: "client", To: "server", Need: plan.Required, Counted: true, Expect: plan.ExpectOpen,
		Verdict: result.Open, OK: true, Proof: result.ProofKeyed, At: result.TimeOf(t0.Add(1200 * time.Millisecond)), Attempts: 1, RTTMS: ptr(0.71),
	}
	if source != "" {
		p.Source = ap(source)
		p.SeenAs = p.Source
	}
	if target != "" {
		p.Target = ap(target)
		p.Family = result.FamilyOf(p.Target.Addr())
	}
	return p
}

func reversed(p result.Path) result.Path {
	p.Direction, p.From, p.To = plan.Reverse, "server", "client"
	return p
}

// broken is p with another verdict, and what is to be said of it.
func broken(p result.Path, v result.Verdict, text, advice string) result.Path {
	p.Verdict, p.OK, p.Proof, p.SeenAs, p.RTTMS = v, false, result.ProofNone, result.Endpoint{}, nil
	p.Finding = &result.Finding{Code: result.Code(v), Text: text, Advice: advice}
	return p
}

func uncounted(p result.Path, n plan.Need) result.Path {
	p.Counted, p.Need = false, n
	return p
}

// with adds paths and sums them up.
func with(r *result.Report, paths ...result.Path) *result.Report {
	r.Paths = append(r.Paths, paths...)
	r.Summary = result.Summary{Verdicts: map[result.Verdict]int{}}
	for _, p := range r.Paths {
		r.Summary.Verdicts[p.Verdict]++
		if p.Counted {
			r.Summary.Counted++
			if !p.OK {
				r.Summary.Failed++
			}
		}
	}
	r.Summary.OK = r.Summary.Counted > 0 && r.Summary.Failed == 0
	return r
}

func allOpen() *result.Report {
	r := with(base(),
		path("sql-client", "SQL Server (TDS)", 1433, "192.0.2.5:51612", "198.51.100.9:1433"),
		path("odyssey-client", "Odyssey", 7968, "192.0.2.5:51613", "198.51.100.9:7968"),
		path("platform", "ILLiad Web Platform", 443, "192.0.2.5:51614", "198.51.100.9:443"),
	)
	r.OutOfScope = []result.OutOfScope{
		{Flow: "odyssey-out", From: "server", To: "peer", Why: "neither end plays the role peer"},
		{Flow: "odyssey-in", From: "peer", To: "server", Why: "neither end plays the role peer"},
		{Flow: "update-client", From: "client", To: "atlas", Why: "goes to an external host: dial egress tests it"},
	}
	return r
}

func mixedBag() *result.Report {
	const ask = "Ask for TCP ports 1433 and 1344 from 192.0.2.5 to 198.51.100.9 to be opened, on the campus firewall and on the server's own."
	r := base()
	r.From.Role = "client,admin"
	r.Contact.ClockMS = ptr(int64(-93_400))
	r.Contact.SeenAs = ap("203.0.113.7:40113")
	r.Contact.Busy = []result.BusyPort{
		{Port: 443, Transport: plan.TCP, Address: result.ParseAddr("198.51.100.9"), InUse: true, Holder: &result.Holder{Name: "w3wp.exe", PID: 4120}, Error: "address already in use"},
		{Port: 1434, Transport: plan.UDP, InUse: true, Error: "address already in use"},
		{Port: 25, Transport: plan.TCP, Error: "permission denied"},
	}
	nat := result.Note{Code: result.NoteNAT, Text: "The far end sees 203.0.113.7 where this machine is 192.0.2.5: give partners that address."}
	odyssey := path("odyssey-client", "Odyssey", 7968, "192.0.2.5:51613", "198.51.100.9:27968")
	odyssey.Port, odyssey.SeenAs, odyssey.Notes = 27968, ap("203.0.113.7:40113"), []result.Note{nat}
	occupied := path("platform", "ILLiad Web Platform", 443, "192.0.2.5:51614", "198.51.100.9:443")
	occupied.Verdict, occupied.Proof = result.Occupied, result.ProofService
	occupied.Finding = &result.Finding{Code: "occupied", Text: "w3wp.exe holds the port there, and its web service answered.", Advice: "Nothing to do if that is ILLiad's own web server."}
	occupied.Notes = []result.Note{nat, {Code: result.NoteRetried, Text: "The first attempt got no answer."}}
	rejected := broken(path("iso-in", "ISO ILL", 1611, "192.0.2.5:51615", "198.51.100.9:1611"), result.Rejected,
		"198.51.100.1 answered \"administratively prohibited\" (ICMP type 3 code 13).",
		"Ask whoever runs 198.51.100.1 to allow TCP port 1611 from 192.0.2.5 to 198.51.100.9.")
	rejected.SeenAs = ap("203.0.113.7:40120")
	rdp := broken(path("rdp", "Remote Desktop", 3389, "192.0.2.5:51618", "198.51.100.9:3389"), result.Open,
		"Remote Desktop answers, though this plan wants it closed.", "Ask for TCP port 3389 to be closed to 192.0.2.5.")
	rdp.Proof, rdp.Expect, rdp.Finding.Code = result.ProofKeyed, plan.ExpectClosed, result.CodeShouldBeClosed
	browser := uncounted(broken(path("sql-browser", "SQL Browser", 1434, "192.0.2.5:51619", "198.51.100.9:1434"), result.Silent,
		"Nothing came back, and the far end could not bind the port to watch it.", "Needed only for named instances."), plan.Conditional)
	browser.Transport = plan.UDP
	ftp := reversed(path("ftp-data", "AutoUpdater FTP, data", 51702, "198.51.100.9:20", "192.0.2.5:51702"))
	ftp.PlanPort, ftp.SourcePort = 0, 20
	lost := reversed(broken(path("iso-out", "ISO ILL", 1611, "198.51.100.9:60211", "192.0.2.5:1611"), result.ReplyLost,
		"The connection request arrived here, but the answer did not get back.",
		"Ask for replies from 192.0.2.5 port 1611 to 198.51.100.9 to be let through."))
	lost.Finding.Code = "reply-lost"
	back := reversed(uncounted(broken(path("odyssey-back", "Odyssey", 7968, "", ""), result.Untested,
		"The far end did not get to it.", ""), plan.Unknown))
	back.Port, back.At = 0, result.Time{}
	with(r,
		broken(path("sql-client", "SQL Server (TDS)", 1433, "192.0.2.5:51612", "198.51.100.9:1433"), result.Filtered,
			"The connection request left here and never arrived; the far end watched throughout.", ask),
		broken(path("sql-alt-client", "SQL Server (TDS)", 1344, "192.0.2.5:51616", "198.51.100.9:1344"), result.Filtered,
			"The connection request left here and never arrived; the far end watched throughout.", ask),
		odyssey, occupied, rejected, rdp, browser, ftp, lost, back)
	r.OutOfScope = []result.OutOfScope{{Flow: "sql-web", From: "web", To: "database", Why: "the site file says it is not used"}}
	return r
}

func noContact() *result.Report {
	r := base()
	r.Contact = nil
	r.To = result.End{Role: "server", Host: "library.example.edu", Addresses: result.ParseAddrs("198.51.100.9")}
	r.Findings = []result.Finding{{Code: "wrong-key", Text: "A listener answered at 198.51.100.9:7968, but the key does not match its own.",
		Advice: "Copy the dial command that listen prints there, key and all, and run it again."}}
	answered := broken(path("odyssey-client", "Odyssey", 7968, "192.0.2.5:51613", "198.51.100.9:7968"), result.Answered,
		"A listener with another key answered.", "")
	answered.Proof = result.ProofPlain
	return with(r,
		broken(path("sql-client", "SQL Server (TDS)", 1433, "192.0.2.5:51612", "198.51.100.9:1433"), result.Silent,
			"Nothing came back, and nobody at the far end could be asked.",
			"Ask for TCP port 1433 from 192.0.2.5 to 198.51.100.9 to be opened, and start listen there."),
		answered)
}

func interrupted() *result.Report {
	r := with(base(),
		path("sql-client", "SQL Server (TDS)", 1433, "192.0.2.5:51612", "198.51.100.9:1433"),
		broken(path("odyssey-client", "Odyssey", 7968, "", ""), result.Untested, "The run was stopped before this path's turn.", "Run dial again."),
		uncounted(broken(path("sql-alt-client", "SQL Server (TDS)", 1344, "", ""), result.Untested, "The run was stopped before this path's turn.", "Run dial again."), plan.Optional),
	)
	r.Interrupted = true
	for i := range r.Paths[1:] {
		r.Paths[1+i].Port, r.Paths[1+i].At, r.Paths[1+i].Attempts = 0, result.Time{}, 0
	}
	return r
}

func twoFamilies() *result.Report {
	r := base()
	r.Started = result.TimeOf(t0.Time)
	r.From.Addresses = append(r.From.Addresses, netip.MustParseAddr("2001:db8:1::5"))
	r.To.Addresses = append(r.To.Addresses, netip.MustParseAddr("2001:db8:2::9"))
	no6 := broken(path("platform", "ILLiad Web Platform", 443, "", ""), result.Unreachable,
		"This machine has no route to any IPv6 address of library.example.edu.", "Ask for IPv6 routing, or take the IPv6 address out of the DNS.")
	no6.Family = result.IP6
	return with(r,
		path("sql-client", "SQL Server (TDS)", 1433, "192.0.2.5:51612", "198.51.100.9:1433"),
		broken(path("sql-client", "SQL Server (TDS)", 1433, "[2001:db8:1::5]:51613", "[2001:db8:2::9]:1433"), result.Refused,
			"The host itself answered with a reset: nothing listens on that IPv6 address.", "Let SQL Server listen on IPv6, or take the IPv6 address out of the DNS."),
		path("platform", "ILLiad Web Platform", 443, "192.0.2.5:51614", "198.51.100.9:443"),
		no6,
		reversed(path("iso-out", "ISO ILL", 1611, "198.51.100.9:60211", "192.0.2.5:1611")),
		reversed(path("iso-out", "ISO ILL", 1611, "[2001:db8:2::9]:60212", "[2001:db8:1::5]:1611")),
	)
}

// everything has every verdict, and every part that a report can have.
func everything() *result.Report {
	r := mixedBag()
	r.Paths = nil
	var paths []result.Path
	for _, v := range result.Verdicts {
		p := path("flow-"+string(v), "Service", 1433, "192.0.2.5:51612", "[2001:db8:2::9]:1433")
		p.Verdict, p.OK = v, v == result.Open
		p.Finding = &result.Finding{Code: result.Code(v), Text: "What it means.", Advice: "What to do."}
		p.Notes = []result.Note{{Code: result.NoteRetried, Text: "Twice."}}
		p.Initiator = &result.Initiator{
			Probe: "p1", At: t0, ElapsedMS: 3.25, Source: p.Source, Target: p.Target, Attempts: 2, Connect: result.ConnectOpen, Answer: result.AnswerKeyed,
			ICMP: &result.ICMP{Type: 3, Code: 13, From: netip.MustParseAddr("198.51.100.1")}, SeenAs: p.SeenAs, Origin: p.Target, RTTMS: ptr(0.5),
			Sent: &result.Transfer{Outcome: result.TransferIntact, Want: 65536, Intact: 65536, ElapMS: 1.5}, Received: &result.Transfer{Outcome: result.TransferUnknown},
		}
		p.Acceptor = &result.Acceptor{
			Instance: "c0ffee", Port: result.PortBound, Holder: &result.Holder{Name: "listen", PID: 7}, Saw: result.SawAccepted,
			Match: result.MatchProbe, Source: p.Source, Local: p.Target, Proved: true, BytesIn: 9, Detail: "ended by RST",
		}
		paths = append(paths, p)
	}
	bare := path("bare", "Service", 80, "", "")
	bare.Verdict, bare.OK, bare.Proof, bare.At, bare.RTTMS, bare.Family = result.Unresolved, false, result.ProofNone, result.Time{}, nil, ""
	bare.Initiator = &result.Initiator{NotTried: "no address", ICMP: &result.ICMP{}}
	bare.Acceptor = &result.Acceptor{Port: result.PortUnknown, Saw: result.SawUnknown}
	r.Findings = []result.Finding{{Code: "wrong-key", Text: "The key does not match.", Advice: "Copy it again."}}
	return with(r, append(paths, bare)...)
}

func render(t *testing.T, f Format, r *result.Report, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Paths.Write(&b, f, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTextLooksAsBefore(t *testing.T) {
	for _, c := range []struct {
		name   string
		report *result.Report
		o      Options
	}{
		{"all-open", allOpen(), Options{}},
		{"all-open-verbose", allOpen(), Options{Verbose: true}},
		{"mixed", mixedBag(), Options{}},
		{"mixed-verbose", mixedBag(), Options{Verbose: true}},
		{"mixed-wide", mixedBag(), Options{Width: 200}},
		{"mixed-narrow", mixedBag(), Options{Width: 60}},
		{"mixed-color", mixedBag(), Options{Color: true}},
		{"no-contact", noContact(), Options{}},
		{"interrupted", interrupted(), Options{}},
		{"two-families", twoFamilies(), Options{}},
		{"everything-verbose", everything(), Options{Verbose: true}},
		{"no-paths", base(), Options{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := render(t, Text, c.report, c.o)
			isGolden(t, c.name+".golden", got)
		})
	}
}

// paragraph is the nth paragraph of a text on one line, from the end if n is negative.
func paragraph(s string, n int) string {
	all := strings.Split(strings.TrimSpace(s), "\n\n")
	if n < 0 {
		n += len(all)
	}
	return strings.Join(strings.Fields(all[n]), " ")
}

func TestTheAnswerStandsFirstAndLast(t *testing.T) {
	open := path("a", "A", 1, "192.0.2.5:50001", "198.51.100.9:1")
	filtered := broken(path("b", "B", 2, "192.0.2.5:50002", "198.51.100.9:2"), result.Filtered, "", "")
	rejected := broken(path("c", "C", 3, "192.0.2.5:50003", "198.51.100.9:3"), result.Rejected, "", "")
	untested := broken(path("d", "D", 4, "", ""), result.Untested, "", "")
	free := func(p result.Path) result.Path { return uncounted(p, plan.Optional) }
	answered, reached := broken(path("e", "E", 5, "192.0.2.5:50005", "198.51.100.9:5"), result.Answered, "", ""), broken(path("f", "F", 6, "192.0.2.5:50006", "198.51.100.9:6"), result.Arrived, "", "")
	off := filtered
	off.Expect, off.Finding = plan.ExpectClosed, &result.Finding{Code: result.CodeClosedOrOff}
	let := answered
	let.Expect, let.Finding = plan.ExpectClosed, &result.Finding{Code: result.CodeShouldBeClosed}
	exposed := rejected
	exposed.Verdict, exposed.Expect = result.Open, plan.ExpectClosed
	for _, c := range []struct {
		name  string
		paths []result.Path
		want  string
	}{
		{"one open", []result.Path{open}, "The one required path works."},
		{"two open", []result.Path{open, open}, "All 2 required paths work."},
		{"optional ones do not count", []result.Path{open, free(filtered), free(untested)}, "The one required path works."},
		{"two of three", []result.Path{open, filtered, rejected}, "2 of 3 required paths do not work: b (filtered), c (rejected)."},
		{"one of two", []result.Path{open, filtered}, "1 of 2 required paths does not work: b (filtered)."},
		{"none of two", []result.Path{filtered, rejected}, "None of the 2 required paths works: b (filtered), c (rejected)."},
		{"the only one", []result.Path{filtered}, "The one required path does not work: b (filtered)."},
		{"must be closed", []result.Path{open, exposed}, "1 of 2 required paths is not as it should be: c (open, must be closed)."},
		{"untested is not broken", []result.Path{open, untested}, "1 of 2 required paths works; 1 was not tested: d."},
		{"untested beside broken", []result.Path{open, filtered, untested}, "1 of 3 required paths does not work: b (filtered); 1 was not tested: d."},
		{"only one, untested", []result.Path{untested}, "The one required path was not tested: d."},
		{"all untested", []result.Path{untested, untested}, "None of the 2 required paths was tested: d."},
		{"nothing counts", []result.Path{free(open), free(filtered)}, "1 of 2 paths does not work: b (filtered). None of them counts as required here."},
		{"what answers is not broken", []result.Path{open, filtered, answered}, "1 of 3 required paths does not work: b (filtered); 1 is not proved: e (answered)."},
		{"only one, and it answers", []result.Path{answered}, "The one required path is not proved: e (answered)."},
		{"all answer or accept", []result.Path{answered, reached}, "None of the 2 required paths is proved: e (answered), f (reached)."},
		{"some work, others answer", []result.Path{open, answered, reached}, "1 of 3 required paths works; 2 are not proved: e (answered), f (reached)."},
		{"one answers, one untested", []result.Path{answered, untested}, "None of the 2 required paths is proved: e (answered); 1 was not tested: d."},
		{"everything at once", []result.Path{open, filtered, answered, untested}, "1 of 4 required paths does not work: b (filtered); 1 is not proved: e (answered); 1 was not tested: d."},
		{"closed or off", []result.Path{open, off}, "1 of 2 required paths is as it should be; 1 is not proved: b (filtered, must be closed)."},
		{"what answers must be closed", []result.Path{open, let}, "1 of 2 required paths is not as it should be: e (answered, must be closed)."},
		{"no paths", nil, "No path was tested, so nothing is known."},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := render(t, Text, with(base(), c.paths...), Options{})
			for _, n := range []int{0, -1} {
				if got := paragraph(out, n); got != c.want {
					t.Errorf("paragraph %d:\ngot  %s\nwant %s", n, got, c.want)
				}
			}
		})
	}
}

func TestInterruptedReportSaysSoFirstAndLast(t *testing.T) {
	out := render(t, Text, interrupted(), Options{})
	if !strings.Contains(strings.Join(strings.Fields(out), " "), "took 4.2 s, then interrupted") {
		t.Error("the head does not say that the run was interrupted")
	}
	for _, n := range []int{0, -1} {
		if got := paragraph(out, n); !strings.HasPrefix(got, "Interrupted, so this is not the whole picture. 1 of 2 required") {
			t.Errorf("paragraph %d does not: %s", n, got)
		}
	}
}

func TestOnlyOccurringWordsAreExplained(t *testing.T) {
	out := render(t, Text, allOpen(), Options{})
	if !strings.Contains(out, "proved end to end") || strings.Contains(out, "filtered") {
		t.Error("want open explained and filtered absent")
	}
	for _, v := range result.Verdicts {
		if v.Row().Means == "" {
			t.Errorf("no meaning for verdict %s", v)
		}
	}
}

func TestIdenticalAdviceAppearsOnce(t *testing.T) {
	out := strings.Join(strings.Fields(render(t, Text, mixedBag(), Options{})), " ")
	if n := strings.Count(out, "Ask for TCP ports 1433 and 1344"); n != 1 {
		t.Errorf("the advice for two flows appears %d times, want once", n)
	}
	if !strings.Contains(out, "For sql-client (filtered), sql-alt-client (filtered) ") {
		t.Error("the advice does not name both flows")
	}
	if n := strings.Count(out, "give partners that address"); n != 1 {
		t.Errorf("the same note on two paths appears %d times, want once", n)
	}
}

// A log line must be what the paths say, in UTC to the millisecond.
func TestRequestQuotesTheLog(t *testing.T) {
	out := strings.Join(strings.Fields(render(t, Text, mixedBag(), Options{})), " ")
	for _, want := range []string{
		"2026-03-17 21:51:41.323 UTC tcp 192.0.2.5:51612 -> 198.51.100.9:1433 ",
		"192.0.2.5:51615 -> 198.51.100.9:1611, arriving from 203.0.113.7:40120 ",
		"2026-03-17 21:51:40 UTC (2026-03-17 16:51:40 -05:00 local), took 4.2 s",
		"1m33.4s behind this machine's",
		"443/tcp at the far end (198.51.100.9), held by w3wp.exe (process 4120)",
		"1434/udp at the far end, held by software it cannot name (address already in use)", "25/tcp at the far end, could not be opened: permission denied",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("missing %q", want)
		}
	}
}

func TestClockLine(t *testing.T) {
	for ms, want := range map[int64]string{
		0: "", 2000: "", -2000: "",
		2001:      "the far end's is 2s ahead of this machine's",
		-61_000:   "the far end's is 1m1s behind this machine's",
		-1 << 63:  "the far end's is more than a year behind this machine's",
		1<<63 - 1: "the far end's is more than a year ahead of this machine's",
	} {
		if got := clockLine(ms); got != want {
			t.Errorf("clockLine(%d) = %q, want %q", ms, got, want)
		}
	}
}

var ansi = regexp.MustCompile("\x1b\\[[0-9;]*m")

func TestColour(t *testing.T) {
	for name, env := range map[string][2]string{"plain": {"NO_COLOR", "1"}, "forced": {"FORCE_COLOR", "1"}} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(env[0], env[1])
			for _, r := range []*result.Report{allOpen(), mixedBag(), everything()} {
				without := render(t, Text, r, Options{Width: 100})
				if strings.Contains(without, "\x1b") {
					t.Error("an ESC byte without colour")
				}
				colored := render(t, Text, r, Options{Width: 100, Color: true})
				if !strings.Contains(colored, "\x1b[") {
					t.Error("no colour though asked for")
				}
				if ansi.ReplaceAllString(colored, "") != without {
					t.Error("colour changes more than colour")
				}
			}
		})
	}
}

func TestLinesFitThePage(t *testing.T) {
	for _, width := range []int{40, 60, 80, 100, 132, 200} {
		for name, r := range map[string]*result.Report{"mixed": mixedBag(), "two families": twoFamilies(), "everything": everything()} {
			for line := range strings.Lines(render(t, Text, r, Options{Width: width})) {
				line = strings.TrimSuffix(line, "\n")
				if strings.HasSuffix(line, " ") {
					t.Errorf("%s at %d: trailing space: %q", name, width, line)
				}
				// At 40 columns an address or a flow's name may stick out: they stay whole.
				if n := utf8.RuneCountInString(line); n > width && width > 60 {
					t.Errorf("%s at %d: %d columns: %q", name, width, n, line)
				}
			}
		}
	}
}

// docs/forms.md has every form of a report in one table, in the order of messages.
func TestFormsPageHasEveryForm(t *testing.T) {
	page, err := os.ReadFile("../../docs/forms.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range Paths.Forms {
		want = append(want, fmt.Sprintf("| `%s` | `%s` |", f.Format, f.Ext))
	}
	if got := regexp.MustCompile("(?m)^\\| `[a-z]+` \\| `[.a-z]+` \\|").FindAllString(string(page), -1); !slices.Equal(got, want) {
		t.Errorf("docs/forms.md has %q, want %q", got, want)
	}
}

func TestParseFormat(t *testing.T) {
	for _, s := range []string{"text", "json", "html"} {
		if f, err := Paths.Parse(s); err != nil || string(f) != s {
			t.Errorf("ParseFormat(%q) = %q, %v", s, f, err)
		}
	}
	for s, want := range map[string]Format{"TEXT": Text, "Json": JSON, ".json": JSON, ".TXT": Text, "txt": Text} {
		if f, err := Paths.Parse(s); err != nil || f != want {
			t.Errorf("ParseFormat(%q) = %q, %v", s, f, err)
		}
		if f, err := Matrix.Parse(s); err != nil || f != want {
			t.Errorf("Matrix.Parse(%q) = %q, %v", s, f, err)
		}
	}
	for _, s := range []string{"", ".", "pdf", "..json", "csv"} {
		if _, err := Paths.Parse(s); err == nil || !strings.Contains(err.Error(), "use "+Paths.Formats()) {
			t.Errorf("ParseFormat(%q): %v; want what there is", s, err)
		}
	}
	for name, want := range map[string]Format{"a.txt": Text, `C:\x y\out.JSON`: JSON, "/tmp/v1.2/r.json": JSON} {
		if f, err := Paths.ForFile(name); err != nil || f != want {
			t.Errorf("FormatForFile(%q) = %q, %v", name, f, err)
		}
	}
	for _, name := range []string{"", "report", "a.pdf", "json", "/tmp/a.json/b"} {
		if _, err := Paths.ForFile(name); err == nil || !strings.Contains(err.Error(), "end its name in "+Paths.Endings()) {
			t.Errorf("FormatForFile(%q): %v; want what there is", name, err)
		}
	}
}

type brokenPipe struct{}

var errPipe = errors.New("broken pipe")

func (brokenPipe) Write([]byte) (int, error) { return 0, errPipe }

func TestWriteErrors(t *testing.T) {
	if err := Paths.Write(brokenPipe{}, Text, allOpen(), Options{}); !errors.Is(err, errPipe) {
		t.Errorf("got %v, want the writer's error", err)
	}
	var b bytes.Buffer
	if err := Paths.Write(&b, "pdf", allOpen(), Options{}); err == nil || b.Len() > 0 {
		t.Errorf("an unknown format: %v, wrote %q", err, b.String())
	}
}

func TestJSONIsTheStruct(t *testing.T) {
	r := everything()
	out := render(t, JSON, r, Options{})
	if !strings.HasSuffix(out, "\n}\n") || !strings.HasPrefix(out, "{\n  \"schema\": \"dialtone.report/1\"") {
		t.Error("not indented, or not ended by a line break")
	}
	var back result.Report
	if err := json.Unmarshal([]byte(out), &back); err != nil {
		t.Fatal(err)
	}
	// What the contract changes, by hand: times, and the lists that were nil.
	ms := result.TimeOf(time.Date(2026, 3, 17, 21, 51, 40, 123_000_000, time.UTC))
	r.Started = ms
	for i := range r.Paths {
		if p := &r.Paths[i]; p.Flow != "bare" {
			p.At, p.Initiator.At = result.TimeOf(ms.Add(1200*time.Millisecond)), ms
		} else {
			p.Notes = []result.Note{}
		}
	}
	if !reflect.DeepEqual(&back, r) {
		again, _ := json.Marshal(r)
		t.Errorf("the round trip changed the report:\n%s\nwant\n%s", out, again)
	}
}

func TestJSONLeavesTheReportAlone(t *testing.T) {
	r := everything()
	render(t, JSON, r, Options{})
	if !reflect.DeepEqual(r, everything()) {
		t.Error("rendering changed the report")
	}
}

func TestJSONHasNoNullLists(t *testing.T) {
	r := &result.Report{Contact: &result.Contact{}, Paths: []result.Path{{}}, Started: t0}
	out := render(t, JSON, r, Options{})
	for _, key := range []string{"addresses", "out_of_scope", "findings", "roles", "busy", "notes"} {
		if !strings.Contains(out, `"`+key+`": []`) {
			t.Errorf("%s is not []", key)
		}
	}
	if strings.Contains(out, `"addresses": null`) || !strings.Contains(out, `"verdicts": {}`) {
		t.Error("a null where a list or a count belongs")
	}
	if out := render(t, JSON, &result.Report{}, Options{}); !strings.Contains(out, `"paths": []`) {
		t.Error("paths is not []")
	}
}

func TestJSONTimes(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 3, 17, 16, 51, 40, 0, time.FixedZone("", -5*3600)), `"2026-03-17T21:51:40.000Z"`},
		{time.Date(2026, 3, 17, 21, 51, 40, 120_499_999, time.UTC), `"2026-03-17T21:51:40.120Z"`},
		{time.Date(2026, 12, 31, 23, 59, 59, 999_600_000, time.UTC), `"2027-01-01T00:00:00.000Z"`},
		{time.Time{}, "null"},
	} {
		p := path("a", "A", 1, "", "")
		p.At = result.Time{Time: c.at}
		p.Finding = &result.Finding{Text: "\n  \"at\": \"2026-03-17T21:51:40Z\"\n"} // must stay as it is
		out := render(t, JSON, with(base(), p), Options{})
		if !strings.Contains(out, "\n      \"at\": "+c.want+",\n") {
			t.Errorf("no at: %s for %v", c.want, c.at)
		}
		if !strings.Contains(out, `"\n  \"at\": \"2026-03-17T21:51:40Z\"\n"`) {
			t.Error("a text that looks like a time was changed")
		}
	}
}

func TestJSONKeepsAngleBracketsReadable(t *testing.T) {
	r := base()
	r.From.Host = "<a&b>"
	if out := render(t, JSON, r, Options{}); !strings.Contains(out, `"<a&b>"`) {
		t.Error("escaped as if for HTML")
	}
}

// poison puts s wherever a string of a report can come from another machine,
// by walking the report: a field that is added later is covered too.
func poison(v reflect.Value, s string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Pointer:
		if !v.IsNil() {
			poison(v.Elem(), s)
		}
	case reflect.Slice:
		for i := range v.Len() {
			poison(v.Index(i), s)
		}
	case reflect.Struct:
		switch v.Addr().Interface().(type) {
		case *time.Time, *netip.Addr:
		case *result.Endpoint:
			zone := netip.MustParseAddr("fe80::1").WithZone(s)
			v.Set(reflect.ValueOf(result.Endpoint{AddrPort: netip.AddrPortFrom(zone, 80)}))
		default:
			for i := range v.NumField() {
				poison(v.Field(i), s)
			}
		}
	}
}

var hostile = map[string]string{
	"escape":          "\x1b[31mred\x1b[0m",
	"title":           "\x1b]0;owned\a",
	"line feed":       "a\nAll 5 required paths work.",
	"carriage return": "NO\rok",
	"crlf":            "a\r\n\r\nb",
	"tab":             "a\tb",
	"bell and NUL":    "\a\x00\b\x7f",
	"C1":              "a\u009b31mb\u0085c\u0090d",
	"raw C1":          "a\x9b31mb\x85",
	"bidi override":   "a\u202eexe.txt\u202c",
	"bidi isolate":    "\u2066a\u2069\u200f",
	"line separator":  "a\u2028b\u2029c",
	"zero width":      "a\u200bb\ufeffc\u00add",
	"invalid UTF-8":   "\xff\xfea\xc3(\xed\xa0\x80\xf4\x90\x80\x80",
	"tags, private":   "\U000e0041\ue000\U0010ffff",
	"spaces":          "a\u00a0\u3000b",
	"table breaker":   strings.Repeat("x", 10_000),
}

// harmless checks that out is valid UTF-8, with no control but line feeds.
func harmless(t *testing.T, out string) {
	t.Helper()
	if !utf8.ValidString(out) {
		t.Error("the output is not UTF-8")
	}
	for i, r := range out {
		if r != '\n' && r != ' ' && (!unicode.IsPrint(r) || unicode.Is(unicode.Cf, r)) {
			t.Fatalf("%U got through: %q", r, out[max(0, i-20):i+20])
		}
	}
}

func poisoned(s string) *result.Report {
	r := everything()
	poison(reflect.ValueOf(r).Elem(), s)
	for i := range r.Paths {
		if i%2 == 1 {
			r.Paths[i].Direction = plan.Reverse
		}
		r.Paths[i].Counted = i%3 > 0
	}
	r.OutOfScope = append(r.OutOfScope, result.OutOfScope{Flow: s, From: s, To: s, Why: s})
	return r
}

func TestHostileStringsAreDefused(t *testing.T) {
	for name, s := range hostile {
		t.Run(name, func(t *testing.T) {
			calm := strings.Count(render(t, Text, poisoned("calm"), Options{}), "\n")
			for _, o := range []Options{{}, {Width: 100}, {Width: 40}} {
				out := render(t, Text, poisoned(s), o)
				harmless(t, out)
				if n := strings.Count(out, "\n"); o.Width == 0 && len(s) < 1000 && n > calm+60 {
					t.Errorf("%d lines where a harmless string makes %d", n, calm)
				}
				if len(out) > 2<<20 {
					t.Errorf("%d bytes of output", len(out))
				}
			}
			colored := render(t, Text, poisoned(s), Options{Color: true})
			harmless(t, ansi.ReplaceAllString(colored, ""))
			for _, d := range dialect.Names() {
				harmless(t, render(t, Requests, poisoned(s), Options{Dialect: d, Ask: request.Options{Asker: request.Asker{Name: s, Institution: s, Contact: s}, Until: s}}))
			}
			out := render(t, JSON, poisoned(s), Options{})
			harmless(t, out)
			var back result.Report
			if err := json.Unmarshal([]byte(out), &back); err != nil {
				t.Fatal(err)
			}
			if want := strings.ToValidUTF8(s, "\ufffd"); utf8.ValidString(s) && back.To.Host != want {
				t.Errorf("JSON changed %q to %q", want, back.To.Host)
			}
		})
	}
}

// Windows consoles mangle anything else in a pipe.
func TestOwnWordsAreASCII(t *testing.T) {
	for _, r := range []*result.Report{base(), mixedBag(), noContact(), interrupted(), everything()} {
		all := render(t, Text, r, Options{})
		for _, d := range dialect.Names() {
			all += render(t, Requests, r, Options{Dialect: d})
		}
		for _, r := range all {
			if r > unicode.MaxASCII {
				t.Fatalf("%q in a report of ASCII strings", r)
			}
		}
	}
}

func FuzzHostileStrings(f *testing.F) {
	for _, s := range hostile {
		if len(s) < 1000 {
			f.Add(s, 80)
		}
	}
	f.Fuzz(func(t *testing.T, s string, width int) {
		harmless(t, render(t, Text, poisoned(s), Options{Width: max(0, width%200)}))
		harmless(t, render(t, HTML, poisoned(s), Options{}))
		out := render(t, JSON, poisoned(s), Options{})
		harmless(t, out)
		if !json.Valid([]byte(out)) {
			t.Error("not JSON")
		}
	})
}

// What the two ends have to mend stands apart from what others are asked for,
// and nobody is sent to a firewall's log because of it.
func TestOwnMistakesAreNotAskedFor(t *testing.T) {
	for _, code := range result.OwnCodes {
		own := path("own", "A service", 1433, "192.0.2.5:50001", "198.51.100.9:1433")
		own.Verdict, own.OK, own.Finding = result.Answered, false, &result.Finding{Code: code, Text: "Own mistake.", Advice: "Mend this."}
		foreign := path("foreign", "Another", 443, "192.0.2.5:50002", "198.51.100.9:443")
		foreign.Verdict, foreign.OK, foreign.Finding = result.Filtered, false, &result.Finding{Code: "filtered", Text: "Dropped.", Advice: "Please allow that."}
		out := render(t, Text, with(base(), own, foreign), Options{})
		mend, ask, found := strings.Cut(out, "What to ask for")
		if !found || !strings.Contains(mend, "What to see to first") || !strings.Contains(mend, "Mend this.") || strings.Contains(ask, "Mend this.") || !strings.Contains(mend, "A. Mend") || !strings.Contains(ask, "1. Please allow that.") {
			t.Errorf("%s:\n%s", code, out)
		}
		if strings.Contains(mend, "Log") || !strings.Contains(ask, "Log") {
			t.Errorf("%s: a log is to be searched for it, or none for the other:\n%s", code, out)
		}
	}
}

// Rows that share a port are one attempt and one rule, whatever each is for.
func TestRowsOfOneTupleAreOneRequest(t *testing.T) {
	row := func(flow, service, source, target string, need plan.Need) result.Path {
		p := broken(path(flow, service, 443, source, target), result.Filtered, "Nothing arrived.", "Please allow TCP from A to B port 443, for "+service+".")
		p.Why, p.Need, p.Counted = "Why "+flow+".", need, need == plan.Required
		return p
	}
	const here, there = "192.0.2.5:51614", "198.51.100.9:443"
	r := with(base(), row("platform", "Web Platform", here, there, plan.Required), row("web-https", "Patron pages", here, there, plan.Required),
		row("extra", "Extra pages", here, there, plan.Optional), row("elsewhere", "Other host", here, "198.51.100.10:443", plan.Optional))
	text := render(t, Text, r, Options{})
	for _, want := range []string{"for Web Platform.", "Why   Web Platform: Why platform.", "Patron pages: Why web-https.", "Extra pages: Why extra.", "For   platform (filtered), web-https (filtered), extra (filtered)", "for Other host."} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if n := strings.Count(text, "Please allow"); n != 2 {
		t.Errorf("%d requests, want one for each tuple:\n%s", n, text)
	}
	// What cannot be told apart by its tuple is told apart by its words.
	for i := range r.Paths {
		r.Paths[i].Source = result.Endpoint{}
	}
	if n := strings.Count(render(t, Text, r, Options{}), "Please allow"); n != 4 {
		t.Errorf("%d requests without a source", n)
	}
}
