package service

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A tamperer is a device in the middle that changes one byte of a conversation.
type tamperer struct {
	to   netip.AddrPort
	out  bool      // of what the asking side says; else of what it is told
	at   int       // which byte; -1: none
	said [2][]byte // what passed unchanged, out and back
}

// relay carries one conversation.
func (d *tamperer) relay(client net.Conn) {
	server, err := net.Dial("tcp", d.to.String())
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	carry := func(to, from net.Conn, n int, changes bool) {
		buf := make([]byte, 32<<10)
		for {
			k, err := from.Read(buf)
			before := len(d.said[n])
			d.said[n] = append(d.said[n], buf[:k]...)
			if i := d.at - before; changes && i >= 0 && i < k {
				buf[i] ^= 1
			}
			if _, werr := to.Write(buf[:k]); werr != nil || err != nil {
				if c, ok := to.(*net.TCPConn); ok {
					_ = c.CloseWrite()
				}
				return
			}
		}
	}
	both.Go(func() { carry(server, client, 0, d.out) })
	both.Go(func() { carry(client, server, 1, !d.out) })
	both.Wait()
}

// through holds a conversation through a device.
func (d *tamperer) through(t *testing.T, speaks plan.Protocol, patience time.Duration) result.Conversation {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		d.relay(c)
	})
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	q := berQuestion(t)
	q.DocumentSize = 4 << 10
	return Ask(ctx, conn, speaks, q)
}

// promised is how many bytes of what was said one way, from the first, a
// conversation promises to notice each change of. What follows is TLS, whose
// records carry their own proof and versions that nobody reads (RFC 8446
// section 5.1); a farewell; or the receipt's own message.
func promised(speaks plan.Protocol, out bool, said []byte) int {
	switch {
	case speaks == "tds": // the PRELOGIN messages
		return int(binary.BigEndian.Uint16(said[2:]))
	case speaks == "rdp" && !out: // the Connection Confirm
		return int(binary.BigEndian.Uint16(said[2:]))
	case speaks == "ldap" && out:
		return len(said) - len("\x30\x05\x02\x01\x03\x42\x00") // unbind
	case speaks == "smtp" && out: // EHLO
		return bytes.Index(said, []byte("\r\n"))
	case speaks == "smtp": // the greeting and the answer to EHLO, up to STARTTLS's
		return bytes.LastIndex(said[:bytes.Index(said, []byte{0x16, 3})], []byte("220 "))
	case speaks == "smtps": // up to EHLO and the answer to it, the last record of its size
		end := 0
		for at := 0; at+recordHead <= len(said); {
			next := at + recordHead + int(binary.BigEndian.Uint16(said[at+3:]))
			if said[at] == applicationData && next-at > 100 {
				end = next
			}
			at = next
		}
		return end
	case speaks == "z3950" && !out: // Close has the receipt
		return bytes.Index(said, []byte{0xbf, zClose})
	}
	return len(said)
}

// applicationData is the type of a record with what is said inside TLS (RFC 8446
// section 5.1).
const applicationData = 23

// isNobodys reports whether nothing reads a byte: a TDS packet's SPID, number
// and window (MS-TDS section 2.2.3.1); the version in the head of TLS's records, and
// the record that stands there for old devices' sake (RFC 8446 appendix D.4).
func isNobodys(speaks plan.Protocol, said []byte, n int) bool {
	const changeCipherSpec = 20
	for at := 0; speaks == "smtps" && at+recordHead <= len(said); at += recordHead + int(binary.BigEndian.Uint16(said[at+3:])) {
		if n == at+1 || n == at+2 || said[at] == changeCipherSpec && n >= at && n <= at+recordHead {
			return true
		}
	}
	return speaks == "tds" && n >= 4 && n < tdsHeader
}

// A device that changes any one byte, either way, is noticed: what comes of
// the conversation is not taken for a proof without a fault.
func TestAnyChangedByteIsNoticed(t *testing.T) {
	t.Parallel()
	const (
		most     = 160 // bytes tried each way of a longer conversation, its beginning and end among them
		patience = 400 * time.Millisecond
		edge     = 40
	)
	a, _ := berAnswerer(t)
	a.Patience = guardTime
	for _, speaks := range []plan.Protocol{"http", "tds", "rdp", "ldap", "z3950", "iso-ill", "odyssey", "smtp", "smtps"} {
		t.Run(string(speaks), func(t *testing.T) {
			t.Parallel()
			to := serve(t, a, speaks)
			whole := &tamperer{to: to, at: -1}
			if c := whole.through(t, speaks, guardTime); c.Outcome != result.ConversationCompleted || !c.Keyed || len(c.Changed) > 0 {
				t.Fatalf("unchanged: %+v", c)
			}
			for n, out := range []bool{true, false} {
				size := promised(speaks, out, whole.said[n])
				if size < 10 {
					t.Fatalf("it said %x", whole.said[n])
				}
				step := max(1, (size-2*edge)/(most-2*edge))
				var tries sync.WaitGroup
				slots := make(chan struct{}, 32)
				for at := 0; at < size; at++ {
					if at > edge && at < size-edge && (at-edge)%step != 0 {
						continue
					}
					tries.Go(func() {
						slots <- struct{}{}
						defer func() { <-slots }()
						d := &tamperer{to: to, out: out, at: at}
						c := d.through(t, speaks, patience)
						if c.Outcome != result.ConversationCompleted || !c.Keyed || len(c.Changed) > 0 {
							return
						}
						// Signatures in TLS are a byte longer or shorter from time to time.
						if said := d.said[n]; at < promised(speaks, out, said) && !isNobodys(speaks, said, at) {
							t.Errorf("byte %d of %d %s was changed, and nothing noticed it", at, size, map[bool]string{true: "out", false: "back"}[out])
						}
					})
				}
				tries.Wait()
			}
		})
	}
}
