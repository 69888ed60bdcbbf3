package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"dialtone/internal/cli"
	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// check says what could be bound.
func (s *serving) check(l *listener.Listener, failed []*listener.BindError) error {
	s.sayFailed(failed)
	fmt.Fprintf(s.words, "Could bind: %s\n", portList(l.Bound()))
	switch {
	case len(l.Bound()) == 0:
		return &cli.Failure{Code: cli.ExitNothing}
	case len(failed) > 0:
		return &cli.Failure{Code: cli.ExitBroken}
	}
	return nil
}

// sayReady says what is bound and what to run elsewhere, with the invitation if
// there is one.
func (s *serving) sayReady(l *listener.Listener, until time.Time, invitation string) {
	w := s.words
	fmt.Fprintf(w, "Listening for plan %s on %s\n", s.Plan.Name, portList(l.Bound()))
	fmt.Fprintf(w, "until %s. Stop it with Ctrl-C.\n\n", until.Format("2006-01-02 15:04 MST"))
	owns := s.owns()
	addrs := s.addresses()
	isClient := s.isDialedBy(plan.RoleClient)
	isPeer := s.Plan.Roles[plan.RolePeer] != "" && (s.isDialedBy(plan.RolePeer) || s.plays(plan.RolePeer))
	if isClient {
		fmt.Fprintf(w, "On a staff PC run:\n  dial%s %s\n", s.flags(), addrs[0])
	}
	if isClient {
		fmt.Fprint(w, s.browserWords(addrs[0]))
	}
	if isPeer {
		fmt.Fprintf(w, "At a partner institution, on its server, run:\n  dial odyssey%s %s\n", s.flags(), slices.Concat(s.public, addrs)[0])
	}
	isApart := s.sayApart(addrs[0])
	s.sayElsewhere()
	switch {
	case isClient || isPeer || isApart:
	case s.isFromOutside():
		s.sayFromOutside()
	default:
		fmt.Fprintf(w, "On the machine to test from, run, with its role (listen plan shows the rows):\n  dial%s --role ROLE %s\n", s.flags(), addrs[0])
	}
	for _, note := range s.quoteNotes {
		fmt.Fprintln(w, note)
	}
	fmt.Fprint(w, downloadWords(addrs[0], s.offers, l.Bound()))
	fmt.Fprint(w, s.dashboard.words())
	fmt.Fprint(w, reachWords(owns[0], len(s.Bind) > 0))
	if len(owns) > 1 && len(s.public) == 0 {
		fmt.Fprintf(w, "Other addresses of this machine: %s. Behind a NAT, give the address that others use.\n", otherWords(owns[1:]))
	}
	if invitation != "" {
		fmt.Fprintf(w, "\nOr send the partner this line, the way you would send a password: it holds the key, and\n"+
			"expires when this stops. It is in %s, too.\n\n%s\n\n"+
			"They paste it behind dial odyssey, or save the e-mail and run: dial odyssey \"@FILE\"\n", s.inviteFile, invitation)
	}
	fmt.Fprintln(w)
}

// plays reports whether listen was told to play a role; told none, it plays all.
func (s *serving) plays(r plan.Role) bool { return len(s.roles) == 0 || slices.Contains(s.roles, r) }

// isDialedBy reports whether any row of the plan runs from a role to one that
// is played here. A plan of a site's own may know no such role: then whoever
// runs dial says with --role what it is.
func (s *serving) isDialedBy(from plan.Role) bool {
	if _, ok := s.Plan.Roles[from]; !ok {
		return from == plan.RoleClient
	}
	return slices.ContainsFunc(s.Plan.Rows, func(r plan.Row) bool {
		return r.Expect == plan.ExpectOpen && s.plays(r.To) && slices.Contains(r.From, from)
	})
}

// lines tell a person who reaches a port by browser, mail or FTP program how to
// go on. Strangers read them: no key, and no path of this machine.
func (s *serving) lines() []string {
	out := []string{
		"Whoever started listen on this machine has the program dial, and a key of six words.",
		"With both, on the machine whose paths are to be tested, run:",
		"  dial --key WORDS" + s.same(false) + " " + s.addresses()[0],
	}
	if len(s.offers) > 0 {
		out = append(out, "The program itself can be fetched here by browser, at /downloads/ of this address.")
	}
	return out
}

// sayWeakKey warns of a key that may be found by trying.
func (s *serving) sayWeakKey(bits float64) {
	fmt.Fprintf(s.errs, "listen: the key that was given is easy to guess: about %.0f bits, where %d or more are wanted. Whoever records one test can try likely keys against it in their own time.\n  Leave the key away, and listen makes one of six random words (77 bits).\n", bits, echo.WeakKey)
}

// flags are those that dial needs here.
func (s *serving) flags() string { return " --key " + s.quoted(s.KeyText) + s.same(true) }

// same are the flags by which dial means the same ports. Who is not an owner is told of
// no file of this machine.
func (s *serving) same(owner bool) string {
	out := ""
	if s.planArg != "illiad" && (owner || slices.Contains(plan.Names(), s.planArg)) {
		out += " --plan " + s.quoted(s.planArg)
	}
	if s.siteArg != "" && owner {
		out += " --site " + s.quoted(s.siteArg)
	}
	if s.Shift != 0 {
		out += " --port-shift " + strconv.Itoa(s.Shift)
	}
	for _, p := range s.portArgs {
		out += " --port " + s.quoted(p)
	}
	if s.contact != 0 {
		out += " --contact " + strconv.Itoa(s.contact)
	}
	return out
}

// quoted writes an argument of a printed line, and keeps what is to be said of it.
func (s *serving) quoted(arg string) string {
	text, otherwise := cli.Quote(arg)
	if note := fmt.Sprintf("Write %s %s.", text, otherwise); otherwise != "" && !slices.Contains(s.quoteNotes, note) {
		s.quoteNotes = append(s.quoteNotes, note)
	}
	return text
}

// portList names the bound ports once each.
func portList(bound []listener.Bound) string {
	type port struct {
		transport plan.Transport
		number    int
	}
	var ports []port
	for _, b := range bound {
		i := slices.IndexFunc(ports, func(p port) bool { return p.transport == b.Transport && p.number == int(b.Addr.Port()) })
		if i < 0 {
			ports = append(ports, port{b.Transport, int(b.Addr.Port())})
		}
	}
	slices.SortFunc(ports, func(a, b port) int {
		if a.transport != b.transport {
			return strings.Compare(string(a.transport), string(b.transport))
		}
		return a.number - b.number
	})
	var out []string
	for i, p := range ports {
		if i == 0 || ports[i-1].transport != p.transport {
			out = append(out, string(p.transport)+" "+strconv.Itoa(p.number))
			continue
		}
		out = append(out, strconv.Itoa(p.number))
	}
	if len(out) == 0 {
		return "no port"
	}
	return strings.Join(out, ", ")
}

// readiness is what the ready file holds. It has no secret.
type readiness struct {
	Instance string            `json:"instance"`
	PID      int               `json:"pid"`
	Bound    []result.Endpoint `json:"bound"`
}

// writeReady writes the ready file at once or not at all.
func writeReady(file string, l *listener.Listener) error {
	r := readiness{Instance: l.Instance.String(), PID: os.Getpid()}
	for _, b := range l.Bound() {
		r.Bound = append(r.Bound, result.Endpoint{AddrPort: b.Addr})
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return cli.WriteFile(filepath.Clean(file), append(b, '\n'))
}
