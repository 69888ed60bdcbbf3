package service

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
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
	"strings"
	"testing"
	"time"

	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

// ---- the asking side and our own listener ----

func TestRDPIsKeyedByOurListener(t *testing.T) {
	a, print := sqlAnswerer(t)
	to := serve(t, a, "rdp")
	for _, known := range []bool{true, false} {
		q := sqlQuestion(t)
		if known {
			q.Fingerprint = print
		}
		c := sqlAsk(t, to, "rdp", q)
		if c.Outcome != result.ConversationCompleted || !c.Keyed || len(c.Changed) > 0 || c.Error != "" {
			t.Fatalf("%+v", c)
		}
		if sqlFact(c, "security") != "TLS" || sqlFact(c, "subject") != "CN=Dialtone test listener" || sqlFact(c, result.FactCertificate) != hex.EncodeToString(print) {
			t.Errorf("%+v", c.Facts)
		}
	}
}

func TestRDPOfAnotherKeyIsNotKeyed(t *testing.T) {
	a, print := sqlAnswerer(t)
	a.Answer = func([]byte) ([]byte, bool) { return nil, false }
	to := serve(t, a, "rdp")
	c := sqlAsk(t, to, "rdp", sqlQuestion(t))
	if c.Outcome != result.ConversationCompleted || c.Keyed || len(c.Changed) != 1 || !strings.Contains(c.Changed[0], "does not contain the listener's reply") {
		t.Errorf("%+v", c)
	}
	q := sqlQuestion(t)
	q.Fingerprint = print // so it is ours, and the end of the connection is not as it ought to be
	if c := sqlAsk(t, to, "rdp", q); c.Outcome != result.ConversationClosed || c.Keyed {
		t.Errorf("%+v", c)
	}
}

func TestRDPAskedAsAStrangerBringsNoToken(t *testing.T) {
	a, _ := sqlAnswerer(t)
	a.Answer = func([]byte) ([]byte, bool) { t.Error("a token came"); return nil, false }
	var record sqlRecord
	through := sqlMiddle(t, serve(t, a, "rdp"), record.add, same)
	c := sqlAsk(t, through, "rdp", Question{Host: "127.0.0.1"})
	if c.Outcome != result.ConversationCompleted || c.Keyed || len(c.Changed) > 0 {
		t.Fatalf("%+v", c)
	}
	// As in MS-RDPBCGR section 4.1.1, with another name in the cookie, which is
	// two letters longer, and TLS and CredSSP offered.
	want := sqlHex(t, "03 00 00 2e 29 e0 00 00 00 00 00 43 6f 6f 6b 69 65 3a 20 6d 73 74 73 68 61 73 68 3d"+
		hex.EncodeToString([]byte("dialtone"))+"0d 0a 01 00 08 00 03 00 00 00")
	if sent := record.bytes(); !bytes.HasPrefix(sent, want) {
		t.Errorf("sent % x", sent[:min(len(sent), 60)])
	}
}

// ---- devices in the middle ----

// rdpEndTLS ends TLS with a certificate of its own, and passes the rest on.
func rdpEndTLS(t *testing.T, to netip.AddrPort, own tls.Certificate, initial, response func([]byte) []byte) netip.AddrPort {
	return sqlScript(t, func(c net.Conn) {
		far, err := net.Dial("tcp", to.String())
		if err != nil {
			return
		}
		defer far.Close()
		_ = far.SetDeadline(time.Now().Add(guardTime))
		b, _ := readTPKT(c)
		_, _ = far.Write(b)
		b, _ = readTPKT(far)
		_, _ = c.Write(b)
		server := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{own}})
		client := tls.Client(far, &tls.Config{InsecureSkipVerify: true})
		if server.Handshake() != nil || client.Handshake() != nil {
			return
		}
		if b, err = readTPKT(server); err != nil {
			return
		}
		_, _ = client.Write(initial(b))
		if b, err = readTPKT(client); err == nil {
			_, _ = server.Write(response(b))
		}
	})
}

