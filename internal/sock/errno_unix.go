//go:build unix

package sock

import (
	"runtime"
	"syscall"

	"dialtone/internal/result"
)

// classifyErrno says of a datagram what it says of a connection, here.
func classifyErrno(e syscall.Errno, _ bool) result.ConnectOutcome {
	switch e {
	case syscall.ETIMEDOUT:
		return result.ConnectTimeout
	case syscall.ECONNREFUSED:
		return result.ConnectRST
	case syscall.EACCES, syscall.EPERM:
		return result.ConnectDenied
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN,
		syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT,
		syscall.EINVAL: // a blackhole route (ip-route(8))
		return result.ConnectNoRoute
	}
	return result.ConnectFailed
}

func isReset(e syscall.Errno) bool {
	return e == syscall.ECONNRESET || e == syscall.EPIPE || e == syscall.ECONNABORTED
}

func isInUse(e syscall.Errno) bool { return e == syscall.EADDRINUSE }

// isTupleInUse: the same source, destination and ports were in use a moment ago.
func isTupleInUse(e syscall.Errno) bool { return e == syscall.EADDRNOTAVAIL }

// isNoPort: no local port could be chosen for a socket (Linux's inet_autobind).
func isNoPort(e syscall.Errno) bool { return e == syscall.EAGAIN }

func isNoDescriptor(e syscall.Errno) bool { return e == syscall.EMFILE || e == syscall.ENFILE }

// isUnreachableHost: Linux hands up the ICMP error beside it (ip(7), IP_RECVERR), and
// what has none is its own finding.
func isUnreachableHost(e syscall.Errno) bool {
	return runtime.GOOS != "linux" && (e == syscall.EHOSTUNREACH || e == syscall.EHOSTDOWN || e == syscall.ENETUNREACH)
}

// isTooLarge reports EMSGSIZE.
func isTooLarge(e syscall.Errno) bool { return e == syscall.EMSGSIZE }

// isNoPermission: os.ErrPermission knows these.
func isNoPermission(e syscall.Errno) bool { return e == syscall.EACCES || e == syscall.EPERM }
