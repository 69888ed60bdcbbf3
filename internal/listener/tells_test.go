package listener

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/user"
	"strings"
	"sync"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/service"
	"dialtone/internal/sock"
)

// ownVersion is what only holders of the key are told.
const ownVersion = "dialtone/9.87.654-tells"

// heard is all that a listener said, by what it was asked.
type heard struct {
	mu   sync.Mutex
	said map[string][]byte
}

func (h *heard) add(what string, b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.said[what] = append(h.said[what], b...)
}

// tapped keeps what is read from a connection.
type tapped struct {
	net.Conn
	what string
	to   *heard
}

func (c tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.to.add(c.what, b[:n])
	return n, err
}

// strangeDatagrams are what a stranger may send by UDP.
func strangeDatagrams() [][]byte {
	out := [][]byte{{}, {2}, {3}, append([]byte{4}, "MSSQLSERVER\x00"...), append([]byte{0x0f, 1}, "MSSQLSERVER\x00"...), bytes.Repeat([]byte{3}, 1400), stunHeader}
	for _, m := range secretMessages() {
		out = append(out, m.bytes)
	}
	return out
}

// Nothing that a stranger can ask, of any service, by its own language or by
// anything else, tells the machine's name or addresses, this program's version, or
// a user's name.
func TestNothingTellsAStrangerOfThisMachine(t *testing.T) {
	t.Parallel()
	w := newWritten(t)
	rows, ports := everyProtocol()
	l := start(t, Config{Plan: planOf(rows...), Ports: ports, Software: ownVersion, OnEvent: w.contact, OnTrouble: w.trouble})
	h := &heard{said: map[string][]byte{"certificate": l.certificate.Certificate[0]}}
	guess := newAsk()
	guess.Key = wrongKey
	var all sync.WaitGroup
	for _, b := range l.Bound() {
		p, at := b.Rows[0].Speaks, b.Addr
		if b.Transport == plan.UDP {
			for i, d := range strangeDatagrams() {
				c, err := net.Dial("udp", at.String())
				if err != nil {
					t.Fatal(err)
				}
				_, _ = c.Write(d)
				all.Go(func() {
					defer c.Close()
					_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
					got := make([]byte, 2048)
					n, _ := c.Read(got)
					h.add(fmt.Sprintf("%s datagram %d", p, i), got[:n])
				})
			}
			continue
		}
		tap := func(what string) net.Conn { return tapped{dialFrom(t, loop, at), string(p) + " " + what, h} }
		all.Go(func() {
			q := service.Question{Host: "127.0.0.1", DataAddr: loop, DocumentSize: 4096}
			_, _ = rand.Read(q.Token[:])
			c := service.Ask(within(t, guardTime), tap("conversation"), p, q)
			b, err := json.Marshal(c) // what came inside TLS stands there
			if err != nil {
				t.Error(err)
			}
			h.add(string(p)+" facts", b)
		})
		all.Go(func() { _, _ = echo.Map(within(t, guardTime), tap("STUN")) })
		all.Go(func() { _, _ = echo.Prove(within(t, guardTime), tap("another key"), guess) })
		for i, m := range append(secretMessages(), message{bytes: []byte("HELP\r\n")}, message{bytes: []byte("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")}, message{bytes: []byte("EHLO a\r\nHELP\r\nVRFY root\r\nSYST\r\nSTAT\r\nFEAT\r\nPWD\r\n")}) {
			all.Go(func() {
				c := tap(fmt.Sprintf("message %d", i))
				_, _ = c.Write(m.bytes)
				_ = c.SetReadDeadline(time.Now().Add(time.Second))
				_, _ = io.Copy(io.Discard, c)
			})
		}
	}
	all.Wait()
	secrets := map[string]string{"version": ownVersion, "its number": "9.87.654", "instance": l.Instance.String()}
	if name, err := os.Hostname(); err == nil && len(name) > 3 && name != "localhost" {
		secrets["host name"] = name
	}
	if u, err := user.Current(); err == nil && len(u.Username) > 3 && u.Username != "root" {
		secrets["user"] = u.Username
	}
	own, err := sock.LocalAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range own {
		if !a.IsLoopback() {
			secrets["address "+a.String()] = a.WithZone("").String()
		}
	}
	for what, said := range h.said {
		text := strings.ToLower(string(said))
		for name, s := range secrets {
			for _, form := range []string{s, string(utf16le(s))} {
				if i := strings.Index(text, strings.ToLower(form)); i >= 0 {
					t.Errorf("%s tells the %s: …%q", what, name, text[max(0, i-60):min(len(text), i+60)])
				}
			}
		}
		for _, a := range own {
			if !a.IsLoopback() && bytes.Contains(said, a.AsSlice()) && len(a.AsSlice()) == 16 {
				t.Errorf("%s tells the address %s", what, a)
			}
		}
	}
	if l.certificate.Leaf == nil || len(l.certificate.Leaf.DNSNames)+len(l.certificate.Leaf.IPAddresses) > 0 {
		t.Errorf("the certificate names %v, %v", l.certificate.Leaf.DNSNames, l.certificate.Leaf.IPAddresses)
	}
	for _, p := range plan.Protocols {
		n := 0
		for what, said := range h.said {
			if strings.HasPrefix(what, string(p)+" ") && !strings.HasSuffix(what, " STUN") {
				n += len(said)
			}
		}
		if n == 0 && p.Language().Transport == plan.TCP {
			t.Errorf("%s said nothing: nothing is shown", p)
		}
	}
}

