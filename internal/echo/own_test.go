package echo

import (
	"errors"
	"net/netip"
	"testing"

	"dialtone/internal/sock"
)

// Whoever dials an address that leads back to it must not take its own
// listener's proof for the far end's, however true it is.
func TestOnesOwnListenerProvesNothing(t *testing.T) {
	for name, addr := range families() {
		t.Run(name, func(t *testing.T) {
			a := newAnswerer(&fakeHost{})
			stream, _ := serve(t, addr, a)
			packets := servePackets(t, addr, func(remote, local netip.AddrPort, b []byte) [][]byte {
				if answer, _ := a.AnswerPacket(remote, local, b); answer != nil {
					return [][]byte{answer}
				}
				return nil
			})
			ask := newAsk()
			ask.Own = a.Instance
			_, err := Prove(within(t, guardTime), dialTCP(t, stream), ask)
			if own := (*OwnError)(nil); !errors.As(err, &own) || own.Origin != stream {
				t.Errorf("TCP: %v", err)
			}
			_, _, _, n, err := ProvePacket(within(t, guardTime), dialUDP(t, packets), ask, SmallPacket)
			if own := (*OwnError)(nil); !errors.As(err, &own) || own.Origin != packets || n != 1 {
				t.Errorf("UDP, after %d datagrams: %v", n, err)
			}
			ask.Own = NewID()
			c, err := Prove(within(t, guardTime), dialTCP(t, stream), ask)
			if err != nil || c.Instance != a.Instance || c.Origin != sock.AddrPortOf(c.conn.RemoteAddr()) {
				t.Errorf("another one's: %v, %v", c, err)
			}
		})
	}
}
