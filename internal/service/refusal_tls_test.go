package service

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// askReal asks real software on a port, with second looks as dial has them.
func askReal(t *testing.T, to netip.AddrPort, speaks, host string) result.Conversation {
	t.Helper()
	return askRealWithin(t, to, speaks, Question{Host: host}, guardTime)
}

func askRealWithin(t *testing.T, to netip.AddrPort, speaks string, q Question, limit time.Duration) result.Conversation {
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

// freePort is one of 127.0.0.1 that was free a moment ago.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return sock.AddrPortOf(l.Addr())
}

// startPeer runs somebody else's server until the test ends, and waits until it
// listens.
func startPeer(t *testing.T, at netip.AddrPort, dir, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = time.Second
	stdin, err := cmd.StdinPipe() // s_server ends with its input
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); stdin.Close(); <-ended })
	for until := time.Now().Add(guardTime); time.Now().Before(until); {
		if c, err := net.Dial("tcp", at.String()); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", program, said.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not listen", program)
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
	at := freePort(t)
	startPeer(t, at, dir, need(t, "openssl", "openssl"), append([]string{"s_server", "-accept", at.String(), "-key", "key.pem", "-cert", "cert.pem", "-www", "-quiet"}, args...)...)
	return at
}

// What real clients accept and Go's library refuses by itself: go.mod says
// otherwise, for as long as that release of Go has the setting.
func TestCertificatesThatRealClientsAccept(t *testing.T) {
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
	dir := opensslFiles(t, "-set_serial", "-0x2a1b3c4d5e6f7081")
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	a, _ := berAnswerer(t)
	a.Certificate = pair
	for _, speaks := range []string{"tds", "rdp", "ldaps", "https", "smtp"} {
		c := askReal(t, serve(t, a, speaks), speaks, "sql.example.edu")
		if c.Outcome != result.ConversationCompleted || !strings.Contains(c.Fact("subject"), "sql.example.edu") {
			t.Errorf("%s: %+v", speaks, c)
		}
	}
}

// An old server is spoken to as an old client does, once it has refused the usual
// hello, and that is said.
func TestOldTLSIsAgreedOnAndSaid(t *testing.T) {
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
	for _, speaks := range []string{"tds", "rdp", "smtp"} {
		t.Run(speaks, func(t *testing.T) {
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
func oldServer(t *testing.T, a *Answerer, speaks string) netip.AddrPort {
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
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(guardTime))
				says(c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return sock.AddrPortOf(l.Addr())
}

// What TLS says no with is an answer, and each has a name of its own.
func TestTLSRefusalHasItsReason(t *testing.T) {
	dir := opensslFiles(t)
	for name, tc := range map[string]struct {
		server []string
		want   result.Reason
		words  string
	}{
		"a certificate of the client, TLS 1.3": {[]string{"-Verify", "1", "-tls1_3"}, result.ReasonCertificate, "certificate required"},
		"a certificate of the client, TLS 1.2": {[]string{"-Verify", "1", "-tls1_2"}, result.ReasonCertificate, "handshake failure"},
		"no such name":                         {[]string{"-servername", "other.example.edu", "-servername_fatal", "-cert2", "cert.pem", "-key2", "key.pem"}, result.ReasonTLSName, "unrecognized name"},
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

// What the library does not have is this program's limit.
func TestWhatTheLibraryLacksIsSaidAsOurLimit(t *testing.T) {
	rsa := opensslFiles(t)
	for name, tc := range map[string]struct {
		dir    string
		server []string
		words  string
	}{
		"DHE only":     {rsa, []string{"-tls1_2", "-cipher", "DHE-RSA-AES256-SHA"}, "TLS 1.2 with DHE keys"},
		"Camellia":     {rsa, []string{"-tls1_2", "-cipher", "CAMELLIA256-SHA:@SECLEVEL=0"}, "the cipher 0x0084"},
		"a DSA key":    {opensslDSA(t), []string{"-tls1_2", "-cipher", "ALL:@SECLEVEL=0"}, "DHE keys"},
		"an Ed448 key": {opensslFiles(t, "-newkey", "ed448"), []string{"-tls1_2"}, "TLS_ECDHE_ECDSA"},
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
