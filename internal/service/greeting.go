package service

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// A greetedConn tells when the first byte of a far end came. A greeting may take
// its time, line by line (RFC 5321 section 4.5.3.2.1: a client waits five minutes
// for it), and what follows may not: from the first byte that is sent after it.
type greetedConn struct {
	net.Conn
	ctx   context.Context
	start time.Time     // when the connection was ready
	rest  time.Duration // for all that follows; 0: the deadline stays
	took  atomic.Int64  // nanoseconds until the first byte; 0: none came
	over  atomic.Bool   // the greeting
}

// Read implements net.Conn.
func (c *greetedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.took.CompareAndSwap(0, max(int64(time.Since(c.start)), 1))
	}
	return n, err
}

// Write implements net.Conn.
func (c *greetedConn) Write(b []byte) (int, error) {
	if c.rest > 0 && c.took.Load() > 0 && c.over.CompareAndSwap(false, true) {
		_ = c.Conn.SetDeadline(time.Now().Add(c.rest))
		if c.ctx.Err() != nil {
			_ = c.Conn.SetDeadline(time.Unix(1, 0))
		}
	}
	return c.Conn.Write(b)
}

// after is how long the first byte took, 0 if none came.
func (c *greetedConn) after() time.Duration { return time.Duration(c.took.Load()) }
