package listener

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"dialtone/internal/dialer"
	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// A Listener is the Host of its Answerer.
var _ echo.Host = (*Listener)(nil)

// Event implements echo.Host.
func (l *Listener) Event(p echo.Peer, k echo.Kind) {
	switch k {
	case echo.KindAsked:
		l.arrivals.asked(p)
	case echo.KindProved:
		l.arrivals.proved(p)
		l.provedAddrs.add(p.Remote.Addr())
		if l.isTenant(p) {
			l.tenants.came(p.Remote)
		}
	}
	l.event(Event{Kind: k, Peer: p})
}

// Hello implements echo.Host.
func (l *Listener) Hello(p echo.Peer) echo.Hello {
	h := echo.Hello{
		Software: l.Software, Instance: l.Instance, Plan: l.Plan.Name, Shift: l.Shift,
		Bound: map[string][]int{}, High: map[string]int{},
		Clock: time.Now().UnixMilli(), Witness: l.watch.State(),
		Certificate: l.Fingerprint(), Partners: l.Partners,
		Started: l.began.UnixMilli(), UptimeMS: sock.Since(l.began).Milliseconds(), SleptMS: l.troubles.sleptFor().Milliseconds(),
		OtherRuns: l.arrivals.otherRuns(p.Remote.Addr(), sock.Now().Add(-time.Minute), p.Run, l.Instance),
		Ordinary:  true, Board: l.OnReport != nil,
		Neighbour: sock.IsOnLink(p.Remote.Addr()), Shed: l.sheds.lately(sock.Now()),
	}
	for _, r := range l.Roles {
		h.Roles = append(h.Roles, string(r))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h.Busy = slices.Clone(l.busy)
	for _, b := range l.bound {
		key := string(b.Transport) + "6"
		if b.addr.Addr().Is4() {
			key = string(b.Transport) + "4"
		}
		h.Bound[key] = append(h.Bound[key], int(b.addr.Port()))
		if b.Port == 0 && b.addr.Addr().Is4() == p.Remote.Addr().Is4() {
			for _, r := range b.Rows {
				h.High[r.ID] = int(b.addr.Port())
			}
		}
	}
	return h
}

// Witness implements echo.Host.
func (l *Listener) Witness(p echo.Peer, w echo.Witness) echo.Witnessed {
	return echo.Witnessed{Answers: l.sightings(w.Queries, p.Remote.Addr(), p.Run), Paused: l.Paused(p.Remote.Addr()), Shed: l.sheds.lately(sock.Now())}
}

const (
	// maxDialBacks bounds the dial-back requests under way, maxDialBacksOfRun those of
	// one run, and backsAtOnce the attempts of one of them.
	maxDialBacks      = 16
	maxDialBacksOfRun = 6
	backsAtOnce       = echo.MaxDialBack
	// maxBackTimeout bounds what a request may ask of each attempt.
	maxBackTimeout = time.Minute
	// maxBackRTTMS bounds what a request may say of a round trip.
	maxBackRTTMS = 3000
)

// DialBack implements echo.Host. The only addresses it dials are those from
// which this very run proved itself, and those that this end itself knows its
// partner by; the only ports are the plan's, and for rows whose port is
// arbitrary (FTP active data) those from 1024 on.
func (l *Listener) DialBack(ctx context.Context, p echo.Peer, d echo.DialBack) echo.DialedBack {
	out := echo.DialedBack{Halves: make([]result.Initiator, len(d.Paths))}
	release, why := l.backs.take(ctx, p)
	if why != "" {
		for i := range out.Halves {
			out.Halves[i].NotTried = why
		}
		return out
	}
	defer release()
	opts := l.backOptions(p, d.TimeoutMS)
	opts.Bytes = d.Bytes
	g := errgroup.Group{}
	g.SetLimit(backsAtOnce)
	for i, b := range d.Paths {
		path, err := l.backPath(p, b)
		if err != nil {
			out.Halves[i].NotTried = err.Error()
			l.event(Event{Kind: echo.KindDialBack, Peer: p, Detail: "refused: " + err.Error()})
			continue
		}
		l.event(Event{Kind: echo.KindDialBack, Peer: p, Detail: fmt.Sprintf("to %s for %s", path.Target, path.Flow)})
		g.Go(func() error {
			opts := opts
			opts.Trace, opts.Samples, opts.ProofOnly = b.Trace, min(b.Samples, echo.MaxSamples), b.ProofOnly
			if b.Ordinary {
				spoken := dialer.Conversation{Speaks: path.Speaks, Host: path.Target.Addr().String()}
				out.Halves[i], _ = dialer.Ordinary(ctx, path, opts, spoken, b.Line, dialer.Unseeing)
				return nil
			}
			if n := min(b.Study, echo.MaxSamples); n > 0 {
				opts.RTT = time.Duration(min(max(0, b.RTTMS), maxBackRTTMS) * float64(time.Millisecond))
				ports := b.Ports[:min(len(b.Ports), echo.MaxSamples)]
				out.Halves[i] = result.Initiator{Probe: b.Probe.String(), Connections: dialer.Study(ctx, path, opts, &result.Initiator{}, ports, n)}
				return nil
			}
			out.Halves[i] = dialer.Attempt(ctx, path, opts)
			l.dialed.attempted(p.Run, path.Transport, path.Target, out.Halves[i])
			return nil
		})
	}
	_ = g.Wait() // attempts report, they do not fail
	return out
}

// backOptions are what all that is dialed back for a peer has in common, each step
// within the time that it asks for and is allowed.
func (l *Listener) backOptions(p echo.Peer, timeoutMS int64) dialer.Options {
	return dialer.Options{Key: p.Key, Run: p.Run, Own: l.Instance, Timeout: min(time.Duration(timeoutMS)*time.Millisecond, maxBackTimeout)}
}

// ConverseBack implements echo.Host. It dials where DialBack would.
func (l *Listener) ConverseBack(ctx context.Context, p echo.Peer, b echo.ConverseBack) echo.ConversedBack {
	out := echo.ConversedBack{Conversations: make([]result.Conversation, len(b.Paths))}
	notHeld := func(i int, why string) {
		out.Conversations[i] = result.Conversation{Outcome: result.ConversationNotHeld, Error: why}
	}
	release, why := l.backs.take(ctx, p)
	if why != "" {
		for i := range b.Paths {
			notHeld(i, why)
		}
		return out
	}
	defer release()
	fingerprint, _ := hex.DecodeString(b.Certificate)
	if len(fingerprint) != sha256.Size {
		fingerprint = nil // not known
	}
	opts := l.backOptions(p, b.TimeoutMS)
	g := errgroup.Group{}
	g.SetLimit(backsAtOnce)
	for i, back := range b.Paths {
		path, err := l.backPath(p, back)
		if err != nil {
			notHeld(i, err.Error())
			continue
		}
		g.Go(func() error {
			out.Conversations[i] = dialer.Converse(ctx, path, opts, dialer.Conversation{
				Speaks: l.speaks(back.Flow), Host: p.Remote.Addr().String(), Token: back.Probe, Fingerprint: fingerprint, Rate: back.RateKbits,
			})
			l.dialed.conversed(p.Run, path.Transport, path.Target, out.Conversations[i])
			return nil
		})
	}
	_ = g.Wait() // conversations report, they do not fail
	return out
}

// speaks is the protocol of a row of the plan.
func (l *Listener) speaks(flow string) plan.Protocol {
	for _, r := range l.Plan.Rows {
		if r.ID == flow {
			return r.Speaks
		}
	}
	return ""
}

// backPath checks one path that a peer asks us to dial.
func (l *Listener) backPath(p echo.Peer, b echo.BackPath) (dialer.Path, error) {
	if !l.mayDial(b) {
		return dialer.Path{}, fmt.Errorf("%.10q port %d for %.64q is not in the listener's plan (%s); start listen with the same --plan, --site, --port and --port-shift as dial",
			string(b.Transport), b.Port, b.Flow, l.Plan.Name)
	}
	to := p.Remote.Addr()
	if b.Address.IsValid() {
		to = b.Address.Unmap()
	}
	if result.IsSameAddr(to, p.Remote.Addr()) {
		to = p.Remote.Addr() // with this machine's name of the cable
	}
	if !l.mayDialTo(p, to) {
		return dialer.Path{}, fmt.Errorf("%s is no address from which this run proved itself, nor one that the listener knows its partner by (a site file names it)", to)
	}
	source := netip.AddrPortFrom(netip.Addr{}, uint16(b.SourcePort))
	for _, a := range l.Addrs {
		if a.Is4() == to.Is4() {
			source = netip.AddrPortFrom(a, uint16(b.SourcePort))
		}
	}
	return dialer.Path{
		Flow: b.Flow, Transport: b.Transport, Probe: b.Probe, Source: source, Speaks: l.speaks(b.Flow),
		Target: netip.AddrPortFrom(to, uint16(b.Port)),
	}, nil
}

// mayDialTo reports whether a run may have an address dialed.
func (l *Listener) mayDialTo(p echo.Peer, to netip.Addr) bool {
	return to == p.Remote.Addr() || slices.Contains(l.Partners, to) || l.arrivals.provedFrom(p.Run, to)
}

func (l *Listener) mayDial(b echo.BackPath) bool {
	if b.Port < 1 || b.Port > 65535 {
		return false
	}
	return slices.ContainsFunc(l.Plan.Rows, func(r plan.Row) bool {
		if r.ID != b.Flow || r.Transport != b.Transport || r.SourcePort != b.SourcePort {
			return false
		}
		return r.Port == b.Port || r.Port == 0 && b.Port >= 1024
	})
}

// Submit implements echo.Host.
func (l *Listener) Submit(p echo.Peer, s echo.Submission) {
	l.event(Event{Kind: echo.KindSubmitted, Peer: p, Submission: &s})
}
