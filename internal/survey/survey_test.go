package survey

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

// The two ends of these tests, and a device between them.
var (
	far    = netip.MustParseAddr("127.78.0.1")
	near   = netip.MustParseAddr("127.78.0.2")
	device = netip.MustParseAddr("127.78.0.3")
)

// What tests of other packages have, too.
var (
	row          = prooftest.Row
	institutions = prooftest.Institutions
	planOf       = prooftest.Plan
	pathTo       = prooftest.PathTo
	expect       = prooftest.Expect
	cannotBind   = prooftest.CannotBind
)

// newSurvey is one run that shares nothing.
func newSurvey(c Config) *survey { return begin(c, With{}) }

// listen runs a listener for a plan on an address until the test ends.
func listen(t *testing.T, p *plan.Plan, at netip.Addr, roles ...plan.Role) *listener.Listener {
	t.Helper()
	return listenWith(t, listener.Config{
		Key: prooftest.RightKey, Software: "test", Plan: p, Roles: roles, Ports: p.Ports(roles), Addrs: []netip.Addr{at},
	})
}

func listenWith(t *testing.T, c listener.Config) *listener.Listener {
	t.Helper()
	l := listener.New(c)
	if failed := l.Bind(t.Context()); len(failed) > 0 {
		cannotBind(t, c.Addrs[0], failed[0])
	}
	t.Cleanup(serve(t, l))
	return l
}

// serve has a listener answer on the ports that it has bound, until end is called.
func serve(t *testing.T, l *listener.Listener) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		if err := l.Serve(ctx, func([]*listener.BindError) { close(ready) }); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	<-ready
	return func() { cancel(); done.Wait() }
}

func config(p *plan.Plan, host netip.Addr) Config {
	return Config{
		Key: prooftest.RightKey, Software: "test", Hostname: "near.test", Plan: p, Host: host.String(),
		Local: []plan.Role{"client"}, Timeout: 2 * time.Second, Bytes: 64 << 10, Bind: []netip.Addr{near},
	}
}

func run(t *testing.T, ctx context.Context, c Config) *result.Report {
	t.Helper()
	r, err := Run(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRowsOfOnePortShareOneAttempt(t *testing.T) {
	p := planOf(row("a", 24101, "client", "server"), row("b", 24101, "client", "server"), row("c", 24102, "client", "server"))
	listen(t, p, far)
	r := run(t, t.Context(), config(p, far))
	a, b, c := pathTo(t, r, "a", plan.Forward), pathTo(t, r, "b", plan.Forward), pathTo(t, r, "c", plan.Forward)
	for _, p := range []result.Path{a, b, c} {
		expect(t, p, result.Open)
	}
	if a.Initiator.Probe != b.Initiator.Probe || a.Source != b.Source {
		t.Error("rows of one port were attempted twice")
	}
	if a.Initiator.Probe == c.Initiator.Probe {
		t.Error("rows of two ports shared an attempt")
	}
}

// The far end says which roles it plays, and the rows follow from that.
func TestRowsFollowTheRolesOfTheFarEnd(t *testing.T) {
	p := planOf(row("sql", 24111, "client", "database"), row("mail", 24112, "client", "server"), row("back", 24113, "database", "client"))
	listen(t, p, far, "database")
	r := run(t, t.Context(), config(p, far))
	expect(t, pathTo(t, r, "sql", plan.Forward), result.Open)
	expect(t, pathTo(t, r, "back", plan.Reverse), result.Open)
	if len(r.Paths) != 2 || r.To.Role != "database" {
		t.Errorf("to %q: %d paths", r.To.Role, len(r.Paths))
	}
	if i := slices.IndexFunc(r.OutOfScope, func(o result.OutOfScope) bool { return o.Flow == "mail" }); i < 0 {
		t.Errorf("mail is not listed as out of scope: %+v", r.OutOfScope)
	}
}

func TestUnknownRowIsAnError(t *testing.T) {
	c := config(planOf(row("a", 24121, "client", "server")), far)
	c.Only = []string{"nosuch"}
	if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), `"nosuch"`) {
		t.Errorf("got %v", err)
	}
}

// relay passes connections to the listener on, as a device on the way does that
// holds the connection at both sides. change may alter, hold back or end what
// crosses; n is the offset of b in its direction.
type relay func(toListener bool, n int, b []byte) ([]byte, error)

func (change relay) start(t *testing.T, at, to netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		cannotBind(t, at.Addr(), err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	pass := func(dst, src net.Conn, toListener bool) {
		defer dst.Close()
		defer src.Close()
		b, n := make([]byte, 4096), 0
		for {
			k, err := src.Read(b)
			if err != nil {
				return
			}
			out, err := change(toListener, n, b[:k])
			n += k
			if err != nil {
				return
			}
			if _, err := dst.Write(out); err != nil {
				return
			}
		}
	}
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to.String())
			if err != nil {
				in.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, in, out)
			mu.Unlock()
			all.Go(func() { pass(out, in, true) })
			all.Go(func() { pass(in, out, false) })
		}
	})
}

