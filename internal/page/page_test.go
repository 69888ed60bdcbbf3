package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/service"
)

var (
	client = netip.MustParseAddrPort("10.1.2.3:50123")
	server = netip.MustParseAddrPort("10.2.0.10:80")
)

// illiad is the plan, read once.
var illiad = sync.OnceValues(func() (*plan.Plan, error) { return plan.Load("illiad") })

// newPage is a page for ILLiad's plan, whose witness saw nothing of what no token came of.
func newPage(t testing.TB) *Page {
	t.Helper()
	pl, err := illiad()
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{
		Plan: pl, Future: "ILLiad server", Software: "Dialtone test", Instance: "00000000000000000000000000000001", Ports: []int{21, 80, 443, 1344, 1433, 7968},
		Browsed: func(port int, _ netip.Addr, _, _ time.Duration) (result.Acceptor, bool) {
			return result.Acceptor{Instance: "00000000000000000000000000000001", Port: result.PortBound, Saw: result.SawNothing}, false
		},
	})
}

// asked is an answer of a page.
type asked struct {
	*httptest.ResponseRecorder
	known, refused bool
}

// ask has a page answer a request that came from an address.
func ask(p *Page, from netip.AddrPort, r *http.Request) asked {
	w := httptest.NewRecorder()
	a := asked{ResponseRecorder: w}
	a.known = p.Serve(w, r, service.WebConn{Remote: from, Local: server, Arrived: func([16]byte) {}, Patient: func(time.Duration) {},
		Refuse: func(w http.ResponseWriter, _ *http.Request, status int, _ string) {
			a.refused = true
			w.WriteHeader(status)
		}})
	return a
}

// get is a browser's GET, post what the page posts.
func get(path string) *http.Request {
	return httptest.NewRequest(http.MethodGet, "http://10.2.0.10"+path, nil)
}

