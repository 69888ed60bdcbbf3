package service

import (
	"context"
	"dialtone/internal/result"
	"errors"
	"net"
)

func askTDS(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	return result.Conversation{}, errors.New("to do")
}
func answerTDS(ctx context.Context, conn net.Conn, a *Answerer) error { return errors.New("to do") }
