package survey

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"dialtone/internal/dialer"
	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
	"dialtone/internal/verdict"
)

// A MeetConfig is a run for which both ends dial each other until one gets
// through.
type MeetConfig struct {
	Config
	// Wait is how long to go on dialing. What has begun by then is finished.
	Wait time.Duration
	// OnWait is told of every try; nil: nobody is.
	OnWait func(Waiting)
	// OnTaken is told of each port that somebody else has here: a listener with
	// the same key, or other software; nil: nobody is.
	OnTaken func(p result.BusyPort, sibling bool)
}

// Waiting is how far the waiting has come.
type Waiting struct {
	Left      time.Duration
	Tries     int
	Last      string // how the latest try ended, for people
	Following bool   // the far end got through, and tests now
}

const (
	// knockEvery is how often the far end is dialed at first; the pause grows up
	// to knockAtMost.
	knockEvery, knockAtMost = 2 * time.Second, 15 * time.Second
	// maxKnocks bounds the tries of each path that the report lists.
	maxKnocks = 128
	// collectEvery is how often another listener of this machine is asked for a
	// report that was delivered to it.
	collectEvery = 2 * time.Second
	// followAtLeast is how long the end that tests may be silent before this one
	// dials again by itself.
	followAtLeast = time.Minute
)

// Meet has both ends dial each other until one of them gets through, or time is
// up. The end that does makes the run and hands its report to the other, so
// that both have the same one. If none does, the report is this end's half: what
// it tried, and what it saw arrive.
func Meet(ctx context.Context, c MeetConfig) (*result.Report, error) {
	m := &meeting{MeetConfig: c, base: newSurvey(c.Config), delivered: make(chan *result.Report, 1), knocks: map[jobKey][]result.Failed{}}
	if err := m.base.resolve(ctx); err != nil {
		return Run(ctx, c.Config) // it says so
	}
	if err := m.base.choose(c.Remote); err != nil {
		return nil, err
	}
	m.accept = m.base.newAcceptor(listener.Config{
		Partners: m.base.all, OnMeet: m.turn, OnDelivery: m.take, OnContact: m.heard,
	})
	m.accept.start(ctx, m.sources())
	defer m.accept.stop()
	if c.OnTaken != nil {
		for _, h := range m.accept.held {
			c.OnTaken(h.err.BusyPort, h.sibling != nil)
		}
	}
	return m.run(ctx)
}

// A meeting is the state of such a run.
type meeting struct {
	MeetConfig
	base      *survey // this end; each test is a survey with the same id
	accept    *acceptor
	delivered chan *result.Report

	mu     sync.Mutex
	part   part
	leader echo.ID // whom this end follows; zero: not known by its id
	quiet  time.Duration
	last   time.Time // when the leader was heard last
	tries  int
	knocks map[jobKey][]result.Failed
}

// part is what an end does just now.
type part int

const (
	knocking  part = iota // dials, and has not got through
	asking                // got through, and asks who is to test
	leading               // tests
	following             // waits for the other end's report
)

// sources are the addresses that this machine would dial the far end from.
func (m *meeting) sources() []netip.Addr {
	out := slices.Clone(m.Bind)
	for f, a := range m.base.addrs {
		if m.base.bindFor(f).IsValid() {
			continue
		}
		if own, err := sock.SourceFor(netip.AddrPortFrom(a, 9)); err == nil {
			out = append(out, own)
		}
	}
	return out
}

func (m *meeting) run(ctx context.Context) (*result.Report, error) {
	until := time.Now().Add(m.Wait)
	pause := knockEvery
	var best *result.Report // joined, and not delivered
	for {
		if r := m.collected(ctx); r != nil {
			return m.mirrored(r), nil
		}
		if !m.isFollowing() {
			reached, words := m.knock(ctx)
			m.tell(until, words)
			if reached.IsValid() && m.mayLead(ctx, reached) {
				r, delivered, err := m.lead(ctx)
				if err != nil || delivered {
					return r, err
				}
				if r.Contact != nil {
					best = r
				}
			}
		} else {
			m.tell(until, "")
		}
		if ctx.Err() != nil || time.Now().After(until) && !m.isFollowing() {
			break
		}
		if r := m.await(ctx, min(pause, max(time.Until(until), collectEvery))); r != nil {
			return m.mirrored(r), nil
		}
		pause = min(2*pause, knockAtMost)
	}
	if best != nil {
		return best, nil
	}
	r, _, err := m.lead(ctx) // once more, and where it stops
	for err == nil && r.Contact == nil && m.isFollowing() && ctx.Err() == nil {
		// It got through at the last moment.
		if got := m.await(ctx, collectEvery); got != nil {
			return m.mirrored(got), nil
		}
	}
	return r, err
}

