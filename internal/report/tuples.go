package report

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dialtone/internal/clean"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A tuple is what one firewall rule is about: a path's 5-tuple, but for a source
// port that the system draws. Rows that share it are one attempt.
type tuple struct {
	direction        plan.Direction
	transport        plan.Transport
	from, to         netip.Addr
	port, sourcePort int
}

// tupleOf is the tuple of a path, the zero value if it has none.
func tupleOf(p *result.Path) tuple {
	if !p.Source.IsValid() || !p.Target.IsValid() || p.Port == 0 {
		return tuple{}
	}
	return tuple{p.Direction, p.Transport, p.Source.Addr(), p.Target.Addr(), p.Port, p.SourcePort}
}

// A bundle is the paths that share one tuple and came to the same: one line for
// whoever reads. Of paths that were not attempted, those to one port.
type bundle []*result.Path

// A place is where paths lead: an address of the far end's, another host, or one of
// this machine's. Its bundles are in the order of the plan.
type place struct {
	direction plan.Direction
	family    result.Family
	host      string // where each path has its own
	address   netip.Addr
	bundles   []bundle
}

// places groups the paths of a report by where they lead, forward ones first, and
// those that lead to one place by tuple.
func places(r *result.Report) []place {
	type where struct {
		reverse bool
		family  result.Family
		host    string
		address netip.Addr
	}
	type key struct {
		tuple
		where   where
		verdict result.Verdict
		ok      bool
		expect  plan.Expect
	}
	var out []place
	known := map[where]int{}
	lines := map[key]int{}
	for _, reverse := range []bool{false, true} {
		for i := range r.Paths {
			p := &r.Paths[i]
			if isReverse(p) != reverse {
				continue
			}
			w := where{reverse: reverse, family: p.Family, host: p.Host, address: leadsTo(r, p)}
			n, ok := known[w]
			if !ok {
				n = len(out)
				known[w] = n
				out = append(out, place{direction: p.Direction, family: p.Family, host: p.Host, address: w.address})
			}
			k := key{tupleOf(p), w, p.Verdict, p.OK, p.Expect}
			if k.tuple == (tuple{}) {
				k.tuple = tuple{direction: p.Direction, transport: p.Transport, port: cmp.Or(p.Port, p.PlanPort), sourcePort: p.SourcePort}
			}
			at, ok := lines[k]
			if !ok {
				at = len(out[n].bundles)
				lines[k] = at
				out[n].bundles = append(out[n].bundles, nil)
			}
			out[n].bundles[at] = append(out[n].bundles[at], p)
		}
	}
	return out
}

// leadsTo is the address that a path leads to: the dialed one, or where none was
// dialed that of the other paths of its direction and family, if they have one in
// common; invalid: none is known.
func leadsTo(r *result.Report, p *result.Path) netip.Addr {
	if p.Target.IsValid() {
		return p.Target.Addr()
	}
	if p.Address.IsValid() {
		return p.Address.Addr
	}
	var found netip.Addr
	for i := range r.Paths {
		o := &r.Paths[i]
		if isReverse(o) != isReverse(p) || o.Family != p.Family || o.Host != p.Host || !o.Target.IsValid() {
			continue
		}
		if found.IsValid() && found != o.Target.Addr() {
			return netip.Addr{}
		}
		found = o.Target.Addr()
	}
	return found
}

// heading says from where to where a place's paths lead.
func (l place) heading(r *result.Report) string {
	var from []string
	for _, b := range l.bundles {
		for _, p := range b {
			if p.Source.IsValid() {
				from = addOnce(from, p.Source.Addr().String())
			}
		}
	}
	here, there := about(r.From, from), hostName(r.To)
	if l.direction == plan.Reverse {
		to := ""
		if l.address.IsValid() && len(familiesOf(r, l.direction)) > 1 {
			to = " (" + l.address.String() + ")"
		}
		return "From " + there + " (" + about(r.To, from) + ") to here" + to
	}
	if l.host != "" {
		there = l.host
	}
	switch f := familyName(l.family); {
	case l.address.IsValid() && l.address.String() != there:
		there += " (" + l.address.String() + ")"
	case !l.address.IsValid() && f != "" && len(familiesOf(r, l.direction)) > 1:
		there += " (" + f + ")"
	}
	return "From here (" + here + ") to " + there
}

// familiesOf are the address families that a direction's paths have.
func familiesOf(r *result.Report, d plan.Direction) []result.Family {
	var out []result.Family
	for i := range r.Paths {
		if p := &r.Paths[i]; isReverse(p) == (d == plan.Reverse) {
			out = addOnce(out, p.Family)
		}
	}
	return out
}

// names are the rows of a bundle by service, those in brackets that do not count
// towards the result: "SQL Server (TDS): sql-client, (sql-web)".
func (b bundle) names() string {
	var services []string
	rows := map[string][]string{}
	for _, p := range b {
		services = addOnce(services, p.Service)
		name := p.Flow
		if !p.Counted {
			name = "(" + name + ")"
		}
		rows[p.Service] = addOnce(rows[p.Service], name)
	}
	for i, s := range services {
		services[i] = strings.TrimPrefix(s+": "+strings.Join(rows[s], ", "), ": ")
	}
	return strings.Join(services, "; ")
}

// mark is the worst of a bundle's: what counts comes before what does not.
func (b bundle) mark() mark {
	for _, m := range []mark{markBroken, markUnknown, markIgnored} {
		if slices.ContainsFunc(b, func(p *result.Path) bool { return markOf(p).word == m.word }) {
			return m
		}
	}
	return markOK
}

// portWords is the port of a bundle, and what of it is not as the plan has it.
func (b bundle) portWords() (number, more string) {
	p := b[0]
	number, more, _ = strings.Cut(clean.Line(port(p), maxCell), " ")
	return number, strings.Trim(more, "()")
}

// words says what a tuple lets through, as a rule does.
func (t tuple) words() string {
	s := fmt.Sprintf("%s from %s to %s port %d", strings.ToUpper(string(t.transport)), t.from, t.to, t.port)
	if t.sourcePort != 0 {
		s += fmt.Sprintf(", from port %d", t.sourcePort)
	}
	return s
}
