package service

import "testing"

// The answers are what these programs send to a keyed Binding request, or on
// their own when one connects.
func TestSoftwareNamesItself(t *testing.T) {
	for answer, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 22:00:00 GMT\r\n":                    "nginx/1.22.1",
		"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html; charset=us-ascii\r\nServer: Microsoft-HTTPAPI/2.0\r\n\r\n": "Microsoft-HTTPAPI/2.0",
		"HTTP/1.0 400 Bad request\r\n\r\n":               "an HTTP server",
		"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n":     "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3",
		"220 (vsFTPd 3.0.3)\r\n":                         "vsFTPd 3.0.3",
		"220 ProFTPD Server (Debian) [192.0.2.1]\r\n":    "ProFTPD Server (Debian) [192.0.2.1]",
		"220 FTP server (Debian)\r\n":                    "FTP server (Debian)",
		"220-mail.example.edu ESMTP Postfix\r\n220 ok\r": "mail.example.edu ESMTP Postfix",
		"\x15\x03\x01\x00\x02\x02\x46":                   "a TLS server",
		"\x15\x09\x01\x00\x02\x02\x46":                   "",
		"rubbish":                                        "",
		"":                                               "",
	} {
		if got := Software([]byte(answer)); got != want {
			t.Errorf("%q: got %q, want %q", answer, got, want)
		}
	}
}
