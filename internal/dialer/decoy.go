package dialer

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/sock"
)

// decoys is how many ports on which nothing ought to listen have to answer
// before something on the way is said to answer for all. One may be taken.
const decoys = 2

// OpensDecoys reports whether connections to ports of an address open which nobody
// uses: those that the plan does not have and that are not taken. from is the local
// address, invalid for the system's choice; each connection gets so much time.
func OpensDecoys(ctx context.Context, to, from netip.Addr, timeout time.Duration, p *plan.Plan, isTaken func(port int) bool) bool {
	for range decoys {
		if !opens(ctx, netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, decoyPort(p, isTaken)), timeout) {
			return false
		}
	}
	return true
}

// decoyPort is a port that nobody has, and that systems do not hand out by
// themselves (RFC 6335 section 6 ff. leaves many of these to nobody).
func decoyPort(of *plan.Plan, isTaken func(port int) bool) uint16 {
	for {
		p := 20000 + rand.N(10000)
		if !isTaken(p) && !slices.ContainsFunc(of.Rows, func(r plan.Row) bool { return r.Port == p }) {
			return uint16(p)
		}
	}
}

// opens reports whether a connection to at opens.
func opens(ctx context.Context, from, at netip.AddrPort, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	d := sock.Dial(ctx, "tcp", from, at)
	if d.Err != nil {
		return false
	}
	d.Conn.Close()
	return true
}
