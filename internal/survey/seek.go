package survey

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/contact"
	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// seeking is for somebody to ask, and for how long a way to them is.
type seeking struct {
	*bothEnds
	sought bool                         // contacts were looked for beside the tested paths
	slow   map[netip.Addr]time.Duration // round trips to addresses that take longer than a step may
}

// askFirst asks the far end on the port that it gives for that, if it gives one, and
// reports whether anything may be attempted then.
func (s *seeking) askFirst(ctx context.Context) bool {
	if s.ContactPort == 0 {
		return true
	}
	var all sync.WaitGroup
	for _, f := range s.families() {
		for _, to := range s.target.Use[f] {
			all.Go(func() { s.seekAt(ctx, netip.AddrPortFrom(to, uint16(s.ContactPort)), "contact", s.Timeout) })
		}
	}
	all.Wait()
	_, ok := s.contacts.Hello()
	return ok
}

// seek looks for a contact on the paths that this run's roles have besides
// those that are tested: --only limits what is tested, and somebody has to be
// asked what arrived; and whoever only accepts has to ask to be dialed.
func (s *seeking) seek(ctx context.Context, remote []plan.Role) {
	if s.sought {
		return
	}
	s.sought = true
	s.seekOn(ctx, remote, func(plan.Row) bool { return true })
}

// patientTimeouts is how many timeouts a connection is given where none opened within
// one, and morePatience how much longer than one at most: whoever waits for the report
// of a machine that is off waits for this, too.
const (
	patientTimeouts = 3
	morePatience    = 4 * time.Second
)

// seekPatiently looks for a contact on other paths, and on those that were silent with
// more patience.
func (s *seeking) seekPatiently(ctx context.Context, remote []plan.Role) {
	patient, enough := context.WithCancel(ctx)
	defer enough()
	var waiting sync.WaitGroup
	waiting.Go(func() { s.waitLonger(patient) })
	s.seek(ctx, remote)
	if _, ok := s.contacts.Hello(); ok {
		enough()
	}
	waiting.Wait()
}

// waitLonger finds out where nothing over TCP was answered whether the way is merely
// longer than a step may take: then silence tells nothing.
func (s *seeking) waitLonger(ctx context.Context) {
	var all sync.WaitGroup
	patience := min(patientTimeouts*s.Timeout, s.Timeout+morePatience)
	for to, jobs := range s.attempts().silent() {
		for _, j := range jobs[:min(len(jobs), backWays)] {
			all.Go(func() {
				trip := s.seekAt(ctx, netip.AddrPortFrom(to, uint16(j.port)), j.flow, patience)
				if trip < s.Timeout/2 {
					return // SYNs may have been lost
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				s.slow[to] = max(s.slow[to], trip)
			})
		}
	}
	all.Wait()
}

// silent are the forward attempts over TCP to each address from which nothing at all
// came in answer to a SYN, those that count first.
func (all attempts) silent() map[netip.Addr][]*job {
	silent, answered := map[netip.Addr][]*job{}, map[netip.Addr]bool{}
	for _, j := range all {
		switch i := j.initiator; {
		case j.direction != plan.Forward || j.transport != plan.TCP || i == nil || i.NotTried != "":
		case i.Connect == result.ConnectTimeout:
			silent[j.to] = append(silent[j.to], j)
		default:
			answered[j.to] = true
		}
	}
	for to, jobs := range silent {
		if answered[to] {
			delete(silent, to)
		}
		slices.SortFunc(jobs, countedFirst)
	}
	return silent
}

// seekLoud looks for a contact before those are tried whose live software is best left
// alone, where only such are tested. Nobody waits long for it.
func (s *seeking) seekLoud(ctx context.Context, remote []plan.Role) {
	ctx, cancel := context.WithTimeout(ctx, turnTime)
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.seekOn(ctx, remote, func(r plan.Row) bool { return !r.Speaks.Language().Quiet })
	}()
	s.contacts.Await(ctx, over, s.families()...)
	cancel()
	<-over
}

// seekOn looks for a contact on paths that are not tested.
func (s *seeking) seekOn(ctx context.Context, remote []plan.Role, on func(plan.Row) bool) {
	flows, _, err := s.Plan.Select(plan.Query{Local: s.Local, Remote: remote, All: s.All})
	if err != nil {
		return
	}
	var all sync.WaitGroup
	for _, f := range s.families() {
		tried := map[int]bool{0: true}
		for _, j := range s.attempts() {
			tried[j.port] = tried[j.port] || j.direction == plan.Forward && j.family == f && j.transport == plan.TCP
		}
		for _, flow := range flows {
			if flow.Row.Transport != plan.TCP || tried[flow.Row.Port] || !on(flow.Row) {
				continue
			}
			tried[flow.Row.Port] = true
			for _, to := range s.target.Use[f] {
				all.Go(func() { s.seekAt(ctx, netip.AddrPortFrom(to, uint16(flow.Row.Port)), flow.Row.ID, s.Timeout) })
			}
		}
	}
	all.Wait()
}

// seekAt opens a connection to a target that has so much patience, and hands the way over
// if it proves itself, unless a conversation over it takes longer than any step may. It
// returns how long a round trip took, 0 if nothing was proved.
func (s *seeking) seekAt(ctx context.Context, target netip.AddrPort, flow string, patience time.Duration) time.Duration {
	conn, err := s.contacts.Open(ctx, target, patience)
	if err != nil {
		return 0
	}
	defer conn.Close()
	if conn.Origin.Port() == target.Port() && conn.Version == echo.Version && conn.RTT < s.Timeout {
		s.contacts.Offer(ctx, result.FamilyOf(target.Addr()), contact.Way{
			Flow: flow, Target: target, Instance: conn.Instance.String(), Direct: result.IsSameAddr(conn.Origin.Addr(), target.Addr()),
			Source: conn.Local, SeenAs: conn.SeenAs.Addr(),
		})
	}
	return conn.RTT
}
