package survey

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
	"dialtone/internal/verdict"
)

// reports join what the phases found out.
type reports struct {
	*bothEnds
	*seeking
	*lasting
	*halves
	*decoys
	*tracing
	// temporary are this machine's addresses that the system makes anew from day to day.
	temporary []netip.Addr
}

// report joins everything into a Report. resolveErr says why there is no
// address to dial.
func (s *reports) report(ctx context.Context, remote []plan.Role, resolveErr error) *result.Report {
	r := &result.Report{
		Schema: result.Schema, Tool: s.Software, Run: s.id.String(), Tag: s.Key.Tag(), Started: result.TimeOf(s.started),
		Interrupted: ctx.Err() != nil,
		Plan:        s.Plan.Name, Mode: result.ModePaths,
		From:    result.End{Role: s.roleWords(s.Local), Host: s.Hostname, Addresses: s.attempts().ownAddresses()},
		To:      result.End{Role: s.roleWords(remote), Host: s.Host, Addresses: slices.Clone(s.target.All)},
		Contact: s.contactOf(),
		Paths:   []result.Path{}, OutOfScope: []result.OutOfScope{}, Findings: []result.Finding{},
	}
	for _, l := range s.legs {
		r.Paths = append(r.Paths, s.path(l, s.half(l.job), resolveErr))
	}
	verdict.TellInstances(r.Paths, func(flow string) plan.Protocol {
		return s.legs[slices.IndexFunc(s.legs, func(l *leg) bool { return l.Row.ID == flow })].Row.Speaks
	})
	for i := range r.Paths {
		r.Paths[i].Notes = append(r.Paths[i].Notes, verdict.InstanceNotes(r.Paths[i])...)
	}
	verdict.Enliven(r.Paths, r.Contact != nil)
	for _, e := range s.excluded {
		r.OutOfScope = append(r.OutOfScope, result.NewOutOfScope(e))
	}
	r.Listened = s.door.Listened()
	facts := s.facts(resolveErr)
	if errors.Is(context.Cause(ctx), errLongest) {
		facts.TooLong = s.Longest()
	}
	verdict.Conclude(r, facts)
	r.ElapsedMS = sock.Since(s.started).Milliseconds()
	return r
}

// roleWords names the roles of an end; with All they do not matter.
func (c Config) roleWords(roles []plan.Role) string {
	if c.All {
		return "all"
	}
	return plan.RoleWords(roles)
}

func (s *reports) contactOf() *result.Contact {
	c, ok := s.contacts.First()
	if !ok {
		return nil
	}
	ms := c.Clock.Milliseconds()
	out := &result.Contact{
		Flow: c.Flow, Direction: plan.Forward, Port: int(c.Target.Port()), Family: c.Family,
		Target: result.EndpointFrom(c.Target), SeenAs: result.EndpointFrom(c.SeenAs),
		Instance: c.Hello.Instance.String(), Software: c.Hello.Software, Plan: c.Hello.Plan,
		Partners: c.Hello.Partners, HidesSource: c.Hides,
		Roles: c.Hello.Roles, ClockMS: &ms, Busy: c.Hello.Busy, Witness: c.Hello.Witness,
	}
	if out.Roles == nil {
		out.Roles = []string{}
	}
	if out.Busy == nil {
		out.Busy = []result.BusyPort{}
	}
	return out
}

// half is a job's half as the report has it: with all of its connections, and
// untested where a cut-off leaves it open.
func (s *reports) half(j *job) *result.Initiator {
	if j.initiator == nil {
		return nil
	}
	i := *j.initiator
	switch why := s.cutShort(j); {
	case why != "":
		i.NotTried = why
	case i.NotTried == "" && s.tooSlow(j) != "":
		i.NotTried = s.tooSlow(j)
	case i.NotTried == "" && s.isUntold(j): // although it was tried again
		i.NotTried = tooBusy + "each time that this path was tried: run dial again when both have less to do"
	}
	all := s.connectionsOf(j)
	i.Connections = besidePauses(all, s.ofThisEnd(j), j.transport, j.port)
	pauses := s.pauses
	if j.direction == plan.Reverse {
		pauses = pausesOf(s.door.Paused(), sock.Now())
	}
	i.Connections = besidePauses(i.Connections, pauses, j.transport, j.port)
	if i.NotTried == "" && isMostlySpoilt(all, i.Connections) {
		i.NotTried = tooBusy + "while most connections of this path were tried, and got no answer: run dial again when both have less to do"
	}
	besideStops(&i, j.transport)
	besideDeclines(&i, pauses, j.transport)
	besideSheds(&i, pauses)
	if j.direction == plan.Forward {
		sinceItBegan(&i, s.beganAt(j))
	} else {
		s.ledAstray(&i)
	}
	if i.NotTried == "" {
		i.Connections = s.beforeCut(i.Connections)
		if j.vacated {
			sinceVacated(&i, j.port)
		}
	}
	i.Ban = s.banOf(j, i.Connections)
	i.Repeated = i.Repeat()
	return &i
}

