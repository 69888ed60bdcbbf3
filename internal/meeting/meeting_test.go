package meeting

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
	"dialtone/internal/survey"
)

// The two ends of these tests.
var (
	far  = netip.MustParseAddr("127.78.0.1")
	near = netip.MustParseAddr("127.78.0.2")
)

// What tests of other packages have, too.
var (
	institutions = prooftest.Institutions
	pathTo       = prooftest.PathTo
	expect       = prooftest.Expect
)

func meeter(p *plan.Plan, own, other netip.Addr, wait time.Duration) Config {
	return Config{Wait: wait, Config: survey.Config{
		Key: prooftest.RightKey, Software: "test", Hostname: own.String(), Plan: p, Host: other.String(),
		Local: []plan.Role{"server"}, Remote: []plan.Role{"peer"}, Timeout: 2 * time.Second, Bytes: 64 << 10, Bind: []netip.Addr{own},
	}}
}

func TestBothEndsGetOneReport(t *testing.T) {
	p := institutions(24191)
	reports := make([]*result.Report, 2)
	var both sync.WaitGroup
	for i, c := range []Config{meeter(p, near, far, time.Minute), meeter(p, far, near, time.Minute)} {
		both.Go(func() {
			var err error
			if reports[i], err = Run(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if reports[0] == nil || reports[1] == nil {
		t.Fatal("a report is missing")
	}
	if reports[0].Run != reports[1].Run {
		t.Error("each made a run of its own")
	}
	for i, r := range reports {
		own, other := near, far
		if i == 1 {
			own, other = far, near
		}
		out, in := pathTo(t, r, "out", plan.Forward), pathTo(t, r, "in", plan.Reverse)
		expect(t, out, result.Open)
		expect(t, in, result.Open)
		if out.Target.Addr() != other || in.Target.Addr() != own || out.From != "server" || in.From != "peer" {
			t.Errorf("end %d: out to %s from %s, in to %s from %s", i, out.Target, out.From, in.Target, in.From)
		}
		if r.From.Host != own.String() || r.To.Host != other.String() || r.From.Addresses.String() != own.String() {
			t.Errorf("end %d: from %+v to %+v", i, r.From, r.To)
		}
	}
	if a, b := reports[0].Contact, reports[1].Contact; a == nil || b == nil || a.Direction == b.Direction {
		t.Errorf("contacts %+v and %+v: one end opened it", a, b)
	}
}

// Whoever never comes leaves this end with its half, and the times that it tried.
func TestNobodyComes(t *testing.T) {
	t.Parallel()
	p := institutions(24192)
	tries := 0
	c := meeter(p, near, far, 3*time.Second)
	c.OnWait = func(w Waiting) {
		tries = max(tries, w.Tries)
		if w.Last != "refused" || w.Following {
			t.Errorf("told %+v", w)
		}
	}
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	out, in := pathTo(t, r, "out", plan.Forward), pathTo(t, r, "in", plan.Reverse)
	expect(t, out, result.Refused)
	expect(t, in, result.Untested)
	if tries < 2 || len(out.Initiator.Failed) != tries || !out.Initiator.Failed[0].Source.IsValid() {
		t.Errorf("%d tries, %d listed: %+v", tries, len(out.Initiator.Failed), out.Initiator.Failed)
	}
	if r.Listened == nil || len(r.Listened.Ports) != 1 || r.Listened.Ports[0].State != result.PortBound || len(r.Listened.Arrivals) != 0 {
		t.Errorf("listened %+v", r.Listened)
	}
	if in.Acceptor == nil {
		t.Error("what this end saw on its own port is missing")
	}
}

func TestWaitingEndsWhenItIsStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := meeter(institutions(24193), near, far, time.Hour)
	c.OnWait = func(Waiting) { cancel() }
	r, err := Run(ctx, c)
	if err != nil || !r.Interrupted {
		t.Errorf("%+v, %v", r, err)
	}
}

// A plain listener at the far end answers, and the waiting end tests.
func TestListenerIsMetToo(t *testing.T) {
	p := institutions(24194)
	l := listener.New(listener.Config{Key: prooftest.RightKey, Software: "test", Plan: p, Roles: []plan.Role{"server", "peer"}, Ports: p.Ports([]plan.Role{"server", "peer"}), Addrs: []netip.Addr{far}})
	if failed := l.Bind(t.Context()); len(failed) > 0 {
		prooftest.CannotBind(t, far, failed[0])
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := l.Serve(t.Context(), func([]*listener.BindError) {}); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(serving.Wait)
	r, err := Run(t.Context(), meeter(p, near, far, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, pathTo(t, r, "out", plan.Forward), result.Open)
	expect(t, pathTo(t, r, "in", plan.Reverse), result.Open)
	if r.Contact == nil || r.Contact.Instance != l.Instance.String() {
		t.Errorf("contact %+v", r.Contact)
	}
}

func TestWhoTests(t *testing.T) {
	low, high := echo.ID{1}, echo.ID{2}
	for name, c := range map[string]struct {
		part      part
		own, asks echo.ID
		want      echo.Turn
		then      part
	}{
		"this end has not got through":        {knocking, low, high, echo.TurnLead, following},
		"both ask, and this end is the first": {asking, low, high, echo.TurnFollow, asking},
		"both ask, and the other is":          {asking, high, low, echo.TurnLead, following},
		"this end tests already":              {leading, high, low, echo.TurnFollow, leading},
		"the leader asks again":               {following, high, low, echo.TurnLead, following},
	} {
		m := &meeting{With: survey.With{ID: c.own}, part: c.part}
		if got := m.turn(echo.Peer{Run: c.asks}, echo.Meet{}); got != c.want || m.part != c.then {
			t.Errorf("%s: %s and part %d, want %s and %d", name, got, m.part, c.want, c.then)
		}
	}
}

func TestLeaderThatFallsSilentIsFollowedNoMore(t *testing.T) {
	m := &meeting{}
	m.follow(echo.ID{1}, time.Minute)
	m.last = time.Now().Add(-followAtLeast)
	if !m.isFollowing() {
		t.Error("it may be quiet for the minute that it announced besides")
	}
	m.last = time.Now().Add(-followAtLeast - 2*time.Minute)
	if m.isFollowing() || m.part != knocking {
		t.Error("still followed")
	}
}
