package echo

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// reply is how a fake STUN server answers a request: with these datagrams, or
// bytes on a stream.
type reply func(req *stun.Message, from netip.AddrPort) [][]byte

func message(setters ...stun.Setter) []byte {
	m, err := stun.Build(setters...)
	if err != nil {
		panic(err)
	}
	return m.Raw
}

func xorMapped(ap netip.AddrPort) stun.Setter {
	return &stun.XORMappedAddress{IP: ap.Addr().AsSlice(), Port: int(ap.Port())}
}

// honest answers as RFC 8489 and RFC 5780 say.
func honest(req *stun.Message, from netip.AddrPort) [][]byte {
	return [][]byte{message(req, stun.BindingSuccess, xorMapped(from),
		&stun.ResponseOrigin{IP: net.IPv4(127, 0, 0, 1), Port: 3478}, &stun.OtherAddress{IP: net.IPv4(127, 0, 0, 2), Port: 3479},
		stun.NewSoftware("fake\x1b 1"), stun.Fingerprint)}
}

// serveUDP answers datagrams until the test ends.
func serveUDP(t *testing.T, addr string, f reply) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, MaxPacket)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			req, err := decode(buf[:n])
			if err != nil {
				continue
			}
			for _, b := range f(req, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())) {
				_, _ = c.WriteToUDPAddrPort(b, from)
			}
		}
	}()
	t.Cleanup(func() { c.Close(); <-done })
	return netip.MustParseAddrPort(c.LocalAddr().String())
}

func askingSocket(t *testing.T, addr string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestServersAreAskedFromOneSocketAtOnce(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		first, second := serveUDP(t, addr, honest), serveUDP(t, addr, honest)
		c := askingSocket(t, addr)
		out := MapPackets(within(t, 20*time.Second), c, []netip.AddrPort{first, second})
		for i, m := range out {
			if m.Err != nil || m.SeenAs.String() != c.LocalAddr().String() || m.Attempts < 1 {
				t.Errorf("%s: server %d: %+v", addr, i, m)
			}
		}
		if m := out[0]; m.Origin.String() != "127.0.0.1:3478" || m.Other.String() != "127.0.0.2:3479" || m.Software != `fake\x1b 1` {
			t.Errorf("%+v", m)
		}
	}
}

func TestAnswersThatAreNotBelieved(t *testing.T) {
	altered := func(req *stun.Message, from netip.AddrPort) [][]byte {
		b := honest(req, from)[0]
		b[31] ^= 1 // the mapped address
		return [][]byte{b}
	}
	otherID := func(req *stun.Message, from netip.AddrPort) [][]byte {
		return [][]byte{message(stun.TransactionID, stun.BindingSuccess, xorMapped(from))}
	}
	var foreign *ForeignError
	var refused *RefusedError
	for name, c := range map[string]struct {
		answer reply
		ok     func(error) bool
	}{
		"altered":           {altered, func(err error) bool { return errors.Is(err, ErrAltered) }},
		"other transaction": {otherID, func(err error) bool { return errors.Is(err, ErrTransaction) }},
		"our own bytes":     {func(req *stun.Message, _ netip.AddrPort) [][]byte { return [][]byte{req.Raw} }, func(err error) bool { return errors.As(err, &foreign) && foreign.Echoed }},
		"other bytes": {func(*stun.Message, netip.AddrPort) [][]byte {
			return [][]byte{[]byte("HTTP/1.1 400 Bad Request\r\n\r\n")}
		}, func(err error) bool { return errors.As(err, &foreign) && len(foreign.Data) == 28 }},
		"no address": {func(req *stun.Message, _ netip.AddrPort) [][]byte { return [][]byte{message(req, stun.BindingSuccess)} }, func(err error) bool { return errors.Is(err, ErrUnmapped) }},
		"error": {func(req *stun.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{message(req, stun.BindingError, stun.CodeForbidden)}
		}, func(err error) bool { return errors.As(err, &refused) && refused.Code == 403 }},
		"another kind of STUN": {func(req *stun.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{message(req, stun.NewType(stun.MethodAllocate, stun.ClassSuccessResponse))}
		}, func(err error) bool { return errors.As(err, &foreign) }},
		"nothing": {func(*stun.Message, netip.AddrPort) [][]byte { return nil }, isTimeoutOrLate},
	} {
		t.Run(name, func(t *testing.T) {
			m := MapPackets(within(t, time.Second), askingSocket(t, "127.0.0.1:0"), []netip.AddrPort{serveUDP(t, "127.0.0.1:0", c.answer)})[0]
			if m.SeenAs.IsValid() || !c.ok(m.Err) {
				t.Errorf("over UDP: %+v", m)
			}
			at := accept(t, netip.MustParseAddr("127.0.0.1"), func(_ context.Context, conn net.Conn) {
				req, _, err := readMessage(conn, maxFirst)
				if err != nil {
					return
				}
				for _, b := range c.answer(req, netip.MustParseAddrPort(conn.RemoteAddr().String())) {
					_, _ = conn.Write(b)
				}
				_, _ = conn.Read(make([]byte, 1)) // until the asking end closes
			})
			got, err := Map(within(t, time.Second), dialTCP(t, at))
			if got.SeenAs.IsValid() || !c.ok(err) {
				t.Errorf("over TCP: %+v, %v", got, err)
			}
		})
	}
}

