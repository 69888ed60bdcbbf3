package echo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pion/stun/v3"

	"dialtone/internal/clean"
	"dialtone/internal/result"
)

// The control messages (docs/wire.md sections 6 and 7). Their numbers are in the
// range that RFC 8489 section 18.2 leaves to expert review, far above any assigned
// one. Another message is a method and a row of handlers here, its two bodies, a
// method of Host and of Conn, and what docs/wire.md says of it.
var (
	methodHello    = method[nothing, Hello]{number: 0xDA0, name: "Hello"}
	methodTransfer = method[transferOrder, result.Transfer]{0xDA1, "Transfer", func(o transferOrder) bool {
		return o.Bytes >= 0 && o.Bytes <= maxTransfer
	}}
	methodWitness = method[Witness, Witnessed]{0xDA2, "Witness", func(w Witness) bool {
		return len(w.Queries) <= MaxWitness
	}}
	methodDialBack = method[DialBack, DialedBack]{0xDA3, "DialBack", func(d DialBack) bool {
		return len(d.Paths) <= MaxDialBack && d.TimeoutMS > 0 && d.Bytes >= 0 && d.Bytes <= maxTransfer
	}}
	methodSubmit = method[Submission, nothing]{number: 0xDA4, name: "Submit"}
	methodHold   = method[holdOrder, nothing]{0xDA5, "Hold", func(o holdOrder) bool {
		return o.GapMS >= 0 && o.GapMS <= MaxHold.Milliseconds()
	}}
	methodBacklog    = method[nothing, nothing]{number: 0xDA6, name: "Backlog"}
	methodBacklogged = method[backlogQuery, backlogCount]{number: 0xDA7, name: "Backlogged"}
	methodHoldBack   = method[HoldBack, nothing]{0xDA8, "HoldBack", func(h HoldBack) bool {
		return h.TimeoutMS > 0 && h.LongestMS > 0 && h.LongestMS <= MaxHold.Milliseconds()
	}}
	methodHeldBack     = method[HeldBack, HeldSoFar]{number: 0xDA9, name: "HeldBack"}
	methodConverseBack = method[ConverseBack, ConversedBack]{0xDAA, "ConverseBack", func(b ConverseBack) bool {
		return len(b.Paths) <= MaxDialBack && b.TimeoutMS > 0
	}}
	methodMeet = method[Meet, Met]{0xDAB, "Meet", func(o Meet) bool {
		return o.QuietMS >= 0 && o.QuietMS <= MaxHold.Milliseconds()
	}}
	methodDeliver = method[Delivery, Receipt]{number: 0xDAC, name: "Deliver"}
	methodCollect = method[nothing, Collected]{number: 0xDAD, name: "Collect"}
	methodVouch   = method[Vouch, Vouched]{0xDAE, "Vouch", func(v Vouch) bool {
		return len(v.Claims) <= MaxClaims
	}}
)

// handlers are how the answering end answers each of them.
var handlers = table(
	methodHello.by(func(c *answering, _ nothing) (Hello, error) { return c.Host.Hello(c.peer), nil }),
	methodTransfer.handled((*answering).transfer),
	methodWitness.by(func(c *answering, w Witness) (Witnessed, error) { return c.Host.Witness(c.peer, w), nil }),
	methodDialBack.by(func(c *answering, d DialBack) (DialedBack, error) {
		c.outlast()
		return c.Host.DialBack(c.ctx, c.peer, d), nil
	}),
	methodSubmit.by(func(c *answering, s Submission) (nothing, error) {
		c.Host.Submit(c.peer, s.bounded())
		return nothing{}, nil
	}),
	methodHold.handled((*answering).hold),
	methodBacklog.handled((*answering).backlog),
	methodBacklogged.handled((*answering).backlogged),
	methodHoldBack.by(func(c *answering, h HoldBack) (nothing, error) {
		return nothing{}, c.Host.HoldBack(c.ctx, c.peer, h)
	}),
	methodHeldBack.by(func(c *answering, h HeldBack) (HeldSoFar, error) {
		held, ok := c.Host.HeldBack(c.peer, h)
		if !ok {
			return held, errors.New("no connections of that probe are kept idle")
		}
		return held, nil
	}),
	methodConverseBack.by(func(c *answering, b ConverseBack) (ConversedBack, error) {
		c.outlast()
		return c.Host.ConverseBack(c.ctx, c.peer, b), nil
	}),
	methodMeet.by(func(c *answering, o Meet) (Met, error) { return c.Host.Meet(c.peer, o), nil }),
	methodDeliver.handled((*answering).deliver),
	methodCollect.by(func(c *answering, _ nothing) (Collected, error) { return c.Host.Collect(c.peer) }),
	methodVouch.by(func(c *answering, v Vouch) (Vouched, error) { return c.Host.Vouch(c.peer, v) }),
)

// A method is one control message, as both ends know it.
type method[Req, Resp any] struct {
	number stun.Method
	name   string
	check  func(Req) bool // whether a request keeps the limits; nil: it has none
}

// nothing is a body without keys. What a request has in its place is not looked at.
type nothing struct{}

// declared is a method of any bodies.
type declared interface {
	is() (stun.Method, string)
}

func (d method[Req, Resp]) is() (stun.Method, string) { return d.number, d.name }

// ask makes one control call within ctx and decodes its answer.
func (d method[Req, Resp]) ask(ctx context.Context, c *Conn, req Req) (Resp, error) {
	defer guard(ctx, c.conn)()
	var v Resp
	m, err := c.call(d.number, req)
	if err != nil {
		return v, err
	}
	b, err := m.Get(attrBody)
	if err != nil {
		return v, fmt.Errorf("answer without a body: %w", err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("answer's body: %w", err)
	}
	return v, nil
}

// A handler answers requests of one method, whose seal, nonce and counter are
// right. It reports whether to go on.
type handler struct {
	declared
	answer func(c *answering, m *stun.Message, body []byte) bool
}

func table(rows ...handler) map[stun.Method]handler {
	t := map[stun.Method]handler{}
	for _, h := range rows {
		number, _ := h.is()
		t[number] = h
	}
	return t
}

// handled refuses requests that make no sense, and leaves the others to do.
func (d method[Req, Resp]) handled(do func(*answering, *stun.Message, Req) bool) handler {
	return handler{d, func(c *answering, m *stun.Message, body []byte) bool {
		var req Req
		_, bare := any(req).(nothing)
		if !bare && json.Unmarshal(body, &req) != nil || d.check != nil && !d.check(req) {
			return c.refuse(m, "a "+d.name+" request that this version does not understand")
		}
		return do(c, m, req)
	}}
}

// by answers with what do returns, or refuses in the words of its error.
func (d method[Req, Resp]) by(do func(*answering, Req) (Resp, error)) handler {
	return d.handled(func(c *answering, m *stun.Message, req Req) bool {
		resp, err := do(c, req)
		if err != nil {
			return c.refuse(m, clean.Bytes(err.Error(), maxBrokenLine))
		}
		return c.reply(m, resp)
	})
}

// outlast takes the connection's deadline away: what is asked for takes its time.
func (c *answering) outlast() { _ = c.conn.SetDeadline(time.Time{}) }