// await waits for a report that the far end delivers.
func (m *meeting) await(ctx context.Context, d time.Duration) *result.Report {
	pause := time.NewTimer(d)
	defer pause.Stop()
	again := time.NewTicker(collectEvery)
	defer again.Stop()
	for {
		select {
		case r := <-m.delivered:
			return r
		case <-ctx.Done():
			return nil
		case <-pause.C:
			return nil
		case <-again.C:
			if r := m.collected(ctx); r != nil {
				return r
			}
		}
	}
}

// collected fetches a report that was delivered to another listener of this
// machine, which holds a port that this end wanted; nil: there is none. One
// that came before this end began to wait counts if it is as fresh as one that
// it would have waited for.
func (m *meeting) collected(ctx context.Context) *result.Report {
	asked := map[string]bool{}
	for _, h := range m.accept.held {
		if h.sibling == nil || asked[h.instance] {
			continue
		}
		asked[h.instance] = true
		var got echo.Collected
		_ = m.base.talkTo(ctx, *h.sibling, m.Timeout, func(ctx context.Context, c *echo.Conn) (err error) {
			got, err = c.Collect(ctx)
			return err
		})
		if got.Delivery == nil || time.Duration(got.AgeMS)*time.Millisecond > m.Wait {
			continue
		}
		if r, err := got.Delivery.Open(); err == nil && m.isOurs(r) {
			return r
		}
	}
	return nil
}

// isOurs reports whether a delivered report is of a test such as this one.
func (m *meeting) isOurs(r *result.Report) bool {
	return r.Plan == m.Plan.Name && r.From.Role == joinRoles(m.Local) && r.To.Role == joinRoles(m.Remote)
}

// knock dials every forward path once, to find one that proves itself, and says
// how it went.
func (m *meeting) knock(ctx context.Context) (reached netip.AddrPort, words string) {
	var all sync.WaitGroup
	var mu sync.Mutex
	ended := map[string]int{}
	for _, j := range m.base.jobs {
		if j.direction != plan.Forward || j.transport != plan.TCP || j.port == 0 || j.sourcePort != 0 {
			continue
		}
		all.Go(func() {
			target := netip.AddrPortFrom(m.base.addrs[j.family], uint16(j.port))
			i := dialer.Attempt(ctx, dialer.Path{
				Flow: "knock", Transport: j.transport, Probe: echo.NewID(), Target: target, Source: netip.AddrPortFrom(m.base.bindFor(j.family), 0),
			}, dialer.Options{Key: m.Key, Run: m.base.id, Timeout: m.Timeout, ProofOnly: true})
			mu.Lock()
			defer mu.Unlock()
			if i.Answer == result.AnswerKeyed && int(i.Origin.Port()) == j.port {
				reached = target
				return
			}
			ended[knockWords(i)]++
			m.remember(j.jobKey, i)
		})
	}
	all.Wait()
	m.mu.Lock()
	m.tries++
	m.mu.Unlock()
	return reached, mostOf(ended)
}

// remember keeps a try for the report: the first ones and the latest, which
// tell most about when the far end could have seen them.
func (m *meeting) remember(k jobKey, i result.Initiator) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.knocks[k]) >= maxKnocks {
		m.knocks[k] = slices.Delete(m.knocks[k], maxKnocks/2, maxKnocks/2+1)
	}
	m.knocks[k] = append(m.knocks[k], result.Failed{At: i.At, Source: i.Source, Connect: i.Connect, Answer: i.Answer})
}

func knockWords(i result.Initiator) string {
	switch {
	case i.Connect == result.ConnectTimeout:
		return "no answer"
	case i.Connect == result.ConnectRST:
		return "refused"
	case i.Connect == result.ConnectICMP:
		return "rejected"
	case i.Connect != result.ConnectOpen:
		return "not possible from here (" + i.Error + ")"
	case i.Answer == result.AnswerWrongKey:
		return "answered with another key"
	}
	return "opened, without proof"
}

