package sock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What linux/sock_diag.h and linux/inet_diag.h have and package unix has not.
const (
	sockDiagByFamily = 20
	inetDiagInfo     = 2 // INET_DIAG_INFO, an attribute: struct tcp_info
	reqSize          = 56
	msgSize          = 72 // of struct inet_diag_msg

	// Offsets in struct inet_diag_msg.
	msgState, msgSport, msgDport, msgSrc, msgDst, msgUID, msgInode = 1, 4, 6, 8, 24, 64, 68
	// Offsets in struct tcp_info.
	infoBytesAcked, infoBytesReceived = 120, 128
)

// States of the kernel (net/tcp_states.h).
const (
	tcpEstablished = 1
	tcpSynRecv     = 3
	tcpFinWait1    = 4
	tcpFinWait2    = 5
	tcpCloseWait   = 8
	tcpLastAck     = 9
	tcpListen      = 10
	tcpClosing     = 11
	tcpNewSynRecv  = 12
)

// lookUp asks for the connection by its four numbers, with each address of this
// machine's in turn.
func lookUp(port uint16, remote netip.AddrPort) (Seen, bool, error) {
	d, err := openDiag()
	if err != nil {
		return Seen{}, false, err
	}
	defer d.close()
	own, err := LocalAddrs()
	if err != nil {
		return Seen{}, false, fmt.Errorf("this machine's addresses: %w", err)
	}
	if remote.Addr().IsLinkLocalUnicast() { // nor is its own address among them
		return LookThrough(port, remote)
	}
	for _, a := range own {
		if a.Is4() != remote.Addr().Is4() {
			continue
		}
		all, err := d.ask(diagRequest(netip.AddrPortFrom(a, port), remote, false))
		switch {
		case errors.Is(err, unix.ENOENT): // there is none
			continue
		case err != nil:
			return Seen{}, false, err
		}
		for _, s := range all {
			if s.isOf(port, remote) { // else the socket that listens answered
				return s.Seen, true, nil
			}
		}
	}
	return Seen{}, false, nil
}

func cameFrom(port uint16, remote netip.Addr) ([]Seen, error) {
	d, err := openDiag()
	if err != nil {
		return nil, err
	}
	defer d.close()
	all, err := d.cameFrom(port, remote.Is4())
	if err != nil {
		return nil, err
	}
	var out []Seen
	for _, s := range all {
		if s.state != tcpListen && s.Remote.Addr() == remote {
			out = append(out, s.Seen)
		}
	}
	return out, nil
}

// A diagSeen is a Seen with the kernel's own state.
type diagSeen struct {
	Seen
	state byte
}

func (s diagSeen) isOf(port uint16, remote netip.AddrPort) bool {
	return s.state != tcpListen && s.Local.Port() == port && s.Remote.Port() == remote.Port() && s.Remote.Addr() == remote.Addr().WithZone("")
}

// cameFrom has the kernel filter by the local port. An IPv4 connection may be one of a
// socket of IPv6.
func (d *diag) cameFrom(port uint16, is4 bool) ([]diagSeen, error) {
	any := netip.IPv6Unspecified()
	families := []netip.Addr{any}
	if is4 {
		families = []netip.Addr{netip.IPv4Unspecified(), any}
	}
	var out []diagSeen
	for _, a := range families {
		all, err := d.ask(diagRequest(netip.AddrPortFrom(a, port), netip.AddrPortFrom(a, 0), true))
		if errors.Is(err, unix.ENOENT) && a.Is6() {
			continue // this kernel has no IPv6
		}
		if err != nil {
			return nil, err
		}
		out = append(out, all...)
	}
	return out, nil
}

// halfOpen has the kernel pick out the half-open connections of all ports.
func (d *diag) halfOpen() (out []diagSeen, _ error) {
	for _, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		request := diagRequest(netip.AddrPortFrom(any, 0), netip.AddrPortFrom(any, 0), true)
		r := request[unix.NLMSG_HDRLEN:]
		r[2] = 0                                            // without struct tcp_info
		binary.NativeEndian.PutUint32(r[4:], 1<<tcpSynRecv) // which means tcpNewSynRecv as well
		all, err := d.ask(request)
		if errors.Is(err, unix.ENOENT) && any.Is6() {
			continue // this kernel has no IPv6
		}
		if err != nil {
			return nil, err
		}
		for _, s := range all {
			if s.State == ConnHalfOpen {
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// A diag is an open conversation with inet_diag, which tells everybody of every TCP
// socket of its network namespace.
type diag struct {
	fd  int
	buf []byte // of answers; nil: none came yet
}

func openDiag() (*diag, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, fmt.Errorf("%w (inet_diag: %v)", ErrNoTable, err)
	}
	// The kernel answers at once; whatever keeps it must not keep a run.
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2})
	return &diag{fd: fd}, nil
}

func (d *diag) close() { unix.Close(d.fd) }

