package sock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"dialtone/internal/result"
)

// Dropped says what this machine did to the SYNs of an attempt that arrived at
// an interface and that its TCP stack did not answer, and how that shows. What
// is left when nothing else shows is its packet filter.
func (w *Watch) Dropped(h HalfOpen) (result.Drop, string) {
	at, interfaces := lastInterface(h.Arrivals)
	if w.roseWithEach(byReversePath, at) {
		if detail := reversePath(h.Source.Addr(), h.Local.Addr(), at[0].Interface, interfaces); detail != "" {
			return result.DropReversePath, detail
		}
	}
	if w.roseWithEach(byConntrack, at) {
		return result.DropConntrack, "its table of tracked connections is full (net.netfilter.nf_conntrack_max), and its counter of packets dropped for that grew with each SYN"
	}
	if w.roseWithEach(byQueue, at) {
		return result.DropQueue, "the queue of connections that the program has not taken yet is full, and the counter of those turned away (TcpExt ListenOverflows) grew with each SYN"
	}
	return result.DropFirewall, "the SYN arrived at this machine's network interface, and its TCP stack did not answer it: this machine's own firewall dropped it"
}

// overflows is how many connections found the queue of any listening socket of this
// machine full; false if the system does not tell.
func overflows() (uint64, bool) {
	c, err := readCounters()
	return c.overflows, err == nil
}

// droppedBy is how many packets and connections a listening socket has dropped.
func droppedBy(l net.Listener) (n uint32) {
	withDescriptor(l, func(fd int) {
		// SO_MEMINFO (Linux 4.12) is an array of 32-bit numbers, SK_MEMINFO_DROPS the
		// ninth of them (linux/sock_diag.h): where TCP_INFO, which is longer, has Lost.
		if i, err := unix.GetsockoptTCPInfo(fd, unix.SOL_SOCKET, unix.SO_MEMINFO); err == nil {
			n = i.Lost
		}
	})
	return n
}

// reversePath says how it shows that the strict reverse path filter drops what
// comes from source by an interface, "" if it does not: then the way back leaves
// by the same one, or the filter is off or loose there (ip-sysctl, rp_filter).
func reversePath(source, local netip.Addr, in int, interfaces []int) string {
	if !source.Is4() {
		return "" // Linux has none for IPv6
	}
	back, err := routeInterface(source, local)
	if err != nil || slices.Contains(interfaces, back) {
		return ""
	}
	ifIn, err1 := net.InterfaceByIndex(in)
	ifBack, err2 := net.InterfaceByIndex(back)
	if err1 != nil || err2 != nil || max(rpFilter("all"), rpFilter(ifIn.Name)) != rpStrict {
		return ""
	}
	return fmt.Sprintf("its reverse path filter (rp_filter, strict) did: the SYN came in on %s, and the way back to %s leaves by %s. The counter of what it drops (TcpExt IPReversePathFilter) grew with each SYN", ifIn.Name, source, ifBack.Name)
}

// rpStrict is the value of rp_filter at which the way back has to leave by the
// very interface (RFC 3704 section 2.2).
const rpStrict = 1

// rpFilter is rp_filter of an interface, or of all; -1 if it cannot be read.
func rpFilter(name string) int {
	n, err := readNumber(filepath.Join("/proc/sys/net/ipv4/conf", name, "rp_filter"))
	if err != nil {
		return -1
	}
	return n
}

func readNumber(file string) (int, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// conntrackDrops are the packets that connection tracking dropped, and whether
// its table is full now, or nearly so. Without the table there are none.
func conntrackDrops() (dropped uint64, full bool) {
	b, err := os.ReadFile("/proc/net/stat/nf_conntrack")
	if err != nil {
		return 0, false
	}
	count, err1 := readNumber("/proc/sys/net/netfilter/nf_conntrack_count")
	most, err2 := readNumber("/proc/sys/net/netfilter/nf_conntrack_max")
	return parseConntrack(string(b)), err1 == nil && err2 == nil && most > 0 && count >= most-most/20
}

// parseConntrack adds up the column "drop" of /proc/net/stat/nf_conntrack: a
// line of names, then one for each processor, in hex.
func parseConntrack(s string) uint64 {
	column, sum := -1, uint64(0)
	for line := range strings.Lines(s) {
		fields := strings.Fields(line)
		if column < 0 {
			if column = slices.Index(fields, "drop"); column < 0 {
				return 0
			}
			continue
		}
		if column < len(fields) {
			n, _ := strconv.ParseUint(fields[column], 16, 64) // of a line that is none: 0
			sum += n
		}
	}
	return sum
}

// routeInterface is the index of the interface by which this machine would send
// from one of its addresses to another machine (rtnetlink(7), RTM_GETROUTE).
func routeInterface(to, from netip.Addr) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return 0, fmt.Errorf("netlink socket: %w", err)
	}
	defer unix.Close(fd)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}) // it answers at once
	if err := unix.Sendto(fd, routeRequest(to, from), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("ask for a route: %w", err)
	}
	buf := make([]byte, 8192)
	n, _, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return 0, fmt.Errorf("ask for a route: %w", err)
	}
	return parseRoute(buf[:n])
}

// routeRequest is RTM_GETROUTE with RTA_DST and RTA_SRC.
func routeRequest(to, from netip.Addr) []byte {
	family, bits := byte(unix.AF_INET), byte(32)
	if to.Is6() {
		family, bits = unix.AF_INET6, 128
	}
	ne := binary.NativeEndian
	b := make([]byte, unix.SizeofNlMsghdr+unix.SizeofRtMsg)
	msg := b[unix.SizeofNlMsghdr:]
	msg[0], msg[1], msg[2] = family, bits, bits
	for _, a := range []struct {
		typ  uint16
		addr netip.Addr
	}{{unix.RTA_DST, to}, {unix.RTA_SRC, from}} {
		raw := a.addr.AsSlice()
		b = ne.AppendUint16(b, uint16(unix.SizeofRtAttr+len(raw)))
		b = ne.AppendUint16(b, a.typ)
		b = append(b, raw...)
	}
	ne.PutUint32(b[0:], uint32(len(b)))
	ne.PutUint16(b[4:], unix.RTM_GETROUTE)
	ne.PutUint16(b[6:], unix.NLM_F_REQUEST)
	return b
}

// parseRoute reads RTA_OIF of the answer.
func parseRoute(b []byte) (int, error) {
	ne := binary.NativeEndian
	if len(b) < unix.SizeofNlMsghdr+unix.SizeofRtMsg || ne.Uint16(b[4:]) != unix.RTM_NEWROUTE {
		return 0, errors.New("no route")
	}
	b = b[unix.SizeofNlMsghdr+unix.SizeofRtMsg : min(len(b), max(int(ne.Uint32(b)), unix.SizeofNlMsghdr+unix.SizeofRtMsg))]
	for len(b) >= unix.SizeofRtAttr {
		n := int(ne.Uint16(b))
		if n < unix.SizeofRtAttr || n > len(b) {
			break
		}
		if ne.Uint16(b[2:]) == unix.RTA_OIF && n >= unix.SizeofRtAttr+4 {
			return int(ne.Uint32(b[unix.SizeofRtAttr:])), nil
		}
		b = b[min(len(b), (n+3)&^3):]
	}
	return 0, errors.New("a route without an interface")
}
