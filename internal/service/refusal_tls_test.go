package service

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

// askReal asks real software on a port, with second looks as dial has them.
func askReal(t *testing.T, to netip.AddrPort, speaks plan.Protocol, host string) result.Conversation {
	t.Helper()
	return askRealWithin(t, to, speaks, Question{Host: host}, guardTime)
}

func askRealWithin(t *testing.T, to netip.AddrPort, speaks plan.Protocol, q Question, limit time.Duration) result.Conversation {
	t.Helper()
	dial := func(look func(context.Context, net.Conn)) bool {
		c, err := net.Dial("tcp", to.String())
		if err != nil {
			return false
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		look(ctx, c)
		return true
	}
	q.Again = dial
	copy(q.Token[:], "a token made without any key....")
	var out result.Conversation
	if !dial(func(ctx context.Context, c net.Conn) { out = Ask(ctx, c, speaks, q) }) {
		t.Fatalf("nothing listens on %s", to)
	}
	return out
}

// opensslFiles makes key.pem and cert.pem of a server, signed by itself.
func opensslFiles(t *testing.T, args ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	all := []string{"req", "-x509", "-nodes", "-days", "3", "-subj", "/CN=sql.example.edu", "-keyout", filepath.Join(dir, "key.pem"), "-out", filepath.Join(dir, "cert.pem")}
	if len(args) == 0 || !slices.Contains(args, "-newkey") {
		args = append(args, "-newkey", "rsa:2048")
	}
	webRun(t, need(t, "openssl", "openssl"), append(all, args...)...)
	return dir
}

// sServer is openssl's server, which answers HTTP.
func sServer(t *testing.T, dir string, args ...string) netip.AddrPort {
	t.Helper()
	at := prooftest.FreePort(t, loop)
	args = append([]string{"s_server", "-accept", at.String(), "-key", "DIR/key.pem", "-cert", "DIR/cert.pem", "-www", "-quiet"}, args...)
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "DIR", dir)
	}
	webStart(t, at, need(t, "openssl", "openssl"), args...)
	return at
}

// What real clients accept and Go's library refuses by itself: go.mod says
// otherwise, for as long as that release of Go has the setting.
func TestCertificatesThatRealClientsAccept(t *testing.T) {
	t.Parallel()
	weak := []string{"-cipher", "ALL:@SECLEVEL=0"}
	for name, tc := range map[string]struct{ req, server []string }{
		"a negative serial number":               {[]string{"-set_serial", "-0x2a1b3c4d5e6f7081"}, nil},
		"a negative serial number under TLS 1.2": {[]string{"-set_serial", "-0x2a1b3c4d5e6f7081"}, []string{"-tls1_2"}},
		"a handshake signed with SHA-1":          {nil, append(weak, "-tls1_2", "-sigalgs", "RSA+SHA1")},
		"a key of 512 bits":                      {[]string{"-newkey", "rsa:512"}, append(weak, "-tls1_2")},
		"the RSA key exchange":                   {nil, []string{"-tls1_2", "-cipher", "AES128-SHA"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := sServer(t, opensslFiles(t, tc.req...), tc.server...)
			c := askRealWithin(t, at, "https", Question{Host: "sql.example.edu"}, guardTime)
			if c.Outcome != result.ConversationCompleted || c.Fact(result.FactFirstHello) != "" {
				t.Errorf("%+v", c)
			}
		})
	}
}

// SQL Server's own certificate often has a negative serial number: every
// conversation under TLS goes on with it.
func TestNegativeSerialNumberIsNoFault(t *testing.T) {
	t.Parallel()
	dir := opensslFiles(t, "-set_serial", "-0x2a1b3c4d5e6f7081")
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	a, _ := berAnswerer(t)
	a.Certificate = pair
	for _, speaks := range []plan.Protocol{"tds", "rdp", "ldaps", "https", "smtp"} {
		c := askReal(t, serve(t, a, speaks), speaks, "sql.example.edu")
		if c.Outcome != result.ConversationCompleted || !strings.Contains(c.Fact("subject"), "sql.example.edu") {
			t.Errorf("%s: %+v", speaks, c)
		}
	}
}

