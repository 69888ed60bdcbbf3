package service

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"dialtone/internal/result"
)

// What an HTTP response says of who answered. A page is a page: whether it is the
// service's shows only in the status, in where it leads to, and in fields that
// nobody but a proxy writes.

// maxWebLook is how much of a page is searched for the host that it leads to.
const maxWebLook = 16 << 10

// isGatewayStatus reports whether a status is one of a gateway or load balancer whose server does not
// serve (RFC 9110 section 15.6; the 520s are a large content network's).
func isGatewayStatus(code int) bool {
	return code == http.StatusBadGateway || code == http.StatusServiceUnavailable || code == http.StatusGatewayTimeout ||
		code >= 520 && code <= 527 || code == 530
}

// webRefusal is what a response of a server that is not ours says no with, nil if
// it does not. trusted says that it came under TLS with a certificate that is good
// for the host: then what answers is the host, wherever it leads.
func webRefusal(resp *http.Response, q Question, trusted bool) (out []result.Fact, err error) {
	code := strconv.Itoa(resp.StatusCode)
	phrase := strings.TrimSpace(strings.TrimPrefix(resp.Status, code))
	if s := resp.Header.Get("Server"); s != "" {
		phrase += " (" + s + ")"
	}
	between := func(reason result.Reason, words string) error {
		return refusedError{result.Refusal{By: result.RefuserBetween, Reason: reason, Code: code, Words: shown(words)}}
	}
	switch {
	case slices.Contains(q.Status, resp.StatusCode): // the plan's row says that it is right
		return nil, nil
	case resp.StatusCode == http.StatusProxyAuthRequired:
		if who := resp.Header.Get("Proxy-Authenticate"); who != "" {
			phrase += ", " + who
		}
		return nil, between(result.ReasonProxyLogin, phrase)
	case resp.StatusCode == http.StatusNetworkAuthenticationRequired: // RFC 6585 section 6
		return nil, between(result.ReasonPortal, phrase)
	case resp.StatusCode >= 400 && resp.Header.Get("X-Squid-Error") != "":
		return nil, between(result.ReasonPortal, phrase+", a proxy's own: "+resp.Header.Get("X-Squid-Error"))
	case isGatewayStatus(resp.StatusCode):
		return nil, refused(result.ReasonNoBackend, code, phrase)
	}
	if to := leadsTo(resp, q.Host); to != "" {
		out = append(out, result.Fact{Name: result.FactLeadsTo, Value: shown(to)})
		if !trusted && isOfTheMoment(resp.StatusCode) && !isSameSite(q.Host, to) {
			return out, refused(result.ReasonPortal, code, phrase+", leads to "+to)
		}
	}
	if len(q.Status) > 0 {
		return out, refused(result.ReasonStatus, code, fmt.Sprintf("%s, where the plan expects %s", phrase, strings.Trim(fmt.Sprint(q.Status), "[]")))
	}
	return out, nil
}

// isOfTheMoment reports whether where a response leads to holds for now. A portal
// says so, lest its answer be kept when the guest has logged in; a site that has
// moved for good says 301 or 308 (RFC 9110 sections 15.4.2 and 15.4.9).
func isOfTheMoment(code int) bool {
	return code != http.StatusMovedPermanently && code != http.StatusPermanentRedirect
}

// refresh finds where a page sends a browser on to by itself, or a portal's own
// program (WISPr); script the same in a page that is all script.
var (
	refresh = regexp.MustCompile(`(?is)<meta[^>]+http-equiv\s*=\s*["']?refresh[^>]*url\s*=\s*["']?([^"'> ]+)|` +
		`<meta[^>]+url\s*=\s*["']?([^"'> ]+)[^>]*http-equiv\s*=\s*["']?refresh|` + // its attributes may stand in any order
		`<LoginURL>\s*([^<\s]+)`)
	script = regexp.MustCompile(`(?is)\blocation(?:\.href)?\s*(?:=|\.replace\(|\.assign\()\s*["'](https?://[^"']+)`)
)

// maxAllScript is how large a page is in bytes that does no more than lead on.
const maxAllScript = 1 << 10

// leadsTo is the other host to which a response sends a browser on: by its
// Location, its Refresh, or in a page that has little else; "" if it does not. The
// same host under another scheme, port or address is not another.
func leadsTo(resp *http.Response, host string) string {
	var to string
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		to = resp.Header.Get("Location")
	case resp.Header.Get("Refresh") != "":
		_, to, _ = strings.Cut(strings.ToLower(resp.Header.Get("Refresh")), "url=")
	case resp.StatusCode >= 200 && resp.StatusCode < 300 && isPage(resp.Header):
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxWebLook))
		page := unpackPage(resp.Header, body)
		m := refresh.FindSubmatch(page)
		if m == nil && len(page) <= maxAllScript {
			m = script.FindSubmatch(page)
		}
		if m != nil {
			to = string(bytes.Join(m[1:], nil))
		}
	}
	u, err := url.Parse(strings.Trim(strings.TrimSpace(to), `"'`))
	if err != nil || u.Hostname() == "" || isSameHost(host, u.Hostname()) {
		return ""
	}
	return u.Hostname()
}

// isPage reports whether a body may be a page: one without a word of its kind may
// (RFC 9110 section 8.3), and browsers look.
func isPage(h http.Header) bool {
	kind := strings.ToLower(h.Get("Content-Type"))
	return kind == "" || strings.Contains(kind, "html")
}

// isSameHost reports whether two names or addresses are one host's, as far as they
// show it: a short name and the whole of it, with www or without.
func isSameHost(a, b string) bool {
	a, b = hostWords(a), hostWords(b)
	if a == b {
		return true
	}
	x, errA := netip.ParseAddr(a)
	y, errB := netip.ParseAddr(b)
	if errA == nil || errB == nil {
		return errA == nil && errB == nil && x.Unmap().WithZone("") == y.Unmap().WithZone("")
	}
	if strings.Contains(a, ".") == strings.Contains(b, ".") {
		return false
	}
	return strings.HasPrefix(a, b+".") || strings.HasPrefix(b, a+".")
}

func hostWords(s string) string {
	return strings.TrimPrefix(strings.TrimSuffix(strings.ToLower(strings.Trim(s, "[]")), "."), "www.")
}

// isSameSite reports whether two names belong to one owner, by the list of the
// names under which anybody can have one: a library's page and its university's
// login.
func isSameSite(a, b string) bool {
	if _, err := netip.ParseAddr(a); err == nil {
		return false
	}
	x, errA := publicsuffix.EffectiveTLDPlusOne(hostWords(a))
	y, errB := publicsuffix.EffectiveTLDPlusOne(hostWords(b))
	return errA == nil && errB == nil && x == y
}
