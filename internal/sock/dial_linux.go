package sock

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"dialtone/internal/result"
)

// dial binds the source itself, so that the source port is known even when
// nothing comes back, and keeps a duplicate of the descriptor until the
// connection stands: only the socket's error queue names the device that sent
// an ICMP error (ip(7), IP_RECVERR).
func dial(ctx context.Context, network string, local, remote netip.AddrPort, h how) Dialed {
	dup := -1
	var d Dialed
	nd := net.Dialer{KeepAlive: -1, Control: func(_, _ string, rc syscall.RawConn) error {
		var err error
		if dup >= 0 {
			_ = unix.Close(dup) // net.Dialer tries again after it connected to itself
			dup = -1
		}
		if cerr := rc.Control(func(fd uintptr) { dup, d.Source, err = prepare(int(fd), network, local, h) }); cerr != nil {
			return cerr
		}
		return err
	}}
	nd.SetMultipathTCP(false)
	d.Conn, d.Err = nd.DialContext(ctx, network, remote.String())
	if dup >= 0 {
		if d.Err != nil {
			d.ICMP = errorQueue(dup)
			if h.connectDraws {
				d.Source = boundTo(dup) // known only now
			}
		}
		// An open duplicate would keep the connection from sending FIN.
		_ = unix.Close(dup)
	}
	return d
}

// CanTrace reports whether this system tells which device ended the life of a
// packet.
func CanTrace() bool { return true }

// drawsByParity: connect draws TCP ports of one parity and bind those of the
// other (net/ipv4/inet_hashtables.c, inet_connection_sock.c).
const drawsByParity = true

// drawsFromAll has bind draw from the whole range: with SO_REUSEADDR, which Go gives
// to what listens, it draws from the lower half (net/ipv4/inet_connection_sock.c,
// inet_csk_find_open_port).
func drawsFromAll(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 0) }); e != nil {
		return e
	}
	return err
}

// defaultSegment is what TCP sends where it knows nothing of a path (RFC 9293
// section 3.7.1), in bytes.
const defaultSegment = 536

// prepare sets what must be set between socket and connect.
func prepare(fd int, network string, local netip.AddrPort, h how) (dup int, source netip.AddrPort, err error) {
	var sa unix.Sockaddr
	set := func(level, opt, value int) {
		if err == nil {
			if e := unix.SetsockoptInt(fd, level, opt, value); e != nil {
				err = fmt.Errorf("setsockopt: %w", e)
			}
		}
	}
	one := func(level, opt int) { set(level, opt, 1) }
	switch {
	case h.ttl > 0 && local.Addr().Is4():
		set(unix.IPPROTO_IP, unix.IP_TTL, h.ttl)
	case h.ttl > 0:
		set(unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, h.ttl)
	}
	if h.connectDraws && network == "tcp" && local.Port() == 0 {
		one(unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT) // ip(7); it holds for IPv6 sockets too
	}
	if h.narrow {
		set(unix.IPPROTO_TCP, unix.TCP_MAXSEG, defaultSegment)
	}
	if local.Addr().Is4() {
		one(unix.IPPROTO_IP, unix.IP_RECVERR)
		sa = &unix.SockaddrInet4{Port: int(local.Port()), Addr: local.Addr().As4()}
	} else {
		one(unix.IPPROTO_IPV6, unix.IPV6_RECVERR)
		sa = &unix.SockaddrInet6{Port: int(local.Port()), Addr: local.Addr().As16(), ZoneId: zoneID(local.Addr().Zone())}
	}
	if local.Port() != 0 && !h.drawnHere {
		// One connection in TIME_WAIT must not block the next from the same
		// port, nor a socket of ours that listens on it.
		one(unix.SOL_SOCKET, unix.SO_REUSEADDR)
		one(unix.SOL_SOCKET, unix.SO_REUSEPORT)
	}
	if err != nil {
		return -1, source, err
	}
	if err := bind(fd, sa); err != nil {
		return -1, source, fmt.Errorf("bind %s: %w", local, err)
	}
	source = boundTo(fd)
	if network != "tcp" {
		return -1, source, nil
	}
	dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, source, fmt.Errorf("dup: %w", err)
	}
	return dup, source, nil
}

// boundTo is the local address and port of a socket, zero if it has none.
func boundTo(fd int) netip.AddrPort {
	got, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	switch a := got.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}

func zoneID(zone string) uint32 {
	if zone == "" {
		return 0
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0
	}
	return uint32(i.Index)
}

// ICMPOf returns the ICMP error that waits in the error queue of a connected
// datagram socket, nil if there is none.
func ICMPOf(c net.Conn) *result.ICMP {
	var icmp *result.ICMP
	withDescriptor(c, func(fd int) { icmp = errorQueue(fd) })
	if icmp != nil {
		icmp.Local = isOwn(icmp.From)
	}
	return icmp
}

// withDescriptor calls f with a connection's descriptor, if it has one.
func withDescriptor(c any, f func(fd int)) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return
	}
	_ = rc.Control(func(fd uintptr) { f(int(fd)) }) // fails only on a closed connection
}

// errorQueue reads a socket's error queue: struct sock_extended_err, followed
// by the sender's address (linux/errqueue.h).
func errorQueue(fd int) *result.ICMP {
	const sizeofExtendedErr = 16
	data, oob := make([]byte, 256), make([]byte, 512)
	for {
		_, n, _, _, err := unix.Recvmsg(fd, data, oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err != nil {
			return nil
		}
		msgs, err := unix.ParseSocketControlMessage(oob[:n])
		if err != nil {
			return nil
		}
		for _, m := range msgs {
			v4 := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR
			v6 := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
			if !v4 && !v6 || len(m.Data) < sizeofExtendedErr {
				continue
			}
			origin := m.Data[4]
			if origin != unix.SO_EE_ORIGIN_ICMP && origin != unix.SO_EE_ORIGIN_ICMP6 {
				continue
			}
			return &result.ICMP{
				Type: int(m.Data[5]), Code: int(m.Data[6]),
				From: offender(m.Data[sizeofExtendedErr:]), V6: origin == unix.SO_EE_ORIGIN_ICMP6,
			}
		}
	}
}

// offender reads the sockaddr of the device that sent the error.
func offender(b []byte) netip.Addr {
	if len(b) < 2 {
		return netip.Addr{}
	}
	switch binary.NativeEndian.Uint16(b) {
	case unix.AF_INET: // struct sockaddr_in: family, port, address
		if len(b) >= 8 {
			return netip.AddrFrom4([4]byte(b[4:8]))
		}
	case unix.AF_INET6: // struct sockaddr_in6: family, port, flow info, address
		if len(b) >= 24 {
			return netip.AddrFrom16([16]byte(b[8:24])).Unmap()
		}
	}
	return netip.Addr{}
}
