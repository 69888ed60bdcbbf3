package visit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
)

var updateDocs = flag.Bool("update", false, "write the table of docs/services.md")

// servicesFile holds, between the two marks, the table that the test below makes.
const (
	servicesFile = "../../docs/services.md"
	answersStart = "<!-- what servers say: made by go test ./internal/visit -run TestWhatServersSay -update -->\n"
	answersEnd   = "<!-- end of what servers say -->\n"
)

// A said is what one server says in one situation.
type said struct {
	peer, situation string
	row             string // of the plan
	// serve starts it and returns where it listens.
	serve   func(t *testing.T) netip.AddrPort
	verdict result.Verdict
	ok      bool
	code    string // of the finding, or of the note of a path that is ok
}

const (
	standIn = "stand-in"
	isOK    = true
	notOK   = false
)

// whatServersSay are real servers, and stand-ins for what Debian has no server of
// or none that can be made to say it.
var whatServersSay = []said{
	{"nginx", "a page; the path that is asked for is missing", "patronapi", nginxSays("return 404;"), result.Answered, isOK, ""},
	{"nginx", "leads to https of the same host", "patronapi", nginxSays("return 301 https://$host/;"), result.Answered, isOK, ""},
	{standIn, "moved for good to another owner's host", "patronapi", httpSays("301 Moved Permanently", "Location: https://ils.elsewhere.example/"), result.Answered, isOK, "leads-elsewhere"},
	{standIn, "for now, to another owner's login page", "patronapi", httpSays("302 Found", "Location: http://login.guestnet.example/portal"), result.Answered, notOK, "portal"},
	{standIn, "the same, in a page of its own", "patronapi", httpSays("200 OK", "Content-Type: text/html"), result.Answered, notOK, "portal"},
	{standIn, "RFC 6585's own status for a portal", "patronapi", httpSays("511 Network Authentication Required"), result.Intercepted, notOK, "portal"},
	{standIn, "a proxy that wants a login", "patronapi", httpSays("407 Proxy Authentication Required", "Proxy-Authenticate: NTLM"), result.Intercepted, notOK, "proxy-login"},
	{"haproxy", "no server behind it", "patronapi", startHAProxy, result.Answered, notOK, "no-backend"},
	{"nginx", "the server behind it refuses", "patronapi", nginxSays("proxy_pass http://127.0.0.1:9;"), result.Answered, notOK, "no-backend"},
	{standIn, "the server behind it is slow", "patronapi", httpSays("504 Gateway Time-out"), result.Answered, notOK, "no-backend"},

	{"aiosmtpd", "greets and takes EHLO", "smtp", startAIOSMTPD(""), result.Answered, isOK, ""},
	{"aiosmtpd", "takes no EHLO now", "smtp", startAIOSMTPD("421 4.3.2 not now"), result.Answered, notOK, "service-unavailable"},
	{"aiosmtpd", "takes no EHLO from here", "smtp", startAIOSMTPD("550 5.7.1 not you"), result.Answered, notOK, "turned-away"},
	{standIn, "greets with 421", "smtp", says("421 4.3.2 Service not available"), result.Answered, notOK, "service-unavailable"},
	{standIn, "greets with 454", "smtp", says("454 4.7.0 try again later"), result.Answered, notOK, "service-unavailable"},
	{standIn, "greets with 554", "smtp", says("554 No SMTP service here"), result.Answered, notOK, "turned-away"},
	{standIn, "greets after 3.2 s", "smtp", after(3200*time.Millisecond, "220 mail ESMTP", "250 mail", "221 bye"), result.Answered, isOK, "slow"},
	{standIn, "greets, then says no more", "smtp", says("220 mail ESMTP", ""), result.Stalled, notOK, "stalled-midway"},
	{standIn, "takes EHLO, then ends in STARTTLS", "smtp", says("220 mail ESMTP", "250-mail\r\n250 STARTTLS", "454 4.7.0 TLS not available"), result.Answered, isOK, ""},
	{standIn, "closes in the middle of its answer", "smtp", says("220 mail ESMTP", "250-mail\r\n421 4.3.2 shutting down"), result.Answered, notOK, "service-unavailable"},
	{standIn, "greets in part, then says no more", "smtp", says("220-mail"), result.Stalled, notOK, "stalled-midway"},
	{standIn, "wants a login, by its enhanced code", "smtp", says("220 mail ESMTP", "530 5.7.0 Authentication required", "530 5.7.0 Authentication required"), result.Answered, notOK, "turned-away"},
	{standIn, "speaks of TLS that it does not want", "smtp", says("554 5.7.1 Not you; TLS not required here"), result.Answered, notOK, "turned-away"},
	{"pure-ftpd", "another service has the port", "smtp", startPureFTPD(false), result.Answered, notOK, "another-service"},
	{standIn, "greets masked", "smtp", says("220 *****************", "250 mail", "221 bye"), result.Answered, isOK, ""},

	{"proftpd", "greets, takes no stranger's login", "ftp-control", startProFTPD(""), result.Answered, isOK, ""},
	{"proftpd", "wants TLS before a login", "ftp-control", startProFTPD("LoadModule mod_tls.c\nTLSEngine on\nTLSRequired on\nTLSRSACertificateFile DIR/cert.pem\nTLSRSACertificateKeyFile DIR/key.pem"), result.Answered, notOK, "needs-tls"},
	{"pure-ftpd", "greets", "ftp-control", startPureFTPD(false), result.Answered, isOK, ""},
	{"pure-ftpd", "has as many connections from here as it takes", "ftp-control", startPureFTPD(true), result.Answered, notOK, "service-unavailable"},
	{"aiosmtpd", "another service has the port", "ftp-control", startAIOSMTPD(""), result.Answered, notOK, "another-service"},
	{standIn, "is ready soon, and then is not", "ftp-control", says("120 Service ready in 10 minutes"), result.Answered, notOK, "service-unavailable"},
	{standIn, "takes no login in clear", "ftp-control", says("220 FTP", "534 Policy requires SSL."), result.Answered, notOK, "needs-tls"},
	{standIn, "greets with 530", "ftp-control", says("530 Access denied"), result.Answered, notOK, "turned-away"},

	{"slapd", "answers strangers", "ldap", startDirectory(""), result.Answered, isOK, ""},
	{"slapd", "refuses an anonymous bind", "ldap", startDirectory("disallow bind_anon"), result.Answered, isOK, ""},
	{"slapd", "serves under TLS only", "ldap", startDirectory("security ssf=128"), result.Answered, notOK, "needs-tls"},
	{"Samba AD", "answers strangers", "ldap", startSamba(389), result.Answered, isOK, ""},
	{"Samba AD", "answers strangers, with a certificate of its own", "ldaps", startSamba(636), result.Answered, isOK, ""},
	{standIn, "busy", "ldap", bytesSay("30 0c 02 01 01 61 07 0a 01 33 04 00 04 00"), result.Answered, notOK, "service-unavailable"},
	{standIn, "unavailable", "ldap", bytesSay("30 0c 02 01 01 61 07 0a 01 34 04 00 04 00"), result.Answered, notOK, "service-unavailable"},

	{standIn, "takes no bind in clear", "ldap", bytesSay("30 29 02 01 01 61 24 0a 01 08 04 00 04 1d 54 72 61 6e 73 70 6f 72 74 20 65 6e 63 72 79 70 74 69 6f 6e 20 72 65 71 75 69 72 65 64"), result.Answered, notOK, "needs-tls"},
	{standIn, "answers in part, then says no more", "ldap", bytesSay("30 0c 02 01 01 61"), result.Stalled, notOK, "stalled-midway"},
	{standIn, "paused (17142)", "sql-client", tdsSays(17142, "SQL Server service has been paused."), result.Answered, notOK, "service-unavailable"},
	{standIn, "the login failed (18456)", "sql-client", tdsSays(18456, "Login failed for user ''."), result.Answered, isOK, ""},
	{standIn, "sends clients on (ENVCHANGE)", "sql-client", bytesSay("04 01 00 2e 00 00 01 00 e3 16 00 14 11 00 00 f8 2a 06 00 6e 00 6f 00 64 00 65 00 2e 00 37 00 00 00 fd 02 00 00 00 00 00 00 00 00 00 00 00"), result.Answered, isOK, "leads-elsewhere"},
	{"yaz-ztest", "accepts Init", "z3950", startYAZ, result.Answered, isOK, ""},
	{standIn, "rejects Init", "z3950", bytesSay("b5 13 83 02 05 e0 84 02 06 c0 85 02 40 00 86 02 40 00 8c 01 00"), result.Answered, notOK, "turned-away"},
	{standIn, "closes for want of resources", "z3950", bytesSay("bf 30 05 9f 81 53 01 04"), result.Answered, notOK, "service-unavailable"},
	{standIn, "not available", "iso-out", bytesSay("73 18 80 01 02 a1 00 bd 00 bf 2d 0e a0 03 1b 01 63 81 01 01 a2 04 83 02 00 01"), result.Answered, notOK, "service-unavailable"},
	{standIn, "has no TLS, and goes on without", "rdp", rdpWithoutTLS, result.Answered, isOK, ""},
	{standIn, "wants NLA and does not get it", "rdp", bytesSay("03 00 00 13 0e d0 00 00 12 34 00 03 00 08 00 05 00 00 00"), result.Answered, notOK, "security-mismatch"},
	{standIn, "disconnects", "rdp", bytesSay("03 00 00 0b 06 80 00 00 12 34 00"), result.Answered, notOK, "turned-away"},
	{standIn, "OpenSSH has the port", "rdp", says("SSH-2.0-OpenSSH_9.2p1"), result.Answered, notOK, "another-service"},
	{standIn, "OpenSSH has the port", "patronapi", says("SSH-2.0-OpenSSH_9.2p1"), result.Answered, notOK, "another-service"},
	{standIn, "OpenSSH has the port", "ldaps", says("SSH-2.0-OpenSSH_9.2p1"), result.Answered, notOK, "another-service"},
}

