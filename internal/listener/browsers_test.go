package listener

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// What a browser has no token on is told by the address that its page came from, and
// whether it was TLS.
func TestBrowsersAttemptsAreSeenByAddressAndTime(t *testing.T) {
	l := start(t, Config{})
	at := l.at
	if a, isTLS := l.Browsed(int(at.Port()), loop, time.Second, 0); a.Saw == result.SawAccepted || isTLS {
		t.Errorf("before anything came: %+v, TLS %v", a, isTLS)
	}
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte{0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3}); err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(c) // it is refused
	if a, isTLS := l.Browsed(int(at.Port()), loop, time.Second, 0); a.Saw != result.SawAccepted || !isTLS {
		t.Errorf("after a ClientHello: %+v, TLS %v", a, isTLS)
	}
}

// A browser's requests are answered on every port, whatever it is for.
func TestBrowsersAreAnsweredOnEveryPort(t *testing.T) {
	for _, speaks := range []plan.Protocol{"", "http", "ftp", "smtp", "tds", "odyssey", "iso-ill", "rdp", "z3950", "ldap", "https"} {
		t.Run(string(speaks), func(t *testing.T) { answersBrowsers(t, speaks) })
	}
}

func answersBrowsers(t *testing.T, speaks plan.Protocol) {
	var token [16]byte
	token[0] = 7
	l := start(t, Config{Plan: planOf(plan.Row{ID: "high", Transport: plan.TCP, Speaks: speaks}), Web: func(w http.ResponseWriter, r *http.Request, conn WebConn) bool {
		if r.URL.Path != "/b/" {
			return false
		}
		conn.Arrived(token)
		fmt.Fprintf(w, "%s", conn.Remote)
		return true
	}})
	at := l.at
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /b/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
	b, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(b), "200 OK") || !strings.HasSuffix(string(b), c.LocalAddr().String()) {
		t.Errorf("%v: %s", err, b)
	}
	// What brought its token is not taken for another's attempt.
	if a, _ := l.Browsed(int(at.Port()), loop, time.Second, 0); a.Saw == result.SawAccepted {
		t.Errorf("%+v", a)
	}
}
