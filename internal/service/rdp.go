package service

import (
	"context"
	"dialtone/internal/result"
	"errors"
	"net"
)

func askRDP(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	return result.Conversation{}, errors.New("to do")
}
func answerRDP(ctx context.Context, conn net.Conn, a *Answerer) error { return errors.New("to do") }
