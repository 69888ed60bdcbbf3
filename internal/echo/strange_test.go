package echo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v3"

	"dialtone/internal/sock"
)

// stunHeader is a header that announces a body of size bytes.
func stunHeader(kind uint16, size uint16, id [12]byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, kind)
	b = binary.BigEndian.AppendUint16(b, size)
	b = binary.BigEndian.AppendUint32(b, 0x2112A442)
	return append(b, id[:]...)
}

func TestStrangeAnswersAreToldApart(t *testing.T) {
	http := []byte("HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nConnection: close\r\n\r\n<html>" + string(bytes.Repeat([]byte("x"), 4096)))
	type outcome struct {
		foreign, echoed, closed, timeout bool
	}
	cases := map[string]struct {
		say  func(c net.Conn, req []byte) // then it stays and is silent
		hang bool                         // or closes
		want outcome
		data []byte // the answer begins with it
	}{
		"rubbish":          {func(c net.Conn, _ []byte) { _, _ = c.Write([]byte("\xff\x00rubbish")) }, true, outcome{foreign: true}, []byte("\xff\x00rubbish")},
		"HTTP":             {func(c net.Conn, _ []byte) { _, _ = c.Write(http) }, false, outcome{foreign: true}, http[:512]},
		"one zero":         {func(c net.Conn, _ []byte) { _, _ = c.Write([]byte{0}) }, true, outcome{foreign: true}, []byte{0}},
		"one letter":       {func(c net.Conn, _ []byte) { _, _ = c.Write([]byte("N")) }, false, outcome{foreign: true}, []byte("N")},
		"our own bytes":    {func(c net.Conn, req []byte) { _, _ = c.Write(req) }, true, outcome{foreign: true, echoed: true}, nil},
		"half our bytes":   {func(c net.Conn, req []byte) { _, _ = c.Write(req[:len(req)/2]) }, true, outcome{foreign: true, echoed: true}, nil},
		"half a header":    {func(c net.Conn, _ []byte) { _, _ = c.Write(stunHeader(0x0101, 8, [12]byte{})[:9]) }, true, outcome{foreign: true}, nil},
		"a huge length":    {func(c net.Conn, _ []byte) { _, _ = c.Write(stunHeader(0x0101, 0xFFFC, [12]byte{})) }, true, outcome{foreign: true}, nil},
		"an odd length":    {func(c net.Conn, _ []byte) { _, _ = c.Write(stunHeader(0x0101, 7, [12]byte{})) }, true, outcome{foreign: true}, nil},
		"half a message":   {func(c net.Conn, _ []byte) { _, _ = c.Write(append(stunHeader(0x0101, 80, [12]byte{}), 1, 2, 3)) }, true, outcome{foreign: true}, nil},
		"an empty message": {func(c net.Conn, _ []byte) { _, _ = c.Write(stunHeader(0x0101, 0, [12]byte{})) }, true, outcome{foreign: true}, nil},
		"a broken attribute": {func(c net.Conn, req []byte) {
			_, _ = c.Write(append(stunHeader(0x0101, 4, [12]byte(req[8:20])), 0x00, 0x20, 0xFF, 0xFF))
		}, true, outcome{foreign: true}, nil},
		"a plain STUN answer": {func(c net.Conn, req []byte) {
			m, _ := decode(req)
			resp, _ := plainAnswer(m, sock.AddrPortOf(c.RemoteAddr()))
			_, _ = c.Write(resp.Raw)
		}, true, outcome{foreign: true}, nil},
		"an answer under another key": {func(c net.Conn, req []byte) {
			m, _ := decode(req)
			a := &Answerer{Key: wrongKey}
			resp, _ := a.proof(m, Peer{Remote: sock.AddrPortOf(c.RemoteAddr()), Local: sock.AddrPortOf(c.LocalAddr())}, []byte("n"), 0)
			_, _ = c.Write(resp.Raw)
		}, true, outcome{foreign: true}, nil},
		"a STUN error 500": {func(c net.Conn, req []byte) {
			m, _ := decode(req)
			resp, _ := errorAnswer(m, stun.CodeServerError, "no")
			_, _ = c.Write(resp.Raw)
		}, true, outcome{foreign: true}, nil},
		"a STUN request of its own": {func(c net.Conn, _ []byte) {
			m, _ := newAsk().binding(0)
			_, _ = c.Write(m.Raw)
		}, true, outcome{foreign: true}, nil},
		"an answer of another method": {func(c net.Conn, req []byte) {
			m, _ := decode(req)
			resp, _ := stun.Build(m, stun.NewType(methodHello.number, stun.ClassSuccessResponse))
			_ = rightKey.seal(resp)
			_, _ = c.Write(resp.Raw)
		}, true, outcome{foreign: true}, nil},
		"a keyed answer without an instance": {func(c net.Conn, req []byte) {
			m, _ := decode(req)
			resp, _ := stun.Build(m, stun.BindingSuccess)
			_ = addXORMapped(resp, sock.AddrPortOf(c.RemoteAddr()))
			_ = rightKey.seal(resp)
			_, _ = c.Write(resp.Raw)
		}, true, outcome{foreign: true}, nil},
		"the end": {func(net.Conn, []byte) {}, false, outcome{closed: true}, nil},
		"no word": {func(net.Conn, []byte) {}, true, outcome{timeout: true}, nil},
		"no end": {func(c net.Conn, _ []byte) {
			for {
				if _, err := c.Write(http); err != nil {
					return
				}
			}
		}, true, outcome{foreign: true}, http[:512]},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asker, answerer := pipe()
				go func() {
					_, raw, err := readMessage(answerer, maxFirst)
					if err != nil {
						t.Error(err)
					}
					c.say(answerer, raw)
					if c.hang {
						_, _ = io.Copy(io.Discard, answerer)
					}
					answerer.Close()
				}()
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
				defer cancel()
				start := time.Now()
				conn, err := Prove(ctx, asker, newAsk())
				if d := time.Since(start); d > 4*time.Second+lyingWait {
					t.Errorf("took %s", d)
				}
				asker.Close()
				var foreign *ForeignError
				got := outcome{foreign: errors.As(err, &foreign), closed: sock.IsClosed(err), timeout: isTimeout(err)}
				if foreign != nil {
					got.echoed = foreign.Echoed
					if len(foreign.Data) == 0 || len(foreign.Data) > 512 || !bytes.HasPrefix(foreign.Data, c.data) {
						t.Errorf("data %q", foreign.Data)
					}
				}
				if conn != nil || got != c.want {
					t.Errorf("%v: %+v, want %+v", err, got, c.want)
				}
			})
		})
	}
}

