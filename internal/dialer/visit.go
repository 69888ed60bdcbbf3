package dialer

import (
	"context"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/service"
	"dialtone/internal/sock"
)

// Visit attempts a path to somebody else's real software: it connects, has
// the service's own conversation, and never sends a byte of the proof. An ICMP
// error gets a second chance as in Attempt.
func Visit(ctx context.Context, p Path, o Options, t Conversation) result.Initiator {
	a := newAttempt(p, o)
	t.Token = echo.ID{} // whoever it is has no key
	start := sock.Now()
	a.visit(ctx, t)
	if first := a.seen; first.ICMP != nil && sock.Wait(ctx, settle) {
		a.visit(ctx, t)
		if a.seen.ICMP == nil && a.seen.Connect == result.ConnectTimeout {
			n := a.seen.Attempts
			a.seen = first
			a.seen.Attempts = n
		}
	}
	if sock.IsOver(ctx) {
		a.seen.NotTried = "interrupted"
	}
	a.seen.ElapsedMS = result.Milliseconds(sock.Since(start))
	if o.Trace && p.Transport == plan.TCP && stopped(a.seen.Connect) && !sock.IsOver(ctx) {
		a.seen.Trace = Trace(ctx, p.Source.Addr(), p.Target)
	}
	return a.seen
}

// visit connects and converses once.
func (a *attempt) visit(ctx context.Context, t Conversation) {
	s := &a.seen
	s.Attempts++
	s.ICMP, s.TTL, s.Error, s.Answer, s.Conversation, s.Connections = nil, 0, "", "", nil, nil
	opening, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	conn := a.connect(opening)
	if conn == nil {
		return
	}
	defer conn.Close()
	limit, cancel := context.WithTimeout(ctx, a.conversing(t, conn, a.connectTime()))
	defer cancel()
	q := question(conn, a.Options, t)
	var c result.Conversation
	switch {
	case a.Transport == plan.UDP:
		c = service.AskPacket(limit, conn, t.Speaks, q)
	default:
		var looks looks
		q.Again = again(ctx, a.Path, a.Options, t, &looks)
		c = service.Ask(limit, conn, t.Speaks, q)
		if len(looks.all) > 0 {
			own := a.connection()
			own.Purpose, own.Ended = result.PurposeConversation, c.Ended()
			own.ElapsedMS = result.Milliseconds(sock.Since(own.At.Time))
			s.Connections = append([]result.Connection{own}, looks.all...)
		}
	}
	s.Conversation, s.Software, s.Error = &c, c.Software, c.Error
	if c.IsSilence() {
		s.Answer = result.AnswerSilent // as is right, and no word of who accepted
		return
	}
	s.Answer = answerOf(c.Outcome)
}
