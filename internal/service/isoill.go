package service

import (
	"context"
	"dialtone/internal/result"
	"errors"
	"net"
)

func askISOILL(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	return result.Conversation{}, errors.New("to do")
}
func answerISOILL(ctx context.Context, conn net.Conn, a *Answerer) error { return errors.New("to do") }
