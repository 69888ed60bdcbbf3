package echo

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// A fault is what a relay does to one direction at one byte of its payload.
type fault struct {
	up bool // from asking to answering end
	at int64
	do string // "flip", "drop a byte", "stall", "reset", "close"
}

// relay passes every byte between its clients and target, save for the fault.
func relay(t *testing.T, target netip.AddrPort, f *fault) netip.AddrPort {
	t.Helper()
	return accept(t, loop4, func(ctx context.Context, client net.Conn) {
		server, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(target))
		if err != nil {
			t.Error(err)
			return
		}
		defer server.Close()
		stop := context.AfterFunc(ctx, func() { server.Close() })
		defer stop()
		pass := func(up bool, to, from *net.TCPConn, done chan<- struct{}) {
			defer close(done)
			if f == nil || f.up != up {
				_, _ = io.Copy(to, from)
			} else {
				f.pass(ctx, to, from)
			}
			_ = to.CloseWrite()
		}
		ups, downs := make(chan struct{}), make(chan struct{})
		go pass(true, server, client.(*net.TCPConn), ups)
		go pass(false, client.(*net.TCPConn), server, downs)
		<-ups
		<-downs
	})
}

// pass copies until the fault's byte, then does what it does.
func (f *fault) pass(ctx context.Context, to, from *net.TCPConn) {
	var seen []byte
	var pos, point int64 = 0, -1
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		b := buf[:n]
		if point < 0 {
			seen = append(seen, b...)
			if start := payloadStart(seen); start >= 0 {
				point = start + f.at
			}
		}
		if point >= pos && point < pos+int64(n) {
			i := point - pos
			switch f.do {
			case "flip":
				b[i] ^= 1
			case "drop a byte":
				_, _ = to.Write(b[:i])
				b = b[i+1:]
			default:
				_, _ = to.Write(b[:i])
				switch f.do {
				case "stall":
					_, _ = io.Copy(io.Discard, ctxReader{ctx, from})
				case "reset":
					_ = to.SetLinger(0)
					_ = from.SetLinger(0)
					to.Close()
					from.Close()
				case "close":
					to.Close()
					from.Close()
				}
				return
			}
		}
		if _, werr := to.Write(b); werr != nil || err != nil {
			return
		}
		pos += int64(n)
	}
}

// ctxReader blocks until ctx ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read([]byte) (int, error) { <-c.ctx.Done(); return 0, io.EOF }

// payloadStart finds where the bytes behind a Transfer message begin, -1 if
// that message has not passed yet.
func payloadStart(b []byte) int64 {
	for at := 0; at+headerSize <= len(b); {
		next := at + headerSize + int(binary.BigEndian.Uint16(b[at+2:]))
		if kind := binary.BigEndian.Uint16(b[at:]); kind == 0x3641 || kind == 0x3741 {
			return int64(next)
		}
		at = next
	}
	return -1
}

const far = 200_000 // a byte of the payload that is beyond the first segments

