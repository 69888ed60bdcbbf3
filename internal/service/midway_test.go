package service

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A cutConn lets so many bytes out, and then ends, or says no more.
type cutConn struct {
	net.Conn
	left int
	ends bool
}

func (c *cutConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b[:min(len(b), c.left)])
	c.left -= n
	switch {
	case err != nil || c.left > 0:
		return n, err
	case c.ends:
		c.Conn.Close()
	}
	_, _ = io.Copy(io.Discard, c.Conn)
	return n, net.ErrClosed
}

// What broke off in the middle of an answer had one: the text must not say that
// no byte came.
func TestAnswerThatBreaksOffIsToldFromNone(t *testing.T) {
	t.Parallel()
	a, _ := berAnswerer(t)
	cutTLS := func(after int, ends bool) func(net.Conn) {
		return func(c net.Conn) {
			_ = tls.Server(&cutConn{c, after, ends}, &tls.Config{Certificates: []tls.Certificate{a.Certificate}, MaxVersion: tls.VersionTLS12}).Handshake()
		}
	}
	says := func(words string, ends bool) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, words)
			if !ends {
				_, _ = io.Copy(io.Discard, c)
			}
		}
	}
	closed, silent, refused := result.ConversationClosed, result.ConversationSilent, result.ConversationRefused
	for name, tc := range map[string]struct {
		far     func(net.Conn)
		speaks  plan.Protocol
		outcome result.ConversationOutcome
		stage   result.Stage // "": none
		reason  result.Reason
	}{
		"a certificate cut off by an end":  {cutTLS(300, true), "https", closed, result.StageTLSBegun, ""},
		"a certificate cut off by silence": {cutTLS(300, false), "ldaps", silent, result.StageTLSBegun, ""},
		"the first record cut off":         {cutTLS(40, true), "https", closed, result.StageTLSBegun, ""},
		"an end at once":                   {says("", true), "https", closed, "", ""},
		"half a status line":               {says("HTTP/1.1 200 O", true), "http", closed, result.StageGreeted, ""},
		"half a header, then silence":      {says("HTTP/1.1 200 OK\r\nServer: x\r\n", false), "http", silent, result.StageGreeted, ""},
		"no byte of HTTP":                  {says("", true), "http", closed, "", ""},
		"a warning, then an end":           {says("\x15\x03\x03\x00\x02\x01\x70", true), "https", refused, "", result.ReasonTLSName},
		"the notice of a close":            {says("\x15\x03\x01\x00\x02\x01\x00", true), "https", refused, "", result.ReasonTLS},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := askRealWithin(t, everyTime(t, tc.far), tc.speaks, Question{Host: "ils.example.edu"}, 4*time.Second)
			if c.Outcome != tc.outcome || (c.Refusal == nil) != (tc.reason == "") || c.Refusal != nil && c.Refusal.Reason != tc.reason {
				t.Errorf("%+v %+v", c, c.Refusal)
			}
			if tc.stage == "" && len(c.Stages) > 0 || tc.stage != "" && !slices.Equal(c.Stages, []result.Stage{tc.stage}) {
				t.Errorf("it came to %q, want %q", c.Stages, tc.stage)
			}
		})
	}
}

// A host of the plan's own speaks TLS on that port: what answers there in plain
// HTTP is something else.
func TestPlainHTTPInThePlaceOfAPublicHostIsNotItsOwn(t *testing.T) {
	page := func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
	}
	c := askReal(t, webFar(t, page), "https", "ils.example.edu")
	if c.Refusal == nil || c.Refusal.Reason != result.ReasonNoTLS {
		t.Errorf("of the site's own host: %+v", c)
	}
	c = askRealWithin(t, webFar(t, page), "https", Question{Host: "ils.example.org", Public: true}, guardTime)
	if c.Outcome != result.ConversationForeign {
		t.Errorf("of a public host: %+v", c)
	}
}

// A server of HTTP/2 alone is no impostor.
func TestHTTP2AloneIsOurLimit(t *testing.T) {
	at := webFar(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = c.Write([]byte("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80"))
	})
	if c := askReal(t, at, "http", "ils.example.edu"); c.Outcome != result.ConversationUnread {
		t.Errorf("%+v", c)
	}
}
