package service

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

func TestSMTPReachesOurListenerUnchanged(t *testing.T) {
	a, print := newWebAnswerer(t)
	at := serve(t, a, "smtp")
	q := newWebQuestion(t, "127.0.0.1")
	q.Fingerprint = print
	c := webAsk(t, at, "smtp", q)
	wantIntact(t, c)
	if c.Software != "dialtone.invalid ESMTP Dialtone test listener, takes no mail" || webFact(c, "STARTTLS") != "offered" || webFact(c, "TLS version") != "TLS 1.3" ||
		webFact(c, "SIZE") != "10485760" || !strings.HasPrefix(webFact(c, "seen as"), "127.0.0.1:") {
		t.Errorf("got %+v", c)
	}
	a.Certificate = tls.Certificate{}
	c = webAsk(t, serve(t, a, "smtp"), "smtp", newWebQuestion(t, "127.0.0.1"))
	wantIntact(t, c)
	if webFact(c, "STARTTLS") != "not offered" {
		t.Errorf("got %+v", c)
	}
}

func TestSMTPGreetsAStrangerLikeAnyMailServer(t *testing.T) {
	a, _ := newWebAnswerer(t)
	at := serve(t, a, "smtp")
	q := newWebQuestion(t, "127.0.0.1")
	q.Token[31] ^= 1
	c := webAsk(t, at, "smtp", q)
	if c.Outcome != result.ConversationCompleted || c.Keyed || !webHas(c.Changed, "does not contain the listener's reply", "250 dialtone.invalid greets you") {
		t.Errorf("got %+v", c)
	}
	c = webAsk(t, at, "smtp", Question{Host: "127.0.0.1"})
	if c.Outcome != result.ConversationCompleted || c.Keyed || len(c.Changed) != 0 {
		t.Errorf("got %+v", c)
	}
}

// The longest that an address and a name can be must fit into one reply line.
func TestSMTPReplyLinesAreNotTooLong(t *testing.T) {
	a, _ := newWebAnswerer(t)
	s := &mailServer{a: a, greeting: strings.Repeat("g", 80), remote: netip.MustParseAddrPort("[2001:db8:1111:2222:3333:4444:5555:6666%ethernet-0000]:65535")}
	q := newWebQuestion(t, "")
	reply := s.hello("EHLO", mailName(nil, q))
	for l := range strings.Lines(reply) {
		if len(l) > 512 { // RFC 5321 section 4.5.3.1.5
			t.Errorf("%d bytes: %s", len(l), l)
		}
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(reply, "250-"), "\r\n")
	if keyed, r := openMailProof(q.Answer, first); !keyed || r == nil {
		t.Errorf("%v, %v: %s", keyed, r, first)
	}
}

// ---- other programs against our answering side ----

func TestCurlTalksToOurMailServer(t *testing.T) {
	curl := need(t, "curl", "curl")
	a, _ := newWebAnswerer(t)
	to := "smtp://" + serve(t, a, "smtp").String()
	for _, more := range [][]string{nil, {"--ssl-reqd", "-k"}} {
		// Without a mail curl says HELP.
		out := webRun(t, curl, append(more, "-sS", to)...)
		if !strings.Contains(out, "It takes no mail") || !strings.Contains(out, "SIX-WORDS-OF-YOURS") {
			t.Errorf("got %s", out)
		}
		mail := filepath.Join(t.TempDir(), "mail")
		if err := os.WriteFile(mail, []byte("Subject: x\r\n\r\nx\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := webRunErr(t, curl, append(more, "-sSv", to, "--mail-from", "a@example.edu", "--mail-rcpt", "b@example.edu", "-T", mail)...)
		if err == nil || !strings.Contains(err.Error(), "550 5.7.1 This is a test listener: it takes no mail") {
			t.Errorf("a mail: got %v", err)
		}
	}
}

func TestSwaksIsRefusedItsMail(t *testing.T) {
	t.Parallel()
	swaks := need(t, "swaks", "swaks")
	a, _ := newWebAnswerer(t)
	at := serve(t, a, "smtp")
	to := []string{"--server", at.Addr().String(), "--port", fmt.Sprint(at.Port()), "--to", "b@example.edu", "--from", "a@example.edu"}
	out := webRun(t, swaks, append(to, "--quit-after", "EHLO")...)
	for _, want := range []string{"220 dialtone.invalid ESMTP Dialtone test listener, takes no mail", "250-STARTTLS", "250 HELP", "221 2.0.0"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
	if out, err := webRunErr(t, swaks, to...); err == nil || !strings.Contains(out, "550 5.7.1") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := webRunErr(t, swaks, append(to, "--pipeline")...); err == nil || strings.Count(out, "550 5.7.1") != 3 { // MAIL, RCPT, DATA
		t.Errorf("%v: %s", err, out)
	}
	if out, err := webRunErr(t, swaks, append(to, "--auth", "PLAIN", "--auth-user", "u", "--auth-password", "p")...); err == nil {
		t.Errorf("it logged in: %s", out)
	}
}

func TestOpenSSLStartsTLSWithOurMailServer(t *testing.T) {
	openssl := need(t, "openssl", "openssl")
	a, _ := newWebAnswerer(t)
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		out := webRun(t, openssl, "s_client", "-starttls", "smtp", "-connect", serve(t, a, "smtp").String(), version)
		if !strings.Contains(out, "CN = Dialtone test listener") {
			t.Errorf("%s: got %s", version, out)
		}
	}
}

// ---- our asking side against another program ----

const eximConf = `spool_directory = %[1]s/spool
log_file_path = %[1]s/%%slog
pid_file_path = %[1]s/pid
primary_hostname = mail.example.edu
keep_environment =
host_lookup =
rfc1413_query_timeout = 0s
%[2]s
`

// startExim lets exim serve each connection on its standard input, which it
// does for any user.
func startExim(t *testing.T, settings string) netip.AddrPort {
	t.Helper()
	exim, openssl := need(t, "exim4", "exim4-daemon-light"), need(t, "openssl", "openssl")
	dir, err := os.MkdirTemp("", "exim") // as another user it cannot reach t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	webRun(t, openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mail.example.edu", "-days", "3", "-keyout", dir+"/key.pem", "-out", dir+"/cert.pem")
	if err := os.WriteFile(dir+"/conf", fmt.Appendf(nil, eximConf, dir, strings.ReplaceAll(settings, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o777, dir + "/conf": 0o644, dir + "/key.pem": 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	return testServer(t, func(c net.Conn) {
		if err := throughExim(c, dir, exim, "-C", dir+"/conf", "-bs"); err != nil {
			t.Error(err)
		}
	})
}

// throughExim relays c to a program whose standard input and output are one
// Unix socket: with a pipe it cannot do TLS, with a TCP socket it must be root.
func throughExim(c net.Conn, dir, program string, args ...string) error {
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		return err
	}
	defer l.Close()
	near, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		return err
	}
	defer near.Close()
	away, err := l.Accept()
	if err != nil {
		return err
	}
	f, err := away.(*net.UnixConn).File()
	away.Close()
	if err != nil {
		return err
	}
	l.Close() // the next connection has the same path
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.Stdout = f, f
	if err := cmd.Start(); err != nil {
		f.Close()
		return err
	}
	f.Close()
	go func() {
		_, _ = io.Copy(near, c)
		near.Close()
	}()
	_, _ = io.Copy(c, near)
	_ = cmd.Wait() // its status says how the client behaved
	return nil
}

func TestSMTPAgainstExim(t *testing.T) {
	t.Parallel()
	at := startExim(t, "tls_advertise_hosts = *\ntls_certificate = DIR/cert.pem\ntls_privatekey = DIR/key.pem\nmessage_size_limit = 12M")
	c := webAsk(t, at, "smtp", Question{Host: "127.0.0.1"})
	if c.Outcome != result.ConversationCompleted || c.Keyed || len(c.Changed) != 0 || !strings.HasPrefix(c.Software, "mail.example.edu ESMTP Exim 4") ||
		webFact(c, "SIZE") != "12582912" || webFact(c, "STARTTLS") != "offered" || webFact(c, "subject") != "CN=mail.example.edu" {
		t.Errorf("got %+v", c)
	}
	c = webAsk(t, at, "smtp", newWebQuestion(t, "127.0.0.1"))
	if c.Outcome != result.ConversationCompleted || c.Keyed || !webHas(c.Changed, "does not contain the listener's reply", "250 mail.example.edu") {
		t.Errorf("got %+v", c)
	}
	at = startExim(t, "tls_advertise_hosts =\nacl_smtp_connect = deny message = not you")
	c = webAsk(t, at, "smtp", Question{Host: "127.0.0.1"})
	if c.Outcome != result.ConversationRefused || c.Refusal.Reply() != "550 not you" || !strings.HasPrefix(webFact(c, "refused"), "550 not you") {
		t.Errorf("a server that turns everybody away: got %+v", c)
	}
	at = startExim(t, "tls_advertise_hosts =")
	if c = webAsk(t, at, "smtp", Question{Host: "127.0.0.1"}); c.Outcome != result.ConversationCompleted || webFact(c, "STARTTLS") != "not offered" {
		t.Errorf("got %+v", c)
	}
}

// ---- a device of our own making ----

// A mailMiddle relays lines to origin and changes them; nil leaves them.
type mailMiddle struct {
	command, reply func(line string) string
	certificate    *tls.Certificate // ends TLS
}

func (m mailMiddle) start(t *testing.T, origin netip.AddrPort) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { defer near.Close(); m.relay(near, origin) })
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return sock.AddrPortOf(l.Addr())
}

func (m mailMiddle) relay(near net.Conn, origin netip.AddrPort) {
	away, err := net.Dial("tcp", origin.String())
	if err != nil {
		return
	}
	defer away.Close()
	for _, c := range []net.Conn{near, away} {
		_ = c.SetDeadline(time.Now().Add(guardTime))
	}
	fromNear, fromAway := bufio.NewReader(near), bufio.NewReader(away)
	// One reply, then one command and its reply, and so on.
	for command := ""; ; {
		for more := true; more; {
			line, err := fromAway.ReadString('\n')
			if err != nil {
				return
			}
			more = len(line) > 3 && line[3] == '-'
			if m.reply != nil {
				line = m.reply(line)
			}
			if _, err := io.WriteString(near, line); err != nil {
				return
			}
		}
		if strings.HasPrefix(command, "STARTTLS") {
			if m.certificate == nil {
				go func() { _, _ = io.Copy(near, fromAway) }()
				_, _ = io.Copy(away, fromNear)
				return
			}
			near = tls.Server(near, &tls.Config{Certificates: []tls.Certificate{*m.certificate}})
			away = tls.Client(away, &tls.Config{InsecureSkipVerify: true})
			fromNear, fromAway = bufio.NewReader(near), bufio.NewReader(away)
		}
		if command, err = fromNear.ReadString('\n'); err != nil {
			return
		}
		if m.command != nil {
			command = m.command(command)
		}
		if _, err := io.WriteString(away, command); err != nil {
			return
		}
	}
}

func TestSMTPNamesWhatADeviceChanges(t *testing.T) {
	a, _ := newWebAnswerer(t)
	origin := serve(t, a, "smtp")
	other, _, err := NewCertificate([]string{"mail"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(from, to string) func(string) string {
		return func(s string) string { return strings.ReplaceAll(s, from, to) }
	}
	// As Cisco's ESMTP inspection shows itself in its own documentation.
	stars := func(s string) string {
		if strings.HasPrefix(s, "220 dialtone") {
			return "220 " + strings.Repeat("*", len(s)-6) + "\r\n"
		}
		return s
	}
	for name, tc := range map[string]struct {
		middle mailMiddle
		want   [][]string
	}{
		"nothing":              {mailMiddle{}, nil},
		"greeting masked":      {mailMiddle{reply: stars}, [][]string{{"the greeting is masked (220 ****"}, {`the greeting "dialtone.invalid ESMTP`, `arrived as "***`}}},
		"greeting rewritten":   {mailMiddle{reply: replace("220 dialtone.invalid ESMTP Dialtone test listener, takes no mail", "220 mx.example.com ESMTP Postfix")}, [][]string{{`the greeting "dialtone.invalid ESMTP`, `arrived as "mx.example.com ESMTP Postfix"`}}},
		"STARTTLS masked":      {mailMiddle{reply: replace("250-STARTTLS", "250-XXXXXXXA")}, [][]string{{"the listener's extension STARTTLS was taken away"}, {"the extension XXXXXXXA is masked"}, {"the extension XXXXXXXA was added"}}},
		"STARTTLS taken away":  {mailMiddle{reply: replace("250-STARTTLS\r\n", "")}, [][]string{{"the listener's extension STARTTLS was taken away"}}},
		"SIZE changed":         {mailMiddle{reply: replace("SIZE 10485760", "SIZE 1024")}, [][]string{{"the listener's extension SIZE 10485760 was taken away"}, {"the extension SIZE 1024 was added"}}},
		"AUTH added":           {mailMiddle{reply: replace("250-8BITMIME\r\n", "250-8BITMIME\r\n250-AUTH PLAIN\r\n")}, [][]string{{"the extension AUTH PLAIN was added to the listener's"}}},
		"EHLO not let through": {mailMiddle{command: replace("EHLO", "XXXX")}, [][]string{{"EHLO was refused in the listener's name (500 5.5.2"}}},
		"EHLO made HELO":       {mailMiddle{command: replace("EHLO", "HELO")}, [][]string{{"EHLO arrived at the listener as HELO"}}},
		"STARTTLS refused":     {mailMiddle{command: replace("STARTTLS", "XXXXXXXX")}, [][]string{{"the listener's STARTTLS does not work: 500"}}},
		"TLS ended":            {mailMiddle{certificate: &other}, [][]string{{"the listener's certificate is another", "TLS was ended on the way"}}},
		"receipt cut": {mailMiddle{reply: func(s string) string {
			if strings.HasPrefix(s, "250-dialtone.invalid ") {
				return s[:100] + "\r\n"
			}
			return s
		}}, [][]string{{"the first line of the answer to EHLO is not as the listener sent it"}}},
	} {
		t.Run(name, func(t *testing.T) {
			c := webAsk(t, tc.middle.start(t, origin), "smtp", newWebQuestion(t, "127.0.0.1"))
			if c.Outcome != result.ConversationCompleted || !c.Keyed || len(c.Changed) != len(tc.want) {
				t.Errorf("got %+v", c)
			}
			for _, want := range tc.want {
				if !webHas(c.Changed, want...) {
					t.Errorf("no sentence has %q: %q", want, c.Changed)
				}
			}
		})
	}
}

func TestSMTPNamesAMaskingDeviceBeforeARealServer(t *testing.T) {
	origin := startExim(t, "tls_advertise_hosts = *\ntls_certificate = DIR/cert.pem\ntls_privatekey = DIR/key.pem")
	m := mailMiddle{reply: func(s string) string {
		if strings.HasPrefix(s, "220 ") {
			return "220 " + strings.Repeat("*", 40) + "\r\n"
		}
		return strings.Replace(s, "STARTTLS", "XXXXXXXA", 1)
	}}
	c := webAsk(t, m.start(t, origin), "smtp", Question{Host: "127.0.0.1"})
	if c.Outcome != result.ConversationCompleted || !webHas(c.Changed, "the greeting is masked") || !webHas(c.Changed, "the extension XXXXXXXA is masked") {
		t.Errorf("got %+v", c)
	}
}

func TestSMTPIsNotKeyedByAnAnswerToAnotherToken(t *testing.T) {
	a, _ := newWebAnswerer(t)
	origin := serve(t, a, "smtp")
	other := mailName(nil, newWebQuestion(t, ""))
	m := mailMiddle{command: func(s string) string {
		if strings.HasPrefix(s, "EHLO ") {
			return "EHLO " + other + "\r\n"
		}
		return s
	}}
	c := webAsk(t, m.start(t, origin), "smtp", newWebQuestion(t, "127.0.0.1"))
	if c.Outcome != result.ConversationCompleted || c.Keyed || !webHas(c.Changed, "does not contain the listener's reply") {
		t.Errorf("got %+v", c)
	}
}

// ---- hostile far ends ----

func TestSMTPClassifiesStrangeServers(t *testing.T) {
	says := func(replies ...string) func(net.Conn) {
		return func(c net.Conn) {
			r := bufio.NewReader(c)
			for _, s := range replies {
				_, _ = io.WriteString(c, s)
				if _, err := r.ReadString('\n'); err != nil {
					return
				}
			}
		}
	}
	for name, tc := range map[string]struct {
		says func(net.Conn)
		want result.ConversationOutcome
		q    Question
	}{
		"closes":            {says: func(net.Conn) {}, want: result.ConversationClosed},
		"SSH":               {says: says("SSH-2.0-OpenSSH_9.2\r\n"), want: result.ConversationForeign},
		"IMAP":              {says: says("* OK IMAP4rev1 ready\r\n"), want: result.ConversationForeign},
		"POP3":              {says: says("+OK ready\r\n"), want: result.ConversationForeign},
		"FTP":               {says: says("220 (vsFTPd 3.0.3)\r\n", "530 Please login with USER and PASS.\r\n", "530 Please login with USER and PASS.\r\n"), want: result.ConversationRefused},
		"other code":        {says: says("200 hello\r\n"), want: result.ConversationForeign},
		"not today":         {says: says("421 too busy\r\n"), want: result.ConversationRefused},
		"old":               {says: says("220 old SMTP\r\n", "500 what\r\n", "250 hello\r\n", "221 bye\r\n"), want: result.ConversationCompleted},
		"closes after EHLO": {says: says("220 mail\r\n"), want: result.ConversationClosed},
		"policy":            {says: says("220 mail\r\n", "550 not you\r\n", "550 not you\r\n"), want: result.ConversationRefused},
		"policy, then ends": {says: says("220 mail\r\n", "554 not you\r\n"), want: result.ConversationRefused},
		"old, then ends":    {says: says("220 mail\r\n", "502 what\r\n"), want: result.ConversationClosed},
		"STARTTLS is broken": {says: says("220 mail\r\n", "250-mail\r\n250 STARTTLS\r\n", "220 go\r\n", "rubbish that is no TLS record\r\n"),
			want: result.ConversationCompleted},
		"bytes after STARTTLS": {says: says("220 mail\r\n", "250-mail\r\n250 STARTTLS\r\n", "220 go\r\n250 already here\r\n"), want: result.ConversationCompleted},
		"endless greeting": {says: func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, "220-and so on\r\n"); err != nil {
					return
				}
			}
		}, want: result.ConversationUnread},
		"endless line": {says: func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, "220 and so on"); err != nil {
					return
				}
			}
		}, want: result.ConversationUnread},
		"reset": {says: func(c net.Conn) {
			_, _ = io.WriteString(c, "220 mail\r\n")
			_, _ = c.Read(make([]byte, 1)) // the rest is still unread
			_ = c.(*net.TCPConn).SetLinger(0)
		}, want: result.ConversationReset},
	} {
		t.Run(name, func(t *testing.T) {
			c := webAsk(t, webFar(t, tc.says), "smtp", tc.q)
			if c.Outcome != tc.want {
				t.Errorf("got %+v", c)
			}
			if name == "bytes after STARTTLS" && !webHas(c.Changed, "bytes in clear follow") {
				t.Errorf("got %+v", c)
			}
		})
	}
}

