package listener

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/service"
	"dialtone/internal/sock"
)

const (
	// greetAfter is how long a service that speaks first leaves the word to the
	// keyed proof (the proof is sent at once).
	greetAfter = 250 * time.Millisecond
	// browserTime is how long after a keyed proof over TCP an address gets an
	// answer of SQL Browser's: unkeyed UDP must not answer whoever forges an address.
	browserTime = 10 * time.Minute
	// maxProvedAddrs bounds the addresses that are remembered for it.
	maxProvedAddrs = 4096
	// ftpData is the source port of FTP's active data connections (RFC 959 section 5.2).
	ftpData = 20
)

// An ending is what a connection amounted to.
type ending struct {
	kind    echo.Kind
	foreign int // bytes of a stranger's that were read first
	visit   service.Visit
}

// converse has the conversation of a port's service with who does not begin with
// a proof, and tells the proof, or a header of the PROXY protocol, from it wherever it
// comes. Of what a stranger
// says it gives no byte on: a password may be among the first.
func (l *Listener) converse(ctx context.Context, conn net.Conn, e *entry, p plan.Protocol) ending {
	silent := ending{kind: echo.KindSilent, visit: service.Visit{Service: p.Language().Title, Words: "connected and sent nothing"}}
	answer := func(conn net.Conn) (ending, []byte) {
		kind, first := l.answerer.Answer(ctx, conn)
		if hasProxyHeader(first) {
			return tellProxyHeader(conn, p.Language().Title, first), nil
		}
		l.arrivals.opened(e, first)
		t := ending{kind: kind, foreign: len(first), visit: service.Visit{Service: p.Language().Title}}
		switch {
		case kind == echo.KindSilent:
			t = silent
		case kind == echo.KindForeign && len(first) > 0: // else it was told when it came
			t.visit.Words = "something that is not dial came, and got no answer"
		}
		return t, first
	}
	if !l.mayConverse(e.Remote.Addr()) {
		t, _ := answer(conn)
		return t
	}
	if !service.Knows(p, plan.TCP) {
		t, first := answer(conn)
		if t.kind == echo.KindForeign && l.Web != nil && service.IsHTTP(first) { // a browser reaches such a port, too
			t = l.receive(ctx, after(first, conn), e, service.Web)
			t.foreign = len(first)
		}
		return t
	}
	said := conn
	if p.Language().Greets {
		first, err := firstBytes(ctx, conn, greetAfter)
		switch {
		case err == nil:
			said = after(first, conn)
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
			late := &lateProof{Conn: conn}
			t := l.receive(ctx, late, e, p)
			switch t.foreign = late.foreign; {
			case late.first != nil:
				t, _ = answer(after(late.first, conn))
			case late.foreign == 0:
				t.visit.Words = "connected, was greeted and sent nothing"
			}
			return t
		default:
			return silent
		}
	}
	t, first := answer(said)
	if t.kind != echo.KindForeign || len(first) == 0 {
		return t
	}
	if p.Language().Greets && l.Web != nil && service.IsHTTP(first) { // a browser, which spoke before the greeting
		p = service.Web
	}
	t = l.receive(ctx, after(first, conn), e, p)
	t.foreign = len(first)
	return t
}

// receive lets a service answer.
func (l *Listener) receive(ctx context.Context, conn net.Conn, e *entry, p plan.Protocol) ending {
	a := l.services
	kind := echo.KindForeign
	a.Answer = func(token []byte) ([]byte, bool) {
		key, probe, ok := l.tokenOf(token)
		switch {
		case ok:
		case p.Language().Crowded:
			return nil, false // their own clients send as much there, and guess nothing
		default:
			l.event(Event{Kind: echo.KindWrongKey, Peer: echo.Peer{Remote: e.Remote, Local: e.Local, Transport: e.Transport}, Detail: "in the service's own language"})
			return nil, false
		}
		kind = echo.KindService
		l.arrivals.conversed(e, probe)
		l.event(Event{Kind: kind, Peer: echo.Peer{Remote: e.Remote, Local: e.Local, Transport: e.Transport, Probe: probe, Flow: string(p)}})
		return key.TokenAnswer(probe), true
	}
	a.Arrived = func(token [16]byte) { l.arrivals.conversed(e, token) }
	a.ListenData = func(ctx context.Context, on netip.Addr) (net.Listener, error) {
		return l.listenData(ctx, on, e.Remote.Addr())
	}
	visit, _ := a.Receive(ctx, conn, p) // how it ended is in the kind and the words
	return ending{kind: kind, visit: visit}
}