func mostOf(counts map[string]int) string {
	var words []string
	for w := range counts {
		words = append(words, w)
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func (m *meeting) tell(until time.Time, words string) {
	if m.OnWait == nil {
		return
	}
	m.mu.Lock()
	w := Waiting{Left: max(0, time.Until(until)), Tries: m.tries, Last: words, Following: m.part == following}
	m.mu.Unlock()
	m.OnWait(w)
}

// mayLead asks the far end over a path that works whether this end is to test.
func (m *meeting) mayLead(ctx context.Context, at netip.AddrPort) bool {
	m.mu.Lock()
	if m.part != knocking {
		m.mu.Unlock()
		return false
	}
	m.part = asking
	m.mu.Unlock()
	var turn echo.Turn
	err := m.base.talkTo(ctx, at, m.Timeout, func(ctx context.Context, c *echo.Conn) (err error) {
		turn, err = c.Meet(ctx, echo.Meet{QuietMS: m.Hold.Milliseconds()})
		return err
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.part == following: // it asked meanwhile, and leads
		return false
	case err != nil:
		m.part = knocking // the path died, or that end is another release
		return false
	case turn == echo.TurnFollow:
		m.follow(echo.ID{}, 0)
		return false
	}
	m.part = leading
	return true
}

// turn answers the far end's question who is to test.
func (m *meeting) turn(p echo.Peer, o echo.Meet) echo.Turn {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.part == leading, m.part == asking && echo.Leads(m.base.id, p.Run):
		return echo.TurnFollow
	}
	m.follow(p.Run, time.Duration(o.QuietMS)*time.Millisecond)
	return echo.TurnLead
}

func (m *meeting) follow(leader echo.ID, quiet time.Duration) {
	m.part, m.leader, m.quiet, m.last = following, leader, max(quiet, m.Hold), time.Now()
}

// heard notes that the far end is still there.
func (m *meeting) heard(c listener.Contact) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.part == following && c.Kind == echo.KindProved && (m.leader == (echo.ID{}) || c.Peer.Run == m.leader) {
		m.last = time.Now()
	}
}

// isFollowing reports whether the far end tests. One that was silent for long
// does not any more: a path that worked may have died, and its program too.
func (m *meeting) isFollowing() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.part == following && time.Since(m.last) > max(followAtLeast, 10*m.Timeout)+m.quiet {
		m.part = knocking
	}
	return m.part == following
}

// take takes the far end's report.
func (m *meeting) take(_ echo.Peer, r *result.Report) {
	if !m.isOurs(r) {
		return
	}
	select {
	case m.delivered <- r:
	default: // one is enough
	}
}

// lead makes the run, and delivers its report.
func (m *meeting) lead(ctx context.Context) (r *result.Report, delivered bool, err error) {
	s := newSurvey(m.Config)
	s.id, s.accept, s.waited = m.base.id, m.accept, m.Wait
	if r, err = s.run(ctx); err != nil {
		return nil, false, err
	}
	m.addKnocks(r)
	delivered = r.Contact != nil && s.deliver(ctx, r) == nil
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.part == leading {
		m.part = knocking
	}
	return r, delivered, nil
}

// addKnocks lists the tries of each forward path that was never proved.
func (m *meeting) addKnocks(r *result.Report) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range r.Paths {
		p := &r.Paths[i]
		if p.Direction != plan.Forward || p.Initiator == nil || p.Proof == result.ProofKeyed {
			continue
		}
		half := *p.Initiator
		half.Failed = append(slices.Clone(m.knocks[jobKey{
			direction: plan.Forward, transport: p.Transport, port: p.Port, sourcePort: p.SourcePort, family: p.Family,
		}]), half.Failed...)
		p.Initiator = &half
	}
}

// mirrored is the far end's report as this end's. What it says of itself is
// this end's own knowledge.
func (m *meeting) mirrored(r *result.Report) *result.Report {
	out := verdict.Mirror(r, m.Plan.Rows)
	out.From.Host, out.To.Host = m.Hostname, m.Host
	out.From.Addresses, out.To.Addresses = addrWords(m.sources()), addrWords(m.base.all)
	out.Listened = m.accept.l.Listened(m.accept.since)
	return out
}

func addrWords(addrs []netip.Addr) []string {
	out := []string{}
	for _, a := range addrs {
		out = append(out, a.String())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// deliver hands the report to the far end.
func (s *survey) deliver(ctx context.Context, r *result.Report) error {
	packed := *r
	packed.Listened = nil // the far end's own says what it saw
	d, err := echo.NewDelivery(&packed)
	if err != nil {
		return err
	}
	err = s.talk(ctx, r.Contact.Family, false, s.Timeout, func(ctx context.Context, c *echo.Conn) error { return c.Deliver(ctx, d) })
	if err != nil {
		return fmt.Errorf("hand the report over: %w", err)
	}
	return nil
}
