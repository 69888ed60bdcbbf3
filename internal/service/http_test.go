package service

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/prooftest"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// webKey stands for the key that both of our ends have.
var webKey = []byte("six words of a key")

func webMAC(parts ...[]byte) []byte {
	m := hmac.New(sha256.New, webKey)
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

// webAnswer makes the answer to a token that newWebQuestion made.
func webAnswer(token []byte) ([]byte, bool) {
	if !hmac.Equal(token[16:], webMAC(token[:16])[:16]) {
		return nil, false
	}
	return webMAC([]byte("answer"), token)[:AnswerSize], true
}

// newWebQuestion asks our own listener at host.
func newWebQuestion(t *testing.T, host string) Question {
	t.Helper()
	q := Question{Host: host}
	_, _ = rand.Read(q.Token[:16])
	copy(q.Token[16:], webMAC(q.Token[:16]))
	var ok bool
	if q.Answer, ok = webAnswer(q.Token[:]); !ok {
		t.Fatal("the token is not the key's")
	}
	return q
}

// newWebAnswerer has a fresh certificate, whose fingerprint it gives.
func newWebAnswerer(t *testing.T) (*Answerer, []byte) {
	t.Helper()
	c, print, err := NewCertificate([]string{"localhost"}, []netip.Addr{loop})
	if err != nil {
		t.Fatal(err)
	}
	return &Answerer{
		Software:    "Dialtone",
		Certificate: c,
		Answer:      webAnswer,
		Lines:       []string{"dial --key SIX-WORDS-OF-YOURS 192.0.2.10", "See <README> & the manual page."},
		Patience:    5 * time.Second,
	}, print
}

func webAsk(t *testing.T, to netip.AddrPort, speaks plan.Protocol, q Question) result.Conversation {
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

// webRun runs somebody else's program and gives what it printed.
func webRun(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := webRunErr(t, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return out
}

func webRunErr(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*guardTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, errs.String())
	}
	return out.String(), err
}

func webFact(c result.Conversation, name string) string {
	for _, f := range c.Facts {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// webHas reports whether one sentence contains all of the words.
func webHas(sentences []string, words ...string) bool {
	return slices.ContainsFunc(sentences, func(s string) bool {
		for _, w := range words {
			if !strings.Contains(s, w) {
				return false
			}
		}
		return true
	})
}

func wantIntact(t *testing.T, c result.Conversation) {
	t.Helper()
	if c.Outcome != result.ConversationCompleted || !c.Keyed || len(c.Changed) != 0 {
		t.Errorf("got %+v, want it completed, keyed and unchanged", c)
	}
}

func TestHTTPReachesOurListenerUnchanged(t *testing.T) {
	a, print := newWebAnswerer(t)
	for speaks, host := range map[plan.Protocol]string{"http": "127.0.0.1", "https": "localhost"} {
		at := serve(t, a, speaks)
		q := newWebQuestion(t, host)
		q.Fingerprint = print
		c := webAsk(t, at, speaks, q)
		wantIntact(t, c)
		if c.Software != "Dialtone" || webFact(c, "status") != "200 OK" || webFact(c, "reached") != at.String() || !strings.HasPrefix(webFact(c, "seen as"), "127.0.0.1:") {
			t.Errorf("%s: got %+v", speaks, c)
		}
		if speaks == "https" && (webFact(c, "TLS version") != "TLS 1.3" || webFact(c, "subject") != "CN=Dialtone test listener") {
			t.Errorf("got facts %v", c.Facts)
		}
	}
}

func TestHTTPOverIPv6NamesItsHostRightly(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	a, _ := newWebAnswerer(t)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_ = a.Serve(context.Background(), c, "http")
	}()
	wantIntact(t, webAsk(t, sock.AddrPortOf(l.Addr()), "http", newWebQuestion(t, "::1")))
}

func TestHTTPAnswersAStrangersTokenLikeAnyOtherPath(t *testing.T) {
	a, _ := newWebAnswerer(t)
	q := newWebQuestion(t, "127.0.0.1")
	q.Token[31] ^= 1
	c := webAsk(t, serve(t, a, "http"), "http", q)
	if c.Outcome != result.ConversationCompleted || c.Keyed || !webHas(c.Changed, "does not contain the listener's reply", "404 Not Found", "Dialtone") {
		t.Errorf("got %+v", c)
	}
}

// ---- other programs against our answering side ----

func TestCurlReadsOurPages(t *testing.T) {
	curl := need(t, "curl", "curl")
	a, print := newWebAnswerer(t)
	plain := "http://" + serve(t, a, "http").String()
	secure := "https://" + serve(t, a, "https").String()

	for _, url := range []string{plain, secure} {
		out := webRun(t, curl, "-sSk", "--noproxy", "*", url+"/")
		for _, want := range []string{"Dialtone's test listener", strings.SplitN(url, "//", 2)[1], "127.0.0.1:", "SIX-WORDS-OF-YOURS"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is not in %s", url, want, out)
			}
		}
		if strings.Contains(out, "<html") {
			t.Errorf("curl, which wants no HTML, got %s", out)
		}
	}
	if out := webRun(t, curl, "-sSk", "--noproxy", "*", secure+"/"); !strings.Contains(out, fmt.Sprintf("%x", print)) {
		t.Errorf("the fingerprint is not in %s", out)
	}
	out := webRun(t, curl, "-sS", "--noproxy", "*", plain+"/PATRONAPI/12345678901234/dump")
	for _, want := range []string{"PATRN NAME[pn]=Dialtone, Test<BR>", "P BARCODE[pb]=00000000000000<BR>", "no patron has this record"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
	if strings.Contains(out, "12345678901234") {
		t.Errorf("the barcode that was asked for came back: %s", out)
	}
	out = webRun(t, curl, "-sS", "--noproxy", "*", "-i", "-H", "Accept: text/html", plain+"/nothing/%3Cscript%3Ealert(1)%3C/script%3E?%3Cscript%3E")
	if !strings.HasPrefix(out, "HTTP/1.1 404 ") || !strings.Contains(out, "Dialtone&#39;s test listener") || strings.Contains(out, "alert(1)") || !strings.Contains(out, "&lt;README&gt; &amp; the manual page") {
		t.Errorf("got %s", out)
	}
	out = webRun(t, curl, "-sS", "--noproxy", "*", "-I", plain+"/")
	if !strings.HasPrefix(out, "HTTP/1.1 200 ") || !strings.Contains(out, "Cache-Control: no-store") || !strings.Contains(out, "Content-Length: ") {
		t.Errorf("HEAD: got %s", out)
	}
	out = webRun(t, curl, "-sS", "--noproxy", "*", "-i", "--data-binary", "a body", plain+"/")
	if !strings.HasPrefix(out, "HTTP/1.1 405 ") || !strings.Contains(out, "Allow: GET, HEAD") {
		t.Errorf("POST: got %s", out)
	}
	// 40 pages, of which one connection gives 32.
	args := []string{"-sS", "--noproxy", "*", "-w", "%{num_connects} "}
	for range 40 {
		args = append(args, "-o", os.DevNull, plain+"/")
	}
	if out = webRun(t, curl, args...); strings.Count(out, "0 ") != 38 || strings.Count(out, "1 ") != 2 {
		t.Errorf("connections made for each page: %s", out)
	}
	out = webRun(t, curl, "-sS", "--noproxy", "*", "-0", plain+"/")
	if !strings.Contains(out, "Dialtone's test listener") {
		t.Errorf("HTTP/1.0: got %s", out)
	}
	for _, version := range []string{"1.2", "1.3"} {
		out = webRun(t, curl, "-sSk", "--noproxy", "*", "--tlsv"+version, "--tls-max", version, secure+"/")
		if !strings.Contains(out, "Dialtone's test listener") {
			t.Errorf("TLS %s: got %s", version, out)
		}
	}
	if out, err := webRunErr(t, curl, "-sS", "--noproxy", "*", secure+"/"); err == nil {
		t.Errorf("curl trusted our certificate: %s", out)
	}
}

func TestOpenSSLSeesOurCertificate(t *testing.T) {
	openssl := need(t, "openssl", "openssl")
	a, print := newWebAnswerer(t)
	at := serve(t, a, "https")
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		out := webRun(t, openssl, "s_client", "-connect", at.String(), version, "-servername", "localhost", "-showcerts")
		block, _ := pem.Decode([]byte(out[max(0, strings.Index(out, "-----BEGIN CERTIFICATE")):]))
		if block == nil {
			t.Fatalf("%s: no certificate in %s", version, out)
		}
		if sum := sha256.Sum256(block.Bytes); !bytes.Equal(sum[:], print) {
			t.Errorf("%s: it saw another certificate", version)
		}
		if !strings.Contains(out, "CN = Dialtone test listener") {
			t.Errorf("%s: got %s", version, out)
		}
	}
	if out, err := webRunErr(t, openssl, "s_client", "-connect", at.String(), "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"); err == nil {
		t.Errorf("it accepted TLS 1.1: %s", out)
	}
}

// chromium runs a real browser once.
func chromium(t *testing.T, args ...string) string {
	t.Helper()
	browser := need(t, "chromium", "chromium")
	home := t.TempDir()
	t.Setenv("HOME", home)
	return webRun(t, browser, append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--no-proxy-server", "--user-data-dir=" + filepath.Join(home, "profile"),
	}, args...)...)
}

