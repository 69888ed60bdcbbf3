package address

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// askAll puts questions, all at once, and records the answers in their order.
// Those of one transport and local address share a local port, unless they are
// repeats.
func (r *run) askAll(ctx context.Context, qs []question) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	if ctx.Err() != nil {
		return
	}
	views := make([]result.View, len(qs))
	var all sync.WaitGroup
	shared := map[netip.Addr][]int{} // questions by datagrams, by local address
	for i, q := range qs {
		views[i] = q.view()
		source, err := r.sourceFor(q.target)
		switch {
		case err != nil:
			failed(&views[i], err)
		case q.transport == plan.TCP && q.test == result.TestAgain:
			all.Go(func() { r.askStream(ctx, q, netip.AddrPortFrom(source, 0), &views[i]) })
		case q.transport == plan.TCP:
			port := r.localPort(ctx, source)
			all.Go(func() { r.askStream(ctx, q, netip.AddrPortFrom(source, port), &views[i]) })
		case q.test == result.TestAgain:
			all.Go(func() { r.askPacketAgain(ctx, q, source, &views[i]) })
		default:
			shared[source] = append(shared[source], i)
		}
	}
	for source, is := range shared {
		all.Go(func() { r.askPackets(ctx, source, qs, is, views) })
	}
	all.Wait()
	r.views = append(r.views, views...)
}

func (r *run) sourceFor(target netip.AddrPort) (netip.Addr, error) {
	if a := r.Bind.For(result.FamilyOf(target.Addr())); a.IsValid() {
		return a, nil
	}
	return sock.SourceFor(target)
}

// localPort returns the port from which a local address asks everybody over
// TCP; 0 if none could be found.
func (r *run) localPort(ctx context.Context, source netip.Addr) uint16 {
	if port, ok := r.ports[source]; ok {
		return port
	}
	l, err := sock.ListenTCP(ctx, netip.AddrPortFrom(source, 0), false)
	if err != nil {
		return 0
	}
	r.ports[source] = sock.AddrPortOf(l.Addr()).Port()
	_ = l.Close()
	return r.ports[source]
}

// askStream asks over TCP. The connection stays open, so that the mapping does.
func (r *run) askStream(ctx context.Context, q question, source netip.AddrPort, v *result.View) {
	v.Attempts = 1
	d := sock.Dial(ctx, "tcp", source, q.target)
	if d.Err != nil && source.Port() != 0 && sock.IsSourcePort(d.Err) {
		// Not every system lends one port to two connections: the address is
		// worth knowing all the same.
		d = sock.Dial(ctx, "tcp", netip.AddrPortFrom(source.Addr(), 0), q.target)
	}
	if d.Source.IsValid() && d.Source.Port() != 0 {
		v.Source = result.EndpointFrom(d.Source)
	}
	if d.Err != nil {
		failed(v, d.Err)
		rejected(v, d.ICMP)
		return
	}
	r.keep(d.Conn)
	v.Own = r.isOwn(ctx, q.target.Addr(), echo.Proof{})
	if !q.keyed {
		m, err := echo.Map(ctx, d.Conn)
		if err != nil {
			unanswered(v, err)
			return
		}
		answered(v, m)
		return
	}
	c, err := echo.Prove(ctx, d.Conn, r.ask(q))
	if err != nil {
		unanswered(v, err)
		return
	}
	proved(v, c.Proof)
	v.Own = r.isOwn(ctx, q.target.Addr(), c.Proof)
	if q.test != result.TestAgain && !v.Own {
		r.offer(contact{q, d.Source.Addr(), c.Version})
	}
}

func (r *run) ask(q question) echo.Ask {
	return echo.Ask{Key: r.Key, Run: r.id, Probe: echo.NewID(), Flow: q.flow}
}

