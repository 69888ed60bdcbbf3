package service

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// HTTP (RFC 9110, RFC 9112), bare and inside TLS: the web pages, and PatronAPI,
// which is HTTP on a port of its own.
//
// The asking side sends one GET. Our own listener answers a token with an HTML
// page that holds a receipt: the request line and the header fields as they
// arrived, and those that it sends. A seal over the whole page lets nobody else
// write one. So the conversation proves that this listener answered this very
// request, and shows each header field and every byte of the body that a device
// on the way added, took away or changed, in both directions, or that it
// answered itself, from a cache or with a page of its own. Inside TLS the
// receipt names the listener's certificate too, so that a device that ends TLS
// shows even to an asking side that was not told the fingerprint.
//
// What stays unnoticed: the order, the case and the white space of header
// fields, how the body was cut into pieces on its way, a device that only reads
// along, and one that treats other addresses (paths, names) or methods
// differently. Of a server that is not ours, only what says itself that it is
// a proxy's.

const (
	maxWebHead     = 16 << 10 // of a request's or a response's header
	maxWebPage     = 64 << 10 // of a body from our listener, which has 4 KiB
	maxWebRequests = 32       // on one connection
	maxChanges     = 20       // sentences about one conversation
	maxWebInterim  = 5        // 1xx responses before the final one

	tokenPath    = "/dialtone/"      // before the token
	answerHeader = "Dialtone-Answer" // proves the response's header
	userAgent    = "Mozilla/5.0 (compatible; Dialtone)"
)

// webCookie is as large as what a browser carries once it has logged in. The receipt
// brings it back, so that packets of full size cross both ways where no payload can.
var webCookie = "dialtone=" + filling

// patronDump is a PatronAPI request for a patron's record.
var patronDump = regexp.MustCompile(`^/PATRONAPI/[^/]+/dump$`)

// A webReceipt is what the answering side says that it received and sent.
type webReceipt struct {
	Line        string      `json:"line"`    // the request line
	Request     http.Header `json:"request"` // the request's fields, Host among them
	Status      string      `json:"status"`  // the status line
	Response    http.Header `json:"response"`
	SeenAs      string      `json:"seen_as"`
	Reached     string      `json:"reached"`
	Certificate string      `json:"certificate,omitempty"` // SHA-256 of its DER form
}

func askHTTP(_ context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	return getPage(conn, q, nil, false)
}

func askHTTPS(ctx context.Context, conn net.Conn, q Question) (result.Conversation, error) {
	tc, facts, changed, err := dialTLS(conn, q, "http/1.1")
	if err != nil {
		return result.Conversation{Facts: facts, Changed: changed}, err
	}
	cs := tc.ConnectionState()
	out, err := getPage(tc, q, cs.PeerCertificates[0].Raw, len(changed) == 0 && isTrusted(facts))
	out.Stages = append([]result.Stage{result.StageTLS}, out.Stages...)
	out.Facts = append(facts, out.Facts...)
	if status := out.Fact("status"); tc.asked.Load() && (strings.HasPrefix(status, "400") || strings.HasPrefix(status, "403")) {
		return out, refusedTLS(result.ReasonCertificate, status, "after it had asked for the client's certificate and got none")
	}
	if len(changed) > 0 && q.Fingerprint != nil { // that says it already, with the issuer
		out.Changed = slices.DeleteFunc(out.Changed, func(s string) bool { return s == webOtherCertificate })
	}
	out.Changed = append(changed, out.Changed...)
	return out, err
}

// isTrusted reports whether this system trusts a certificate for its host.
func isTrusted(facts []result.Fact) bool {
	return slices.Contains(facts, result.Fact{Name: result.FactTrusted, Value: "yes"})
}