func post(path string, body any) *http.Request {
	b, _ := json.Marshal(body)
	r := httptest.NewRequest(http.MethodPost, "http://10.2.0.10"+path, bytes.NewReader(b))
	r.Header.Set("Origin", "http://10.2.0.10")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

// began is what a page is told when its test begins.
type began struct {
	Session string
	Tests   []offered
}

func begin(t testing.TB, p *Page, role, name string) began {
	t.Helper()
	a := ask(p, client, post(p.Path()+"/start", map[string]string{"role": role, "name": name}))
	var out began
	if err := json.Unmarshal(a.Body.Bytes(), &out); !a.known || err != nil {
		t.Fatalf("%v %v: %s", a.known, err, a.Body)
	}
	return out
}

// on is the number of the test of a port.
func (b began) on(t *testing.T, port int) int {
	t.Helper()
	i := slices.IndexFunc(b.Tests, func(o offered) bool { return o.Port == port && o.Rule == "" })
	if i < 0 {
		t.Fatalf("no test of port %d: %+v", port, b.Tests)
	}
	return i
}

// fetches is what a browser does with a token.
func fetches(t *testing.T, p *Page, from netip.AddrPort, url string, change func([]byte) []byte) (body []byte) {
	t.Helper()
	path := url[strings.Index(url, tokenPath):]
	hello := get(path)
	hello.Header.Set("Origin", "http://10.2.0.10")
	if a := ask(p, from, hello); !a.known || a.Code != http.StatusOK || a.Header().Get("Access-Control-Allow-Origin") != "http://10.2.0.10" {
		t.Fatalf("the GET: %v %d %v", a.known, a.Code, a.Header())
	}
	id, _ := parseToken(path[len(tokenPath):])
	payload, _ := io.ReadAll(io.LimitReader(newStream(id, toListener), payloadSize))
	r := httptest.NewRequest(http.MethodPost, "http://10.2.0.10"+path, bytes.NewReader(change(payload)))
	r.Header.Set("Origin", "http://10.2.0.10")
	return ask(p, from, r).Body.Bytes()
}

func asIs(b []byte) []byte { return b }

// tells has a browser tell what came of an attempt, and returns the path.
func tells(t *testing.T, p *Page, b began, said told) result.Path {
	t.Helper()
	if a := ask(p, client, post(b.Session, said)); a.Code != http.StatusOK {
		t.Fatalf("%d: %s", a.Code, a.Body)
	}
	s := p.sessions[len(p.sessions)-1]
	return s.rep.Paths[s.tests[said.Test].paths[0]]
}

func answered(n int) told {
	return told{Test: n, Outcome: "answered", ElapMS: 5, AgoMS: 9, Got: payloadSize, Payload: true}
}

func TestABrowsersRowIsAnsweredAndNeverOpen(t *testing.T) {
	p := newPage(t)
	b := begin(t, p, "client", "Desk 2\x1b[31m")
	n := b.on(t, 1433)
	body := fetches(t, p, client, b.Tests[n].URLs[0], asIs)
	id, _ := parseToken(b.Tests[n].URLs[0][len(b.Tests[n].URLs[0])-32:])
	if want, _ := io.ReadAll(io.LimitReader(newStream(id, toBrowser), payloadSize)); !bytes.Equal(body, want) {
		t.Error("the payload is not as it is to be")
	}
	at := tells(t, p, b, answered(n))
	if at.Verdict != result.Answered || at.Proof != result.ProofBrowser || at.OK || at.Finding.Code != result.CodeBrowserAnswered || at.SeenAs.AddrPort != client {
		t.Errorf("%s, %s, ok %v, %+v, seen as %s", at.Verdict, at.Proof, at.OK, at.Finding, at.SeenAs)
	}
	r := p.reportOf(p.sessions[0])
	if r.From.Host != "Desk 2[31m" && strings.Contains(r.From.Host, "\x1b") || r.Mode != result.ModeBrowser || r.Summary.OK {
		t.Errorf("%q %s %+v", r.From.Host, r.Mode, r.Summary)
	}
	text, err := result.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := result.ParseReport(text, result.MaxReport); err != nil {
		t.Errorf("its report is none: %v", err)
	}
}

func TestWhatABrowserTellsAndTheWitnessSettles(t *testing.T) {
	halfOpen := result.Acceptor{Port: result.PortBound, Saw: result.SawHalfOpen, Match: result.MatchTime}
	nothing := result.Acceptor{Port: result.PortBound, Saw: result.SawNothing}
	unknown := result.Acceptor{Port: result.PortBound, Saw: result.SawUnknown, Reason: "it was too much"}
	held := result.Acceptor{Port: result.PortBusy, Saw: result.SawUnknown}
	taken := result.Acceptor{Port: result.PortBound, Saw: result.SawAccepted, Match: result.MatchTime}
	for name, c := range map[string]struct {
		half    result.Acceptor
		tls     bool
		outcome string
		local   string
		fetch   bool // its request arrived
		via     string
		change  bool // of the data on its way
		got     int64
		want    result.Verdict
		code    result.Code
	}{
		"dropped":                     {half: nothing, outcome: "timeout", want: result.Filtered, code: result.CodeFiltered},
		"its answer lost":             {half: halfOpen, outcome: "timeout", want: result.ReplyLost, code: result.CodeReplyLost},
		"given up at once":            {half: nothing, outcome: "failed", want: result.Silent, code: result.CodeBrowserUnknown},
		"forbidden by the browser":    {half: taken, outcome: "failed", local: "denied", want: result.Untested, code: result.CodeBrowserRule},
		"nobody knows":                {half: unknown, outcome: "timeout", want: result.Silent, code: result.CodeBrowserUnknown},
		"live software":               {half: held, outcome: "failed", want: result.Silent, code: result.CodeBrowserUnknown},
		"TLS came":                    {half: taken, tls: true, outcome: "failed", want: result.Silent, code: result.CodeBrowserTLS},
		"something came":              {half: taken, outcome: "timeout", want: result.Silent, code: result.CodeBrowserUnknown},
		"arrived, the answer did not": {fetch: true, outcome: "timeout", want: result.Stalled, code: result.CodeBrowserNoAnswer},
		"answered by somebody else":   {half: nothing, outcome: "answered", want: result.Silent, code: result.CodeBrowserUnknown},
		"by a proxy":                  {fetch: true, outcome: "answered", via: "1.1 proxy.example.edu", got: payloadSize, want: result.Answered, code: result.CodeBrowserProxy},
		"data changed there":          {fetch: true, outcome: "answered", change: true, got: payloadSize, want: result.Intercepted, code: result.CodeBrowserChanged},
		"data cut off back":           {fetch: true, outcome: "answered", got: 1000, want: result.Stalled, code: result.CodeBrowserNoAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPage(t)
			p.Browsed = func(int, netip.Addr, time.Duration, time.Duration) (result.Acceptor, bool) { return c.half, c.tls }
			b := begin(t, p, "client", "")
			n := b.on(t, 7968)
			if c.fetch {
				if c.via != "" {
					path := b.Tests[n].URLs[0][strings.Index(b.Tests[n].URLs[0], tokenPath):]
					r := get(path)
					r.Header.Set("Via", c.via)
					ask(p, client, r)
				}
				fetches(t, p, client, b.Tests[n].URLs[0], func(body []byte) []byte {
					if c.change {
						body[70000] ^= 1
					}
					return body
				})
			}
			said := answered(n)
			said.Outcome, said.Got, said.Local = c.outcome, c.got, c.local
			at := tells(t, p, b, said)
			if at.Verdict != c.want || at.OK || at.Finding == nil || at.Finding.Code != c.code {
				t.Errorf("%s, ok %v, %+v; want %s, %s", at.Verdict, at.OK, at.Finding, c.want, c.code)
			}
		})
	}
}

