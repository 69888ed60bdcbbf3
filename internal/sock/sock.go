// Package sock is what the operating system knows of a socket: which kind of
// error ended it, which device sent the ICMP message, which connections are
// half-open, who holds a port. What a system does not tell is unknown here,
// never guessed. Files named for a system hold what differs there.
package sock

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"dialtone/internal/result"
)

// Classify is the one place where an error from connecting, reading or writing
// gets its meaning. An ICMP message is evidence of its own and is asked first
// by the caller.
func Classify(err error) result.ConnectOutcome {
	var errno syscall.Errno
	switch {
	case err == nil:
		return result.ConnectOpen
	case LackOf(err) != "":
		return result.ConnectFailed // nothing was sent
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return result.ConnectTimeout
	case errors.As(err, &errno):
		return classifyErrno(errno, isDatagrams(err))
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return result.ConnectTimeout
	}
	return result.ConnectFailed
}

// MayHideICMP reports whether err may stem from an ICMP error that a device on the way
// sent, where this system does not tell: a host that is unreachable is so by its own
// network, or by a router's word.
func MayHideICMP(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && isUnreachableHost(errno)
}

// isDatagrams reports whether an error came of a UDP socket.
func isDatagrams(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && strings.HasPrefix(op.Net, "udp")
}

// A noPortError is a failure to get any local port for a connection.
type noPortError struct{ error }

func (e noPortError) Unwrap() error { return e.error }

// LackOf says what this machine had none left of, if err says that; "" if not.
func LackOf(err error) result.Lack {
	var errno syscall.Errno
	switch {
	case errors.As(err, new(noPortError)):
		return result.LackPort
	case errors.As(err, &errno) && isNoDescriptor(errno):
		return result.LackDescriptor
	}
	return ""
}

// noPort marks an error of dialing from any port of an address that means that
// none was free: to bind one failed since all are in use (on Windows also with
// WSAENOBUFS), or to connect failed since each is in use towards that target
// (connect(2), EADDRNOTAVAIL). Binding fails with the latter if the address is not
// this machine's.
func noPort(local netip.AddrPort, err error) error {
	var errno syscall.Errno
	var call *os.SyscallError
	if local.Port() != 0 || !errors.As(err, &errno) {
		return err
	}
	connecting := errors.As(err, &call) && strings.HasPrefix(call.Syscall, "connect")
	if isInUse(errno) || isNoPort(errno) || connecting && isTupleInUse(errno) {
		return noPortError{err}
	}
	return err
}

// IsReset reports whether err says that the far end, or a device in its name,
// reset the connection. Datagrams have none: what Windows calls so there is an ICMP
// error (Classify).
func IsReset(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && isReset(errno) && !isDatagrams(err)
}

// Counters are what a system counts of a TCP connection's payload, in bytes.
// The end that opened it counts its SYN as one more.
type Counters struct {
	Acknowledged int64 // of what this end sent
	Received     int64 // in order, whether or not the program has read it
}

// A Flight is what a TCP connection has sent that the far end has not
// acknowledged.
type Flight struct {
	Unacknowledged int // segments
	Resent         int // how often in a row the first of them was sent again
	MSS            int // bytes that one segment may carry
	Window         int // bytes that the far end takes at once; 0: none, or not known
}

// IsClosed reports whether err says that the far end closed the connection.
func IsClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// IsTooLarge reports whether err says that a datagram is larger than the path's
// MTU, as an ICMP error just told.
func IsTooLarge(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && isTooLarge(errno)
}

// IsInUse reports whether err says that another socket has the port.
func IsInUse(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && isInUse(errno)
}

// IsSourcePort reports whether err may be about the wanted source port rather
// than about the path: in use, in TIME_WAIT towards the same target, or not for
// this user.
func IsSourcePort(err error) bool {
	var errno syscall.Errno
	return IsInUse(err) || IsNoPermission(err) || errors.As(err, &errno) && isTupleInUse(errno)
}

// IsNoPermission reports whether err says that this user may not have the port.
func IsNoPermission(err error) bool {
	var errno syscall.Errno
	return errors.Is(err, os.ErrPermission) || errors.As(err, &errno) && isNoPermission(errno)
}

// A Dialed is a connection, or all that is known of why there is none.
type Dialed struct {
	Conn   net.Conn       // nil if Err is not
	Source netip.AddrPort // zero: unknown; port 0: the port is unknown
	Err    error
	ICMP   *result.ICMP // the message that ended the attempt; nil: none, or the system does not tell
}

// Ended says how a connection ended that did not open.
func (d Dialed) Ended() result.Ended {
	switch {
	case d.ICMP != nil:
		return result.EndedICMP
	case IsReset(d.Err):
		return result.EndedReset
	}
	return Classify(d.Err).Ended()
}

