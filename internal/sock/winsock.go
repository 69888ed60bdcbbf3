package sock

import (
	"syscall"

	"dialtone/internal/result"
)

// A winsockCode is an error of Windows' sockets and what it means here. The numbers
// are Microsoft's (Windows Sockets Error Codes; System Error Codes below 10000, which
// an overlapped operation ends with), so that the table reads the same on any system.
type winsockCode struct {
	code syscall.Errno
	name string
	// stream is what it says of a TCP connection, packet of a datagram where that
	// is something else ("": the same).
	stream, packet result.ConnectOutcome
	traits         winsockTrait
}

// A winsockTrait is what else an error says.
type winsockTrait uint

const (
	winReset        winsockTrait = 1 << iota // the connection was reset: on a stream only
	winInUse                                 // another socket has the port
	winTupleInUse                            // this source, destination and ports were in use a moment ago
	winNoPort                                // no local port could be chosen
	winNoDescriptor                          // this process may have no more sockets
	winTooLarge                              // the datagram is larger than the path carries
	winUnreachable                           // no host: its own network may say so, or a device on the way
	winNoPermission                          // this program may not have the port, or not send there
)

var winsockCodes = []winsockCode{
	{5, "ERROR_ACCESS_DENIED", result.ConnectDenied, "", winNoPermission},
	{64, "ERROR_NETNAME_DELETED", result.ConnectFailed, "", winReset},
	{121, "ERROR_SEM_TIMEOUT", result.ConnectTimeout, "", 0},
	{1225, "ERROR_CONNECTION_REFUSED", result.ConnectRST, "", 0},
	{1231, "ERROR_NETWORK_UNREACHABLE", result.ConnectNoRoute, "", winUnreachable},
	{1232, "ERROR_HOST_UNREACHABLE", result.ConnectNoRoute, "", winUnreachable},
	{1234, "ERROR_PORT_UNREACHABLE", result.ConnectFailed, result.ConnectRST, 0},
	{1236, "ERROR_CONNECTION_ABORTED", result.ConnectFailed, "", winReset},
	// A reserved range, HTTP.SYS, another program's SO_EXCLUSIVEADDRUSE; in connecting,
	// the firewall of this machine or a policy (Windows Filtering Platform).
	{10013, "WSAEACCES", result.ConnectDenied, "", winNoPermission},
	{10022, "WSAEINVAL", result.ConnectFailed, "", 0},
	{10024, "WSAEMFILE", result.ConnectFailed, "", winNoDescriptor},
	{10040, "WSAEMSGSIZE", result.ConnectFailed, "", winTooLarge},
	{10047, "WSAEAFNOSUPPORT", result.ConnectNoRoute, "", 0},
	{10048, "WSAEADDRINUSE", result.ConnectFailed, "", winInUse},
	{10049, "WSAEADDRNOTAVAIL", result.ConnectNoRoute, "", winTupleInUse},
	{10050, "WSAENETDOWN", result.ConnectNoRoute, "", 0},
	{10051, "WSAENETUNREACH", result.ConnectNoRoute, "", 0},
	// A keepalive went unanswered; of a datagram, that its time to live ran out on
	// the way (recv, Microsoft's documentation).
	{10052, "WSAENETRESET", result.ConnectTimeout, result.ConnectFailed, 0},
	{10053, "WSAECONNABORTED", result.ConnectFailed, "", winReset},
	// Of a datagram: an earlier one brought ICMP port unreachable.
	{10054, "WSAECONNRESET", result.ConnectFailed, result.ConnectRST, winReset},
	{10055, "WSAENOBUFS", result.ConnectFailed, "", winNoPort},
	{10060, "WSAETIMEDOUT", result.ConnectTimeout, "", 0},
	{10061, "WSAECONNREFUSED", result.ConnectRST, "", 0},
	{10064, "WSAEHOSTDOWN", result.ConnectNoRoute, "", winUnreachable},
	{10065, "WSAEHOSTUNREACH", result.ConnectNoRoute, "", winUnreachable},
}

// winsockOf finds what an error of Windows means; one that the table lacks tells
// nothing of the path.
func winsockOf(e syscall.Errno) winsockCode {
	for _, c := range winsockCodes {
		if c.code == e {
			return c
		}
	}
	return winsockCode{code: e, stream: result.ConnectFailed}
}

// of is what the error says of a datagram, or of a connection.
func (c winsockCode) of(datagram bool) result.ConnectOutcome {
	if datagram && c.packet != "" {
		return c.packet
	}
	return c.stream
}

func (c winsockCode) is(t winsockTrait) bool { return c.traits&t != 0 }
