package survey

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
	"dialtone/internal/verdict"
)

// settleLong is longer than TCP takes to be refused twice, and shorter than a datagram
// is sent again.
const settleLong = 600 * time.Millisecond

// A restartable is the listener of a machine, as one process after the other.
type restartable struct {
	config listener.Config

	mu   sync.Mutex
	ends func()
}

// startAnew ends the listener, if there is one, and starts the next.
func (r *restartable) startAnew(t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ends != nil {
		r.ends()
	}
	// A program that another test starts meanwhile has the closed sockets, too, until it
	// runs: this waits for it.
	syscall.ForkLock.RLock()
	l := listener.New(r.config)
	syscall.ForkLock.RUnlock()
	if failed := l.Bind(t.Context()); len(failed) > 0 {
		t.Errorf("cannot bind again: %v", failed[0])
		return
	}
	r.ends = serve(t, l)
}

// restartAfter is a machine behind a device, whose listener is started anew
// whenever so many more connections were opened, so often at most. It returns how
// often that was by now.
func restartAfter(t *testing.T, p *plan.Plan, opened, often int32) (times func() int32) {
	r := &restartable{config: listener.Config{Key: prooftest.RightKey, Software: "test", Plan: p, Ports: p.Ports(nil), Addrs: []netip.Addr{far}}}
	r.startAnew(t)
	t.Cleanup(func() { r.ends() })
	var count, restarts atomic.Int32
	for _, row := range p.Rows {
		g := &gate{lead: func() net.Addr {
			if n := count.Add(1); n%opened == 0 && n/opened <= often {
				r.startAnew(t)
				restarts.Add(1)
			}
			return net.TCPAddrFromAddrPort(netip.AddrPortFrom(far, uint16(row.Port)))
		}}
		g.start(t, netip.AddrPortFrom(device, uint16(row.Port)))
	}
	return restarts.Load
}

// Whenever listen is started anew while a run lasts, what the run says is of the
// one that runs since, and true of the network.
func TestARunBeginsAgainWhenTheListenerIsStartedAnew(t *testing.T) {
	t.Parallel()
	for n, opened := range []int32{2, 5, 9, 14, 20, 27, 31, 33, 34} {
		t.Run(fmt.Sprintf("after %d connections", opened), func(t *testing.T) {
			p := cutRows(25001 + 10*n)
			p.Rows[1].Speaks = plan.SMTP // whose certificate is another one then
			times := restartAfter(t, p, opened, 1)
			r := run(t, t.Context(), config(p, device))
			for _, p := range r.Paths {
				if p.Verdict != result.Open || !p.OK {
					t.Errorf("%s is %s: %+v", p.Flow, p.Verdict, p.Finding)
				}
			}
			if f := findingOf(r, "listener-restarted"); f != nil && !strings.Contains(f.Text, "this run began again") || f == nil && opened > 8 || findingOf(r, "several-listeners") != nil {
				t.Errorf("%+v", r.Findings)
			}
			if times() != 1 || verdict.ExitCode(r) != 0 {
				t.Errorf("%d restarts, exit %d", times(), verdict.ExitCode(r))
			}
		})
	}
}

// What failed once the listener ran that runs now was not the restart: it counts in
// the run that began again.
func TestWhatFailedBeforeARunBeganAgainCounts(t *testing.T) {
	since := time.Now()
	one := func(after time.Duration, p result.Purpose, ended result.Ended) result.Connection {
		return result.Connection{Purpose: p, At: result.TimeOf(since.Add(after)), Reached: result.ReachedConnected, Ended: ended}
	}
	job := func(s *survey, all ...result.Connection) *job {
		k := jobKey{direction: plan.Forward, transport: plan.TCP, port: 25111, family: result.IP4, to: far}
		s.jobs[k] = &job{jobKey: k, port: 25111, initiator: &result.Initiator{Answer: result.AnswerKeyed, Connections: all}}
		return s.jobs[k]
	}
	first := newSurvey(Config{})
	counts := one(time.Second, result.PurposeSample, result.EndedSilent)
	job(first,
		one(-time.Second, result.PurposeSample, result.EndedReset), one(time.Second, result.PurposeConversation, result.EndedForeign),
		one(time.Second, result.PurposeSample, result.EndedWell), counts)
	again := newSurvey(Config{})
	again.earlier = first.failedSince(since)
	j := job(again, one(2*time.Second, result.PurposeProof, result.EndedWell))
	if got := again.connectionsOf(j); len(got) != 2 || got[0] != counts || !again.isMixed(j) {
		t.Errorf("%+v", got)
	}
}