// Dial opens a TCP or UDP connection ("tcp" or "udp") from local to remote.
// A zero local address leaves the choice to the routing table, port 0 any
// port. A given local port may be shared with a listening socket of this
// program (FTP's port 20).
func Dial(ctx context.Context, network string, local, remote netip.AddrPort) Dialed {
	addr, err := sourceOr(local.Addr(), remote)
	if err != nil {
		return Dialed{Err: err}
	}
	local = netip.AddrPortFrom(addr, local.Port())
	return completed(local, dial(ctx, network, local, remote, how{}))
}

// A Draw is how the source port of a connection is drawn.
type Draw struct {
	By     result.Drawn // as an ordinary connect draws it, or by bind
	Beside uint16       // a port of the other parity is wanted; 0: any. Where the system draws both alike, it decides
	Nth    int          // which of those that bind draws for a path, from 0
	Far    uint16       // what bind draws first is far from it: of the path's first connection's port, and after that of the first that bind drew; 0: not known, and either end will do
}

// spread are the places that bind draws from in turn, as parts of the range, counted from
// where Far is: a rule may name any part of it, and mostly divides it in two.
var spread = [...]float64{1, 1, 1. / 2, 3. / 4, 1. / 4}

// DialDrawn opens a connection as Dial does, from a port that is drawn as said. Those
// that bind draws are spread over the range; those that connect draws on Linux lie near
// one another.
func DialDrawn(ctx context.Context, network string, local netip.Addr, remote netip.AddrPort, draw Draw) Dialed {
	local, err := sourceOr(local, remote)
	if err != nil {
		return Dialed{Err: err}
	}
	from := netip.AddrPortFrom(local, 0)
	byConnect := draw.By == result.DrawnConnect
	if (draw.Beside != 0 || draw.By == result.DrawnBind) && !(network == "tcp" && drawsByParity && byConnect) {
		from = netip.AddrPortFrom(local, freePort(network, local, draw))
	}
	d := dial(ctx, network, from, remote, how{connectDraws: byConnect, drawnHere: from.Port() != 0})
	if from.Port() != 0 && IsInUse(d.Err) { // by somebody else, in that moment
		from = netip.AddrPortFrom(local, 0)
		d = dial(ctx, network, from, remote, how{connectDraws: byConnect})
	}
	return completed(netip.AddrPortFrom(local, 0), d)
}

// DialNarrow opens a connection as an ordinary connect does, and where the system
// lets a program say so with segments no larger than every path carries: what is
// said on it crosses where large packets vanish.
func DialNarrow(ctx context.Context, local netip.Addr, remote netip.AddrPort) Dialed {
	local, err := sourceOr(local, remote)
	if err != nil {
		return Dialed{Err: err}
	}
	from := netip.AddrPortFrom(local, 0)
	return completed(from, dial(ctx, "tcp", from, remote, how{connectDraws: true, narrow: true}))
}

// IsOver reports whether a context has ended, or its deadline passed: a
// connection with that deadline may time out a moment before the context does,
// and would seem to tell something of the far end.
func IsOver(ctx context.Context) bool {
	at, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(at)
}

// answerHandshakes is how many handshakes long an answer may take: what asks and the
// answer go once more each way, and where the system sent the SYN again on so long a way
// it sends what asks slowly at first, too (RFC 6298 section 5.7).
const answerHandshakes = 3

// AfterHandshake returns a context within phase for what comes over a connection whose
// handshake took so long: until opening's deadline, and longer where the way is so long
// that an answer could not have come by then.
func AfterHandshake(phase, opening context.Context, took time.Duration) (context.Context, context.CancelFunc) {
	until := time.Now().Add(answerHandshakes * took)
	if at, ok := opening.Deadline(); ok && at.After(until) {
		until = at
	}
	return context.WithDeadline(phase, until)
}

// TripOf is how long a round trip of a connection takes, as the system measured it.
// Where it does not tell it is what the handshake took, but for what a lost SYN makes
// of that: it is sent again after a second (RFC 6298 section 2).
func TripOf(c net.Conn, handshake time.Duration) time.Duration {
	if info := TCPInfoOf(c); info != nil && info.RTTMS > 0 {
		return time.Duration(info.RTTMS * float64(time.Millisecond))
	}
	return min(handshake, time.Second)
}

