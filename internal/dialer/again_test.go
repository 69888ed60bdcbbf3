package dialer

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"dialtone/internal/result"
)

// inTurn deals connections out to several ends, and begins again when all had
// one.
func inTurn(ends ...func(context.Context, *net.TCPConn)) func(context.Context, *net.TCPConn) {
	var n atomic.Int64
	return func(ctx context.Context, c *net.TCPConn) { ends[int(n.Add(1)-1)%len(ends)](ctx, c) }
}

func TestConnectionsThatDoNotFareAlikeAreFoundOut(t *testing.T) {
	good := answering(answerer())
	closes := func(_ context.Context, c *net.TCPConn) {
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c) // to close with unread data would reset
	}
	for name, c := range map[string]struct {
		ends   []func(context.Context, *net.TCPConn)
		answer result.AnswerOutcome
		tried  int // 0: all fare alike
		proved int
	}{
		"all pass":               {ends: []func(context.Context, *net.TCPConn){good}, answer: result.AnswerKeyed},
		"every second is closed": {ends: []func(context.Context, *net.TCPConn){good, closes}, answer: result.AnswerClosed, tried: 5, proved: 3},
		"one alone is closed":    {ends: []func(context.Context, *net.TCPConn){good, closes, good, good, closes, good}, answer: result.AnswerKeyed, tried: 5, proved: 4},
		"only the first passes":  {ends: []func(context.Context, *net.TCPConn){good, closes, closes, closes}, answer: result.AnswerClosed, tried: 3, proved: 1},
		"every second elsewhere": {ends: []func(context.Context, *net.TCPConn){good, answering(answerer())}, answer: result.AnswerKeyed, tried: 2, proved: 2},
	} {
		t.Run(name, func(t *testing.T) {
			i := Attempt(t.Context(), Path{Flow: "sql", Transport: "tcp", Target: accept(t, loop, inTurn(c.ends...))}, Options{Key: rightKey, Timeout: guardTime, Bytes: 10_000})
			if i.Answer != c.answer {
				t.Errorf("got answer %q (%s), want %q", i.Answer, i.Error, c.answer)
			}
			switch r := i.Repeated; {
			case c.tried == 0 && r != nil:
				t.Errorf("got %+v, want all alike", *r)
			case c.tried != 0 && (r == nil || r.Tried != c.tried || r.Proved != c.proved || r.Instance == ""):
				t.Errorf("got %+v, want %d of %d proved", r, c.proved, c.tried)
			case name == "every second elsewhere" && r.Instance == i.Instance:
				t.Errorf("got the same instance twice: %+v", *r)
			}
		})
	}
}