// An old server is spoken to as an old client does, once it has refused the usual
// hello, and that is said.
func TestOldTLSIsAgreedOnAndSaid(t *testing.T) {
	t.Parallel()
	dir := opensslFiles(t)
	for flag, version := range map[string]string{"-tls1": "TLS 1.0", "-tls1_1": "TLS 1.1"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			c := askReal(t, sServer(t, dir, flag, "-cipher", "ALL:@SECLEVEL=0"), "https", "sql.example.edu")
			if c.Outcome != result.ConversationCompleted || c.Fact(result.FactTLSVersion) != version || !strings.Contains(c.Fact(result.FactFirstHello), "protocol version") {
				t.Errorf("%+v", c)
			}
		})
	}
	// Inside what comes before TLS, too.
	for _, speaks := range []plan.Protocol{"tds", "rdp", "smtp"} {
		t.Run(string(speaks), func(t *testing.T) {
			t.Parallel()
			a, _ := berAnswerer(t)
			c := askReal(t, oldServer(t, a, speaks), speaks, "sql.example.edu")
			if c.Outcome != result.ConversationCompleted || c.Fact(result.FactTLSVersion) != "TLS 1.1" || c.Fact(result.FactFirstHello) == "" {
				t.Errorf("%+v", c)
			}
		})
	}
}

// oldServer answers what comes before TLS, and speaks no more than TLS 1.1.
func oldServer(t *testing.T, a *Answerer, speaks plan.Protocol) netip.AddrPort {
	t.Helper()
	old := &tls.Config{Certificates: []tls.Certificate{a.Certificate}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	return everyTime(t, func(c net.Conn) {
		switch speaks {
		case "tds":
			request, err := readTDS(c, maxTDSPrelogin, tdsPrelogin)
			if err != nil {
				return
			}
			answers, _ := tdsAnswer(mustPrelogin(request))
			_ = writeTDS(c, tdsReply, appendPrelogin(nil, answers))
			h := &tdsHandshake{Conn: c}
			_ = tls.Server(h, old).Handshake()
		case "rdp":
			if _, err := readTPKT(c); err != nil {
				return
			}
			_, _ = c.Write(x224Confirm(rdpNegResponse, rdpTLS))
			_ = tls.Server(c, old).Handshake()
		case "smtp":
			b := make([]byte, 512)
			for _, reply := range []string{"220 mx ESMTP\r\n", "250-mx\r\n250 STARTTLS\r\n", "220 go ahead\r\n"} {
				_, _ = c.Write([]byte(reply))
				if !strings.HasPrefix(reply, "220 go") {
					if _, err := c.Read(b); err != nil {
						return
					}
				}
			}
			tc := tls.Server(c, old)
			if n, _ := tc.Read(b); n > 0 {
				_, _ = tc.Write([]byte("221 bye\r\n"))
			}
		}
		_, _ = c.Read(make([]byte, 1))
	})
}

// everyTime answers each connection to a port until the test ends.
func everyTime(t *testing.T, says func(net.Conn)) netip.AddrPort {
	t.Helper()
	return testServer(t, func(c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(guardTime))
		says(c)
	})
}

// What TLS says no with is an answer, and each has a name of its own.
func TestTLSRefusalHasItsReason(t *testing.T) {
	t.Parallel()
	dir := opensslFiles(t)
	for name, tc := range map[string]struct {
		server []string
		want   result.Reason
		words  string
	}{
		"a certificate of the client, TLS 1.3": {[]string{"-Verify", "1", "-tls1_3"}, result.ReasonCertificate, "certificate required"},
		"a certificate of the client, TLS 1.2": {[]string{"-Verify", "1", "-tls1_2"}, result.ReasonCertificate, "handshake failure"},
		"a certificate of the client, TLS 1.1": {[]string{"-Verify", "1", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, result.ReasonCertificate, "handshake failure"},
		"no such name":                         {[]string{"-servername", "other.example.edu", "-servername_fatal", "-cert2", "DIR/cert.pem", "-key2", "DIR/key.pem"}, result.ReasonTLSName, "unrecognized name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := askReal(t, sServer(t, dir, tc.server...), "https", "sql.example.edu")
			if c.Outcome != result.ConversationRefused || c.Refusal.By != result.RefuserTLS || c.Refusal.Reason != tc.want || !strings.Contains(c.Refusal.Words, tc.words) {
				t.Errorf("%+v %+v", c, c.Refusal)
			}
		})
	}
}

// apacheConf serves HTTPS; of DIR/pages each folder has its own rule.
const apacheConf = `ServerRoot DIR
PidFile DIR/pid
ServerName sql.example.edu
Listen %s
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
ErrorLog DIR/error.log
User nobody
Group nogroup
SSLEngine on
SSLCertificateFile DIR/cert.pem
SSLCertificateKeyFile DIR/key.pem
SSLCACertificateFile DIR/cert.pem
DocumentRoot DIR/pages
%s
`

func startApache(t *testing.T, settings string) netip.AddrPort {
	t.Helper()
	apache := need(t, "apache2", "apache2-bin")
	dir, at := opensslFiles(t), prooftest.FreePort(t, loop)
	open, err := os.MkdirTemp("", "dialtone-apache") // nobody is to read it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(open) })
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"cert.pem", "key.pem"} {
		if err := os.Rename(filepath.Join(dir, f), filepath.Join(open, f)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(open, "pages"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(open, "pages", "index.html"), []byte("a page"), 0o644); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(open, "conf")
	text := strings.ReplaceAll(fmt.Sprintf(apacheConf, at, settings), "DIR", open)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	webStart(t, at, apache, "-f", conf, "-D", "FOREGROUND")
	return at
}

// Apache wants a certificate in the handshake, or once it knows what is asked for:
// by renegotiation in TLS 1.2, and in TLS 1.3 after the handshake. Where it is
// optional all is well.
func TestApacheThatWantsAClientCertificate(t *testing.T) {
	t.Parallel()
	const page = "<Directory DIR/pages>\nSSLVerifyClient %s\n</Directory>\n"
	for name, tc := range map[string]struct {
		settings string
		refused  bool
		words    string
	}{
		"in the handshake, TLS 1.2":      {"SSLProtocol TLSv1.2\nSSLVerifyClient require", true, ""},
		"in the handshake, TLS 1.3":      {"SSLProtocol TLSv1.3\nSSLVerifyClient require", true, "certificate required"},
		"by renegotiation":               {"SSLProtocol TLSv1.2\n" + fmt.Sprintf(page, "require"), true, ""},
		"after the handshake of TLS 1.3": {"SSLProtocol TLSv1.3\n" + fmt.Sprintf(page, "require"), true, "Post-Handshake"},
		"optional, TLS 1.2":              {"SSLProtocol TLSv1.2\nSSLVerifyClient optional", false, ""},
		"optional, TLS 1.3":              {"SSLProtocol TLSv1.3\nSSLVerifyClient optional", false, ""},
		"optional by renegotiation":      {"SSLProtocol TLSv1.2\n" + fmt.Sprintf(page, "optional"), false, ""},
		"none":                           {"", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := askReal(t, startApache(t, tc.settings), "https", "sql.example.edu")
			switch {
			case tc.refused && (c.Outcome != result.ConversationRefused || c.Refusal.Reason != result.ReasonCertificate || !strings.Contains(c.Refusal.Words, tc.words)):
				t.Errorf("%+v %+v", c, c.Refusal)
			case !tc.refused && (c.Outcome != result.ConversationCompleted || !strings.HasPrefix(c.Software, "Apache")):
				t.Errorf("%+v %+v", c, c.Refusal)
			}
		})
	}
}

func TestNginxThatRefusesInTLS(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		block string
		want  result.Reason
	}{
		"a handshake that is rejected": {"ssl_reject_handshake on;", result.ReasonTLSName},
		"a certificate of the client":  {"ssl_verify_client on; ssl_client_certificate cert.pem;", result.ReasonCertificate},
	} {
		_, at := startNginx(t, "web.example.edu", tc.block+" return 200 ok;")
		if c := askReal(t, at, "https", "web.example.edu"); c.Outcome != result.ConversationRefused || c.Refusal.Reason != tc.want {
			t.Errorf("%s: %+v %+v", name, c, c.Refusal)
		}
	}
}

