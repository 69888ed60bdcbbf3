package listener

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A header of the PROXY protocol (haproxy's doc/proxy-protocol.txt, both versions) is
// answered in words, whatever the port's service is; what only looks like one is not.
func TestProxyProtocolHeaderIsSpokenOf(t *testing.T) {
	t.Parallel()
	v1 := "PROXY TCP4 192.0.2.1 192.0.2.2 50000 7968\r\n"
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\xc3\x50\x1f\x20"
	for _, p := range []plan.Protocol{plan.Odyssey, plan.ISOILL, plan.TDS, plan.HTTP, plan.HTTPS, plan.LDAP, plan.RDP, plan.Z3950, plan.FTP, plan.SMTP} {
		t.Run(string(p), func(t *testing.T) {
			at := spoken(t, p, plan.TCP).at.String()
			cases := map[string]struct {
				said string
				is   bool
			}{
				"version 1":         {v1, true},
				"version 1, IPv6":   {"PROXY TCP6 2001:db8::1 2001:db8::2 50000 7968\r\n", true},
				"version 1, health": {"PROXY UNKNOWN\r\n", true},
				"version 2":         {v2, true},
				"a proxy's request": {"PROXY / HTTP/1.1\r\nHost: lab\r\n\r\n", false},
				"empty lines":       {"\r\n\r\n", false},
			}
			for name, c := range cases {
				tellHeader(t, at, name, c.said, c.is, false)
				if p.Language().Greets { // a balancer may be slower than the greeting
					tellHeader(t, at, name+", after the greeting", c.said, c.is, true)
				}
			}
		})
	}
}

// tellHeader says something to a port, and checks whether it is answered as a header of the
// PROXY protocol is.
func tellHeader(t *testing.T, at, name, said string, is, greeted bool) {
	t.Helper()
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(guardTime))
	if greeted {
		if _, err := conn.Read(make([]byte, 512)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(conn, said); err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	got, _ := io.ReadAll(conn)
	if strings.Contains(string(got), result.ProxyHeaderWords) != is {
		t.Errorf("%s is answered with %q", name, got)
	}
}
