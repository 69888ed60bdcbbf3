package service

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// ftpTestToken is one that ftpTestAnswer takes for made with the key.
func ftpTestToken(n byte) (token [TokenSize]byte) {
	token = sha256.Sum256([]byte{n})
	token[0] = 'K'
	return token
}

func ftpTestAnswer(token []byte) ([]byte, bool) {
	if len(token) != TokenSize || token[0] != 'K' {
		return nil, false
	}
	sum := sha256.Sum256(append([]byte("the test's key"), token...))
	return sum[:AnswerSize], true
}

// ftpTestAnswerer answers as the listener does, from port 20 where this user may.
func ftpTestAnswerer() *Answerer {
	return &Answerer{
		Software: "Dialtone",
		Answer:   ftpTestAnswer,
		Lines:    []string{"The next step is dial."},
		Patience: guardTime,
		ListenData: func(ctx context.Context, on netip.Addr) (net.Listener, error) {
			return sock.ListenTCP(ctx, netip.AddrPortFrom(on, 0), false)
		},
		DialData: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			from := netip.MustParseAddr("127.0.0.1")
			if to.Addr().Is6() {
				from = netip.MustParseAddr("::1")
			}
			d := sock.Dial(ctx, "tcp", netip.AddrPortFrom(from, 20), to)
			if d.Err != nil && sock.IsSourcePort(d.Err) {
				d = sock.Dial(ctx, "tcp", netip.AddrPortFrom(from, 0), to)
			}
			return d.Conn, d.Err
		},
	}
}

// ftpTestAsk asks the server at an address in both modes, as our own listener if
// ours.
func ftpTestAsk(t *testing.T, at netip.AddrPort, n byte, ours bool) result.Conversation {
	t.Helper()
	q := Question{Host: at.Addr().String(), Token: ftpTestToken(n), DataAddr: at.Addr()}
	if ours {
		q.Answer, _ = ftpTestAnswer(q.Token[:])
	}
	return testAsk(t, at, "ftp", q)
}

func testAsk(t *testing.T, at netip.AddrPort, speaks plan.Protocol, q Question) result.Conversation {
	t.Helper()
	conn, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*guardTime)
	defer cancel()
	out := Ask(ctx, conn, speaks, q)
	t.Logf("%+v", out)
	return out
}

// testFact returns a fact's value, "" if there is none of that name.
func testFact(c result.Conversation, name string) string {
	for _, f := range c.Facts {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// wantAdapted is wantChanged for what an FTP helper has to rewrite.
func wantAdapted(t *testing.T, c result.Conversation, words ...string) {
	t.Helper()
	c.Changed = c.Adapted
	wantChanged(t, c, words...)
}

// wantChanged checks that one sentence of Changed holds all the words.
func wantChanged(t *testing.T, c result.Conversation, words ...string) {
	t.Helper()
	for _, s := range c.Changed {
		all := true
		for _, w := range words {
			all = all && strings.Contains(s, w)
		}
		if all {
			return
		}
	}
	t.Errorf("no sentence of Changed holds all of %q: %q", words, c.Changed)
}

func wantFacts(t *testing.T, c result.Conversation, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := testFact(c, name); got != value {
			t.Errorf("fact %q: got %q, want %q", name, got, value)
		}
	}
}

func ftpMayDialFrom20() bool { return os.Geteuid() == 0 }

func TestFTPBetweenOurOwnSidesIsKeyedInEveryMode(t *testing.T) {
	got := ftpTestAsk(t, serve(t, ftpTestAnswerer(), "ftp"), 1, true)
	if got.Outcome != result.ConversationCompleted || !got.Keyed || got.Changed != nil {
		t.Errorf("got %+v", got)
	}
	wantFacts(t, got, map[string]string{
		"passive": "completed", "active": "completed", "PASV": "completed", "EPSV": "completed", "PORT": "completed", "EPRT": "completed", "login": "anonymous",
	})
	if ftpMayDialFrom20() {
		wantFacts(t, got, map[string]string{"source port of active data": "20"})
	}
}

func TestFTPOverIPv6UsesWhatIPv6Has(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip(err)
	}
	serveOn(t, l, ftpTestAnswerer(), "ftp")
	got := ftpTestAsk(t, sock.AddrPortOf(l.Addr()), 1, true)
	if got.Outcome != result.ConversationCompleted || !got.Keyed || got.Changed != nil {
		t.Errorf("got %+v", got)
	}
	wantFacts(t, got, map[string]string{"passive": "completed", "active": "completed", "EPSV": "completed", "EPRT": "completed", "PASV": "", "PORT": ""})
}

func serveOn(t *testing.T, l net.Listener, a *Answerer, speaks plan.Protocol) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = a.Serve(ctx, c, speaks)
			})
		}
	})
	t.Cleanup(func() { cancel(); l.Close(); wg.Wait() })
}