// Each server is asked as dial egress and dial --installed ask it, over a real
// connection. The table that comes of it is the documentation's.
func TestWhatServersSay(t *testing.T) {
	t.Parallel()
	var table bytes.Buffer
	table.WriteString(answersStart)
	table.WriteString("| server | situation | verdict | finding, or note | words |\n| --- | --- | --- | --- | --- |\n")
	whole := true
	t.Cleanup(func() {
		if sambaMade != "" {
			os.RemoveAll(sambaMade)
		}
	})
	lines := make([]string, len(whatServersSay))
	t.Run("asked", func(t *testing.T) {
		for _, real := range []bool{true, false} {
			t.Run(map[bool]string{true: "real servers", false: "stand-ins"}[real], func(t *testing.T) {
				t.Parallel()
				for i, s := range whatServersSay {
					if (s.peer != standIn) != real {
						continue
					}
					t.Run(s.row+", "+s.peer+": "+s.situation, func(t *testing.T) {
						if !real {
							t.Parallel() // some keep whoever asks waiting
						}
						lines[i] = s.ask(t)
					})
				}
			})
		}
	})
	for _, line := range lines {
		whole = whole && line != ""
		table.WriteString(line)
	}
	table.WriteString(answersEnd)
	doc, err := os.ReadFile(servicesFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, started := bytes.Cut(doc, []byte(answersStart))
	_, behind, ended := bytes.Cut(rest, []byte(answersEnd))
	switch {
	case !started || !ended:
		t.Fatalf("%s has no place for the table", servicesFile)
	case !whole:
		return // a server is missing, or the failure is told
	case *updateDocs:
		if err := os.WriteFile(servicesFile, bytes.Join([][]byte{before, table.Bytes(), behind}, nil), 0o644); err != nil {
			t.Fatal(err)
		}
	case !bytes.Contains(doc, table.Bytes()):
		t.Errorf("%s is not what they say now (-update writes it):\n%s", servicesFile, &table)
	}
}

// ask asks one server and returns its line of the table; "" if it says otherwise.
func (s said) ask(t *testing.T) string {
	at := s.serve(t)
	p, err := plan.Load("illiad")
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Egress: true, Hosts: map[string]string{s.row: at.String()}}
	cfg.Plan, cfg.Local, cfg.Only, cfg.Timeout = p, []plan.Role{"server"}, []string{s.row}, time.Second
	if s.row == "z3950" {
		cfg.Local = []plan.Role{"client"}
	}
	if s.row == "sql-client" || s.row == "iso-out" { // not an external host's
		cfg.Egress, cfg.Local, cfg.Remote, cfg.Host = false, []plan.Role{"client"}, []plan.Role{"database"}, "127.0.0.1"
	}
	if s.row == "rdp" {
		cfg.Egress, cfg.Local, cfg.Remote, cfg.Host = false, []plan.Role{"admin"}, []plan.Role{"server"}, "127.0.0.1"
	}
	if s.row == "iso-out" {
		cfg.Local, cfg.Remote = []plan.Role{"server"}, []plan.Role{"peer"}
	}
	r, err := Run(t.Context(), cfg)
	if err != nil || len(r.Paths) != 1 {
		t.Fatalf("%v, %+v", err, r)
	}
	got := r.Paths[0]
	c := got.Initiator.Conversation
	code := ""
	if got.Finding != nil {
		code = string(got.Finding.Code)
	}
	for _, n := range got.Notes {
		if got.OK && n.Code != result.NoteAssumedPort {
			code = string(n.Code)
		}
	}
	if got.Verdict != s.verdict || got.OK != s.ok || code != s.code {
		t.Fatalf("%s, ok %v, %q; want %s, ok %v, %q\nconversation %+v\nfinding %+v, notes %+v", got.Verdict, got.OK, code, s.verdict, s.ok, s.code, c, got.Finding, got.Notes)
	}
	words := "-"
	switch {
	case c.Refusal != nil:
		words = c.Refusal.Reply()
	case got.Finding != nil:
		_, words, _ = strings.Cut(got.Finding.Text, "It came so far: ")
	case len(c.Changed) > 0:
		words = c.Changed[0]
	case c.Fact("STARTTLS") != "" && c.Fact("STARTTLS") != "not offered":
		words = "STARTTLS " + c.Fact("STARTTLS")
	case c.Fact(result.FactLeadsTo) != "":
		words = "leads to " + c.Fact(result.FactLeadsTo)
	case code != "":
		words = "greeting came late"
	}
	ok := "ok"
	if !got.OK {
		ok = "not ok"
	}
	mark := "-"
	switch {
	case got.OK && code != "":
		mark = "note `" + code + "`"
	case code != "":
		mark = "`" + code + "`"
	}
	words = ports.ReplaceAllString(versions.ReplaceAllString(words, ""), "port N")
	return fmt.Sprintf("| %s, %s | %s | `%s`, %s | %s | %s |\n", s.peer, s.row, s.situation, got.Verdict, ok, mark, strings.ReplaceAll(words, "|", "/"))
}

