package service

import (
	"context"
	"dialtone/internal/result"
	"errors"
	"net"
)

func askLDAP(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	return result.Conversation{}, errors.New("to do")
}
func answerLDAP(ctx context.Context, conn net.Conn, a *Answerer) error { return errors.New("to do") }

func askLDAPS(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	return result.Conversation{}, errors.New("to do")
}
func answerLDAPS(ctx context.Context, conn net.Conn, a *Answerer) error { return errors.New("to do") }