// bulk is where a conversation is past its messages and within the payload.
const bulk = 8 << 10

func TestADeviceOnTheWay(t *testing.T) {
	t.Parallel()
	flip := func(toListener bool) relay {
		return func(to bool, n int, b []byte) ([]byte, error) {
			if to == toListener && n > bulk {
				b[0] ^= 0xFF
			}
			return b, nil
		}
	}
	stop := func(toListener bool, err error) relay {
		return func(to bool, n int, b []byte) ([]byte, error) {
			if to == toListener && n > bulk {
				return nil, err
			}
			return b, nil
		}
	}
	for _, c := range []struct {
		name    string
		port    int
		change  relay
		want    result.Verdict
		finding result.Code
	}{
		{"that passes everything", 24131, func(_ bool, _ int, b []byte) ([]byte, error) { return b, nil }, result.Open, ""},
		{"that changes what is sent", 24132, flip(true), result.Corrupted, "corrupted"},
		{"that changes what is received", 24133, flip(false), result.Corrupted, "corrupted"},
		{"that swallows what is sent", 24134, stop(true, nil), result.Stalled, "stalled-payload"},
		{"that swallows what is received", 24135, stop(false, nil), result.Stalled, "stalled-payload"},
		{"that cuts what is sent", 24136, stop(true, io.ErrUnexpectedEOF), result.Reset, "reset-payload"},
		{"that cuts what is received", 24137, stop(false, io.ErrUnexpectedEOF), result.Reset, "reset-payload"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := planOf(row("a", c.port, "client", "server"))
			listen(t, p, far)
			c.change.start(t, netip.AddrPortFrom(device, uint16(c.port)), netip.AddrPortFrom(far, uint16(c.port)))
			path := pathTo(t, run(t, t.Context(), config(p, device)), "a", plan.Forward)
			expect(t, path, c.want)
			if c.finding != "" && (path.Finding == nil || path.Finding.Code != c.finding) {
				t.Errorf("finding %+v, want %s", path.Finding, c.finding)
			}
			if !slices.ContainsFunc(path.Notes, func(n result.Note) bool { return n.Code == result.NoteNAT }) {
				t.Errorf("no note of the changed addresses: %+v", path.Notes)
			}
		})
	}
}

func TestADeviceThatChangesThePort(t *testing.T) {
	p := planOf(row("a", 24141, "client", "server"), row("b", 24142, "client", "server"))
	here := planOf(row("b", 24142, "client", "server"))
	listen(t, here, far)
	through := relay(func(_ bool, _ int, b []byte) ([]byte, error) { return b, nil })
	through.start(t, netip.AddrPortFrom(far, 24141), netip.AddrPortFrom(far, 24142))
	r := run(t, t.Context(), config(p, far))
	expect(t, pathTo(t, r, "b", plan.Forward), result.Open)
	a := pathTo(t, r, "a", plan.Forward)
	expect(t, a, result.Redirected)
	if a.Finding.Code != "redirected-port" || !strings.Contains(a.Finding.Text, "port 24142") {
		t.Errorf("finding %+v", a.Finding)
	}
	if r.Contact == nil || r.Contact.Flow != "b" {
		t.Errorf("the contact is %+v; a redirected path must not carry it", r.Contact)
	}
}

func TestADeviceThatLeadsToAnotherMachine(t *testing.T) {
	p := planOf(row("a", 24151, "client", "server"), row("b", 24152, "client", "server"), row("c", 24153, "client", "server"))
	listen(t, planOf(p.Rows[1], p.Rows[2]), far)
	listen(t, planOf(p.Rows[0]), netip.MustParseAddr("127.78.0.4"))
	through := relay(func(_ bool, _ int, b []byte) ([]byte, error) { return b, nil })
	through.start(t, netip.AddrPortFrom(far, 24151), netip.MustParseAddrPort("127.78.0.4:24151"))
	r := run(t, t.Context(), config(p, far))
	expect(t, pathTo(t, r, "b", plan.Forward), result.Open)
	expect(t, pathTo(t, r, "c", plan.Forward), result.Open)
	a := pathTo(t, r, "a", plan.Forward)
	expect(t, a, result.Redirected)
	if a.Finding.Code != "redirected-host" {
		t.Errorf("finding %+v", a.Finding)
	}
}

// What was not finished when the run was stopped is unknown, not broken.
func TestInterruptedPayloadIsUntested(t *testing.T) {
	p := planOf(row("a", 24161, "client", "server"), row("b", 24162, "client", "server"))
	listen(t, p, far)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	swallow := relay(func(to bool, n int, b []byte) ([]byte, error) {
		if to && n > bulk {
			time.AfterFunc(50*time.Millisecond, cancel)
			return nil, nil
		}
		return b, nil
	})
	swallow.start(t, netip.AddrPortFrom(device, 24161), netip.AddrPortFrom(far, 24161))
	c := config(p, device)
	c.Timeout = time.Minute
	began := time.Now()
	r := run(t, ctx, c)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("an interrupted run took %v", took)
	}
	if !r.Interrupted {
		t.Error("the report does not say that it was interrupted")
	}
	expect(t, pathTo(t, r, "a", plan.Forward), result.Untested)
}

