package survey

import (
	"net/netip"
	"slices"

	"dialtone/internal/dialer"
	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// choose selects the rows and makes a leg of each row, direction and family, and
// of each address of the far end's that is dialed.
// Called again with other roles of the far end it adds what is new and drops
// what no longer applies and was not attempted.
func (s *dials) choose(remote []plan.Role) error {
	wanted, excluded, err := s.Legs(s.target, remote)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.excluded = append(slices.Clone(s.Excluded), excluded...)
	s.legs = nil
	for _, l := range wanted {
		s.legs = append(s.legs, &leg{l, s.jobFor(l)})
	}
	return nil
}

// A leg is one path of the report to be.
type leg struct {
	Leg
	job *job
}

// A jobKey is what makes two legs one attempt. Port 0 is the one high port that
// the accepting end names for all rows without a port.
type jobKey struct {
	direction        plan.Direction
	transport        plan.Transport
	port, sourcePort int
	family           result.Family
	to               netip.Addr // that is dialed; invalid for reverse ones
}

// keyOf is the attempt of a path, by the port that was dialed, at an address.
func keyOf(p result.PathKey, to netip.Addr) jobKey {
	return jobKey{direction: p.Direction, transport: p.Transport, port: p.Port, sourcePort: p.SourcePort, family: p.Family, to: to}
}

// A job is one attempt, whose outcome fans out to all legs that share it.
type job struct {
	jobKey
	flow         string // the first row that wanted it
	probe        echo.ID
	conversation echo.ID // names its service's own conversation
	// speaks is the protocol of all rows that share it, "" if they do not agree.
	speaks plan.Protocol

	// Guarded by the run's mutex until all attempts are over.
	started   bool
	gentle    bool              // no more connections than needed
	trace     bool              // find out where it stops
	idle      bool              // keep connections idle on it
	required  bool              // a row that needs it is one that the plan requires
	studied   bool              // further connections told what those that failed have in common
	retried   result.Connection // when it was attempted anew, and for how long; zero: it was not
	port      int               // as dialed; differs from the key's for named ports
	by        string            // the listener that dialed back
	initiator *result.Initiator
	acceptor  *result.Acceptor
	instance  string           // that ought to answer; "" = not known
	visits    *listener.Visits // of live software that holds the port here; nil: none does
	vacated   bool             // the sibling that accepted in this end's place let go of the port
}

func (s *dials) jobFor(f Leg) *job {
	p := result.NewPath(f.Flow, f.Family)
	k := keyOf(p.Key(), f.To)
	j := s.jobs[k]
	if j == nil {
		j = &job{jobKey: k, flow: f.Row.ID, probe: echo.NewID(), conversation: echo.NewID(), speaks: f.Row.Speaks, port: k.port, gentle: s.Gentle}
		s.jobs[k] = j
	}
	if j.speaks != f.Row.Speaks {
		j.speaks = ""
	}
	j.trace = j.trace || s.Trace || f.Counted
	j.required = j.required || f.Row.Need == plan.Required
	j.idle = j.idle || f.Counted || len(s.Only) > 0
	return j
}

// pending returns the jobs of a direction and some families that were not
// started, and marks them started. Those whose port is not known yet are left
// for later unless all is set.
func (s *evidence) pending(d plan.Direction, all bool, families ...result.Family) []*job {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*job
	for _, l := range s.legs {
		if l.Direction == d && slices.Contains(families, l.Family) && !l.job.started && (all || l.job.port != 0) {
			l.job.started = true
			out = append(out, l.job)
		}
	}
	return out
}

// From quietTurn on it is those whose live software is best left alone; lastTurn is the
// last.
const quietTurn, lastTurn = 2, 3

// turn says when a job is tried: what a site must have is likely to be held where
// ILLiad runs already.
func (j *job) turn() int {
	turn := 0
	if j.required {
		turn++
	}
	if j.speaks.Language().Quiet {
		turn += quietTurn
	}
	return turn
}

// countedSamples is how many connections a counted path gets: with the service's
// own conversation beside them, one that fails half of them is missed in one run of
// two thousand.
const countedSamples = 10

// samples is how many connections a job gets that proves itself.
func (j *job) samples() int {
	if j.trace && !j.gentle {
		return countedSamples
	}
	return dialer.MinSamples
}

// saw takes what an attempt saw. A further connection that failed has a probe
// of its own, by which the accepting end is asked about it.
func (j *job) saw(i result.Initiator) {
	var probe echo.ID
	if probe.UnmarshalText([]byte(i.Probe)) == nil {
		j.probe = probe
	}
	i.Probe = j.probe.String()
	j.initiator = &i
}
