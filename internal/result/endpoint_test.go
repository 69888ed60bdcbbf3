package result

import (
	"encoding/json"
	"net/netip"
	"testing"
)

func TestEndpointIsAddressAndPortOrNull(t *testing.T) {
	for text, ap := range map[string]netip.AddrPort{
		`"192.0.2.7:80"`:       netip.MustParseAddrPort("192.0.2.7:80"),
		`"[2001:db8::7]:7968"`: netip.MustParseAddrPort("[2001:db8::7]:7968"),
		`null`:                 {},
	} {
		b, err := json.Marshal(Endpoint{ap})
		if err != nil || string(b) != text {
			t.Errorf("%v: %s, %v", ap, b, err)
		}
		var e Endpoint
		if err := json.Unmarshal([]byte(text), &e); err != nil || e.AddrPort != ap {
			t.Errorf("%s: %v, %v", text, e, err)
		}
	}
	if got := EndpointFrom(netip.MustParseAddrPort("[::ffff:192.0.2.7]:80")).String(); got != "192.0.2.7:80" {
		t.Errorf("an IPv4-mapped address is written %s", got)
	}
	for _, bad := range []string{`"192.0.2.7"`, `"name:80"`, `80`, `{}`} {
		var e Endpoint
		if err := json.Unmarshal([]byte(bad), &e); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestFamilyOfAMappedAddressIsIP4(t *testing.T) {
	for addr, want := range map[string]Family{"192.0.2.7": IP4, "::ffff:192.0.2.7": IP4, "2001:db8::7": IP6, "::1": IP6} {
		if got := FamilyOf(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %s", addr, got)
		}
	}
}
