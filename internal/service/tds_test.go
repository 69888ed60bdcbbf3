package service

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"database/sql"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// A real SQL Server cannot be had on a machine like this one. So the asking
// side meets the bytes that MS-TDS gives as examples (section 4), those that
// nmap knows real servers by, and our own answering side; the answering side
// meets FreeTDS, Microsoft's driver for Go and nmap.

// sqlKeyed is what both of our ends know.
var sqlKeyed = []byte("six words that nobody else knows")

func sqlAnswer(token []byte) ([]byte, bool) {
	m := hmac.New(sha256.New, sqlKeyed)
	m.Write(token[:16])
	if !hmac.Equal(m.Sum(nil)[:16], token[16:]) {
		return nil, false
	}
	m.Write([]byte("answer"))
	return m.Sum(nil)[:AnswerSize], true
}

// sqlQuestion asks our own listener.
func sqlQuestion(t testing.TB) Question {
	t.Helper()
	q := Question{Host: "127.0.0.1"}
	_, _ = rand.Read(q.Token[:16])
	m := hmac.New(sha256.New, sqlKeyed)
	m.Write(q.Token[:16])
	copy(q.Token[16:], m.Sum(nil))
	answer, ok := sqlAnswer(q.Token[:])
	if !ok {
		t.Fatal("the token is not the key's")
	}
	q.Answer = answer
	return q
}

// sqlAnswerer has a certificate of its own, whose fingerprint is given.
func sqlAnswerer(t testing.TB) (*Answerer, []byte) {
	t.Helper()
	c, print, err := NewCertificate([]string{"localhost"}, []netip.Addr{loop})
	if err != nil {
		t.Fatal(err)
	}
	return &Answerer{Software: "Dialtone", Certificate: c, Answer: sqlAnswer, Patience: 5 * time.Second}, print
}

// sqlAsk asks whoever listens at to.
func sqlAsk(t *testing.T, to netip.AddrPort, speaks plan.Protocol, q Question) result.Conversation {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), guardTime)
	defer cancel()
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return Ask(ctx, c, speaks, q)
}

// sqlScript serves one connection by a function.
func sqlScript(t *testing.T, f func(c net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(guardTime))
		f(c)
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return sock.AddrPortOf(l.Addr())
}

// sqlMiddle passes one connection on to a target; up and down see each piece
// that is read and return what is sent on in its place.
func sqlMiddle(t *testing.T, to netip.AddrPort, up, down func([]byte) []byte) netip.AddrPort {
	t.Helper()
	return sqlScript(t, func(c net.Conn) {
		far, err := net.Dial("tcp", to.String())
		if err != nil {
			return
		}
		defer far.Close()
		go sqlPass(far, c, up)
		sqlPass(c, far, down)
	})
}

func sqlPass(to, from net.Conn, change func([]byte) []byte) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if _, err := to.Write(change(bytes.Clone(b[:n]))); err != nil {
				return
			}
		}
		if err != nil {
			if tc, ok := to.(*net.TCPConn); ok {
				_ = tc.CloseWrite()
			}
			return
		}
	}
}

func same(b []byte) []byte { return b }

// A sqlRecord keeps what passes.
type sqlRecord struct {
	mu sync.Mutex
	b  []byte
}

func (r *sqlRecord) add(b []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.b = append(r.b, b...)
	return b
}

func (r *sqlRecord) bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.b)
}