// tokenOf returns the key that made a token, and its probe; false: none of ours.
func (l *Listener) tokenOf(token []byte) (echo.Key, echo.ID, bool) {
	for _, k := range l.answerer.Keys() {
		if probe, ok := k.TokenProbe(token); ok {
			return k, probe, true
		}
	}
	return echo.Key{}, echo.ID{}, false
}

// mayConverse reports whether an address gets more than what --allow leaves it.
func (l *Listener) mayConverse(a netip.Addr) bool {
	return l.answerer.Allowed == nil || l.answerer.Allowed(a)
}

// newServices makes what the services answer with.
func (l *Listener) newServices() service.Answerer {
	return service.Answerer{
		Software: "Dialtone", Certificate: l.certificate,
		DialData: l.dialData, Lines: l.Lines, Downloads: l.Downloads, Future: l.Future, Web: l.Web,
	}
}

// sqlInstances are what SQL Browser tells of: each bound port of what it knows.
// The first has the name of SQL Server's default instance.
func sqlInstances(bound []Bound) []service.Instance {
	var out []service.Instance
	for _, b := range bound {
		port := int(b.Addr.Port())
		known := slices.ContainsFunc(out, func(i service.Instance) bool { return i.Port == port })
		if known || !(plan.Binding{Rows: b.Rows}).Speaks().Language().Instances {
			continue
		}
		name := "MSSQLSERVER"
		if len(out) > 0 {
			name = fmt.Sprintf("PORT%d", port)
		}
		out = append(out, service.Instance{Name: name, Port: port})
	}
	return out
}

// newCertificate makes a certificate that says nothing of this machine: every
// stranger is shown it. It is as good as the fingerprint that goes over the keyed
// conversation.
func newCertificate() (tls.Certificate, []byte) {
	c, fingerprint, err := service.NewCertificate(nil, nil)
	if err != nil {
		panic("listener: make a certificate from the system's random numbers: " + err.Error())
	}
	return c, fingerprint
}

// maxData bounds the data connections of FTP that are open or wait to be opened,
// and their ports: each is a descriptor beside its session's own, and of those
// that are kept from connections. The oldest make room for new ones.
const maxData = 64

// errNoData says that there are as many data connections as there may be.
var errNoData = errors.New("too many data connections are open")

// dialData opens FTP's active data connection, from the source port that the
// plan's row for it has.
func (l *Listener) dialData(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	p, _ := l.data.take(to.Addr(), cancel)
	if p == nil {
		cancel()
		return nil, errNoData
	}
	from := ftpData
	for _, r := range l.Plan.Rows {
		if r.PlanSourcePort == ftpData {
			from = r.SourcePort
		}
	}
	d := sock.Dial(ctx, "tcp", netip.AddrPortFrom(l.boundAddr(to.Addr()), uint16(from)), to)
	if d.Err != nil && sock.IsSourcePort(d.Err) {
		d = sock.Dial(ctx, "tcp", netip.AddrPortFrom(l.boundAddr(to.Addr()), 0), to)
	}
	if d.Err != nil {
		cancel()
		p.release()
		return nil, d.Err
	}
	stop := context.AfterFunc(ctx, func() { d.Conn.Close() })
	return dataConn{d.Conn, func() { stop(); cancel(); p.release() }}, nil
}

// dataConn gives its place up once it is closed.
type dataConn struct {
	net.Conn
	release func()
}

func (c dataConn) Close() error {
	c.release()
	return c.Conn.Close()
}

// listenData opens a port for FTP's passive data connection with peer.
func (l *Listener) listenData(ctx context.Context, on, peer netip.Addr) (net.Listener, error) {
	// Its closing has to wait for nothing: the port that makes room is closed first.
	opened := make(chan net.Listener, 1)
	p, _ := l.data.take(peer, func() {
		if at := <-opened; at != nil {
			at.Close()
		}
	})
	if p == nil {
		return nil, errNoData
	}
	at, err := sock.ListenTCP(ctx, netip.AddrPortFrom(on.Unmap(), 0), false)
	opened <- at
	if err != nil {
		p.release()
		return nil, err
	}
	return dataPort{at, p.release}, nil
}

// dataPort gives its place up once it is closed.
type dataPort struct {
	net.Listener
	release func()
}

func (p dataPort) Close() error {
	p.release()
	return p.Listener.Close()
}

