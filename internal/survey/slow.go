package survey

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// tripsLong is what a connection's handshake, proof and question take where round
// trips are long.
func (s *evidence) tripsLong() time.Duration {
	const roundTrips = 8
	return roundTrips * s.longestTrip()
}

// longestTrip is the longest round trip that any attempt measured, 0 if none did.
func (s *evidence) longestTrip() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.trip, s.attempts().longestTrip())
}

// sawTrip keeps the round trip of an attempt that is under way.
func (s *evidence) sawTrip(i result.Initiator) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trip = max(s.trip, trip(&i))
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

// tooSlow says why a job is untested over a way that takes longer than a step may, ""
// if it does not, or something came back all the same.
func (s *seeking) tooSlow(j *job) string {
	trip, i := s.slow[j.to], j.initiator
	isSilent := i.Connect == result.ConnectTimeout || j.transport == plan.UDP && i.Answer == result.AnswerSilent
	if trip == 0 || j.direction != plan.Forward || !isSilent {
		return ""
	}
	return fmt.Sprintf("a round trip to %s takes %.1f s, and nothing of this path was waited for longer than %v (--timeout)", j.to, trip.Seconds(), s.Timeout)
}

// slowest is the longest round trip that took longer than a step may, 0 if none did.
func (s *seeking) slowest() (longest time.Duration) {
	for _, trip := range s.slow {
		longest = max(longest, trip)
	}
	return longest
}