// path makes one path of the report from a leg and its job's half.
func (s *reports) path(l *leg, half *result.Initiator, resolveErr error) result.Path {
	j := l.job
	p := result.NewPath(l.Flow, l.Family)
	p.Port, p.Opposite, p.At = j.port, !slices.Contains(l.Row.From, l.From), result.TimeOf(s.started)
	p.Initiator, p.Acceptor = half, j.acceptor
	if resolveErr != nil && errors.Is(resolveErr, context.Canceled) {
		p.Initiator = &result.Initiator{Probe: j.probe.String(), NotTried: "interrupted"}
	} else if resolveErr != nil && l.Direction == plan.Forward {
		p.Initiator = &result.Initiator{Probe: j.probe.String(), At: p.At, ResolveError: resolveErr.Error(), ResolveFault: sock.FaultOf(resolveErr)}
	} else if resolveErr != nil {
		p.Initiator = &result.Initiator{Probe: j.probe.String(), NotTried: "the far end's name does not resolve"}
	}
	if s.target.IsOneOfSeveral(j.to) {
		p.Address.Addr = j.to
	}
	if p.To == string(plan.RolePeer) && p.Initiator != nil {
		p.Initiator = s.partners(p.Initiator)
	}
	if i := p.Initiator; i != nil {
		if !i.At.IsZero() {
			p.At = i.At
		}
		p.Source, p.Target, p.SeenAs = i.Source, i.Target, i.SeenAs
		p.Attempts, p.RTTMS = i.Attempts, i.RTTMS
	}
	if a := p.Acceptor; a != nil && !p.SeenAs.IsValid() {
		p.SeenAs = a.Source
	}
	p.OthersSeenAs = s.attempts().othersSeenAs(j)
	p.OthersOrigin = s.attempts().othersOrigin(j)
	if p.Direction == plan.Forward {
		p.SourceTemporary = slices.Contains(s.temporary, p.Source.Addr())
	} else {
		p.TargetTemporary = slices.Contains(s.temporary, p.Target.Addr())
	}
	p.AddressAssumed = p.OthersOrigin.IsValid() && s.isAssumed(p)
	c := verdict.Context{
		Mode: result.ModePaths, Instance: s.expectedOf(j), Loss: s.loss(p.Transport), LosesSome: s.losesSome(j),
		PortAssumed: l.Row.PortAssumed, LeftOut: s.target.Without(sock.NoSuchFamily),
	}
	if p.Direction == plan.Forward {
		c.OpenWay = s.openWay[j.to]
		c.Relayed = s.attempts().isRelayed(j.to)
	}
	verdict.Rule(&p, c)
	return p
}

// isAssumed reports whether the far end dialed back to where this end's connections come
// from, and nobody knows whether partners dial that address: an institution's NAT may
// have one for what goes out, and another for what comes in.
func (s *farEnd) isAssumed(p result.Path) bool {
	c, ok := s.contacts.Of(p.Family)
	return ok && p.Direction == plan.Reverse && p.From == string(plan.RolePeer) && p.Target.Addr() == c.SeenAs.Addr() && !slices.Contains(c.Hello.Partners, p.Target.Addr())
}

// expectedOf is the listener that ought to answer a job. Where one took another's
// place, both did when it was their turn.
func (s *reports) expectedOf(j *job) string {
	if s.cut != nil && s.cut.anew != "" && j.direction == plan.Forward && j.initiator != nil {
		return j.initiator.Instance
	}
	return j.instance
}

