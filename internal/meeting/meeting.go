// Package meeting is a run for which both ends dial each other until one of them gets
// through. That one makes it, and both have its report.
package meeting

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/merge"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
	"dialtone/internal/survey"
	"dialtone/internal/verdict"
)

// A Config is a run for which both ends dial each other until one gets
// through.
type Config struct {
	survey.Config
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
	// collectEvery is how often another listener of this machine is asked for a
	// report that was delivered to it.
	collectEvery = 2 * time.Second
)

// Run has both ends dial each other until one of them gets through, or time is
// up. The end that does makes the run and hands its report to the other, so
// that both have the same one. If none does, the report is this end's half: what
// it tried, and what it saw arrive.
func Run(ctx context.Context, c Config) (*result.Report, error) {
	m := newMeeting(c)
	var err error
	m.target, err = m.Resolve(ctx)
	if err != nil && mayAppear(err) {
		until := time.Now().Add(c.Wait)
		if r, err := m.awaitName(ctx, until, err); r != nil || err != nil {
			return r, err
		}
		c.Wait, c.OnTaken = max(0, time.Until(until)), nil
		m = newMeeting(c)
		m.target, err = m.Resolve(ctx)
	}
	if err != nil {
		return survey.Run(ctx, c.Config) // it says so
	}
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.Door.Close()
	return m.run(ctx)
}

func newMeeting(c Config) *meeting {
	return &meeting{
		Config: c, With: survey.With{ID: echo.NewID(), Own: echo.NewID(), Waited: c.Wait},
		delivered: make(chan handed, 1), knocks: map[way][]result.Failed{},
	}
}

// begin accepts what the far end dials.
func (m *meeting) begin(ctx context.Context) error {
	var err error
	if m.legs, _, err = m.Legs(m.target, m.Remote); err != nil {
		return err
	}
	m.Door = m.OpenDoor(ctx, m.With, survey.Bindings(m.legs), m.sources(), listener.Config{
		Partners: m.target.All, OnMeet: m.turn, OnDelivery: m.take, OnEvent: m.heard,
	})
	if m.OnTaken != nil {
		for _, k := range m.Door.Taken() {
			m.OnTaken(k.BusyPort, k.Sibling != "")
		}
	}
	return nil
}

// mayAppear reports whether a name that gave no address may give one later.
func mayAppear(err error) bool {
	return !errors.Is(err, context.Canceled) && sock.FaultOf(err) != result.NameFamily
}

// awaitName accepts what the far end dials until its name has an address. The
// report is nil if it has: this end's part begins anew then, with what its names
// gave. why is how the latest look-up ended.
func (m *meeting) awaitName(ctx context.Context, until time.Time, why error) (*result.Report, error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.Door.Close()
	for pause := knockEvery; ctx.Err() == nil && (m.isFollowing() || time.Now().Before(until)); pause = min(2*pause, knockAtMost) {
		m.mu.Lock()
		m.tries++
		m.mu.Unlock()
		m.tell(until, why.Error())
		if h := m.await(ctx, min(pause, max(time.Until(until), collectEvery))); h.report != nil {
			return m.complete(ctx, h)
		}
		if m.isFollowing() {
			continue
		}
		if _, why = m.Resolve(ctx); why == nil {
			return nil, nil
		}
	}
	r, _, err := m.lead(ctx, nil) // it says why, and what was accepted
	return r, err
}

// A meeting is the state of such a run.
type meeting struct {
	Config
	// With is what each test of this end shares. Its Door is nil until it is open: turn,
	// take and heard, which it calls sooner, leave it alone.
	survey.With
	target    sock.Target  // the far end's addresses
	legs      []survey.Leg // of this end's tests
	delivered chan handed

	mu     sync.Mutex
	part   part
	leader echo.ID // whom this end follows; zero: not known by its id
	quiet  time.Duration
	last   time.Time // when the leader was heard last
	tries  int
	knocks map[way][]result.Failed
}

