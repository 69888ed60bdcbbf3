package listener

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"dialtone/internal/plan"
	"dialtone/internal/sock"
)

// secret stands for whatever a client sends that nobody is to keep.
const secret = "Xq7-hunter2-Zw9"

func utf16le(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// tdsHidden is how LOGIN7 hides a password (MS-TDS section 2.2.6.4).
func tdsHidden(s string) []byte {
	b := utf16le(s)
	for i, c := range b {
		b[i] = (c<<4 | c>>4) ^ 0xa5
	}
	return b
}

// tlv is a BER element with a short or a one-byte length.
func tlv(tag byte, parts ...[]byte) []byte {
	content := bytes.Join(parts, nil)
	if len(content) < 0x80 {
		return append([]byte{tag, byte(len(content))}, content...)
	}
	return append([]byte{tag, 0x81, byte(len(content))}, content...)
}

func tdsMessage(kind byte, data ...[]byte) []byte {
	d := bytes.Join(data, nil)
	return append([]byte{kind, 1, byte((len(d) + 8) >> 8), byte(len(d) + 8), 0, 0, 0, 0}, d...)
}

// A message is what a client says to a service, with the secret wherever that
// has room for it, and what is said of it where it belongs.
type message struct {
	to    plan.Protocol
	bytes []byte
	words string
}

func secretMessages() []message {
	b64 := base64.StdEncoding.EncodeToString
	number := []byte{2, 1, 1}
	login := append(binary.LittleEndian.AppendUint32(nil, 300), 1, 0, 0, 0x71)
	login = append(login, make([]byte, 86)...)
	return []message{
		{plan.HTTP, []byte("GET /" + secret + "?password=" + secret + " HTTP/1.1\r\nHost: " + secret + "\r\nAuthorization: Basic " + b64([]byte("u:"+secret)) + "\r\nCookie: " + secret + "\r\n\r\n"),
			"HTTP: GET and credentials (not kept) came, answered that there is nothing of that name (404)"},
		{plan.HTTP, []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP: GET came, answered with the page"},
		{plan.HTTP, []byte(fmt.Sprintf("POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(secret), secret)), "HTTP: POST came, refused as meant"},
		{plan.HTTP, []byte(secret + " / HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP: a line of text and a request that is neither GET nor HEAD came, refused as meant"},
		{plan.FTP, []byte("USER u\r\nPASS " + secret + "\r\nRETR " + secret + "\r\nQUIT\r\n"), "FTP: a name, a password, a fetch and other commands came, answered"},
		{plan.SMTP, []byte("EHLO a\r\nAUTH PLAIN " + b64([]byte("\x00u\x00"+secret)) + "\r\nMAIL FROM:<" + secret + "@a>\r\nQUIT\r\n"), "SMTP: EHLO, a login and a mail came, refused as meant"},
		{plan.LDAP, tlv(0x30, number, tlv(0x60, []byte{2, 1, 3}, tlv(4, []byte("cn=u")), tlv(0x80, []byte(secret)))), "LDAP: a bind with a password came, refused as meant"},
		{plan.LDAP, tlv(0x30, number, tlv(0x60, []byte{2, 1, 3}, tlv(4), tlv(0xa3, tlv(4, []byte("PLAIN")), tlv(4, []byte("\x00u\x00"+secret))))), "LDAP: a bind by SASL came, refused as meant"},
		{plan.TDS, tdsMessage(0x10, login, utf16le(secret), tdsHidden(secret)), "SQL Server: login came, refused as meant"},
		{plan.RDP, append([]byte{3, 0, 0, byte(11 + 19 + len(secret)), byte(6 + 19 + len(secret)), 0xe0, 0, 0, 0, 0, 0}, "Cookie: mstshash="+secret+"\r\n"...), "Remote Desktop: negotiation came, without TLS: refused as meant"},
		{plan.Z3950, tlv(0xb4, tlv(0x83, []byte{5, 0xe0}), tlv(0x84, []byte{6, 0xc0}), tlv(0x85, []byte{0x10, 0}), tlv(0x86, []byte{0x10, 0}), tlv(0xa7, tlv(0x1a, []byte("u/"+secret)))), "Z39.50: Init came, answered"},
		{plan.ISOILL, tlv(0x61, tlv(0x30, []byte{0x80, 1, 2}, tlv(0x8f, []byte(secret)))), "ISO ILL: ILL-Request came, answered that nothing was done"},
		{plan.Odyssey, []byte(secret + "\r\n"), "Odyssey: a line that is no question of dial's came, told in words what is here"},
	}
}

// written is everything that a listener writes.
type written struct {
	mu                   sync.Mutex
	text, json, troubles bytes.Buffer
	ledger               *os.File
	screen, lines        *Journal
}

func newWritten(t *testing.T) *written {
	t.Helper()
	w := &written{}
	var err error
	if w.ledger, err = os.Create(filepath.Join(t.TempDir(), "ledger")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.ledger.Close() })
	w.screen = &Journal{Out: &w.text, Err: &w.troubles, Ledger: w.ledger}
	w.lines = &Journal{Out: &w.json, JSON: true, Err: &w.troubles}
	return w
}

func (w *written) contact(c Event) {
	w.screen.Write(c)
	w.lines.Write(c)
}

func (w *written) trouble(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintln(&w.troubles, what)
}

// all is everything by its name.
func (w *written) all(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile(w.ledger.Name())
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"screen": w.text.String(), "JSON": w.json.String(), "ledger": string(b), "errors": w.troubles.String(), "summary": w.screen.Summary()}
}

// forms are those in which the secret might be written down.
func forms() []string {
	out := []string{secret, hex.EncodeToString([]byte(secret)), string(utf16le(secret)), string(tdsHidden(secret)), hex.EncodeToString(utf16le(secret)), hex.EncodeToString(tdsHidden(secret))}
	for _, b := range [][]byte{[]byte(secret), utf16le(secret), tdsHidden(secret)} {
		for skip := range 3 {
			out = append(out, base64.RawStdEncoding.EncodeToString(b[skip:len(b)-(len(b)-skip)%3]))
		}
	}
	// Some of it is too much.
	out = append(out, secret[:6], secret[len(secret)-6:])
	for _, s := range slices.Clone(out) {
		out = append(out, fmt.Sprintf("%q", s), strings.ToUpper(s))
	}
	return out
}

// everyProtocol is a row of a plan for each protocol, and a port for each row.
func everyProtocol() (rows []plan.Row, ports []plan.Binding) {
	for _, p := range plan.Protocols {
		r := plan.Row{ID: string(p), Transport: p.Language().Transport, Speaks: p}
		rows, ports = append(rows, r), append(ports, plan.Binding{Transport: r.Transport, Rows: []plan.Row{r}})
	}
	return rows, ports
}

// everyService starts a listener with a port for each protocol.
func everyService(t *testing.T, w *written) (*running, map[plan.Protocol]netip.AddrPort) {
	t.Helper()
	rows, ports := everyProtocol()
	l := start(t, Config{Plan: planOf(rows...), Ports: ports, OnEvent: w.contact, OnTrouble: w.trouble})
	at := map[plan.Protocol]netip.AddrPort{}
	for _, b := range l.Bound() {
		at[b.Rows[0].Speaks] = b.Addr
	}
	return l, at
}

// said sends bytes and reads until the listener has ended the conversation.
func said(t *testing.T, conn net.Conn, b []byte) string {
	t.Helper()
	if _, err := conn.Write(b); err != nil {
		t.Errorf("write: %v", err)
	}
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	got, _ := io.ReadAll(conn) // a reset ends it as well
	return string(got)
}

func TestNoByteOfAStrangersIsWrittenDown(t *testing.T) {
	t.Parallel()
	w := newWritten(t)
	l, at := everyService(t, w)
	if len(at) != len(plan.Languages) {
		t.Fatalf("%d services of %d", len(at), len(plan.Languages))
	}
	messages := append(secretMessages(), message{bytes: []byte(secret)}, message{bytes: tlv(0x30, []byte(secret))}, message{bytes: tdsMessage(0x12, []byte(secret))},
		message{bytes: append([]byte("\x00\x01\x00\x40\x21\x12\xa4\x42"), secret+secret...)})
	var all sync.WaitGroup
	for i, m := range messages {
		from := netip.AddrFrom4([4]byte{127, 0, 1, byte(i + 1)}) // not so many from each that some are hidden
		for p, to := range at {
			if p.Language().Transport == plan.UDP {
				c, err := net.Dial("udp", to.String())
				if err != nil {
					t.Fatal(err)
				}
				_, _ = c.Write(m.bytes)
				c.Close()
				continue
			}
			all.Go(func() { said(t, dialFrom(t, from, to), m.bytes) })
			all.Go(func() { // after what the service says first
				c := dialFrom(t, from, to)
				if p.Language().Greets {
					_, _ = c.Read(make([]byte, 512))
				}
				said(t, c, m.bytes)
			})
			if p.Language().Within != "" || p == plan.TDS {
				all.Go(func() {
					tc := tls.Client(dialFrom(t, from, to), &tls.Config{InsecureSkipVerify: true, ServerName: secret + ".example"})
					said(t, tc, m.bytes)
				})
			}
		}
	}
	all.Wait()
	l.stop()
	out := w.all(t)
	for name, text := range out {
		for _, f := range forms() {
			if i := strings.Index(text, f); i >= 0 {
				t.Errorf("%s has %q: …%q", name, f, text[max(0, i-200):min(len(text), i+80)])
			}
		}
	}
	for _, name := range []string{"screen", "JSON", "ledger", "summary"} {
		for _, p := range []plan.Protocol{plan.HTTP, plan.FTP, plan.LDAP, plan.TDS} {
			if !strings.Contains(out[name], l.serviceAt(plan.TCP, at[p].Port())) {
				t.Errorf("%s does not tell of %s:\n%s", name, p, out[name])
			}
		}
	}
}

func TestWhoCameIsSaidInWords(t *testing.T) {
	type told struct {
		to    plan.Protocol
		bytes string
		words string
	}
	hello := "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03"
	cases := []told{
		{plan.TDS, "", "SQL Server: connected and sent nothing"},
		{plan.FTP, "", "FTP: connected and sent nothing"},
		{plan.HTTP, hello, "HTTP: TLS came, answered with 400 in words"},
		{plan.LDAP, hello, "LDAP: TLS came, which is not spoken on this port: refused"},
		{plan.RDP, hello, "Remote Desktop: TLS came, which is not spoken on this port: refused"},
		{plan.HTTPS, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTPS: HTTP without TLS came, answered with 400 in words"},
		{plan.LDAPS, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "LDAPS: HTTP without TLS came, answered with 400 in words"},
		{plan.TDS, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "SQL Server: HTTP came, answered with 400 in words"},
		{plan.Z3950, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "Z39.50: HTTP/2 came, refused in its own words"},
		{plan.HTTP, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP: HTTP/2 came, refused in its own words"},
		{plan.HTTP, "OPTIONS * RTSP/1.0\r\n\r\n", "HTTP: no whole request came"},
		{plan.HTTP, "GET / HT", "HTTP: no whole request came"},
		{plan.SMTP, "SSH-2.0-OpenSSH_9.2\r\n", "SMTP: SSH came, refused as meant"},
		{plan.FTP, "SSH-2.0-OpenSSH_9.2\r\n", "FTP: SSH came, refused as meant"},
		{plan.TDS, "ello", "SQL Server: a line of text came, told in words what is here"},
		{plan.Odyssey, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "Odyssey: HTTP came, answered with 400 in words"},
		{plan.FTP, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "FTP: HTTP came, refused as meant"},
		{plan.SMTP, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "SMTP: HTTP came, refused as meant"},
		{plan.SMTP, hello, "SMTP: TLS came, which is not spoken on this port: refused"},
		{plan.FTP, hello, "FTP: TLS came, which is not spoken on this port: refused"},
		{plan.TDS, "SSH-2.0-OpenSSH_9.2\r\n", "SQL Server: SSH came, told in words what is here"},
		{plan.ISOILL, "hello\r\n", "ISO ILL: a line of text came, told in words what is here"},
		{plan.ISOILL, "\r\n", "ISO ILL: a line of text came, told in words what is here"},
		{plan.LDAP, "12\r\n", "LDAP: a line of text came, told in words what is here"},
		{plan.RDP, string(tdsMessage(0x12, make([]byte, 20))), "Remote Desktop: SQL Server's TDS came, then something that is not of this service"},
		{plan.TDS, "\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00", "SQL Server: Remote Desktop's negotiation came, then something that is not of this service"},
	}
	for _, m := range secretMessages() {
		cases = append(cases, told{m.to, string(m.bytes), m.words})
	}
	for _, c := range cases {
		t.Run(c.words, func(t *testing.T) {
			t.Parallel()
			l := spoken(t, c.to, plan.TCP)
			conn := dialFrom(t, loop, l.at)
			got := said(t, conn, []byte(c.bytes))
			l.told.await(t, 1)
			l.stop()
			all := l.told.list()
			if len(all) != 1 || sentence(all[0].Visit) != c.words {
				t.Errorf("told %+v", all)
			}
			if isHTTP := strings.HasPrefix(c.bytes, "GET"); isHTTP && !strings.Contains(got, "400 Bad Request") && !strings.Contains(c.words, "page") &&
				!strings.Contains(c.words, "404") && !strings.Contains(got, "421 ") {
				t.Errorf("answered %q", got)
			}
			if strings.Contains(c.words, "told in words") && !strings.Contains(got, "test listener on the port that") {
				t.Errorf("answered %q", got)
			}
		})
	}
}

// Who is in the middle of something when listen is stopped has come, and is told
// of before it ends.
func TestWhoIsThereAtTheEndIsToldOf(t *testing.T) {
	for p, begun := range map[plan.Protocol]string{plan.TDS: "", plan.HTTP: "GET / HT", plan.FTP: "USER u\r\n", plan.LDAPS: "\x16\x03\x01"} {
		t.Run(string(p), func(t *testing.T) {
			t.Parallel()
			l := spoken(t, p, plan.TCP)
			conn := dialFrom(t, loop, l.at)
			if _, err := conn.Write([]byte(begun)); err != nil {
				t.Fatal(err)
			}
			if p == plan.FTP {
				if _, err := conn.Read(make([]byte, 512)); err != nil { // it is greeted
					t.Fatal(err)
				}
			}
			for start := time.Now(); !l.arrivals.has(sock.AddrPortOf(conn.LocalAddr()), l.at) && time.Since(start) < guardTime; {
				time.Sleep(time.Millisecond)
			}
			l.stop()
			if all := l.told.list(); len(all) != 1 || all[0].Peer.Remote != sock.AddrPortOf(conn.LocalAddr()) {
				t.Errorf("told %+v", all)
			}
		})
	}
}

func TestAClientThatIsGreetedAndSaysNothingIsToldOf(t *testing.T) {
	l := spoken(t, plan.FTP, plan.TCP)
	conn := dialFrom(t, loop, l.at)
	if _, err := conn.Read(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	l.told.await(t, 1)
	if got := sentence(l.told.list()[0].Visit); got != "FTP: connected, was greeted and sent nothing" {
		t.Errorf("%q", got)
	}
}

// TestProofAfterAGreetingMayComeInPieces: a device that cuts up segments cuts up
// a proof.
func TestProofAfterAGreetingMayComeInPieces(t *testing.T) {
	l := spoken(t, plan.SMTP, plan.TCP)
	conn := dialFrom(t, loop, l.at)
	if _, err := conn.Read(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	for _, piece := range []string{"\x00", "\x01\x00", "\x00\x21\x12", "\xa4\x42abcdef", "ghijkl"} {
		_, _ = io.WriteString(conn, piece)
		time.Sleep(20 * time.Millisecond)
	}
	_ = conn.CloseWrite()
	if got, _ := io.ReadAll(conn); !strings.HasPrefix(string(got), "\x01\x01") {
		t.Errorf("answered %q", got)
	}
}
