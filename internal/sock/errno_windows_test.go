package sock

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"dialtone/internal/result"
)

// The table's numbers are this system's own.
func TestCodesAreThoseOfTheSystem(t *testing.T) {
	own := map[string]syscall.Errno{
		"ERROR_ACCESS_DENIED": windows.ERROR_ACCESS_DENIED, "ERROR_NETNAME_DELETED": windows.ERROR_NETNAME_DELETED,
		"ERROR_SEM_TIMEOUT": windows.ERROR_SEM_TIMEOUT, "ERROR_CONNECTION_REFUSED": windows.ERROR_CONNECTION_REFUSED,
		"ERROR_NETWORK_UNREACHABLE": windows.ERROR_NETWORK_UNREACHABLE, "ERROR_HOST_UNREACHABLE": windows.ERROR_HOST_UNREACHABLE,
		"ERROR_PORT_UNREACHABLE": windows.ERROR_PORT_UNREACHABLE, "ERROR_CONNECTION_ABORTED": windows.ERROR_CONNECTION_ABORTED,
		"WSAEACCES": windows.WSAEACCES, "WSAEINVAL": windows.WSAEINVAL, "WSAEMFILE": windows.WSAEMFILE, "WSAEMSGSIZE": windows.WSAEMSGSIZE,
		"WSAEAFNOSUPPORT": windows.WSAEAFNOSUPPORT, "WSAEADDRINUSE": windows.WSAEADDRINUSE, "WSAEADDRNOTAVAIL": windows.WSAEADDRNOTAVAIL,
		"WSAENETDOWN": windows.WSAENETDOWN, "WSAENETUNREACH": windows.WSAENETUNREACH, "WSAENETRESET": windows.WSAENETRESET,
		"WSAECONNABORTED": windows.WSAECONNABORTED, "WSAECONNRESET": windows.WSAECONNRESET, "WSAENOBUFS": windows.WSAENOBUFS,
		"WSAETIMEDOUT": windows.WSAETIMEDOUT, "WSAECONNREFUSED": windows.WSAECONNREFUSED, "WSAEHOSTDOWN": windows.WSAEHOSTDOWN,
		"WSAEHOSTUNREACH": windows.WSAEHOSTUNREACH,
	}
	for _, c := range winsockCodes {
		if own[c.name] != c.code {
			t.Errorf("%s is %d here, %d in the table", c.name, own[c.name], c.code)
		}
	}
	if len(own) != len(winsockCodes) {
		t.Errorf("%d names, %d rows", len(own), len(winsockCodes))
	}
}

// What the net package hands up is read by the same table.
func TestErrorsOfSocketsAreRead(t *testing.T) {
	of := func(network, call string, e syscall.Errno) error {
		return fmt.Errorf("x: %w", &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError(call, e)})
	}
	denied := of("tcp", "bind", windows.WSAEACCES)
	if errors.Is(denied, os.ErrPermission) {
		t.Error("os.ErrPermission knows WSAEACCES now: isNoPermission is not needed")
	}
	if !IsNoPermission(denied) || !IsSourcePort(denied) || Classify(denied) != result.ConnectDenied {
		t.Error("WSAEACCES is not told as denied")
	}
	if err := of("udp", "wsarecv", windows.WSAECONNRESET); IsReset(err) || Classify(err) != result.ConnectRST {
		t.Error("an ICMP error for a datagram is told as a reset")
	}
	if err := of("tcp", "wsarecv", windows.WSAECONNRESET); !IsReset(err) {
		t.Error("a reset is not told")
	}
	if err := noPort(netip.MustParseAddrPort("127.0.0.1:0"), of("tcp", "bind", windows.WSAENOBUFS)); LackOf(err) != result.LackPort {
		t.Error("that no port is free is not told")
	}
}

// A refused connection's source port is what a firewall's log is searched by.
func TestFailedDialKnowsItsSourcePort(t *testing.T) {
	start := time.Now()
	d := Dial(t.Context(), "tcp", netip.MustParseAddrPort("127.0.0.1:0"), closedPort(t, "127.0.0.1:0"))
	if Classify(d.Err) != result.ConnectRST || d.Source.Port() == 0 {
		t.Errorf("from %s: %v (%v)", d.Source, d.Err, time.Since(start))
	}
}
