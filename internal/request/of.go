package request

import (
	"fmt"
	"net/netip"
	"slices"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// Of lists what to ask for by one report, or by several: what many machines need
// is one request.
func Of(o Options, reports ...*result.Report) List {
	c := collector{options: o, index: map[key]*Request{}}
	for _, r := range reports {
		c.list.Interrupted = c.list.Interrupted || r.Interrupted
		c.list.Paths += len(r.Paths)
		for _, f := range r.Findings {
			c.list.Findings = addOnce(c.list.Findings, f)
		}
		for i := range r.Paths {
			c.path(r, &r.Paths[i])
		}
	}
	slices.SortStableFunc(c.found, func(a, b *Request) int {
		switch {
		case a.Needed == b.Needed:
			return 0
		case a.Needed:
			return -1
		}
		return 1
	})
	for n, q := range c.found {
		q.Number = n + 1
		q.Ours, q.Theirs = q.sides()
		c.list.Requests = append(c.list.Requests, *q)
	}
	return c.list
}

// A key is what makes two paths need one change. The far machine is part of it, and
// the machine that ran dial is not.
type key struct {
	change           Change
	onHost           bool
	transport        plan.Transport
	direction        plan.Direction
	far              netip.Addr
	port, sourcePort int
}

// maxLog bounds the attempts that a request lists.
const maxLog = 64

// A collector gathers requests.
type collector struct {
	options Options
	list    List
	found   []*Request
	index   map[key]*Request
}

func (c *collector) path(r *result.Report, p *result.Path) {
	switch {
	case p.OK || p.Opposite:
		return
	case p.Verdict == result.Untested || p.Finding == nil:
		c.list.Untested++
		return
	}
	kind, ok := asks(r, p)
	from, to := addresses(r, p)
	if !ok || !from.Seen.IsValid() || !to.Seen.IsValid() {
		c.leave(p)
		return
	}
	k := key{kind.change, kind.onHost, p.Transport, p.Direction, to.Seen, p.Port, p.SourcePort}
	if p.Direction == plan.Reverse {
		k.far = from.Seen
	}
	if p.PlanPort == 0 {
		k.port = 0 // a high port that is another one in each run
	}
	fromHost, toHost := r.From.Host, hostOf(r, p)
	if p.Direction == plan.Reverse {
		fromHost, toHost = r.To.Host, r.From.Host
	}
	q := c.index[k]
	if q == nil {
		q = &Request{
			Change: kind.change, OnHost: kind.onHost, First: first(r, p), Advice: p.Finding.Advice,
			Transport: p.Transport, Direction: p.Direction, Port: k.port, SourcePort: p.SourcePort, Look: wordsOf(kind.look),
			From: End{Role: p.From, Host: fromHost}, To: End{Role: p.To, Host: toHost},
		}
		if _, err := netip.ParseAddr(toHost); r.Mode == result.ModeEgress && err != nil {
			q.Named = toHost
		}
		c.index[k] = q
		c.found = append(c.found, q)
	}
	if q.From.Host != fromHost {
		q.From.Host = ""
	}
	if q.To.Host != toHost {
		q.To.Host = ""
	}
	if first(r, p) == "" {
		q.First = "" // another machine's evidence is enough
	}
	q.Needed = q.Needed || p.Counted
	q.Whom = addOnce(q.Whom, Whom(r, p))
	q.cause(p)
	q.Paths = append(q.Paths, p)
	q.IdleS = max(q.IdleS, p.IdleS)
	q.Needs = addOnce(q.Needs, Need{p.Service, p.Why})
	own, other := c.options.Subnets, Subnets{}
	if p.Direction == plan.Reverse {
		own, other = other, own
	}
	q.From.add(from, own)
	q.To.add(to, other)
	for _, e := range LogOf(p) {
		if len(q.Log) < maxLog {
			q.Log = addOnce(q.Log, e)
		}
	}
}

// maxFailed bounds the connections of one path that its log lists.
const maxFailed = 4

// LogOf are the attempts of a path to search a firewall's log for: the one that tells of
// it, or where some passed the first of those that failed. None if its ends are not known.
func LogOf(p *result.Path) []result.LogEntry {
	if !p.Source.IsValid() || !p.Target.IsValid() {
		return nil
	}
	if p.Verdict == result.Unsteady && p.Initiator != nil {
		var out []result.LogEntry
		_, failed := result.Compare(p.Initiator.Connections)
		for _, c := range failed {
			if c.Source.IsValid() && len(out) < maxFailed {
				out = append(out, result.LogEntry{At: c.At, Source: c.Source, Target: p.Target})
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return []result.LogEntry{{At: p.At, Source: p.Source, SeenAs: p.SeenAs, Target: p.Target}}
}

// Asks reports whether a path of a report leads to a request. One that is ok, was not
// tested, or is for the people at the two ends does not.
func Asks(r *result.Report, p *result.Path) bool {
	if !p.IsBroken() {
		return false
	}
	_, ok := asks(r, p)
	return ok
}

// asks returns what a path's finding means for a firewall's people, and false if it
// is no business of theirs.
func asks(r *result.Report, p *result.Path) (row, bool) {
	kind, ok := rows[p.Finding.Code]
	if !ok || p.Finding.IsOwn() {
		return row{}, false
	}
	a := p.Acceptor
	switch code := p.Finding.Code; {
	case a != nil && a.Port == result.PortUnbound && !r.Mode.IsReal():
		return row{}, false // the two ends do not mean the same ports
	case isBusy(r, p) && (p.Verdict == result.Reset || p.Verdict == result.Stalled || p.Verdict == result.Silent):
		return row{}, false // other software has the port, and does not speak our language
	case code == result.CodeRejected && p.Transport == plan.UDP && !isFromKnown(p) && (a == nil || a.Port != result.PortBound):
		return row{}, false // the machine itself says so of a port on which nothing listens, too
	case code == result.CodeResetUnknown, code == result.CodeStalledUnknown:
		return kind, a != nil && a.Port == result.PortBound // else nobody knows that listen had the port
	case r.Interrupted && p.Verdict == result.Silent:
		return row{}, false // nobody was asked whether it arrived
	}
	return kind, true
}

// isBusy reports whether other software has the port that was dialed.
func isBusy(r *result.Report, p *result.Path) bool {
	if a := p.Acceptor; a != nil {
		return a.Port == result.PortBusy
	}
	return r.Contact != nil && p.Direction == plan.Forward && slices.ContainsFunc(r.Contact.Busy, func(b result.BusyPort) bool {
		return b.Port == p.Port && b.Transport == p.Transport
	})
}

// isFromKnown reports whether it is known who sent the ICMP error.
func isFromKnown(p *result.Path) bool {
	return p.Initiator != nil && p.Initiator.ICMP != nil && p.Initiator.ICMP.From.IsValid()
}

// first is what to make sure of before a request is sent; "": nothing.
func first(r *result.Report, p *result.Path) string {
	if p.AddressAssumed {
		return fmt.Sprintf("See to it that partners dial %s: this end's connections come from it, and if partners dial another address, that one was not tested, and nothing is to be asked for this one.", p.Target.Addr())
	}
	at := p.Target.Addr().String()
	if h := hostOf(r, p); h != "" && h != at {
		at = fmt.Sprintf("%s (%s)", h, at)
	}
	switch p.Finding.Code {
	case result.CodeSilent:
		if r.Mode.IsReal() {
			return fmt.Sprintf("See to it that %s is switched on and that the service runs there: silence looks the same without them.", at)
		}
		if r.Contact == nil && !proved(r) {
			return fmt.Sprintf("See to it that listen ran on %s at that time: nothing there proved itself in this run, and silence looks the same without it.", at)
		}
		return fmt.Sprintf("See to it that %s is switched on, and look at its own firewall too: whether it arrived there is not known.", at)
	case result.CodeRejected, result.CodeRejectedByHost:
		if i := p.Initiator; i != nil && i.ICMP != nil && i.ICMP.IsRouting() {
			return fmt.Sprintf("See to it that %s is the right address and that the machine is switched on: the error says that there is no way to it, not that it is forbidden.", at)
		}
	case result.CodeReset, result.CodeStalled, result.CodeTLSIntercepted:
		return fmt.Sprintf("Ask whoever runs %s, if you can, whether the connection arrived there: the far end itself may do this.", at)
	}
	return ""
}

func proved(r *result.Report) bool {
	return slices.ContainsFunc(r.Paths, func(p result.Path) bool { return p.Proof == result.ProofKeyed })
}

// hostOf is the name of the far end of a path.
func hostOf(r *result.Report, p *result.Path) string {
	if p.Host != "" {
		return p.Host
	}
	return r.To.Host
}

// A seen is an address at one end: its own, and as the other side has to do with it.
type seen struct {
	Own, Seen netip.Addr
	Temporary bool // its own is one that lasts for a day
}

// addresses are those of the two ends of a path; invalid where not known.
func addresses(r *result.Report, p *result.Path) (from, to seen) {
	from.Temporary, to.Temporary = p.SourceTemporary, p.TargetTemporary
	from.Own, to.Seen = p.Source.Addr().WithZone(""), p.Target.Addr().WithZone("")
	if !from.Own.IsValid() {
		from.Own = only(sourceEnd(r, p).Addresses, p.Family)
	}
	from.Seen, to.Own = from.Own, to.Seen
	switch {
	case p.SeenAs.IsValid():
		from.Seen = p.SeenAs.Addr().WithZone("")
	case p.OthersSeenAs.IsValid():
		from.Seen = p.OthersSeenAs.Addr
	}
	switch {
	case p.OthersOrigin.IsValid():
		to.Own = p.OthersOrigin.Addr
	case p.Acceptor != nil && p.Acceptor.Local.IsValid() && p.Acceptor.Saw == result.SawAccepted && to.Seen.IsValid() && result.FamilyOf(p.Acceptor.Local.Addr()) == result.FamilyOf(to.Seen):
		to.Own = p.Acceptor.Local.Addr().WithZone("")
	}
	return from, to
}

// sourceEnd is the end that opens a path's connection.
func sourceEnd(r *result.Report, p *result.Path) result.End {
	if p.Direction == plan.Reverse {
		return r.To
	}
	return r.From
}

// only is the one address of a family; invalid if there are several or none.
func only(list result.Addrs, f result.Family) netip.Addr {
	var found netip.Addr
	for _, a := range list {
		if a.IsLoopback() || a.IsLinkLocalUnicast() || result.FamilyOf(a) != f {
			continue
		}
		if found.IsValid() {
			return netip.Addr{}
		}
		found = a
	}
	return found
}

// add adds a machine to an end, as itself or as its subnet.
func (e *End) add(a seen, s Subnets) {
	translated := a.Own != a.Seen
	e.Temporary = e.Temporary || a.Temporary
	if a.Temporary && s.bits6 == 0 {
		s.bits6 = bits6 // the address of today opens nothing tomorrow
	}
	e.Own = addOnce(e.Own, s.of(a.Own, false))
	e.Seen = addOnce(e.Seen, s.of(a.Seen, translated))
}

// cause adds what was found on a path.
func (q *Request) cause(p *result.Path) {
	i := slices.IndexFunc(q.Causes, func(c Cause) bool { return c.Code == p.Finding.Code })
	if i < 0 {
		i = len(q.Causes)
		q.Causes = append(q.Causes, Cause{Code: p.Finding.Code, Verdict: p.Verdict, Text: p.Finding.Text})
	}
	q.Causes[i].Flows = addOnce(q.Causes[i].Flows, p.Flow)
	q.Causes[i].Paths++
}

// sides are the request as each party's firewall sees it.
func (q *Request) sides() (ours, theirs Side) {
	out := Side{From: q.From.Own, To: q.To.Seen}
	in := Side{Inbound: true, From: q.From.Seen, To: q.To.Seen}
	if q.To.IsTranslated() {
		in.Behind = q.To.Own
	}
	if q.Direction == plan.Reverse {
		return in, out
	}
	return out, in
}

// leave notes a path that is not ok and leads to no request.
func (c *collector) leave(p *result.Path) {
	f := p.Finding
	i := slices.IndexFunc(c.list.Left, func(l Left) bool { return l.Code == f.Code && l.Advice == f.Advice })
	if i < 0 {
		i = len(c.list.Left)
		c.list.Left = append(c.list.Left, Left{Code: f.Code, Verdict: p.Verdict, Text: f.Text, Advice: f.Advice})
	}
	c.list.Left[i].Flows = addOnce(c.list.Left[i].Flows, p.Flow)
}

func addOnce[E comparable](s []E, e E) []E {
	if slices.Contains(s, e) {
		return s
	}
	return append(s, e)
}

func samePrefixes(a, b []netip.Prefix) bool { return slices.Equal(a, b) }
