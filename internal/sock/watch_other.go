//go:build !linux

package sock

import (
	"context"
	"net/netip"
	"time"

	"github.com/shirou/gopsutil/v4/net"

	"dialtone/internal/result"
)

// run polls the system's table of connections. What it sees is evidence; what
// it does not see proves nothing here, because a half-open connection that was
// reset at once leaves no trace.
func (w *Watch) run(ctx context.Context, ready func(result.WitnessState)) {
	if err := w.pollTable(ctx); err != nil {
		return // WitnessNone
	}
	w.looks = looks{last: Now()}
	ready(result.WitnessTable)
	w.keepLooking(ctx, pollEvery)
}

// looks is what one look leaves for the next.
type looks struct{ last time.Time } // when it began

// look polls the table once, unless that was begun since it was asked for.
func (w *Watch) look(asked time.Time, _ bool) {
	w.looking.Lock()
	defer w.looking.Unlock()
	if w.looks.last.After(asked) {
		return // somebody else's look, which serves as well: to read the tables takes long where they are
	}
	began := Now()
	_ = w.pollTable(context.Background()) // what it does not show proves nothing anyway
	w.notSeeing(w.looks.last, Now(), "this system's table does not show connections that are reset at once")
	w.looks.last = began
}

func (w *Watch) pollTable(ctx context.Context) error {
	conns, err := net.ConnectionsWithoutUidsWithContext(ctx, "tcp")
	if err != nil {
		return err
	}
	now := Now()
	for _, c := range conns {
		if c.Status != "SYN_RECV" && c.Status != "SYN_RECEIVED" {
			continue
		}
		source, err1 := parseAddrPort(c.Raddr)
		local, err2 := parseAddrPort(c.Laddr)
		if err1 == nil && err2 == nil {
			w.saw(source, local, now, true, false)
		}
	}
	return nil
}
func parseAddrPort(a net.Addr) (netip.AddrPort, error) {
	ip, err := netip.ParseAddr(a.IP)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(a.Port)), nil
}