// Wait waits so long, and reports whether it did: false if ctx ended before.
func Wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// freePort draws a port of the other parity than that of Beside, or of the same where
// the system gives no other; 0: none came. Of all that come it is the one in the n-th
// place of spread.
func freePort(network string, local netip.Addr, draw Draw) uint16 {
	const draws = 32 // half of them of either parity
	var other, same []uint16
	for range draws {
		switch port := drawPort(network, netip.AddrPortFrom(local, 0)); {
		case port == 0:
		case port%2 != draw.Beside%2:
			other = append(other, port)
		default:
			same = append(same, port)
		}
	}
	if len(other) == 0 {
		other = same
	}
	if len(other) == 0 {
		return 0
	}
	slices.Sort(other)
	at := spread[draw.Nth%len(spread)]
	if draw.Far > other[len(other)/2] || draw.Far == 0 && rand.IntN(2) == 0 {
		at = 1 - at
	}
	return other[int(at*float64(len(other)-1))]
}

// drawPort has the system draw a free port; 0: it gave none.
func drawPort(network string, at netip.AddrPort) uint16 {
	if network == "udp" {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		if err != nil {
			return 0
		}
		defer c.Close()
		return AddrPortOf(c.LocalAddr()).Port()
	}
	lc := net.ListenConfig{Control: drawsFromAll}
	l, err := lc.Listen(context.Background(), "tcp", at.String())
	if err != nil {
		return 0
	}
	defer l.Close()
	return AddrPortOf(l.Addr()).Port()
}

// how a connection is to be opened beside its addresses.
type how struct {
	ttl          int  // that its packets start with; 0: the system's
	connectDraws bool // connect draws the source port, not bind
	drawnHere    bool // the source port is this package's choice, and no other socket of this program has it
	narrow       bool // with segments that every path carries, where the system can
}

// completed adds to what dial returned what every system knows. wanted is the
// local address and port that was asked for; port 0: any.
func completed(wanted netip.AddrPort, d Dialed) Dialed {
	d.Err = noPort(wanted, d.Err)
	if d.Conn != nil {
		d.Source = AddrPortOf(d.Conn.LocalAddr())
	}
	if d.ICMP != nil {
		d.ICMP.Local = isOwn(d.ICMP.From)
	}
	return d
}

// DialTTL attempts a TCP connection whose packets live for ttl hops only (IPv4
// TTL, IPv6 hop limit), and closes it if it opens. It asks how far such packets
// get: CanTrace says whether this system tells.
func DialTTL(ctx context.Context, local, remote netip.AddrPort, ttl int) Dialed {
	addr, err := sourceOr(local.Addr(), remote)
	if err != nil {
		return Dialed{Err: err}
	}
	local = netip.AddrPortFrom(addr, local.Port())
	d := completed(local, dial(ctx, "tcp", local, remote, how{ttl: ttl}))
	if d.Conn != nil {
		d.Conn.Close()
	}
	return d
}

// sourceOr is a local address, or the one from which this machine would send.
func sourceOr(local netip.Addr, remote netip.AddrPort) (netip.Addr, error) {
	if local.IsValid() {
		return local, nil
	}
	return SourceFor(remote)
}

// SourceFor returns the address from which this machine would send to remote.
// No packet is sent.
func SourceFor(remote netip.AddrPort) (netip.Addr, error) { return sourceFor(remote) }

// AddrPortOf returns the address and port of a TCP or UDP address, an
// IPv4-mapped one unmapped; the zero value for any other.
func AddrPortOf(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// LocalAddrs returns this machine's unicast addresses, without link-local ones.
func LocalAddrs() ([]netip.Addr, error) {
	as, err := interfaces.addrs()
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range as {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		if ip := p.Addr().Unmap(); !ip.IsLinkLocalUnicast() && !ip.IsMulticast() {
			out = append(out, ip)
		}
	}
	return out, nil
}

// interfaces reads the addresses of the interfaces for everybody. The system keeps
// whoever asks waiting while it changes an interface, each in a thread, and Go ends no
// thread: hundreds who ask at once wait for one who does.
var interfaces interfaceReader

type interfaceReader struct {
	mu    sync.Mutex
	began time.Time
	last  []net.Addr
	err   error
}

// addrs are the addresses as they are now.
func (r *interfaceReader) addrs() ([]net.Addr, error) {
	asked := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.began.After(asked) {
		r.began = time.Now()
		r.last, r.err = net.InterfaceAddrs()
	}
	return r.last, r.err
}

// IsOnLink reports whether an address is on a network that this machine has an
// interface in, and not its own.
func IsOnLink(a netip.Addr) bool {
	as, err := interfaces.addrs()
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	on := false
	for _, of := range as {
		p, err := netip.ParsePrefix(of.String())
		if err != nil {
			continue
		}
		if p.Addr().Unmap() == a {
			return false
		}
		on = on || p.Contains(a)
	}
	return on
}

func isOwn(a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	if a.IsLoopback() {
		return true
	}
	own, err := LocalAddrs()
	if err != nil {
		return false
	}
	for _, o := range own {
		if o == a.Unmap() {
			return true
		}
	}
	return false
}
