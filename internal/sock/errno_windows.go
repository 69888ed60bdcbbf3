package sock

import (
	"syscall"

	"golang.org/x/sys/windows"

	"dialtone/internal/result"
)

func classifyErrno(e syscall.Errno) result.ConnectOutcome {
	switch e {
	case windows.WSAETIMEDOUT:
		return result.ConnectTimeout
	case windows.WSAECONNREFUSED, windows.ERROR_CONNECTION_REFUSED:
		return result.ConnectRST
	case windows.WSAEACCES:
		return result.ConnectDenied
	case windows.WSAENETUNREACH, windows.WSAEHOSTUNREACH, windows.WSAENETDOWN, windows.WSAEHOSTDOWN,
		windows.WSAEADDRNOTAVAIL, windows.WSAEAFNOSUPPORT,
		windows.ERROR_NETWORK_UNREACHABLE, windows.ERROR_HOST_UNREACHABLE:
		return result.ConnectNoRoute
	}
	return result.ConnectFailed
}

func isReset(e syscall.Errno) bool {
	return e == windows.WSAECONNRESET || e == windows.WSAECONNABORTED || e == windows.ERROR_NETNAME_DELETED
}

func isInUse(e syscall.Errno) bool { return e == windows.WSAEADDRINUSE }

// isTupleInUse: the same source, destination and ports were in use a moment ago.
func isTupleInUse(e syscall.Errno) bool { return e == windows.WSAEADDRNOTAVAIL }

// isNoPort: no local port could be chosen for a socket.
func isNoPort(e syscall.Errno) bool { return e == windows.WSAENOBUFS }

func isNoDescriptor(e syscall.Errno) bool { return e == windows.WSAEMFILE }

// isTooLarge reports EMSGSIZE.
func isTooLarge(e syscall.Errno) bool { return e == windows.WSAEMSGSIZE }
