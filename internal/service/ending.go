package service

import (
	"errors"
	"os"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// How a conversation ends otherwise than well is an error of one of these types,
// or one of the connection's own. settle alone makes an outcome of it.

// errForeign says that what came back is not the protocol's.
var errForeign = errors.New("the answer is not of this protocol")

// A foreignError says in its own words that the answer was somebody else's: it
// is not the protocol's.
type foreignError struct{ words string }

func (e foreignError) Error() string        { return e.words }
func (e foreignError) Is(target error) bool { return target == errForeign }

// A meddledError says what neither end does, so that somebody between them did.
type meddledError struct{ foreignError }

// An unreadError says what of a message this program cannot read that may well be
// the protocol's: a limit of ours, and nobody's fault. The answering side treats
// both alike.
type unreadError struct{ words string }

func (e unreadError) Error() string        { return e.words }
func (e unreadError) Is(target error) bool { return target == errForeign }

// A refusedError is the far end's "no" in its own language, or TLS's.
type refusedError struct{ result.Refusal }

func (e refusedError) Error() string { return "refused: " + e.Reply() }

// refused makes the service's own "no". code and words are the far end's.
func refused(reason result.Reason, code, words string) error {
	return refusedError{result.Refusal{By: result.RefuserService, Reason: reason, Code: shown(code), Words: shown(words)}}
}

// A begunError is an end in the middle of what the far end had begun to say: it
// came to that stage.
type begunError struct {
	error
	stage result.Stage
}

func (e begunError) Unwrap() error { return e.error }

// settle completes what a conversation came to with how it ended.
func settle(out result.Conversation, err error, speaks plan.Protocol, start time.Time) result.Conversation {
	out.Speaks = speaks
	out.ElapMS = result.Milliseconds(time.Since(start))
	out.Outcome = outcome(err)
	if err == nil {
		return out
	}
	out.Error = err.Error()
	var begun begunError
	if errors.As(err, &begun) {
		out.Reach(begun.stage)
	}
	var no refusedError
	if errors.As(err, &no) {
		out.Refusal = &no.Refusal
	}
	return out
}

// endWords says how something ended that is no conversation of its own.
func endWords(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer came"
	case sock.IsReset(err):
		return "the connection was reset"
	case isEnded(err):
		return "the connection was closed"
	}
	return shown(err.Error())
}

func outcome(err error) result.ConversationOutcome {
	var no refusedError
	var unread unreadError
	switch {
	case err == nil:
		return result.ConversationCompleted
	case errors.As(err, &no):
		return result.ConversationRefused
	case errors.As(err, &unread):
		return result.ConversationUnread
	case errors.Is(err, errForeign):
		return result.ConversationForeign
	case sock.IsReset(err):
		return result.ConversationReset
	case sock.IsClosed(err):
		return result.ConversationClosed
	}
	return result.ConversationSilent
}
