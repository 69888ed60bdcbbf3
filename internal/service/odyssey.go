package service

import (
	"context"
	"dialtone/internal/result"
	"errors"
	"net"
)

func askOdyssey(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	return result.Conversation{}, errors.New("to do")
}
func answerOdyssey(ctx context.Context, conn net.Conn, a *Answerer) error { return errors.New("to do") }