// versions are what differs from one release of a server to the next, ports from one
// run to the next.
var (
	versions = regexp.MustCompile(`/\d+\.\d+[\w.]*`)
	ports    = regexp.MustCompile(`port \d+`)
)

// ---- stand-ins ----

// says greets, and answers each line that comes with the next of the replies; ""
// is none.
func says(replies ...string) func(*testing.T) netip.AddrPort { return after(0, replies...) }

func after(wait time.Duration, replies ...string) func(*testing.T) netip.AddrPort {
	return func(t *testing.T) netip.AddrPort {
		return prooftest.Accept(t, netip.AddrPortFrom(loop, 0), func(_ context.Context, c *net.TCPConn) {
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			time.Sleep(wait)
			r := bufio.NewReader(c)
			for _, s := range replies {
				if s != "" {
					_, _ = io.WriteString(c, s+"\r\n")
				}
				if _, err := r.ReadString('\n'); err != nil {
					return
				}
			}
			_, _ = io.Copy(io.Discard, r)
		})
	}
}

// httpSays answers each request with a status line and fields. Its page is one
// that leads on to a portal by itself.
func httpSays(status string, fields ...string) func(*testing.T) netip.AddrPort {
	const page = `<html><head><META HTTP-EQUIV="refresh" content="0; URL=https://login.guestnet.example/?to=1"></head></html>`
	return func(t *testing.T) netip.AddrPort {
		return prooftest.Accept(t, netip.AddrPortFrom(loop, 0), func(_ context.Context, c *net.TCPConn) {
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			r := bufio.NewReader(c)
			for line := ""; line != "\r\n"; {
				var err error
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
			}
			_, _ = fmt.Fprintf(c, "HTTP/1.1 %s\r\n%s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, strings.Join(append(fields, "Server: test"), "\r\n"), len(page), page)
		})
	}
}

// bytesSay answers the first bytes that come.
func bytesSay(text string) func(*testing.T) netip.AddrPort {
	return func(t *testing.T) netip.AddrPort {
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		return prooftest.Accept(t, netip.AddrPortFrom(loop, 0), func(_ context.Context, c *net.TCPConn) {
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write(b)
			_, _ = io.Copy(io.Discard, c)
		})
	}
}

// rdpWithoutTLS refuses TLS (MS-RDPBCGR section 2.2.1.2.2) to who offers it, and
// takes who does not.
func rdpWithoutTLS(t *testing.T) netip.AddrPort {
	return prooftest.Accept(t, netip.AddrPortFrom(loop, 0), func(_ context.Context, c *net.TCPConn) {
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		if n < 4 || b[n-4] != 0 {
			_, _ = c.Write([]byte{3, 0, 0, 0x13, 0x0e, 0xd0, 0, 0, 0x12, 0x34, 0, 3, 0, 8, 0, 2, 0, 0, 0})
			return
		}
		_, _ = c.Write([]byte{3, 0, 0, 0x0b, 6, 0xd0, 0, 0, 0x12, 0x34, 0})
		_, _ = io.Copy(io.Discard, c)
	})
}

// tdsSays answers a PRELOGIN with an ERROR token (MS-TDS section 2.2.7.10).
func tdsSays(number uint32, text string) func(*testing.T) netip.AddrPort {
	token := binary.LittleEndian.AppendUint32(nil, number)
	token = append(token, 1, 14)
	u := utf16.Encode([]rune(text))
	token = binary.LittleEndian.AppendUint16(token, uint16(len(u)))
	for _, c := range u {
		token = binary.LittleEndian.AppendUint16(token, c)
	}
	token = append(token, 0, 0, 1, 0, 0, 0) // server, procedure, line
	body := append(binary.LittleEndian.AppendUint16([]byte{0xaa}, uint16(len(token))), token...)
	body = append(body, 0xfd, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) // DONE
	message := append([]byte{4, 1, byte((len(body) + 8) >> 8), byte(len(body) + 8), 0, 0, 1, 0}, body...)
	return bytesSay(hex.EncodeToString(message))
}

// ---- real servers ----

// peer returns the path of somebody else's program.
func peer(t *testing.T, program, pkg string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin/", "/opt/dialtone-peers/usr/sbin/"} {
		if _, err := os.Stat(dir + program); err == nil {
			return dir + program
		}
	}
	if os.Getenv("DIALTONE_PEERS") != "" {
		t.Fatalf("no %s: scripts/test brings Debian's %s", program, pkg)
	}
	t.Skipf("no %s: scripts/test brings Debian's %s", program, pkg)
	return ""
}

