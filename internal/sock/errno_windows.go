package sock

import (
	"syscall"

	"dialtone/internal/result"
)

func classifyErrno(e syscall.Errno, datagram bool) result.ConnectOutcome {
	return winsockOf(e).of(datagram)
}

func isReset(e syscall.Errno) bool { return winsockOf(e).is(winReset) }

func isInUse(e syscall.Errno) bool { return winsockOf(e).is(winInUse) }

// isTupleInUse: the same source, destination and ports were in use a moment ago.
func isTupleInUse(e syscall.Errno) bool { return winsockOf(e).is(winTupleInUse) }

// isNoPort: no local port could be chosen for a socket.
func isNoPort(e syscall.Errno) bool { return winsockOf(e).is(winNoPort) }

func isNoDescriptor(e syscall.Errno) bool { return winsockOf(e).is(winNoDescriptor) }

// isUnreachableHost: recv and connect name no sender.
func isUnreachableHost(e syscall.Errno) bool { return winsockOf(e).is(winUnreachable) }

// isTooLarge reports EMSGSIZE.
func isTooLarge(e syscall.Errno) bool { return winsockOf(e).is(winTooLarge) }

// isNoPermission: os.ErrPermission knows the codes of files, and none of sockets.
func isNoPermission(e syscall.Errno) bool { return winsockOf(e).is(winNoPermission) }
