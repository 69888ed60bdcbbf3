package survey

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dialtone/internal/contact"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/verdict"
)

// gate is a device that leads each connection to whatever lead says; nil: it
// takes it and stays silent, for good.
type gate struct {
	lead   func() net.Addr
	copies func(io.Writer, io.Reader) // nil: all of it
}

func (g *gate) start(t *testing.T, at netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		cannotBind(t, at.Addr(), err)
	}
	t.Cleanup(func() { l.Close() })
	copies := g.copies
	if copies == nil {
		copies = func(to io.Writer, from io.Reader) { _, _ = io.Copy(to, from) }
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			to := g.lead()
			if to == nil {
				t.Cleanup(func() { in.Close() })
				continue
			}
			out, err := net.Dial("tcp", to.String())
			if err != nil {
				_ = in.(*net.TCPConn).SetLinger(0)
				in.Close()
				continue
			}
			go func() { copies(in, out); in.Close() }()
			go func() { copies(out, in); out.Close() }()
		}
	}()
}

// allowance lets so many bytes through, whatever they belong to, and then nothing: what is
// open stands still, and what is opened gets no answer.
type allowance struct{ left atomic.Int64 }

func (a *allowance) start(t *testing.T, at, to netip.AddrPort) {
	g := &gate{lead: func() net.Addr {
		if a.left.Load() <= 0 {
			return nil
		}
		return net.TCPAddrFromAddrPort(to)
	}, copies: func(to io.Writer, from io.Reader) {
		b := make([]byte, 4<<10)
		for {
			n, err := from.Read(b)
			if err != nil {
				return
			}
			if a.left.Add(int64(-n)) <= 0 {
				<-t.Context().Done()
				return
			}
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
	}}
	g.start(t, at)
}

// cutRows is a plan of as many rows as a run has time to be cut off in.
func cutRows(first int) *plan.Plan {
	var rows []plan.Row
	for i := range 4 {
		rows = append(rows, row(string(rune('a'+i)), first+i, "client", "server"))
	}
	return planOf(rows...)
}

// cutRowsAndDatagrams are these, and a row asked over UDP on the port after theirs.
func cutRowsAndDatagrams(first int) *plan.Plan {
	p := cutRows(first)
	asked := row("asked", first+len(p.Rows), "client", "server")
	asked.Transport = plan.UDP
	p.Rows = append(p.Rows, asked)
	return p
}

func findingOf(r *result.Report, code result.Code) *result.Finding {
	for i := range r.Findings {
		if r.Findings[i].Code == code {
			return &r.Findings[i]
		}
	}
	return nil
}

// Intrusion prevention shuts an address out after so many connections: what came
// later was not tested, and nothing says that it is blocked, or open.
func TestWhatCameAfterACutOffIsUntested(t *testing.T) {
	t.Parallel()
	// In the end those are the last ones of a run, which opens 35.
	for n, spared := range []int32{3, 9, 18, 31, 32, 33, 34} {
		t.Run(fmt.Sprintf("after %d connections", spared), func(t *testing.T) {
			t.Parallel()
			cutOffAfter(t, spared, cutRows(24501+10*n))
		})
	}
}

func cutOffAfter(t *testing.T, spared int32, p *plan.Plan) {
	listen(t, p, far)
	var opened atomic.Int32
	for _, r := range p.Rows {
		g := &gate{lead: func() net.Addr {
			if opened.Add(1) > spared {
				return nil
			}
			return net.TCPAddrFromAddrPort(netip.AddrPortFrom(far, uint16(r.Port)))
		}}
		g.start(t, netip.AddrPortFrom(device, uint16(r.Port)))
	}
	c := config(p, device)
	c.Timeout = time.Second
	r := run(t, t.Context(), c)
	f := findingOf(r, "cut-off")
	if f == nil || !strings.Contains(f.Text, "connections to it open still") { // the gate opens them
		t.Errorf("no finding of the cut-off: %+v", r.Findings)
	}
	if findingOf(r, "no-contact") != nil || findingOf(r, "contact-lost") != nil {
		t.Errorf("%+v", r.Findings)
	}
	untested := 0
	for _, p := range r.Paths {
		switch p.Verdict {
		case result.Untested:
			untested++
			if p.Finding == nil || !strings.Contains(p.Finding.Text, "nobody answers since") || strings.Contains(p.Finding.Advice, "lease allow") {
				t.Errorf("%s: %+v", p.Flow, p.Finding)
			}
		case result.Open:
		default:
			t.Errorf("%s is %s: %+v", p.Flow, p.Verdict, p.Finding)
		}
	}
	if verdict.ExitCode(r) != 1 || untested == 0 {
		t.Errorf("exit %d, %d untested", verdict.ExitCode(r), untested)
	}
}

// What failed before listen was started says nothing of the network, whatever it
// looked like.
func TestWhatFailedBeforeTheListenerBeganIsLeftOut(t *testing.T) {
	s := newSurvey(Config{Host: far.String()})
	began := func(after, sooner time.Duration) {
		s.contacts.Put(contact.Contact{Family: result.IP4, Heard: contact.Heard{Began: s.started.Add(after), Sooner: sooner}})
	}
	began(300*time.Millisecond, 0)
	add := func(port int, i result.Initiator) *job {
		k := jobKey{direction: plan.Forward, transport: plan.TCP, port: port, family: result.IP4, to: far}
		j := &job{jobKey: k, port: port, initiator: &i}
		s.jobs[k] = j
		return j
	}
	one := func(after time.Duration, ended result.Ended) result.Connection {
		return result.Connection{Purpose: result.PurposeProof, At: result.TimeOf(s.started.Add(after)), Reached: result.ReachedNothing, Ended: ended}
	}
	passed := one(time.Second, result.EndedWell)
	passed.Reached = result.ReachedDone
	again := add(24661, result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Connections: []result.Connection{one(0, result.EndedReset), passed}})
	only := add(24662, result.Initiator{Connect: result.ConnectRST, Connections: []result.Connection{one(0, result.EndedReset)}})
	silent := one(0, result.EndedSilent)
	silent.ElapsedMS = 4000 // a second and a third SYN went out when it was there
	through := add(24664, result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Connections: []result.Connection{silent, passed}})
	if _, failed := result.Compare(s.half(through).Connections); len(failed) != 1 {
		t.Errorf("not counted any more: %+v", failed)
	}
	silent.ElapsedMS = 900
	before := add(24665, result.Initiator{Connect: result.ConnectOpen, Answer: result.AnswerKeyed, Connections: []result.Connection{silent, passed}})
	if _, failed := result.Compare(s.half(before).Connections); len(failed) != 0 {
		t.Errorf("still counted: %+v", failed)
	}
	later := add(24663, result.Initiator{Connect: result.ConnectRST, Connections: []result.Connection{one(0, result.EndedReset), one(2*time.Second, result.EndedReset)}})
	if _, failed := result.Compare(s.half(again).Connections); len(failed) != 0 {
		t.Errorf("still counted: %+v", failed)
	}
	if h := s.half(only); !strings.Contains(h.NotTried, "started only after") {
		t.Errorf("%+v", h)
	}
	if h := s.half(later); h.NotTried != "" || len(h.Connections) != 2 || h.Connections[1].Ended != result.EndedReset {
		t.Errorf("%+v", h)
	}
	if late := s.late(); late != 300*time.Millisecond {
		t.Errorf("late by %v", late)
	}
	began(300*time.Millisecond, 400*time.Millisecond) // its answer took as long, and so it may have been there
	if h := s.half(only); h.NotTried != "" || s.late() != 0 {
		t.Errorf("it may have run all the time: %+v", h)
	}
	began(-time.Minute, 400*time.Millisecond)
	if h := s.half(only); h.NotTried != "" || s.late() != 0 {
		t.Errorf("it ran all the time: %+v", h)
	}
}