// testServer answers each connection with f until the test ends.
func testServer(t *testing.T, f func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return sock.AddrPortOf(l.Addr())
}

// ---- other people's clients ----

func TestFTPClientsFetchTheProof(t *testing.T) {
	t.Parallel()
	at := serve(t, ftpTestAnswerer(), "ftp")
	port := strconv.Itoa(int(at.Port()))
	url := "ftp://u:p@" + at.String()
	lftp := func(passive string) []string {
		return []string{"lftp", "-u", "u,p", "-e", "set ftp:ssl-allow no; set ftp:passive-mode " + passive + "; ls; cat proof.txt; bye", "ftp://" + at.String()}
	}
	const proof = "You have reached the Dialtone test listener by FTP."
	for name, tc := range map[string]struct {
		pkg   string
		args  []string
		stdin string
		want  string
	}{
		"curl EPSV":            {"curl", []string{"curl", "-sS", url + "/proof.txt"}, "", proof},
		"curl PASV":            {"curl", []string{"curl", "-sS", "--disable-epsv", url + "/proof.txt"}, "", proof},
		"curl EPRT":            {"curl", []string{"curl", "-sS", "-P", "-", url + "/proof.txt"}, "", proof},
		"curl PORT":            {"curl", []string{"curl", "-sS", "--disable-eprt", "-P", "-", url + "/proof.txt"}, "", proof},
		"curl list":            {"curl", []string{"curl", "-sS", url + "/"}, "", "proof.txt"},
		"lftp passive":         {"lftp", lftp("on"), "", proof},
		"lftp active":          {"lftp", lftp("off"), "", proof},
		"tnftp passive":        {"tnftp", []string{"tnftp", "-n", "-p", "127.0.0.1", port}, "user u p\nls\nget proof.txt -\nquit\n", proof},
		"tnftp active":         {"tnftp", []string{"tnftp", "-n", "-A", "127.0.0.1", port}, "user u p\nls\nget proof.txt -\nquit\n", proof},
		"inetutils-ftp active": {"inetutils-ftp", []string{"inetutils-ftp", "-n", "127.0.0.1", port}, "user u p\ndir\nget proof.txt -\nquit\n", proof},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), guardTime)
			defer cancel()
			cmd := exec.CommandContext(ctx, need(t, tc.args[0], tc.pkg), tc.args[1:]...)
			cmd.Dir = t.TempDir()
			cmd.Env = append(os.Environ(), "HOME="+cmd.Dir)
			cmd.Stdin = strings.NewReader(tc.stdin)
			out, err := cmd.CombinedOutput()
			t.Logf("%s", out)
			if err != nil || !strings.Contains(string(out), tc.want) {
				t.Errorf("%v; %q is missing", err, tc.want)
			}
		})
	}
}

// ---- other people's servers ----

