package address

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/stun/v3"

	"dialtone/internal/paste"
	"dialtone/internal/plan"
)

// A Server is a STUN server to ask.
type Server struct {
	Name       string // as the user wrote it
	Host       string // name or address
	Port       int
	Transports []plan.Transport
}

// ParseServer reads a STUN URI (RFC 7064), with the transport that TURN's URIs
// have (RFC 7065) beside it: stun:host[:port][?transport=tcp|udp]. Without one,
// both are asked. The scheme may be left out.
func ParseServer(s string) (Server, error) {
	out := Server{Name: s, Transports: []plan.Transport{plan.TCP, plan.UDP}}
	uri, query, hasQuery := strings.Cut(s, "?")
	if hasQuery {
		switch query {
		case "transport=tcp":
			out.Transports = []plan.Transport{plan.TCP}
		case "transport=udp":
			out.Transports = []plan.Transport{plan.UDP}
		default:
			return out, fmt.Errorf("STUN URI %q: after ? stands transport=tcp or transport=udp", s)
		}
	}
	scheme, rest, _ := strings.Cut(uri, ":")
	switch strings.ToLower(scheme) {
	case "stun":
		uri = "stun:" + rest
	case "stuns", "turn", "turns":
		return out, fmt.Errorf("STUN URI %q: only stun: servers are asked, not %s", s, scheme)
	default:
		uri = "stun:" + uri
	}
	if a, err := netip.ParseAddr(strings.TrimPrefix(uri, "stun:")); err == nil && a.Is6() {
		uri = "stun:[" + a.String() + "]" // written without brackets, as people do
	}
	if _, behind, ok := strings.Cut(uri, "]"); ok && behind != "" && behind[0] != ':' {
		// ParseURI would look for a port there without end.
		return out, fmt.Errorf("STUN URI %q: behind ] stands a port, or nothing; write it as stun:[2001:db8::1]:3478", s)
	}
	u, err := stun.ParseURI(uri)
	if err != nil {
		return out, fmt.Errorf("STUN URI %q: %w; write it as stun:stun.example.org or stun:192.0.2.1:3478", s, err)
	}
	if u.Port < 1 || u.Port > 65535 {
		return out, fmt.Errorf("STUN URI %q: %w", s, errors.New("no such port"))
	}
	if out.Host, err = paste.Host(u.Host); err != nil {
		return out, fmt.Errorf("STUN URI %q: %q is no host: %w", s, u.Host, err)
	}
	out.Port = u.Port
	return out, nil
}

func (s Server) String() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }
