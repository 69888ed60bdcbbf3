package page

import (
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"dialtone/internal/plan"
)

// A view is what the page shows that makes the requests.
type view struct {
	Future      string
	Port        uint16
	From, Local string
	Host        string
	Certificate string // of this very connection; "": it is without TLS
	Fingerprint string // of the listener's
	HTTPS       string // address at which the certificate can be looked at; ""
	Secure      bool
	Plain       string // this page without TLS
	Roles       []roleOffer
	Files       []string // that are for this computer
	Command     string   // to run dial on it
}

// A roleOffer is a role that whoever has this browser may play.
type roleOffer struct{ Role, Words string }

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

var (
	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
		"style":  func() template.CSS { return template.CSS(pageStyle) },
		"script": func() template.JS { return template.JS(pageScript) },
	}).Parse(pageHTML))
	pagePolicy = "default-src 'none'; img-src data:; style-src '" + sourceHash(pageStyle) + "'; script-src '" + sourceHash(pageScript) + "'"
)

// sourceHash names a style or script in a policy (CSP Level 3, section 2.3.1).
func sourceHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// offeredRoles are those that open connections to what is played here, staff PCs first.
func (p *Page) offeredRoles() (out []roleOffer) {
	here := p.Roles
	if len(here) == 0 {
		here = []plan.Role{plan.RoleServer, plan.RoleWeb, plan.RoleDatabase}
	}
	for _, role := range p.Plan.RoleNames() {
		opens := func(r plan.Row) bool {
			return r.Expect == plan.ExpectOpen && r.Transport == plan.TCP && slices.Contains(r.From, role) && slices.Contains(here, r.To)
		}
		if p.Plan.IsExternal(role) || slices.Contains(p.Roles, role) || !slices.ContainsFunc(p.Plan.Rows, opens) {
			continue
		}
		o := roleOffer{string(role), p.Plan.Roles[role]}
		if role == plan.RoleClient {
			out = slices.Insert(out, 0, o)
		} else {
			out = append(out, o)
		}
	}
	return out
}

// hostPort is an address of a scheme, host and port.
func hostPort(scheme, host string, port int) string {
	if scheme == "http" && port == 80 || scheme == "https" && port == 443 {
		return scheme + "://" + host
	}
	return scheme + "://" + host + ":" + strconv.Itoa(port)
}

// plainLink is where this page is without TLS.
func (p *Page) plainLink(r *http.Request) string {
	return hostPort("http", hostOf(r), LinkPort(p.Plan, p.Ports)) + p.Path()
}

// LinkPort is the port that a link for browsers leads to, of those that are bound: the
// plan's for HTTP, else any that browsers ask; 0: there is none.
func LinkPort(pl *plan.Plan, bound []int) int {
	for _, r := range pl.Rows {
		if l := r.Speaks.Language(); l.Web && l.Within == "" && r.To == plan.RoleWeb && slices.Contains(bound, r.Port) && !isBad(r.Port) {
			return r.Port
		}
	}
	for _, port := range bound {
		if !isBad(port) && port != 443 {
			return port
		}
	}
	return 0
}

// httpsAt is where the listener's certificate can be looked at; "": nowhere.
func (p *Page) httpsAt(r *http.Request) string {
	for _, row := range p.Plan.Rows {
		if l := row.Speaks.Language(); l.Web && l.Within != "" && slices.Contains(p.Ports, row.Port) && !isBad(row.Port) {
			return hostPort("https", hostOf(r), row.Port) + "/"
		}
	}
	return ""
}

// A system is what a browser runs on, by its own word, and how files for it are named.
type system struct{ says, files, program string }

var systems = []system{
	{"Windows", `(?i)(windows|win64|\.exe|\.msi)`, `.\dial.exe`},
	{"Android", `^$`, ""},
	{"Mac OS", `(?i)(darwin|macos)`, "./dial"},
	{"Linux", `(?i)(linux|\.deb|\.rpm|^dial$)`, "./dial"},
}

func systemOf(userAgent string) system {
	for _, s := range systems {
		if strings.Contains(userAgent, s.says) {
			return s
		}
	}
	return system{files: `^$`}
}

// filesFor are the downloads that are for the computer of a browser.
func (p *Page) filesFor(userAgent string) (out []string) {
	is := regexp.MustCompile(systemOf(userAgent).files)
	for _, f := range p.Files {
		if is.MatchString(f) {
			out = append(out, f)
		}
	}
	return out
}

// commandFor is how dial is run on the computer of a browser; the key is not told.
func (p *Page) commandFor(userAgent, host string) string {
	program := systemOf(userAgent).program
	if program == "" {
		program = "dial"
	}
	return program + " --key WORDS" + p.Flags + " " + strings.Trim(host, "[]")
}

// browsers are words by which browsers name themselves, what others say they are, too, last.
var browsers = []struct{ says, name string }{
	{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"HeadlessChrome/", "Chrome"}, {"Chrome/", "Chrome"}, {"Version/", "Safari"},
}

// browserOf is the name and the first number of the version of a browser, in words of
// this program's own.
func browserOf(userAgent string) string {
	for _, b := range browsers {
		if _, rest, ok := strings.Cut(userAgent, b.says); ok {
			digits := 0
			for digits < len(rest) && digits < 4 && rest[digits] >= '0' && rest[digits] <= '9' {
				digits++
			}
			return strings.TrimSpace(b.name + " " + rest[:digits])
		}
	}
	return "a browser"
}