// ftpStart runs a server until the test ends, and waits until its port answers.
func ftpStart(t *testing.T, port int, program string, args ...string) netip.AddrPort {
	t.Helper()
	cmd := exec.Command(program, args...)
	// A file, since sessions that outlive the server would keep a pipe open.
	out, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if b, _ := os.ReadFile(out.Name()); t.Failed() {
			t.Logf("%s: %s", program, b)
		}
	})
	at := netip.AddrPortFrom(loop, uint16(port))
	for end := time.Now().Add(guardTime); ; {
		c, err := net.Dial("tcp", at.String())
		if err == nil {
			c.Close()
			return at
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not answer: %v", program, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func ftpStartVsftpd(t *testing.T, more string) netip.AddrPort {
	program := need(t, "vsftpd", "vsftpd")
	if !ftpMayDialFrom20() {
		t.Skip("vsftpd needs root")
	}
	// Anonymous users get a folder of root's that is open to all.
	dir, err := os.MkdirTemp("", "dialtone-vsftpd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	files := filepath.Join(dir, "files")
	empty := filepath.Join(dir, "empty")
	for _, d := range []string{files, empty} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(files, "update.exe"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	port := int(prooftest.FreePort(t, loop).Port())
	conf := filepath.Join(dir, "vsftpd.conf")
	text := fmt.Sprintf(`listen=YES
listen_address=127.0.0.1
listen_port=%d
background=NO
connect_from_port_20=YES
anonymous_enable=YES
anon_root=%s
secure_chroot_dir=%s
seccomp_sandbox=NO
%s`, port, files, empty, more)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return ftpStart(t, port, program, conf)
}

func TestFTPAsksVsftpdInEveryMode(t *testing.T) {
	got := ftpTestAsk(t, ftpStartVsftpd(t, ""), 1, false)
	if got.Outcome != result.ConversationCompleted || got.Keyed || got.Changed != nil || !strings.HasPrefix(got.Software, "vsFTPd ") {
		t.Errorf("got %+v", got)
	}
	wantFacts(t, got, map[string]string{
		"passive": "completed", "active": "completed", "PASV": "completed", "EPSV": "completed", "PORT": "completed", "EPRT": "completed",
		"login": "anonymous", "system": "UNIX Type: L8", "source port of active data": "20",
	})
}

func TestFTPRefusedLoginIsComplete(t *testing.T) {
	t.Parallel()
	got := ftpTestAsk(t, ftpStartVsftpd(t, "anonymous_enable=NO\nlocal_enable=YES\n"), 1, false)
	if got.Outcome != result.ConversationCompleted || got.Changed != nil || !strings.Contains(testFact(got, "login"), "530") {
		t.Errorf("got %+v", got)
	}
}

func TestFTPServerThatOffersOneModeOnly(t *testing.T) {
	got := ftpTestAsk(t, ftpStartVsftpd(t, "pasv_enable=NO\n"), 1, false)
	if got.Outcome != result.ConversationCompleted || testFact(got, "active") != "completed" || !strings.Contains(testFact(got, "passive"), "refused by the server: 550") {
		t.Errorf("got %+v", got)
	}
	got = ftpTestAsk(t, ftpStartVsftpd(t, "port_enable=NO\n"), 1, false)
	if got.Outcome != result.ConversationCompleted || testFact(got, "passive") != "completed" || !strings.Contains(testFact(got, "active"), "refused by the server: 550") {
		t.Errorf("got %+v", got)
	}
}

func TestFTPAnotherServerInOurPlaceIsNotOurs(t *testing.T) {
	got := ftpTestAsk(t, ftpStartVsftpd(t, ""), 1, true)
	if got.Outcome != result.ConversationCompleted || got.Keyed {
		t.Errorf("got %+v", got)
	}
	wantChanged(t, got, "does not answer as our own listener does")
}

func TestFTPAsksPyftpdlib(t *testing.T) {
	t.Parallel()
	python := "/usr/bin/python3" // Debian's, whatever else is installed
	if err := exec.Command(python, "-c", "import pyftpdlib").Run(); err != nil {
		if os.Getenv("DIALTONE_PEERS") != "" {
			t.Fatal("apt-get install python3-pyftpdlib")
		}
		t.Skip("apt-get install python3-pyftpdlib")
	}
	port := int(prooftest.FreePort(t, loop).Port())
	at := ftpStart(t, port, python, "-m", "pyftpdlib", "-i", "127.0.0.1", "-p", strconv.Itoa(port), "-d", t.TempDir())
	got := ftpTestAsk(t, at, 1, false)
	if got.Outcome != result.ConversationCompleted || got.Changed != nil || !strings.Contains(got.Software, "pyftpdlib") {
		t.Errorf("got %+v", got)
	}
	wantFacts(t, got, map[string]string{"passive": "completed", "active": "completed", "PASV": "completed", "EPSV": "completed", "PORT": "completed", "EPRT": "completed"})
}

// ---- devices in the middle ----

// ftpMiddle relays control connections to a server, and rewrites each line that
// goes up to it and each that comes down.
func ftpMiddle(t *testing.T, server netip.AddrPort, up, down func(line string) string) netip.AddrPort {
	t.Helper()
	return testServer(t, func(c net.Conn) {
		s, err := net.Dial("tcp", server.String())
		if err != nil {
			return
		}
		defer s.Close()
		relay := func(to, from net.Conn, f func(string) string) {
			r := bufio.NewReader(from)
			for {
				l, err := r.ReadString('\n')
				if err != nil {
					break
				}
				if f != nil {
					l = f(strings.TrimRight(l, "\r\n")) + "\r\n"
				}
				if _, err := io.WriteString(to, l); err != nil {
					break
				}
			}
			to.Close()
			from.Close()
		}
		done := make(chan struct{})
		go func() { defer close(done); relay(s, c, up) }()
		relay(c, s, down)
		<-done
	})
}

// ftpDataMiddle stands in for a passive data connection: what f makes of the
// file arrives. It returns its own port.
func ftpDataMiddle(t *testing.T, to netip.AddrPort, f func([]byte) []byte) uint16 {
	t.Helper()
	return testServer(t, func(c net.Conn) {
		s, err := net.Dial("tcp", to.String())
		if err != nil {
			return
		}
		defer s.Close()
		b, _ := io.ReadAll(s)
		_, _ = c.Write(f(b))
	}).Port()
}

// ftpThroughDataMiddle rewrites PASV's reply so that the data passes f, and
// refuses EPSV as firewalls do that know only PASV.
func ftpThroughDataMiddle(t *testing.T, server netip.AddrPort, f func([]byte) []byte) netip.AddrPort {
	return ftpMiddle(t, server, func(l string) string {
		if strings.HasPrefix(l, "EPSV") || strings.HasPrefix(l, "EPRT") || strings.HasPrefix(l, "PORT") {
			return "XXXX"
		}
		return l
	}, func(l string) string {
		var b [6]int
		if n, _ := fmt.Sscanf(l, "227 Entering Passive Mode (%d,%d,%d,%d,%d,%d)", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]); n != 6 {
			return l
		}
		port := ftpDataMiddle(t, netip.AddrPortFrom(loop, uint16(b[4]<<8|b[5])), f)
		return fmt.Sprintf("227 Entering Passive Mode (127,0,0,1,%d,%d).", port>>8, port&255)
	})
}

func TestFTPHelperThatRewritesAnAddressIsNamed(t *testing.T) {
	server := serve(t, ftpTestAnswerer(), "ftp")
	at := ftpMiddle(t, server, nil, func(l string) string {
		return strings.Replace(l, "227 Entering Passive Mode (127,0,0,1,", "227 Entering Passive Mode (203,0,113,7,", 1)
	})
	got := ftpTestAsk(t, at, 1, true)
	if got.Outcome != result.ConversationCompleted || !got.Keyed {
		t.Errorf("got %+v", got)
	}
	wantAdapted(t, got, "The reply to PASV was sent as", "(127,0,0,1,", "arrived as", "(203,0,113,7,")
	wantAdapted(t, got, "names 203.0.113.7, but the server was reached at 127.0.0.1")
	wantFacts(t, got, map[string]string{"passive": "completed", "active": "completed"})
}

func TestFTPHelperThatRewritesPORTIsNamedThoughTheDataConnectionIsLost(t *testing.T) {
	server := serve(t, ftpTestAnswerer(), "ftp")
	closed := int(prooftest.FreePort(t, loop).Port())
	sent := make(chan string, 1)
	at := ftpMiddle(t, server, func(l string) string {
		if strings.HasPrefix(l, "PORT ") {
			sent <- l
			return fmt.Sprintf("PORT 127,0,0,1,%d,%d", closed>>8, closed&255)
		}
		if strings.HasPrefix(l, "EPRT ") {
			return "EPRT |1|203.0.113.9|4000|"
		}
		return l
	}, nil)
	got := ftpTestAsk(t, at, 1, true)
	if got.Outcome != result.ConversationCompleted || !got.Keyed || !strings.HasPrefix(testFact(got, "PORT"), "the data connection did not come back; the server says \"425 ") {
		t.Errorf("got %+v", got)
	}
	wantAdapted(t, got, "PORT was sent as", strings.TrimPrefix(<-sent, "PORT "), "arrived as", fmt.Sprintf("127,0,0,1,%d,%d", closed>>8, closed&255))
	wantAdapted(t, got, "EPRT was sent as", "arrived as \"|1|203.0.113.9|4000|\"")
	wantFacts(t, got, map[string]string{"passive": "completed", "control connection": "reaches our own listener"})
	if !strings.HasPrefix(testFact(got, "EPRT"), "refused by the server: 504 ") {
		t.Errorf("EPRT to another address: %q", testFact(got, "EPRT"))
	}
}

func TestFTPRewrittenGreetingIsNamed(t *testing.T) {
	server := serve(t, ftpTestAnswerer(), "ftp")
	at := ftpMiddle(t, server, nil, func(l string) string {
		if strings.HasPrefix(l, "220 ") {
			return "220 ********************"
		}
		return l
	})
	got := ftpTestAsk(t, at, 1, true)
	if !got.Keyed || got.Software != "********************" {
		t.Errorf("got %+v", got)
	}
	wantChanged(t, got, "The greeting was sent as", "Dialtone test listener", "arrived as", "220 ****")
}

func TestFTPDataThatAProxyCarriesIsKeyedButNamed(t *testing.T) {
	at := ftpThroughDataMiddle(t, serve(t, ftpTestAnswerer(), "ftp"), func(b []byte) []byte { return b })
	got := ftpTestAsk(t, at, 1, true)
	if !got.Keyed || testFact(got, "PASV") != "completed" {
		t.Errorf("got %+v", got)
	}
	wantAdapted(t, got, "The reply to PASV was sent as")
	if !strings.HasPrefix(testFact(got, "EPSV"), "refused by the server: 500") {
		t.Errorf("got %+v", got)
	}
	wantChanged(t, got, "EPSV did not arrive at the listener")
	wantChanged(t, got, "PORT did not arrive at the listener")
}

func TestFTPChangedDataIsNamed(t *testing.T) {
	type change struct {
		at  int
		was byte
	}
	changed := make(chan change, 1)
	mid := ftpThroughDataMiddle(t, serve(t, ftpTestAnswerer(), "ftp"), func(b []byte) []byte {
		at := len(b) - 100
		changed <- change{at, b[at]}
		b[at] ^= 1
		return b
	})
	got := ftpTestAsk(t, mid, 1, true)
	if got.Outcome != result.ConversationCompleted || !got.Keyed || testFact(got, "PASV") != "the file arrived changed" {
		t.Errorf("got %+v", got)
	}
	c := <-changed
	wantChanged(t, got, fmt.Sprintf("differs at byte %d: sent %02x", c.at, c.was), fmt.Sprintf("arrived %02x", c.was^1))
}

func TestFTPChangedRecordIsNoProof(t *testing.T) {
	mid := ftpThroughDataMiddle(t, serve(t, ftpTestAnswerer(), "ftp"), func(b []byte) []byte {
		return bytes.Replace(b, []byte("greeting"), []byte("Greeting"), 1)
	})
	got := ftpTestAsk(t, mid, 1, true)
	if got.Outcome != result.ConversationCompleted || got.Keyed {
		t.Errorf("got %+v", got)
	}
	wantChanged(t, got, "does not hold our own listener's proof")
	wantFacts(t, got, map[string]string{"control connection": "reaches our own listener"})
}

func TestFTPDataCutInTheMiddleIsNamed(t *testing.T) {
	mid := ftpThroughDataMiddle(t, serve(t, ftpTestAnswerer(), "ftp"), func(b []byte) []byte { return b[:len(b)/2] })
	got := ftpTestAsk(t, mid, 1, true)
	if got.Outcome != result.ConversationCompleted || !got.Keyed || !strings.HasPrefix(testFact(got, "passive"), "the file ended after ") {
		t.Errorf("got %+v", got)
	}
	wantChanged(t, got, "ended after")
}

func TestFTPReplayedTransferIsNoProof(t *testing.T) {
	server := serve(t, ftpTestAnswerer(), "ftp")
	recorded := make(chan []byte, 1)
	got := ftpTestAsk(t, ftpThroughDataMiddle(t, server, func(b []byte) []byte {
		recorded <- bytes.Clone(b)
		return b
	}), 1, true)
	if !got.Keyed {
		t.Fatalf("got %+v", got)
	}
	old := <-recorded
	got = ftpTestAsk(t, ftpThroughDataMiddle(t, server, func([]byte) []byte { return old }), 2, true)
	if got.Keyed {
		t.Errorf("got %+v", got)
	}
	wantChanged(t, got, "does not hold our own listener's proof")
}

func TestFTPControlCutBeforeLoginIsClosed(t *testing.T) {
	cut := testServer(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "220 hello\r\n")
		b := make([]byte, 100)
		_, _ = c.Read(b)
	})
	got := ftpTestAsk(t, cut, 1, true)
	if got.Outcome != result.ConversationClosed || got.Keyed || got.Software != "hello" {
		t.Errorf("got %+v", got)
	}
}

