package sock

import (
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/windows"
)

// sourceFor has a UDP socket connected, which sends nothing. It is one of its own: that
// of package net wants options of it which not every system that runs Windows' programs
// has, and which nothing is done with here.
func sourceFor(remote netip.AddrPort) (netip.Addr, error) {
	a := remote.Addr().Unmap()
	family, to := int32(windows.AF_INET6), windows.Sockaddr(nil)
	if a.Is4() {
		family, to = windows.AF_INET, &windows.SockaddrInet4{Port: int(remote.Port()), Addr: a.As4()}
	} else {
		to = &windows.SockaddrInet6{Port: int(remote.Port()), Addr: a.As16(), ZoneId: zoneID(a.Zone())}
	}
	s, err := windows.WSASocket(family, windows.SOCK_DGRAM, windows.IPPROTO_UDP, nil, 0, windows.WSA_FLAG_OVERLAPPED|windows.WSA_FLAG_NO_HANDLE_INHERIT)
	if err != nil {
		return netip.Addr{}, &net.OpError{Op: "dial", Net: "udp", Addr: net.UDPAddrFromAddrPort(remote), Err: os.NewSyscallError("socket", err)}
	}
	defer func() { _ = windows.Closesocket(s) }()
	if err := windows.Connect(s, to); err != nil {
		return netip.Addr{}, &net.OpError{Op: "dial", Net: "udp", Addr: net.UDPAddrFromAddrPort(remote), Err: os.NewSyscallError("connect", err)}
	}
	return boundTo(s).Addr(), nil
}

// zoneID is the number of an interface, which may be given by its name; 0: none.
func zoneID(zone string) uint32 {
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	n, err := strconv.ParseUint(zone, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}