// running starts a program, waits for its port, and ends it with the test.
func running(t *testing.T, at netip.AddrPort, program string, args ...string) netip.AddrPort {
	t.Helper()
	cmd := exec.Command(program, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	for guard := time.Now().Add(30 * time.Second); time.Now().Before(guard); time.Sleep(50 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", program, &out)
		default:
		}
		if c, err := net.Dial("tcp", at.String()); err == nil {
			c.Close()
			return at
		}
	}
	t.Fatalf("%s does not listen on %s", program, at)
	return at
}

// conf writes a configuration into a directory of its own, whose name it has as
// DIR.
func conf(t *testing.T, text string) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "conf")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

func nginxSays(what string) func(*testing.T) netip.AddrPort {
	return func(t *testing.T) netip.AddrPort {
		at := prooftest.FreePort(t, loop)
		_, file := conf(t, fmt.Sprintf("daemon off; master_process off; pid DIR/pid; error_log DIR/log;\nevents {}\nhttp { access_log off; client_body_temp_path DIR/b; proxy_temp_path DIR/p; fastcgi_temp_path DIR/f; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;\nserver { listen %s; location / { %s } } }\n", at, what))
		return running(t, at, peer(t, "nginx", "nginx-light"), "-c", file)
	}
}

func startHAProxy(t *testing.T) netip.AddrPort {
	at := prooftest.FreePort(t, loop)
	_, file := conf(t, fmt.Sprintf("defaults\n mode http\n timeout connect 1s\n timeout client 5s\n timeout server 5s\nfrontend f\n bind %s\n default_backend none\nbackend none\n", at))
	return running(t, at, peer(t, "haproxy", "haproxy"), "-db", "-f", file)
}