// boundAddr is the local address to dial from towards one of a family, invalid
// if it is the system's choice.
func (l *Listener) boundAddr(to netip.Addr) netip.Addr {
	for _, a := range l.Addrs {
		if a.Is4() == to.Unmap().Is4() {
			return a
		}
	}
	return netip.Addr{}
}

// firstBytes returns what comes within d, up to the length of a STUN header.
func firstBytes(ctx context.Context, conn net.Conn, d time.Duration) ([]byte, error) {
	_ = conn.SetReadDeadline(time.Now().Add(d))
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	b := make([]byte, 20)
	n, err := conn.Read(b)
	if n > 0 {
		return b[:n], nil
	}
	return nil, err
}

// after is conn with bytes that were read from it already before it.
func after(first []byte, conn net.Conn) net.Conn {
	return &prefixed{Conn: conn, r: io.MultiReader(bytes.NewReader(first), conn)}
}

type prefixed struct {
	net.Conn
	r io.Reader
}

func (p *prefixed) Read(b []byte) (int, error) { return p.r.Read(b) }

// SyscallConn lets the system be asked about the connection.
func (p *prefixed) SyscallConn() (syscall.RawConn, error) { return rawConn(p.Conn) }

// CloseWrite half-closes the connection, as an HTTP server does after a request
// that it refuses.
func (p *prefixed) CloseWrite() error {
	if c, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

func rawConn(c net.Conn) (syscall.RawConn, error) {
	if sc, ok := c.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// cookieEnd is how many bytes it takes to know a STUN message (RFC 8489 section 5).
const cookieEnd = 8

// errNotService ends a service's conversation with who does not speak it.
var errNotService = errors.New("a STUN message, or a header of the PROXY protocol")

// lateProof looks for a STUN message, or a header of the PROXY protocol, in the first
// bytes that a service reads, and hides it from the service.
type lateProof struct {
	net.Conn
	foreign int // bytes that were read first
	kept    []byte
	first   []byte // how it began, if it was one
}

func (c *lateProof) Read(b []byte) (int, error) {
	if c.first != nil {
		return 0, errNotService
	}
	if c.foreign > 0 {
		if len(c.kept) > 0 {
			n := copy(b, c.kept)
			c.kept = c.kept[n:]
			return n, nil
		}
		return c.Conn.Read(b)
	}
	// As many bytes as it takes to know: a device may cut them up.
	first := make([]byte, 0, max(len(b), cookieEnd, headerEnd))
	for {
		n, err := c.Conn.Read(first[len(first):cap(first)])
		first = first[:len(first)+n]
		switch {
		case len(first) >= cookieEnd && echo.Looks(first), hasProxyHeader(first):
			c.first = first
			return 0, errNotService
		case len(first) > 0 && (err != nil || !echo.Looks(first)):
			c.foreign = len(first)
			n = copy(b, first)
			c.kept = first[n:]
			return n, nil
		case err != nil:
			return 0, err
		}
	}
}

// provedAddrs remembers which addresses proved themselves over TCP of late, and
// how much may still be sent to each for it: a datagram's source can be forged,
// and an address that once proved itself must not be flooded with answers that
// others ask for. Its zero value is ready for use.
type provedAddrs struct {
	mu sync.Mutex
	at map[netip.Addr]provedAddr
}

type provedAddr struct {
	last   time.Time
	credit int // bytes
}

const (
	// proofCredit is what one proof gives: about what that connection's own
	// packets had, handshake and headers included.
	proofCredit = 512
	// maxCredit is for some dozens of a real client's requests.
	maxCredit = 16 << 10
)

func (p *provedAddrs) add(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == nil || len(p.at) >= maxProvedAddrs {
		p.at = map[netip.Addr]provedAddr{} // whoever is forgotten proves itself again
	}
	one := p.at[a]
	if time.Since(one.last) >= browserTime {
		one.credit = 0
	}
	p.at[a] = provedAddr{time.Now(), min(one.credit+proofCredit, maxCredit)}
}

func (p *provedAddrs) has(a netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, ok := p.at[a]
	return ok && time.Since(one.last) < browserTime
}

// spend takes so many bytes off what may be sent to an address; false: there is
// not so much left.
func (p *provedAddrs) spend(a netip.Addr, n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, ok := p.at[a]
	if !ok || time.Since(one.last) >= browserTime || one.credit < n {
		return false
	}
	one.credit -= n
	p.at[a] = one
	return true
}
