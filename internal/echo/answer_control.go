package echo

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/pion/stun/v3"

	"dialtone/internal/clean"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// control answers a control request and reports whether to go on.
func (c *answering) control(m *stun.Message) bool {
	nonce, _ := m.Get(stun.AttrNonce)
	counter, _ := getU32(m, attrCounter)
	body, berr := m.Get(attrBody)
	if c.nonce == nil || c.peer.Key.check(m) != nil || !bytes.Equal(nonce, c.nonce) || counter != c.counter+1 || berr != nil {
		// Out of turn, altered or replayed: no answer that a stranger could use.
		if c.kind == KindSilent {
			c.kind = KindBadOrder
		}
		c.Host.Event(c.peer, KindBadOrder)
		return false
	}
	c.counter = counter
	if c.kind == KindAsked {
		c.kind = KindProved
		c.Host.Event(c.peer, KindProved)
	}
	h, ok := handlers[m.Type.Method]
	if !ok {
		return c.refuse(m, "a method that this version does not know")
	}
	return h.answer(c, m, body)
}

// hold keeps the connection idle: it answers after the gap if it is to speak
// first, and else at once, and waits so much longer for the next message.
func (c *answering) hold(m *stun.Message, o holdOrder) bool {
	gap := time.Duration(o.GapMS) * time.Millisecond
	switch o.First {
	case "asker":
		c.idle = gap
		return c.reply(m, nothing{})
	case "answerer":
		return sock.Wait(c.ctx, gap) && c.reply(m, nothing{})
	}
	return c.refuse(m, fmt.Sprintf("a Hold in which %q speaks first", clean.Bytes(o.First, 20)))
}

// transfer moves a payload as ordered, within the time that the asker gave.
func (c *answering) transfer(m *stun.Message, o transferOrder) bool {
	limit := min(max(time.Duration(o.DeadlineMS)*time.Millisecond, 0), time.Minute)
	switch o.From {
	case "asker":
		_ = c.conn.SetDeadline(time.Now().Add(limit))
		t := receivePayload(c.conn, c.peer.Key.keystream(c.peer.Probe, fromAsker), o.Bytes)
		c.patience()
		return c.reply(m, t) && t.Detail == "" // after an error the stream is out of step
	case "answerer":
		if !c.reply(m, nothing{}) {
			return false
		}
		_ = c.conn.SetDeadline(time.Now().Add(limit))
		err := sendPayload(c.conn, c.peer.Key.keystream(c.peer.Probe, fromAnswerer), o.Bytes)
		if isTimeout(err) {
			// Closing now would look like a device that closes: let the asking
			// end see for itself that nothing more comes.
			_ = c.conn.SetDeadline(time.Now().Add(limit/2 + time.Second))
			_, _ = io.Copy(io.Discard, c.conn)
		}
		return err == nil
	}
	return c.refuse(m, fmt.Sprintf("a Transfer from %q", clean.Bytes(o.From, 20)))
}

// deliver hands a report to the host, which is told once the asking end knows.
func (c *answering) deliver(m *stun.Message, d Delivery) bool {
	receipt, taken, err := c.Host.Deliver(c.peer, d)
	if err != nil {
		return c.refuse(m, clean.Bytes(err.Error(), maxBrokenLine))
	}
	more := c.reply(m, receipt)
	if taken != nil {
		taken() // the program may end now, and this connection with it
	}
	return more
}

func (c *answering) reply(m *stun.Message, body any) bool {
	b, err := marshal(body)
	if err != nil {
		return c.refuse(m, "the answer is too large; ask for less at once")
	}
	return c.write(m, stun.ClassSuccessResponse, attrBody, b)
}

func (c *answering) refuse(m *stun.Message, reason string) bool {
	e := stun.New()
	if err := (stun.ErrorCodeAttribute{Code: stun.CodeBadRequest, Reason: []byte(reason)}).AddTo(e); err != nil {
		return false
	}
	v, err := e.Get(stun.AttrErrorCode)
	return err == nil && c.write(m, stun.ClassErrorResponse, stun.AttrErrorCode, v)
}

func (c *answering) write(m *stun.Message, class stun.MessageClass, t stun.AttrType, v []byte) bool {
	resp, err := stun.Build(m, stun.NewType(m.Type.Method, class))
	if err != nil {
		return false
	}
	resp.Add(stun.AttrNonce, c.nonce)
	resp.Add(attrCounter, u32(c.counter))
	resp.Add(t, v)
	if c.peer.Key.seal(resp) != nil {
		return false
	}
	c.patience()
	return writeNarrow(c.conn, resp.Raw) == nil
}

// bounded cuts a submission to what is worth keeping of a stranger's text.
func (s Submission) bounded() Submission {
	s.Host = clean.Bytes(s.Host, 253)
	maps.DeleteFunc(s.Summary.Verdicts, func(v result.Verdict, _ int) bool { return !slices.Contains(result.Verdicts, v) })
	s.Roles = s.Roles[:min(len(s.Roles), maxRoles)]
	for i, r := range s.Roles {
		s.Roles[i] = clean.Bytes(r, maxRole)
	}
	s.Broken = s.Broken[:min(len(s.Broken), maxBroken)]
	for i, l := range s.Broken {
		s.Broken[i] = clean.Bytes(l, maxBrokenLine)
	}
	return s
}
