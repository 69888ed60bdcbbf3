package echo

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
)

func TestAnOpenedLinkIsProvedAndLeavesFromTheAddressThatWasGiven(t *testing.T) {
	at, _ := serve(t, loop4, newAnswerer(&fakeHost{}))
	from := netip.MustParseAddr("127.0.0.1")
	l, err := Open(within(t, guardTime), netip.AddrPortFrom(from, 0), at, newAsk())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.Origin != at || l.SeenAs.Addr() != from || l.SeenAs.String() != l.Stream.LocalAddr().String() {
		t.Errorf("%s seen as %s", l.Origin, l.SeenAs)
	}
	if _, err := l.Hello(t.Context()); err != nil {
		t.Error(err)
	}
}

// Who does not prove itself gets nothing more, and nobody is left with a connection
// to close.
func TestALinkThatIsNotProvedIsClosed(t *testing.T) {
	over := make(chan error, 1)
	at := accept(t, loop4, func(_ context.Context, c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 1)) // a part of what was asked
		_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
		_, err := io.Copy(io.Discard, c)
		over <- err
	})
	l, err := Open(within(t, guardTime), netip.AddrPort{}, at, newAsk())
	if foreign := (*ForeignError)(nil); l != nil || !errors.As(err, &foreign) {
		t.Errorf("%v: %v", l, err)
	}
	receive(t, over)
	if l, err := Open(within(t, guardTime), netip.AddrPort{}, netip.AddrPortFrom(loop4, 1), newAsk()); l != nil || err == nil {
		t.Errorf("%v: %v", l, err)
	}
}
