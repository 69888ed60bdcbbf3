// Package listener accepts paths: it binds ports, answers the proof on them,
// remembers what reached them and what only half did, and dials back when the
// holder of the key asks. Both programs accept paths with it: listen for
// everybody, dial for the reverse rows of its own run.
package listener

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/service"
	"dialtone/internal/sock"
)

// A Config says what to bind and how to answer.
type Config struct {
	Key echo.Key
	// Instance names this listener; zero: a name of its own making. A program that
	// dials as well gives it the one by which it knows its own answers.
	Instance echo.ID
	// Others are further keys that it accepts, of other partners.
	Others   []echo.Key
	Software string // name and version, told only to holders of the key
	// Plan is the plan as applied to this site. Its rows bound which ports may
	// be dialed back to.
	Plan  *plan.Plan
	Roles []plan.Role // which rows to accept; nil = every row
	Ports []plan.Binding
	Shift int
	// Beside binds none of Ports: it only says which of them other software holds, and
	// bears witness of what comes to it.
	Beside bool
	// ContactPort is a TCP port to be bound beside Ports, for control conversations; 0: none.
	ContactPort int
	// Addrs are the local addresses to bind; none means all, of both families.
	Addrs []netip.Addr
	// Partners are addresses that this end itself knows its partner by: it may
	// be asked to dial back to them, beside those that a run proved itself from.
	Partners []netip.Addr
	// Allowed are the source addresses that may use the key; none means all.
	Allowed []netip.Prefix
	// Lines tell a person who reaches it by browser how to go on.
	Lines []string
	// Future is what is to be here, such as "ILLiad server", for such a person.
	Future string
	// Web answers the requests of HTTP that it knows, on whatever port; nil: none.
	Web func(w http.ResponseWriter, r *http.Request, c WebConn) bool
	// Downloads are what whoever comes by browser may fetch; nil: nothing.
	Downloads *Downloads
	// OnEvent is told of every event before it is answered; nil: nobody is.
	OnEvent func(Event)
	// OnTrouble is told, in a sentence for people, what keeps this program or
	// its machine from answering; nil: nobody is.
	OnTrouble func(what string)
	// OnUnseen is told of an attempt that got no answer and of which this system cannot
	// tell whether it arrived: the port that was dialed, and the address it came from, as
	// far as that is known; nil: nobody is.
	OnUnseen func(t plan.Transport, port int, from netip.Addr)
	// OnMeet says which of two ends makes the run; nil: the asking end.
	OnMeet func(echo.Peer, echo.Meet) echo.Turn
	// OnReport is told of each report that comes, for who watches; nil: nobody does, and
	// dial hands none in by itself.
	OnReport func(*result.Report, echo.Peer)
	// OnDelivery takes reports, and says what to do once the far end knows; nil:
	// they are kept until a program of this machine fetches them.
	OnDelivery func(r *result.Report, last bool) (echo.Receipt, func())
}

// A Listener answers on bound ports. Make one with New, then Bind, then Serve.
type Listener struct {
	Config

	answerer  *echo.Answerer
	watch     *sock.Watch
	arrivals  *arrivals
	limits    *limits
	data      *limits // of FTP's data connections
	sheds     sheds
	backs     *turns // for dialing back
	idlePaths idlePaths
	idle      *turns // for idlePaths
	mailbox   mailbox
	opening   sync.Mutex // held while a delivered report is decoded
	dialed    dialedBack
	earlier   earlierConns
	tenants   tenants

	certificate tls.Certificate // fresh for this process
	fingerprint []byte          // of it, SHA-256
	services    service.Answerer
	provedAddrs provedAddrs
	troubles    troubles
	began       time.Time // when its ports were bound
	// background is what goes on after it was answered.
	background sync.WaitGroup

	mu    sync.Mutex
	bound []*boundPort
	busy  []result.BusyPort
	// toldDescriptors is when it was told last that there are too few.
	toldDescriptors time.Time
}

// A BindError says that a port could not be bound, and why.
type BindError struct {
	result.BusyPort
	NoPermission bool
	Use          sock.PortUse // what has the port
	Err          error
}

