package address

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"dialtone/internal/dialer"
	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A contact is a listener that can be asked to dial back.
type contact struct {
	question
	source  netip.Addr // from which it was asked
	version int        // of the wire format that it speaks
}

// offer hands over a way to a listener; the first of each family is kept.
func (r *run) offer(c contact) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.contacts[c.family()]; !ok {
		r.contacts[c.family()] = c
	}
}

// maxPublished bounds the published addresses of a family that are dialed.
const maxPublished = 4

// inbound has the listener dial this machine's Odyssey port over each family: at
// the address as which it sees it, and at the published ones, which it does if
// its own site file names them. It tells whether those led here.
func (r *run) inbound(ctx context.Context, row plan.Row, published []result.Published) []result.Inbound {
	var out []result.Inbound
	if len(r.contacts) == 0 || ctx.Err() != nil {
		return nil
	}
	door := r.openDoor(ctx, row)
	defer door.Close()
	for _, f := range []result.Family{result.IP4, result.IP6} {
		c, ok := r.contacts[f]
		if !ok || ctx.Err() != nil {
			continue
		}
		untried := func(why string) {
			out = append(out, result.Inbound{Observer: r.Host, Family: f, Outcome: result.InboundUntried, Error: why})
		}
		if c.version != echo.Version {
			untried("the listener speaks another version of the wire format")
			continue
		}
		expected, not := door.Expects(row.Transport, row.Port, f)
		if not != nil {
			untried(notOpened(not))
			continue
		}
		found, err := r.dialBack(ctx, row, c, door, expected, publishedOf(published, f))
		if err != nil {
			untried(err.Error())
		}
		out = append(out, found...)
	}
	return out
}

// dialBack asks for an attempt at each address and records how they ended.
func (r *run) dialBack(ctx context.Context, row plan.Row, c contact, d *listener.Door, expected string, published []netip.Addr) ([]result.Inbound, error) {
	ctx, cancel := context.WithTimeout(ctx, dialer.Longest(r.Timeout))
	defer cancel()
	conn, err := r.connect(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("the listener could not be asked: %w", err)
	}
	published = slices.DeleteFunc(published, func(a netip.Addr) bool { return a == conn.SeenAs.Addr() })
	order := echo.DialBack{TimeoutMS: r.Timeout.Milliseconds(), Bytes: backBytes}
	for _, a := range append([]netip.Addr{{}}, published[:min(len(published), maxPublished)]...) {
		order.Paths = append(order.Paths, echo.BackPath{Flow: row.ID, Probe: echo.NewID(), Transport: row.Transport, Port: row.Port, Address: a})
	}
	began := time.Now()
	halves, err := conn.DialBack(ctx, order)
	if err != nil {
		return nil, err
	}
	var out []result.Inbound
	for i, h := range halves {
		query := echo.WitnessQuery{
			Probe: order.Paths[i].Probe, Transport: row.Transport, Port: row.Port, Source: h.Source,
			SourceChanged: h.Source.Addr() != c.target.Addr(), BeganMS: time.Since(began).Milliseconds(),
		}
		saw, _ := d.Saw(r.id, query, c.target.Addr()) // nothing, where another listener has the port
		in := result.Inbound{Observer: r.Host, Family: c.family(), Source: h.Source, Target: h.Target, Software: h.Software, Error: h.Error}
		switch {
		case h.NotTried != "":
			in.Outcome, in.Error = result.InboundUntried, h.NotTried
			if i > 0 {
				in.Target = result.EndpointFrom(netip.AddrPortFrom(order.Paths[i].Address, uint16(row.Port)))
			}
		case h.Answer == result.AnswerKeyed && h.Instance == expected:
			in.Outcome = result.InboundReached
		case h.Answer == result.AnswerKeyed, h.Answer == result.AnswerOwn: // maybe the observer's own
			in.Outcome = result.InboundOtherListener
		case saw.Saw == result.SawAccepted, saw.Saw == result.SawHalfOpen:
			in.Outcome = result.InboundArrived
		case h.Connect == result.ConnectRST:
			in.Outcome = result.InboundRefused
		case h.Connect == result.ConnectICMP:
			in.Outcome = result.InboundRejected
		case h.Connect == result.ConnectTimeout:
			in.Outcome = result.InboundSilent
		case h.Connect == result.ConnectOpen:
			in.Outcome = result.InboundAnswered
		default: // the listener's machine could not dial
			in.Outcome = result.InboundUntried
		}
		out = append(out, in)
	}
	return out, nil
}

// connect opens a conversation with a listener: those that asked for the address
// may have been idle for too long.
func (r *run) connect(ctx context.Context, c contact) (*echo.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	l, err := echo.Open(ctx, netip.AddrPortFrom(c.source, 0), c.target, r.ask(c.question))
	if err != nil {
		return nil, err
	}
	r.keep(l.Stream)
	return l.Conn, nil
}

// backBytes is the payload of a dial-back: whether large packets pass is for
// dial odyssey to find out.
const backBytes = 1024

// openDoor opens this machine's port of a row, to those that were asked.
func (r *run) openDoor(ctx context.Context, row plan.Row) *listener.Door {
	var sources []netip.Addr
	for _, c := range r.contacts {
		sources = append(sources, c.source)
	}
	only := plan.Plan{Rows: []plan.Row{row}}
	return listener.OpenDoor(ctx, listener.DoorConfig{
		Config: listener.Config{Key: r.Key, Software: r.Software, Plan: r.Plan, Ports: only.Ports(nil), Shift: r.Shift, Addrs: r.Bind},
		Run:    r.id, From: sources, Timeout: r.Timeout,
	})
}

// notOpened says why no listener of this machine can be dialed back to on a port.
func notOpened(e *listener.BindError) string {
	if !e.InUse {
		return fmt.Sprintf("port %d could not be opened here: %v", e.Port, e.Err)
	}
	who := "other software"
	if e.Holder != nil && e.Holder.Name != "" {
		who = e.Holder.Name
	}
	return fmt.Sprintf("port %d here is held by %s; stop it for a moment, or run listen in its place", e.Port, who)
}
