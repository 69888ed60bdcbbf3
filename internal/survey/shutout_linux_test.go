package survey

import (
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

// An address may be shut out before anything was proved: ports opened once, and
// then did not any more.
func TestShutOutBeforeAnyProofIsACutOff(t *testing.T) {
	p := cutRows(24641)
	var l []*net.TCPListener
	for _, r := range p.Rows {
		at, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(device, uint16(r.Port))))
		if err != nil {
			cannotBind(t, device, err)
		}
		t.Cleanup(func() { at.Close() })
		l = append(l, at)
	}
	fill := func(of *net.TCPListener) { // its queue is full: no SYN is answered any more
		for {
			c, err := net.DialTimeout("tcp", of.Addr().String(), 100*time.Millisecond)
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	}
	var took atomic.Int32
	for _, of := range l {
		prooftest.Queue(t, of, 0)
		go func() {
			c, err := of.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			fill(of)
			took.Add(1)
		}()
	}
	c := config(p, device)
	r := run(t, t.Context(), c)
	if int(took.Load()) != len(l) {
		t.Fatalf("%d of %d ports opened and closed", took.Load(), len(l))
	}
	f := findingOf(r, "cut-off")
	if f == nil || !strings.Contains(f.Text, "on ports that had opened before") || findingOf(r, "no-contact") != nil {
		t.Errorf("%+v", r.Findings)
	}
	for _, p := range r.Paths {
		if p.Verdict != result.Untested || strings.Contains(p.Finding.Advice, "application-aware") {
			t.Errorf("%s is %s: %+v", p.Flow, p.Verdict, p.Finding)
		}
	}
}