func TestRunThatIsStoppedBeforeItBegins(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := planOf(row("a", 24171, "client", "server"), row("b", 24172, "server", "client"))
	r := run(t, ctx, config(p, far))
	for _, path := range r.Paths {
		expect(t, path, result.Untested)
	}
	if !r.Interrupted || len(r.Paths) != 2 || r.Summary.OK {
		t.Errorf("got %+v", r)
	}
}

func TestTheFarEndDialsBackToWhereItWasDialedFrom(t *testing.T) {
	s := &evidence{jobs: map[jobKey]*job{}}
	add := func(port int, d plan.Direction, source string) {
		k := jobKey{direction: d, transport: plan.TCP, port: port, family: result.IP4}
		s.jobs[k] = &job{jobKey: k, initiator: &result.Initiator{Source: result.EndpointFrom(netip.MustParseAddrPort(source))}}
	}
	add(1, plan.Forward, "10.1.0.2:50000")
	add(2, plan.Forward, "10.1.0.2:50001")
	add(3, plan.Forward, "127.0.0.1:50002")
	add(4, plan.Reverse, "10.2.0.5:50003")
	if got := slices.SortedFunc(slices.Values(s.dialedFrom()), netip.Addr.Compare); fmt.Sprint(got) != "[10.1.0.2 10.1.0.2 127.0.0.1]" {
		t.Errorf("%v", got)
	}
}

func TestProgressCountsToTheEnd(t *testing.T) {
	p := planOf(row("a", 24181, "client", "server"), row("b", 24182, "server", "client"))
	listen(t, p, far)
	c := config(p, far)
	var mu sync.Mutex
	last, most := 0, 0
	c.OnProgress = func(done, all int) {
		mu.Lock()
		defer mu.Unlock()
		last, most = max(last, done), all
	}
	run(t, t.Context(), c)
	if last != 2 || most != 2 {
		t.Errorf("progress ended with %d of %d", last, most)
	}
}

// Whoever watches sees every attempt begin and end, with all rows that share it.
func TestWhoeverWatchesIsToldOfEachAttempt(t *testing.T) {
	p := planOf(row("a", 24186, "client", "server"), row("a-too", 24186, "client", "server"), row("b", 24187, "server", "client"))
	listen(t, p, far)
	c := config(p, far)
	var mu sync.Mutex
	var begun, over, phases []string
	c.OnAttempt = func(a Attempt) {
		mu.Lock()
		defer mu.Unlock()
		name := fmt.Sprint(a.Direction, a.Port, a.Flows, a.To.IsValid())
		if a.Half == nil {
			begun = append(begun, name)
		} else {
			over = append(over, name+" "+string(a.Half.Answer))
		}
	}
	c.OnPhase = func(name string) {
		mu.Lock()
		defer mu.Unlock()
		phases = append(phases, name)
	}
	run(t, t.Context(), c)
	slices.Sort(begun)
	slices.Sort(over)
	if got, want := fmt.Sprint(begun), "[forward24186 [a a-too] true reverse24187 [b] false]"; got != want {
		t.Errorf("begun: %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(over), "[forward24186 [a a-too] true keyed reverse24187 [b] false keyed]"; got != want {
		t.Errorf("over: %s, want %s", got, want)
	}
	if all := Phases(); !slices.Equal(phases, all[:len(all)-1]) { // nobody lends this run's ports
		t.Errorf("phases %v", phases)
	}
}

// The order of the phases is the only contract between them: each says why it stands
// where it does, and has a name of its own for whoever shows it.
func TestEachPhaseSaysWhyItStandsWhereItDoes(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range phases {
		if p.name == "" || p.why == "" || p.do == nil || seen[p.name] {
			t.Errorf("%q: %q", p.name, p.why)
		}
		seen[p.name] = true
	}
}

func TestARunThatWasNotMadeHasPathsThatAreNotOK(t *testing.T) {
	c := config(institutions(24197), far)
	c.Local, c.Remote = []plan.Role{"server"}, []plan.Role{"peer"}
	why := result.Finding{Code: "not-dialed", Text: "The invitation has expired.", Advice: "Ask for another one."}
	r, err := NotRun(c, why)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []result.Path{pathTo(t, r, "out", plan.Forward), pathTo(t, r, "in", plan.Reverse)} {
		expect(t, p, result.Untested)
		if p.OK || p.Attempts != 0 || p.Finding == nil || !strings.Contains(p.Finding.Text, why.Text) {
			t.Errorf("%+v", p)
		}
	}
	if r.Summary.OK || r.Interrupted || len(r.Findings) != 1 || r.Findings[0] != why {
		t.Errorf("summary %+v, findings %+v", r.Summary, r.Findings)
	}
	c.Only = []string{"no such row"}
	if _, err := NotRun(c, why); err == nil {
		t.Error("a row that the plan does not have was taken")
	}
}