func TestChromiumShowsOurPage(t *testing.T) {
	a, _ := newWebAnswerer(t)
	for _, speaks := range []plan.Protocol{"http", "https"} {
		at := serve(t, a, speaks)
		dom := chromium(t, "--ignore-certificate-errors", "--dump-dom", string(speaks)+"://"+at.String()+"/")
		for _, want := range []string{"<h1>You reached Dialtone's test listener</h1>", "<code>" + at.Addr().String() + "</code> on port <code>" + fmt.Sprint(at.Port()), "dial --key SIX-WORDS-OF-YOURS", "&lt;README&gt; &amp;"} {
			if !strings.Contains(dom, want) {
				t.Errorf("%s: %q is not in %s", speaks, want, dom)
			}
		}
	}
}

// ---- our asking side against other programs ----

const nginxConf = `daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server { listen %[2]s; %[4]s }
  server { listen %[3]s ssl; ssl_certificate %[1]s/cert.pem; ssl_certificate_key %[1]s/key.pem; ssl_protocols TLSv1.2; %[4]s }
}
`

// startNginx starts nginx with one server block on two ports, plain and TLS.
// Its certificate is for name, made by openssl.
func startNginx(t *testing.T, name, block string) (plain, secure netip.AddrPort) {
	t.Helper()
	nginx, openssl := need(t, "nginx", "nginx-light"), need(t, "openssl", "openssl")
	dir := t.TempDir()
	webRun(t, openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=Example Library/CN="+name, "-addext", "subjectAltName=DNS:"+name,
		"-days", "3", "-keyout", dir+"/key.pem", "-out", dir+"/cert.pem")
	plain, secure = prooftest.FreePort(t, loop), prooftest.FreePort(t, loop)
	if err := os.WriteFile(dir+"/conf", fmt.Appendf(nil, nginxConf, dir, plain, secure, block), 0o600); err != nil {
		t.Fatal(err)
	}
	webStart(t, plain, nginx, "-p", dir, "-c", dir+"/conf", "-e", dir+"/error.log")
	return plain, secure
}

