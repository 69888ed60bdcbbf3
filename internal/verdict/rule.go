package verdict

import (
	"net/netip"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A Context is what is said of a path depends on beside the path's own evidence.
type Context struct {
	// Mode is that of the report: it says who is meant to answer.
	Mode result.Mode
	// Instance is the listener process that ought to answer; "" if not known.
	Instance string
	// Loss is the chance that a packet or the answer to it gets lost, as all
	// connections of the run show it; 0: none is known to.
	Loss float64
	// Alive: other paths of the run show that the machine at the other end was on
	// (see isAlive).
	Alive bool
	// OpenWay is the trace of an open path to the same machine, which names the
	// devices behind the stop; nil: there is none.
	OpenWay *result.Trace
	// LosesSome: of the connections on another path the same way some got no answer at
	// all, and others did. A trace, of which each hop is a connection of its own, that
	// ends in silence then shows no place.
	LosesSome bool
	// Relayed: an open path to the same address goes through a relay.
	Relayed bool
	// PortAssumed: nobody gave the port.
	PortAssumed bool
	// LeftOut are addresses of the far end whose family the dialing machine does not
	// have.
	LeftOut []netip.Addr
}

// Rule judges a path by its evidence, and says what that means: its verdict, proof
// and OK, its finding and notes, and, the first time, where it stops. It is the one
// place that does.
func Rule(p *result.Path, c Context) {
	if p.Verdict == "" && p.Initiator != nil {
		if t := p.Initiator.Trace; !c.LosesSome || !t.EndsSilent() {
			p.Stop = locate(t, c.OpenWay, p.Target.Addr())
		}
		if c.Relayed && isElsewhere(p) {
			p.Stop = atRelay(p.Stop, p.Initiator.Trace, c.OpenWay, p.Target.Addr())
		}
	}
	r := judge(questionOf(p, c))
	p.Verdict, p.Proof, p.OK = r.Verdict, r.Proof, r.OK
	p.Finding = explain(*p, c)
	notes := notesOf(*p, c.PortAssumed, c.LeftOut...)
	for _, n := range p.Notes {
		switch n.Code {
		case result.NoteAssumedPort, result.NoteOneFamily, result.NoteInstancePort: // the path's own evidence does not show it
			notes = append(notes, n)
		}
	}
	p.Notes = notes
}

// Retell explains anew a path that was ruled on, in other roles or with more about
// it than its evidence. It reports false where the evidence does not amount to the
// verdict: what that rests on is not known here, and its own words stand.
func Retell(p result.Path, c Context) (*result.Finding, bool) {
	if judge(questionOf(&p, c)).Verdict != p.Verdict {
		return nil, false
	}
	return explain(p, c), true
}

func questionOf(p *result.Path, c Context) question {
	return question{
		Transport: p.Transport, Port: p.Port, Initiator: p.Initiator, Acceptor: p.Acceptor,
		Instance: c.Instance, Loss: c.Loss, Mode: c.Mode, Expect: p.Expect, Alive: c.Alive,
	}
}

// ContextOf is what a report tells of the context of one of its paths: not all that
// its verdict may have depended on.
func ContextOf(r *result.Report, p *result.Path, instance string) Context {
	return Context{
		Mode: r.Mode, Instance: instance, Loss: lossIn(r, p),
		Alive: r.Contact != nil && p.Direction == plan.Forward || isAlive(r.Paths, *p),
	}
}

// lossIn is what a report's connections show of the loss of packets, where that
// decides on a path: if some of its own connections passed and others did not, or
// died when they were kept idle.
// Rows that one attempt stands for have the same connections, which count once.
func lossIn(r *result.Report, p *result.Path) float64 {
	if p.Initiator == nil {
		return 0
	}
	passed, failed := result.Compare(p.Initiator.Connections)
	died := len(idleLimits(p.Initiator.Idle)) > 0 || len(ageLimits(p.Initiator.Idle)) > 0
	if (len(passed) == 0 || len(failed) == 0) && !died {
		return 0
	}
	var near []*result.Initiator
	var far []*result.Acceptor
	seen := map[string]bool{}
	for i := range r.Paths {
		if h := r.Paths[i].Initiator; h != nil && (h.Probe == "" || !seen[h.Probe]) {
			seen[h.Probe] = true
			near, far = append(near, h), append(far, r.Paths[i].Acceptor)
		}
	}
	return LossOf(near, far...).RoundTripOf(p.Transport)
}