// askPackets asks over UDP from the one socket of a local address: the servers
// at once, then the listeners, which take requests of their own kind.
func (r *run) askPackets(ctx context.Context, source netip.Addr, qs []question, is []int, views []result.View) {
	conn, err := r.socket(ctx, source)
	if err != nil {
		for _, i := range is {
			failed(&views[i], err)
		}
		return
	}
	var plain []int
	var targets []netip.AddrPort
	for _, i := range is {
		views[i].Source = result.EndpointFrom(sock.AddrPortOf(conn.LocalAddr()))
		if !qs[i].keyed {
			plain, targets = append(plain, i), append(targets, qs[i].target)
		}
	}
	for n, m := range echo.MapPackets(ctx, conn, targets) {
		r.mapped(ctx, source, &views[plain[n]], m)
	}
	for _, i := range is {
		if qs[i].keyed {
			r.provePacket(ctx, conn, qs[i], &views[i])
		}
	}
}

// askPacketAgain asks over UDP from a socket of its own.
func (r *run) askPacketAgain(ctx context.Context, q question, source netip.Addr, v *result.View) {
	conn, err := sock.ListenUDP(ctx, netip.AddrPortFrom(source, 0))
	if err != nil {
		failed(v, err)
		return
	}
	defer conn.Close()
	v.Source = result.EndpointFrom(sock.AddrPortOf(conn.LocalAddr()))
	if q.keyed {
		r.provePacket(ctx, conn, q, v)
		return
	}
	r.mapped(ctx, source, v, echo.MapPackets(ctx, conn, []netip.AddrPort{q.target})[0])
}

// mapped records what came of asking a server by datagrams.
func (r *run) mapped(ctx context.Context, source netip.Addr, v *result.View, m echo.MappedPacket) {
	v.Attempts = m.Attempts
	v.Own = r.isOwn(ctx, v.Target.Addr(), echo.Proof{})
	if m.Err == nil {
		answered(v, m.Mapped)
		return
	}
	unanswered(v, m.Err)
	if v.Outcome == result.ViewSilent {
		explainSilence(ctx, source, v)
	}
}

// icmpWait is how long an ICMP error may take.
const icmpWait = 300 * time.Millisecond

// explainSilence looks for the ICMP error that an unconnected socket is not
// told of.
func explainSilence(ctx context.Context, source netip.Addr, v *result.View) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), icmpWait) // the question took all its time
	defer cancel()
	d := sock.Dial(ctx, "udp", netip.AddrPortFrom(source, 0), v.Target.AddrPort)
	if d.Err != nil {
		return
	}
	defer d.Conn.Close()
	_ = d.Conn.SetDeadline(time.Now().Add(icmpWait))
	_, _ = d.Conn.Write(nil) // an empty datagram is turned away as well as any
	_, err := d.Conn.Read(make([]byte, 1))
	if icmp := sock.ICMPOf(d.Conn); icmp != nil {
		rejected(v, icmp)
	} else if sock.Classify(err) == result.ConnectRST {
		v.Outcome = result.ViewRefused
	}
}

// provePacket asks a listener over UDP, through a socket that is not connected.
func (r *run) provePacket(ctx context.Context, conn *net.UDPConn, q question, v *result.View) {
	p, _, _, attempts, err := echo.ProvePacket(ctx, towards{conn, q.target}, r.ask(q), echo.SmallPacket)
	v.Attempts = attempts
	if err != nil {
		unanswered(v, err)
		return
	}
	proved(v, p)
	v.Own = r.isOwn(ctx, q.target.Addr(), p)
}

// towards is an unconnected socket that speaks to one address only.
type towards struct {
	*net.UDPConn
	to netip.AddrPort
}

// Write sends to the one address.
func (c towards) Write(b []byte) (int, error) { return c.WriteToUDPAddrPort(b, c.to) }

// Read skips what comes from elsewhere.
func (c towards) Read(b []byte) (int, error) {
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil || netip.AddrPortFrom(from.Addr().Unmap(), from.Port()) == c.to {
			return n, err
		}
	}
}

// socket returns the one UDP socket of a local address.
func (r *run) socket(ctx context.Context, source netip.Addr) (*net.UDPConn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.sockets[source]; ok {
		return c, nil
	}
	c, err := sock.ListenUDP(ctx, netip.AddrPortFrom(source, 0))
	if err == nil {
		r.sockets[source] = c
	}
	return c, err
}

// keep holds a connection until the run is over.
func (r *run) keep(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = append(r.conns, c)
}

func (r *run) close() {
	for _, c := range r.conns {
		_ = c.Close()
	}
	for _, c := range r.sockets {
		_ = c.Close()
	}
}