// webStart runs a program until the test ends, and waits for its port.
func webStart(t *testing.T, at netip.AddrPort, program string, args ...string) {
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
	for guard := time.Now().Add(guardTime); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", at.String()); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", program, out.String())
		default:
		}
		if time.Now().After(guard) {
			t.Fatalf("%s never opened %v", program, at)
		}
	}
}

func TestHTTPAgainstNginx(t *testing.T) {
	t.Parallel()
	plain, secure := startNginx(t, "web.example.edu", `location / { return 200 "hello"; }`)
	c := webAsk(t, plain, "http", Question{Host: "127.0.0.1"})
	if c.Outcome != result.ConversationCompleted || c.Keyed || !strings.HasPrefix(c.Software, "nginx/") || webFact(c, "status") != "200 OK" || len(c.Changed) != 0 {
		t.Errorf("got %+v", c)
	}
	c = webAsk(t, secure, "https", Question{Host: "web.example.edu"})
	if c.Outcome != result.ConversationCompleted || !strings.HasPrefix(c.Software, "nginx/") || webFact(c, "TLS version") != "TLS 1.2" || webFact(c, "subject") != "CN=web.example.edu,O=Example Library" || len(c.Changed) != 0 {
		t.Errorf("got %+v", c)
	}
	c = webAsk(t, secure, "https", Question{Host: "web.example.edu", Public: true})
	if c.Outcome != result.ConversationCompleted || !webHas(c.Changed, "not good for web.example.edu", "issued by CN=web.example.edu,O=Example Library", "valid until 20") {
		t.Errorf("a certificate that nobody knows: got %+v", c)
	}
	// An answer in clear where TLS was asked for, and the other way round.
	if c = webAsk(t, plain, "https", Question{Host: "web.example.edu"}); c.Outcome != result.ConversationForeign || !strings.Contains(c.Error, "HTTP without TLS") {
		t.Errorf("got %+v", c)
	}
	if c = webAsk(t, secure, "http", Question{Host: "web.example.edu"}); c.Outcome != result.ConversationCompleted || webFact(c, "status") != "400 Bad Request" {
		t.Errorf("got %+v", c)
	}
	// Our listener was expected and it is other software.
	if c = webAsk(t, plain, "http", newWebQuestion(t, "127.0.0.1")); c.Outcome != result.ConversationCompleted || c.Keyed || !webHas(c.Changed, "does not contain the listener's reply", "nginx/") {
		t.Errorf("got %+v", c)
	}
}

