package sock

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"dialtone/internal/result"
)

// optTimestamps is TCPI_OPT_TIMESTAMPS (linux/tcp.h).
const optTimestamps = 1

// TCPInfoOf returns what the system knows of a TCP connection, nil if it does
// not tell.
func TCPInfoOf(c net.Conn) *result.TCP {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	var info *unix.TCPInfo
	if cerr := rc.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); cerr != nil || err != nil {
		return nil
	}
	return &result.TCP{
		MSS: int(info.Snd_mss), RTTMS: float64(info.Rtt) / 1000, Retransmits: int(info.Total_retrans),
		Timestamps: info.Options&optTimestamps != 0, PathMTU: int(info.Pmtu),
	}
}