func answered(v *result.View, m echo.Mapped) {
	v.Outcome, v.SeenAs = result.ViewAnswered, result.EndpointFrom(m.SeenAs)
	v.Origin, v.Other, v.Software = result.EndpointFrom(m.Origin), result.EndpointFrom(m.Other), m.Software
	if m.RTT > 0 {
		ms := result.Milliseconds(m.RTT)
		v.RTTMS = &ms
	}
	if !isPlausible(m.SeenAs, v.Source.Addr()) {
		v.Outcome = result.ViewImplausible
	}
}

func proved(v *result.View, p echo.Proof) {
	answered(v, echo.Mapped{SeenAs: p.SeenAs, Origin: p.Origin, Software: p.Software, RTT: p.RTT})
}

// isPlausible reports whether an address and port can be those from which a
// packet of source's came.
func isPlausible(seen netip.AddrPort, source netip.Addr) bool {
	a := seen.Addr()
	return seen.Port() != 0 && !a.IsUnspecified() && !a.IsMulticast() && a.Zone() == "" &&
		a.IsLoopback() == source.IsLoopback() && (!a.IsLinkLocalUnicast() || source.IsLinkLocalUnicast()) &&
		!(a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240)) // RFC 6890 section 2.2.2
}

// failed records why nothing could be asked.
func failed(v *result.View, err error) {
	v.Error = err.Error()
	switch sock.Classify(err) {
	case result.ConnectTimeout:
		v.Outcome = result.ViewSilent
	case result.ConnectRST:
		v.Outcome = result.ViewRefused
	case result.ConnectNoRoute, result.ConnectDenied:
		v.Outcome = result.ViewUnreachable
	default:
		v.Outcome = result.ViewFailed
	}
}

// rejected records an ICMP error, nil for none.
func rejected(v *result.View, icmp *result.ICMP) {
	if icmp == nil {
		return
	}
	const portUnreachable4, portUnreachable6 = 3, 4 // codes of RFC 792 and RFC 4443 section 3.1
	isPort := !icmp.V6 && icmp.Type == 3 && icmp.Code == portUnreachable4 || icmp.V6 && icmp.Type == 1 && icmp.Code == portUnreachable6
	switch {
	case isPort && icmp.From == v.Target.Addr():
		v.Outcome = result.ViewRefused
	case icmp.Local: // this machine has no way to send it
		v.Outcome = result.ViewUnreachable
	default:
		v.Outcome, v.From = result.ViewRejected, icmp.From.String()
	}
}

// unanswered records what came back instead of an answer.
func unanswered(v *result.View, err error) {
	v.Error = err.Error()
	var foreign *echo.ForeignError
	var elsewhere *echo.ElsewhereError
	var refused *echo.RefusedError
	switch {
	case errors.As(err, &elsewhere):
		v.Outcome, v.From = result.ViewElsewhere, elsewhere.From.String()
	case errors.As(err, &refused):
		v.Outcome, v.Error = result.ViewError, fmt.Sprintf("%d %s", refused.Code, refused.Reason)
	case errors.As(err, &foreign):
		v.Outcome, v.Error = result.ViewNotSTUN, strconv.QuoteToASCII(string(foreign.Data[:min(len(foreign.Data), 60)]))
		if v.Keyed && foreign.Why != "" {
			v.Outcome, v.Error = result.ViewUnkeyed, foreign.Why
		}
	case errors.Is(err, echo.ErrTransaction):
		v.Outcome = result.ViewTransaction
	case errors.Is(err, echo.ErrAltered):
		v.Outcome = result.ViewAltered
	case errors.Is(err, echo.ErrUnmapped):
		v.Outcome = result.ViewUnmapped
	case errors.Is(err, echo.ErrWrongKey):
		v.Outcome = result.ViewWrongKey
	case errors.Is(err, echo.ErrForbidden):
		v.Outcome = result.ViewForbidden
	case sock.IsClosed(err), sock.IsReset(err):
		v.Outcome = result.ViewClosed
	case v.Transport == plan.TCP && sock.Classify(err) == result.ConnectTimeout:
		v.Outcome = result.ViewMute
	default:
		failed(v, err)
	}
}