func TestTransparentRelayIsNoFault(t *testing.T) {
	at, _ := serve(t, loop4, newAnswerer(&fakeHost{}))
	c := prove(t, relay(t, at, nil), newAsk())
	for range 2 { // the conversation stays in step
		for name, got := range map[string]result.Transfer{
			"sent":     c.Send(within(t, guardTime), PayloadSize),
			"received": c.Receive(within(t, guardTime), PayloadSize),
		} {
			if got.Outcome != result.TransferIntact || got.Want != PayloadSize || got.Intact != PayloadSize || got.Detail != "" || got.Changed != "" {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
	if _, err := c.Hello(within(t, guardTime)); err != nil {
		t.Error(err)
	}
}

func TestEmptyAndOversizedTransfers(t *testing.T) {
	at, _ := serve(t, loop4, newAnswerer(&fakeHost{}))
	c := prove(t, at, newAsk())
	for _, got := range []result.Transfer{c.Send(within(t, guardTime), 0), c.Receive(within(t, guardTime), 0)} {
		if got.Outcome != result.TransferIntact {
			t.Errorf("nothing: %+v", got)
		}
	}
	if got := c.Receive(within(t, guardTime), maxTransfer+1); got.Outcome == result.TransferIntact || !strings.Contains(got.Detail, "400") {
		t.Errorf("too much: %+v", got)
	}
}

func TestFaultInThePayloadIsFoundAtItsByte(t *testing.T) {
	for _, c := range []struct {
		do   string
		at   int64
		want result.TransferOutcome
	}{
		{"flip", 0, result.TransferCorrupted},
		{"flip", far, result.TransferCorrupted},
		{"flip", PayloadSize - 1, result.TransferCorrupted},
		{"drop a byte", far, result.TransferCorrupted},
		{"stall", 0, result.TransferStalled},
		{"stall", far, result.TransferStalled},
		{"reset", far, result.TransferReset},
		{"close", far, result.TransferClosed},
	} {
		for _, up := range []bool{true, false} {
			direction := map[bool]string{true: "up", false: "down"}[up]
			t.Run(strings.ReplaceAll(c.do, " ", "-")+"/"+direction, func(t *testing.T) {
				t.Parallel()
				at, _ := serve(t, loop4, newAnswerer(&fakeHost{}))
				ask := newAsk()
				ask.Probe = ID{1} // a payload whose bytes around the faults differ
				conn := prove(t, relay(t, at, &fault{up, c.at, c.do}), ask)
				move := map[bool]func(context.Context, int64) result.Transfer{true: conn.Send, false: conn.Receive}
				limit := guardTime
				if c.do == "stall" || c.do == "drop a byte" {
					limit = 400 * time.Millisecond // it takes all the time there is
				}
				start := time.Now()
				got := move[up](within(t, limit), PayloadSize)
				if d := time.Since(start); d > guardTime {
					t.Errorf("took %s", d)
				}
				lost := up && (c.do == "reset" || c.do == "close") // the far end cannot report
				// A RST overtakes what was read and not handed on yet.
				short := c.do == "reset" && got.Intact <= c.at
				if !lost && (got.Outcome != c.want || got.Intact != c.at && !short) ||
					lost && got.Outcome != result.TransferReset && got.Outcome != result.TransferClosed {
					t.Errorf("%+v, want %s at %d", got, c.want, c.at)
				}
				if (got.Changed != "") != (c.want == result.TransferCorrupted) || got.Want != PayloadSize {
					t.Errorf("%+v", got)
				}
			})
		}
	}
}

func TestReportThatNeverComesIsUnknownNotStalled(t *testing.T) {
	// The answer to a Transfer from the asking end comes after the payload:
	// what stalls at its first byte is the way back.
	at, _ := serve(t, loop4, newAnswerer(&fakeHost{}))
	mute := accept(t, loop4, func(ctx context.Context, client net.Conn) {
		server, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Error(err)
			return
		}
		defer server.Close()
		go func() { _, _ = io.Copy(server, client); server.Close() }()
		if _, raw, err := readMessage(server, maxFirst); err == nil {
			_, _ = client.Write(raw)
		}
		_, _ = io.Copy(io.Discard, server) // the rest is dropped
	})
	c := prove(t, mute, newAsk())
	if got := c.Send(within(t, 400*time.Millisecond), 1000); got.Outcome != result.TransferUnknown || got.Detail == "" {
		t.Errorf("%+v", got)
	}
}

func TestReportThatContradictsItselfIsNotIntact(t *testing.T) {
	at := accept(t, loop4, func(_ context.Context, c net.Conn) {
		a := newAnswerer(&fakeHost{})
		ac := &answering{Answerer: a, ctx: context.Background(), conn: c, peer: Peer{Remote: sock.AddrPortOf(c.RemoteAddr()), Local: sock.AddrPortOf(c.LocalAddr())}}
		m, _, err := readMessage(c, maxFirst)
		if err != nil || !ac.binding(m) {
			return
		}
		if m, _, err = readMessage(c, maxMessage); err != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, c, 1000)
		ac.counter = 1
		ac.reply(m, result.Transfer{Outcome: result.TransferIntact, Want: 1000, Intact: 10})
	})
	if got := prove(t, at, newAsk()).Send(within(t, guardTime), 1000); got.Outcome != result.TransferUnknown {
		t.Errorf("%+v", got)
	}
}

func TestNoTwoProbesOrDirectionsShareAPayload(t *testing.T) {
	first := func(p ID, s side) (b [16]byte) { rightKey.keystream(p, s).XORKeyStream(b[:], b[:]); return b }
	if first(ID{1}, fromAsker) == first(ID{2}, fromAsker) || first(ID{1}, fromAsker) == first(ID{1}, fromAnswerer) {
		t.Error("a recorded payload would pass for another")
	}
}
