package address

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseServer(t *testing.T) {
	for in, want := range map[string]string{
		"stun:stun.example.org":                 "stun.example.org:3478 [tcp udp]",
		"STUN:stun.example.org:19302":           "stun.example.org:19302 [tcp udp]",
		"stun.example.org":                      "stun.example.org:3478 [tcp udp]",
		"stun.example.org:19302?transport=udp":  "stun.example.org:19302 [udp]",
		"stun:192.0.2.1?transport=tcp":          "192.0.2.1:3478 [tcp]",
		"stun:[2001:db8::1]":                    "[2001:db8::1]:3478 [tcp udp]",
		"stun:[2001:db8::1]:1234?transport=tcp": "[2001:db8::1]:1234 [tcp]",
		"2001:db8::1":                           "[2001:db8::1]:3478 [tcp udp]",
	} {
		s, err := ParseServer(in)
		if got := fmt.Sprintf("%s %v", s, s.Transports); err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", in, got, err, want)
		}
		if s.Name != in {
			t.Errorf("%q is called %q", in, s.Name)
		}
	}
	for _, in := range []string{
		"", "stun:", "stuns:stun.example.org", "turn:turn.example.org", "stun:stun.example.org:0", "stun:stun.example.org:70000", "stun:stun.example.org:x",
		"stun:stun.example.org?transport=sctp", "stun:stun.example.org?x", "stun://stun.example.org", "https://stun.example.org", "stun:a b", "stun:me@stun.example.org",
	} {
		if s, err := ParseServer(in); err == nil {
			t.Errorf("%q is taken as %+v", in, s)
		} else if !strings.Contains(err.Error(), fmt.Sprintf("%q", in)) {
			t.Errorf("%q: the error does not quote it: %v", in, err)
		}
	}
}

func FuzzParseServer(f *testing.F) {
	for _, s := range []string{"stun:stun.example.org", "stun:192.0.2.1:3478?transport=udp", "2001:db8::1", "stun:[2001:db8::1]:3478", "turn:x", "stun:x:99999", "stun:%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		server, err := ParseServer(s)
		if err == nil && (server.Host == "" || server.Port < 1 || server.Port > 65535 || len(server.Transports) == 0) {
			t.Errorf("%q is %+v", s, server)
		}
	})
}