// getPage is the asking side on an open connection; certificate is the far
// end's under TLS (DER), else nil, and trusted says that it is good for the host.
func getPage(conn net.Conn, q Question, certificate []byte, trusted bool) (result.Conversation, error) {
	var out result.Conversation
	req := webRequest(conn, q, certificate != nil)
	if err := req.Write(conn); err != nil {
		return out, err
	}
	resp, err := webResponse(conn, req)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	out.Reach(result.StageGreeted)
	out.Software = "an HTTP server"
	if s := resp.Header.Get("Server"); s != "" {
		out.Software = shown(s)
	}
	out.Facts = append(out.Facts, result.Fact{Name: "status", Value: shown(resp.Status)})
	if to := resp.Header.Get("Location"); to != "" {
		out.Facts = append(out.Facts, result.Fact{Name: "location", Value: shown(to)})
	}
	if !q.isOurs() {
		if certificate != nil && resp.StatusCode == http.StatusForbidden {
			// Apache, where a directory wants a certificate and TLS 1.3 is in use: the
			// clients of these services offer no such thing as it says it lacks.
			if body, _ := io.ReadAll(io.LimitReader(resp.Body, maxWebHead)); bytes.Contains(body, []byte("Post-Handshake Authentication")) {
				return out, refusedTLS(result.ReasonCertificate, resp.Status, "Cannot perform Post-Handshake Authentication")
			}
		}
		signs := proxySigns(resp.Header)
		if certificate != nil { // beyond the end of TLS nothing on the way can be
			for _, s := range signs {
				out.Facts = append(out.Facts, result.Fact{Name: "proxy in front of the server", Value: s})
			}
		} else {
			for _, s := range signs {
				out.Changed = append(out.Changed, "the response has the header "+s+": a proxy is on the way or in front of the server")
			}
		}
		more, no := webRefusal(resp, q, trusted)
		out.Facts = append(out.Facts, more...)
		return out, no
	}

	body, err := io.ReadAll(io.LimitReader(resp.Body, maxWebPage))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return out, fmt.Errorf("the response's body: %w", err)
	}
	body = unpackPage(resp.Header, body)
	page, answer, seal := unsealPage(body)
	want := sealOf(q.Answer, "http answer")
	out.Keyed = isHex(resp.Header.Get(answerHeader), want) || isHex(answer, want)
	if !out.Keyed {
		words := "the answer does not contain the listener's reply: it is " + shown(resp.Proto+" "+resp.Status)
		if s := resp.Header.Get("Server"); s != "" {
			words += " from " + shown(s)
		}
		out.Changed = append(out.Changed, words)
		for _, s := range proxySigns(resp.Header) {
			out.Changed = append(out.Changed, "the response has the header "+s)
		}
		return out, nil
	}
	intact := isHex(answer, want) && isHex(seal, sealOf(q.Answer, "http body", page))
	if !intact {
		out.Changed = append(out.Changed, fmt.Sprintf("the response's body is not as the listener sent it (%d bytes came)", len(body)))
	}
	r, ok := receiptInPage(page)
	if !ok {
		return out, nil // then the body was changed
	}
	out.Changed = append(out.Changed, r.changes(req, resp, certificate)...)
	out.Changed = out.Changed[:min(len(out.Changed), maxChanges)]
	if intact {
		out.Facts = append(out.Facts, result.Fact{Name: "seen as", Value: shown(r.SeenAs)}, result.Fact{Name: "reached", Value: shown(r.Reached)})
	}
	return out, nil
}

// webRequest makes the GET. Its fields are a browser's, those among them that
// devices on the way are known to change.
func webRequest(conn net.Conn, q Question, secure bool) *http.Request {
	remote := sock.AddrPortOf(conn.RemoteAddr())
	host := q.Host
	if host == "" {
		host = remote.Addr().String()
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		host = "[" + a.WithZone("").String() + "]"
	}
	if p := remote.Port(); p != 0 && p != 80 && !secure || secure && p != 443 {
		host += ":" + strconv.Itoa(int(p))
	}
	u := &url.URL{Path: tokenPath + hex.EncodeToString(q.Token[:])}
	if !q.isOurs() { // a path that it knows, and yet in no cache
		u = &url.URL{Path: "/" + strings.TrimPrefix(q.Path, "/"), RawQuery: "dialtone=" + hex.EncodeToString(q.Token[:8])}
	}
	keep := "close"
	if q.Stay {
		keep = "keep-alive"
	}
	fields := http.Header{
		"User-Agent":      {userAgent},
		"Accept":          {"text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"},
		"Accept-Encoding": {"gzip, deflate"},
		"Accept-Language": {"en-US,en;q=0.5"},
		"Connection":      {keep},
	}
	if q.isOurs() { // and no server of others, which may have smaller limits
		fields["Cookie"] = []string{webCookie}
	}
	return &http.Request{
		Method: http.MethodGet, URL: u, Host: host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: fields,
	}
}

