package sock

import (
	"context"
	"time"

	"github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// PortOwner returns the software that listens on a local port, nil if the
// system does not tell (on Linux it tells root of every process and others
// only of their own). It walks every process: not for polling.
func PortOwner(ctx context.Context, t plan.Transport, port int) *result.Holder {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conns, err := net.ConnectionsWithContext(ctx, string(t))
	if err != nil {
		return nil
	}
	for _, c := range conns {
		if int(c.Laddr.Port) != port || c.Pid == 0 || t == plan.TCP && c.Status != "LISTEN" {
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