// relayPackets is a device that passes datagrams on, and their answers back, of each
// source that admits says yes to when it is new.
func relayPackets(t *testing.T, at, to netip.AddrPort, admits func() bool) {
	t.Helper()
	in, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		cannotBind(t, at.Addr(), err)
	}
	t.Cleanup(func() { in.Close() })
	go func() {
		ways := map[netip.AddrPort]*net.UDPConn{}
		for b := make([]byte, 1<<16); ; {
			n, from, err := in.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if ways[from] == nil {
				if !admits() {
					continue
				}
				out, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
				if err != nil {
					return
				}
				t.Cleanup(func() { out.Close() })
				ways[from] = out
				go func() {
					for b := make([]byte, 1<<16); ; {
						n, err := out.Read(b)
						if err != nil {
							return
						}
						_, _ = in.WriteToUDPAddrPort(b[:n], from)
					}
				}()
			}
			_, _ = ways[from].Write(b[:n])
		}
	}()
}

// Where UDP alone ever worked, TCP's refusals say nothing of what became of it.
func TestWhatNeverWorkedDoesNotTellHowItEnded(t *testing.T) {
	t.Parallel()
	p := cutRowsAndDatagrams(24571)
	listen(t, p, far) // at the device nothing listens on TCP
	const spared = 2
	var sources atomic.Int32
	relayPackets(t, netip.AddrPortFrom(device, 24575), netip.AddrPortFrom(far, 24575), func() bool { return sources.Add(1) <= spared })
	c := config(p, device)
	c.Timeout = time.Second
	r := run(t, t.Context(), c)
	if findingOf(r, "listener-gone") != nil || findingOf(r, "cut-off") == nil {
		t.Errorf("%+v", r.Findings)
	}
	got := pathTo(t, r, "asked", plan.Forward)
	failed := 0
	for _, c := range got.Initiator.Connections {
		if c.Purpose == result.PurposeControl && c.Ended == result.EndedSilent {
			failed++
		}
	}
	if got.OK || failed == 0 {
		t.Errorf("%s, with %d tries that failed: %+v", got.Verdict, failed, got.Initiator.Connections)
	}
}

