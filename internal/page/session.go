package page

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/service"
	"dialtone/internal/verdict"
)

// A session is one test of one browser.
type session struct {
	id       token
	conn     service.WebConn // that began it
	from     netip.Addr
	origin   string // of the page
	host     string // as the browser has it
	began    time.Time
	browser  string
	proxy    []string // what shows that the page itself came by a proxy
	rep      *result.Report
	tests    []*test
	finished bool
}

// A test is one port, for all paths that lead there.
type test struct {
	port     int
	rule     string // why the browser makes no request to it; "": it does
	paths    []int  // of the report
	attempts []*attempt
}

// An attempt is the requests with one token. The Page's lock guards it.
type attempt struct {
	session  *session
	token    token
	requests int

	// What came here.
	arrived     bool
	from, local netip.AddrPort
	proxy       []string
	sent        *result.Transfer // nil: none came

	told       *told     // by the browser; nil: nothing yet
	from0, to0 time.Time // when it was made, by this clock
}

// told is what a browser says of an attempt.
type told struct {
	Test     int     `json:"test"`
	Attempt  int     `json:"attempt"`
	Outcome  string  `json:"outcome"`
	AgoMS    float64 `json:"ago_ms"` // how long ago it began
	ElapMS   float64 `json:"elapsed_ms"`
	Got      int64   `json:"got"` // bytes of the payload that are as they were sent
	Changed  bool    `json:"changed"`
	Payload  bool    `json:"payload"` // it came so far
	Local    string  `json:"local_network"`
	Finished bool    `json:"finished"` // there is no more to come
}

const (
	// maxSessions bounds the tests that are remembered.
	maxSessions = 2048
	// attemptsOfPort is how many tokens there are for a port.
	attemptsOfPort = 2
	// tryWithin is how long a browser waits for an answer, in milliseconds: three SYNs go out in it.
	tryWithin = 8000
	// maxAgo bounds how far back an attempt may lie.
	maxAgo = 10 * time.Minute
)

// offered is one test as the browser is told of it.
type offered struct {
	Names  string   `json:"names"`
	Port   int      `json:"port"`
	Needed bool     `json:"needed"`
	Rule   string   `json:"rule,omitempty"`
	URLs   []string `json:"urls"`
}

// start begins a session.
func (p *Page) start(w http.ResponseWriter, r *http.Request, c service.WebConn) {
	var said struct {
		Name string `json:"name"`
		Role string `json:"role"`
	}
	if !read(r, &said) {
		refuse(w, http.StatusBadRequest)
		return
	}
	role := plan.Role(said.Role)
	if !slices.ContainsFunc(p.offeredRoles(), func(o roleOffer) bool { return o.Role == string(role) }) {
		refuse(w, http.StatusBadRequest)
		return
	}
	s := &session{
		id: newToken(), conn: c, from: c.Remote.Addr(), origin: r.Header.Get("Origin"), host: hostOf(r), began: time.Now(), browser: browserOf(r.UserAgent()),
	}
	s.proxy = p.proxySigns(r, c, nil)
	p.begin(s, role, text(said.Name))
	var out []offered
	p.mu.Lock()
	p.remember(s)
	for _, t := range s.tests {
		o := offered{Port: t.port, Rule: t.rule, URLs: []string{}}
		var names []string
		for _, i := range t.paths {
			at := &s.rep.Paths[i]
			if !slices.Contains(names, at.Service) {
				names = append(names, at.Service)
			}
			o.Needed = o.Needed || at.Counted
		}
		o.Names = strings.Join(names, ", ")
		for _, a := range t.attempts {
			o.URLs = append(o.URLs, "http://"+s.host+":"+strconv.Itoa(t.port)+tokenPath+a.token.String())
		}
		out = append(out, o)
	}
	p.mu.Unlock()
	answer(w, map[string]any{"session": sessionPath + s.id.String(), "tests": out, "bytes": payloadSize, "within_ms": tryWithin, "payload_ms": payloadWithin.Milliseconds()})
}

// remember keeps a session. Where there are too many the oldest goes of the network that
// has most, so that nobody makes another's vanish. The lock is held.
func (p *Page) remember(s *session) {
	if len(p.sessions) >= maxSessions {
		count := map[netip.Prefix]int{}
		for _, o := range p.sessions {
			count[networkOf(o.from)]++
		}
		most := p.sessions[0]
		for _, o := range p.sessions {
			if count[networkOf(o.from)] > count[networkOf(most.from)] {
				most = o
			}
		}
		for _, t := range most.tests {
			for _, a := range t.attempts {
				delete(p.tokens, a.token)
			}
		}
		p.sessions = slices.DeleteFunc(p.sessions, func(o *session) bool { return o == most })
	}
	p.sessions = append(p.sessions, s)
	for _, t := range s.tests {
		for _, a := range t.attempts {
			p.tokens[a.token] = a
		}
	}
}