// webResponse reads the final response's header.
func webResponse(conn net.Conn, req *http.Request) (*http.Response, error) {
	limited := &io.LimitedReader{R: conn, N: maxWebHead}
	r := bufio.NewReader(limited)
	first, err := r.Peek(len("HTTP/"))
	if len(first) > 0 && !bytes.HasPrefix([]byte("HTTP/"), first) {
		more, _ := r.Peek(r.Buffered())
		if isHTTP2(more) {
			return nil, unreadError{"the answer to a request of HTTP/1.1 is HTTP/2, which this program does not speak"}
		}
		return nil, foreignError{fmt.Sprintf("the answer to an HTTP request is not HTTP: it begins with %s", shown(string(more[:min(len(more), 60)])))}
	}
	if err != nil {
		return nil, err
	}
	for range maxWebInterim {
		resp, err := http.ReadResponse(r, req)
		switch {
		case err == nil:
		case limited.N == 0:
			return nil, unreadError{fmt.Sprintf("the response's header has more than %d bytes", maxWebHead)}
		case errors.Is(err, os.ErrDeadlineExceeded), sock.IsReset(err), sock.IsClosed(err):
			return nil, begunError{err, result.StageGreeted}
		default:
			return nil, unreadError{"the answer to an HTTP request is not HTTP: " + shown(err.Error())}
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			limited.N = maxWebPage
			return resp, nil
		}
	}
	return nil, unreadError{"the server sent interim responses (1xx) and no final one"}
}

// isHTTP2 reports whether bytes begin with the SETTINGS with which a server of
// HTTP/2 alone begins (RFC 9113 section 3.4).
func isHTTP2(b []byte) bool {
	return len(b) >= 9 && b[0] == 0 && bytes.Equal(b[3:9], []byte{4, 0, 0, 0, 0, 0})
}

// unpackPage undoes a compression that the listener did not do.
func unpackPage(h http.Header, body []byte) []byte {
	var z io.Reader
	var err error
	switch strings.ToLower(h.Get("Content-Encoding")) {
	case "gzip", "x-gzip":
		z, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate": // RFC 9110 section 8.4.1.2: in zlib's format, which some leave out
		if z, err = zlib.NewReader(bytes.NewReader(body)); err != nil {
			z, err = flate.NewReader(bytes.NewReader(body)), nil
		}
	default:
		return body
	}
	if err != nil {
		return body
	}
	plain, err := io.ReadAll(io.LimitReader(z, maxWebPage))
	if err != nil {
		return body
	}
	return plain
}

// proxySigns lists the fields that only a proxy or a cache writes (RFC 9110
// section 7.6.3, RFC 9111 section 5.1, RFC 9211, RFC 9209, and what is in use).
func proxySigns(h http.Header) []string {
	var out []string
	for _, name := range []string{"Via", "Age", "Cache-Status", "Proxy-Status", "Proxy-Authenticate", "Proxy-Connection", "X-Cache", "X-Cache-Lookup", "X-Squid-Error", "X-Bluecoat-Via", "X-Proxy-Id"} {
		if v := h.Values(name); len(v) > 0 {
			out = append(out, webField(name, v))
		}
	}
	return out
}

// sealPage ends a page with its proof.
func sealPage(page, answer []byte) []byte {
	return fmt.Appendf(page, "<!-- dialtone %x %x -->\n", sealOf(answer, "http answer"), sealOf(answer, "http body", page))
}