// A device that ends connections looks like the browser's rule until another port is
// answered.
func TestWhatWorksOnOnePortIsNoRuleOfTheBrowser(t *testing.T) {
	p := newPage(t)
	p.Browsed = func(int, netip.Addr, time.Duration, time.Duration) (result.Acceptor, bool) {
		return result.Acceptor{Port: result.PortBound, Saw: result.SawAccepted, Match: result.MatchTime}, false
	}
	b := begin(t, p, "client", "")
	cut := b.on(t, 1433)
	if at := tells(t, p, b, told{Test: cut, Outcome: "failed", Local: "denied"}); at.Verdict != result.Untested {
		t.Errorf("first it is %s", at.Verdict)
	}
	n := b.on(t, 7968)
	fetches(t, p, client, b.Tests[n].URLs[0], asIs)
	tells(t, p, b, answered(n))
	ask(p, client, post(b.Session, told{Finished: true}))
	if at := p.sessions[0].rep.Paths[p.sessions[0].tests[cut].paths[0]]; at.Verdict != result.Silent || at.Finding.Code != result.CodeBrowserUnknown {
		t.Errorf("in the end it is %s, %+v", at.Verdict, at.Finding)
	}
}

// A stranger's page, and whoever has no code, get nothing.
func TestNobodyIsLetInWithoutTheCode(t *testing.T) {
	p := newPage(t)
	b := begin(t, p, "client", "")
	guesses := 0
	p.OnWrong = func(service.WebConn) { guesses++ }
	with := func(r *http.Request, change func(*http.Request)) *http.Request { change(r); return r }
	for name, r := range map[string]*http.Request{
		"another code":                    get("/b/00000-00000"),
		"no code":                         get("/b/"),
		"a token of nobody's":             get(tokenPath + strings.Repeat("0", 32)),
		"a session of nobody's":           get(sessionPath + strings.Repeat("0", 32)),
		"a name that leads here":          with(get(p.Path()), func(r *http.Request) { r.Host = "evil.example" }),
		"a zone with more in it":          with(get(p.Path()), func(r *http.Request) { r.Host = "[fe80::1%; script-src *]" }),
		"a token by a name":               with(get(b.Tests[b.on(t, 1433)].URLs[0][len("http://10.2.0.10:1433"):]), func(r *http.Request) { r.Host = "evil.example:1433" }),
		"a start from another page":       with(post(p.Path()+"/start", map[string]string{"role": "client"}), func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }),
		"a start from no page":            with(post(p.Path()+"/start", map[string]string{"role": "client"}), func(r *http.Request) { r.Header.Del("Origin") }),
		"a start that is a form":          with(post(p.Path()+"/start", map[string]string{"role": "client"}), func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }),
		"a start from another site":       with(post(p.Path()+"/start", map[string]string{"role": "client"}), func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }),
		"a start at another port's page":  with(post(p.Path()+"/start", map[string]string{"role": "client"}), func(r *http.Request) { r.Header.Set("Origin", "http://10.2.0.10:8080") }),
		"a start with the code of nobody": post("/b/00000-00000/start", map[string]string{"role": "client"}),
	} {
		if a := ask(p, client, r); a.known && !a.refused {
			t.Errorf("%s: %d %s", name, a.Code, a.Body)
		}
	}
	if guesses != 3 {
		t.Errorf("%d wrong codes were told of", guesses)
	}
	for name, r := range map[string]*http.Request{
		"a token from another page":  with(get(b.Tests[b.on(t, 1433)].URLs[0][len("http://10.2.0.10:1433"):]), func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }),
		"a result from another page": with(post(b.Session, answered(b.on(t, 1433))), func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }),
		"a result that is too long":  post(b.Session, map[string]string{"outcome": strings.Repeat("x", maxBody)}),
		"a result of no test":        post(b.Session, told{Test: 99, Outcome: "answered"}),
		"a result without sense":     post(b.Session, told{Outcome: "open"}),
	} {
		if a := ask(p, client, r); a.Code < 400 || a.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v", name, a.Code, a.Header())
		}
	}
	for _, at := range p.sessions[0].rep.Paths {
		if at.Verdict != result.Untested {
			t.Errorf("%s is %s", at.Flow, at.Verdict)
		}
	}
}