// A port that speaks TLS under a row that says plain, and the reverse, is said as
// that, whatever it answers to who speaks otherwise.
func TestPortThatSpeaksOtherwiseThanTheRowSays(t *testing.T) {
	t.Parallel()
	plain, secure := startNginx(t, "web.example.edu", "return 200 ok;")
	slapd, ldaps := startSlapdBoth(t)
	strict, _ := berAnswerer(t)
	for name, tc := range map[string]struct {
		at     netip.AddrPort
		speaks plan.Protocol
		want   result.Reason
		words  string
	}{
		"HTTP on a port of TLS":    {secure, "http", result.ReasonTLSFirst, "the row says plain HTTP"},
		"LDAP on a port of TLS":    {ldaps, "ldap", result.ReasonTLSFirst, "the row says plain LDAP"},
		"TDS 7 where it is strict": {everyTime(t, func(c net.Conn) { strictTDS(t, c, strict) }), "tds", result.ReasonTLSFirst, "the row says plain TDS 7"},
		"TDS 7 where strict says an alert": {everyTime(t, func(c net.Conn) {
			_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{strict.Certificate}}).Handshake()
		}), "tds", result.ReasonTLSFirst, "the row says plain TDS 7"},
		"Z39.50 on a port of TLS": {startYazTLS(t), "z3950", result.ReasonTLSFirst, "the row says plain Z39.50"},
		"SMTP on a port of TLS":   {startAiosmtpdTLS(t), "smtp", result.ReasonTLSFirst, "the row says plain SMTP"},
		"FTP on a port of TLS":    {startVsftpdTLS(t), "ftp", result.ReasonTLSFirst, "the row says plain FTP"},
		"HTTPS on a plain port":   {plain, "https", result.ReasonNoTLS, "HTTP without TLS"},
		"LDAPS on a plain port":   {slapd, "ldaps", result.ReasonNoTLS, "LDAP without TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := askReal(t, tc.at, tc.speaks, "web.example.edu")
			if c.Outcome != result.ConversationRefused || c.Refusal.Reason != tc.want || !strings.Contains(c.Refusal.Words, tc.words) || !strings.Contains(c.Refusal.Words, fmt.Sprint(tc.at.Port())) {
				t.Errorf("%+v %+v", c, c.Refusal)
			}
		})
	}
}

// A server that takes one connection after the other is looked at when the first
// one is over.
func TestServerThatTakesOneConnectionAtATime(t *testing.T) {
	t.Parallel()
	dir := opensslFiles(t)
	at := sServer(t, dir) // s_server
	c := askRealWithin(t, at, "smtp", Question{Host: "mx.example.edu"}, 2*quietFor)
	if c.Outcome != result.ConversationRefused || c.Refusal.Reason != result.ReasonTLSFirst {
		t.Errorf("%+v %+v", c, c.Refusal)
	}
}

// Where a port speaks as the row says, it is not looked at a second time; and what
// speaks neither is not called TLS.
func TestNoSecondLookMakesTLSOfWhatIsNot(t *testing.T) {
	for name, says := range map[string]func(net.Conn){
		"closes":      func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) },
		"resets":      func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); _ = c.(*net.TCPConn).SetLinger(0) },
		"another one": func(c net.Conn) { _, _ = c.Write([]byte("SSH-2.0-OpenSSH_9.2\r\n")); _, _ = c.Read(make([]byte, 4096)) },
	} {
		for _, speaks := range []plan.Protocol{"ldap", "ldaps", "http", "https", "tds"} {
			if c := askReal(t, everyTime(t, says), speaks, "x"); c.Refusal != nil && c.Refusal.Reason != result.ReasonAnother || c.Outcome == result.ConversationCompleted {
				t.Errorf("%s, %s: %+v %+v", name, speaks, c, c.Refusal)
			}
		}
	}
}

// strictTDS speaks TDS 8.0 alone, and closes on anything else.
func strictTDS(t *testing.T, c net.Conn, a *Answerer) {
	first := make([]byte, 1)
	if _, err := c.Read(first); err != nil || first[0] != 0x16 {
		return
	}
	_ = tls.Server(&headConn{Conn: c, head: first}, &tls.Config{Certificates: []tls.Certificate{a.Certificate}, NextProtos: []string{"tds/8.0"}}).Handshake()
}

// startSlapdBoth starts slapd without and with TLS.
func startSlapdBoth(t *testing.T) (plain, secure netip.AddrPort) {
	t.Helper()
	dir := opensslFiles(t)
	plain, secure = prooftest.FreePort(t, loop), prooftest.FreePort(t, loop)
	conf := filepath.Join(dir, "slapd.conf")
	text := fmt.Sprintf(slapdConf, dir, fmt.Sprintf("TLSCertificateFile %[1]s/cert.pem\nTLSCertificateKeyFile %[1]s/key.pem", dir))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	webStart(t, plain, need(t, "slapd", "slapd"), "-f", conf, "-h", fmt.Sprintf("ldap://%s ldaps://%s", plain, secure), "-d", "0")
	return plain, secure
}