func (e *BindError) Error() string {
	return fmt.Sprintf("bind %s/%d: %v", e.Transport, e.Port, e.Err)
}

func (e *BindError) Unwrap() error { return e.Err }

// New returns a Listener that has bound nothing yet.
func New(c Config) *Listener {
	if c.Instance == (echo.ID{}) {
		c.Instance = echo.NewID()
	}
	l := &Listener{
		Config:   c,
		arrivals: newArrivals(), limits: newLimits(), data: newLimits(), backs: newTurns("dialing back", maxDialBacks, maxDialBacksOfRun), idle: newTurns("keeping connections idle", maxIdlePaths, maxIdlePathsOfRun),
	}
	l.watch = sock.NewWatch(l.ownsPort, c.Addrs...)
	l.answerer = &echo.Answerer{Key: c.Key, Others: c.Others, Instance: l.Instance, Software: c.Software, Host: l}
	if len(c.Allowed) > 0 {
		l.answerer.Allowed = l.allowed
	}
	l.certificate, l.fingerprint = newCertificate()
	l.services = l.newServices()
	return l
}

func (l *Listener) allowed(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if l.isSelf(a) {
		return true // it must be able to prove its own ports
	}
	return slices.ContainsFunc(l.Allowed, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (l *Listener) isSelf(a netip.Addr) bool {
	own, err := sock.LocalAddrs()
	return err == nil && slices.Contains(own, a)
}

// Bind binds every port that it can and returns one BindError for each that it
// cannot. Nothing is answered before Serve.
func (l *Listener) Bind(ctx context.Context) []*BindError {
	var errs []*BindError
	ports := l.Ports
	if l.Beside {
		ports, errs = nil, l.holders(ctx)
	}
	if c := l.ContactPort; c != 0 && !slices.ContainsFunc(ports, func(b plan.Binding) bool { return b.Transport == plan.TCP && b.Port == c }) {
		ports = append(slices.Clone(ports), plan.Binding{Transport: plan.TCP, Port: c, PlanPort: c})
	}
	for _, b := range ports {
		for _, addr := range l.addrs() {
			p, err := l.bind(ctx, b, addr)
			if err == nil {
				l.mu.Lock()
				l.bound = append(l.bound, p)
				l.mu.Unlock()
				continue
			}
			if isNoFamily(err) && len(l.Addrs) == 0 {
				continue // this machine has no IPv6, or no IPv4
			}
			be := &BindError{
				BusyPort:     result.BusyPort{Port: b.Port, Transport: b.Transport, Address: result.Addr{Addr: addr}, InUse: sock.IsInUse(err), Error: err.Error()},
				NoPermission: sock.IsNoPermission(err), Err: err,
			}
			if be.InUse || be.NoPermission && sock.DeniedMayBeInUse {
				if be.Use = sock.PortUseOf(ctx, b.Transport, netip.AddrPortFrom(addr, uint16(b.Port))); be.Use.IsListening {
					be.Holder, be.InUse, be.NoPermission = be.Use.Holder, true, false
				}
			}
			errs = append(errs, be)
			l.addBusy(be.BusyPort)
		}
	}
	l.services.Instances = sqlInstances(l.Bound())
	l.began = sock.Now() // before, its ports refused whoever came
	return errs
}

// holders says of each port which other software holds it, and binds none.
func (l *Listener) holders(ctx context.Context) (errs []*BindError) {
	uses := map[plan.Transport]func(context.Context, netip.AddrPort) sock.PortUse{}
	for _, b := range l.Ports {
		if uses[b.Transport] == nil {
			uses[b.Transport] = sock.PortUses(ctx, b.Transport)
		}
		for _, addr := range l.addrs() {
			use := uses[b.Transport](ctx, netip.AddrPortFrom(addr, uint16(b.Port)))
			if b.Port == 0 || !use.IsListening {
				continue
			}
			e := &BindError{
				BusyPort: result.BusyPort{Port: b.Port, Transport: b.Transport, Address: result.Addr{Addr: addr}, InUse: true, Holder: use.Holder, Error: errBeside.Error()},
				Use:      use, Err: errBeside,
			}
			errs = append(errs, e)
			l.addBusy(e.BusyPort)
		}
	}
	return errs
}

// errBeside is why a port was not bound that other software holds.
var errBeside = errors.New("other software listens there")

// Become has the program run as u for good, once everything that wants a
// privilege is bound and open. After it no further port of a low number can be
// bound, and the system names the holders of ports no more.
func (l *Listener) Become(u sock.User) error {
	l.watch.Open()
	var shared []net.Listener
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.bound {
		if p.tcp != nil && l.isSourcePort(p.Port) {
			shared = append(shared, p.tcp)
		}
	}
	return sock.Become(u, shared)
}

func (l *Listener) addBusy(b result.BusyPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = append(l.busy, b)
}

func (l *Listener) addrs() []netip.Addr {
	if len(l.Addrs) > 0 {
		return l.Addrs
	}
	return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
}

func isNoFamily(err error) bool { return sock.Classify(err) == result.ConnectNoRoute }

// Bound lists the addresses and ports that are bound.
func (l *Listener) Bound() []Bound {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Bound, len(l.bound))
	for i, p := range l.bound {
		out[i] = Bound{Transport: p.Transport, Addr: p.addr, Rows: p.Rows, PlanPort: p.PlanPort}
	}
	return out
}

// Bound is one bound port.
type Bound struct {
	Transport plan.Transport
	Addr      netip.AddrPort
	PlanPort  int
	Rows      []plan.Row
}

// Fingerprint is the SHA-256 of its TLS certificate (DER), in hex.
func (l *Listener) Fingerprint() string { return hex.EncodeToString(l.fingerprint) }

// HighPort returns the port that was named for a row whose port is arbitrary
// (FTP active data), 0 if none was.
func (l *Listener) HighPort(row string, f result.Family) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.bound {
		if p.Port != 0 || result.FamilyOf(p.addr.Addr()) != f {
			continue
		}
		if slices.ContainsFunc(p.Rows, func(r plan.Row) bool { return r.ID == row }) {
			return int(p.addr.Port())
		}
	}
	return 0
}