func TestACodeIsReadAsPeopleTypeIt(t *testing.T) {
	c := code("01ABCDEFGH")
	for _, typed := range []string{"01ABC-DEFGH", "01abcdefgh", "OIABC DEFGH", "olabc-defgh"} {
		if !c.is(typed) {
			t.Errorf("%q is not taken for %s", typed, c)
		}
	}
	for _, typed := range []string{"", "01ABC-DEFGJ", "01ABC", "01ABC-DEFGH-0", strings.Repeat("-", 1000)} {
		if c.is(typed) {
			t.Errorf("%q is taken for %s", typed, c)
		}
	}
	if a, b := newCode(), newCode(); a == b || len(a) != codeLength {
		t.Errorf("%s and %s", a, b)
	}
}

// Whoever guesses is slowed down; the holder of the link at the same address waits as
// long, and is let in.
func TestGuessesAreSlowedDownAndLockNobodyOut(t *testing.T) {
	var g guessers
	now := time.Now()
	a, near, far := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("10.1.2.4"), netip.MustParseAddr("2001:db8:1::1")
	for range quickGuesses {
		if g.pause(a, now) != 0 {
			t.Fatal("slowed down too early")
		}
		g.add(a, now)
	}
	if g.pause(a, now) != guessPause || g.pause(near, now) != 0 || g.pause(far, now) != 0 {
		t.Error("not that network alone is slowed down")
	}
	if g.pause(a, now.Add(2*time.Minute)) != 0 {
		t.Error("it is slowed down for good")
	}
	for i := range 3 * maxGuessers {
		g.add(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	if len(g.wrong) > maxGuessers+1 {
		t.Errorf("it remembers %d networks", len(g.wrong))
	}
	p := newPage(t)
	for range quickGuesses + 1 {
		p.guessers.add(client.Addr(), time.Now())
	}
	if r := ask(p, client, get(p.Path())); !r.known || r.Code != http.StatusOK {
		t.Errorf("the holder of the link is answered %v, %d", r.known, r.Code)
	}
}

// Who makes many sessions makes none of another's vanish.
func TestSessionsAreBounded(t *testing.T) {
	p := newPage(t)
	other := netip.MustParseAddrPort("10.9.9.9:1")
	ask(p, other, post(p.Path()+"/start", map[string]string{"role": "client"}))
	first := p.sessions[0]
	for range maxSessions + 5 {
		ask(p, client, post(p.Path()+"/start", map[string]string{"role": "client"}))
	}
	if len(p.sessions) != maxSessions || p.sessions[0] != first || len(p.tokens) > maxSessions*2*8 {
		t.Errorf("%d sessions, %d tokens, the first is %v", len(p.sessions), len(p.tokens), p.sessions[0].from)
	}
}

func TestTwoBrowsersBehindOneAddressAreNotTakenForEachOther(t *testing.T) {
	p := newPage(t)
	p.Browsed = func(int, netip.Addr, time.Duration, time.Duration) (result.Acceptor, bool) {
		return result.Acceptor{Port: result.PortBound, Saw: result.SawHalfOpen, Match: result.MatchTime}, false
	}
	for i, want := range []result.Verdict{result.ReplyLost, result.Silent} {
		b := begin(t, p, "client", fmt.Sprint(i))
		if at := tells(t, p, b, told{Test: b.on(t, 1433), Outcome: "timeout", AgoMS: 8000, ElapMS: 8000}); at.Verdict != want {
			t.Errorf("the %d. is %s, want %s", i+1, at.Verdict, want)
		}
	}
}

func TestPortsThatBrowsersBlockAreLeftToDial(t *testing.T) {
	p := newPage(t)
	b := begin(t, p, "client", "")
	for i, o := range b.Tests {
		if (o.Rule == "") != (len(o.URLs) == attemptsOfPort) {
			t.Errorf("%d: %q, %d tokens", o.Port, o.Rule, len(o.URLs))
		}
		if o.Rule != "" && o.Port != 1434 {
			t.Errorf("test %d, port %d: %s", i, o.Port, o.Rule)
		}
	}
	for port, bad := range map[int]bool{20: true, 21: true, 25: true, 389: true, 636: true, 465: true, 587: true, 80: false, 443: false, 499: false, 1344: false, 1433: false, 1611: false, 3389: false, 4500: false, 7968: false, 210: false} {
		if isBad(port) != bad {
			t.Errorf("port %d: %v", port, isBad(port))
		}
	}
}

// The page's script makes the same bytes.
func TestTheStreamIsTheOneThatThePageMakes(t *testing.T) {
	b, _ := io.ReadAll(io.LimitReader(newStream(token{0xde, 0xad, 0xbe, 0xef}, toListener), 12))
	// As page.js has it, which a real browser holds against this in the lab's tests.
	x := uint32(0xdeadbeef^0x9e3779b9) | 1
	var want []byte
	for range 3 {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		want = append(want, byte(x), byte(x>>8), byte(x>>16), byte(x>>24))
	}
	if !bytes.Equal(b, want) {
		t.Errorf("%x, want %x", b, want)
	}
}

func TestWhatABrowserSaysOfItself(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0": "Edge 142",
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                        "Firefox 140",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15":         "Safari 17",
		"<script>alert(1)</script>": "a browser", "Chrome/<b>": "Chrome",
	} {
		if got := browserOf(agent); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	p := &Page{Config: Config{Files: []string{"dialtone_1.0_windows_amd64.zip", "dialtone_1.0_linux_amd64.tar.gz", "dial.exe", "dial", "notes.txt"}}}
	if got := p.filesFor("Windows NT 10.0; Win64"); !slices.Equal(got, []string{"dialtone_1.0_windows_amd64.zip", "dial.exe"}) {
		t.Errorf("for Windows: %q", got)
	}
	if got := p.filesFor("X11; Linux x86_64"); !slices.Equal(got, []string{"dialtone_1.0_linux_amd64.tar.gz", "dial"}) {
		t.Errorf("for Linux: %q", got)
	}
}

// Nothing of a browser's words is part of the page, or of its policy.
func TestThePageRunsNothingButItsOwnScript(t *testing.T) {
	p := newPage(t)
	r := get(p.Path())
	r.Header.Set("User-Agent", `"><script>alert(1)</script> Windows`)
	a := ask(p, client, r)
	if policy := a.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'sha256-") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("its policy is %s", policy)
	}
	if strings.Contains(a.Body.String(), "alert(1)") {
		t.Error("a browser's word is on it")
	}
	if b, err := os.ReadFile(filepath.Join("page.html")); err != nil || bytes.Contains(b, []byte("https://")) {
		t.Errorf("it asks somebody for something: %v", err)
	}
}
