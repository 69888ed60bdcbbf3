package service

import (
	"bufio"
	"compress/zlib"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"dialtone/internal/result"
)

func answeredBy(t *testing.T, text string, host string) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), &http.Request{Method: http.MethodGet})
	if err != nil {
		t.Fatal(err)
	}
	return resp, host
}

func deflated(s string) string {
	var b strings.Builder
	z := zlib.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	z.Close()
	return b.String()
}

// Who answered over HTTP shows in what is said and where it leads.
func TestPortalsProxiesAndGatewaysAreTold(t *testing.T) {
	page := func(fields, body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n%sContent-Length: %d\r\n\r\n%s", fields, len(body), body)
	}
	status := func(line string, fields ...string) string {
		return "HTTP/1.1 " + line + "\r\n" + strings.Join(append(fields, "Content-Length: 0"), "\r\n") + "\r\n\r\n"
	}
	const name, addr = "ils.lib.example.edu", "192.0.2.7"
	for what, tc := range map[string]struct {
		answer, host string
		trusted      bool
		status       []int
		reason       result.Reason // "": none
		by           result.Refuser
		leads        string
	}{
		"a page":               {answer: page("", "<html>hello"), host: name},
		"no such page":         {answer: status("404 Not Found"), host: name},
		"a login is wanted":    {answer: status("401 Unauthorized", "WWW-Authenticate: Basic"), host: name},
		"a failure of its own": {answer: status("500 Internal Server Error"), host: name},
		"https of the host":    {answer: status("301 Moved Permanently", "Location: https://ILS.lib.example.edu./"), host: name},
		"https, for now":       {answer: status("302 Found", "Location: https://ils.lib.example.edu:8443/x"), host: name},
		"https of the address": {answer: status("302 Found", "Location: https://192.0.2.7/"), host: addr},
		"a path":               {answer: status("302 Found", "Location: /login"), host: name},
		"www in front":         {answer: status("302 Found", "Location: https://www.ils.lib.example.edu/"), host: name},
		"its whole name":       {answer: status("302 Found", "Location: http://ils.lib.example.edu/"), host: "ils"},
		"its owner's login":    {answer: status("302 Found", "Location: https://sso.example.edu/"), host: name, leads: "sso.example.edu"},
		"no owner in common":   {answer: status("302 Found", "Location: https://sso.example.com/"), host: name, reason: result.ReasonPortal, by: result.RefuserService, leads: "sso.example.com"},
		"one suffix, two owners": {answer: status("302 Found", "Location: https://portal.ac.uk/"), host: "ils.other.ac.uk",
			reason: result.ReasonPortal, by: result.RefuserService, leads: "portal.ac.uk"},
		"under a trusted certificate":       {answer: status("302 Found", "Location: https://login.microsoftonline.com/"), host: name, trusted: true, leads: "login.microsoftonline.com"},
		"moved for good":                    {answer: status("301 Moved Permanently", "Location: https://new.example.com/"), host: name, leads: "new.example.com"},
		"from an address to a name":         {answer: status("307 Temporary Redirect", "Location: http://login.guestnet.example/"), host: addr, reason: result.ReasonPortal, by: result.RefuserService, leads: "login.guestnet.example"},
		"from a name to an address":         {answer: status("303 See Other", "Location: http://1.1.1.1/login.html"), host: name, reason: result.ReasonPortal, by: result.RefuserService, leads: "1.1.1.1"},
		"the field Refresh":                 {answer: page("Refresh: 0; URL=http://login.guestnet.example/\r\n", ""), host: name, reason: result.ReasonPortal, by: result.RefuserService, leads: "login.guestnet.example"},
		"a page that refreshes":             {answer: page("", `<meta http-equiv='refresh' content='1;url="http://login.guestnet.example/"'>`), host: name, reason: result.ReasonPortal, by: result.RefuserService, leads: "login.guestnet.example"},
		"its attributes turned round":       {answer: page("", `<META content="0; URL=http://login.guestnet.example/" http-equiv=refresh>`), host: name, reason: result.ReasonPortal, by: result.RefuserService, leads: "login.guestnet.example"},
		"a page of no kind":                 {answer: "HTTP/1.0 200 OK\r\n\r\n" + `<meta http-equiv="refresh" content="0;url=http://login.guestnet.example/">`, host: name, reason: result.ReasonPortal, by: result.RefuserService, leads: "login.guestnet.example"},
		"a deflated page":                   {answer: page("Content-Encoding: deflate\r\n", deflated(`<meta http-equiv="refresh" content="0;url=http://login.guestnet.example/">`)), host: name, reason: result.ReasonPortal, by: result.RefuserService, leads: "login.guestnet.example"},
		"no page at all":                    {answer: strings.Replace(page("", `<meta http-equiv="refresh" content="0;url=http://login.guestnet.example/">`), "text/html", "text/plain", 1), host: name},
		"a content network's, of its names": {answer: status("530 "), host: name, reason: result.ReasonNoBackend, by: result.RefuserService},
		"a page that is all script":         {answer: page("", `<script>top.location.href = "http://login.guestnet.example/";</script>`), host: name, reason: result.ReasonPortal, by: result.RefuserService, leads: "login.guestnet.example"},
		"WISPr":                             {answer: page("", "<WISPAccessGatewayParam><Redirect><LoginURL>https://login.guestnet.example/</LoginURL>"), host: name, reason: result.ReasonPortal, by: result.RefuserService, leads: "login.guestnet.example"},
		"script in a real page":             {answer: page("", strings.Repeat("<p>text</p>", 200)+`<script>function x(){location.href="http://elsewhere.example/"}</script>`), host: name},
		"a proxy's login":                   {answer: status("407 Proxy Authentication Required", "Proxy-Authenticate: NTLM"), host: name, reason: result.ReasonProxyLogin, by: result.RefuserBetween},
		"a portal's status":                 {answer: status("511 Network Authentication Required"), host: name, reason: result.ReasonPortal, by: result.RefuserBetween},
		"a proxy's error page":              {answer: status("403 Forbidden", "X-Squid-Error: ERR_ACCESS_DENIED 0"), host: name, reason: result.ReasonPortal, by: result.RefuserBetween},
		"no server behind it":               {answer: status("503 Service Unavailable"), host: name, reason: result.ReasonNoBackend, by: result.RefuserService},
		"a content network's":               {answer: status("521 Web server is down"), host: name, reason: result.ReasonNoBackend, by: result.RefuserService},
		"a trusted gateway's":               {answer: status("502 Bad Gateway"), host: name, trusted: true, reason: result.ReasonNoBackend, by: result.RefuserService},
		"not as the plan has it":            {answer: status("404 Not Found"), host: name, status: []int{200, 401}, reason: result.ReasonStatus, by: result.RefuserService},
		"as the plan has it":                {answer: status("503 Service Unavailable"), host: name, status: []int{503}},
	} {
		resp, host := answeredBy(t, tc.answer, tc.host)
		facts, err := webRefusal(resp, Question{Host: host, Status: tc.status}, tc.trusted)
		c := settle(result.Conversation{Facts: facts}, err, "http", time.Now())
		if got := c.Fact(result.FactLeadsTo); got != tc.leads {
			t.Errorf("%s: it leads to %q, want %q", what, got, tc.leads)
		}
		switch {
		case tc.reason == "" && c.Refusal != nil:
			t.Errorf("%s: %+v", what, c.Refusal)
		case tc.reason != "" && (c.Refusal == nil || c.Refusal.Reason != tc.reason || c.Refusal.By != tc.by || c.Refusal.Code == ""):
			t.Errorf("%s: %+v", what, c.Refusal)
		}
	}
}

// What a plan's row says is asked for goes out, with what keeps caches away.
func TestPathOfTheRowIsAskedFor(t *testing.T) {
	asked := make(chan string, 1)
	at := webFar(t, func(c net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(c))
		if err == nil {
			asked <- req.URL.Path
		}
		_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
	})
	if c := webAsk(t, at, "http", Question{Host: "127.0.0.1", Path: "/PATRONAPI/version", Status: []int{204}}); c.Outcome != result.ConversationCompleted {
		t.Errorf("%+v", c)
	}
	if got := <-asked; got != "/PATRONAPI/version" {
		t.Errorf("asked for %q", got)
	}
}
