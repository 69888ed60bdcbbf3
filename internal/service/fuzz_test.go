package service

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"dialtone/internal/plan"
)

// spoken are the protocols over TCP, in the same order each time.
func spoken() []plan.Protocol {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(conversations)), func(p plan.Protocol) bool { return !Knows(p, plan.TCP) })
}

// firstWords are what begins a conversation, or what somebody else's does.
var firstWords = []string{
	"", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", "\x15\x03\x01\x00\x02\x02\x28", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
	"EHLO x\r\nSTARTTLS\r\n", "220 mx ESMTP\r\n250-mx\r\n250 STARTTLS\r\n", "USER x\r\nPASS y\r\nPASV\r\n", "220 ftp\r\n331 \r\n230 \r\n227 (127,0,0,1,0,1)\r\n",
	"\x12\x01\x00\x08\x00\x00\x01\x00", "\x04\x01\x00\x08\x00\x00\x01\x00", "\x03\x00\x00\x0b\x06\xe0\x00\x00\x00\x00\x00", "\x03\x00\x00\x0b\x06\xd0\x00\x00\x00\x00\x00",
	"0\x0c\x02\x01\x01`\x07\x02\x01\x03\x04\x00\x80\x00", "0\x0c\x02\x01\x01a\x07\n\x01\x00\x04\x00\x04\x00", "\xb4\x80\x00\x00", "\xb5\x80\x00\x00", "\xa1\x80\x00\x00", "\x00\x00\x00\x04abcd",
}

// FuzzAnswerer: whatever is said to a service, its answering side ends with its
// connection, and tells people no more than words of its own.
func FuzzAnswerer(f *testing.F) {
	for i := range spoken() {
		for _, s := range firstWords {
			f.Add(uint8(i), []byte(s))
		}
	}
	cert, _, err := NewCertificate([]string{"listener.example"}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		a := &Answerer{
			Software: "Dialtone", Certificate: cert, Patience: guardTime,
			Answer: func([]byte) ([]byte, bool) { return nil, false },
		}
		s := saying(b)
		ctx, cancel := context.WithTimeout(t.Context(), guardTime)
		defer cancel()
		visit, _ := a.Receive(ctx, s, spoken()[int(which)%len(spoken())])
		s.Close()
		if ctx.Err() != nil {
			t.Errorf("%q keeps it busy", b)
		}
		if strings.ContainsFunc(visit.Words, unicode.IsControl) {
			t.Errorf("%q", visit.Words)
		}
	})
}

// FuzzAsk: whatever a far end says that has no key, the asking side ends with its
// connection, and nothing of it is proof.
func FuzzAsk(f *testing.F) {
	for i := range spoken() {
		for _, s := range firstWords {
			f.Add(uint8(i), []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		speaks := spoken()[int(which)%len(spoken())]
		if speaks == "ftp" {
			return // it would dial where the answer says; FuzzFTPReply and FuzzFTPAddresses read those
		}
		s := saying(b)
		ctx, cancel := context.WithTimeout(t.Context(), guardTime)
		defer cancel()
		out := Ask(ctx, s, speaks, Question{Host: "listener.example", Answer: bytes.Repeat([]byte{0x5a}, AnswerSize), DocumentSize: 512})
		s.Close()
		if ctx.Err() != nil {
			t.Errorf("%s: %q keeps it busy", speaks, b)
		}
		if out.Keyed && !bytes.Contains(b, bytes.Repeat([]byte{0x5a}, AnswerSize)) {
			t.Errorf("%s: %q is proof", speaks, b)
		}
	})
}

// FuzzBareHello: an answer to the hello of this program's own making always ends
// it, with what it means.
func FuzzBareHello(f *testing.F) {
	hello := append([]byte{22, 3, 3, 0, 81, 2, 0, 0, 77, 3, 3}, make([]byte, 75)...)
	f.Add(hello)
	f.Add(append(hello, 22, 3, 3, 0, 10, 11, 0, 0, 6, 0, 0, 3, 0, 0, 0))
	f.Add([]byte{21, 3, 1, 0, 2, 2, 40})
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n"))
	if cert, _, err := NewCertificate([]string{"listener.example"}, nil); err == nil {
		der := cert.Certificate[0]
		n := len(der)
		list := append([]byte{11, 0, byte((n + 6) >> 8), byte(n + 6), 0, byte((n + 3) >> 8), byte(n + 3), 0, byte(n >> 8), byte(n)}, der...)
		f.Add(append(append(hello, 22, 3, 3, byte(len(list)>>8), byte(len(list))), list...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := bareHello(&webCanned{Reader: bytes.NewReader(b)}, "listener.example")
		if err == nil || len(err.Error()) > 1000 {
			t.Errorf("%v", err)
		}
	})
}

// FuzzFirstBytes: who it is that speaks is told in words that are safe to print.
func FuzzFirstBytes(f *testing.F) {
	for _, s := range firstWords {
		f.Add([]byte(s))
	}
	for _, s := range []string{"SSH-2.0-x", "* OK", "RFB 003.008\n", "\xff\xfd\x01", "E\x00\x00\x00\x10SFATAL", "\x00\x00\x00\x55\xffSMB"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(servedBy(b)) > 20 {
			t.Error(servedBy(b))
		}
		if s := Software(b); len(s) > 200 && len(b) < 200 || strings.Contains(s, "\n") {
			t.Errorf("%q", s)
		}
		c := &countedConn{Conn: readConn{r: bytes.NewReader(b)}}
		_, _ = io.Copy(io.Discard, c)
		if a := c.loneAlert(); a != nil {
			_ = new(tlsConn).refused(tls.AlertError(*a))
		}
	})
}
