//go:build !linux

package router

import (
	"errors"
	"io"
)

func open(string) (io.ReadWriteCloser, error) {
	return nil, errors.New("router: tun devices need Linux")
}