// sources are the addresses that this machine would dial the far end from.
func (m *meeting) sources() []netip.Addr {
	out := slices.Clone(m.Bind)
	if len(m.target.Use) == 0 && len(out) == 0 { // its name has no address yet
		own, _ := sock.LocalAddrs() // none: it does not tell
		return slices.DeleteFunc(own, netip.Addr.IsLoopback)
	}
	for _, a := range m.Sources(m.target) {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// handed is a report that the far end handed over, from its own side.
type handed struct {
	report *result.Report
	more   bool // it was told to stay for what this end tests besides
}

func (m *meeting) run(ctx context.Context) (*result.Report, error) {
	until := time.Now().Add(m.Wait)
	pause := knockEvery
	var best *result.Report // joined, and not known to the far end
	for {
		if !m.isFollowing() {
			reached, words := m.knock(ctx)
			m.tell(until, words)
			if reached.IsValid() && m.mayLead(ctx, reached) {
				r, told, err := m.lead(ctx, nil)
				if err != nil || told {
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
		if h := m.await(ctx, min(pause, max(time.Until(until), collectEvery))); h.report != nil {
			return m.complete(ctx, h)
		}
		pause = min(2*pause, knockAtMost)
	}
	if best != nil {
		best.Listened = m.Door.Listened() // it listened on after that run
		return best, nil
	}
	r, _, err := m.lead(ctx, nil) // once more, and where it stops
	for err == nil && r.Contact == nil && m.isFollowing() && ctx.Err() == nil {
		// It got through at the last moment.
		if h := m.await(ctx, collectEvery); h.report != nil {
			return m.complete(ctx, h)
		}
	}
	return r, err
}

// complete makes of the far end's report what this end may say. What that end did not test,
// because it dials this one by fewer address families, this end does.
func (m *meeting) complete(ctx context.Context, h handed) (*result.Report, error) {
	r := m.mirrored(m.believed(ctx, h.report))
	r.Listened = m.Door.Listened()
	if !h.more {
		return r, nil
	}
	whole, told, err := m.lead(ctx, r)
	if err != nil || !told || whole.Contact == nil {
		return r, nil // at least what both know
	}
	return whole, nil
}

// lacks reports whether a report of this end's has not all the paths that this
// end wants to know of.
func (m *meeting) lacks(r *result.Report) bool {
	return slices.ContainsFunc(m.legs, func(l survey.Leg) bool { return !slices.ContainsFunc(r.Paths, l.Is) })
}

// gotThrough reports whether a forward path of a report proved itself.
func gotThrough(r *result.Report) bool {
	return slices.ContainsFunc(r.Paths, func(p result.Path) bool {
		return p.Direction == plan.Forward && p.Transport == plan.TCP && p.Proof == result.ProofKeyed
	})
}

// await waits for a report that the far end delivers.
func (m *meeting) await(ctx context.Context, d time.Duration) handed {
	if r := m.collected(ctx); r != nil {
		return handed{report: r}
	}
	pause := time.NewTimer(d)
	defer pause.Stop()
	again := time.NewTicker(collectEvery)
	defer again.Stop()
	for {
		select {
		case h := <-m.delivered:
			return h
		case <-ctx.Done():
			return handed{}
		case <-pause.C:
			return handed{}
		case <-again.C:
			if r := m.collected(ctx); r != nil {
				return handed{report: r}
			}
		}
	}
}

// collected fetches a report that was delivered to another listener of this
// machine, which holds a port that this end wanted; nil: there is none. One
// that came before this end began to wait counts if it is as fresh as one that
// it would have waited for.
func (m *meeting) collected(ctx context.Context) *result.Report {
	for got := range m.Door.Collected(ctx) {
		if time.Duration(got.AgeMS)*time.Millisecond > m.Wait {
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
	return r.Plan == m.Plan.Name && r.From.Role == plan.RoleWords(m.Local) && r.To.Role == plan.RoleWords(m.Remote)
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

// take takes the far end's report. That end stays if this one can and wants to
// test more.
func (m *meeting) take(r *result.Report, last bool) (echo.Receipt, func()) {
	if !m.isOurs(r) {
		return echo.Receipt{}, nil
	}
	own := m.mirrored(merge.Sound(r))
	more := !last && m.lacks(own) && gotThrough(own)
	return echo.Receipt{More: more}, func() {
		select {
		case m.delivered <- handed{r, more}:
		default: // one is enough
		}
	}
}

// lead makes the run, and hands its report over, with what is known of other
// paths already; told says that the far end has it, and wants no more. If it
// does, this end follows.
func (m *meeting) lead(ctx context.Context, known *result.Report) (r *result.Report, told bool, err error) {
	s := survey.New(m.Config.Config, m.With)
	if r, err = s.Run(ctx); err != nil {
		return nil, false, err
	}
	m.addKnocks(r)
	if known != nil {
		r.Paths = append(r.Paths, otherPaths(known, r)...)
		verdict.Summarize(r)
	}
	var receipt echo.Receipt
	if r.Contact != nil {
		receipt, err = deliver(ctx, s, r, known != nil)
		told = err == nil && !receipt.More
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case receipt.More:
		m.follow(echo.ID{}, 0)
	case m.part == leading:
		m.part = knocking
	}
	return r, told, nil
}

// otherPaths are those of a report that another lacks.
func otherPaths(from, than *result.Report) []result.Path {
	return slices.DeleteFunc(slices.Clone(from.Paths), func(p result.Path) bool {
		return slices.ContainsFunc(than.Paths, func(q result.Path) bool {
			return p.PlanKey() == q.PlanKey() && (p.Address == q.Address || p.Target.IsValid() && p.Target.Addr() == q.Target.Addr())
		})
	})
}

// mirrored is the far end's report as this end's. What it says of itself is
// this end's own knowledge.
func (m *meeting) mirrored(r *result.Report) *result.Report {
	out := verdict.Mirror(r, m.Plan.Rows)
	out.From.Host, out.To.Host = m.Hostname, m.Host
	out.From.Addresses, out.To.Addresses = result.AddrsOf(m.sources()...), result.AddrsOf(m.target.All...)
	return out
}

// deliver hands the report to the far end.
func deliver(ctx context.Context, s *survey.Survey, r *result.Report, last bool) (receipt echo.Receipt, err error) {
	packed := *r
	packed.Listened = nil // the far end's own says what it saw
	d, err := echo.NewDelivery(&packed)
	if err != nil {
		return receipt, err
	}
	d.Last = last
	err = s.Ask(ctx, r.Contact.Family, func(ctx context.Context, c *echo.Conn) (err error) {
		receipt, err = c.Deliver(ctx, d)
		return err
	})
	if err != nil {
		return receipt, fmt.Errorf("hand the report over: %w", err)
	}
	return receipt, nil
}