func TestFTPOtherBytesAreForeign(t *testing.T) {
	for name, b := range map[string]string{
		"SSH":        "SSH-2.0-OpenSSH_9.2p1\r\n",
		"HTTP":       "HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n",
		"long line":  "220 " + strings.Repeat("x", 1<<20) + "\r\n",
		"long reply": "220-hello\r\n" + strings.Repeat("220-x\r\n", 1<<16) + "220 \r\n",
		"zeros":      strings.Repeat("\x00", 1<<16),
		"lines":      strings.Repeat("\r\n", 1<<12),
	} {
		t.Run(name, func(t *testing.T) {
			at := testServer(t, func(c net.Conn) {
				_, _ = io.WriteString(c, b)
				_, _ = io.Copy(io.Discard, c)
			})
			if got := ftpTestAsk(t, at, 1, true); got.Outcome != result.ConversationForeign && got.Outcome != result.ConversationUnread && got.Outcome != result.ConversationReset || got.Keyed {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestFTPSilenceIsSilent(t *testing.T) {
	at := testServer(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	conn, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got := Ask(ctx, conn, "ftp", Question{}); got.Outcome != result.ConversationSilent {
		t.Errorf("got %+v", got)
	}
}

// ---- the answering side and those who mean harm ----

// ftpTestSession logs in by hand.
type ftpTestSession struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func ftpTestLogin(t *testing.T, at netip.AddrPort) *ftpTestSession {
	t.Helper()
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(guardTime))
	s := &ftpTestSession{t, c, bufio.NewReader(c)}
	s.read("220")
	s.say("USER x", "331")
	s.say("PASS secret", "230")
	return s
}

func (s *ftpTestSession) read(code string) string {
	s.t.Helper()
	var all string
	for {
		l, err := s.r.ReadString('\n')
		if err != nil {
			s.t.Fatalf("%q: %v", all, err)
		}
		all += l
		if len(l) > 3 && l[3] == ' ' && l[0] >= '0' && l[0] <= '9' {
			if !strings.HasPrefix(l, code) {
				s.t.Errorf("got %q, want %s", all, code)
			}
			return all
		}
	}
}

func (s *ftpTestSession) say(command, code string) string {
	s.t.Helper()
	if _, err := io.WriteString(s, command+"\r\n"); err != nil {
		s.t.Fatal(err)
	}
	got := s.read(code)
	if s.t.Failed() {
		s.t.Logf("that was the reply to %q", command)
	}
	return got
}

func TestFTPBounceIsRefused(t *testing.T) {
	a := ftpTestAnswerer()
	a.DialData = func(_ context.Context, to netip.AddrPort) (net.Conn, error) {
		t.Errorf("a data connection to %s was attempted", to)
		return nil, errors.New("no")
	}
	s := ftpTestLogin(t, serve(t, a, "ftp"))
	for command, code := range map[string]string{
		"PORT 127,0,0,2,100,0":            "504",
		"PORT 192,0,2,1,100,0":            "504",
		"PORT 127,0,0,1,0,25":             "504",
		"PORT 127,0,0,1,3,255":            "504",
		"PORT 127,0,0,1,0,0":              "504",
		"PORT 127,0,0,1,256,0":            "501",
		"PORT 127,0,0,1,1":                "501",
		"PORT":                            "501",
		"EPRT |1|192.0.2.1|4000|":         "504",
		"EPRT |1|127.0.0.1|25|":           "504",
		"EPRT |2|::1|4000|":               "504",
		"EPRT |2|::ffff:127.0.0.1|4000|":  "504",
		"EPRT |3|127.0.0.1|4000|":         "522",
		"EPRT |1|localhost|4000|":         "501",
		"EPRT |1|127.0.0.1|65536|":        "501",
		"EPRT |1|127.0.0.1|4000|\x00more": "501",
	} {
		s.say(command, code)
		s.say("RETR proof.txt", "425")
	}
}

func TestFTPStrangerGetsNoPassiveData(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems have one loopback address")
	}
	s := ftpTestLogin(t, serve(t, ftpTestAnswerer(), "ftp"))
	at, err := parseFTP227(strings.TrimSpace(s.say("PASV", "227")))
	if err != nil {
		t.Fatal(err)
	}
	thief, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial("tcp4", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	mine, err := net.Dial("tcp4", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	s.say("RETR proof.txt", "150")
	if b, _ := io.ReadAll(thief); len(b) > 0 {
		t.Errorf("the stranger got %q", b)
	}
	if b, err := io.ReadAll(mine); !strings.Contains(string(b), "You have reached") {
		t.Errorf("got %q, %v", b, err)
	}
	s.read("226")
	if c, err := net.Dial("tcp4", at.String()); err == nil {
		c.Close()
		t.Error("the port for one data connection is still open")
	}
}

func TestFTPAnswersEachCommand(t *testing.T) {
	s := ftpTestLogin(t, serve(t, ftpTestAnswerer(), "ftp"))
	var size string
	for _, c := range []struct{ command, code string }{
		{"pwd", "257"}, {"CWD /", "250"}, {"CWD ..", "250"}, {"CDUP", "250"}, {"CWD /etc", "550"}, {"TYPE I", "200"}, {"TYPE A", "200"}, {"TYPE E", "504"},
		{"MODE S", "200"}, {"MODE B", "504"}, {"STRU F", "200"}, {"STRU R", "504"}, {"SYST", "215"}, {"FEAT", "211"}, {"NOOP", "200"}, {"HELP", "214"},
		{"OPTS UTF8 ON", "200"}, {"OPTS MLST x", "501"}, {"AUTH TLS", "502"}, {"SIZE proof.txt", "213"}, {"SIZE /etc/passwd", "550"}, {"STAT", "211"},
		{"STAT /", "213"}, {"STAT /etc", "450"}, {"STOR x", "550"}, {"DELE proof.txt", "550"}, {"MKD x", "550"}, {"RMD x", "550"}, {"RNFR proof.txt", "550"},
		{"SITE CHMOD 777 x", "550"}, {"RETR ../../etc/passwd", "550"}, {"RETR /dialtone/" + strings.Repeat("00", TokenSize), "550"},
		{"STAT /dialtone/" + strings.Repeat("00", TokenSize), "450"}, {"RETR proof.txt", "425"}, {"LIST", "425"}, {"NLST", "425"}, {"ABOR", "226"},
		{"\xff\xf4\xff\xf2ABOR", "226"}, {"EPSV 2", "522"}, {"EPSV 1", "229"}, {"EPSV ALL", "200"}, {"PASV", "503"}, {"PORT 127,0,0,1,100,1", "503"},
		{"EPSV", "229"}, {"BLAH", "500"}, {"", "500"}, {"USER again", "331"}, {"RETR proof.txt", "530"}, {"PASS x", "230"}, {"QUIT", "221"},
	} {
		if got := s.say(c.command, c.code); strings.HasPrefix(c.command, "SIZE proof") {
			size = strings.TrimSpace(got[4:])
		}
	}
	if _, err := s.r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after QUIT: %v", err)
	}
	s = ftpTestLogin(t, serve(t, ftpTestAnswerer(), "ftp"))
	at, _ := parseFTP227(strings.TrimSpace(s.say("PASV", "227")))
	data, err := net.Dial("tcp4", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	s.say("RETR proof.txt", "150")
	b, _ := io.ReadAll(data)
	if strconv.Itoa(len(b)) != size {
		t.Errorf("SIZE said %s, %d bytes came", size, len(b))
	}
	for _, want := range []string{"The next step is dial.", s.LocalAddr().String(), data.LocalAddr().String()} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%q is missing in %q", want, b)
		}
	}
}

func TestFTPNeedsLogin(t *testing.T) {
	at := serve(t, ftpTestAnswerer(), "ftp")
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(guardTime))
	s := &ftpTestSession{t, c, bufio.NewReader(c)}
	s.read("220")
	s.say("PASS x", "503")
	for _, command := range []string{"PASV", "EPSV", "PORT 127,0,0,1,100,1", "LIST", "STAT", "STOR x"} {
		s.say(command, "530")
	}
}

func TestFTPWithoutDataFunctionsRefusesTheModes(t *testing.T) {
	a := ftpTestAnswerer()
	a.ListenData, a.DialData = nil, nil
	got := ftpTestAsk(t, serve(t, a, "ftp"), 1, true)
	if got.Outcome != result.ConversationCompleted || got.Keyed || got.Changed != nil {
		t.Errorf("got %+v", got)
	}
	wantFacts(t, got, map[string]string{
		"passive": "refused by the server: 502 There is no passive mode here.", "active": "refused by the server: 502 There is no active mode here.",
		"control connection": "reaches our own listener",
	})
}

func TestFTPAnsweringSideEndsWithinBounds(t *testing.T) {
	for name, tc := range map[string]struct {
		patience time.Duration
		send     func(c net.Conn)
	}{
		"silence":       {50 * time.Millisecond, func(net.Conn) {}},
		"half a line":   {50 * time.Millisecond, func(c net.Conn) { _, _ = io.WriteString(c, "USER") }},
		"endless line":  {guardTime, func(c net.Conn) { testPour(c, []byte(strings.Repeat("A", 4096))) }},
		"endless lines": {guardTime, func(c net.Conn) { testPour(c, []byte("NOOP\r\n")) }},
		"random bytes":  {50 * time.Millisecond, func(c net.Conn) { _, _ = c.Write(testNoise(64 << 10)) }},
		"a PORT that nobody answers, a transfer that nobody takes": {100 * time.Millisecond, func(c net.Conn) {
			_, _ = io.WriteString(c, "USER x\r\nPASS x\r\nPASV\r\nRETR proof.txt\r\n")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := ftpTestAnswerer()
			a.Patience = tc.patience
			testEnds(t, a, "ftp", tc.send)
		})
	}
}

// testPour writes until the far end has had enough.
func testPour(c net.Conn, b []byte) {
	for {
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

func testNoise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// testEnds checks that the answering side ends on its own, and with little memory,
// when somebody sends whatever and does not close.
func testEnds(t *testing.T, a *Answerer, speaks plan.Protocol, send func(net.Conn)) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, c) }()
	go send(c)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	done := make(chan error, 1)
	go func() {
		done <- a.Serve(context.Background(), s, speaks)
		s.Close()
	}()
	select {
	case err := <-done:
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
			t.Errorf("it took %d bytes of memory", n)
		}
		t.Log(err)
	case <-time.After(guardTime):
		t.Error("it does not end")
	}
}

func TestFTPAnsweringSideEndsWithItsContext(t *testing.T) {
	s := ftpTestLogin(t, serve(t, ftpTestAnswerer(), "ftp"))
	s.say("PASV", "227")
	if _, err := io.WriteString(s, "RETR proof.txt\r\n"); err != nil { // and nobody connects
		t.Fatal(err)
	}
	// serve's clean-up ends the context and waits for the session.
}

// ---- decoders ----

func TestFTPAddressesAreRead(t *testing.T) {
	for line, want := range map[string]string{
		"227 Entering Passive Mode (192,0,2,7,19,137).": "192.0.2.7:5001",
		"227 Entering Passive Mode 192,0,2,7,19,137":    "192.0.2.7:5001",
		"227 =192,0,2,7,0,21":                           "192.0.2.7:21",
	} {
		if got, err := parseFTP227(line); err != nil || got.String() != want {
			t.Errorf("%q: got %v, %v", line, got, err)
		}
	}
	for _, line := range []string{"227", "227 ok", "227 (192,0,2,7,19)", "227 (192,0,2,256,19,137)", ""} {
		if got, err := parseFTP227(line); err == nil {
			t.Errorf("%q: got %v", line, got)
		}
	}
	if got, err := parseFTP229("229 Entering Extended Passive Mode (|||6446|)"); err != nil || got != 6446 { // RFC 2428 section 3
		t.Errorf("got %v, %v", got, err)
	}
	for _, line := range []string{"229 (|||0|)", "229 (|||65536|)", "229 (||!6446|)", "229 |||6446|", "229"} {
		if got, err := parseFTP229(line); err == nil {
			t.Errorf("%q: got %v", line, got)
		}
	}
	// The examples of RFC 2428 section 2.
	for s, want := range map[string]string{"|1|132.235.1.2|6275|": "132.235.1.2:6275", "|2|1080::8:800:200C:417A|5282|": "[1080::8:800:200c:417a]:5282"} {
		if got, err := parseFTPExtended(s); err != nil || got.String() != want {
			t.Errorf("%q: got %v, %v", s, got, err)
		}
	}
	// RFC 959 section 4.1.2: h1,h2,h3,h4,p1,p2.
	if got := ftpHostPort(netip.MustParseAddrPort("132.235.1.2:6275")); got != "132,235,1,2,24,131" {
		t.Errorf("got %q", got)
	}
	if got := ftpExtended(netip.MustParseAddrPort("[1080::8:800:200c:417a]:5282")); got != "|2|1080::8:800:200c:417a|5282|" {
		t.Errorf("got %q", got)
	}
}

func FuzzFTPReply(f *testing.F) {
	for _, s := range []string{"220 (vsFTPd 3.0.3)\r\n", "211-Features:\r\n EPSV\r\n211 End\r\n", "220", "220-\r\n220-\r\n", "\xff\xf4\xff\xfb\x01x\r\n", "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := newFTPReader(bytes.NewReader(b)).reply()
		if err == nil && (r.code < 100 || r.code > 559 || len(r.lines) == 0 || len(r.lines) > ftpMaxLines || r.String() == "") {
			t.Errorf("got %+v", r)
		}
	})
}