func TestHTTPNamesWhatARealProxyChanges(t *testing.T) {
	a, print := newWebAnswerer(t)
	origin := serve(t, a, "http")
	plain, secure := startNginx(t, "proxy.example.edu", fmt.Sprintf(`location / {
		proxy_pass http://%s; proxy_set_header X-Forwarded-For $remote_addr; proxy_hide_header X-Content-Type-Options; add_header Via "1.1 nginx"; }`, origin))
	c := webAsk(t, plain, "http", newWebQuestion(t, "127.0.0.1"))
	if c.Outcome != result.ConversationCompleted || !c.Keyed {
		t.Fatalf("got %+v", c)
	}
	for _, want := range [][]string{
		{"the request line", "HTTP/1.1", "arrived as", "HTTP/1.0"}, // nginx speaks 1.0 to its upstream
		{"the request gained the header X-Forwarded-For: 127.0.0.1"},
		{"the request's header Host: " + plain.String() + " became " + origin.String()},
		{"the response gained the header Via: 1.1 nginx"},
		{"the response lost the header X-Content-Type-Options: nosniff"},
		{"the response's header Server: Dialtone became nginx/"},
		{"the status line"},
	} {
		if !webHas(c.Changed, want...) {
			t.Errorf("no sentence has %q: %q", want, c.Changed)
		}
	}
	if webHas(c.Changed, "body") {
		t.Errorf("the body did not change: %q", c.Changed)
	}

	q := newWebQuestion(t, "127.0.0.1")
	q.Fingerprint = print
	c = webAsk(t, secure, "https", q)
	if c.Outcome != result.ConversationCompleted || !c.Keyed || !webHas(c.Changed, "TLS was ended on the way", "CN=proxy.example.edu,O=Example Library, issued by CN=proxy.example.edu") {
		t.Errorf("got %+v", c)
	}
	q = newWebQuestion(t, "127.0.0.1") // without the fingerprint the receipt tells
	if c = webAsk(t, secure, "https", q); !webHas(c.Changed, "the listener's certificate is another") {
		t.Errorf("got %+v", c)
	}
}

