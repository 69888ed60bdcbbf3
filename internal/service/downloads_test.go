package service

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"dialtone/internal/plan"
)

// offering serves HTTP with files, as a listener does.
func offering(t *testing.T, patience time.Duration, files ...Download) (addr string, d *Downloads) {
	t.Helper()
	d, err := NewDownloads(files)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				a := Answerer{Software: "Dialtone", Patience: patience, Downloads: d}
				_ = a.Serve(ctx, c, plan.HTTP)
			}()
		}
	}()
	return l.Addr().String(), d
}

func file(name string, content []byte) Download {
	return Download{name, int64(len(content)), fingerprintOf(content), bytes.NewReader(content)}
}

// asked sends a request as it stands, and reads the answer.
func asked(t *testing.T, addr, request string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	return resp, string(b)
}

const secret = "what nobody offers"

func TestStrangersGetTheFilesOfTheListAndNoMore(t *testing.T) {
	program := bytes.Repeat([]byte("MZ program\n"), 30_000)
	addr, _ := offering(t, 0, file("dial.exe", program), file("SHA256SUMS", []byte("sums\n")))
	get := func(path string) (*http.Response, string) {
		return asked(t, addr, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	resp, body := get("/downloads/dial.exe")
	if resp.StatusCode != 200 || body != string(program) || resp.Header.Get("Content-Disposition") != `attachment; filename="dial.exe"` ||
		resp.Header.Get("Content-Type") != "application/octet-stream" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v, %d bytes", resp, len(body))
	}
	if resp, body := get("/downloads/"); resp.StatusCode != 200 || strings.Count(body, "\n") != 2 || !strings.Contains(body, fingerprintOf(program)+"  dial.exe\n") {
		t.Errorf("%v\n%s", resp, body)
	}
	if resp, body := asked(t, addr, "GET /downloads/ HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n"); resp.StatusCode != 200 || strings.Count(body, " download>") != 2 || !strings.Contains(body, `href="/downloads/dial.exe"`) {
		t.Errorf("%v\n%s", resp, body)
	}
	if resp, body := asked(t, addr, "HEAD /downloads/dial.exe HTTP/1.1\r\nHost: x\r\n\r\n"); resp.StatusCode != 200 || body != "" || resp.ContentLength != int64(len(program)) {
		t.Errorf("HEAD: %v", resp)
	}
	// What was cut off is gone on with.
	if resp, body := asked(t, addr, "GET /downloads/dial.exe HTTP/1.1\r\nHost: x\r\nRange: bytes=329990-\r\n\r\n"); resp.StatusCode != 206 || body != string(program[329990:]) {
		t.Errorf("a range: %v %q", resp, body)
	}
	if resp, body := asked(t, addr, "GET /downloads/dial.exe HTTP/1.1\r\nHost: x\r\nRange: bytes="+strings.Repeat("0-,", 500)+"0-\r\n\r\n"); len(body) > len(program) {
		t.Errorf("500 ranges bring %d bytes, %v", len(body), resp.Status)
	}
	for _, path := range []string{
		"/downloads/../secret", "/downloads/..%2fsecret", "/downloads/%2e%2e/secret", `/downloads/..\secret`, "/downloads/..%5csecret", "/downloads//etc/passwd",
		"/downloads//dial.exe", "/downloads/./dial.exe", "/downloads/dial.exe/", "/downloads/dial.exe%00", "/downloads/DIAL.EXE", "/downloads/dial.exe::$DATA",
		"/downloads/dial.exe.", "/downloads/dial.exe%20", "/downloads/C:/secret", "/downloads/secret", "/downloads/CON", "/downloads/?dial.exe", "/downloads",
		"/Downloads/dial.exe", "//downloads/dial.exe", "/downloads/%64ial.exe/..", "/downloads/dial.exe;x", "http://x/downloads/../secret", "/dial.exe",
	} {
		resp, body := get(path)
		if resp.StatusCode == 200 && path != "/downloads/?dial.exe" || strings.Contains(body, secret) || strings.Contains(body, "MZ program") || strings.Contains(body, "root:") {
			t.Errorf("%s brings %s, %d bytes", path, resp.Status, len(body))
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PROPFIND", "OPTIONS"} {
		if resp, _ := asked(t, addr, method+" /downloads/dial.exe HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"); resp.StatusCode != 405 {
			t.Errorf("%s: %s", method, resp.Status)
		}
	}
}

func TestWithoutDownloadsThereIsNoPlaceForThem(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = (&Answerer{Software: "Dialtone"}).Serve(t.Context(), c, plan.HTTP); c.Close() }()
		}
	}()
	for _, path := range []string{"/downloads/", "/downloads/dial.exe"} {
		if resp, _ := asked(t, l.Addr().String(), "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); resp.StatusCode != 404 {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

// slowly is a file that comes bit by bit, as over a slow line.
type slowly struct {
	*bytes.Reader
	each time.Duration
}

func (s slowly) ReadAt(b []byte, at int64) (int, error) {
	time.Sleep(s.each)
	return s.Reader.ReadAt(b, at)
}

// What gets on slowly has its time: many times the patience for a message, and for a
// whole connection.
func TestASlowDownloadGoesOn(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	f := file("slow.zip", content)
	f.Content = slowly{bytes.NewReader(content), 50 * time.Millisecond} // 32 KiB each time
	addr, _ := offering(t, 100*time.Millisecond, f)
	if _, body := asked(t, addr, "GET /downloads/slow.zip HTTP/1.1\r\nHost: x\r\n\r\n"); body != string(content) {
		t.Errorf("%d of %d bytes", len(body), len(content))
	}
}

// What stands still is ended, and no more are served at a time than there may be.
func TestDownloadsAreBounded(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 2<<20) // more than both ends' buffers hold
	addr, d := offering(t, 100*time.Millisecond, file("large.zip", large))
	var still []net.Conn
	for range maxDownloads { // as many as there may be stand still
		d.slots <- struct{}{}
	}
	if resp, body := asked(t, addr, "GET /downloads/large.zip HTTP/1.1\r\nHost: x\r\n\r\n"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "Try again") {
		t.Errorf("%v\n%s", resp, body)
	}
	for range maxDownloads {
		<-d.slots
	}
	for range 4 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "GET /downloads/large.zip HTTP/1.1\r\nHost: x\r\n\r\n")
		still = append(still, c)
	}
	for _, c := range still {
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		if line, err := bufio.NewReaderSize(c, 16).ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
			t.Fatalf("%q, %v", line, err)
		}
	}
	for end := time.Now().Add(30 * time.Second); len(d.slots) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d that stand still are still served", len(d.slots))
		}
	}
}

func TestOnlyPlainNamesAreOffered(t *testing.T) {
	for _, name := range []string{"", ".", "..", ".hidden", "-rf", "a/b", `a\b`, "a b", "a\"b", "a\nb", "a:b", "ü.zip", strings.Repeat("a", 101), "a%2fb", "<b>"} {
		if _, err := NewDownloads([]Download{{Name: name}}); err == nil {
			t.Errorf("%q is offered", name)
		}
	}
	if _, err := NewDownloads([]Download{{Name: "dialtone_0.1.0-1_amd64.deb"}, {Name: "dial.exe"}, {Name: "SHA256SUMS"}}); err != nil {
		t.Error(err)
	}
	if _, err := NewDownloads([]Download{{Name: "a"}, {Name: "a"}}); err == nil {
		t.Error("a name is there twice")
	}
}
