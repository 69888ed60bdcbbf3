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

// A PortUse is what keeps others from binding a local address and port: it has
// that address, or all of them, or any if the address is unspecified. The zero
// value: the system shows nothing that does.
type PortUse struct {
	// Holder is the software that has it; nil if the system does not tell (on Linux
	// it tells root of every process of its namespace, and others only of their own).
	Holder      *result.Holder
	IsListening bool
	// Remote is where it is connected to, if it is the local port of a connection.
	Remote netip.AddrPort
}

// PortUseOf finds what has a port. It walks every process: not for polling.
func PortUseOf(ctx context.Context, t plan.Transport, at netip.AddrPort) PortUse {
	return PortUses(ctx, t)(ctx, at)
}

// PortUses walks every process once, and returns what tells of each port what has it.
func PortUses(ctx context.Context, t plan.Transport) func(ctx context.Context, at netip.AddrPort) PortUse {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conns, err := net.ConnectionsWithContext(ctx, string(t))
	if err != nil {
		conns = nil
	}
	return func(ctx context.Context, at netip.AddrPort) PortUse { return portUse(ctx, conns, t, at) }
}

func portUse(ctx context.Context, conns []net.ConnectionStat, t plan.Transport, at netip.AddrPort) (use PortUse) {
	var pid int32
	for _, c := range conns {
		if c.Laddr.Port != uint32(at.Port()) || c.Status == "TIME_WAIT" || !overlaps(c.Laddr.IP, at.Addr()) {
			continue // a socket in TIME_WAIT keeps nobody from listening (SO_REUSEADDR)
		}
		now := PortUse{IsListening: t == plan.TCP && c.Status == "LISTEN" || t == plan.UDP && c.Raddr.Port == 0}
		if a, err := netip.ParseAddr(c.Raddr.IP); err == nil && !now.IsListening {
			now.Remote = netip.AddrPortFrom(a.Unmap(), uint16(c.Raddr.Port))
		}
		// One that listens before one that is connected, one that is named before others.
		if use.IsListening && !now.IsListening || use.IsListening == now.IsListening && (pid != 0 || use.Remote.IsValid() && c.Pid == 0) {
			continue
		}
		use, pid = now, c.Pid
	}
	if pid != 0 {
		use.Holder = &result.Holder{PID: pid}
		if p, err := process.NewProcessWithContext(ctx, pid); err == nil {
			use.Holder.Name, _ = p.NameWithContext(ctx) // without the name the pid still helps
		}
	}
	return use
}

// PortOwner returns the software that listens on a local address and port, as
// PortUseOf finds it; nil if none does, or the system does not tell.
func PortOwner(ctx context.Context, t plan.Transport, at netip.AddrPort) *result.Holder {
	if use := PortUseOf(ctx, t, at); use.IsListening {
		return use.Holder
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
