package main

import (
	"net/netip"
	"strings"
	"testing"

	"dialtone/internal/plan"
)

func TestHowToSeeWhatWindowsDoesNotShow(t *testing.T) {
	var said strings.Builder
	s := &serving{errs: &said}
	for _, goos := range []string{"linux", "darwin"} {
		if s.unseen(goos) != nil {
			t.Errorf("%s has no pktmon", goos)
		}
	}
	tell := s.unseen("windows")
	for range 3 {
		tell(plan.TCP, 1433, netip.MustParseAddr("::ffff:10.1.0.10"))
	}
	if n := strings.Count(said.String(), "  pktmon filter add dialtone -i 10.1.0.10 -t TCP -p 1433\n"); n != 1 {
		t.Errorf("it is told %d times\n%s", n, &said)
	}
	tell(plan.UDP, 1434, netip.Addr{})
	if !strings.Contains(said.String(), "  pktmon filter add dialtone -t UDP -p 1434\n") {
		t.Error(said.String())
	}
	for port := range 100 {
		tell(plan.TCP, 2000+port, netip.MustParseAddr("2001:db8::1"))
	}
	if n := strings.Count(said.String(), "pktmon start"); n != maxUnseen {
		t.Errorf("%d ports are told of", n)
	}
}