func startYazTLS(t *testing.T) netip.AddrPort {
	t.Helper()
	dir, at := opensslFiles(t), prooftest.FreePort(t, loop)
	pem := filepath.Join(dir, "both.pem")
	var both []byte
	for _, f := range []string{"key.pem", "cert.pem"} {
		b, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, b...)
	}
	if err := os.WriteFile(pem, both, 0o600); err != nil {
		t.Fatal(err)
	}
	webStart(t, at, need(t, "yaz-ztest", "yaz"), "-T", "-C", pem, "ssl:"+at.String())
	return at
}

const aiosmtpdTLS = `import ssl, sys, time
from aiosmtpd.controller import Controller
c = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
c.load_cert_chain(sys.argv[2] + "/cert.pem", sys.argv[2] + "/key.pem")
class Late(Controller):
    def _trigger_server(self): pass
k = Late(object(), hostname="127.0.0.1", port=int(sys.argv[1]), ssl_context=c)
k.start()
time.sleep(600)
`

func startAiosmtpdTLS(t *testing.T) netip.AddrPort {
	t.Helper()
	const python = "/usr/bin/python3" // Debian's, which has Debian's packages
	if err := exec.Command(python, "-c", "import aiosmtpd").Run(); err != nil {
		need(t, "aiosmtpd", "python3-aiosmtpd")
	}
	dir, at := opensslFiles(t), prooftest.FreePort(t, loop)
	webStart(t, at, python, "-c", aiosmtpdTLS, fmt.Sprint(at.Port()), dir)
	return at
}

func startVsftpdTLS(t *testing.T) netip.AddrPort {
	t.Helper()
	dir := opensslFiles(t)
	return ftpStartVsftpd(t, fmt.Sprintf("ssl_enable=YES\nimplicit_ssl=YES\nrsa_cert_file=%[1]s/cert.pem\nrsa_private_key_file=%[1]s/key.pem\n", dir))
}

// What the library does not have is this program's limit.
func TestWhatTheLibraryLacksIsSaidAsOurLimit(t *testing.T) {
	t.Parallel()
	rsa := opensslFiles(t)
	for name, tc := range map[string]struct {
		dir    string
		server []string
		words  string
	}{
		"DHE only":                {rsa, []string{"-tls1_2", "-cipher", "DHE-RSA-AES256-SHA"}, "TLS 1.2 with DHE keys"},
		"Camellia":                {rsa, []string{"-tls1_2", "-cipher", "CAMELLIA256-SHA:@SECLEVEL=0"}, "the cipher 0x0084"},
		"a DSA key":               {opensslDSA(t), []string{"-tls1_2", "-cipher", "ALL:@SECLEVEL=0"}, "a DSA key in its certificate"},
		"an Ed448 key":            {opensslFiles(t, "-newkey", "ed448"), []string{"-tls1_2"}, "an Ed448 key in its certificate"},
		"Brainpool":               {opensslFiles(t, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"), []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"}, "a key of the curve 1.3.36.3.3.2.8.1.1.7"},
		"an RSA-PSS key":          {opensslFiles(t, "-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"), []string{"-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"}, "an RSA-PSS key in its certificate"},
		"any with an RSA-PSS key": {opensslFiles(t, "-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"), []string{"-tls1_2", "-cipher", "ALL:@SECLEVEL=0"}, "an RSA-PSS key in its certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := askReal(t, sServer(t, tc.dir, tc.server...), "https", "sql.example.edu")
			if c.Outcome != result.ConversationUnread || !strings.Contains(c.Error, tc.words) {
				t.Errorf("%+v %+v", c, c.Refusal)
			}
		})
	}
}

func opensslDSA(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	openssl := need(t, "openssl", "openssl")
	webRun(t, openssl, "dsaparam", "-out", filepath.Join(dir, "p.pem"), "2048")
	webRun(t, openssl, "gendsa", "-out", filepath.Join(dir, "key.pem"), filepath.Join(dir, "p.pem"))
	webRun(t, openssl, "req", "-x509", "-new", "-days", "3", "-subj", "/CN=sql.example.edu", "-key", filepath.Join(dir, "key.pem"), "-out", filepath.Join(dir, "cert.pem"))
	return dir
}
