package result

import "testing"

// The system sends a SYN again after a second, whether it was lost or is on its way
// still (RFC 6298 section 2): only what a handshake took beyond a round trip tells.
func TestLostSYNIsToldFromALongWay(t *testing.T) {
	ms := func(v float64) *float64 { return &v }
	took := func(all ...float64) (list []Connection) {
		for _, v := range all {
			list = append(list, Connection{Reached: ReachedConnected, ConnectMS: v})
		}
		return list
	}
	for name, c := range map[string]struct {
		i    Initiator
		trip float64
		lost bool
	}{
		"a short way":                    {Initiator{ConnectMS: 3, RTTMS: ms(2)}, 2, false},
		"a second late":                  {Initiator{ConnectMS: 1003, RTTMS: ms(2)}, 2, true},
		"a way of 1.8 s":                 {Initiator{ConnectMS: 1803, RTTMS: ms(1801)}, 1801, false},
		"a second late on it":            {Initiator{ConnectMS: 2803, RTTMS: ms(1801)}, 1801, true},
		"the system measured less":       {Initiator{ConnectMS: 1803, RTTMS: ms(1801), TCP: &TCP{RTTMS: 1700}}, 1700, false},
		"no proof, and all took as long": {Initiator{ConnectMS: 3003, Connections: took(3003, 3010)}, 3003, false},
		"no proof, and one was sooner":   {Initiator{ConnectMS: 3003, Connections: took(3003, 12)}, 12, true},
		"datagrams have no handshake":    {Initiator{Connections: []Connection{{Reached: ReachedDone, Sent: 3, ConnectMS: 0.1}}}, 0, false},
	} {
		c.i.Connect = ConnectOpen
		if got := c.i.TripMS(); got != c.trip {
			t.Errorf("%s: a trip of %.0f ms, want %.0f", name, got, c.trip)
		}
		if got := c.i.LostSYN(); got != c.lost {
			t.Errorf("%s: a lost SYN: %t", name, got)
		}
	}
}