func TestRDPNoticesWhoEndsTLS(t *testing.T) {
	a, print := sqlAnswerer(t)
	to := serve(t, a, "rdp")
	other, _ := sqlAnswerer(t)
	for _, known := range []bool{true, false} {
		q := sqlQuestion(t)
		if known {
			q.Fingerprint = print
		}
		c := sqlAsk(t, rdpEndTLS(t, to, other.Certificate, same, same), "rdp", q)
		if c.Outcome != result.ConversationCompleted || !c.Keyed || len(c.Changed) != 1 || !strings.Contains(c.Changed[0], "TLS was ended on the way") {
			t.Errorf("fingerprint known %v: %+v", known, c)
		}
	}
}

func TestRDPReplayedAnswerIsNotKeyed(t *testing.T) {
	a, _ := sqlAnswerer(t)
	to := serve(t, a, "rdp")
	var old sqlRecord
	c := sqlAsk(t, rdpEndTLS(t, to, a.Certificate, same, old.add), "rdp", sqlQuestion(t))
	if !c.Keyed || len(c.Changed) > 0 {
		t.Fatalf("%+v", c)
	}
	c = sqlAsk(t, rdpEndTLS(t, to, a.Certificate, same, func([]byte) []byte { return old.bytes() }), "rdp", sqlQuestion(t))
	if c.Keyed || len(c.Changed) != 1 || !strings.Contains(c.Changed[0], "does not contain the listener's reply") {
		t.Errorf("%+v", c)
	}
}

func TestRDPNoticesAChangedNegotiation(t *testing.T) {
	a, print := sqlAnswerer(t)
	to := serve(t, a, "rdp")
	for name, test := range map[string]struct {
		up, down func([]byte) []byte
		keyed    bool
		want     string
	}{
		"cookie": {func(b []byte) []byte { return bytes.Replace(b, []byte("dialtone"), []byte("dialtune"), 1) }, same, true,
			"the Connection Request or the Connection Confirm was changed on the way"},
		"offer": {func(b []byte) []byte {
			return bytes.Replace(b, []byte{1, 0, 8, 0, 3, 0, 0, 0}, []byte{1, 0, 8, 0, 1, 0, 0, 0}, 1)
		}, same, true,
			"the Connection Request or the Connection Confirm was changed on the way"},
		"flags": {same, func(b []byte) []byte {
			return bytes.Replace(b, []byte{2, 0, 8, 0, 1, 0, 0, 0}, []byte{2, 0x1f, 8, 0, 1, 0, 0, 0}, 1)
		}, true,
			"the Connection Request or the Connection Confirm was changed on the way"},
		"TLS away": {same, func(b []byte) []byte {
			return bytes.Replace(b, []byte{2, 0, 8, 0, 1, 0, 0, 0}, []byte{2, 0, 8, 0, 0, 0, 0, 0}, 1)
		}, false,
			"the Connection Confirm is not the listener's, which selects TLS"},
		"no TLS offered": {func(b []byte) []byte {
			return bytes.Replace(b, []byte{1, 0, 8, 0, 3, 0, 0, 0}, []byte{1, 0, 8, 0, 0, 0, 0, 0}, 1)
		}, same, false,
			"the Connection Confirm is not the listener's, which selects TLS"},
	} {
		q := sqlQuestion(t)
		q.Fingerprint = print
		c := sqlAsk(t, sqlMiddle(t, to, test.up, test.down), "rdp", q)
		outcome := result.ConversationCompleted
		if name == "no TLS offered" {
			outcome = result.ConversationRefused
		}
		if c.Outcome != outcome || c.Keyed != test.keyed || len(c.Changed) != 1 || c.Changed[0] != test.want {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// ---- the specification's bytes ----

func TestRDPReadsTheExamplesOfTheSpecification(t *testing.T) {
	// MS-RDPBCGR section 4.1.1
	request := sqlHex(t, `03 00 00 2c 27 e0 00 00 00 00 00 43 6f 6f 6b 69 65 3a 20 6d 73 74 73 68 61 73 68 3d 65 6c 74 6f
		6e 73 0d 0a 01 00 08 00 00 00 00 00`)
	if protocols, negotiates, err := parseX224Request(request); protocols != 0 || !negotiates || err != nil {
		t.Error(protocols, negotiates, err)
	}
	// section 4.1.2
	confirm := sqlHex(t, "03 00 00 13 0e d0 00 00 12 34 00 02 00 08 00 00 00 00 00")
	if kind, flags, value, err := parseX224Confirm(confirm); kind != rdpNegResponse || flags != 0 || value != 0 || err != nil {
		t.Error(kind, flags, value, err)
	}
	if got := x224Confirm(rdpNegResponse, 0); !bytes.Equal(got, confirm) {
		t.Errorf("% x", got)
	}
	// section 4.1.3: the head and the domain parameters of a Connect-Initial
	initial := sqlHex(t, `04 01 01 04 01 01 01 01 ff 30 19 02 01 22 02 01 02 02 01 00 02 01 01 02 01 00 02 01 01 02 02 ff ff 02 01 02
		30 19 02 01 01 02 01 01 02 01 01 02 01 01 02 01 00 02 01 01 02 02 04 20 02 01 02 30 1c 02 02 ff
		ff 02 02 fc 17 02 02 ff ff 02 01 01 02 01 00 02 01 01 02 02 ff ff 02 01 02 04 82`)
	if got := mcsInitial(make([]byte, TokenSize)); !bytes.Equal(got[:3], []byte{0x7f, 0x65, 0x82}) || !bytes.HasPrefix(got[5:], initial) || int(binary.BigEndian.Uint16(got[3:])) != len(got)-5 {
		t.Errorf("% x", got[:min(len(got), 160)])
	}
}

// Requests of other clients: without a cookie, with a routing token, with
// correlation info (MS-RDPBCGR sections 2.2.1.1, 2.2.1.1.2), without negotiation.
func TestRDPNegotiatesWithEveryRequest(t *testing.T) {
	a, _ := sqlAnswerer(t)
	to := serve(t, a, "rdp")
	negotiation := func(protocols string) string { return "01 00 08 00 " + protocols + " 00 00 00" }
	token := hex.EncodeToString([]byte("Cookie: msts=3640205228.15629.0000\r\n"))
	cookie := hex.EncodeToString([]byte("Cookie: mstshash=u\r\n"))
	tls1, required, plain := "03 00 00 13 0e d0 00 00 12 34 00 02 00 08 00 01 00 00 00", "03 00 00 13 0e d0 00 00 12 34 00 03 00 08 00 01 00 00 00", "03 00 00 0b 06 d0 00 00 12 34 00"
	for name, test := range map[string]struct{ variable, want string }{
		"TLS alone":        {negotiation("01"), tls1},
		"TLS and CredSSP":  {cookie + negotiation("0b"), tls1},
		"routing token":    {token + negotiation("03"), tls1},
		"correlation info": {cookie + "01 08 08 00 03 00 00 00 06 00 24 00" + strings.Repeat("aa", 16) + strings.Repeat("00", 16), tls1},
		"RDP alone":        {cookie + negotiation("00"), required},
		"CredSSP alone":    {negotiation("02"), required},
		"no negotiation":   {cookie, plain},
		"nothing":          {"", plain},
	} {
		c, err := net.Dial("tcp", to.String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(guardTime))
		variable := sqlHex(t, test.variable)
		if _, err := c.Write(appendTPKT([]byte{byte(6 + len(variable)), 0xe0, 0, 0, 0, 0, 0}, variable)); err != nil {
			t.Fatal(err)
		}
		got, err := readTPKT(c)
		if err != nil || !bytes.Equal(got, sqlHex(t, test.want)) {
			t.Errorf("%s: % x %v", name, got, err)
		}
		c.Close()
	}
}

func TestRDPReportsWhatRealServersSay(t *testing.T) {
	for name, test := range map[string]struct{ confirm, fact, want string }{
		"no negotiation (Windows XP)": {"03 00 00 0b 06 d0 00 00 12 34 00", "security", "RDP (no TLS), without negotiation"},
		"RDP selected":                {"03 00 00 13 0e d0 00 00 12 34 00 02 00 08 00 00 00 00 00", "security", "RDP (no TLS)"},
		"NLA required":                {"03 00 00 13 0e d0 00 00 12 34 00 03 00 08 00 05 00 00 00", "negotiation", "the server requires CredSSP (NLA)"},
		"another failure":             {"03 00 00 13 0e d0 00 00 12 34 00 03 00 08 00 63 00 00 00", "negotiation", "failure code 99"},
	} {
		to := sqlScript(t, func(c net.Conn) {
			_, _ = readTPKT(c)
			_, _ = c.Write(sqlHex(t, test.confirm))
			_, _ = io.Copy(io.Discard, c)
		})
		c := sqlAsk(t, to, "rdp", Question{})
		outcome := result.ConversationCompleted
		if test.fact == "negotiation" {
			outcome = result.ConversationRefused
		}
		if c.Outcome != outcome || sqlFact(c, test.fact) != test.want || len(c.Changed) > 0 {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// ---- other people's programs ----

func TestXrdpIsAnRDPServer(t *testing.T) {
	t.Parallel()
	xrdp := need(t, "xrdp", "xrdp")
	if os.Geteuid() != 0 {
		t.Skip("xrdp wants to be root")
	}
	a, print := sqlAnswerer(t)
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(a.Certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: a.Certificate.Certificate[0]},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for layer, want := range map[string]string{"negotiate": "TLS", "rdp": "RDP (no TLS)"} {
		to := prooftest.FreePort(t, loop)
		ini := filepath.Join(dir, layer+".ini")
		if err := os.WriteFile(ini, fmt.Appendf(nil, "[Globals]\nini_version=1\nfork=true\nport=tcp://127.0.0.1:%d\nsecurity_layer=%s\ncrypt_level=high\n"+
			"certificate=%s/cert.pem\nkey_file=%s/key.pem\nssl_protocols=TLSv1.2, TLSv1.3\n[Logging]\nLogFile=%s/log\nLogLevel=DEBUG\n",
			to.Port(), layer, dir, dir, dir), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(xrdp, "--nodaemon", "--config", ini)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		for end := time.Now().Add(guardTime); ; {
			if c, err := net.Dial("tcp", to.String()); err == nil {
				c.Close()
				break
			} else if time.Now().After(end) {
				t.Fatalf("xrdp does not listen: %v\n%s", err, out.String())
			}
			time.Sleep(50 * time.Millisecond)
		}
		c := sqlAsk(t, to, "rdp", Question{Host: "127.0.0.1", Fingerprint: print})
		if c.Outcome != result.ConversationCompleted || c.Software != "an RDP server" || sqlFact(c, "security") != want || len(c.Changed) > 0 {
			t.Errorf("%s: %+v", layer, c)
		}
		if want == "TLS" && sqlFact(c, "subject") != "CN=Dialtone test listener" {
			t.Errorf("%s: %+v", layer, c)
		}
		// In place of our listener it is no proof, and no failure either.
		c = sqlAsk(t, to, "rdp", sqlQuestion(t))
		if c.Outcome != result.ConversationCompleted || c.Keyed || len(c.Changed) != 1 {
			t.Errorf("%s, as our listener: %+v", layer, c)
		}
	}
}

// FreeRDP gets as far as its Connect-Initial inside TLS, where we close.
func TestFreeRDPGetsThroughTLS(t *testing.T) {
	t.Parallel()
	xfreerdp := need(t, "xfreerdp", "freerdp2-x11")
	xvfb := need(t, "xvfb-run", "xvfb")
	need(t, "xauth", "xauth")
	a, print := sqlAnswerer(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		served <- a.Serve(context.Background(), c, "rdp")
	}()
	home := t.TempDir()
	out := sqlRun(t, []string{"HOME=" + home, "XDG_CONFIG_HOME=" + home}, xvfb, "-a", xfreerdp, "/v:"+l.Addr().String(), "/u:x", "/p:y", "/sec:tls", "+auth-only", "/cert:fingerprint:sha256:"+strings.ReplaceAll(strings.TrimSpace(fmt.Sprintf("% x", print)), " ", ":"))
	select {
	case err := <-served:
		if err != nil { // nil: a whole packet came inside TLS
			t.Errorf("%v\n%s", err, out)
		}
	case <-time.After(guardTime):
		t.Errorf("it did not come\n%s", out)
	}
}

func TestNmapTakesUsForAnRDPServer(t *testing.T) {
	t.Parallel()
	nmap := need(t, "nmap", "nmap")
	a, _ := sqlAnswerer(t)
	to := serve(t, a, "rdp")
	out := sqlRun(t, nil, nmap, "-n", "-Pn", "--script", "+rdp-enum-encryption", "-p", fmt.Sprint(to.Port()), "127.0.0.1")
	if !strings.Contains(out, "SSL: SUCCESS") || strings.Contains(out, "Native RDP: SUCCESS") {
		t.Error(out)
	}
}

// ---- whatever else may come ----

func TestRDPClassifiesStrangeServers(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		want   result.ConversationOutcome
		words  string
	}{
		"http":              {"HTTP/1.1 400 Bad Request\r\n\r\n", result.ConversationForeign, "not RDP"},
		"ssh":               {"SSH-2.0-OpenSSH_9.2p1\r\n", result.ConversationForeign, "SSH-"},
		"tds":               {"\x04\x01\x00\x25\x00\x00\x01\x00", result.ConversationForeign, "not RDP"},
		"length too small":  {"\x03\x00\x00\x06\x00\x00\x00", result.ConversationForeign, "not RDP"},
		"length too large":  {"\x03\x00\xff\xff\x00\x00\x00", result.ConversationUnread, "65535 bytes"},
		"data":              {"\x03\x00\x00\x0b\x02\xf0\x80\x00\x00\x00\x00", result.ConversationForeign, "not an X.224 connection's"},
		"bad negotiation":   {"\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x07\x00\x08\x00\x01\x00\x00\x00", result.ConversationUnread, "malformed"},
		"short negotiation": {"\x03\x00\x00\x0d\x08\xd0\x00\x00\x12\x34\x00\x02\x00", result.ConversationUnread, "malformed"},
		"no TLS after TLS":  {"\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x00\x08\x00\x01\x00\x00\x00HTTP/1.1 200 OK\r\n\r\n", result.ConversationForeign, "HTTP without TLS"},
		"half a packet":     {"\x03\x00\x00\x13\x0e\xd0", result.ConversationClosed, ""},
		"nothing":           {"", result.ConversationClosed, ""},
	} {
		to := sqlScript(t, func(c net.Conn) {
			_, _ = readTPKT(c)
			_, _ = io.WriteString(c, test.answer)
			if tc, ok := c.(*net.TCPConn); ok { // else what is unread resets
				_ = tc.CloseWrite()
				_, _ = io.Copy(io.Discard, c)
			}
		})
		c := sqlAsk(t, to, "rdp", sqlQuestion(t))
		if c.Outcome != test.want || c.Keyed || !strings.Contains(c.Error, test.words) {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestRDPAnsweringEndsWhateverComes(t *testing.T) {
	a, _ := sqlAnswerer(t)
	for name, b := range map[string][]byte{
		"nothing":          nil,
		"a long packet":    append([]byte{3, 0, 0xff, 0xff}, make([]byte, 70000)...),
		"an endless name":  appendTPKT([]byte{200, 0xe0, 0, 0, 0, 0, 0}, bytes.Repeat([]byte("A"), 194)),
		"a wrong length":   appendTPKT([]byte{1, 0xe0, 0, 0, 0, 0, 0}, make([]byte, 20)),
		"a confirm":        x224Confirm(rdpNegResponse, rdpTLS),
		"no TLS after TLS": append(x224Request(rdpTLS), "hello there, this is no TLS"...),
		"nothing after":    x224Request(rdpTLS),
	} {
		if err := sqlFeed(t, a, "rdp", b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// ---- fuzzing ----

func FuzzRDPRequest(f *testing.F) {
	f.Add(x224Request(3))
	f.Add(appendTPKT([]byte{6, 0xe0, 0, 0, 0, 0, 0}, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := readTPKT(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(p) > maxTPKT {
			t.Errorf("%d bytes", len(p))
		}
		if _, _, err := parseX224Request(p); err != nil && !errors.Is(err, errForeign) {
			t.Errorf("%v is not foreign", err)
		}
		parseMCSInitial(p)
	})
}

func FuzzRDPConfirm(f *testing.F) {
	f.Add(sqlHex(f, "03 00 00 13 0e d0 00 00 12 34 00 02 00 08 00 00 00 00 00"))
	f.Add(appendTPKT(x224Data, mcsResponse(make([]byte, 3*AnswerSize))))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, _, err := parseX224Confirm(b); err != nil && !errors.Is(err, errForeign) {
			t.Errorf("%v is not foreign", err)
		}
		if proofs, ok := parseMCSResponse(b); ok && len(proofs) != 3*AnswerSize {
			t.Errorf("%d bytes", len(proofs))
		}
	})
}
