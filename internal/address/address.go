// Package address finds out as which addresses others see this machine, and
// whether those lead back to it: by STUN servers (RFC 8489, RFC 5780), or by a
// partner's listener, whose answers are proved.
//
// Run asks and records, and never judges. Conclude is a pure function from what
// was recorded to what it means.
package address

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// A Config is what one run asks, and whom.
type Config struct {
	Software string // name and version of this program
	Hostname string // of this machine
	Servers  []Server
	Host     string // where a listener with Key runs; "": nowhere
	Key      echo.Key
	Plan     *plan.Plan
	Shift    int
	// Published are names and addresses that partners are told.
	Published []string
	Bind      sock.Bind     // to ask from
	Timeout   time.Duration // of each question
}

const (
	// MaxServers bounds the STUN servers of one run.
	MaxServers = 8
	// again is how often each question is repeated from another local port, to
	// find out whether successive connections look alike.
	again = 3
	// maxPorts is how many ports of a listener are tried.
	maxPorts = 6
)

// A run is the state of one run.
type run struct {
	Config
	id echo.ID

	mu       sync.Mutex
	views    []result.View
	contacts map[result.Family]contact
	resolved map[string][]netip.Addr
	ports    map[netip.Addr]uint16       // local address → the TCP port to ask from
	sockets  map[netip.Addr]*net.UDPConn // local address → the UDP socket to ask from
	conns    []net.Conn                  // kept open, so that the mappings are
}

// A question is one observer at one address.
type question struct {
	observer  string
	keyed     bool
	flow      string // row of the plan, of a keyed one
	transport plan.Transport
	target    netip.AddrPort
	test      result.ViewTest
}

func (q question) family() result.Family { return result.FamilyOf(q.target.Addr()) }

// view begins the record of a question.
func (q question) view() result.View {
	return result.View{
		Observer: q.observer, Keyed: q.keyed, Test: q.test, Transport: q.transport,
		Family: q.family(), Target: result.EndpointFrom(q.target),
	}
}

// Run asks everybody and returns what they said. The number of packets is
// bounded: see the constants. When ctx ends the report holds what is known by
// then.
func Run(ctx context.Context, c Config) *result.AddressReport {
	started := time.Now()
	r := &run{
		Config: c, id: echo.NewID(), contacts: map[result.Family]contact{}, resolved: map[string][]netip.Addr{},
		ports: map[netip.Addr]uint16{}, sockets: map[netip.Addr]*net.UDPConn{},
	}
	defer r.close()
	out := &result.AddressReport{
		Schema: result.AddressSchema, Tool: c.Software, Started: result.TimeOf(started), Host: c.Hostname,
	}
	out.Published = r.resolveAll(ctx)
	r.askAll(ctx, r.first())
	r.askAll(ctx, r.furtherPorts())
	r.askAll(ctx, r.alternates())
	for range again {
		r.askAll(ctx, r.repeats())
	}
	if row, ok := odysseyRow(c.Plan); ok {
		out.Port = row.Port
		out.Inbound = r.inbound(ctx, row, out.Published)
	}
	out.Own = ownAddrs(c.Bind)
	out.Views = r.views
	out.Interrupted = ctx.Err() != nil
	out.AddressConclusion = Conclude(out.AddressEvidence)
	out.ElapsedMS = time.Since(started).Milliseconds()
	return out
}

// ownAddrs lists the addresses of this machine that a run may have asked from.
func ownAddrs(bind []netip.Addr) []string {
	addrs := bind
	if len(addrs) == 0 {
		addrs, _ = sock.LocalAddrs() // none is not known
	}
	var out []string
	for _, a := range addrs {
		if !a.IsLoopback() || len(bind) > 0 {
			out = append(out, a.String())
		}
	}
	return out
}

// first are the questions to everybody.
func (r *run) first() []question {
	var out []question
	for _, s := range r.Servers {
		for _, a := range r.resolved[s.Host] {
			for _, t := range s.Transports {
				out = append(out, question{observer: s.Name, transport: t, target: netip.AddrPortFrom(a, uint16(s.Port)), test: result.TestFirst})
			}
		}
	}
	rows := listenerRows(r.Plan)
	for _, a := range r.resolved[r.Host] {
		for _, t := range []plan.Transport{plan.TCP, plan.UDP} {
			if i := slices.IndexFunc(rows, func(w plan.Row) bool { return w.Transport == t }); i >= 0 && r.Host != "" {
				out = append(out, r.toListener(rows[i], a))
			}
		}
	}
	return out
}

func (r *run) toListener(row plan.Row, a netip.Addr) question {
	return question{
		observer: r.Host, keyed: true, flow: row.ID, transport: row.Transport,
		target: netip.AddrPortFrom(a, uint16(row.Port)), test: result.TestFirst,
	}
}