// A listener that never lasts as long as a run leaves paths untested, and accuses
// nobody.
func TestAListenerThatIsStartedAnewAgainAndAgainAccusesNobody(t *testing.T) {
	t.Parallel()
	p := cutRows(25101)
	p.Rows[1].Speaks = plan.SMTP
	times := restartAfter(t, p, 14, 100)
	r := run(t, t.Context(), config(p, device))
	untested := 0
	for _, p := range r.Paths {
		switch p.Verdict {
		case result.Untested:
			untested++
		case result.Open:
		default:
			t.Errorf("%s is %s: %+v", p.Flow, p.Verdict, p.Finding)
		}
	}
	if times() < maxBegun || untested == 0 || verdict.ExitCode(r) == 0 || findingOf(r, "listener-restarted") == nil || findingOf(r, "several-listeners") != nil {
		t.Errorf("%d restarts, %d untested, exit %d: %+v", times(), untested, verdict.ExitCode(r), r.Findings)
	}
}

// A listener that is started so late that every TCP port refused, and UDP's second
// datagram alone found it, is asked for all of them again.
func TestAListenerThatUDPAloneFoundIsAskedAgain(t *testing.T) {
	t.Parallel()
	p := cutRowsAndDatagrams(25121)
	r := &restartable{config: listener.Config{Key: prooftest.RightKey, Software: "test", Plan: p, Ports: p.Ports(nil), Addrs: []netip.Addr{far}}}
	started := false
	t.Cleanup(func() {
		if started {
			r.ends()
		}
	})
	refused := time.Now().Add(settleLong)
	relayPackets(t, netip.AddrPortFrom(device, 25125), netip.AddrPortFrom(far, 25125), func() bool {
		if time.Now().Before(refused) {
			return false
		}
		if !started {
			started = true
			r.startAnew(t)
			for _, row := range p.Rows[:4] {
				g := &gate{lead: func() net.Addr { return net.TCPAddrFromAddrPort(netip.AddrPortFrom(far, uint16(row.Port))) }}
				g.start(t, netip.AddrPortFrom(device, uint16(row.Port)))
			}
		}
		return true
	})
	got := run(t, t.Context(), config(p, device))
	for _, p := range got.Paths {
		if p.Verdict != result.Open {
			t.Errorf("%s is %s: %+v", p.Flow, p.Verdict, p.Finding)
		}
	}
	if !started || verdict.ExitCode(got) != 0 {
		t.Errorf("started %v, exit %d: %+v", started, verdict.ExitCode(got), got.Findings)
	}
}

// Where UDP alone passes nobody can be asked whether the listener was started anew: of
// two that answered one after the other that is assumed, and the run begins again.
func TestARestartThatUDPAloneShowsBeginsTheRunAgain(t *testing.T) {
	t.Parallel()
	p := cutRowsAndDatagrams(25161)
	r := &restartable{config: listener.Config{Key: prooftest.RightKey, Software: "test", Plan: p, Ports: p.Ports(nil), Addrs: []netip.Addr{far}}}
	r.startAnew(t)
	t.Cleanup(func() { r.ends() })
	came := 0
	relayPackets(t, netip.AddrPortFrom(device, 25165), netip.AddrPortFrom(far, 25165), func() bool {
		if came++; came == 3 {
			r.startAnew(t)
		}
		return true
	})
	got := run(t, t.Context(), config(p, device))
	path := pathTo(t, got, "asked", plan.Forward)
	expect(t, path, result.Open)
	if f := findingOf(got, "listener-restarted"); f == nil || came < 6 {
		t.Errorf("after %d connections: %+v", came, got.Findings)
	}
}

// A device that leads to another machine from some moment on is no restart: both
// listeners ran before.
func TestAnotherMachineFromAMomentOnIsNoRestart(t *testing.T) {
	p := cutRows(24551)
	one, two := netip.MustParseAddr("127.78.0.4"), far
	for _, at := range []netip.Addr{one, two} {
		listenWith(t, listener.Config{Key: prooftest.RightKey, Software: "test", Plan: p, Ports: p.Ports(nil), Addrs: []netip.Addr{at}})
	}
	var opened atomic.Int32
	for _, r := range p.Rows {
		g := &gate{lead: func() net.Addr {
			at := one
			if opened.Add(1) > 10 {
				at = two
			}
			return net.TCPAddrFromAddrPort(netip.AddrPortFrom(at, uint16(r.Port)))
		}}
		g.start(t, netip.AddrPortFrom(device, uint16(r.Port)))
	}
	r := run(t, t.Context(), config(p, device))
	if findingOf(r, "listener-restarted") != nil {
		t.Errorf("two machines are told as one that was started anew: %+v", r.Findings)
	}
	if !slices.ContainsFunc(r.Paths, func(p result.Path) bool { return p.Verdict == result.Redirected }) {
		t.Errorf("no path is redirected: %+v", r.Paths)
	}
}
