package sock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A capture sees each TCP packet with SYN or RST as headers only, before the
// host's own packet filter drops incoming ones and after it passed outgoing
// ones (packet(7)). It needs CAP_NET_RAW.
type capture struct{ f *os.File }

// Flags of a TCP header (RFC 9293 section 3.1).
const (
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

func openCapture() (*capture, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	if err := startCapture(fd); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &capture{os.NewFile(uintptr(fd), "capture")}, nil
}

// startCapture sets the filter before the socket is bound, so that no other
// packet is ever queued.
func startCapture(fd int) error {
	prog, err := bpf.Assemble(handshakeFilter)
	if err != nil {
		return fmt.Errorf("packet filter: %w", err)
	}
	raw := make([]unix.SockFilter, len(prog))
	for i, p := range prog {
		raw[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(raw)), Filter: &raw[0]}); err != nil {
		return fmt.Errorf("attach packet filter: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20) // more is better, less still works
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all}); err != nil {
		return fmt.Errorf("bind packet socket: %w", err)
	}
	return nil
}

// handshakeFilter passes TCP packets with SYN or RST: IPv4 (first fragments)
// and IPv6 without extension headers.
var handshakeFilter = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtProto},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IPV6, SkipTrue: 8},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IP, SkipTrue: 12},
	bpf.LoadAbsolute{Off: 9, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_TCP, SkipTrue: 10},
	bpf.LoadAbsolute{Off: 6, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1FFF, SkipTrue: 8},
	bpf.LoadMemShift{Off: 0},
	bpf.LoadIndirect{Off: 13, Size: 1},
	bpf.Jump{Skip: 3},
	bpf.LoadAbsolute{Off: 6, Size: 1}, // IPv6
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_TCP, SkipTrue: 3},
	bpf.LoadAbsolute{Off: 40 + 13, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: flagSYN | flagRST, SkipTrue: 1},
	bpf.RetConstant{Val: 128},
	bpf.RetConstant{Val: 0},
}

// Close ends the capture and the loop that reads it.
func (c *capture) Close() { _ = c.f.Close() }

// captureLoop records until the capture is closed.
func (w *Watch) captureLoop(c *capture) {
	rc, err := c.f.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 256)
	for {
		var n int
		var from unix.Sockaddr
		var rerr error
		err := rc.Read(func(fd uintptr) bool {
			n, from, rerr = unix.Recvfrom(int(fd), buf, 0)
			return !errors.Is(rerr, unix.EAGAIN)
		})
		switch {
		case err != nil:
			return // closed
		case errors.Is(rerr, unix.ENOBUFS):
			w.notSeeing(Now().Add(-time.Second), Now(), "more packets arrived than could be captured")
			continue
		case rerr != nil:
			continue // an interface went down
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok {
			continue
		}
		if h, ok := parseHandshake(buf[:n]); ok {
			w.sawPacket(h, ll.Pkttype == unix.PACKET_OUTGOING, ll.Ifindex, Now())
		}
	}
}

// sawPacket records what one packet at an interface says of a connection
// towards this machine.
func (w *Watch) sawPacket(h handshake, outgoing bool, at int, now time.Time) {
	switch {
	case outgoing && h.flags&(flagSYN|flagACK) == flagSYN|flagACK:
		w.saw(h.dst, h.src, now, true, false)
	case !outgoing && h.flags&(flagSYN|flagACK|flagRST) == flagSYN:
		w.saw(h.src, h.dst, now, false, false)
		w.arrived(tuple{h.src, h.dst}, Arrival{now, at})
		if w.isOurs(h.dst) {
			w.knocked.Store(true)
		}
	case !outgoing && h.flags&flagRST != 0:
		w.sawReset(h.src, h.dst, now)
	}
}

// sawReset marks a known attempt as reset; a RST alone is no attempt.
func (w *Watch) sawReset(source, local netip.AddrPort, now time.Time) {
	w.mu.Lock()
	_, known := w.seen[tuple{source, local}]
	w.mu.Unlock()
	if known {
		w.saw(source, local, now, false, true)
	}
}

// handshake is what matters of a captured packet.
type handshake struct {
	src, dst netip.AddrPort
	flags    byte
}

// parseHandshake reads the network and transport headers of a packet.
func parseHandshake(b []byte) (handshake, bool) {
	if len(b) < 1 {
		return handshake{}, false
	}
	var src, dst netip.Addr
	var tcp []byte
	switch b[0] >> 4 {
	case 4:
		n := int(b[0]&0x0F) * 4
		if n < 20 || len(b) < n || b[9] != unix.IPPROTO_TCP {
			return handshake{}, false
		}
		src, dst, tcp = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), b[n:]
	case 6:
		if len(b) < 40 || b[6] != unix.IPPROTO_TCP {
			return handshake{}, false
		}
		src, dst, tcp = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), b[40:]
	default:
		return handshake{}, false
	}
	if len(tcp) < 14 {
		return handshake{}, false
	}
	return handshake{
		src:   netip.AddrPortFrom(src, binary.BigEndian.Uint16(tcp[0:])),
		dst:   netip.AddrPortFrom(dst, binary.BigEndian.Uint16(tcp[2:])),
		flags: tcp[13],
	}, true
}