func TestHTTPNamesWhatTinyproxyChanges(t *testing.T) {
	tinyproxy := need(t, "tinyproxy", "tinyproxy-bin")
	a, _ := newWebAnswerer(t)
	origin := serve(t, a, "http")
	at := prooftest.FreePort(t, loop)
	conf := filepath.Join(t.TempDir(), "conf")
	text := fmt.Sprintf("Port %d\nListen 127.0.0.1\nTimeout 10\nMaxClients 10\nReverseOnly Yes\nReversePath \"/\" \"http://%s/\"\n", at.Port(), origin)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	webStart(t, at, tinyproxy, "-d", "-c", conf)
	c := webAsk(t, at, "http", newWebQuestion(t, "127.0.0.1"))
	if c.Outcome != result.ConversationCompleted || !c.Keyed || !webHas(c.Changed, "the response gained the header Via: 1.1", "tinyproxy") || !webHas(c.Changed, "the request gained the header Via: 1.1") {
		t.Errorf("got %+v", c)
	}
	// Towards a server that is not ours it is known by what it says of itself.
	c = webAsk(t, at, "http", Question{Host: "127.0.0.1"})
	if c.Outcome != result.ConversationCompleted || !webHas(c.Changed, "the response has the header Via: 1.1", "a proxy is on the way") {
		t.Errorf("got %+v", c)
	}
}

// ---- a device of our own making ----

// webTamper relays HTTP to origin and lets change do as it likes with the response.
func webTamper(t *testing.T, origin netip.AddrPort, change func(*http.Response) error) netip.AddrPort {
	t.Helper()
	p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: origin.String()})
	p.ModifyResponse = change
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: p}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return sock.AddrPortOf(l.Addr())
}

// webNewBody puts another body in place.
func webNewBody(r *http.Response, b []byte) {
	r.Body = io.NopCloser(bytes.NewReader(b))
	r.ContentLength = int64(len(b))
	r.Header.Set("Content-Length", fmt.Sprint(len(b)))
}

func TestHTTPNamesATamperedBody(t *testing.T) {
	a, _ := newWebAnswerer(t)
	origin := serve(t, a, "http")
	for name, change := range map[string]func(b []byte) []byte{
		"a script is put in": func(b []byte) []byte {
			return bytes.Replace(b, []byte("</body>"), []byte("<script src=//ads.example></script></body>"), 1)
		},
		"something follows":   func(b []byte) []byte { return append(b, "<!-- toolbar -->"...) },
		"a word is another":   func(b []byte) []byte { return bytes.Replace(b, []byte("stands in"), []byte("sits in"), 1) },
		"the end is cut off":  func(b []byte) []byte { return b[:len(b)/2] },
		"another page stands": func([]byte) []byte { return []byte("<html>Please log in to the campus network</html>") },
	} {
		at := webTamper(t, origin, func(r *http.Response) error {
			b, err := io.ReadAll(r.Body)
			webNewBody(r, change(b))
			return err
		})
		c := webAsk(t, at, "http", newWebQuestion(t, "127.0.0.1"))
		if c.Outcome != result.ConversationCompleted || !c.Keyed || !webHas(c.Changed, "the response's body is not as the listener sent it") {
			t.Errorf("%s: got %+v", name, c)
		}
		if webFact(c, "seen as") != "" {
			t.Errorf("%s: an unproved address was believed", name)
		}
	}
}