const aiosmtpd = `import sys, time
from aiosmtpd.controller import Controller
class H:
    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        if sys.argv[2]: return [sys.argv[2]]
        session.host_name = hostname
        return responses
    async def handle_HELO(self, server, session, envelope, hostname):
        return sys.argv[2] or "250 " + server.hostname
k = Controller(H(), hostname="127.0.0.1", port=int(sys.argv[1]), server_hostname="mail.example.edu")
k.start()
time.sleep(600)
`

func startAIOSMTPD(refusal string) func(*testing.T) netip.AddrPort {
	return func(t *testing.T) netip.AddrPort {
		const python = "/usr/bin/python3" // Debian's, which has Debian's packages
		peer(t, "aiosmtpd", "python3-aiosmtpd")
		at := prooftest.FreePort(t, loop)
		return running(t, at, python, "-c", aiosmtpd, fmt.Sprint(at.Port()), refusal)
	}
}

func startProFTPD(more string) func(*testing.T) netip.AddrPort {
	return func(t *testing.T) netip.AddrPort {
		at, program := prooftest.FreePort(t, loop), peer(t, "proftpd", "proftpd-core")
		if os.Getuid() != 0 {
			t.Skip("proftpd needs root")
		}
		modules := filepath.Join(filepath.Dir(program), "../lib/proftpd")
		dir, file := conf(t, fmt.Sprintf("ModulePath %s\n%s\nServerName test\nServerType standalone\nDefaultAddress 127.0.0.1\nPort %d\nUser nobody\nGroup nogroup\nPidFile DIR/pid\nScoreboardFile DIR/score\nDelayTable none\nSystemLog DIR/log\nTransferLog none\nWtmpLog off\nUseReverseDNS off\nAuthOrder mod_auth_unix.c\n",
			modules, more, at.Port()))
		b, err := exec.Command(peer(t, "openssl", "openssl"), "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "3", "-subj", "/CN=ftp.example.edu", "-keyout", dir+"/key.pem", "-out", dir+"/cert.pem").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		return running(t, at, program, "-n", "-c", file)
	}
}

// startPureFTPD starts pure-ftpd, full or not: then somebody holds the one
// connection that it takes.
func startPureFTPD(full bool) func(*testing.T) netip.AddrPort {
	return func(t *testing.T) netip.AddrPort {
		at, program := prooftest.FreePort(t, loop), peer(t, "pure-ftpd", "pure-ftpd")
		if os.Getuid() != 0 {
			t.Skip("pure-ftpd needs root")
		}
		args := []string{"-4", "-H", "-E", "-l", "unix", "-g", filepath.Join(t.TempDir(), "pid"), "-S", fmt.Sprintf("127.0.0.1,%d", at.Port())}
		if full {
			args = append(args, "-C", "1")
		}
		running(t, at, program, args...)
		if full {
			holdAlone(t, at)
		}
		return at
	}
}

// holdAlone holds a connection whose greeting has come, once those before are over.
func holdAlone(t *testing.T, at netip.AddrPort) {
	t.Helper()
	for guard := time.Now().Add(30 * time.Second); time.Now().Before(guard); time.Sleep(100 * time.Millisecond) {
		c, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if line, _ := bufio.NewReader(c).ReadString('\n'); strings.HasPrefix(line, "220") {
			return
		}
		c.Close()
	}
	t.Fatal("it never greeted")
}

func startDirectory(settings string) func(*testing.T) netip.AddrPort {
	return func(t *testing.T) netip.AddrPort {
		at, program := prooftest.FreePort(t, loop), peer(t, "slapd", "slapd")
		_, file := conf(t, "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile DIR/pid\n"+settings+"\ndatabase mdb\nsuffix dc=example,dc=edu\ndirectory DIR\n")
		return running(t, at, program, "-f", file, "-h", "ldap://"+at.String(), "-d", "0")
	}
}

// sambaDirectory is a domain controller's, made once: it takes its time.
var sambaDirectory = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "dialtone-samba"); err != nil {
		return "", err
	}
	sambaMade = dir
	out, err := exec.Command("samba-tool", "domain", "provision", "--realm=AD.EXAMPLE.EDU", "--domain=AD", "--adminpass=Not-4-secret-of-anybody",
		"--server-role=dc", "--dns-backend=NONE", "--targetdir="+dir, "--option=interfaces="+sambaAt+"/8", "--option=bind interfaces only=yes",
		"--option=posix:eadb="+dir+"/eadb.tdb").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return dir, err
})

var sambaMade string // by sambaDirectory; "": nothing yet

// sambaAt is an address of this machine that nothing else uses: a domain
// controller has its ports.
const sambaAt = "127.0.38.9"

func startSamba(port uint16) func(*testing.T) netip.AddrPort {
	return func(t *testing.T) netip.AddrPort {
		program := peer(t, "samba", "samba")
		peer(t, "samba-tool", "samba")
		if os.Getuid() != 0 {
			t.Skip("samba needs root")
		}
		dir, err := sambaDirectory()
		if err != nil {
			t.Fatal(err)
		}
		at := netip.AddrPortFrom(netip.MustParseAddr(sambaAt), port)
		return running(t, at, program, "-i", "-M", "single", "-s", dir+"/etc/smb.conf", "--option=server services=ldap")
	}
}

func startYAZ(t *testing.T) netip.AddrPort {
	at := prooftest.FreePort(t, loop)
	return running(t, at, peer(t, "yaz-ztest", "yaz"), "-T", "tcp:"+at.String())
}