// resetting is a connection that a RST has come to: writes fail, and what
// arrived before it can still be read.
type resetting struct{ net.Conn }

func (resetting) Write([]byte) (int, error) { return 0, syscall.ECONNRESET }

func TestAnswerThatCameBeforeAResetIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asker, answerer := pipe()
		go func() {
			_, _ = answerer.Write([]byte("421 Too many connections\r\n"))
			answerer.Close()
		}()
		var foreign *ForeignError
		if _, err := Prove(t.Context(), resetting{asker}, newAsk()); !errors.As(err, &foreign) || string(foreign.Data) != "421 Too many connections\r\n" {
			t.Errorf("%v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		asker, answerer := pipe()
		answerer.Close()
		if _, err := Prove(t.Context(), resetting{asker}, newAsk()); !sock.IsReset(err) {
			t.Errorf("%v", err)
		}
	})
}

func TestStrangersBytesAreHandedOn(t *testing.T) {
	hello := append([]byte{0x16, 3, 1, 0, 5}, "hello"...)
	for name, first := range map[string][]byte{
		"TLS":                  hello,
		"HTTP":                 []byte("GET / HTTP/1.1\r\n"),
		"Enter in telnet":      []byte("\r\n"),
		"Enter in netcat":      []byte("\n"),
		"a STUN answer":        stunHeader(0x0101, 0, [12]byte{1}),
		"a STUN indication":    stunHeader(0x0011, 0, [12]byte{1}),
		"too large a first":    stunHeader(0x0001, maxFirst, [12]byte{1}),
		"a broken attribute":   append(stunHeader(0x0001, 4, [12]byte{1}), 0, 1, 0xFF, 0xFF),
		"RFC 3489, no cookie":  slices.Concat([]byte{0, 1, 0, 0, 9, 9, 9, 9}, make([]byte, 12)),
		"half a header, ended": stunHeader(0x0001, 0, [12]byte{1})[:12],
	} {
		t.Run(name, func(t *testing.T) {
			h := &fakeHost{}
			at, over := serve(t, loop4, newAnswerer(h))
			c := dialTCP(t, at)
			_, _ = c.Write(first)
			_ = c.CloseWrite()
			if b, err := io.ReadAll(c); len(b) > 0 || err != nil && !sock.IsReset(err) {
				t.Errorf("answered %x, %v", b, err)
			}
			e := receive(t, over)
			if e.kind != KindForeign || len(e.first) == 0 || !bytes.HasPrefix(first, e.first) {
				t.Errorf("ended as %s with %x", e.kind, e.first)
			}
			if len(h.told) != 0 {
				t.Errorf("told %+v", h.told)
			}
		})
	}
}

func TestMessageIsReadOnlyAsFarAsItMayBe(t *testing.T) {
	for name, c := range map[string]struct {
		announced uint16
		want      int // bytes taken from a stream that never ends
	}{
		"as large as allowed": {maxFirst - headerSize, maxFirst},
		"larger":              {maxFirst - headerSize + 4, headerSize},
		"as large as can be":  {0xFFFC, headerSize},
		"not whole words":     {7, headerSize},
	} {
		r := &endless{b: stunHeader(0x0001, c.announced, [12]byte{})}
		_, raw, _ := readMessage(r, maxFirst)
		if r.n != c.want || len(raw) != c.want {
			t.Errorf("%s: took %d bytes and kept %d", name, r.n, len(raw))
		}
	}
}

// endless is a stream of zeros after b; n counts what was taken of it.
type endless struct {
	b []byte
	n int
}

func (e *endless) Read(p []byte) (int, error) {
	clear(p)
	k := copy(p, e.b)
	e.b = e.b[k:]
	if k == 0 {
		k = len(p)
	}
	e.n += k
	return k, nil
}
