// Package page is what browsers get of a listener beside its own address: for whoever
// has the link that listen prints, a page that makes this computer's requests to each
// port of the plan, and tells what came of them in the same words as dial; and for who
// started listen, all of it side by side.
//
// Whoever is not let in by the code gets nothing of it: Serve reports that it does not
// know the request. What a browser sends is bounded, and text of it is cleaned before it
// is kept. docs/browser.md says what is promised.
package page

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dialtone/internal/clean"
	"dialtone/internal/plan"
	"dialtone/internal/report"
	"dialtone/internal/result"
	"dialtone/internal/service"
)

// A Config is what a Page has to know of the listener that it speaks for.
type Config struct {
	Plan *plan.Plan // as applied to the site
	// Roles are those that listen plays; none: all that a plan's own server may.
	Roles []plan.Role
	// Ports are the TCP ports that are bound.
	Ports []int
	// Names are the host names by which browsers may come; addresses always may.
	Names []string
	// Future is what is to be here, such as "ILLiad server"; "": not said.
	Future      string
	Software    string // name and version, told to who has the code
	Instance    string // of the listener
	Fingerprint string // of its certificate: SHA-256 in hexadecimal digits
	Witness     result.WitnessState
	// Flags are those by which dial means the same ports, with a space before; "": none.
	Flags string
	// Files are the names of the downloads that there are.
	Files []string
	// Browsed says what the listener saw of an attempt on a port, from an address, that
	// began and ended so long ago and of which no token came; and whether what came began
	// with TLS. nil: there is nobody to ask.
	Browsed func(port int, from netip.Addr, began, ended time.Duration) (a result.Acceptor, isTLS bool)
	// OnReport is told of each browser's report; nil: nobody is.
	OnReport func(*result.Report, service.WebConn)
	// OnWrong is told of a wrong code; nil: nobody is.
	OnWrong func(service.WebConn)
}

// A Page answers browsers. Make one with New.
type Page struct {
	Config
	code     code
	guessers guessers

	mu       sync.Mutex
	sessions []*session // the oldest first
	tokens   map[token]*attempt
}

// New returns a Page with a fresh code.
func New(c Config) *Page {
	return &Page{Config: c, code: newCode(), tokens: map[token]*attempt{}}
}

// Path is the link's, with the code.
func (p *Page) Path() string { return linkPath + p.code.String() }

const (
	linkPath    = "/b/"   // before the code
	tokenPath   = "/b/t/" // before a token
	sessionPath = "/b/s/" // before a session
	// maxBody bounds what a browser may say at a time, in bytes.
	maxBody = 4 << 10
)

// Serve answers a request, or reports that it is none for it.
func (p *Page) Serve(w http.ResponseWriter, r *http.Request, c service.WebConn) bool {
	path := r.URL.Path
	if !strings.HasPrefix(path, linkPath) || !p.isOwnHost(r) {
		return false
	}
	w.Header().Set("Vary", "Origin")
	switch {
	case strings.HasPrefix(path, tokenPath):
		return p.serveToken(w, r, c, path[len(tokenPath):])
	case strings.HasPrefix(path, sessionPath):
		return p.serveSession(w, r, c, path[len(sessionPath):])
	}
	typed, start := strings.CutSuffix(path[len(linkPath):], "/start")
	if d := p.guessers.pause(c.Remote.Addr(), time.Now()); d > 0 {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		}
	}
	if !p.code.is(typed) {
		p.guessers.add(c.Remote.Addr(), time.Now())
		if p.OnWrong != nil {
			p.OnWrong(c)
		}
		if c.Refuse == nil {
			return false
		}
		c.Refuse(w, r, http.StatusNotFound, "this link is not good, or not good any more. Ask whoever sent it for a new one: listen makes one each time it is started.")
		return true
	}
	switch {
	case start && r.Method == http.MethodPost && isFromOwnPage(r):
		p.start(w, r, c)
		return true
	case !start && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		p.show(w, r, c)
		return true
	}
	return false
}

// isOwnHost reports whether a request asks for this machine by an address, or by a name
// that who started listen gave: a stranger's page whose name leads here (DNS rebinding)
// asks by that name.
func (p *Page) isOwnHost(r *http.Request) bool {
	host := hostOf(r)
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && a.Zone() == "" { // a zone may be any text
		return true
	}
	return slices.ContainsFunc(p.Names, func(n string) bool {
		return strings.EqualFold(strings.TrimSuffix(host, "."), strings.TrimSuffix(n, "."))
	})
}

// hostOf is the host that a request names, without its port.
func hostOf(r *http.Request) string {
	if i := strings.LastIndexByte(r.Host, ':'); i >= 0 && !strings.HasSuffix(r.Host, "]") {
		return r.Host[:i]
	}
	return r.Host
}

// isFromOwnPage reports whether a page of this very origin made a request: one that
// another page has a browser post has another Origin, or none that says JSON.
func isFromOwnPage(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return r.Header.Get("Origin") == "http://"+r.Host && r.Header.Get("Content-Type") == "application/json" && (site == "" || site == "same-origin")
}

