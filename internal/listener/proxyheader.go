package listener

import (
	"bytes"
	"net"

	"dialtone/internal/echo"
	"dialtone/internal/result"
	"dialtone/internal/service"
)

// proxyHeaders are how a header of the PROXY protocol begins, version 1 and 2
// (haproxy's doc/proxy-protocol.txt, sections 2.1 and 2.2).
var proxyHeaders = [][]byte{[]byte("PROXY TCP"), []byte("PROXY UNKNOWN"), []byte("\r\n\r\n\x00\r\nQUIT\n")}

// headerEnd is how many bytes it takes to know the longest of them.
const headerEnd = 13

// hasProxyHeader reports whether a connection's first bytes are such a header.
func hasProxyHeader(first []byte) bool {
	for _, h := range proxyHeaders {
		if bytes.HasPrefix(first, h) {
			return true
		}
	}
	return false
}

// tellProxyHeader answers a connection that begins with one in words: nothing that
// runs here in earnest reads it.
func tellProxyHeader(conn net.Conn, title string, first []byte) ending {
	_, _ = conn.Write([]byte(result.ProxyHeaderWords + "\r\n"))
	return ending{kind: echo.KindForeign, foreign: len(first), visit: service.Visit{Service: title,
		Words: "a PROXY protocol header came first: a proxy in between puts it there (send-proxy), and ILLiad and Odyssey cannot read it"}}
}
