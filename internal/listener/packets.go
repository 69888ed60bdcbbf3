package listener

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/service"
	"dialtone/internal/sock"
)

// servePackets answers datagrams from the address that they were sent to.
func (l *Listener) servePackets(ctx context.Context, p *boundPort) error {
	in := newPacketConn(p)
	buf := make([]byte, echo.MaxPacket)
	for {
		n, from, to, err := in.read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			// On Windows an ICMP error for an earlier answer shows up here.
			if !sock.Wait(ctx, 10*time.Millisecond) {
				return nil
			}
			continue
		}
		remote, local := sock.AddrPortOf(from), p.addr
		if a, ok := netip.AddrFromSlice(to); ok {
			local = netip.AddrPortFrom(a.Unmap(), p.addr.Port())
		}
		e := l.arrivals.accepted(plan.UDP, remote, local)
		answer, kind := l.answerer.AnswerPacket(remote, local, buf[:n])
		foreign := 0
		if kind == echo.KindForeign {
			foreign = n
			answer = l.answerStranger(p, remote, local, buf[:n])
		}
		l.arrivals.end(e, kind, foreign, nil)
		if answer != nil {
			in.write(answer, from, to)
		}
	}
}

// answerStranger answers a datagram that is no proof. What it may answer is
// decided where AnswerPacket is.
func (l *Listener) answerStranger(p *boundPort, remote, local netip.AddrPort, b []byte) []byte {
	var answer []byte
	words := "a request came, not answered: nobody has proved the key from that address of late"
	if l.provedAddrs.has(remote.Addr()) {
		words = "something that is no request came, not answered"
		switch answer = l.services.AnswerPacket(p.Speaks(), b); {
		case answer == nil:
		case l.provedAddrs.spend(remote.Addr(), max(0, len(answer)-len(b))):
			words = "a request came, answered"
		default:
			l.sheds.decline(remote.Addr(), sock.Now())
			answer, words = nil, "a request came, not answered: as much was sent to that address already as it proved itself for"
		}
	}
	if len(b) < cookieEnd || !echo.Looks(b) { // else it was told when it came
		l.event(Event{
			Kind: echo.KindForeign, Peer: echo.Peer{Remote: remote, Local: local, Transport: plan.UDP},
			Visit: service.Visit{Words: words},
		})
	}
	return answer
}

// A packetConn reads datagrams with the local address that they were sent to,
// and answers from there: a socket bound to all addresses would answer from
// the one that the routing table likes best. to is nil where the system does
// not tell (Windows).
type packetConn struct {
	read  func(b []byte) (n int, from net.Addr, to net.IP, err error)
	write func(b []byte, to net.Addr, from net.IP)
}

func newPacketConn(p *boundPort) packetConn {
	if p.addr.Addr().Is4() {
		if c := ipv4.NewPacketConn(p.udp); c.SetControlMessage(ipv4.FlagDst, true) == nil {
			return packetConn4(c)
		}
	} else if c := ipv6.NewPacketConn(p.udp); c.SetControlMessage(ipv6.FlagDst, true) == nil {
		return packetConn6(c)
	}
	return packetConn{
		read: func(b []byte) (int, net.Addr, net.IP, error) {
			n, from, err := p.udp.ReadFrom(b)
			return n, from, nil, err
		},
		write: func(b []byte, to net.Addr, _ net.IP) { _, _ = p.udp.WriteTo(b, to) },
	}
}

func packetConn4(c *ipv4.PacketConn) packetConn {
	return packetConn{
		read: func(b []byte) (int, net.Addr, net.IP, error) {
			n, cm, from, err := c.ReadFrom(b)
			if cm == nil {
				return n, from, nil, err
			}
			return n, from, cm.Dst, err
		},
		write: func(b []byte, to net.Addr, from net.IP) { _, _ = c.WriteTo(b, &ipv4.ControlMessage{Src: from}, to) },
	}
}

func packetConn6(c *ipv6.PacketConn) packetConn {
	return packetConn{
		read: func(b []byte) (int, net.Addr, net.IP, error) {
			n, cm, from, err := c.ReadFrom(b)
			if cm == nil {
				return n, from, nil, err
			}
			return n, from, cm.Dst, err
		},
		write: func(b []byte, to net.Addr, from net.IP) { _, _ = c.WriteTo(b, &ipv6.ControlMessage{Src: from}, to) },
	}
}
