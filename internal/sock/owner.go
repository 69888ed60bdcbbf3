package sock

import (
	"context"
	"net/netip"
	"time"

	"github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// PortOwner returns the software that keeps others from binding a local address
// and port: it holds that address, or all of them, or any if the address is
// unspecified. It is nil if the system does not tell (on Linux it tells root of
// every process and others only of their own). It walks every process: not for
// polling.
func PortOwner(ctx context.Context, t plan.Transport, at netip.AddrPort) *result.Holder {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conns, err := net.ConnectionsWithContext(ctx, string(t))
	if err != nil {
		return nil
	}
	for _, c := range conns {
		if c.Laddr.Port != uint32(at.Port()) || c.Pid == 0 || t == plan.TCP && c.Status != "LISTEN" || !overlaps(c.Laddr.IP, at.Addr()) {
			continue
		}
		h := &result.Holder{PID: c.Pid}
		if p, err := process.NewProcessWithContext(ctx, c.Pid); err == nil {
			h.Name, _ = p.NameWithContext(ctx) // without the name the pid still helps
		}
		return h
	}
	return nil
}

// overlaps reports whether a socket on held, as the system writes it, can keep
// another from binding wanted. A wildcard of IPv6 may hold IPv4 as well.
func overlaps(held string, wanted netip.Addr) bool {
	a, err := netip.ParseAddr(held)
	if err != nil {
		return held == "*" || held == ""
	}
	a, wanted = a.Unmap().WithZone(""), wanted.Unmap().WithZone("")
	switch {
	case a == wanted, a == netip.IPv6Unspecified():
		return true
	case a.IsUnspecified(), wanted.IsUnspecified():
		return a.Is4() == wanted.Is4()
	}
	return false
}
