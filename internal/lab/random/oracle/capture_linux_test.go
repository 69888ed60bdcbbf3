package oracle

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

var client, server, device = netip.MustParseAddr("10.1.0.10"), netip.MustParseAddr("10.2.0.10"), netip.MustParseAddr("198.51.100.1")

// ip4 is an IPv4 packet without checksums: nothing here looks at them.
func ip4(src, dst netip.Addr, ttl, proto byte, body []byte) []byte {
	b := make([]byte, 20, 20+len(body))
	b[0], b[8], b[9] = 0x45, ttl, proto
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(body)))
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	return append(b, body...)
}

func tcp(sport, dport uint16, flags byte, data int) []byte {
	b := make([]byte, 20+data)
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	b[12], b[13] = 5<<4, flags
	return b
}

func TestWhatPassesIsToldByConnection(t *testing.T) {
	c := &Capture{conns: map[string]*Seen{}, done: make(chan struct{})}
	request := func(sport uint16, flags byte, data int) []byte {
		return ip4(client, server, 64, 6, tcp(sport, 1433, flags, data))
	}
	answer := func(sport uint16, flags byte, data int) []byte {
		return ip4(server, client, 61, 6, tcp(1433, sport, flags, data))
	}
	// One that works, one that is answered by RST, one that a device rejects, and silence.
	c.take(request(1, flagSYN, 0), true)
	c.take(answer(1, flagSYN|flagACK, 0), false)
	c.take(request(1, flagACK, 700), true)
	c.take(answer(1, flagACK, 300), false)
	c.take(answer(1, flagFIN|flagACK, 0), false)
	c.take(request(2, flagSYN, 0), true)
	c.take(answer(2, flagRST|flagACK, 0), false)
	c.take(request(3, flagSYN, 0), true)
	c.take(ip4(device, client, 63, 1, append([]byte{3, 13, 0, 0, 0, 0, 0, 0}, request(3, flagSYN, 0)...)), false)
	c.take(request(4, flagSYN, 0), true)
	c.take(request(4, flagSYN, 0), true)
	c.take(request(9, flagACK, 10), true) // of a connection that began before
	c.take([]byte{0x45, 0}, false)

	all := c.Close().Conns
	if len(all) != 4 {
		t.Fatalf("%d connections: %+v", len(all), all)
	}
	if s := all[0]; !s.Out || s.From != "10.1.0.10:1" || s.To != "10.2.0.10:1433" || s.SYNs != 1 || s.SYNACKs != 1 || s.There != 700 || s.Back != 300 || !s.FarFIN || s.FarRST {
		t.Errorf("one that works: %+v", s)
	}
	if s := all[1]; !s.FarRST || s.NearRST || s.SYNACKs != 0 {
		t.Errorf("one that is reset: %+v", s)
	}
	if s := all[2]; len(s.ICMP) != 1 || s.ICMP[0] != "3/13 from 198.51.100.1" {
		t.Errorf("one that is rejected: %+v", s)
	}
	if s := all[3]; s.SYNs != 2 || s.FarRST || len(s.ICMP) > 0 {
		t.Errorf("silence: %+v", s)
	}
}

func TestPortsThatAreUsedAgainAreAnotherConnection(t *testing.T) {
	c := &Capture{conns: map[string]*Seen{}, done: make(chan struct{})}
	for seq := range uint32(3) {
		syn := tcp(7, 1433, flagSYN, 0)
		binary.BigEndian.PutUint32(syn[4:], seq)
		c.take(ip4(client, server, 64, 6, syn), true)
		c.take(ip4(client, server, 64, 6, syn), true) // sent again
		if seq == 1 {
			c.take(ip4(server, client, 61, 6, tcp(1433, 7, flagSYN|flagACK, 0)), false)
		}
	}
	all := c.Close().Conns
	if len(all) != 3 {
		t.Fatalf("%d connections: %+v", len(all), all)
	}
	for i, s := range all {
		if s.SYNs != 2 || (s.SYNACKs == 1) != (i == 1) {
			t.Errorf("number %d: %+v", i, s)
		}
	}
}

func TestDatagramsArePairedWithTheirAnswers(t *testing.T) {
	udp := func(sport, dport uint16, data int) []byte {
		b := make([]byte, 8+data)
		binary.BigEndian.PutUint16(b, sport)
		binary.BigEndian.PutUint16(b[2:], dport)
		return b
	}
	c := &Capture{conns: map[string]*Seen{}, done: make(chan struct{})}
	c.take(ip4(client, server, 61, 17, udp(5, 1434, 320)), false)
	c.take(ip4(client, server, 61, 17, udp(5, 1434, 320)), false)
	c.take(ip4(server, client, 64, 17, udp(1434, 5, 100)), true)
	all := c.Close().Conns
	if len(all) != 1 || all[0].Out || all[0].Packets != 2 || all[0].Answers != 1 || all[0].There != 640 || all[0].Back != 100 {
		t.Errorf("%+v", all)
	}
}