// Whatever comes by UDP, from whatever source, not more goes back than came: to
// who proved nothing, to who proved the key by datagram, and, for what others ask
// in its name, to who proved itself over TCP.
func TestDatagramsGetNoMoreThanTheyBring(t *testing.T) {
	w := newWritten(t)
	l, at := everyService(t, w)
	udp := at[plan.SQLBrowser]
	var p *boundPort
	for _, b := range l.bound {
		if b.udp != nil {
			p = b
		}
	}
	// in and out are what comes and goes by UDP alone; whose source is a forgery
	// the listener cannot see.
	forged := netip.AddrPortFrom(elsewhere, 7)
	ask := func(from netip.AddrPort, d []byte) (in, out int) {
		answer, kind := l.answerer.AnswerPacket(from, udp, d)
		if kind == echo.KindForeign {
			answer = l.answerStranger(p, from, udp, d)
		}
		return len(d), len(answer)
	}
	in, out := 0, 0
	for _, d := range strangeDatagrams() {
		for range 100 {
			i, o := ask(forged, d)
			in, out = in+i, out+o
			if o > i {
				t.Errorf("%d bytes for %d: %q", o, i, d)
			}
		}
	}
	t.Logf("strangers: %d bytes in, %d out", in, out)
	if out != 0 {
		t.Errorf("strangers got %d bytes", out)
	}
	// A keyed datagram.
	c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(elsewhere, 0)), net.UDPAddrFromAddrPort(udp))
	if err != nil {
		t.Skip(err)
	}
	defer c.Close()
	_, sent, received, _, err := echo.ProvePacket(within(t, guardTime), c, newAsk(), echo.SmallPacket)
	t.Logf("with the key: %d bytes in, %d out", sent, received)
	if err != nil || received > sent || received == 0 {
		t.Errorf("%d bytes for %d: %v", received, sent, err)
	}
	// What others ask in the name of who proved itself: all that it ever gets for
	// it is less than its own connections had.
	proofs := 4
	tcp := 0
	for range proofs {
		conn := dialFrom(t, elsewhere, at[plan.TDS])
		counted := &counting{Conn: conn}
		c, err := echo.Prove(within(t, guardTime), counted, newAsk())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Hello(within(t, guardTime)); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		const headers = 5 * 52 // SYN, ACK and FIN, and those of its two messages (RFC 791, RFC 9293, with timestamps)
		tcp += counted.written + headers
	}
	in, out = 0, 0
	for range 10_000 {
		i, o := ask(forged, []byte{3})
		in, out = in+i, out+o
	}
	t.Logf("in the name of who proved itself %d times with %d bytes: %d bytes in, %d out (%.2f)", proofs, tcp, in, out, float64(out)/float64(in+tcp))
	if out == 0 || out > in+tcp {
		t.Errorf("%d bytes for %d, and %d of proofs", out, in, tcp)
	}
}

type counting struct {
	net.Conn
	written int
}

func (c *counting) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.written += n
	return n, err
}