func TestSMTPAnsweringEndsWhateverComes(t *testing.T) {
	a, _ := newWebAnswerer(t)
	a.Patience = 300 * time.Millisecond
	forever := func(s string) func(net.Conn) {
		return func(c net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, c) }()
			for {
				if _, err := io.WriteString(c, s); err != nil {
					return
				}
			}
		}
	}
	for name, sends := range map[string]func(net.Conn){
		"nothing":      func(net.Conn) {},
		"endless line": forever("EHLO "),
		"zeroes":       forever("\x00\x00\x00\x00"),
		"wrong words":  forever("What now\r\n"),
		"empty lines":  forever("\r\n"),
		"mail":         forever("MAIL FROM:<a@example.edu>\r\n"),
		"NOOP":         forever("NOOP\r\n"),
		"EHLO":         forever("EHLO example.edu\r\n"),
		"TLS":          forever("\x16\x03\x01\x02\x00"),
		"slow": func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, "N"); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		},
		"reads nothing": func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, "HELP\r\n"); err != nil {
					return
				}
			}
		},
		"STARTTLS and rubbish":     forever("STARTTLS\r\nEHLO x\r\n"),
		"STARTTLS and no TLS":      func(c net.Conn) { _, _ = io.WriteString(c, "STARTTLS\r\n"); time.Sleep(time.Millisecond) },
		"a token that is not ours": forever("EHLO " + strings.Repeat("0", 32) + "." + strings.Repeat("0", 32) + ".dialtone.invalid\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := webEnds(t, a, "smtp", sends); err == nil {
				t.Error("it calls that a conversation")
			}
		})
	}
}