// What comes last counts as well: the connection over which the far end is told how
// the run ended.
func TestTheLastConnectionOfARunCounts(t *testing.T) {
	p := cutRows(24581)
	listen(t, p, far)
	var opened, broken atomic.Int32
	for _, r := range p.Rows {
		g := &gate{lead: func() net.Addr {
			to := net.TCPAddrFromAddrPort(netip.AddrPortFrom(far, uint16(r.Port)))
			if opened.Add(1) == broken.Load() {
				to.Port = 24599 // nothing listens there
			}
			return to
		}}
		g.start(t, netip.AddrPortFrom(device, uint16(r.Port)))
	}
	if r := run(t, t.Context(), config(p, device)); verdict.ExitCode(r) != 0 {
		t.Fatalf("exit %d: %+v", verdict.ExitCode(r), r.Findings)
	}
	broken.Store(opened.Swap(0))
	r := run(t, t.Context(), config(p, device))
	failed := 0
	for _, p := range r.Paths {
		_, f := result.Compare(p.Initiator.Connections)
		failed += len(f)
		if len(f) > 0 && p.Verdict != result.Unsteady {
			t.Errorf("%s is %s, and %+v failed", p.Flow, p.Verdict, f)
		}
	}
	if failed != 1 || opened.Load() <= broken.Load() || verdict.ExitCode(r) != 1 {
		t.Errorf("%d failed of %d connections (the %dth was broken), exit %d", failed, opened.Load(), broken.Load(), verdict.ExitCode(r))
	}
}

// An address that may move so many bytes in all, and used them up with the first payload:
// no connection ever passed, and one was proved.
func TestAnAllowanceUsedUpByTheFirstPayloadIsACutOff(t *testing.T) {
	t.Parallel()
	p := planOf(row("a", 24591, "client", "server"))
	listen(t, p, far)
	var bytes allowance
	bytes.left.Store(100 << 10)
	bytes.start(t, netip.AddrPortFrom(device, 24591), netip.AddrPortFrom(far, 24591))
	c := config(p, device)
	c.Timeout = time.Second
	r := run(t, t.Context(), c)
	if findingOf(r, "cut-off") == nil || findingOf(r, "contact-lost") != nil {
		t.Errorf("no finding of the cut-off: %+v", r.Findings)
	}
	for _, p := range r.Paths {
		if p.Verdict != result.Untested || p.Finding == nil || !strings.Contains(p.Finding.Text, "this path was proved before, and its payload did not come to its end") {
			t.Errorf("%s is %s: %+v", p.Flow, p.Verdict, p.Finding)
		}
	}
}