func FuzzFTPAddresses(f *testing.F) {
	for _, s := range []string{"192,0,2,7,19,137", "227 Entering Passive Mode (192,0,2,7,19,137).", "|1|132.235.1.2|6275|", "|2|1080::8:800:200C:417A|5282|", "229 x (|||6446|)", "|2|fe80::1%eth0|1|", "1111111"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if at, err := parseFTPHostPort(s); err == nil && !at.Addr().Is4() {
			t.Errorf("%q: %v", s, at)
		}
		if at, err := parseFTPExtended(s); err == nil && (!at.IsValid() || at.Addr().Zone() != "") {
			t.Errorf("%q: %v", s, at)
		}
		if at, err := parseFTP227(s); err == nil && !at.Addr().Is4() {
			t.Errorf("%q: %v", s, at)
		}
		if port, err := parseFTP229(s); err == nil && port == 0 {
			t.Errorf("%q: %v", s, port)
		}
	})
}

func FuzzFTPRecord(f *testing.F) {
	token := ftpTestToken(1)
	answer, _ := ftpTestAnswer(token[:])
	good := ftpRecord{ftpGreeting: "220 hello", "PORT": "1,2,3,4,5,6\x00\xff\"", ftpData: "127.0.0.1:20 127.0.0.1:4000"}.sealed(answer)
	f.Add(good)
	f.Add([]byte(ftpRecordTitle + "\r\n"))
	f.Add(good[:len(good)-3])
	f.Fuzz(func(t *testing.T, b []byte) {
		if rec, _ := parseFTPRecord(b, answer); rec != nil && !bytes.HasPrefix(b, good) {
			t.Errorf("%q has no seal of ours", b)
		}
	})
}

func FuzzFTPAnswer(f *testing.F) {
	f.Add([]byte("USER x\r\nPASS y\r\nPASV\r\nSTAT\r\nLIST -la\r\nQUIT\r\n"))
	f.Add([]byte("USER x\r\nPASS y\r\nEPRT |1|127.0.0.1|4000|\r\nRETR x\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a := ftpTestAnswerer()
		a.DialData, a.ListenData = nil, nil
		testAnswersBytes(t, a, "ftp", b)
	})
}

// saying is a connection to whoever reads all, says b and ends it.
func saying(b []byte) net.Conn {
	c, s := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, c) }()
	go func() {
		_, _ = c.Write(b)
		c.Close()
	}()
	return s
}

// testAnswersBytes lets the answering side read b and then the end.
func testAnswersBytes(t *testing.T, a *Answerer, speaks plan.Protocol, b []byte) {
	s := saying(b)
	ctx, cancel := context.WithTimeout(t.Context(), guardTime)
	defer cancel()
	_ = a.Serve(ctx, s, speaks)
	s.Close()
	if ctx.Err() != nil {
		t.Errorf("%q keeps it busy", b)
	}
}
