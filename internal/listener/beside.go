package listener

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// Beside live software nothing is bound. What came to its port the kernel knows, and
// tells of one connection while the end that opened it holds it.

// isBusy reports whether live software has a local address and port.
func (l *Listener) isBusy(local netip.AddrPort) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.busy, func(b result.BusyPort) bool {
		at := b.Address.Addr
		return b.InUse && b.Transport == plan.TCP && b.Port == int(local.Port()) && (!at.IsValid() || at == local.Addr() || at.IsUnspecified() && at.Is4() == local.Addr().Is4())
	})
}

// proxies are programs that hold a port for somebody behind them.
var proxies = []string{"docker-proxy", "rootlessport", "rootlesskit", "slirp4netns", "pasta", "passt"}

// busyNow says what the kernel knows of an ordinary connection to live software that
// the asking end has open. It tells nobody of connections that are not the asker's:
// its own address, as it arrives here, or one that this very run proved itself from.
func (l *Listener) busyNow(a result.Acceptor, q echo.WitnessQuery, asSeen netip.Addr, run echo.ID) result.Acceptor {
	port := uint16(q.Port)
	if name := holderNamed(a.Holder); slices.Contains(proxies, name) {
		return unknown(a, name+" holds the port for another machine")
	}
	if to := sock.LedTo(port); to != "" {
		return unknown(a, "that machine leads the port on to "+to)
	}
	switch source := q.Source; {
	case q.Moment == echo.MomentBefore || q.SourceChanged:
		return l.busyBehindNAT(a, q, asSeen, run)
	case q.Moment != echo.MomentNow:
		return unknown(a, "the question is of a kind that this version does not know")
	case !source.IsValid() || source.Port() == 0:
		return unknown(a, "the connection's source port is not known")
	case !result.IsSameAddr(source.Addr(), asSeen) && !l.arrivals.provedFrom(run, source.Addr()):
		return unknown(a, "that is no address from which this run came")
	}
	remote := q.Source.AddrPort
	if result.IsSameAddr(remote.Addr(), asSeen) {
		remote = netip.AddrPortFrom(asSeen, remote.Port()) // with this machine's name of the cable
	}
	s, ok, err := sock.LookUp(port, remote)
	switch {
	case err != nil:
		return unknown(a, tableError(err))
	case ok && l.isBusy(s.Local): // else another program has that port at another address
		a.Match = result.MatchAddress
		return seenAs(a, s)
	case sock.MayBeLedElsewhere():
		return unknown(a, "the table of connections there does not show it, and a translation on that machine may lead the port elsewhere")
	}
	if s, ok, err := sock.LookThrough(port, remote); err != nil {
		return unknown(a, tableError(err))
	} else if ok && l.isBusy(s.Local) {
		a.Match = result.MatchAddress
		return seenAs(a, s)
	}
	a.Saw = result.SawNothing
	return a
}

func tableError(err error) string {
	if errors.Is(err, sock.ErrNoTable) {
		return sock.ErrNoTable.Error()
	}
	return "the table of connections could not be read"
}

// seenAs is a connection as the accepting half of a path.
func seenAs(a result.Acceptor, s sock.Seen) result.Acceptor {
	a.Source, a.Local = result.EndpointFrom(s.Remote), result.EndpointFrom(s.Local)
	if s.In != nil && s.Out != nil {
		a.Counted, a.BytesIn = &result.Counted{In: *s.In, Out: *s.Out}, *s.In
	}
	a.Detail = "the kernel there has it as " + s.State.String()
	taken := s.Taken == nil || *s.Taken // where the system does not tell, it has the program that listens
	switch {
	case s.State == sock.ConnHalfOpen:
		a.Saw, a.Counted = result.SawHalfOpen, nil
	case s.State == sock.ConnGone, s.State == sock.ConnClosing && !taken:
		return unknown(a, "it was closed there by then")
	case !taken:
		a.Saw, a.Counted = result.SawWaiting, nil
	default:
		a.Saw, a.Lasts = result.SawAccepted, s.State != sock.ConnClosing
	}
	return a
}

// busyBehindNAT does the same where a device on the way changes ports: by the
// address, the moment and the number of those that came.
func (l *Listener) busyBehindNAT(a result.Acceptor, q echo.WitnessQuery, asSeen netip.Addr, run echo.ID) result.Acceptor {
	now, err := sock.CameFrom(uint16(q.Port), asSeen)
	if err != nil {
		return unknown(a, tableError(err))
	}
	began, known := l.earlier.swap(connsKey{run, q.Port, asSeen}, now, q.Moment == echo.MomentBefore)
	if q.Moment == echo.MomentBefore {
		return unknown(a, "the connection is still to be opened")
	}
	if !known {
		return unknown(a, "what came from that address before is not known, and the addresses are changed on the way")
	}
	var fresh []sock.Seen
	for _, s := range now {
		if l.isBusy(s.Local) && !slices.ContainsFunc(began.conns, func(was netip.AddrPort) bool { return was == s.Remote }) {
			fresh = append(fresh, s)
		}
	}
	switch {
	case l.arrivals.runsFrom(asSeen, began.at.Add(-slack), sock.Now(), run, l.Instance):
		return unknown(a, "another run came from the same address at that time, and the addresses are changed on the way")
	case len(fresh) == 0:
		return unknown(a, "nothing came from that address in that time, and the addresses are changed on the way: it may have come from another")
	case len(fresh) > 1:
		return unknown(a, fmt.Sprintf("%d connections came from that address in that time, and the addresses are changed on the way", len(fresh)))
	}
	a.Match = result.MatchTime
	return seenAs(a, fresh[0])
}

// connsKey is whose connections to a port are remembered.
type connsKey struct {
	run  echo.ID
	port int
	from netip.Addr
}

// earlierConns are the connections that were there before a run opened its own, for
// as long as that may take.
type earlierConns struct {
	mu  sync.Mutex
	all map[connsKey]connsAt
}

type connsAt struct {
	at    time.Time
	conns []netip.AddrPort
}

const (
	maxEarlier   = 512
	earlierLasts = time.Minute
)

// swap returns what was there before, and puts what is there now in its place if that
// is before another connection.
func (e *earlierConns) swap(k connsKey, now []sock.Seen, isBefore bool) (was connsAt, known bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	was, known = e.all[k]
	if sock.Since(was.at) > earlierLasts {
		known = false
	}
	if !isBefore {
		return was, known
	}
	if e.all == nil || len(e.all) >= maxEarlier {
		e.all = map[connsKey]connsAt{} // whoever asks again learns that it is not known
	}
	c := connsAt{at: sock.Now()}
	for _, s := range now {
		c.conns = append(c.conns, s.Remote)
	}
	e.all[k] = c
	return was, known
}
