package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// A second look at real software that did not answer as the row has it: on a
// fresh connection, with an older hello where the first was refused, with TLS where
// the row says plain, or plain where it says TLS. Our own listener gets none: what
// it says is known.

// quietFor is how long nobody may say a word before it is tried whether the port
// waits for TLS.
const quietFor = 3 * time.Second

// A secondLook is what the looks at one port share.
type secondLook struct {
	conversation
	speaks plan.Protocol
	q      Question
	port   uint16

	mu     sync.Mutex
	looked bool // for TLS
	tls    bool // the port speaks it from the first byte
	unsure bool // nothing came of that look
}

// askTwice has a conversation and looks again where that may tell more.
func (c conversation) askTwice(ctx context.Context, conn net.Conn, speaks plan.Protocol, q Question) (out result.Conversation, err error) {
	if q.Again == nil || q.isOurs() {
		out, err = c.ask(ctx, conn, q)
		return out, withoutAside(err)
	}
	l := &secondLook{conversation: c, speaks: speaks, q: q, port: sock.AddrPortOf(conn.RemoteAddr()).Port()}
	wire := &countedConn{Conn: conn}
	if l.speaks.Language().Within == "" {
		out, err = l.orTLS(ctx, wire)
	} else {
		out, err = c.ask(ctx, wire, q)
		out, err = l.orPlain(out, err)
	}
	out, err = l.otherHello(out, err)
	return out, l.asFarAs(out, wire, withoutAside(err))
}

// asFarAs says what an end means by what came before it: another service's first
// bytes, the service's own words, or the beginning of an answer.
func (l *secondLook) asFarAs(out result.Conversation, wire *countedConn, err error) error {
	isCut := errors.Is(err, os.ErrDeadlineExceeded) || isEnded(err)
	var no refusedError
	if errors.Is(err, errForeign) {
		wire.hearOn()
	}
	who := servedBy(wire.heard())
	switch {
	case err == nil, errors.As(err, &no), errors.As(err, new(begunError)), errors.As(err, new(meddledError)):
	case (isCut || errors.Is(err, errForeign)) && len(out.Stages) == 0 && who != "" && !strings.Contains(who, nameOf(l.speaks)):
		return anotherService(wire, l.speaks, who)
	case errors.Is(err, errForeign) && !errors.As(err, new(unreadError)) && len(out.Stages) > 0: // it spoke the protocol before
		return unreadError{err.Error()}
	case isCut && len(out.Stages) == 0 && wire.got.Load() > 0:
		return begunError{err, result.StageBegun}
	}
	return err
}

// orTLS has a conversation without TLS, and tries whether the port waits for TLS
// where it says nothing, ends, or says that it did not understand.
func (l *secondLook) orTLS(ctx context.Context, wire *countedConn) (result.Conversation, error) {
	if l.speaks.Language().Mute { // it is right to say nothing
		return l.ask(ctx, wire, l.q)
	}
	late := time.AfterFunc(quietFor, func() {
		if wire.got.Load() == 0 && l.isTLS() {
			_ = wire.SetDeadline(time.Unix(1, 0)) // it would wait in vain
		}
	})
	out, err := l.ask(ctx, wire, l.q)
	isLate := !late.Stop()
	switch {
	case isNoAnswer(err) && wire.got.Load() <= alertRecord && (l.isTLS() || l.isTLSAlone(wire)), isBadRequest(out, err) && l.isTLS():
		return out, refusedTLS(result.ReasonTLSFirst, "", fmt.Sprintf("port %d speaks TLS from the first byte, and the row says plain %s", l.port, nameOf(l.speaks)))
	case isLate:
		_ = l.isTLS() // lest that look outlive this one
	}
	return out, err
}

// isTLS reports whether the port speaks TLS from the first byte. It looks once.
func (l *secondLook) isTLS() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.looked {
		l.looked = true
		l.lookForTLS()
	}
	return l.tls
}

// isTLSAlone looks once more where nothing came of the first look, now that the
// conversation's own connection is closed: some servers take one after the other.
func (l *secondLook) isTLSAlone(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unsure {
		_ = conn.Close()
		l.lookForTLS()
	}
	return l.tls
}