func TestHTTPNamesACompressingDevice(t *testing.T) {
	a, _ := newWebAnswerer(t)
	at := webTamper(t, serve(t, a, "http"), func(r *http.Response) error {
		b, err := io.ReadAll(r.Body)
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		_, _ = w.Write(b)
		w.Close()
		webNewBody(r, z.Bytes())
		r.Header.Set("Content-Encoding", "gzip")
		return err
	})
	c := webAsk(t, at, "http", newWebQuestion(t, "127.0.0.1"))
	if !c.Keyed || !webHas(c.Changed, "the response gained the header Content-Encoding: gzip") || webHas(c.Changed, "body") {
		t.Errorf("got %+v", c)
	}
}

func TestHTTPIsNotKeyedByAnAnswerToAnotherToken(t *testing.T) {
	a, _ := newWebAnswerer(t)
	origin := serve(t, a, "http")
	// A cache that ignores the path and no-store alike.
	resp, err := http.Get("http://" + origin.String() + webTokenPath(t))
	if err != nil {
		t.Fatal(err)
	}
	first, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !bytes.Contains(first, []byte("<!-- dialtone ")) {
		t.Fatalf("%v: %s", err, first)
	}
	at := webTamper(t, origin, func(r *http.Response) error {
		r.Header = resp.Header.Clone()
		r.Header.Set("Age", "17")
		webNewBody(r, first)
		return nil
	})
	c := webAsk(t, at, "http", newWebQuestion(t, "127.0.0.1"))
	if c.Outcome != result.ConversationCompleted || c.Keyed || !webHas(c.Changed, "does not contain the listener's reply") || !webHas(c.Changed, "Age: 17") {
		t.Errorf("got %+v", c)
	}
}

func webTokenPath(t *testing.T) string {
	q := newWebQuestion(t, "127.0.0.1")
	return fmt.Sprintf("/dialtone/%x", q.Token)
}

// A device that writes the receipt anew must not go unnoticed.
func TestHTTPDoesNotBelieveAForgedReceipt(t *testing.T) {
	a, _ := newWebAnswerer(t)
	at := webTamper(t, serve(t, a, "http"), func(r *http.Response) error {
		b, err := io.ReadAll(r.Body)
		r.Header.Set("X-Injected", "1")
		webNewBody(r, bytes.Replace(b, []byte(`"X-Content-Type-Options"`), []byte(`"X-Injected":["1"],"X-Content-Type-Options"`), 1))
		return err
	})
	c := webAsk(t, at, "http", newWebQuestion(t, "127.0.0.1"))
	if !c.Keyed || !webHas(c.Changed, "the response's body is not as the listener sent it") {
		t.Errorf("got %+v", c)
	}
}

// ---- hostile far ends ----

// webFar answers one connection with what says.
func webFar(t *testing.T, says func(net.Conn)) netip.AddrPort {
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
		says(c)
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return sock.AddrPortOf(l.Addr())
}

// webReadRequest takes what an HTTP client sends, so that closing is no reset.
func webReadRequest(c net.Conn) {
	_, _ = http.ReadRequest(bufio.NewReader(c))
}

