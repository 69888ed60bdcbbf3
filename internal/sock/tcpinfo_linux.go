package sock

import (
	"net"
	"time"

	"golang.org/x/sys/unix"

	"dialtone/internal/result"
)

// Those of tcpi_options that matter here: TCPI_OPT_TIMESTAMPS, TCPI_OPT_WSCALE,
// TCPI_OPT_ECN and TCPI_OPT_ECN_SEEN (linux/tcp.h).
const (
	optTimestamps  = 1
	optWindowScale = 4
	optECN         = 8
	optECNSeen     = 16
)

// TCPInfoOf returns what the system knows of a TCP connection, nil if it does
// not tell.
func TCPInfoOf(c net.Conn) *result.TCP {
	info := tcpInfo(c)
	if info == nil {
		return nil
	}
	return &result.TCP{
		MSS: int(info.Snd_mss), RTTMS: float64(info.Rtt) / 1000, Retransmits: int(info.Total_retrans),
		Timestamps: info.Options&optTimestamps != 0, PathMTU: int(info.Pmtu),
		Segments: int(info.Data_segs_out), Needless: int(info.Dsack_dups), Reordered: int(info.Reord_seen),
		Unscaled: info.Options&optWindowScale == 0, Window: int(info.Snd_wnd),
		ECN: info.Options&optECN != 0, ECNSeen: info.Options&optECNSeen != 0,
	}
}

// CountersOf returns how many bytes of a TCP connection were acknowledged and
// received; false if the system does not tell. Neither counts what the program
// has or has not read.
func CountersOf(c net.Conn) (Counters, bool) {
	info := tcpInfo(c)
	if info == nil {
		return Counters{}, false
	}
	return Counters{Acknowledged: int64(info.Bytes_acked), Received: int64(info.Bytes_received)}, true
}

// FlightOf returns what is on its way on a TCP connection; false if the system
// does not tell.
func FlightOf(c net.Conn) (Flight, bool) {
	info := tcpInfo(c)
	if info == nil {
		return Flight{}, false
	}
	return Flight{Unacknowledged: int(info.Unacked), Resent: int(info.Retransmits), MSS: int(info.Snd_mss), Window: int(info.Snd_wnd)}, true
}

// SinceData returns how long ago the last byte of a TCP connection arrived at this
// machine, whenever the program read it; 0 if the system does not tell.
func SinceData(c net.Conn) time.Duration {
	info := tcpInfo(c)
	if info == nil {
		return 0
	}
	return time.Duration(info.Last_data_recv) * time.Millisecond
}

func tcpInfo(c net.Conn) (info *unix.TCPInfo) {
	withDescriptor(c, func(fd int) {
		if i, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			info = i
		}
	})
	return info
}