func TestSMTPObeysNothingInClearAfterSTARTTLS(t *testing.T) {
	a, _ := newWebAnswerer(t)
	near, away := webPair(t)
	served := make(chan error, 1)
	go func() { served <- a.Serve(t.Context(), near, "smtp"); near.Close() }()
	_ = away.SetDeadline(time.Now().Add(guardTime))
	_, _ = io.WriteString(away, "STARTTLS\r\nEHLO injected\r\n")
	all, _ := io.ReadAll(away)
	if err := <-served; err == nil || bytes.Contains(all, []byte("250")) || !bytes.Contains(all, []byte("501 5.5.4 Nothing may follow STARTTLS")) {
		t.Errorf("%v: %s", err, all)
	}
}

func TestSMTPAnsweringHoldsLittleOfRandomBytes(t *testing.T) {
	a, _ := newWebAnswerer(t)
	a.Patience = time.Second
	for _, begin := range []string{"", "EHLO ", "STARTTLS\r\n", "MAIL FROM:<a@b>\r\nDATA\r\n"} {
		webRandom(t, a, "smtp", begin, 64<<20)
	}
}

// ---- decoders ----

func FuzzSMTPReplies(f *testing.F) {
	q := Question{Answer: []byte("0123456789abcdef")}
	proof := mailProof(q.Answer, mailReceipt{Greeting: "mail", Verb: "EHLO", Offers: []string{"SIZE 1", "STARTTLS"}, SeenAs: "127.0.0.1:1"})
	f.Add([]byte("220 mail\r\n250-" + proof + "\r\n250 SIZE 1\r\n221 bye\r\n"))
	f.Add([]byte("220 mail\r\n250-" + proof + "\r\n250 STARTTLS\r\n220 go\r\n\x16\x03\x03\x00\x00"))
	f.Add([]byte("220-" + strings.Repeat("*", 50) + "\r\n220 x\r\n500 x\r\n250 XXXXXXXA\r\n"))
	f.Add([]byte("220 x\r\n250-x\r\n" + strings.Repeat("250-XXXXXXXA\r\n", 30) + "250 STARTTLS\r\n454 no\r\n"))
	f.Add([]byte("554 no\r\n"))
	f.Add([]byte("220 (vsFTPd 3.0.3)\n530 x\n530 x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := askSMTP(t.Context(), &webCanned{Reader: bytes.NewReader(b)}, q)
		if len(out.Changed) > maxChanges || len(out.Facts) > 20 {
			t.Errorf("%+v, %v", out, err)
		}
		for _, s := range append(out.Changed, out.Software) {
			if strings.ContainsAny(s, "\r\n\x1b") {
				t.Errorf("%q", s)
			}
		}
	})
}