// furtherPorts are the listener's other ports: where the first one failed, to
// reach it at all; where it did not, to see whether the mapping depends on the
// port.
func (r *run) furtherPorts() []question {
	var out []question
	rows := listenerRows(r.Plan)
	for _, a := range r.resolved[r.Host] {
		if r.Host == "" {
			break
		}
		n := 0
		for _, row := range rows {
			q := r.toListener(row, a)
			if row.Transport == plan.TCP && n < maxPorts && !r.asked(q) {
				n++
				if _, ok := r.contacts[q.family()]; ok {
					q.test = result.TestAlternate
					n = maxPorts // one is enough
				}
				out = append(out, q)
			}
		}
	}
	return out
}

func (r *run) asked(q question) bool {
	return slices.ContainsFunc(r.views, func(v result.View) bool {
		return v.Transport == q.transport && v.Target.AddrPort == q.target
	})
}

// alternates are the tests II and III of RFC 5780 section 4.3, with the first
// server of each transport and family that offers another address.
func (r *run) alternates() []question {
	type key struct {
		transport plan.Transport
		family    result.Family
	}
	done := map[key]bool{}
	var out []question
	for _, v := range r.views {
		k := key{v.Transport, v.Family}
		if v.Keyed || v.Outcome != result.ViewAnswered || done[k] || !isAlternate(v.Target.AddrPort, v.Other.AddrPort) {
			continue
		}
		done[k] = true
		for _, port := range []uint16{v.Target.Port(), v.Other.Port()} {
			out = append(out, question{
				observer: v.Observer, transport: v.Transport, test: result.TestAlternate,
				target: netip.AddrPortFrom(v.Other.Addr(), port),
			})
		}
	}
	return out
}

// isAlternate reports whether a server's other address is one to ask: another
// address and port, and of the same kind, so that nobody outside can have this
// machine knock at doors of its own network.
func isAlternate(target, other netip.AddrPort) bool {
	t, o := target.Addr(), other.Addr()
	return o.IsValid() && other.Port() != 0 && o != t && other.Port() != target.Port() && o.Is4() == t.Is4() &&
		!o.IsUnspecified() && !o.IsMulticast() && o.IsLoopback() == t.IsLoopback() &&
		isInside(o) == isInside(t) && o.IsLinkLocalUnicast() == t.IsLinkLocalUnicast()
}

// repeats are the questions that were answered, once more.
func (r *run) repeats() []question {
	var out []question
	for _, v := range r.views {
		if v.Test == result.TestFirst && v.Outcome == result.ViewAnswered {
			q := question{observer: v.Observer, keyed: v.Keyed, transport: v.Transport, target: v.Target.AddrPort, test: result.TestAgain}
			if v.Keyed {
				q.flow = r.flowAt(v.Transport, int(v.Target.Port()))
			}
			out = append(out, q)
		}
	}
	return out
}

func (r *run) flowAt(t plan.Transport, port int) string {
	for _, row := range listenerRows(r.Plan) {
		if row.Transport == t && row.Port == port {
			return row.ID
		}
	}
	return ""
}

// odysseyService is the service whose address partners are told.
const odysseyService = "odyssey"

// odysseyRow is the row by which partners reach this machine; ok is false if the
// plan has none.
func odysseyRow(p *plan.Plan) (row plan.Row, ok bool) {
	for _, w := range p.Rows {
		if w.Service != odysseyService || w.Transport != plan.TCP {
			continue
		}
		if slices.Contains(w.From, plan.RolePeer) {
			return w, true
		}
		if !ok {
			row, ok = w, true
		}
	}
	return row, ok
}

// listenerRows are the rows at which a listener can be asked, one of each
// transport and port: Odyssey's first, since that is the path in question.
func listenerRows(p *plan.Plan) []plan.Row {
	type key struct {
		transport plan.Transport
		port      int
	}
	seen := map[key]bool{}
	var first, rest []plan.Row
	for _, w := range p.Rows {
		k := key{w.Transport, w.Port}
		if w.Port == 0 || w.SourcePort != 0 || seen[k] {
			continue
		}
		seen[k] = true
		switch {
		case w.Service == odysseyService:
			first = append(first, w)
		default:
			rest = append(rest, w)
		}
	}
	// Between institutions little else than what they share is let through.
	slices.SortStableFunc(rest, func(a, b plan.Row) int { return shared(b) - shared(a) })
	return append(first, rest...)
}

// shared is 1 for a row between two institutions.
func shared(w plan.Row) int {
	if w.To == plan.RolePeer || slices.Contains(w.From, plan.RolePeer) {
		return 1
	}
	return 0
}
