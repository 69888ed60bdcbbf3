package listener

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// A boundPort is one port on one address.
type boundPort struct {
	plan.Binding
	addr netip.AddrPort
	tcp  net.Listener // or
	udp  *net.UDPConn
}

func (l *Listener) bind(ctx context.Context, b plan.Binding, addr netip.Addr) (*boundPort, error) {
	p := &boundPort{Binding: b}
	at := netip.AddrPortFrom(addr, uint16(b.Port))
	var err error
	if b.Transport == plan.UDP {
		if p.udp, err = sock.ListenUDP(ctx, at); err == nil {
			p.addr = sock.AddrPortOf(p.udp.LocalAddr())
		}
	} else if p.tcp, err = sock.ListenTCP(ctx, at, l.isSourcePort(b.Port)); err == nil {
		p.addr = sock.AddrPortOf(p.tcp.Addr())
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// isSourcePort reports whether the plan has a row that is dialed from port.
func (l *Listener) isSourcePort(port int) bool {
	for _, r := range l.Plan.Rows {
		if r.SourcePort == port && port != 0 {
			return true
		}
	}
	return false
}

func (p *boundPort) close() {
	if p.udp != nil {
		p.udp.Close()
		return
	}
	p.tcp.Close()
}

func (l *Listener) serve(ctx context.Context, p *boundPort) error {
	end := sync.OnceFunc(p.close)
	stop := context.AfterFunc(ctx, end)
	defer func() { stop(); end() }() // whoever waits for the end may want the port anew
	if p.udp != nil {
		return l.servePackets(ctx, p)
	}
	return l.serveConns(ctx, p)
}

func (l *Listener) serveConns(ctx context.Context, p *boundPort) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		conn, err := p.tcp.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			// No descriptor is free, or the connection is gone already: go on.
			if sock.LackOf(err) == result.LackDescriptor {
				if shed := l.limits.makeRoom(); shed != nil {
					l.countShed(shed.network.Addr(), shed.beyond)
					continue
				}
				l.outOfDescriptors()
			}
			if !sock.Wait(ctx, acceptAgain) {
				return nil
			}
			continue
		}
		e := l.arrivals.accepted(plan.TCP, sock.AddrPortOf(conn.RemoteAddr()), sock.AddrPortOf(conn.LocalAddr()))
		l.troubles.came(e.Local.Addr())
		place := l.admit(e, conn)
		if place == nil {
			conn.Close()
			continue
		}
		conns.Go(func() {
			defer conn.Close()
			defer place.release()
			defer l.tenants.left(e.Remote)
			l.handle(ctx, conn, e, place, p.Speaks())
		})
	}
}

// admit finds a place for a connection, nil if there is none.
func (l *Listener) admit(e *entry, conn net.Conn) *place {
	p, shed := l.limits.take(e.Remote.Addr(), func() { conn.Close() })
	switch {
	case p == nil:
		l.shed(e)
		l.countShed(e.Remote.Addr(), false)
	case shed != nil:
		l.countShed(shed.network.Addr(), shed.beyond)
	}
	return p
}

// acceptAgain is how long to wait after a connection could not be taken.
const acceptAgain = 50 * time.Millisecond

// handle answers one connection and records how it ended.
func (l *Listener) handle(ctx context.Context, conn net.Conn, e *entry, place *place, speaks plan.Protocol) {
	l.arrivals.whenShown(e, func(t tier, run echo.ID) {
		place.raise(t, run)
		l.noteLate(conn)
	})
	t := l.converse(ctx, conn, e, speaks)
	if place.isShed() {
		l.shed(e)
		return
	}
	l.arrivals.end(e, t.kind, t.foreign, sock.TCPInfoOf(conn))
	// What looked like STUN and was not was told when it came. Whoever is there when
	// listen is stopped came, too.
	if t.kind == echo.KindForeign && t.visit.Words != "" || t.kind == echo.KindSilent {
		l.event(Event{Kind: t.kind, Peer: echo.Peer{Remote: e.Remote, Local: e.Local, Transport: plan.TCP}, Visit: t.visit})
	}
}