// begin makes the report of a session, of which nothing is known yet, and its tests.
func (p *Page) begin(s *session, role plan.Role, name string) {
	to := p.Roles
	if len(to) == 0 {
		to = []plan.Role{plan.RoleServer, plan.RoleWeb, plan.RoleDatabase}
	}
	flows, left, _ := p.Plan.Select(plan.Query{Local: []plan.Role{role}, Remote: to}) // without Only there is no error
	var roles []string
	for _, t := range to {
		roles = append(roles, string(t))
	}
	local := s.conn.Local
	rep := &result.Report{
		Schema: result.Schema, Tool: p.Software + ", for " + s.browser, Run: s.id.String(), Started: result.TimeOf(s.began),
		Plan: p.Plan.Name, Mode: result.ModeBrowser,
		From:  result.End{Role: string(role), Host: name, Addresses: result.Addrs{s.from}},
		To:    result.End{Role: strings.Join(roles, ","), Host: strings.Trim(s.host, "[]"), Addresses: result.Addrs{local.Addr()}},
		Paths: []result.Path{}, OutOfScope: []result.OutOfScope{}, Findings: []result.Finding{},
		Contact: &result.Contact{
			Flow: p.flowOf(int(local.Port())), Direction: plan.Forward, Port: int(local.Port()), Family: result.FamilyOf(s.from), Target: result.EndpointFrom(s.target(int(local.Port()))),
			SeenAs: result.EndpointFrom(s.conn.Remote), Instance: p.Instance, Software: p.Software, Plan: p.Plan.Name, Roles: roles,
			Busy: []result.BusyPort{}, Witness: p.Witness, Partners: []netip.Addr{},
		},
	}
	for _, f := range flows {
		if f.Direction != plan.Forward || f.Row.Expect != plan.ExpectOpen || f.Row.Port == 0 {
			left = append(left, plan.Excluded{Row: f.Row, Why: "a browser cannot test it: run dial on that computer", TestedBy: plan.ByRole})
			continue
		}
		rep.Paths = append(rep.Paths, result.NewPath(f, result.FamilyOf(s.from)))
	}
	for _, e := range left {
		rep.OutOfScope = append(rep.OutOfScope, result.NewOutOfScope(e))
	}
	s.rep = rep
	for i := range rep.Paths {
		at := &rep.Paths[i]
		at.Source, at.SeenAs = result.EndpointFrom(netip.AddrPortFrom(s.from, 0)), result.Endpoint{}
		at.Target = result.EndpointFrom(s.target(at.Port))
		at.At = rep.Started
		rule := p.ruleFor(at)
		n := slices.IndexFunc(s.tests, func(t *test) bool { return t.port == at.Port && (t.rule == "") == (rule == "") })
		if n < 0 {
			n = len(s.tests)
			t := &test{port: at.Port, rule: rule}
			for range attemptsOfPort {
				if rule == "" {
					t.attempts = append(t.attempts, &attempt{session: s, token: newToken()})
				}
			}
			s.tests = append(s.tests, t)
		}
		s.tests[n].paths = append(s.tests[n].paths, i)
		p.judge(s, s.tests[n])
	}
	verdict.Summarize(rep)
}

// flowOf is the plan's row for a port, or what stands in its place.
func (p *Page) flowOf(port int) string {
	for _, r := range p.Plan.Rows {
		if r.Transport == plan.TCP && r.Port == port {
			return r.ID
		}
	}
	return "page"
}

// target is where a browser's requests to a port go: the address that it was given, or
// where that is a name, the one at which this page was reached.
func (s *session) target(port int) netip.AddrPort {
	a, err := netip.ParseAddr(strings.Trim(s.host, "[]"))
	if err != nil {
		a = s.conn.Local.Addr()
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(port))
}

// ruleFor is why browsers make no request for a path; "": they do.
func (p *Page) ruleFor(at *result.Path) string {
	switch {
	case at.Transport != plan.TCP:
		return "a browser sends no datagrams of its own over UDP"
	case isBad(at.Port):
		return fmt.Sprintf("browsers make no request to port %d (it is on their list of blocked ports, in the Fetch standard)", at.Port)
	case at.SourcePort != 0:
		return "a browser does not choose its source port"
	}
	return ""
}

