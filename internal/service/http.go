package service

import (
	"context"
	"dialtone/internal/result"
	"errors"
	"net"
)

func askHTTP(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	return result.Conversation{}, errors.New("to do")
}
func answerHTTP(ctx context.Context, conn net.Conn, a *Answerer) error { return errors.New("to do") }

func askHTTPS(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	return result.Conversation{}, errors.New("to do")
}
func answerHTTPS(ctx context.Context, conn net.Conn, a *Answerer) error { return errors.New("to do") }
