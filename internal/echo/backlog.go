package echo

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/pion/stun/v3"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// A relay in the middle is told from one connection end to end by a backlog:
// the answering end stops reading, so that its window closes, and both systems
// count. On one connection no byte is acknowledged that has not reached the far
// end's TCP (RFC 9293 section 3.10.7.4). A relay has a TCP of its own, and
// acknowledges what it still holds.
const (
	// backlogSize is what the asking end has to send: more than the window that a
	// system opens to a connection whose program does not read.
	backlogSize = 256 << 10
	// backlogPause is how long the count of acknowledged bytes must stand still,
	// backlogLimit how long the answering end leaves a backlog unread.
	backlogPause = 100 * time.Millisecond
	backlogLimit = 5 * time.Second
)

// backlogQuery asks over another connection how much of a backlog has arrived.
type backlogQuery struct {
	Nonce string `json:"nonce"` // hex, of the connection with the backlog
}

// backlogCount is the answer; nil means that the system does not count.
type backlogCount struct {
	Received *int64 `json:"received"`
}

// backlogs are the connections whose bytes are left unread, by nonce. Its zero
// value is ready for use.
type backlogs struct {
	mu    sync.Mutex
	conns map[string]*backlog
}

type backlog struct {
	conn    net.Conn
	counted chan struct{} // closed once somebody asked
}

func (b *backlogs) begin(nonce []byte, conn net.Conn) *backlog {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conns == nil {
		b.conns = map[string]*backlog{}
	}
	w := &backlog{conn: conn, counted: make(chan struct{})}
	b.conns[string(nonce)] = w
	return w
}

// take returns a backlog once, nil if there is none.
func (b *backlogs) take(nonce []byte) *backlog {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.conns[string(nonce)]
	delete(b.conns, string(nonce))
	return w
}

// backlog leaves the connection unread until somebody has asked how much
// arrived. It ends the conversation.
func (c *answering) backlog(m *stun.Message, _ nothing) bool {
	w := c.backlogs.begin(c.nonce, c.conn)
	defer c.backlogs.take(c.nonce)
	if !c.reply(m, nothing{}) {
		return false
	}
	select {
	case <-c.ctx.Done():
	case <-w.counted:
	case <-time.After(backlogLimit):
	}
	return false
}

// backlogged answers how much of another connection's backlog has arrived.
func (c *answering) backlogged(m *stun.Message, q backlogQuery) bool {
	nonce, err := hex.DecodeString(q.Nonce)
	if err != nil {
		return c.refuse(m, "a Backlogged request that this version does not understand")
	}
	w := c.backlogs.take(nonce)
	if w == nil {
		return c.refuse(m, "no connection with that nonce has a backlog")
	}
	defer close(w.counted)
	var count backlogCount
	if n, ok := sock.CountersOf(w.conn); ok {
		count.Received = &n.Received
	}
	return c.reply(m, count)
}

// Backlog has the far end leave the rest of this connection unread, fills it,
// and asks over other, a second connection to the same far end, how much of it
// arrived there. It ends this connection's conversation.
func (c *Conn) Backlog(ctx context.Context, other *Conn) (result.Relay, error) {
	if _, err := methodBacklog.ask(ctx, c, nothing{}); err != nil {
		return result.Relay{}, fmt.Errorf("backlog: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = sendPayload(c.conn, c.ask.Key.keystream(c.ask.Probe, fromAsker), backlogSize) // it is meant to get stuck
	}()
	defer func() { _ = c.conn.SetWriteDeadline(time.Unix(1, 0)); <-ended }()
	acked, err := c.standstill(ctx)
	if err != nil {
		return result.Relay{}, fmt.Errorf("backlog: %w", err)
	}
	// The far end counts after we did, so on one connection its count is no smaller.
	n, err := methodBacklogged.ask(ctx, other, backlogQuery{Nonce: hex.EncodeToString(c.nonce)})
	switch {
	case err != nil:
		return result.Relay{}, fmt.Errorf("backlog: %w", err)
	case n.Received == nil:
		return result.Relay{}, fmt.Errorf("backlog: the far end's system does not count bytes")
	}
	return result.Relay{Acknowledged: acked, Arrived: *n.Received}, nil
}

// standstill waits until no more bytes are acknowledged and returns how many
// were.
func (c *Conn) standstill(ctx context.Context) (int64, error) {
	pause := max(backlogPause, 2*c.RTT)
	for last := int64(-1); ; {
		n, ok := sock.CountersOf(c.conn)
		if !ok {
			return 0, fmt.Errorf("this system does not count bytes")
		}
		if n.Acknowledged == last {
			return last, nil
		}
		last = n.Acknowledged
		if !sock.Wait(ctx, pause) {
			return 0, ctx.Err()
		}
	}
}
