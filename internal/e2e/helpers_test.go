package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"dialtone/internal/echo"
)

// The programs below run under their names in scripts, as processes of their
// own.

// hold holds a port as other software would, until it is killed:
// hold MODE ADDRESS:PORT READY [SEEN]. It writes READY once it listens and SEEN
// once something has connected and sent a byte.
func hold() {
	mode, at, ready := os.Args[1], os.Args[2], os.Args[3]
	l, err := net.Listen("tcp", at)
	check(err)
	check(os.WriteFile(ready, nil, 0o600))
	for {
		conn, err := l.Accept()
		check(err)
		go func() {
			defer conn.Close()
			b := make([]byte, 64<<10)
			n, err := conn.Read(b)
			if err == nil && len(os.Args) > 4 {
				_ = os.WriteFile(os.Args[4], nil, 0o600)
			}
			switch mode {
			case "silent":
				_, _ = io.Copy(io.Discard, conn)
			case "echo":
				_, _ = conn.Write(b[:n])
				_, _ = io.Copy(conn, conn)
			case "http":
				_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nServer: holdd/1.0\r\n\r\n")
			case "close":
			default:
				check(fmt.Errorf("unknown mode %q", mode))
			}
		}()
	}
}

// listenV2 answers the proof as a later version of the wire format would:
// listen-v2 ADDRESS:PORT KEY READY.
func listenV2() {
	key, err := echo.ParseKey(os.Args[2])
	check(err)
	l, err := net.Listen("tcp", os.Args[1])
	check(err)
	check(os.WriteFile(os.Args[3], nil, 0o600))
	a := &echo.Answerer{Key: key, Instance: echo.NewID(), Software: "dialtone 9.0", Version: 2, Host: echo.NoHost{}}
	for {
		conn, err := l.Accept()
		check(err)
		go func() {
			defer conn.Close()
			a.Answer(context.Background(), conn)
		}()
	}
}

// handOver hands a report to an end that waits, as whoever has the key can:
// hand-over FROM TO:PORT KEY REPORT.
func handOver() {
	key, err := echo.ParseKey(os.Args[3])
	check(err)
	b, err := os.ReadFile(os.Args[4])
	check(err)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err = z.Write(b)
	check(err)
	check(z.Close())
	var r struct{ Run echo.ID }
	check(json.Unmarshal(b, &r))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for dial := (net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(os.Args[1])}}); ; time.Sleep(100 * time.Millisecond) {
		conn, err := dial.DialContext(ctx, "tcp", os.Args[2])
		if ctx.Err() != nil {
			check(err)
		}
		if err != nil {
			continue // it does not wait yet
		}
		c, err := echo.Prove(ctx, conn, echo.Ask{Key: key, Run: r.Run, Probe: echo.NewID(), Flow: "hand-over"})
		check(err)
		_, err = c.Deliver(ctx, echo.Delivery{Report: packed.Bytes()})
		check(err)
		return
	}
}

// check ends a helper program that cannot do its work. Nobody waits for it, so
// it says why where the script's log shows it.
func check(err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) {
		fmt.Fprintln(os.Stderr, os.Args[0]+":", err)
		time.Sleep(time.Second)
		os.Exit(1)
	}
}
