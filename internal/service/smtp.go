package service

import (
	"context"
	"dialtone/internal/result"
	"errors"
	"net"
)

func askSMTP(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	return result.Conversation{}, errors.New("to do")
}
func answerSMTP(ctx context.Context, conn net.Conn, a *Answerer) error { return errors.New("to do") }