func sqlFact(c result.Conversation, name string) string {
	for _, f := range c.Facts {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

func sqlHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sqlRun runs somebody else's program and returns all that it printed.
func sqlRun(t *testing.T, env []string, path string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*guardTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s does not end: %v\n%s", path, err, out)
	}
	return string(out)
}

const sqlWords = "This is Dialtone's test listener, not SQL Server: the network path works. Nothing is stored here."

// ---- the asking side and our own listener ----

func TestTDSIsKeyedByOurListener(t *testing.T) {
	a, print := sqlAnswerer(t)
	to := serve(t, a, "tds")
	for _, known := range []bool{true, false} {
		q := sqlQuestion(t)
		if known {
			q.Fingerprint = print
		}
		c := sqlAsk(t, to, "tds", q)
		if c.Outcome != result.ConversationCompleted || !c.Keyed || len(c.Changed) > 0 || c.Error != "" {
			t.Fatalf("%+v", c)
		}
		if c.Software != "Dialtone" {
			t.Errorf("software %q", c.Software)
		}
		for name, want := range map[string]string{
			"server version": "15.0.2000", "encryption": "of the login alone", "instance": "matches", "MARS": "off",
			"TLS version": "TLS 1.2", "subject": "CN=Dialtone test listener", "issuer": "CN=Dialtone test listener",
			"certificate": hex.EncodeToString(print),
		} {
			if got := sqlFact(c, name); got != want {
				t.Errorf("fact %q: got %q, want %q", name, got, want)
			}
		}
	}
}

func TestTDSOfAnotherKeyIsNotKeyed(t *testing.T) {
	a, _ := sqlAnswerer(t)
	a.Answer = func([]byte) ([]byte, bool) { return nil, false }
	c := sqlAsk(t, serve(t, a, "tds"), "tds", sqlQuestion(t))
	if c.Outcome != result.ConversationCompleted || c.Keyed || len(c.Changed) != 1 || !strings.Contains(c.Changed[0], "does not contain the listener's reply") {
		t.Fatalf("%+v", c)
	}
}

func TestTDSAskedAsAStrangerBringsNoToken(t *testing.T) {
	a, _ := sqlAnswerer(t)
	a.Answer = func([]byte) ([]byte, bool) { t.Error("a token came"); return nil, false }
	to := serve(t, a, "tds")
	var record sqlRecord
	through := sqlMiddle(t, to, record.add, same)
	c := sqlAsk(t, through, "tds", Question{Host: "127.0.0.1"})
	if c.Outcome != result.ConversationCompleted || c.Keyed || len(c.Changed) > 0 || c.Software != "Microsoft SQL Server 2019" {
		t.Fatalf("%+v", c)
	}
	// Header, and options 0 to 4 with offsets, as in the example of MS-TDS 4.1.
	want := sqlHex(t, "12 01 00 2F 00 00 01 00 00 00 1A 00 06 01 00 20 00 01 02 00 21 00 01 03 00 22 00 04 04 00 26 00 01 FF 09 00 00 00 00 00")
	sent := record.bytes()
	if !bytes.HasPrefix(sent, want) {
		t.Errorf("sent % x", sent[:min(len(sent), 60)])
	}
	// The handshake and no more: no login, in the clear or in a bare TLS record.
	for r := bytes.NewReader(sent); r.Len() > 0; {
		if _, err := readTDS(r, maxTDSPrelogin, tdsPrelogin); err != nil {
			t.Fatalf("more went to a stranger: %v", err)
		}
	}
}

// ---- devices in the middle ----

func TestTDSReplayedAnswerIsNotKeyed(t *testing.T) {
	t.Parallel()
	a, _ := sqlAnswerer(t)
	to := serve(t, a, "tds")
	var record sqlRecord
	if c := sqlAsk(t, sqlMiddle(t, to, same, record.add), "tds", sqlQuestion(t)); !c.Keyed {
		t.Fatalf("%+v", c)
	}
	old, err := readTDS(bytes.NewReader(record.bytes()), maxTDSPrelogin, tdsReply)
	if err != nil {
		t.Fatal(err)
	}
	replay := sqlScript(t, func(c net.Conn) {
		_, _ = readTDS(c, maxTDSPrelogin, tdsPrelogin)
		_ = writeTDS(c, tdsReply, old)
		_, _ = io.Copy(io.Discard, c)
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	conn, err := net.Dial("tcp", replay.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := Ask(ctx, conn, "tds", sqlQuestion(t))
	if c.Keyed || len(c.Changed) == 0 {
		t.Fatalf("%+v", c)
	}
}

func TestTDSNamesTheOptionThatWasChanged(t *testing.T) {
	a, print := sqlAnswerer(t)
	to := serve(t, a, "tds")
	for _, test := range []struct {
		name     string
		up, down func(b []byte) []byte
		want     string
	}{
		{"version down", same, func(b []byte) []byte {
			return bytes.Replace(b, []byte{15, 0, 7, 0xd0, 0, 0}, []byte{14, 0, 3, 0xe8, 0, 0}, 1)
		}, "the option VERSION has the value 0e0003e80000, where the listener answers 0f0007d00000"},
		{"encryption away", func(b []byte) []byte {
			// the value stands after the version's six bytes
			return bytes.Replace(b, []byte{9, 0, 0, 0, 0, 0, 0}, []byte{9, 0, 0, 0, 0, 0, 2}, 1)
		}, same, "the option ENCRYPTION has the value 02, where the listener answers 00"},
		{"MARS up", func(b []byte) []byte {
			return bytes.Replace(b, []byte{0, 1, 0, 0, 0, 0}, []byte{0, 1, 0, 0, 0, 1}, 1)
		}, same, "the PRELOGIN was changed on the way, in one direction or both"},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := sqlQuestion(t)
			q.Fingerprint = print
			c := sqlAsk(t, sqlMiddle(t, to, test.up, test.down), "tds", q)
			if !c.Keyed || len(c.Changed) != 1 || !strings.Contains(c.Changed[0], test.want) {
				t.Fatalf("%+v", c)
			}
		})
	}
}

// tdsTerminator ends TLS with a certificate of its own, and passes the login
// and its answer on.
func tdsEndTLS(t *testing.T, to netip.AddrPort, own tls.Certificate, login, refusal func([]byte) []byte) netip.AddrPort {
	return sqlScript(t, func(c net.Conn) {
		far, err := net.Dial("tcp", to.String())
		if err != nil {
			return
		}
		defer far.Close()
		_ = far.SetDeadline(time.Now().Add(guardTime))
		b, _ := readTDS(c, maxTDSPrelogin, tdsPrelogin)
		_ = writeTDS(far, tdsPrelogin, b)
		b, _ = readTDS(far, maxTDSPrelogin, tdsReply)
		_ = writeTDS(c, tdsReply, b)
		near, beyond := &tdsHandshake{Conn: c}, &tdsHandshake{Conn: far}
		server := tls.Server(near, &tls.Config{Certificates: []tls.Certificate{own}, MaxVersion: tls.VersionTLS12})
		client := tls.Client(beyond, &tls.Config{InsecureSkipVerify: true})
		if server.Handshake() != nil || client.Handshake() != nil {
			return
		}
		near.done, beyond.done = true, true
		b, err = readTDS(server, maxTDSLogin, tdsLogin)
		if err != nil {
			return
		}
		_ = writeTDS(client, tdsLogin, login(b))
		b, err = readTDS(far, maxTDSReply, tdsReply)
		if err != nil {
			return
		}
		_ = writeTDS(c, tdsReply, refusal(b))
	})
}

func TestTDSNoticesWhoEndsTLS(t *testing.T) {
	a, print := sqlAnswerer(t)
	to := serve(t, a, "tds")
	other, _ := sqlAnswerer(t)
	for _, known := range []bool{true, false} {
		q := sqlQuestion(t)
		if known {
			q.Fingerprint = print
		}
		c := sqlAsk(t, tdsEndTLS(t, to, other.Certificate, same, same), "tds", q)
		if c.Outcome != result.ConversationCompleted || !c.Keyed || len(c.Changed) != 1 || !strings.Contains(c.Changed[0], "TLS was ended on the way") {
			t.Errorf("fingerprint known %v: %+v", known, c)
		}
	}
}

func TestTDSNoticesAChangedLogin(t *testing.T) {
	a, print := sqlAnswerer(t)
	to := serve(t, a, "tds")
	swap := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte {
			return bytes.Replace(b, appendUCS2(nil, old), appendUCS2(nil, new), 1)
		}
	}
	for name, middle := range map[string]netip.AddrPort{
		"login":           tdsEndTLS(t, to, a.Certificate, swap("ODBC", "JDBC"), same),
		"refusal":         tdsEndTLS(t, to, a.Certificate, same, swap("works", "fails")),
		"refusal's class": tdsEndTLS(t, to, a.Certificate, same, func(b []byte) []byte { b[8]++; return b }),
	} {
		q := sqlQuestion(t)
		q.Fingerprint = print
		c := sqlAsk(t, middle, "tds", q)
		if !c.Keyed || len(c.Changed) != 1 || c.Changed[0] != "the login or the listener's answer to it was changed on the way" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	q := sqlQuestion(t)
	c := sqlAsk(t, tdsEndTLS(t, to, a.Certificate, same, func([]byte) []byte {
		return tdsError{number: 18456, text: "Login failed for user 'dialtone'."}.append(nil, tdsV74)
	}), "tds", q)
	if len(c.Changed) != 1 || !strings.Contains(c.Changed[0], `not the listener's: "Login failed for user 'dialtone'."`) {
		t.Errorf("another's refusal: %+v", c)
	}
}

// ---- bytes of real servers ----

// The answers are those by which nmap 7.93 knows these servers
// (nmap-service-probes, Probe ms-sql-s); what a pattern leaves open is the end
// of the version, ENCRYPTION and INSTOPT.
func TestTDSKnowsRealServersByTheirAnswer(t *testing.T) {
	const head = "04 01 00 25 00 00 01 00  00 00 15 00 06  01 00 1b 00 01  02 00 1c 00 01  03 00 1d 00 00 ff"
	for version, want := range map[string][2]string{
		"08 00 07 f7": {"Microsoft SQL Server 2000", "8.0.2039"},
		"09 00 13 88": {"Microsoft SQL Server 2005", "9.0.5000"},
		"0a 00 15 7c": {"Microsoft SQL Server 2008", "10.0.5500"},
		"0a 32 06 40": {"Microsoft SQL Server 2008 R2", "10.50.1600"},
		"0b 00 08 34": {"Microsoft SQL Server 2012", "11.0.2100"},
		"0f 00 07 d0": {"Microsoft SQL Server 2019", "15.0.2000"},
	} {
		reply := sqlHex(t, head+version+"00 00"+"02"+"00")
		to := sqlScript(t, func(c net.Conn) {
			_, _ = readTDS(c, maxTDSPrelogin, tdsPrelogin)
			_, _ = c.Write(reply)
			_, _ = io.Copy(io.Discard, c)
		})
		c := sqlAsk(t, to, "tds", Question{Host: "127.0.0.1"})
		if c.Outcome != result.ConversationCompleted || c.Software != want[0] || sqlFact(c, "server version") != want[1] ||
			sqlFact(c, "encryption") != "not available" || sqlFact(c, "instance") != "matches" || len(c.Changed) > 0 {
			t.Errorf("%s: %+v", version, c)
		}
	}
}

func TestTDSThatRequiresEncryptionGetsIt(t *testing.T) {
	own, _ := sqlAnswerer(t)
	to := sqlScript(t, func(c net.Conn) {
		_, _ = readTDS(c, maxTDSPrelogin, tdsPrelogin)
		_, _ = c.Write(sqlHex(t, "04 01 00 25 00 00 01 00  00 00 15 00 06  01 00 1b 00 01  02 00 1c 00 01  03 00 1d 00 00 ff 0f 00 07 d0 00 00 03 00"))
		_ = tls.Server(&tdsHandshake{Conn: c}, &tls.Config{Certificates: []tls.Certificate{own.Certificate}, MaxVersion: tls.VersionTLS12}).Handshake()
		_, _ = io.Copy(io.Discard, c)
	})
	c := sqlAsk(t, to, "tds", Question{Host: "127.0.0.1"})
	if c.Outcome != result.ConversationCompleted || sqlFact(c, "encryption") != "required" || sqlFact(c, "TLS version") != "TLS 1.2" || sqlFact(c, result.FactCertificate) == "" {
		t.Fatalf("%+v", c)
	}
}

// MS-TDS section 4.1, and the older one of MS-SSTDS section 4.1.
func TestTDSReadsThePreloginsOfTheSpecification(t *testing.T) {
	for _, test := range []struct{ packet, instance, thread, reply string }{
		{"12 01 00 2F 00 00 01 00 00 00 1A 00 06 01 00 20 00 01 02 00 21 00 01 03 00 22 00 04 04 00 26 00 01 FF 09 00 00 00 00 00 01 00 B8 0D 00 00 01",
			"00", "b80d0000",
			"04 01 00 2b 00 00 01 00 00 00 1a 00 06 01 00 20 00 01 02 00 21 00 01 03 00 22 00 00 04 00 22 00 01 ff 0f 00 07 d0 00 00 01 00 00"},
		{"12 01 00 34 00 00 01 00 00 00 15 00 06 01 00 1B 00 01 02 00 1C 00 0C 03 00 28 00 04 FF 08 00 01 55 00 00 00 4D 53 53 51 4C 53 65 72 76 65 72 00 80 19 00 00",
			hex.EncodeToString([]byte("MSSQLServer\x00")), "80190000",
			"04 01 00 25 00 00 01 00 00 00 15 00 06 01 00 1b 00 01 02 00 1c 00 01 03 00 1d 00 00 ff 0f 00 07 d0 00 00 00 00"},
	} {
		packet := sqlHex(t, test.packet)
		b, err := readTDS(bytes.NewReader(packet), maxTDSPrelogin, tdsPrelogin)
		if err != nil {
			t.Fatal(err)
		}
		options, err := parsePrelogin(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(tdsOption(options, tdsInstance)); got != test.instance {
			t.Errorf("instance %s", got)
		}
		if got := hex.EncodeToString(tdsOption(options, tdsThread)); got != test.thread {
			t.Errorf("thread %s", got)
		}
		if again := appendTDS(nil, tdsPrelogin, appendPrelogin(nil, options)); !bytes.Equal(again, packet) {
			t.Errorf("written again: % x", again)
		}
		answers, _ := tdsAnswer(options)
		if got := appendTDS(nil, tdsReply, appendPrelogin(nil, answers)); !bytes.Equal(got, sqlHex(t, test.reply)) {
			t.Errorf("answered: % x", got)
		}
	}
}

// The second INFO token of the login response of MS-TDS section 4.4, which has
// an ERROR token's form.
func TestTDSReadsTheMessageOfTheSpecification(t *testing.T) {
	b := sqlHex(t, `AB 5C 00 47 16 00 00 01 00 27 00 43 00 68 00 61 00 6E 00 67
		00 65 00 64 00 20 00 6C 00 61 00 6E 00 67 00 75 00 61 00 67 00 65 00 20 00 73 00 65 00 74 00 74
		00 69 00 6E 00 67 00 20 00 74 00 6F 00 20 00 75 00 73 00 5F 00 65 00 6E 00 67 00 6C 00 69 00 73
		00 68 00 2E 00 00 00 00 00 00 00 AD 36 00`)
	e, err := parseTDSError(b, tdsV74)
	if err != nil || e.number != 5703 || e.state != 1 || e.class != 0 || e.text != "Changed language setting to us_english." || e.server != "" || e.proc != "" {
		t.Fatalf("%+v %v", e, err)
	}
}

// MS-TDS section 4.2, sent to the listener without a PRELOGIN, gets the answer
// that TDS 7.2 has: an ERROR whose length is right, and a DONE of 13 bytes.
func TestTDSRefusesTheLoginOfTheSpecification(t *testing.T) {
	a, _ := sqlAnswerer(t)
	c, err := net.Dial("tcp", serve(t, a, "tds").String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(guardTime))
	if _, err := c.Write(sqlHex(t, `10 01 00 90 00 00 01 00 88 00 00 00 02 00 09 72
		00 10 00 00 00 00 00 07 00 01 00 00 00 00 00 00 E0 03 00 00 00 00 00 00 09 04 00 00 5E 00 08 00
		6E 00 02 00 72 00 00 00 72 00 07 00 80 00 00 00 80 00 00 00 80 00 04 00 88 00 00 00 88 00 00 00
		00 50 8B E2 B7 8F 88 00 00 00 88 00 00 00 88 00 00 00 00 00 00 00 73 00 6B 00 6F 00 73 00 74 00
		6F 00 76 00 31 00 73 00 61 00 4F 00 53 00 51 00 4C 00 2D 00 33 00 32 00 4F 00 44 00 42 00 43 00`)); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < 11 || b[0] != 4 || b[1] != 1 || int(b[2])<<8|int(b[3]) != len(b) || b[8] != 0xaa {
		t.Fatalf("% x", b)
	}
	done := b[11+int(b[9])+int(b[10])<<8:]
	if !bytes.Equal(done, []byte{0xfd, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) {
		t.Errorf("it ends with % x", done)
	}
	if !bytes.Contains(b, appendUCS2(nil, sqlWords)) {
		t.Errorf("%q", b)
	}
}

func TestTDSErrorInPlaceOfAPreloginIsRead(t *testing.T) {
	to := sqlScript(t, func(c net.Conn) {
		_, _ = readTDS(c, maxTDSPrelogin, tdsPrelogin)
		// SQL Server 6.5, as nmap-service-probes has it, is of another form; this is
		// how later ones say that they take no connections.
		_ = writeTDS(c, tdsReply, tdsError{number: 17809, class: 20, text: "Could not connect.\a"}.append(nil, tdsV74))
	})
	c := sqlAsk(t, to, "tds", Question{})
	if c.Outcome != result.ConversationRefused || c.Refusal.Code != "17809" || c.Refusal.Reason != result.ReasonUnavailable || sqlFact(c, "error") != `17809: Could not connect.\x07` {
		t.Fatalf("%+v", c)
	}
}

// ---- other people's clients ----

func TestFreeTDSGetsOurWords(t *testing.T) {
	t.Parallel()
	tsql := need(t, "tsql", "freetds-bin")
	a, _ := sqlAnswerer(t)
	to := serve(t, a, "tds")
	for _, encryption := range []string{"off", "request", "require"} {
		for _, version := range []string{"7.0", "7.1", "7.4"} {
			if version == "7.0" && encryption != "off" {
				continue // it has no PRELOGIN
			}
			conf := filepath.Join(t.TempDir(), "freetds.conf")
			if err := os.WriteFile(conf, fmt.Appendf(nil, "[global]\n\tencryption = %s\n\ttds version = %s\n", encryption, version), 0o600); err != nil {
				t.Fatal(err)
			}
			out := sqlRun(t, nil, tsql, "-I", conf, "-H", "127.0.0.1", "-p", fmt.Sprint(to.Port()), "-U", "u", "-P", "x")
			if !strings.Contains(out, sqlWords) || !strings.Contains(out, "Msg 51433 (severity 14, state 1) from Dialtone Line 1") {
				t.Errorf("encryption %s, TDS %s:\n%s", encryption, version, out)
			}
		}
	}
}

func TestMicrosoftsDriverGetsOurWords(t *testing.T) {
	a, _ := sqlAnswerer(t)
	to := serve(t, a, "tds")
	pemFile := filepath.Join(t.TempDir(), "listener.pem")
	if err := os.WriteFile(pemFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, options := range []string{
		"encrypt=disable",
		"encrypt=false&TrustServerCertificate=true", // the login alone
		"encrypt=true&TrustServerCertificate=true",
		"encrypt=true&hostNameInCertificate=localhost&certificate=" + pemFile,
		"encrypt=strict&hostNameInCertificate=localhost&certificate=" + pemFile, // TDS 8.0
	} {
		db, err := sql.Open("sqlserver", "sqlserver://u:x@"+to.String()+"?dial+timeout=10&"+options)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), guardTime)
		err = db.PingContext(ctx)
		cancel()
		db.Close()
		var e mssql.Error
		if !errors.As(err, &e) || e.Message != "login error: "+sqlWords || e.Number != 51433 || e.Class != 14 || e.ServerName != "Dialtone" || e.ProcName != "" {
			t.Errorf("%s: %v", options, err)
		}
	}
}

func TestNmapTakesUsForSQLServer(t *testing.T) {
	t.Parallel()
	nmap := need(t, "nmap", "nmap")
	a, _ := sqlAnswerer(t)
	// nmap asks in this way on the port that is SQL Server's.
	l, err := net.Listen("tcp4", "127.0.14.33:1433")
	if err != nil {
		t.Skipf("the port is somebody else's: %v", err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = a.Serve(context.Background(), c, "tds")
			}()
		}
	}()
	out := sqlRun(t, nil, nmap, "-n", "-Pn", "-sV", "-p", "1433", "127.0.14.33")
	if !strings.Contains(out, "1433/tcp open  ms-sql-s Microsoft SQL Server 2019 15.00.2000") {
		t.Error(out)
	}
}

// ---- whatever else may come ----

func TestTDSClassifiesStrangeServers(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		want         result.ConversationOutcome
		words        string
	}{
		{"http", "HTTP/1.1 400 Bad Request\r\n\r\n", result.ConversationForeign, "it is from an HTTP server"},
		{"ssh", "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", result.ConversationForeign, "SSH-2.0-"},
		{"tls alert", "\x15\x03\x01\x00\x02\x02\x46\x00", result.ConversationForeign, "a TLS server"},
		{"rdp", "\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x00\x08\x00\x00\x00\x00\x00", result.ConversationForeign, "type 0x03"},
		{"length below the header's", "\x04\x01\x00\x07\x00\x00\x01\x00", result.ConversationForeign, "not TDS"},
		{"no options", "\x04\x01\x00\x08\x00\x00\x01\x00", result.ConversationUnread, "malformed"},
		{"options without end", "\x04\x01\x00\x0d\x00\x00\x01\x00\x00\x00\x00\x00\x00", result.ConversationUnread, "malformed"},
		{"empty packets", strings.Repeat("\x04\x00\x00\x08\x00\x00\x01\x00", 20), result.ConversationUnread, "empty packets"},
		{"too long", strings.Repeat("\x04\x00\x01\x08\x00\x00\x01\x00"+strings.Repeat("x", 256), 20), result.ConversationUnread, "too long"},
		{"half a header", "\x04\x01\x00", result.ConversationClosed, ""},
		{"half a message", "\x04\x01\x00\x25\x00\x00\x01\x00\x00\x00", result.ConversationClosed, ""},
		{"nothing", "", result.ConversationClosed, ""},
	} {
		to := sqlScript(t, func(c net.Conn) {
			_, _ = readTDS(c, maxTDSPrelogin, tdsPrelogin)
			_, _ = io.WriteString(c, test.answer)
		})
		c := sqlAsk(t, to, "tds", sqlQuestion(t))
		if c.Outcome != test.want || c.Keyed || !strings.Contains(c.Error, test.words) {
			t.Errorf("%s: %+v", test.name, c)
		}
	}
}

func TestTDSSilenceIsSilent(t *testing.T) {
	t.Parallel()
	for _, answer := range [][]byte{nil, sqlHex(t, "04 01 00 25 00 00 01 00  00 00 15 00 06  01 00 1b 00 01  02 00 1c 00 01  03 00 1d 00 00 ff 0f 00 07 d0 00 00 01 00")} {
		to := sqlScript(t, func(c net.Conn) {
			_, _ = c.Write(answer)
			_, _ = io.Copy(io.Discard, c)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		conn, err := net.Dial("tcp", to.String())
		if err != nil {
			t.Fatal(err)
		}
		c := Ask(ctx, conn, "tds", Question{})
		cancel()
		conn.Close()
		if c.Outcome != result.ConversationSilent || c.Error == "" {
			t.Errorf("%+v", c)
		}
	}
}

// sqlFeed has the answering side read what a client sends, over a pipe, and
// returns its error. The client closes after it.
func sqlFeed(t testing.TB, a *Answerer, speaks plan.Protocol, b []byte) error {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		_, _ = io.Copy(io.Discard, far)
	}()
	go func() {
		_, _ = far.Write(b)
		_ = far.Close()
	}()
	ended := make(chan error, 1)
	go func() { ended <- a.Serve(context.Background(), near, speaks) }()
	select {
	case err := <-ended:
		return err
	case <-time.After(guardTime):
		t.Fatalf("%s: the answering side does not end", speaks)
		return nil
	}
}

func TestTDSAnsweringEndsWhateverComes(t *testing.T) {
	a, _ := sqlAnswerer(t)
	prelogin := appendTDS(nil, tdsPrelogin, appendPrelogin(nil, tdsRequest(Question{})))
	for name, b := range map[string][]byte{
		"nothing":              nil,
		"a header":             {0x12, 1, 0, 47, 0, 0, 1, 0},
		"other options first":  appendTDS(nil, tdsPrelogin, appendPrelogin(nil, []tdsOptionData{{tdsMARS, []byte{0}}})),
		"a short version":      appendTDS(nil, tdsPrelogin, appendPrelogin(nil, []tdsOptionData{{tdsVersion, []byte{0}}})),
		"a batch":              appendTDS(nil, 1, []byte("select 1")),
		"a long PRELOGIN":      appendTDS(nil, tdsPrelogin, make([]byte, maxTDSPrelogin+1)),
		"a long login":         appendTDS(nil, tdsLogin, make([]byte, maxTDSLogin+1)),
		"empty packets":        bytes.Repeat([]byte{0x12, 0, 0, 8, 0, 0, 1, 0}, 100),
		"no handshake":         append(bytes.Clone(prelogin), appendTDS(nil, tdsPrelogin, []byte("hello there, this is no TLS"))...),
		"a login in the clear": append(bytes.Clone(prelogin), appendTDS(nil, tdsLogin, tdsEmptyLogin())...),
		"a certificate alone":  appendTDS(nil, tdsPrelogin, appendPrelogin(nil, []tdsOptionData{{tdsVersion, make([]byte, 6)}, {tdsEncryption, []byte{0x82}}})),
		"half of TDS 8":        {0x16, 3, 1, 0, 200, 1},
	} {
		if err := sqlFeed(t, a, "tds", b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTDSAnsweringHoldsLittleOfALongLogin(t *testing.T) {
	a, _ := sqlAnswerer(t)
	login := appendTDS(nil, tdsLogin, make([]byte, 100<<10))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const times = 50
	for range times {
		if err := sqlFeed(t, a, "tds", login); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / times; each > 80<<10 { // io.Copy of the test itself has 32 KiB
		t.Errorf("%d bytes for each login", each)
	}
}

func TestAnsweringHoldsLittleOfRandomBytes(t *testing.T) {
	a, _ := sqlAnswerer(t)
	for _, speaks := range []plan.Protocol{"tds", "rdp"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const times = 200
		for i := range times {
			b := make([]byte, 20<<10)
			_, _ = rand.Read(b)
			switch i % 3 { // far enough to be read on
			case 1:
				copy(b, []byte{0x12, 1, 0x10, 0})
			case 2:
				copy(b, []byte{3, 0, 0x10, 0})
			}
			_ = sqlFeed(t, a, speaks, b)
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / times; each > 160<<10 {
			t.Errorf("%s: %d bytes for each connection", speaks, each)
		}
	}
}

func TestTDSAnsweringStopsWithItsContext(t *testing.T) {
	a, _ := sqlAnswerer(t)
	a.Patience = time.Hour
	for _, speaks := range []plan.Protocol{"tds", "rdp"} {
		near, far := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.Serve(ctx, near, speaks) }()
		cancel()
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s: no error", speaks)
			}
		case <-time.After(guardTime):
			t.Errorf("%s does not end", speaks)
		}
		near.Close()
		far.Close()
	}
}

// ---- fuzzing ----

func FuzzTDSPrelogin(f *testing.F) {
	f.Add(sqlHex(f, "00 00 1A 00 06 01 00 20 00 01 02 00 21 00 01 03 00 22 00 04 04 00 26 00 01 FF 09 00 00 00 00 00 01 00 B8 0D 00 00 01"))
	f.Add(sqlHex(f, "00 00 15 00 06 01 00 1b 00 01 02 00 1c 00 01 03 00 1d 00 00 ff 0f 00 07 d0 00 00 02 00"))
	f.Add(appendPrelogin(nil, tdsRequest(Question{Answer: []byte{1}})))
	f.Fuzz(func(t *testing.T, b []byte) {
		options, err := parsePrelogin(b)
		if err != nil {
			if !errors.Is(err, errForeign) {
				t.Errorf("%v is not foreign", err)
			}
			return
		}
		for _, o := range options {
			if len(o.data) > len(b) {
				t.Error("a value is longer than the message")
			}
		}
		answers, _ := tdsAnswer(options)
		if _, err := parsePrelogin(appendPrelogin(nil, answers)); err != nil {
			t.Errorf("our answer is not well-formed: %v", err)
		}
		if len(tdsOption(options, tdsEncryption)) == 1 {
			_, _ = tdsFacts(options)
		}
		tdsProof(Question{Answer: []byte("0123456789abcdef")}, nil, b, options, "")
	})
}

func FuzzTDSError(f *testing.F) {
	f.Add(tdsError{number: 18456, text: "Login failed", server: "S", proc: noProc}.append(nil, tdsV74))
	f.Add(sqlHex(f, "AB 0e 00 47 16 00 00 01 00 01 00 43 00 00 00 00 00 00 00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseTDSError(b, tdsV74)
		if err == nil && len(e.withoutProc(b)) != len(b) {
			t.Error("the message got another length")
		}
	})
}

func FuzzTDSMessage(f *testing.F) {
	f.Add(appendTDS(nil, tdsPrelogin, make([]byte, 5000)))
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readTDS(bytes.NewReader(b), maxTDSPrelogin, tdsPrelogin)
		if err == nil && len(got) > maxTDSPrelogin {
			t.Errorf("%d bytes", len(got))
		}
	})
}

// A readConn is a connection of which only reading works.
type readConn struct {
	net.Conn
	r io.Reader
}

func (c readConn) Read(b []byte) (int, error) { return c.r.Read(b) }

func FuzzTDSHandshake(f *testing.F) {
	f.Add(appendTDS(nil, tdsPrelogin, []byte{0x16, 3, 1, 0, 1, 0}))
	f.Add(append(appendTDS(nil, tdsReply, []byte{0x16}), appendTDS(nil, tdsReply, nil)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, err := io.ReadAll(&tdsHandshake{Conn: readConn{r: bytes.NewReader(b)}})
		if len(records) > len(b) || err == nil && len(records) == len(b) && len(b) > 0 {
			t.Errorf("%d bytes of TLS out of %d, %v", len(records), len(b), err)
		}
	})
}

// What a SQL Server says in place of an answer to PRELOGIN is found among what it
// says beside it, and an answer's options may come in any order.
func TestTDSTokensInPlaceOfAnAnswer(t *testing.T) {
	sent := func(tokens ...[]byte) []byte {
		var b bytes.Buffer
		if err := writeTDS(&b, tdsReply, bytes.Join(tokens, nil)); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	info := tdsError{number: 5701, text: "Changed database context.", server: "DB"}.append(nil, tdsV74)
	info[0] = tdsInfoToken
	info = info[:len(info)-13] // without DONE
	says := func(number uint32) []byte {
		return tdsError{number: number, text: "words", server: "DB"}.append(nil, tdsV74)
	}
	collation := []byte{tdsEnvToken, 8, 0, 7, 5, 9, 4, 0xd0, 0, 0x34, 0}
	route := []byte{tdsEnvToken, 17, 0, 20, 11, 0, 0, 0xf8, 0x2a, 3, 0, 'd', 0, 'b', 0, '2', 0, 0, 0, 0}
	version, off := tdsOptionData{tdsVersion, []byte{16, 0, 3, 0xe8, 0, 0}}, tdsOptionData{tdsEncryption, []byte{tdsEncryptNot}}
	for name, tc := range map[string]struct {
		answer  []byte
		outcome result.ConversationOutcome
		reason  result.Reason
		leads   string
	}{
		"INFO, then paused":           {sent(info, says(17142)), result.ConversationRefused, result.ReasonUnavailable, ""},
		"INFO, ENVCHANGE, an account": {sent(info, collation, says(18456)), result.ConversationCompleted, "", ""},
		"a database":                  {sent(says(4060)), result.ConversationCompleted, "", ""},
		"Azure's own firewall":        {sent(says(40615)), result.ConversationRefused, result.ReasonTurnedAway, ""},
		"not ready":                   {sent(says(17187)), result.ConversationRefused, result.ReasonUnavailable, ""},
		"sent on":                     {sent(collation, route), result.ConversationCompleted, "", "db2:11000"},
		"INFO alone":                  {sent(info), result.ConversationUnread, "", ""},
		"cut in a token":              {sent(info[:len(info)-4]), result.ConversationUnread, "", ""},
		"routing that is too short":   {sent([]byte{tdsEnvToken, 8, 0, 20, 5, 0, 0, 1, 0, 200, 0}), result.ConversationUnread, "", ""},
		"options in another order":    {sent(appendPrelogin(nil, []tdsOptionData{off, {tdsMARS, []byte{0}}, version})), result.ConversationCompleted, "", ""},
		"no version":                  {sent(appendPrelogin(nil, []tdsOptionData{off})), result.ConversationUnread, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := askReal(t, everyTime(t, func(c net.Conn) {
				_, _ = c.Read(make([]byte, 4096))
				_, _ = c.Write(tc.answer)
			}), "tds", "db.example.edu")
			got := result.Reason("")
			if c.Refusal != nil {
				got = c.Refusal.Reason
			}
			if c.Outcome != tc.outcome || got != tc.reason || c.Fact(result.FactLeadsTo) != tc.leads {
				t.Errorf("%+v %+v", c, c.Refusal)
			}
		})
	}
}