func (l *secondLook) lookForTLS() {
	l.q.Again(func(ctx context.Context, conn net.Conn) {
		defer within(ctx, conn)()
		err := hasTLS(conn, l.q, l.alpn...)
		l.tls, l.unsure = err == nil, errors.Is(err, os.ErrDeadlineExceeded)
	})
}

// orPlain tries whether a port on which no TLS came about speaks the same without.
func (l *secondLook) orPlain(out result.Conversation, err error) (result.Conversation, error) {
	var not notTLSError
	var shut helloError
	within := l.speaks.Language().Within
	isIt := false
	switch {
	case l.q.Public || errors.As(err, new(begunError)): // it speaks TLS, or what answers is not it
	case errors.As(err, &not) && not.isHTTP:
		isIt = within == plan.HTTP
	case errors.As(err, &not), errors.As(err, &shut) && isNoAnswer(shut.error), isNoAnswer(err) && out.Fact(result.FactTLSVersion) == "":
		l.q.Again(func(ctx context.Context, conn net.Conn) {
			c := Ask(ctx, conn, within, Question{Host: l.q.Host, Token: l.q.Token})
			isIt = c.Outcome == result.ConversationCompleted || c.Outcome == result.ConversationRefused
		})
	}
	if !isIt {
		return out, err
	}
	return out, refusedError{result.Refusal{By: result.RefuserService, Reason: result.ReasonNoTLS,
		Words: fmt.Sprintf("port %d speaks %s without TLS, and the row says TLS", l.port, nameOf(within))}}
}

// otherHello repeats a conversation whose hello was refused, with others.
func (l *secondLook) otherHello(out result.Conversation, err error) (result.Conversation, error) {
	for h := helloOld; h <= helloBare; h++ {
		var shut helloError
		if !errors.As(err, &shut) || h == helloBare && isNoAnswer(shut.error) {
			break
		}
		q := l.q
		q.hello = h
		var again result.Conversation
		var aerr error
		if !l.q.Again(func(ctx context.Context, conn net.Conn) {
			defer within(ctx, conn)()
			again, aerr = l.ask(ctx, conn, q)
		}) {
			break
		}
		var unread unreadError
		switch {
		case errors.As(aerr, new(helloError)), h == helloBare && !errors.As(aerr, &unread):
			continue // it refuses that as well, or says nothing more
		case h == helloOld && aerr != nil && again.Fact(result.FactTLSVersion) == "" && !isByTLS(aerr):
			continue // no better
		case h == helloBare:
			return out, aerr
		}
		again.Facts = append(again.Facts, result.Fact{Name: result.FactFirstHello, Value: "refused: " + shown(strings.TrimPrefix(shut.Error(), "refused: "))})
		return again, aerr
	}
	return out, err
}

// isByTLS reports whether TLS itself said no.
func isByTLS(err error) bool {
	var no refusedError
	return errors.As(err, &no) && no.By == result.RefuserTLS
}

// within gives a connection no more time than ctx has; the function that it
// returns ends that.
func within(ctx context.Context, conn net.Conn) (done func()) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	if d, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(d)
	}
	return func() { stop() }
}

// isNoAnswer reports whether a conversation ended without a word that could be
// understood.
func isNoAnswer(err error) bool {
	return errors.Is(err, errForeign) || errors.Is(err, os.ErrDeadlineExceeded) || isEnded(err)
}

// isBadRequest reports whether the answer is HTTP's for what it does not
// understand, as TLS servers say to who speaks HTTP without.
func isBadRequest(out result.Conversation, err error) bool {
	var no refusedError
	return errors.As(err, &no) && strings.HasPrefix(no.Code, "400") || strings.HasPrefix(out.Fact("status"), "400")
}

// An asideError is about something without which the conversation is complete.
type asideError struct{ error }

func (e asideError) Unwrap() error { return e.error }

func withoutAside(err error) error {
	if errors.As(err, new(asideError)) {
		return nil
	}
	return err
}
