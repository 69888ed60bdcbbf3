package main

import (
	"net/netip"
	"strings"
	"testing"
)

func TestListenSaysThatItsAnswersDieOnTheWay(t *testing.T) {
	for name, c := range map[string]struct {
		ip4, ip6 int
		want     []string
	}{
		"usual":              {64, 128, nil},
		"not known":          {0, 0, nil},
		"few for IPv4":       {2, 64, []string{"a TTL of 2 "}},
		"few for both":       {3, 4, []string{"a TTL of 3 ", "an IPv6 hop limit of 4 "}},
		"as few as suffices": {32, 32, nil},
	} {
		var errs strings.Builder
		s := &serving{errs: &errs}
		s.sayFewHops(func(to netip.AddrPort) int {
			if to.Addr().Is4() {
				return c.ip4
			}
			return c.ip6
		})
		if n := strings.Count(errs.String(), "listen: "); n != len(c.want) {
			t.Errorf("%s: %d times: %s", name, n, errs.String())
		}
		for _, w := range c.want {
			if !strings.Contains(errs.String(), w) {
				t.Errorf("%s: not %q: %s", name, w, errs.String())
			}
		}
	}
}
