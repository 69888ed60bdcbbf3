package service

import (
	"bytes"
	"regexp"
	"strings"
)

// serverHeader finds the Server field of an HTTP response (RFC 9110 section 10.2.4).
var serverHeader = regexp.MustCompile(`(?i)\r?\nServer:[ \t]*([^\r\n]{1,100})`)

// Software names the software that sent these first bytes of an answer, as far
// as they show it; "" if they do not. The text is the sender's own and not to
// be trusted.
func Software(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("HTTP/")):
		if m := serverHeader.FindSubmatch(b); m != nil {
			return strings.TrimSpace(string(m[1]))
		}
		return "an HTTP server"
	case bytes.HasPrefix(b, []byte("SSH-")):
		return firstLine(b)
	case bytes.HasPrefix(b, []byte("220 ")), bytes.HasPrefix(b, []byte("220-")):
		line := firstLine(b[4:])                         // FTP or SMTP greeting
		if all, ok := strings.CutPrefix(line, "("); ok { // vsftpd's is all in brackets
			line = strings.TrimSuffix(all, ")")
		}
		return line
	case len(b) >= 5 && (b[0] == 0x15 || b[0] == 0x16) && b[1] == 3 && b[2] <= 4:
		return "a TLS server" // alert or handshake record (RFC 8446 section 5.1)
	}
	return ""
}

func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return strings.TrimSpace(string(line[:min(len(line), 100)]))
}