// serveSession takes what a browser tells of its attempts, and shows the report.
func (p *Page) serveSession(w http.ResponseWriter, r *http.Request, c service.WebConn, text string) bool {
	id, ok := parseToken(text)
	if !ok {
		return false
	}
	p.mu.Lock()
	n := slices.IndexFunc(p.sessions, func(s *session) bool { return s.id == id })
	var s *session
	if n >= 0 {
		s = p.sessions[n]
	}
	p.mu.Unlock()
	switch {
	case s == nil:
		return false
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		sendReport(w, p.reportOf(s))
	case r.Method == http.MethodPost && isFromOwnPage(r) && r.Header.Get("Origin") == s.origin:
		var said told
		if !read(r, &said) || !p.tell(w, s, said) {
			refuse(w, http.StatusBadRequest)
		}
	default:
		refuse(w, http.StatusMethodNotAllowed)
	}
	return true
}

// reportOf is a copy of a session's report as it is now.
func (p *Page) reportOf(s *session) *result.Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := *s.rep
	c.Paths = slices.Clone(s.rep.Paths)
	c.Interrupted = !s.finished
	verdict.Summarize(&c)
	return &c
}

// outcomes are those that a browser may tell.
var outcomes = map[string]result.FetchOutcome{"answered": result.FetchAnswered, "failed": result.FetchFailed, "timeout": result.FetchTimeout}

// tell takes in what a browser says of an attempt, and answers what that comes to; false:
// it makes no sense.
func (p *Page) tell(w http.ResponseWriter, s *session, said told) bool {
	now := time.Now()
	if said.Finished {
		p.finish(s, now)
		answer(w, map[string]string{"report": sessionPath + s.id.String()})
		return true
	}
	if said.Test < 0 || said.Test >= len(s.tests) || outcomes[said.Outcome] == "" || !isTime(said.AgoMS) || !isTime(said.ElapMS) {
		return false
	}
	t := s.tests[said.Test]
	if said.Attempt < 0 || said.Attempt >= len(t.attempts) {
		return false
	}
	said.Got = min(max(said.Got, 0), payloadSize)
	a := t.attempts[said.Attempt]
	p.mu.Lock()
	first := a.told == nil && !s.finished
	if first {
		a.told = &said
		a.from0 = now.Add(-time.Duration(said.AgoMS * float64(time.Millisecond)))
		a.to0 = a.from0.Add(time.Duration(said.ElapMS * float64(time.Millisecond)))
	}
	p.mu.Unlock()
	if !first {
		return false
	}
	p.judge(s, t)
	p.mu.Lock()
	defer p.mu.Unlock()
	at := &s.rep.Paths[t.paths[0]]
	out := map[string]any{"verdict": at.Verdict, "again": at.Verdict != result.Answered && said.Attempt+1 < len(t.attempts)}
	if at.Finding != nil {
		out["text"], out["advice"] = at.Finding.Text, at.Finding.Advice
	}
	answer(w, out)
	return true
}

// isTime reports whether a number of milliseconds may be one that a test took.
func isTime(ms float64) bool { return ms >= 0 && ms <= float64(maxAgo.Milliseconds()) }

// finish ends a session, and hands its report on.
func (p *Page) finish(s *session, now time.Time) {
	p.mu.Lock()
	var again []*test // that were ruled on before another port was answered
	for _, t := range s.tests {
		if i := s.rep.Paths[t.paths[0]].Initiator; s.isAnswered() && i != nil && i.Fetch != nil && i.Fetch.Rule == localNetwork {
			again = append(again, t)
		}
	}
	p.mu.Unlock()
	for _, t := range again {
		p.judge(s, t)
	}
	p.mu.Lock()
	was := s.finished
	s.finished = true
	s.rep.ElapsedMS = now.Sub(s.began).Milliseconds()
	verdict.Summarize(s.rep)
	p.mu.Unlock()
	if !was && p.OnReport != nil {
		p.OnReport(p.reportOf(s), s.conn)
	}
}

// judge has what is known of a port ruled on.
func (p *Page) judge(s *session, t *test) {
	i, a, at := p.halves(s, t)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range t.paths {
		path := &s.rep.Paths[n]
		path.Initiator, path.Acceptor, path.Attempts = i, a, i.Attempts
		path.Verdict, path.Notes, path.Finding = "", nil, nil
		if !at.IsZero() {
			path.At = result.TimeOf(at)
		}
		if i.Source.IsValid() {
			path.Source = i.Source
		}
		if a != nil && a.Saw == result.SawAccepted && a.Match == result.MatchProbe {
			path.SeenAs = a.Source
		}
		verdict.Rule(path, verdict.Context{Mode: result.ModeBrowser, Instance: p.Instance, Alive: true})
	}
}