// unsealPage takes a page apart; all is empty if it has no proof.
func unsealPage(body []byte) (page []byte, answer, seal string) {
	i := bytes.LastIndex(body, []byte("<!-- dialtone "))
	if i < 0 {
		return nil, "", ""
	}
	f := strings.Fields(string(body[i:min(len(body), i+200)]))
	if len(f) < 5 || f[4] != "-->" {
		return body[:i], "", ""
	}
	if !bytes.Equal(body[i:], fmt.Appendf(nil, "<!-- dialtone %s %s -->\n", f[2], f[3])) {
		return body[:i], f[2], "" // something stands behind it
	}
	return body[:i], f[2], f[3]
}

func isHex(s string, want []byte) bool {
	b, err := hex.DecodeString(s)
	return err == nil && hmac.Equal(b, want)
}

// webOtherCertificate is what the receipt shows where no fingerprint is known.
const webOtherCertificate = "the listener's certificate is another than the one that arrived: TLS was ended on the way"

const receiptStart, receiptEnd = `<script type="application/json" id="receipt">`, `</script>`

// receiptInPage finds the receipt in a page.
func receiptInPage(page []byte) (webReceipt, bool) {
	_, rest, _ := bytes.Cut(page, []byte(receiptStart))
	text, _, ok := bytes.Cut(rest, []byte(receiptEnd))
	var r webReceipt
	return r, ok && json.Unmarshal(text, &r) == nil
}

// changes compares what the listener received with what we sent, and what we
// received with what it sent.
func (r webReceipt) changes(req *http.Request, resp *http.Response, certificate []byte) []string {
	var out []string
	if certificate != nil {
		if r.Certificate != fingerprintOf(certificate) {
			out = append(out, webOtherCertificate)
		}
	}
	if line := webRequestLine(req); r.Line != line {
		out = append(out, fmt.Sprintf("the request line %q arrived as %q", line, shown(r.Line)))
	}
	out = append(out, webFieldChanges("request", webFields(req), r.Request)...)
	if line := resp.Proto + " " + resp.Status; r.Status != line {
		out = append(out, fmt.Sprintf("the status line %q arrived as %q", shown(r.Status), shown(line)))
	}
	got := resp.Header.Clone()
	got.Del("Content-Length") // the seal says as much of the body
	if len(resp.TransferEncoding) > 0 {
		got["Transfer-Encoding"] = resp.TransferEncoding // the library puts it there
	}
	if resp.Close && resp.ProtoAtLeast(1, 1) && got["Connection"] == nil {
		got["Connection"] = []string{"close"} // the library takes it away
	}
	return append(out, webFieldChanges("response", r.Response, got)...)
}

// webFieldChanges says, a sentence each, what became of a message's header.
func webFieldChanges(message string, sent, got http.Header) []string {
	var out []string
	all := http.Header{}
	maps.Copy(all, sent)
	maps.Copy(all, got)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		was, is := sent[name], got[name]
		switch {
		case slices.Equal(was, is):
		case len(was) == 0:
			out = append(out, fmt.Sprintf("the %s gained the header %s", message, webField(name, is)))
		case len(is) == 0:
			out = append(out, fmt.Sprintf("the %s lost the header %s", message, webField(name, was)))
		default:
			out = append(out, fmt.Sprintf("the %s's header %s became %s", message, webField(name, was), shown(strings.Join(is, ", "))))
		}
	}
	return out
}

func webField(name string, values []string) string {
	return shown(name) + ": " + shown(strings.Join(values, ", "))
}

func webRequestLine(r *http.Request) string {
	target := r.RequestURI // set on the answering side only
	if target == "" {
		target = r.URL.RequestURI()
	}
	return r.Method + " " + target + " " + r.Proto
}

// webFields gives all fields of a request; the library keeps Host apart.
func webFields(r *http.Request) http.Header {
	h := r.Header.Clone()
	h["Host"] = []string{r.Host}
	if len(r.TransferEncoding) > 0 {
		h["Transfer-Encoding"] = r.TransferEncoding
	}
	return h
}

func answerHTTP(ctx context.Context, conn net.Conn, a *Answerer) error {
	return servePages(ctx, conn, a, "", "")
}

func answerHTTPS(ctx context.Context, conn net.Conn, a *Answerer) error {
	tc, err := acceptTLS(ctx, conn, a, "http/1.1")
	if err != nil {
		return err
	}
	err = servePages(ctx, tc, a, fingerprintOf(a.Certificate.Certificate[0]), "")
	a.step(ctx, conn)
	_ = tc.CloseWrite() // close_notify, lest the end look cut off (RFC 8446 section 6.1)
	return err
}

// fingerprintOf is what a certificate is known by, in hexadecimal digits.
func fingerprintOf(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// errNoRequest says that nothing came that is worth an answer.
var errNoRequest = errors.New("no HTTP request came")

// servePages lets net/http's server answer on one connection: it knows slow,
// broken and hostile clients better than we would. wrong says why no request can
// be answered on this port; "": they can.
func servePages(ctx context.Context, conn net.Conn, a *Answerer, certificate, wrong string) error {
	p := &webPages{a: a, certificate: certificate, wrong: wrong, local: sock.AddrPortOf(conn.LocalAddr()), remote: sock.AddrPortOf(conn.RemoteAddr())}
	c := &lentConn{Conn: conn}
	over := make(chan struct{})
	only := new(http.Protocols)
	only.SetHTTP1(true)
	server := &http.Server{
		Handler:                      p,
		Protocols:                    only,
		DisableGeneralOptionsHandler: true,
		ReadTimeout:                  a.patience(), // of a whole request
		WriteTimeout:                 a.patience(),
		IdleTimeout:                  a.patience(),
		MaxHeaderBytes:               maxWebHead,
		ErrorLog:                     log.New(io.Discard, "", 0), // strangers fill no log
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				close(over)
			}
		},
	}
	defer context.AfterFunc(ctx, func() { c.Close() })()
	whole := time.AfterFunc(8*a.patience(), func() { c.Close() })
	defer whole.Stop()
	p.patient = func(d time.Duration) { whole.Reset(max(d, 8*a.patience())) }
	_ = server.Serve(&oneConnListener{conn: c, over: over}) // returns when that connection is over
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case p.served == 0:
		a.came("no whole request")
		return errNoRequest
	}
	return nil
}

// A oneConnListener is a listener that accepts one connection, and ends with it.
type oneConnListener struct {
	conn net.Conn // nil once it is accepted
	over <-chan struct{}
}

func (l *oneConnListener) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.over
	return nil, net.ErrClosed
}

func (*oneConnListener) Close() error     { return nil }
func (l *oneConnListener) Addr() net.Addr { return &net.TCPAddr{} }

// A lentConn ends its use when it is closed, and stays open.
type lentConn struct {
	net.Conn
	mu     sync.Mutex
	closed bool
}

func (c *lentConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return c.Conn.SetDeadline(time.Unix(1, 0)) // ends what waits in it
}

// CloseWrite lets the server say goodbye before it drops unread bytes.
func (c *lentConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

func (c *lentConn) deadline(set func(time.Time) error, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	return set(t)
}

func (c *lentConn) SetDeadline(t time.Time) error { return c.deadline(c.Conn.SetDeadline, t) }
func (c *lentConn) SetReadDeadline(t time.Time) error {
	return c.deadline(c.Conn.SetReadDeadline, t)
}
func (c *lentConn) SetWriteDeadline(t time.Time) error {
	return c.deadline(c.Conn.SetWriteDeadline, t)
}

// webPages answers the requests of one connection, one at a time.
type webPages struct {
	a             *Answerer
	certificate   string
	wrong         string // why the port is not for this; "": it is
	because       string // why a request is refused; "": as its status says
	local, remote netip.AddrPort
	served        int
	patient       func(time.Duration) // gives the whole connection so long from now on
}

func (p *webPages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.served++
	h := w.Header()
	h.Set("Server", p.a.Software)
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Vary", "Accept")
	h.Set("Content-Type", "text/html; charset=utf-8")
	if p.served >= maxWebRequests || r.ContentLength != 0 || p.wrong != "" {
		h.Set("Connection", "close") // and what else it sends is not read
	}
	if p.a.Web != nil && p.a.Web(w, r, p.conn()) {
		p.a.came("a browser's test")
		p.a.ended("answered")
		return
	}
	if f := p.a.Downloads.find(r.URL.Path); f != nil && p.wrong == "" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		p.patient(downloadWithin)
		h.Set("Connection", "close")
		p.note(r, http.StatusOK)
		if p.a.Downloads.send(w, r, f, p.a.patience()) {
			p.a.ended("fetched a file of --downloads")
			return
		}
		h.Set("Retry-After", "30")
		status, body := p.words(h, r, http.StatusServiceUnavailable)
		p.a.ended("was told to come back for the file: too many are fetched at a time")
		p.write(w, status, body)
		return
	}
	status, body := p.page(h, r)
	p.note(r, status)
	p.write(w, status, body)
}

// conn is what is known of the connection that a request came by.
func (p *webPages) conn() WebConn {
	return WebConn{Remote: p.remote, Local: p.local, Certificate: p.certificate, Arrived: p.a.Arrived, Patient: p.patient, Refuse: p.refuse}
}

// refuse answers with the page that a stranger gets, and why there is no more.
func (p *webPages) refuse(w http.ResponseWriter, r *http.Request, status int, why string) {
	p.because = why
	status, body := p.words(w.Header(), r, status)
	p.write(w, status, body)
}

// write ends an answer whose header is complete but for its length.
func (p *webPages) write(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone needs no answer
}

// page makes the answer to a request and completes its header.
func (p *webPages) page(h http.Header, r *http.Request) (status int, body []byte) {
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case p.wrong != "":
		return p.words(h, r, http.StatusBadRequest)
	case !read:
		h.Set("Allow", "GET, HEAD")
		return p.words(h, r, http.StatusMethodNotAllowed)
	case r.URL.Path == "/":
		return p.words(h, r, http.StatusOK)
	case r.URL.Path == downloadsPath && p.a.Downloads != nil:
		asPage := strings.Contains(r.Header.Get("Accept"), "text/html")
		if !asPage {
			h.Set("Content-Type", "text/plain; charset=utf-8")
		}
		return http.StatusOK, []byte(p.a.Downloads.list(asPage))
	case patronDump.MatchString(r.URL.Path):
		return http.StatusOK, []byte(patronPage)
	}
	hexed, ok := strings.CutPrefix(r.URL.Path, tokenPath)
	token, err := hex.DecodeString(hexed)
	if !ok || err != nil || len(token) != TokenSize || r.Method != http.MethodGet || p.a.Answer == nil {
		return p.words(h, r, http.StatusNotFound)
	}
	answer, ok := p.a.Answer(token)
	if !ok {
		return p.words(h, r, http.StatusNotFound)
	}
	h.Set(answerHeader, hex.EncodeToString(sealOf(answer, "http answer")))
	h.Set("Connection", "close")
	proof := &webReceipt{
		Line:    webRequestLine(r),
		Request: webFields(r),
		Status:  fmt.Sprintf("HTTP/%d.%d 200 OK", r.ProtoMajor, r.ProtoMinor),
		// As it is now, and nothing is added but Content-Length.
		Response:    h.Clone(),
		SeenAs:      p.remote.String(),
		Reached:     p.local.String(),
		Certificate: p.certificate,
	}
	return http.StatusOK, sealPage(p.html(http.StatusOK, proof), answer)
}

// note tells of a request for a log: by its method, and whether it brought
// credentials, of which not a byte is kept.
func (p *webPages) note(r *http.Request, status int) {
	if p.wrong != "" {
		return // told already
	}
	method := word("a request that is neither GET nor HEAD")
	switch r.Method {
	case http.MethodGet:
		method = "GET"
	case http.MethodHead:
		method = "HEAD"
	case http.MethodPost:
		method = "POST"
	case http.MethodOptions:
		method = "OPTIONS"
	}
	p.a.came(method)
	if r.Header.Get("Authorization") != "" {
		p.a.came("credentials (not kept)")
	}
	switch status {
	case http.StatusOK:
		p.a.ended("answered with the page")
	case http.StatusNotFound:
		p.a.ended("answered that there is nothing of that name (404)")
	default:
		p.a.ended(asMeant)
	}
}

