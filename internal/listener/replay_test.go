package listener

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"dialtone/internal/echo"
)

// A Binding that somebody recorded, towards another listener with the same key,
// is answered, and no more than asked: only a message with the connection's own
// nonce proves that who sends it has the key.
func TestReplayedBindingIsNotWrittenDownAsProved(t *testing.T) {
	var recorded bytes.Buffer
	ask := newAsk()
	first := start(t, Config{})
	near, far := net.Pipe()
	go func() { _, _ = echo.Prove(within(t, time.Second), near, ask) }()
	_ = far.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	_, _ = io.Copy(&recorded, far)
	far.Close()
	if recorded.Len() == 0 {
		t.Fatal("nothing was recorded")
	}
	var out bytes.Buffer
	j := &Journal{Out: &out, JSON: true}
	second := start(t, Config{OnEvent: j.Write})
	for _, at := range []netip.AddrPort{first.at, second.at} {
		c, err := (&net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(elsewhere, 0))}).Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(recorded.Bytes())
		b := make([]byte, 2048)
		_ = c.SetReadDeadline(time.Now().Add(guardTime))
		if n, err := c.Read(b); n == 0 {
			t.Fatalf("%s did not answer: %v", at, err)
		}
		c.Close()
	}
	second.stop()
	kinds := map[echo.Kind]int{}
	for d := json.NewDecoder(&out); ; {
		var r record
		if err := d.Decode(&r); err != nil {
			break
		}
		kinds[r.Kind]++
		if r.Probe != ask.Probe.String() {
			t.Errorf("%+v", r)
		}
	}
	if kinds[echo.KindAsked] != 1 || kinds[echo.KindProved] != 0 {
		t.Errorf("written down: %v", kinds)
	}
	if second.arrivals.provedFrom(ask.Run, elsewhere) || second.provedAddrs.has(elsewhere) {
		t.Error("a recording counts as proof")
	}
	for _, a := range second.Listened(time.Now().Add(-time.Minute)).Arrivals {
		if a.Proved {
			t.Errorf("told as proved: %+v", a)
		}
	}
}