func FuzzSMTPCommands(f *testing.F) {
	f.Add("EHLO " + mailName(nil, Question{Answer: []byte{1}}))
	f.Add("helo [127.0.0.1]")
	f.Add("STARTTLS now")
	f.Add("MAIL FROM:<\x00>")
	f.Add("HELP \x1b[31m")
	a := &Answerer{Software: "Dialtone", Lines: []string{"grüße"}, Answer: func(b []byte) ([]byte, bool) { return b[:AnswerSize], true }}
	f.Fuzz(func(t *testing.T, line string) {
		s := &mailServer{a: a, greeting: "x"}
		reply, _ := s.obey(line)
		for l := range strings.Lines(reply) {
			if len(l) > 512 || !strings.HasSuffix(l, "\r\n") || strings.ContainsFunc(l[:len(l)-2], func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q: %q", line, l)
			}
		}
	})
}

func FuzzSMTPReceipt(f *testing.F) {
	f.Add(mailReceipt{Greeting: "g", Verb: "HELO", SeenAs: "[::1]:1", Certificate: []byte("c")}.marshal())
	f.Add([]byte("\n\n\n\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := unmarshalMailReceipt(b)
		if !ok {
			return
		}
		if again, ok := unmarshalMailReceipt(r.marshal()); !ok || again.Greeting != r.Greeting || len(again.Offers) != len(r.Offers) || !bytes.Equal(again.Certificate, r.Certificate) {
			t.Errorf("%+v became %+v", r, again)
		}
	})
}