// words says what was reached, to a person: as a page to a browser, else as
// plain text.
func (p *webPages) words(h http.Header, r *http.Request, status int) (int, []byte) {
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		return status, p.html(status, nil)
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	var b bytes.Buffer
	if status != http.StatusOK {
		fmt.Fprintf(&b, "%d %s: %s\n\n", status, http.StatusText(status), p.why(status))
	}
	fmt.Fprintf(&b, "%s\n%s\n\n", p.title(), pageIntroduction)
	fmt.Fprintf(&b, "Reached:  %s\nYou are:  %s, as this end sees you\n", p.local, p.remote)
	if p.certificate != "" {
		fmt.Fprintf(&b, "TLS:      the certificate's SHA-256 is %s\n", p.certificate)
	}
	for i, l := range p.a.Lines {
		if i == 0 {
			b.WriteString("\nHow to go on:\n")
		}
		fmt.Fprintf(&b, "  %s\n", l)
	}
	return status, b.Bytes()
}

// why says what is wrong with a request.
func (p *webPages) why(status int) string {
	switch {
	case p.because != "":
		return p.because
	case p.wrong != "":
		return p.wrong
	case status == http.StatusMethodNotAllowed:
		return "only GET and HEAD are answered. What you sent was not kept."
	case status == http.StatusServiceUnavailable:
		return "too many files are fetched at a time. Try again in half a minute."
	}
	return "there is nothing here of that name."
}

// title says what was reached, by whom: the first thing that a person reads.
func (p *webPages) title() string {
	if p.a.Future == "" {
		return pageTitle
	}
	return fmt.Sprintf("You reached the future %s, port %d, from %s", p.a.Future, p.local.Port(), p.remote.Addr())
}

// What a person reads first, where nobody said what is to be here, and then.
const (
	pageTitle        = "You reached Dialtone's test listener"
	pageIntroduction = "This is Dialtone's test listener: it stands in for the service that will use this port. The service itself is not running here, and nothing you do here reaches it."
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"command": isCommand}).Parse(pageText))

// isCommand reports whether a line is to be typed: it is indented.
func isCommand(line string) bool { return strings.HasPrefix(line, " ") }

// html renders the page; proof is nil but for a request that brought a token.
func (p *webPages) html(status int, proof *webReceipt) []byte {
	data := struct {
		Title, Introduction string
		Status, Why         string // empty if all is well
		Reached, Client     netip.AddrPort
		Certificate         string
		Lines               []string
		Proof               *webReceipt
	}{p.title(), pageIntroduction, "", "", p.local, p.remote, p.certificate, p.a.Lines, proof}
	if status != http.StatusOK {
		data.Status, data.Why = fmt.Sprintf("%d %s", status, http.StatusText(status)), p.why(status)
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, data); err != nil {
		panic(err) // the template and its data are ours: the tests would have shown it
	}
	return b.Bytes()
}

// patronPage is a PatronAPI dump (a field's label, its tag in brackets, its
// value) of nobody. It repeats nothing of the request.
const patronPage = `<HTML>
<BODY>
REC INFO[p!]=p <BR>
EXP DATE[p43]=12-31-99<BR>
P TYPE[p47]=0<BR>
TOT CHKOUT[p48]=0<BR>
CUR CHKOUT[p50]=0<BR>
HOME LIBR[p53]=test<BR>
MBLOCK[p56]=-<BR>
REC TYPE[p80]=p<BR>
RECORD #[p81]=0000000<BR>
MONEY OWED[p96]=$0.00<BR>
PATRN NAME[pn]=Dialtone, Test<BR>
ADDRESS[pa]=Test data of Dialtone's test listener: no patron has this record<BR>
P BARCODE[pb]=00000000000000<BR>
</BODY>
</HTML>
`
