package oracle

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// PretendPort is where Pretend listens.
const PretendPort = 9099

// Pretend accepts connections in somebody else's name: a device that is
// "silent", says "close" at once, sends a "banner", or sends everything back
// ("echo").
func Pretend(mode string) (stop func(), err error) {
	l, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(PretendPort)))
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				switch mode {
				case "close":
					return
				case "banner":
					_, _ = fmt.Fprint(c, "220 gateway ready\r\n")
				case "echo":
					_, _ = io.Copy(c, c)
				}
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	return func() { _ = l.Close() }, nil
}

// StrangerPorts is the first of the source ports from which Disturb connects,
// and Strangers how many there are: no ordinary connection uses them.
const StrangerPorts, Strangers = 20000, 8000

// Disturb is somebody else who uses the same port: a connection several times a
// second that says nothing, until ctx ends.
func Disturb(ctx context.Context, d Door) {
	for n := 0; ctx.Err() == nil; n++ {
		dialer := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{Port: StrangerPorts + (d.Port*31+n)%Strangers}}
		c, err := dialer.DialContext(ctx, "tcp", d.address())
		time.Sleep(150 * time.Millisecond)
		if err == nil {
			_ = c.Close()
		}
	}
}