// diagRequest is a request for one socket, or for all that are local's port and of
// remote's: struct nlmsghdr, then struct inet_diag_req_v2.
func diagRequest(local, remote netip.AddrPort, all bool) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN+reqSize)
	ne := binary.NativeEndian
	ne.PutUint32(b[0:], uint32(len(b)))
	ne.PutUint16(b[4:], sockDiagByFamily)
	flags := uint16(unix.NLM_F_REQUEST)
	if all {
		flags |= unix.NLM_F_DUMP
	}
	ne.PutUint16(b[6:], flags)
	r := b[unix.NLMSG_HDRLEN:]
	r[0] = unix.AF_INET6
	if local.Addr().Is4() {
		r[0] = unix.AF_INET
	}
	r[1], r[2] = unix.IPPROTO_TCP, 1<<(inetDiagInfo-1)
	ne.PutUint32(r[4:], ^uint32(0)) // of any state
	binary.BigEndian.PutUint16(r[8:], local.Port())
	binary.BigEndian.PutUint16(r[10:], remote.Port())
	copy(r[12:28], local.Addr().AsSlice())
	copy(r[28:44], remote.Addr().AsSlice())
	ne.PutUint32(r[44:], zoneIndex(remote.Addr()))
	ne.PutUint64(r[48:], ^uint64(0)) // INET_DIAG_NOCOOKIE
	return b
}

// zoneIndex is the number of the interface that an address names; 0: it names none.
func zoneIndex(a netip.Addr) uint32 {
	if a.Zone() == "" {
		return 0
	}
	if n, err := strconv.ParseUint(a.Zone(), 10, 32); err == nil {
		return uint32(n)
	}
	i, err := net.InterfaceByName(a.Zone())
	if err != nil {
		return 0
	}
	return uint32(i.Index)
}

// ask sends a request and reads all that answers it.
func (d *diag) ask(request []byte) (out []diagSeen, _ error) {
	if err := unix.Sendto(d.fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("ask inet_diag: %w", err)
	}
	isDump := binary.NativeEndian.Uint16(request[6:])&unix.NLM_F_DUMP != 0
	if d.buf == nil {
		d.buf = make([]byte, 64<<10)
	}
	for {
		n, _, err := unix.Recvfrom(d.fd, d.buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("inet_diag: %w", err)
		}
		all, done, err := parseDiag(d.buf[:n])
		if err != nil {
			return nil, fmt.Errorf("inet_diag: %w", err)
		}
		if out = append(out, all...); done || !isDump {
			return out, nil
		}
	}
}

// errShortDiag is why an answer of inet_diag cannot be read.
var errShortDiag = errors.New("a message is cut off")

// parseDiag reads the messages of one datagram; done: the last one was among them.
func parseDiag(b []byte) (out []diagSeen, done bool, _ error) {
	for len(b) >= unix.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			return nil, false, errShortDiag
		}
		body := b[unix.NLMSG_HDRLEN:size]
		switch binary.NativeEndian.Uint16(b[4:]) {
		case unix.NLMSG_DONE:
			done = true
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return nil, false, errShortDiag
			}
			if no := int32(binary.NativeEndian.Uint32(body)); no != 0 {
				return nil, false, unix.Errno(-no)
			}
		case sockDiagByFamily:
			s, err := parseDiagMessage(body)
			if err != nil {
				return nil, false, err
			}
			out = append(out, s)
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return out, done, nil
}

// parseDiagMessage reads struct inet_diag_msg and the attributes behind it.
func parseDiagMessage(b []byte) (diagSeen, error) {
	if len(b) < msgSize {
		return diagSeen{}, errShortDiag
	}
	addr := func(at int) netip.Addr {
		if b[0] == unix.AF_INET {
			return netip.AddrFrom4([4]byte(b[at : at+4]))
		}
		return netip.AddrFrom16([16]byte(b[at : at+16])).Unmap()
	}
	s := diagSeen{state: b[msgState]}
	s.Local = netip.AddrPortFrom(addr(msgSrc), binary.BigEndian.Uint16(b[msgSport:]))
	s.Remote = netip.AddrPortFrom(addr(msgDst), binary.BigEndian.Uint16(b[msgDport:]))
	s.UID = binary.NativeEndian.Uint32(b[msgUID:])
	left := int64(0) // what a FIN of the other end was counted for
	switch s.state {
	case tcpSynRecv, tcpNewSynRecv:
		s.State = ConnHalfOpen
	case tcpEstablished:
		s.State = ConnOpen
	case tcpCloseWait:
		s.State, left = ConnLeft, 1
	case tcpFinWait1, tcpFinWait2, tcpLastAck, tcpClosing:
		s.State = ConnClosing
	}
	taken := binary.NativeEndian.Uint32(b[msgInode:]) != 0
	s.Taken = &taken
	for b = b[msgSize:]; len(b) >= unix.SizeofRtAttr; {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return diagSeen{}, errShortDiag
		}
		v := b[unix.SizeofRtAttr:size]
		if binary.NativeEndian.Uint16(b[2:]) == inetDiagInfo && len(v) >= infoBytesReceived+8 && (s.State == ConnOpen || s.State == ConnLeft) {
			out := int64(binary.NativeEndian.Uint64(v[infoBytesAcked:]))
			in := int64(binary.NativeEndian.Uint64(v[infoBytesReceived:])) - left
			s.In, s.Out = &in, &out
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return s, nil
}

// MayBeLedElsewhere reports whether this machine may give what comes to one of its
// ports to another one, or to another machine, before any socket gets it: address
// translation, which tracks each connection that it sees, or IPVS.
func MayBeLedElsewhere() bool {
	if _, err := os.Stat("/proc/net/ip_vs"); err == nil {
		return true
	}
	b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
	if errors.Is(err, os.ErrNotExist) {
		return false // nothing tracks connections here
	}
	return err != nil || strings.TrimSpace(string(b)) != "0"
}

// LedTo is "": what leads a port elsewhere here, MayBeLedElsewhere tells.
func LedTo(uint16) string { return "" }