func isTimeoutOrLate(err error) bool {
	return isTimeout(err) || errors.Is(err, context.DeadlineExceeded)
}

// Somebody who forges answers in the server's name, without seeing the request,
// cannot keep the true answer from being believed.
func TestForgedDatagramsDoNotHideTheAnswer(t *testing.T) {
	at := serveUDP(t, "127.0.0.1:0", func(req *stun.Message, from netip.AddrPort) [][]byte {
		forged := message(stun.TransactionID, stun.BindingSuccess, xorMapped(netip.MustParseAddrPort("192.0.2.66:1")), stun.Fingerprint)
		return append([][]byte{forged, []byte("rubbish"), {}}, honest(req, from)...)
	})
	c := askingSocket(t, "127.0.0.1:0")
	m := MapPackets(within(t, 20*time.Second), c, []netip.AddrPort{at})[0]
	if m.Err != nil || m.SeenAs.String() != c.LocalAddr().String() {
		t.Errorf("%+v", m)
	}
}

func TestAnswerFromElsewhereIsToldAndNotBelieved(t *testing.T) {
	other := askingSocket(t, "127.0.0.1:0")
	at := serveUDP(t, "127.0.0.1:0", func(req *stun.Message, from netip.AddrPort) [][]byte {
		_, _ = other.WriteToUDPAddrPort(honest(req, from)[0], from)
		return nil
	})
	m := MapPackets(within(t, time.Second), askingSocket(t, "127.0.0.1:0"), []netip.AddrPort{at})[0]
	var elsewhere *ElsewhereError
	if m.SeenAs.IsValid() || !errors.As(m.Err, &elsewhere) || elsewhere.From.String() != other.LocalAddr().String() {
		t.Errorf("%+v", m)
	}
}

// RFC 8489 section 6.2.1: the request is sent again, the same one, and not for
// ever.
func TestLostDatagramsAreSentAgain(t *testing.T) {
	seen := make(chan [stun.TransactionIDSize]byte, 100)
	n := 0
	at := serveUDP(t, "127.0.0.1:0", func(req *stun.Message, from netip.AddrPort) [][]byte {
		seen <- req.TransactionID
		if n++; n < 3 {
			return nil
		}
		return honest(req, from)
	})
	m := MapPackets(within(t, 20*time.Second), askingSocket(t, "127.0.0.1:0"), []netip.AddrPort{at})[0]
	if m.Err != nil || m.Attempts != 3 || m.RTT != 0 {
		t.Fatalf("%+v", m)
	}
	if first, second, third := <-seen, <-seen, <-seen; first != second || second != third {
		t.Error("each time another transaction id")
	}
}

func TestAskingEndsWithItsContext(t *testing.T) {
	at := serveUDP(t, "127.0.0.1:0", func(*stun.Message, netip.AddrPort) [][]byte { return nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if m := MapPackets(ctx, askingSocket(t, "127.0.0.1:0"), []netip.AddrPort{at})[0]; m.Err == nil || m.Attempts != 0 {
		t.Errorf("%+v", m)
	}
}