func TestHTTPClassifiesStrangeAnswers(t *testing.T) {
	endless := func(c net.Conn) {
		webReadRequest(c)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for {
			if _, err := io.WriteString(c, "X-Endless: yes\r\n"); err != nil {
				return
			}
		}
	}
	for name, tc := range map[string]struct {
		says func(net.Conn)
		want result.ConversationOutcome
	}{
		"closed":           {func(c net.Conn) { webReadRequest(c) }, result.ConversationClosed},
		"half a header":    {func(c net.Conn) { webReadRequest(c); _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nServer: x\r\n") }, result.ConversationClosed},
		"half a word":      {func(c net.Conn) { webReadRequest(c); _, _ = io.WriteString(c, "HTT") }, result.ConversationClosed},
		"another protocol": {func(c net.Conn) { webReadRequest(c); _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n") }, result.ConversationForeign},
		"rubbish":          {func(c net.Conn) { webReadRequest(c); _, _ = io.WriteString(c, "HTTP/9 banana\r\n\r\n") }, result.ConversationUnread},
		"endless header":   {endless, result.ConversationUnread},
		"interim only": {func(c net.Conn) {
			webReadRequest(c)
			_, _ = io.WriteString(c, strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n", 50))
		}, result.ConversationUnread},
		"interim and final": {func(c net.Conn) {
			webReadRequest(c)
			_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
		}, result.ConversationCompleted},
		"reset": {func(c net.Conn) {
			webReadRequest(c)
			_ = c.(*net.TCPConn).SetLinger(0)
		}, result.ConversationReset},
	} {
		t.Run(name, func(t *testing.T) {
			if c := webAsk(t, webFar(t, tc.says), "http", Question{Host: "127.0.0.1"}); c.Outcome != tc.want {
				t.Errorf("got %+v", c)
			}
		})
	}
	// Silence ends with the context.
	at := webFar(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := Ask(ctx, c, "http", Question{}); got.Outcome != result.ConversationSilent {
		t.Errorf("got %+v", got)
	}
}

// webEnds says that the answering side ends by itself, whatever comes.
func webEnds(t *testing.T, a *Answerer, speaks plan.Protocol, sends func(net.Conn)) error {
	t.Helper()
	near, away := webPair(t)
	served := make(chan error, 1)
	go func() { served <- a.Serve(t.Context(), near, speaks) }()
	go sends(away)
	select {
	case err := <-served:
		return err
	case <-time.After(guardTime):
		t.Fatal("it never ends")
		return nil
	}
}

// webPair is both ends of a connection.
func webPair(t *testing.T) (near, away net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	away, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); away.Close() })
	return near, away
}

func TestHTTPAnsweringEndsWhateverComes(t *testing.T) {
	a, _ := newWebAnswerer(t)
	a.Patience = 300 * time.Millisecond
	forever := func(s string) func(net.Conn) {
		return func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, s); err != nil {
					return
				}
			}
		}
	}
	drip := func(c net.Conn) {
		for {
			if _, err := io.WriteString(c, "G"); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	for _, speaks := range []plan.Protocol{"http", "https"} {
		for name, sends := range map[string]func(net.Conn){
			"nothing":        func(net.Conn) {},
			"endless line":   forever("A"),
			"endless header": func(c net.Conn) { _, _ = io.WriteString(c, "GET / HTTP/1.1\r\n"); forever("X: y\r\n")(c) },
			"slow":           drip,
			"TLS records":    forever("\x16\x03\x01\x40\x00"),
			"zeroes":         forever("\x00\x00\x00\x00"),
		} {
			t.Run(string(speaks)+", "+name, func(t *testing.T) {
				t.Parallel()
				if err := webEnds(t, a, speaks, sends); err == nil {
					t.Error("it calls that a conversation")
				}
			})
		}
	}
	// One that asks for ever is told to go at some point.
	err := webEnds(t, a, "http", func(c net.Conn) {
		go func() { _, _ = io.Copy(io.Discard, c) }()
		forever("GET / HTTP/1.1\r\nHost: x\r\n\r\n")(c)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestHTTPAnsweringStopsWithItsContext(t *testing.T) {
	a, _ := newWebAnswerer(t)
	a.Patience = guardTime
	for _, speaks := range []plan.Protocol{"http", "https"} {
		near, _ := webPair(t)
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- a.Serve(ctx, near, speaks) }()
		cancel()
		select {
		case err := <-served:
			if err == nil {
				t.Errorf("%s: no error", speaks)
			}
		case <-time.After(guardTime / 2):
			t.Errorf("%s: it goes on", speaks)
		}
	}
}

func TestHTTPOversizedHeaderIsRefused(t *testing.T) {
	t.Parallel()
	a, _ := newWebAnswerer(t)
	c, err := net.Dial("tcp", serve(t, a, "http").String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(guardTime))
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX-Large: "+strings.Repeat("x", 2*maxWebHead)+"\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %s", resp.Status)
	}
}

// webRandom sends up to n random bytes to an answering side and reports by
// how much the heap grew meanwhile.
func webRandom(t *testing.T, a *Answerer, speaks plan.Protocol, begin string, n int64) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	_ = webEnds(t, a, speaks, func(c net.Conn) {
		_, _ = io.WriteString(c, begin)
		_, _ = io.Copy(c, io.LimitReader(rand.Reader, n))
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%s: the heap grew by %d bytes", speaks, grown)
	}
	if total := after.TotalAlloc - before.TotalAlloc; total > 16<<20 {
		t.Errorf("%s: %d bytes were allocated for %d bytes of rubbish", speaks, total, n)
	}
}

func TestHTTPAnsweringHoldsLittleOfRandomBytes(t *testing.T) {
	a, _ := newWebAnswerer(t)
	a.Patience = time.Second
	for _, speaks := range []plan.Protocol{"http", "https"} {
		for _, begin := range []string{"", "GET / HTTP/1.1\r\nHost: x\r\nX: ", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n"} {
			webRandom(t, a, speaks, begin, 64<<20)
		}
	}
}

// ---- decoders ----

func FuzzHTTPResponse(f *testing.F) {
	q := Question{Host: "h", Answer: []byte("0123456789abcdef")}
	page := []byte("<p>" + receiptStart + `{"line":"GET / HTTP/1.1","request":{"Host":["h"]},"status":"HTTP/1.1 200 OK","response":{}}` + receiptEnd)
	body := sealPage(page, q.Answer)
	f.Add(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nServer: x\r\n\r\n%s", len(body), body))
	body = sealPage([]byte(receiptStart+`{}`+receiptEnd), q.Answer)
	f.Add(fmt.Appendf(nil, "HTTP/1.1 200\n\r\n%s", body))
	f.Add([]byte("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.0 407 Proxy Authentication Required\r\nVia: 1.1 squid\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := getPage(&webCanned{Reader: bytes.NewReader(b)}, q, nil, false)
		if len(out.Changed) > maxChanges || err == nil && out.Software == "" {
			t.Errorf("%+v, %v", out, err)
		}
		for _, s := range out.Changed {
			if strings.ContainsAny(s, "\r\n\x1b") {
				t.Errorf("%q", s)
			}
		}
	})
}

func FuzzHTTPRequest(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n"))
	f.Add([]byte("GET /PATRONAPI/1/dump HTTP/1.0\r\n\r\n"))
	f.Add(fmt.Appendf(nil, "GET /dialtone/%x HTTP/1.1\r\nHost: x\r\n\r\n", make([]byte, TokenSize)))
	f.Add([]byte("POST /<script> HTTP/1.1\r\nHost: <script>\r\nContent-Length: 5\r\n\r\nabcde"))
	a := &Answerer{Software: "Dialtone", Answer: func(b []byte) ([]byte, bool) { return b[:AnswerSize], true }}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		p := &webPages{a: a}
		h := http.Header{}
		_, body := p.page(h, r)
		if len(body) > maxWebPage && len(b) < maxWebHead/8 || bytes.Contains(body, []byte("<script>")) {
			t.Errorf("%q: %s", b, body)
		}
	})
}

// A webCanned reads what it is given and forgets what it is told.
type webCanned struct {
	io.Reader
	net.Conn
}

func (c *webCanned) Read(b []byte) (int, error)       { return c.Reader.Read(b) }
func (c *webCanned) Write(b []byte) (int, error)      { return len(b), nil }
func (c *webCanned) SetDeadline(time.Time) error      { return nil }
func (c *webCanned) SetReadDeadline(time.Time) error  { return nil }
func (c *webCanned) SetWriteDeadline(time.Time) error { return nil }
func (c *webCanned) Close() error                     { return nil }
func (c *webCanned) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (c *webCanned) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }
