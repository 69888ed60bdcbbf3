package service

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dialtone/internal/result"
)

// OpenSSL reads what we made.
func TestNewCertificateIsGoodForItsNamesAndAddresses(t *testing.T) {
	openssl := need(t, "openssl", "openssl")
	c, print, err := NewCertificate([]string{"library.example.edu", "ILLIAD", "büro", ""}, []netip.Addr{
		netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("::ffff:192.0.2.11"), netip.MustParseAddr("fe80::1%eth0")})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	out := webRun(t, openssl, "x509", "-in", file, "-noout", "-text", "-fingerprint", "-sha256")
	for _, want := range []string{
		"Subject: CN = Dialtone test listener", "Issuer: CN = Dialtone test listener", "ASN1 OID: prime256v1",
		"DNS:library.example.edu, DNS:ILLIAD, IP Address:192.0.2.10, IP Address:192.0.2.11, IP Address:FE80:0:0:0:0:0:0:1",
		"TLS Web Server Authentication",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
	_, hexed, _ := strings.Cut(out, "Fingerprint=")
	if got := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(hexed), ":", "")); got != hexOf(print) {
		t.Errorf("openssl says %s, we %s", got, hexOf(print))
	}
	webRun(t, openssl, "x509", "-in", file, "-noout", "-checkend", "86400")
	other, _, err := NewCertificate(nil, nil)
	if err != nil || other.Leaf.SerialNumber.Cmp(c.Leaf.SerialNumber) == 0 {
		t.Errorf("%v: two certificates have one serial number", err)
	}
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

// issue makes a certificate for name, signed by parent or, if nil, by itself.
func issue(t *testing.T, name string, parent *tls.Certificate, until time.Time) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until, IsCA: parent == nil, BasicConstraintsValid: true,
	}
	signer, signKey := c, any(key)
	if parent != nil {
		signer, signKey = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, c, signer, key.Public(), signKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestPublicCertificateMustBeGoodForItsHost(t *testing.T) {
	root := issue(t, "Example Root", nil, time.Now().Add(time.Hour))
	roots := x509.NewCertPool()
	roots.AddCert(root.Leaf)
	good := issue(t, "web.example.edu", root, time.Now().Add(time.Hour))
	old := issue(t, "web.example.edu", root, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	box := issue(t, "Campus Inspection", nil, time.Now().Add(time.Hour))
	faked := issue(t, "web.example.edu", box, time.Now().Add(time.Hour))
	for name, tc := range map[string]struct {
		chain []*x509.Certificate
		host  string
		want  []string
	}{
		"good":          {[]*x509.Certificate{good.Leaf}, "web.example.edu", nil},
		"another name":  {[]*x509.Certificate{good.Leaf}, "oclc.example.org", []string{"not good for oclc.example.org", "issued by CN=Example Root", "for web.example.edu"}},
		"an address":    {[]*x509.Certificate{good.Leaf}, "192.0.2.1", []string{"not good for 192.0.2.1"}},
		"expired":       {[]*x509.Certificate{old.Leaf}, "web.example.edu", []string{"expired", "valid until 2026-01-02T03:04:05Z"}},
		"a device's":    {[]*x509.Certificate{faked.Leaf, box.Leaf}, "web.example.edu", []string{"issued by CN=Campus Inspection"}},
		"rubbish after": {[]*x509.Certificate{good.Leaf, box.Leaf}, "web.example.edu", nil},
	} {
		got, err := distrust(tc.chain, Question{Host: tc.host, Public: true}, roots)
		if err != nil || (len(got) == 0) != (tc.want == nil) || tc.want != nil && !webHas(got, tc.want...) {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if got, err := distrust([]*x509.Certificate{box.Leaf}, Question{Host: "x"}, roots); got != nil || err != nil {
		t.Errorf("nobody asked for a public certificate: %q", got)
	}
}

// A public server that leaves out an intermediate certificate is no device on the
// way: such a certificate says where its issuer's is to be had. What a device
// signs says no such thing.
func TestIncompleteChainIsNoInterception(t *testing.T) {
	root := issue(t, "Example Root", nil, time.Now().Add(time.Hour))
	roots := x509.NewCertPool()
	roots.AddCert(root.Leaf)
	sign := func(name string, parent *tls.Certificate, isCA bool, where ...string) *tls.Certificate {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IsCA: isCA, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IssuingCertificateURL: where,
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent.Leaf, key.Public(), parent.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	}
	between := sign("Example Intermediate", root, true, "http://ca.example.org/root.cer")
	public := sign("web.example.edu", between, false, "http://ca.example.org/between.cer")
	box := issue(t, "Campus Inspection", nil, time.Now().Add(time.Hour))
	faked := issue(t, "web.example.edu", box, time.Now().Add(time.Hour))
	for name, tc := range map[string]struct {
		chain     []*x509.Certificate
		refused   bool
		isChanged bool
		says      string // of the fact
	}{
		"whole":                     {[]*x509.Certificate{public.Leaf, between.Leaf}, false, false, ""},
		"without the intermediate":  {[]*x509.Certificate{public.Leaf}, true, false, "issued by CN=Example Intermediate"},
		"a device's, its own alone": {[]*x509.Certificate{faked.Leaf}, false, true, "issued by CN=Campus Inspection"},
		"a device's, to its root":   {[]*x509.Certificate{faked.Leaf, box.Leaf}, false, true, ""},
	} {
		q := Question{Host: "web.example.edu", Public: true}
		changed, err := distrust(tc.chain, q, roots)
		var no refusedError
		if errors.As(err, &no) != tc.refused || tc.refused && no.Reason != result.ReasonChain || (len(changed) > 0) != tc.isChanged {
			t.Errorf("%s: %q, %v", name, changed, err)
		}
		c := result.Conversation{Facts: trustFacts(tc.chain, q.Host, roots)}
		if got := c.Fact(result.FactChain); (got == "") != (tc.says == "") || !strings.Contains(got, tc.says) {
			t.Errorf("%s: %q", name, got)
		}
		if changed, err := distrust(tc.chain, Question{Host: q.Host}, roots); changed != nil || err != nil {
			t.Errorf("%s, of a host of the site's own: %q, %v", name, changed, err)
		}
	}
}

func TestTLSTellsARefusalFromSilence(t *testing.T) {
	alert := func(c net.Conn) {
		_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*issue(t, "x", nil, time.Now().Add(time.Hour))}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}).Handshake()
	}
	hello := func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }
	for name, tc := range map[string]struct {
		says func(net.Conn)
		want result.ConversationOutcome
		text string
	}{
		"old":    {alert, result.ConversationRefused, "protocol version not supported"},
		"HTTP":   {func(c net.Conn) { hello(c); _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, result.ConversationForeign, "HTTP without TLS"},
		"SSH":    {func(c net.Conn) { hello(c); _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n") }, result.ConversationForeign, "not TLS"},
		"wrong":  {func(c net.Conn) { hello(c); _, _ = io.WriteString(c, "\x16\x03\x03\x00\x04\x0e\x00\x00\x00") }, result.ConversationUnread, "unexpected handshake message"},
		"closes": {hello, result.ConversationClosed, ""},
		"reset":  {func(c net.Conn) { hello(c); _ = c.(*net.TCPConn).SetLinger(0) }, result.ConversationReset, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := webAsk(t, webFar(t, tc.says), "https", Question{Host: "x"})
			if c.Outcome != tc.want || !strings.Contains(c.Error, tc.text) {
				t.Errorf("got %+v", c)
			}
		})
	}
}

// A device must be able to recognise the hello: it is one segment on any path,
// it names the host that was dialed, and never an address.
func TestTLSHelloIsSmallAndNamesItsHost(t *testing.T) {
	for host, want := range map[string]string{"web.example.edu": "web.example.edu", "192.0.2.1": "", "2001:db8::1": ""} {
		near, away := net.Pipe()
		size := make(chan int, 1)
		var asked string
		go func() {
			defer near.Close()
			var first bytes.Buffer
			r := io.TeeReader(near, &first)
			err := tls.Server(&webCanned{Reader: r}, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				asked = h.ServerName
				return nil, errors.New("enough")
			}}).Handshake()
			if err == nil {
				t.Error("it went on")
			}
			size <- first.Len()
		}()
		_, _, _, err := dialTLS(away, Question{Host: host})
		if err == nil {
			t.Error("it succeeded")
		}
		if n := <-size; n > 536 || n < 100 { // RFC 9293 section 3.7.1: what every host takes in one segment
			t.Errorf("%s: the hello has %d bytes", host, n)
		}
		if asked != want {
			t.Errorf("%s: it asked for %q", host, asked)
		}
	}
}
