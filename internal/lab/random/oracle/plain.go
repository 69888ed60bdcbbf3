package oracle

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Times is how many plain connections each door is tried with, half of them
// drawn by connect and half by bind.
const Times = 24

const (
	apart         = 40 * time.Millisecond // between two connections to one door
	connectWithin = 4500 * time.Millisecond
	replyWithin   = 9 * time.Second
	payload       = 20 << 10 // more than one packet of any size
	nameBytes     = 32
	udpPayload    = 1200
	udpTries      = 4
)

// A Tried is one plain connection.
type Tried struct {
	Source int    // the port that it came from
	By     string // "connect" or "bind"
	OK     bool
	Name   string // who answered
	Ended  string // how it failed: "silence", "refused", "icmp", "local", "reset", "closed", "stalled", "changed"
	Detail string
}

// Results are what came of the doors, by row.
type Results map[string][]Tried

// Knock tries every door, all of them side by side.
func Knock(ctx context.Context, doors []Door) Results {
	var mu sync.Mutex
	var wg sync.WaitGroup
	all := Results{}
	for _, d := range doors {
		for n := range Times {
			wg.Go(func() {
				time.Sleep(time.Duration(n) * apart)
				try := knockTCP
				if d.Transport == "udp" {
					try = knockUDP
				}
				t := try(ctx, d, n%2 == 1)
				mu.Lock()
				defer mu.Unlock()
				all[d.Row] = append(all[d.Row], t)
			})
		}
	}
	wg.Wait()
	return all
}

func (d Door) address() string { return net.JoinHostPort(d.Addr, strconv.Itoa(d.Port)) }

// text is what is sent: letters, so that no filter for a protocol knows it, and
// another each time, so that nothing can answer it from memory.
func text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz "[rand.IntN(27)]
	}
	return b
}

func knockTCP(ctx context.Context, d Door, bind bool) Tried {
	t := Tried{By: "connect"}
	dialer := net.Dialer{Timeout: connectWithin, KeepAlive: -1}
	if bind {
		t.By = "bind"
		dialer.LocalAddr = &net.TCPAddr{} // bind(2) with port 0, before connect
	}
	c, err := dialer.DialContext(ctx, "tcp", d.address())
	if err != nil {
		t.Ended, t.Detail = ended(err), err.Error()
		return t
	}
	defer c.Close()
	if a, ok := c.LocalAddr().(*net.TCPAddr); ok {
		t.Source = a.Port
	}
	_ = c.SetDeadline(time.Now().Add(replyWithin))
	sent := text(payload)
	failed := make(chan error, 1)
	go func() {
		_, err := c.Write(append(binary.BigEndian.AppendUint32(nil, payload), sent...))
		failed <- err
	}()
	got := make([]byte, nameBytes+payload)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Ended, t.Detail = ended(err), err.Error()
		switch t.Ended {
		case "silence":
			t.Ended = "stalled"
		case "closed": // a RST that the write was told of reads as an end
			if werr := <-failed; werr != nil {
				t.Ended, t.Detail = ended(werr), werr.Error()
			}
		}
		return t
	}
	<-failed
	t.Name = string(bytes.TrimRight(got[:nameBytes], "\x00"))
	if t.OK = bytes.Equal(got[nameBytes:], sent); !t.OK {
		t.Ended = "changed"
	}
	return t
}

func knockUDP(ctx context.Context, d Door, bind bool) Tried {
	t := Tried{By: "connect"}
	dialer := net.Dialer{}
	if bind {
		t.By = "bind"
		dialer.LocalAddr = &net.UDPAddr{}
	}
	c, err := dialer.DialContext(ctx, "udp", d.address())
	if err != nil {
		t.Ended, t.Detail = ended(err), err.Error()
		return t
	}
	defer c.Close()
	if a, ok := c.LocalAddr().(*net.UDPAddr); ok {
		t.Source = a.Port
	}
	sent := text(udpPayload)
	got := make([]byte, 4096)
	for range udpTries {
		if _, err := c.Write(sent); err != nil {
			t.Ended, t.Detail = ended(err), err.Error()
			continue
		}
		_ = c.SetReadDeadline(time.Now().Add(700 * time.Millisecond))
		n, err := c.Read(got)
		if err != nil {
			t.Ended, t.Detail = ended(err), err.Error()
			continue
		}
		t.Name = string(bytes.TrimRight(got[:min(n, nameBytes)], "\x00"))
		t.OK, t.Ended, t.Detail = bytes.Equal(got[min(n, nameBytes):n], sent), "", ""
		if !t.OK {
			t.Ended = "changed"
		}
		return t
	}
	return t
}

// ended says how a connection failed.
func ended(err error) string {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "silence"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ENETUNREACH):
		return "local"
	}
	return "icmp"
}

// Serve holds doors and sends back what comes, under a name that tells whose
// they are, until stop is called.
func Serve(name string, doors []Door) (stop func(), err error) {
	var closers []io.Closer
	stop = func() {
		for _, c := range closers {
			_ = c.Close()
		}
	}
	for _, d := range doors {
		label := make([]byte, nameBytes)
		copy(label, fmt.Sprintf("%s:%d", name, d.Port))
		if d.Transport == "udp" {
			pc, err := net.ListenPacket("udp", d.address())
			if err != nil {
				stop()
				return nil, err
			}
			closers = append(closers, pc)
			go serveUDP(pc, label)
			continue
		}
		l, err := net.Listen("tcp", d.address())
		if err != nil {
			stop()
			return nil, err
		}
		closers = append(closers, l)
		go serveTCP(l, label)
	}
	return stop, nil
}

func serveUDP(pc net.PacketConn, label []byte) {
	b := make([]byte, 4096)
	for {
		n, from, err := pc.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = pc.WriteTo(append(bytes.Clone(label), b[:n]...), from)
		}
	}
}

func serveTCP(l net.Listener, label []byte) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(replyWithin))
			var size [4]byte
			if _, err := io.ReadFull(c, size[:]); err != nil {
				return
			}
			b := make([]byte, min(binary.BigEndian.Uint32(size[:]), payload))
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
			if _, err := c.Write(append(bytes.Clone(label), b...)); err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, c) // the client closes first: no port is left in TIME_WAIT here
		}()
	}
}
