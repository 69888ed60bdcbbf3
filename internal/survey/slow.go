package survey

import (
	"fmt"
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