// partners is a half as it tells of a partner. What a listener of this machine
// proved, be it another process's, tells nothing of one: it comes to that where a
// list or an invitation names this institution itself. Over the loopback
// interface somebody tries both ends on one machine.
func (s *reports) partners(i *result.Initiator) *result.Initiator {
	if i.Answer != result.AnswerKeyed || i.Target.Addr().IsLoopback() || !result.IsSameAddr(i.Source.Addr(), i.Target.Addr()) && !s.door.IsSibling(i.Instance) {
		return i
	}
	own := *i
	own.Answer, own.OwnOrigin = result.AnswerOwn, &i.Origin
	own.Origin, own.SeenAs, own.Instance = result.Endpoint{}, result.Endpoint{}, ""
	return &own
}

// facts are what Conclude needs beside the report.
func (s *reports) facts(resolveErr error) verdict.Facts {
	f := verdict.Facts{
		Paused: s.pausedFor(sock.Now()), Full: s.fullPorts(), Stood: s.stoodFor(), Away: s.away(), Reroutes: s.timesRerouted(), Late: s.late(), Restarted: s.restartedAt, Shift: s.Shift, Bans: s.banned(), AnswersAll: s.answersAll, Waited: s.waited,
		LeftOut: s.target.Without(sock.TooMany), AnyAddress: s.anyAddress(s.Host), Names: namesInDoubt(s.target.Doubts),
		SlowTrip: s.slowest(), Timeout: s.Timeout,
	}
	if resolveErr != nil && !errors.Is(resolveErr, context.Canceled) {
		f.ResolveError, f.ResolveFault = resolveErr.Error(), sock.FaultOf(resolveErr)
	}
	if s.cut != nil {
		f.CutOff = &verdict.CutOff{At: s.cut.at, After: s.cut.at.Sub(s.started), Ended: s.cut.ended, Anew: s.cut.anew != "", Shut: s.cut.shut, Mute: s.cut.mute, Away: s.isUnplugged(s.cut.at), Opened: len(s.everyConnection())}
		if r := s.cut.reroute; r != nil {
			told := rerouteOf(*r)
			f.CutOff.Reroute = &told
		}
		if by := s.cut.touched; by != nil {
			f.CutOff.Touched = &result.Ban{Port: by.port, Transport: by.transport}
		}
	} else if s.contactLost != nil {
		f.ContactLost, f.Lacks = s.contactLost.Error(), sock.LackOf(s.contactLost)
	}
	if _, ok := s.contacts.Hello(); !ok {
		f.Lacks = s.lacks
	}
	if h, ok := s.contacts.Hello(); ok {
		f.FarShift = h.Shift
		s.crowdedThere(h.Shed)
	}
	f.Shed = s.shed
	return f
}

// namesInDoubt is what a verdict needs to know of names that have addresses.
func namesInDoubt(doubts []sock.Doubt) []verdict.Name {
	var out []verdict.Name
	for _, d := range doubts {
		out = append(out, verdict.Name(d))
	}
	return out
}

// rolesThere are the roles of this end as the far end's plan has them: of two servers
// each calls the other its peer.
func (c Config) rolesThere() (out []string) {
	if slices.Equal(c.Remote, []plan.Role{plan.RolePeer}) {
		return []string{string(plan.RolePeer)}
	}
	for _, r := range c.Local {
		out = append(out, string(r))
	}
	return out
}

// submit tells the far end how the run ended, for its log. Nothing depends on
// it. The error says why it could not be told.
func (s *reports) submit(ctx context.Context, r *result.Report) error {
	if r.Contact == nil || r.Interrupted {
		return nil
	}
	sub := echo.Submission{Host: s.Hostname, Roles: s.rolesThere(), Summary: r.Summary}
	for _, p := range r.Paths {
		if p.Counted && !p.OK {
			sub.Broken = append(sub.Broken, fmt.Sprintf("%s %s %s: %s", p.Direction, p.Flow, p.Family, p.Verdict))
		}
	}
	return s.ask(ctx, r.Contact.Family, false, min(s.Timeout, 2*time.Second), func(ctx context.Context, c *echo.Conn) error {
		if err := c.Submit(ctx, sub); err != nil {
			return err
		}
		if h, ok := s.contacts.Hello(); ok && h.Board {
			if d, err := echo.NewDelivery(r); err == nil {
				d.Board = true
				_, _ = c.Deliver(ctx, d) // nothing of the run depends on it
			}
		}
		return nil
	})
}
