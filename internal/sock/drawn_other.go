//go:build !linux

package sock

import "syscall"

// drawsFromAll has nothing to set where bind draws from the whole range anyway.
func drawsFromAll(_, _ string, _ syscall.RawConn) error { return nil }
