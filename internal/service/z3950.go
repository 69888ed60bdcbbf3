package service

import (
	"context"
	"dialtone/internal/result"
	"errors"
	"net"
)

func askZ3950(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	return result.Conversation{}, errors.New("to do")
}
func answerZ3950(ctx context.Context, conn net.Conn, a *Answerer) error { return errors.New("to do") }