// ownsPort reports whether half-open connections to a port are watched for: it is
// bound, or live software holds it.
func (l *Listener) ownsPort(port int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.bound, func(p *boundPort) bool { return int(p.addr.Port()) == port }) ||
		slices.ContainsFunc(l.busy, func(b result.BusyPort) bool { return b.InUse && b.Transport == plan.TCP && b.Port == port })
}

// Serve answers on every bound port until ctx ends, then closes them. ready is
// called once it answers and watches, and its own proof of every port is done;
// with the ports that somebody else answers in spite of the binding.
func (l *Listener) Serve(ctx context.Context, ready func(taken []*BindError)) error {
	g, ctx := errgroup.WithContext(ctx)
	watching := make(chan struct{})
	g.Go(func() error { l.watch.Run(ctx, watching); return nil })
	l.mu.Lock()
	ports := slices.Clone(l.bound)
	l.mu.Unlock()
	l.limits.allow(len(ports) + ownDescriptors)
	l.data.bound(max(fewestConns/2, min(maxData, reserveOf(sock.MaxDescriptors())/4)))
	g.Go(func() error { l.keepPulse(ctx); return nil })
	g.Go(func() error { l.keepLinks(ctx); return nil })
	g.Go(func() error { l.keepQueues(ctx, ports); return nil })
	for _, p := range ports {
		g.Go(func() error { return l.serve(ctx, p) })
	}
	g.Go(func() error {
		<-watching
		taken := l.proveSelf(ctx)
		l.lookAtBusy(ctx)
		if ctx.Err() == nil && ready != nil {
			ready(taken)
		}
		return nil
	})
	err := g.Wait()
	l.background.Wait()
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// ownDescriptors is about how many this program has open beside its ports and
// connections: its streams, the poller, the capture.
const ownDescriptors = 10

// Close releases ports that were bound when Serve is not to be called.
func (l *Listener) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.bound {
		p.close()
	}
}
