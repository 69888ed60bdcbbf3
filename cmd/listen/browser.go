package main

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"dialtone/internal/listener"
	"dialtone/internal/page"
	"dialtone/internal/plan"
	"dialtone/internal/report"
	"dialtone/internal/result"
)

// newPage is what browsers get, before its listener is made.
func (s *serving) newPage() *page.Page {
	names := []string{"localhost"}
	for _, n := range s.public {
		if _, err := netip.ParseAddr(n); err != nil {
			names = append(names, n)
		}
	}
	return page.New(page.Config{Plan: s.Plan, Roles: s.roles, Names: names, Future: s.future(), Files: s.offers, Flags: s.same(false)})
}

// openPage lets browsers in, once the listener is bound.
func (s *serving) openPage(l *listener.Listener) {
	p := s.page
	p.Software, p.Instance, p.Fingerprint = l.Software, l.Instance.String(), l.Fingerprint()
	p.Browsed, p.OnWrong = l.Browsed, l.BrowserGuessed
	p.OnReport = func(r *result.Report, c listener.WebConn) {
		who := ""
		if r.From.Host != "" {
			who = fmt.Sprintf("%q: ", r.From.Host)
		}
		l.BrowserTested(c, who+report.Answer(r))
		s.dashboard.take(r, c.Remote.Addr())
	}
	for _, b := range l.Bound() {
		if port := int(b.Addr.Port()); b.Transport == plan.TCP && !slices.Contains(p.Ports, port) {
			p.Ports = append(p.Ports, port)
		}
	}
	slices.Sort(p.Ports)
}

// future is what is to be on this machine, in a few words of the plan's; "": it has
// none.
func (s *serving) future() string {
	role := plan.RoleServer
	if len(s.roles) > 0 {
		role = s.roles[0]
	}
	if s.Plan.Roles[role] == "" {
		role = plan.RoleWeb
	}
	words, _, _ := strings.Cut(s.Plan.Roles[role], " (")
	words, _, _ = strings.Cut(words, ", ")
	return words
}

// browserWords say how a staff PC is tested by browser; "": it cannot be.
func (s *serving) browserWords(addr string) string {
	port := page.LinkPort(s.Plan, s.page.Ports)
	if port == 0 {
		return ""
	}
	host := addr
	if strings.Contains(addr, ":") {
		host = "[" + addr + "]"
	}
	if port != 80 {
		host = net.JoinHostPort(addr, strconv.Itoa(port))
	}
	return fmt.Sprintf("Or, where no program may run, open in its browser (less is shown so, and nothing is proved):\n  http://%s%s\n", host, s.page.Path())
}