// halves are both ends' evidence of a port, and when it was last tried.
func (p *Page) halves(s *session, t *test) (*result.Initiator, *result.Acceptor, time.Time) {
	i := &result.Initiator{Target: result.EndpointFrom(s.target(t.port)), Source: result.EndpointFrom(netip.AddrPortFrom(s.from, 0)), Fetch: &result.Fetch{Outcome: result.FetchForbidden, Rule: t.rule}}
	if t.rule != "" {
		i.NotTried = t.rule
		return i, nil, time.Time{}
	}
	p.mu.Lock()
	var a *attempt // that tells most: one that was answered, or the last
	for _, o := range t.attempts {
		if o.told == nil {
			continue
		}
		i.Attempts++
		a = o
	}
	if a == nil {
		p.mu.Unlock()
		i.NotTried, i.Fetch.Rule = "the page was left before it came to this port", ""
		return i, nil, time.Time{}
	}
	said, from, to := *a.told, a.from0, a.to0
	i.Probe, i.At, i.ElapsedMS = a.token.String(), result.TimeOf(from), said.ElapMS
	i.Fetch = &result.Fetch{Outcome: outcomes[said.Outcome], ElapMS: said.ElapMS, Proxy: slices.Concat(s.proxy, a.proxy)}
	if i.Fetch.Outcome == result.FetchAnswered {
		i.Sent = a.sent
		if said.Payload {
			i.Received = &result.Transfer{Want: payloadSize, Intact: said.Got, Outcome: result.TransferIntact}
			switch {
			case said.Changed:
				i.Received.Outcome = result.TransferCorrupted
			case said.Got < payloadSize:
				i.Received.Outcome = result.TransferStalled
			}
		}
	}
	if a.arrived {
		h := &result.Acceptor{Instance: p.Instance, Port: result.PortBound, Saw: result.SawAccepted, Match: result.MatchProbe, Source: result.EndpointFrom(a.from), Local: result.EndpointFrom(a.local)}
		i.Source = result.EndpointFrom(netip.AddrPortFrom(s.from, 0))
		p.mu.Unlock()
		return i, h, from
	}
	crowd, isAnswered := p.isCrowded(s, t.port, from, to), s.isAnswered()
	p.mu.Unlock()
	if p.Browsed == nil {
		return i, nil, from
	}
	now := time.Now()
	h, began := p.Browsed(t.port, s.from, now.Sub(from), max(0, now.Sub(to)))
	if crowd && (h.Saw == result.SawHalfOpen || h.Saw == result.SawAccepted) {
		h.Saw, h.Match, h.Reason = result.SawUnknown, "", "another browser behind the same address tried that port at that time"
	}
	i.Fetch.TLS = h.Saw == result.SawAccepted && began
	// It connects before it decides, and ends that connection without a word.
	// What it forbids, it forbids on all ports of the address: if one of them was answered,
	// that was not it.
	if h.Saw == result.SawAccepted && !began && h.BytesIn == 0 && i.Fetch.Outcome == result.FetchFailed && said.Local == "denied" && !isAnswered {
		i.Fetch.Outcome, i.Fetch.Rule = result.FetchForbidden, localNetwork
		i.NotTried = i.Fetch.Rule
	}
	return i, &h, from
}

// localNetwork is the rule of a browser's that shows itself so.
const localNetwork = "this browser does not let the page ask addresses of the local network (Local Network Access): on each port it connected, and sent nothing"

// isAnswered reports whether any attempt was. The Page's lock is held.
func (s *session) isAnswered() bool {
	return slices.ContainsFunc(s.tests, func(t *test) bool {
		return slices.ContainsFunc(t.attempts, func(a *attempt) bool { return a.arrived && a.told != nil && a.told.Outcome == "answered" })
	})
}

// isCrowded reports whether another session of the same address had an attempt at a port
// under way in a time, of which nothing came. The lock is held.
func (p *Page) isCrowded(s *session, port int, from, to time.Time) bool {
	for _, o := range p.sessions {
		if o == s || o.from != s.from {
			continue
		}
		for _, t := range o.tests {
			for _, a := range t.attempts {
				if t.port == port && a.told != nil && !a.arrived && a.from0.Before(to) && a.to0.After(from) {
					return true
				}
			}
		}
	}
	return false
}