// read reads what a page of ours says; false: it is not of that form.
func read(r *http.Request, into any) bool {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	return err == nil && len(b) <= maxBody && json.Unmarshal(b, into) == nil
}

// answer sends JSON.
func answer(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // nothing that is answered cannot be marshalled
	}
	send(w, "application/json", b)
}

// send sends a whole answer.
func send(w http.ResponseWriter, kind string, b []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // who has gone needs no answer
}

func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
}

// A token is what one attempt carries: fresh, and known to nobody else.
type token [16]byte

func newToken() (t token) {
	_, _ = rand.Read(t[:]) // it never fails
	return t
}

func (t token) String() string { return hex.EncodeToString(t[:]) }

func parseToken(s string) (t token, ok bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(t) {
		return t, false
	}
	return token(b), true
}

// serveToken answers an attempt: a GET with the address that it came from, a POST, which
// brings the payload, with as much.
func (p *Page) serveToken(w http.ResponseWriter, r *http.Request, c service.WebConn, text string) bool {
	t, ok := parseToken(text)
	if !ok {
		return false
	}
	p.mu.Lock()
	a := p.tokens[t]
	if a != nil {
		a.requests++
		ok = a.requests <= maxRequests
	}
	p.mu.Unlock()
	if a == nil || !ok {
		return false
	}
	if o := r.Header.Get("Origin"); o != "" {
		if o != a.session.origin {
			refuse(w, http.StatusForbidden)
			return true
		}
		w.Header().Set("Access-Control-Allow-Origin", o)
	}
	c.Arrived(t)
	signs := p.proxySigns(r, c, a.session)
	p.mu.Lock()
	a.arrived, a.from, a.local = true, c.Remote, c.Local
	for _, s := range signs {
		if !slices.Contains(a.proxy, s) && len(a.proxy) < maxSigns {
			a.proxy = append(a.proxy, s)
		}
	}
	p.mu.Unlock()
	switch r.Method {
	case http.MethodGet:
		answer(w, map[string]string{"seen": c.Remote.String()})
	case http.MethodPost:
		control := http.NewResponseController(w)
		c.Patient(2 * payloadWithin)
		_ = control.SetReadDeadline(time.Now().Add(payloadWithin)) // each connection has deadlines
		_ = control.SetWriteDeadline(time.Now().Add(2 * payloadWithin))
		sent := takePayload(r, t)
		p.mu.Lock()
		a.sent = sent
		p.mu.Unlock()
		h := w.Header()
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Length", strconv.Itoa(payloadSize))
		givePayload(w, t)
	default:
		refuse(w, http.StatusMethodNotAllowed)
	}
	return true
}

const (
	maxRequests = 8 // with one token
	maxSigns    = 8
)

// proxyFields are written by proxies alone (RFC 9110 section 7.6.3, RFC 7239, and what is
// in use).
var proxyFields = []string{"Via", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Client-Ip", "Proxy-Connection", "X-Bluecoat-Via", "X-Proxy-Id", "X-Proxyuser-Ip"}

// proxySigns are what shows that a proxy carried a request.
func (p *Page) proxySigns(r *http.Request, c service.WebConn, s *session) (out []string) {
	for _, f := range proxyFields {
		if v := r.Header.Get(f); v != "" {
			out = append(out, text(f+": "+v))
		}
	}
	if s != nil && c.Remote.Addr() != s.from {
		out = append(out, fmt.Sprintf("it came from %s, and the page from %s", c.Remote.Addr(), s.from))
	}
	return out
}

// maxText bounds what is kept of what a browser, or a proxy, says of itself.
const maxText = 120

// text is what a stranger said, made safe to keep and show.
func text(s string) string { return clean.Line(s, maxText) }

// show sends the page that makes the requests.
func (p *Page) show(w http.ResponseWriter, r *http.Request, c service.WebConn) {
	v := view{
		Future: p.Future, Port: c.Local.Port(), From: c.Remote.Addr().String(), Local: c.Local.String(), Host: hostOf(r), Certificate: c.Certificate,
		Fingerprint: p.Fingerprint, Roles: p.offeredRoles(), Secure: c.Certificate != "", Plain: p.plainLink(r), Files: p.filesFor(r.UserAgent()),
		HTTPS: p.httpsAt(r),
	}
	v.Command = p.commandFor(r.UserAgent(), hostOf(r))
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, v); err != nil {
		panic(err) // the template and its data are ours: the tests would have shown it
	}
	host := hostOf(r)
	w.Header().Set("Content-Security-Policy", pagePolicy+"; connect-src 'self' http://"+host+":*; form-action 'none'; base-uri 'none'; frame-ancestors 'none'")
	send(w, "text/html; charset=utf-8", b.Bytes())
}

// reportPolicy is for a page of package report, which has one of its own, by hashes: that
// adds to this one.
const reportPolicy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// sendReport sends a report as a page.
func sendReport(w http.ResponseWriter, rep *result.Report) {
	b, err := report.Page(rep)
	if err != nil {
		refuse(w, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", reportPolicy)
	send(w, "text/html; charset=utf-8", b)
}
