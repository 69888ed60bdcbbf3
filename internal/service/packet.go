package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A packetConversation is both sides of one protocol of single datagrams.
type packetConversation struct {
	// request makes the datagram to send.
	request func(q Question) []byte
	// read reads an answer to it. What it returns needs no Speaks and no ElapMS.
	read func(b []byte, q Question) (result.Conversation, error)
	// answer makes the answer to a datagram; nil: none is due.
	answer func(a *Answerer, b []byte) []byte
}

const (
	maxPacket    = 64 << 10 // bytes; no datagram is larger
	packetTries  = 6        // requests
	packetWait   = 500 * time.Millisecond
	packetErrors = 2 // ICMP errors, of which the first may be transient
)

// AskPacket is the asking side of a conversation of datagrams on a connected
// socket and closes nothing. A request that is not answered is sent again, each
// time after twice the wait, until ctx is done or it has had six tries.
func AskPacket(ctx context.Context, conn net.Conn, speaks plan.Protocol, q Question) result.Conversation {
	start := time.Now()
	c := conversations[speaks].packet
	if c == nil {
		return result.Conversation{Speaks: speaks, Outcome: result.ConversationNotHeld, Error: unknown(speaks).Error()}
	}
	b, err := exchangePacket(ctx, conn, c.request(q))
	var out result.Conversation
	if err == nil {
		out, err = c.read(b, q)
	}
	return settle(out, err, speaks, start)
}

// exchangePacket sends a datagram until one comes back.
func exchangePacket(ctx context.Context, conn net.Conn, request []byte) ([]byte, error) {
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	failed, sent := 0, 0
	b := make([]byte, maxPacket)
	for try := range packetTries {
		_ = conn.SetDeadline(time.Now().Add(packetWait << try))
		if ctx.Err() != nil {
			break
		}
		sent++
		_, err := conn.Write(request)
		for n := 0; err == nil; { // an empty datagram is nobody's answer
			if n, err = conn.Read(b); err == nil && n > 0 {
				return b[:n], nil
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if failed++; failed >= packetErrors {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no answer to %d requests: %w", sent, os.ErrDeadlineExceeded)
}

// AnswerPacket makes the answer to a datagram, nil if none is due.
//
// Whoever calls it decides who is answered. An answer is larger than the
// request and goes to an address that anybody can write onto a datagram, so it
// may go only to one that has shown in the last ten minutes, by a keyed proof
// over TCP, that it is there and knows the key. Otherwise the listener is a
// reflector.
func (a *Answerer) AnswerPacket(speaks plan.Protocol, b []byte) []byte {
	c := conversations[speaks].packet
	if c == nil || len(b) == 0 {
		return nil
	}
	return c.answer(a, b)
}
