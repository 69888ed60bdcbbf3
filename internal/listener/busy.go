package listener

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/service"
	"dialtone/internal/sock"
)

// busyTime bounds the look at ports that other software holds.
const busyTime = 3 * time.Second

// lookAtBusy has the service's own conversation with whatever has a port that
// was wanted, on this machine itself, so that a far end can tell that software
// from a device on the way.
func (l *Listener) lookAtBusy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, busyTime)
	defer cancel()
	own, _ := sock.LocalAddrs() // loopback alone serves most programs
	l.mu.Lock()
	busy := append([]result.BusyPort(nil), l.busy...)
	l.mu.Unlock()
	var all sync.WaitGroup
	for i, b := range busy {
		speaks := l.speaksAt(b)
		at := b.Address.Addr
		if !at.IsValid() || !b.InUse || b.Transport != plan.TCP || !service.Knows(speaks, plan.TCP) || speaks.Language().Quiet {
			continue
		}
		all.Go(func() {
			c := look(ctx, candidates(at, own), b.Port, speaks)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.busy[i].Software, l.busy[i].Certificate = c.Software, c.Fact(result.FactCertificate)
		})
	}
	all.Wait()
}

// speaksAt is the protocol of the rows of a port.
func (l *Listener) speaksAt(b result.BusyPort) plan.Protocol {
	for _, p := range l.Ports {
		if p.Port == b.Port && p.Transport == b.Transport {
			return p.Speaks()
		}
	}
	return ""
}

// candidates are the addresses where a program may have a port that could not
// be bound at addr.
func candidates(addr netip.Addr, own []netip.Addr) []netip.Addr {
	if !addr.IsUnspecified() {
		return []netip.Addr{addr}
	}
	out := []netip.Addr{netip.IPv6Loopback()}
	if addr.Is4() {
		out = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	for _, a := range own {
		if a.Is4() == addr.Is4() && !a.IsLoopback() {
			out = append(out, a)
		}
	}
	return out
}

// look has a conversation at the first of the addresses that accepts. It
// brings no token made with the key.
func look(ctx context.Context, at []netip.Addr, port int, speaks plan.Protocol) result.Conversation {
	for _, a := range at {
		d := sock.Dial(ctx, "tcp", netip.AddrPort{}, netip.AddrPortFrom(a, uint16(port)))
		if d.Err != nil {
			continue
		}
		defer d.Conn.Close()
		return service.Ask(ctx, d.Conn, speaks, service.Question{Host: a.String(), DataAddr: sock.AddrPortOf(d.Conn.LocalAddr()).Addr()})
	}
	return result.Conversation{}
}
