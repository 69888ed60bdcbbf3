package address

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// isOwn reports whether this machine itself answered a question: at one of its
// own addresses, or at another that leads here, as the listener's instance
// shows. Nobody outside has seen anything then. A loopback address is no outside
// one either way, and is told as what it is.
func (r *run) isOwn(ctx context.Context, target netip.Addr, p echo.Proof) bool {
	if isLocal(target) {
		return true
	}
	// RESPONSE-ORIGIN may be an address that some other machine in another network
	// has too: the one that answers at it from here tells.
	return p.Origin.Addr() != target && isLocal(p.Origin.Addr()) &&
		slices.ContainsFunc(r.ownPorts(p.Origin.Port()), func(port uint16) bool {
			instance, _ := listener.InstanceAt(ctx, netip.AddrPortFrom(p.Origin.Addr(), port), r.Key, r.id)
			return instance == p.Instance.String()
		})
}

// ownPorts are the TCP ports at which a listener that answered at a port can be
// asked who it is: that one and, since it may be of UDP, Odyssey's.
func (r *run) ownPorts(answered uint16) []uint16 {
	ports := []uint16{answered}
	if row, ok := odysseyRow(r.Plan); ok {
		ports = addOnce(ports, uint16(row.Port))
	}
	return ports
}

// isLocal reports whether an address is one of this machine's own and no
// loopback one.
func isLocal(a netip.Addr) bool {
	own, err := sock.LocalAddrs()
	return err == nil && !a.IsLoopback() && slices.Contains(own, a)
}

// askedItself says of each observer that is this machine itself that it tells
// nothing.
func (c *conclusion) askedItself() {
	said := map[string]bool{}
	for _, v := range c.Views {
		if !v.Own || said[v.Observer] {
			continue
		}
		said[v.Observer] = true
		at := v.Target.Addr().String()
		text := fmt.Sprintf("%s is this machine itself: it was asked at its own address, so nobody outside has seen it, and no firewall was crossed.", nameAndAddr(v.Observer, at))
		if v.Origin.IsValid() && v.Origin.Addr() != v.Target.Addr() {
			text = fmt.Sprintf("%s leads back to this machine (%s): it asked itself by way of the NAT, so nobody outside has seen it.", nameAndAddr(v.Observer, at), v.Origin.Addr())
		}
		c.find(result.CodeAskedItself, text, "Ask somebody outside: a partner's listen, or a STUN server (--stun).")
	}
}

// ofOthers are the views of those that are not this machine itself.
func ofOthers(views []result.View) []result.View {
	return slices.DeleteFunc(slices.Clone(views), func(v result.View) bool { return v.Own })
}
