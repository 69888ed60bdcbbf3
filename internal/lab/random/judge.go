package main

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"dialtone/internal/lab/random/oracle"
)

// A class is a way of being wrong, the worst first.
type class string

const (
	wrongOpen     class = "wrong open"
	falseBlock    class = "false block"
	falseCulprit  class = "false culprit"
	contradiction class = "contradiction"
	tooLong       class = "over 60 s"
	broken        class = "broken"
)

var classes = []class{wrongOpen, falseBlock, falseCulprit, contradiction, tooLong, broken}

// A wrong is one thing that a report says and that is not so.
type wrong struct {
	Class class
	Row   string // "" for the run as a whole
	Words string
}

func (w wrong) String() string {
	if w.Row == "" {
		return fmt.Sprintf("%s: %s", w.Class, w.Words)
	}
	return fmt.Sprintf("%s: %s: %s", w.Class, w.Row, w.Words)
}

// A truth is what the oracle knows of one row.
type truth struct {
	tried, worked int            // plain connections, before and after
	strayed       int            // of those that worked: answered by somebody else
	ended         map[string]int // how the others failed
	own           fates          // dial's own connections
	touched       bool           // a fault that concerns the row was met while dial ran
	lossy         float64        // share of packets that the link loses, the worse way
	natures       []nature       // of the faults that concern it
	undecided     bool           // as many rows lead to one listener as to another: nobody can tell which is meant
	elsewhere     bool           // whatever works forward strays: as behind any NAT
	mixed         bool           // the report says somewhere that paths lead to different listeners
}

// fates are how dial's own connections to a row fared, from what passed at the
// interface of the end that opened them and of the other.
type fates struct {
	opened, worked, failed int
	resets, icmps, silent  int // of those that failed
	arrived, answered      int // seen at the accepting end: requests, and those it answered
	icmpFrom               []string
	lastFailed             time.Duration // when the last of those that failed began
}

func (tr truth) String() string {
	var how []string
	for k, n := range tr.ended {
		how = append(how, fmt.Sprintf("%d %s", n, k))
	}
	slices.Sort(how)
	words := fmt.Sprintf("plain: %d of %d worked", tr.worked, tr.tried)
	if len(how) > 0 {
		words += " (" + strings.Join(how, ", ") + ")"
	}
	if tr.strayed > 0 {
		words += fmt.Sprintf(", %d answered by somebody else", tr.strayed)
	}
	o := tr.own
	return words + fmt.Sprintf("; dial's own: %d of %d failed (%d reset, %d ICMP, %d unanswered), at the far interface %d arrived, %d answered", o.failed, o.opened, o.resets, o.icmps, o.silent, o.arrived, o.answered)
}

func (tr truth) always() bool { return tr.worksAlways() && tr.own.failed == 0 }

// worksAlways reports whether all plain connections reached who was asked.
func (tr truth) worksAlways() bool { return tr.tried > 0 && tr.worked == tr.tried && tr.strayed == 0 }

func (tr truth) never() bool { return tr.tried > 0 && tr.worked == 0 }

// share of the plain connections that reached who was asked.
func (tr truth) share() float64 { return float64(tr.worked-tr.strayed) / float64(max(tr.tried, 1)) }

// know gathers what the oracle knows of a row.
func know(c trial, f facts, r row) truth {
	t := c.Topology
	tr := truth{ended: map[string]int{}}
	expected := t.farNode().name
	if r.Reverse {
		expected = t.nearNode().name
	}
	for _, phase := range []oracle.Results{f.Before, f.After} {
		for _, one := range phase[r.String()] {
			tr.tried++
			if !one.OK {
				tr.ended[one.Ended]++
				continue
			}
			tr.worked++
			if one.Name != fmt.Sprintf("%s:%d", expected, r.Port) {
				tr.strayed++
			}
		}
	}
	for i, fl := range c.Faults {
		if !fl.touches(r) {
			continue
		}
		tr.natures = append(tr.natures, fl.nature)
		// A fault without a counter of its own may have been met.
		tr.touched = tr.touched || f.Hits[i] > 0 || len(fl.plants) == 0 && fl.nature != harmless
		for _, way := range []bool{true, false} {
			tm := fl.back
			if way {
				tm = fl.there
			}
			if tm != nil {
				tr.lossy = max(tr.lossy, tm.Loss)
			}
		}
	}
	opener, accepter, from := f.Near, f.Far, t.nearNode().addrs
	if r.Reverse {
		opener, accepter, from = f.Far, f.Near, t.farNode().addrs
	}
	from = append(slices.Clone(from), t.target(), t.back()) // behind a NAT
	if slices.ContainsFunc(c.Faults, func(fl fault) bool { return fl.translates }) {
		from = nil // whoever it is
	}
	if slices.ContainsFunc(c.Faults, func(fl fault) bool { return fl.beside }) {
		opener.Conns = slices.DeleteFunc(slices.Clone(opener.Conns), func(s oracle.Seen) bool { return !f.Report.made(r, s) })
	}
	tr.own = fare(r, opener, accepter, from)
	return tr
}

// traced is below what an ordinary packet's TTL is where it is sent: such a
// packet was sent to die on the way.
const traced = 50

// patience is how long a connection must have been left alone to count as
// unanswered.
const patience = 900 * time.Millisecond

func port(endpoint string) int {
	a, err := netip.ParseAddrPort(endpoint)
	if err != nil {
		return 0
	}
	return int(a.Port())
}

// fare tells how connections to a row fared. from are the addresses as which the
// end that opened them arrives, nil for any: others may use the port as well.
func fare(r row, opener, accepter oracle.Seens, from []string) (o fates) {
	for _, s := range accepter.Conns {
		if host, _, _ := net.SplitHostPort(s.From); from != nil && !slices.Contains(from, host) {
			continue
		}
		if source := port(s.From); s.Out || s.Transport != r.Transport || port(s.To) != r.Port || source >= oracle.StrangerPorts && source < oracle.StrangerPorts+oracle.Strangers {
			continue
		}
		o.arrived++
		if s.SYNACKs > 0 || s.Answers > 0 {
			o.answered++
		}
	}
	for _, s := range opener.Conns {
		if !s.Out || s.Transport != r.Transport || port(s.To) != r.Port || s.TTL < traced {
			continue
		}
		waited := opener.Ended - s.First
		if s.Transport == "tcp" && s.SYNs == 1 && s.SYNACKs == 0 && !s.FarRST && len(s.ICMP) == 0 && waited > patience {
			continue // given up before the system sent its SYN again: it was not left alone
		}
		o.opened++
		var failed bool
		if s.Transport == "udp" {
			failed = s.Answers == 0 && waited > patience
		} else {
			failed = s.SYNACKs == 0 && (s.FarRST || len(s.ICMP) > 0 || waited > patience) ||
				s.SYNACKs > 0 && s.There > 0 && s.Back == 0 && (s.FarRST || s.LastThere-s.First > patience)
		}
		if !failed {
			o.worked++
			continue
		}
		o.failed++
		o.lastFailed = max(o.lastFailed, s.First)
		switch {
		case len(s.ICMP) > 0:
			o.icmps++
			for _, w := range s.ICMP {
				_, from, _ := strings.Cut(w, " from ")
				o.icmpFrom = append(o.icmpFrom, from)
			}
		case s.FarRST:
			o.resets++
		default:
			o.silent++
		}
	}
	return o
}

// few is what part of plain connections may fail before an open is wrong even
// though dial's own connections all came through.
const few = 0.6

// roundTrips is how many more of them than the lab's own a run may take.
const roundTrips = 30

// judge holds a report against the truth.
func judge(c trial, f facts) []wrong {
	var all []wrong
	say := func(k class, row, format string, args ...any) {
		all = append(all, wrong{k, row, fmt.Sprintf(format, args...)})
	}
	if f.Took > time.Minute+roundTrips*c.roundTrip() {
		say(tooLong, "", "dial took %v", f.Took.Round(time.Second))
	}
	for _, sign := range []string{"panic:", "fatal error:", "DATA RACE", "goroutine 1 ["} {
		if strings.Contains(f.Log, sign) {
			say(broken, "", "a program says %q", sign)
			break
		}
	}
	r := f.Report
	if r.Schema == "" {
		say(broken, "", "no report, exit status %d", f.Exit)
		return all
	}
	anyTouched, anyWorks, failures, resets, lastFailed := false, false, 0, 0, time.Duration(0)
	counted := map[row]bool{}
	for _, p := range r.Paths {
		if k, ok := known(c.Topology, p); ok {
			counted[k] = counted[k] || p.Counted
		}
	}
	for _, k := range c.Topology.rows() {
		tr := know(c, f, k)
		anyTouched = anyTouched || tr.touched
		if counted[k] && !slices.Contains(tr.natures, lossy) && !slices.Contains(tr.natures, content) {
			failures += tr.own.failed
			resets += tr.own.resets
			lastFailed = max(lastFailed, tr.own.lastFailed)
		}
		anyWorks = anyWorks || tr.worked > 0
	}
	// A name's addresses have a path each, and the row is no better than the worst.
	worst := map[row]bool{}
	for _, p := range r.Paths {
		if k, ok := known(c.Topology, p); ok && !p.OK {
			worst[k] = true
		}
	}
	judged := map[row]bool{}
	for _, p := range r.Paths {
		k, ok := known(c.Topology, p)
		if !ok || p.Opposite || judged[k] || p.Address != "" && p.OK && worst[k] {
			continue
		}
		judged[k] = true
		tr := know(c, f, k)
		some, of := stray(c, f)
		tr.undecided, tr.mixed = 2*some >= of || strayedAtAll(c, f) >= 0.4, saysMixed(r)
		tr.elsewhere = some == of && some > 0 && !slices.ContainsFunc(c.Faults, func(fl fault) bool { return fl.mention == saysOwn })
		if words := openWrongly(p, tr); words != "" {
			say(wrongOpen, k.String(), "%s (%s); %s", p.Verdict, p.Proof, words)
		}
		if words := blockedFalsely(p, tr, anyTouched); words != "" {
			say(falseBlock, k.String(), "%s; %s", said(p), words)
		}
		if words := accusesFalsely(c, p, tr, f); words != "" {
			say(falseCulprit, k.String(), "%s; %s; %s", said(p), words, tr)
		}
	}
	if slices.ContainsFunc(c.Faults, func(fl fault) bool { return fl.listen == restarts && isNamed(r, fl) }) {
		failures -= resets // of a machine whose listener had ended, as is said; a moment when nothing passes resets nothing
	}
	if r.Summary.OK && failures > 0 && slices.ContainsFunc(c.Faults, func(fl fault) bool {
		return (fl.nature == moment || fl.listen != "" || fl.Kind == "shun") && !isNamed(r, fl) && !isHidden(c, r, fl, lastFailed)
	}) &&
		!slices.ContainsFunc(all, func(w wrong) bool { return w.Class == wrongOpen }) {
		say(wrongOpen, "", "all is said to be well (exit status %d), and %d of dial's own connections failed", f.Exit, failures)
	}
	for _, words := range denied(r, f.Exit, c) {
		say(contradiction, "", "%s", words)
	}
	for _, fd := range r.Findings {
		if words := runAccusesFalsely(c, fd, f, anyTouched, anyWorks); words != "" {
			say(falseCulprit, "", "%s: %s %s; %s", fd.Code, fd.Text, fd.Advice, words)
		}
	}
	return all
}

// beforeSleep is how long before listen sleeps what happens may still be hidden by it.
const beforeSleep = 100 * time.Millisecond

// isHidden reports whether all that a fault did, it did while listen slept, as the
// report says: the connections that failed, the last of which was opened then, would
// have failed as well, and nothing shows what else happened to them.
func isHidden(c trial, r report, fl fault, lastFailed time.Duration) bool {
	return fl.nature == moment && fl.until == 0 && slices.ContainsFunc(c.Faults, func(g fault) bool {
		return g.listen == sleeps && g.at <= fl.at+beforeSleep && fl.at < g.until && lastFailed < g.until && isNamed(r, g)
	})
}

// isNamed reports whether a finding about the run names a fault as what it is.
func isNamed(r report, fl fault) bool {
	return fl.mention != nil && slices.ContainsFunc(r.Findings, func(fd finding) bool { return fl.mention.MatchString(fd.Text) })
}

// stray counts the forward rows that work, and those of them that lead to
// somebody else.
func stray(c trial, f facts) (some, of int) {
	for _, o := range c.Topology.rows() {
		tr := know(c, f, o)
		if o.Reverse || tr.worked == 0 {
			continue
		}
		of++
		if tr.strayed == tr.worked {
			some++
		}
	}
	return some, of
}

// strayedAtAll is the share of the forward connections that worked which led to
// somebody else.
func strayedAtAll(c trial, f facts) float64 {
	strayed, worked := 0, 0
	for _, o := range c.Topology.rows() {
		if tr := know(c, f, o); !o.Reverse {
			strayed, worked = strayed+tr.strayed, worked+tr.worked
		}
	}
	return float64(strayed) / float64(max(worked, 1))
}

func saysMixed(r report) bool {
	different := func(fd finding) bool { return strings.HasPrefix(fd.Code, "redirected") || fd.Code == "other-machine" }
	return slices.ContainsFunc(r.Findings, different) || slices.ContainsFunc(r.Paths, func(p path) bool { return p.Finding != nil && different(*p.Finding) })
}

func said(p path) string {
	if p.Finding == nil {
		return p.Verdict
	}
	return fmt.Sprintf("%s (%s): %s | %s", p.Verdict, p.Finding.Code, p.Finding.Text, p.Finding.Advice)
}

// openWrongly says why a row that is said to work does not.
func openWrongly(p path, tr truth) string {
	if !p.OK {
		return ""
	}
	lossOnly := !slices.ContainsFunc(tr.natures, func(n nature) bool { return n != lossy && n != harmless })
	switch {
	case tr.never() && !tr.elsewhere && !tr.isBelowLimit():
		return "it never works: " + tr.String()
	case lossOnly:
		return "" // what TCP recovers, and what the next attempt does, is for notes
	case tr.elsewhere || tr.mixed && tr.undecided && tr.strayed == tr.worked:
		return "" // one machine is there, if not the one that was meant; or the report says where paths differ
	case tr.strayed*10 >= tr.tried*4:
		return "it leads elsewhere: " + tr.String()
	case slices.Contains(tr.natures, moment) || slices.Contains(tr.natures, own):
		if tr.own.failed > 0 && tr.own.worked == 0 {
			return "no connection of this run came through: " + tr.String()
		}
		return "" // the run as a whole must say it
	case p.Proof == "service" && slices.Contains(tr.natures, content):
		return "" // what the service says passes; only what this test says for itself does not
	case tr.lossy > 0 && tr.own.failed == tr.own.silent && tr.worksAlways():
		return "" // what failed got lost: nothing keeps any of dozens of plain connections from working
	case tr.own.failed > 0:
		return "it works in part: " + tr.String()
	case slices.ContainsFunc(p.Notes, func(n struct{ Code, Text string }) bool { return n.Code == "idle-unknown" }):
		return "" // dial says that it did not find out
	case slices.Contains(tr.natures, resting) && tr.touched:
		return "its connections are cut off after a while, and it was tested with --hold: " + tr.String()
	case tr.share() <= few && p.Counted && !slices.Contains(tr.natures, limit): // two dozen at once may be more than it lets through
		return "it works in part: " + tr.String()
	}
	return ""
}

// isBelowLimit reports whether a limit is all that can keep connections of a row from
// working, and dial, which opened fewer than the plain client, met it with none. Where
// a round trip takes over a second each SYN is sent again and counts, so that of two
// dozen at once none may come through.
func (tr truth) isBelowLimit() bool {
	return slices.Contains(tr.natures, limit) && tr.own.worked > 0 && tr.own.failed == 0 &&
		!slices.ContainsFunc(tr.natures, func(n nature) bool { return n != limit && n != harmless })
}

// anyOfThem reports whether a row that is said to lead elsewhere is one of as
// many that lead here as there, of which nobody can tell which are meant.
func (tr truth) anyOfThem(p path) bool { return p.Verdict == "redirected" && tr.undecided && tr.mixed }

// missed reports whether an ok row works in part, and no connection of dial's
// met that: bad luck, not a wrong.
func missed(p path, tr truth) bool {
	return p.OK && openWrongly(p, tr) == "" && tr.tried > 0 && tr.share() < 0.98 && tr.lossy == 0
}

// blockedFalsely says why a row that is said not to work does.
func blockedFalsely(p path, tr truth, anyTouched bool) string {
	if p.OK {
		return ""
	}
	if p.Verdict == "untested" && anyTouched {
		return "" // nobody could be asked
	}
	if tr.anyOfThem(p) || p.Direction == "reverse" && tr.elsewhere {
		return "" // and another machine was asked to dial back
	}
	if tr.lossy > 0 {
		// TCP recovers a tenth of its packets lost; more may be unsteady.
		gentle := tr.lossy <= 0.1 && !slices.ContainsFunc(tr.natures, func(n nature) bool { return n != lossy && n != harmless })
		if tr.worked == tr.tried && tr.strayed == 0 && (gentle && p.Verdict != "open" || slices.Contains([]string{"stalled", "filtered", "mtu-hole", "reply-lost", "corrupted", "intercepted"}, p.Verdict)) &&
			!slices.ContainsFunc(tr.natures, func(n nature) bool { return n != lossy && n != harmless }) {
			return fmt.Sprintf("%.0f %% of packets are lost and nothing else is: %s", tr.lossy*100, tr)
		}
		return ""
	}
	if !tr.always() || tr.touched {
		return ""
	}
	return "it works: " + tr.String()
}

// accused is who a finding blames, by its code; nobody for those that are not
// here. Any of them may be the one.
var accuses = map[string][]party{
	"nothing-listens":      {listener},
	"refused-on-the-way":   {device, farEnd},
	"refused-by-host":      {farEnd, device},
	"refused-busy":         {farEnd},
	"filtered-by-host":     {farEnd},
	"rejected-by-host":     {farEnd, device},
	"rejected":             {device},
	"blocked-locally":      {nearEnd},
	"nat-no-forward":       {nat, device, farEnd},
	"redirected-in-turn":   {nat},
	"redirected-port":      {nat},
	"redirected-host":      {nat},
	"other-machine":        {nat, naming},
	"corrupted":            {device},
	"intercepted":          {device, nat},
	"mtu-hole":             {link},
	"application-firewall": {device},
	"reply-lost":           {device, nearEnd},
	"filtered":             {device, farEnd, nearEnd},
	"no-neighbour":         {naming, nat},
	"answers-for-all":      {device},
}

var addressIn = regexp.MustCompile(`\b(?:\d{1,3}\.){3}\d{1,3}\b|\b2001:db8:[0-9a-f:]+`)

// blamesNetwork is what only something on the way can be asked to do.
var blamesNetwork = regexp.MustCompile(`(?i)firewall|intrusion|load balancer|application-aware|Please (allow|check|let|find|correct|exempt|forward)`)

// accusesFalsely says whom a row's finding blames wrongly.
func accusesFalsely(c trial, p path, tr truth, f facts) string {
	if p.OK || p.Verdict == "untested" || p.Verdict == "unsteady" && p.Finding == nil || tr.anyOfThem(p) {
		return ""
	}
	if (p.Verdict == "filtered" || p.Verdict == "reply-lost") && tr.elsewhere {
		return "" // as behind any NAT, the machine that was asked is taken for the one that was meant
	}
	// What the verdict itself claims to have happened, against what passed.
	o := tr.own
	switch p.Verdict {
	case "reply-lost":
		if o.arrived == 0 {
			return "nothing of it arrived at the far end's interface"
		}
	case "filtered":
		if o.answered > 0 && o.worked == 0 && o.answered == o.arrived {
			return fmt.Sprintf("%d arrived at the far end, and %d were answered there", o.arrived, o.answered)
		}
	case "refused":
		if o.failed > 0 && o.resets == 0 {
			return "no RST came back"
		}
	case "rejected":
		if o.failed > 0 && o.icmps == 0 && !slices.Contains(tr.natures, own) && !slices.ContainsFunc(c.Faults, func(fl fault) bool { return slices.Contains(fl.places, c.Topology.nearNode().name) }) {
			return "no ICMP error came back"
		}
	}
	if p.Direction == "reverse" && strings.HasPrefix(c.Topology.NAT, "masquerade") {
		return "" // that NAT does not forward it, whatever else is planted
	}
	var concerned []fault
	for i, fl := range c.Faults {
		if fl.touches(rowOf(p)) && fl.nature != harmless && (f.Hits[i] > 0 || len(fl.plants) == 0 || fl.hosts != nil) {
			concerned = append(concerned, fl)
		}
	}
	if p.Verdict == "idle-dropped" && !slices.ContainsFunc(concerned, func(fl fault) bool { return fl.Kind == "idle" }) {
		return "no connection is cut off for being idle"
	}
	if p.Finding == nil {
		return ""
	}
	if p.Finding.Code == "window-scale" && slices.ContainsFunc(c.Faults, func(fl fault) bool { return fl.Kind == "option-stripped" }) {
		return "" // harmless to whoever sends little
	}
	text := p.Finding.Text + " " + p.Finding.Advice
	if len(concerned) == 1 && concerned[0].mention != nil && concerned[0].mention.MatchString(allFindings(f.Report, p)) {
		return "" // it is named as what it is
	}
	if who, ok := accuses[p.Finding.Code]; ok && len(concerned) > 0 {
		if !slices.ContainsFunc(concerned, func(fl fault) bool {
			return slices.ContainsFunc(fl.accused, func(a party) bool { return slices.Contains(who, a) })
		}) {
			return fmt.Sprintf("it blames %v, and it is %v", who, concerned[0].accused)
		}
	}
	// Where nobody could be asked, all that might be the cause may be listed.
	unasked := len(concerned) > 0 && (p.Verdict == "silent" || p.Verdict == "refused") && f.Report.Contact == nil && concerned[0].hosts == nil
	if len(concerned) == 1 && concerned[0].mention != nil && !unasked && blamesNetwork.MatchString(text) {
		return fmt.Sprintf("it blames the network for this: %s", concerned[0].Text)
	}
	if len(concerned) > 0 {
		if named := strangers(c, text, concerned); named != "" {
			return fmt.Sprintf("it names %s, and it is at %s", named, concerned[0].places)
		}
	}
	return ""
}

func rowOf(p path) row { return row{p.PlanPort, p.Transport, p.Direction == "reverse"} }

// allFindings is what is said of a row and of the run.
func allFindings(r report, p path) string {
	text := p.Finding.Text + " " + p.Finding.Advice
	for _, fd := range r.Findings {
		text += " " + fd.Text + " " + fd.Advice
	}
	return text
}

// asFarAs is where an attempt's packets showed themselves last; seenAs is what a
// translation shows.
var (
	asFarAs = regexp.MustCompile(`(?i)it gets as far as [^(]*\(hop \d+\)`)
	seenAs  = regexp.MustCompile(`seen as [0-9a-f.:]+`)
)

// strangers names a device in a text that is neither an end nor where a fault
// is, nor beside that: a router lets a packet die before its own rules see it,
// so the suspects are always two.
func strangers(c trial, text string, faults []fault) string {
	way := c.Topology.way()
	fine := c.Topology.ends()
	text = seenAs.ReplaceAllString(asFarAs.ReplaceAllString(text, ""), "") // a fact, and no accusation
	for i, n := range way {
		for _, fl := range faults {
			if slices.Contains(fl.places, n.name) {
				for j := max(i-1, 0); j <= min(i+1, len(way)-1); j++ {
					fine = append(fine, way[j].addrs...)
				}
			}
		}
	}
	if slices.ContainsFunc(faults, func(fl fault) bool { return len(fl.places) == 0 }) {
		return ""
	}
	for _, a := range addressIn.FindAllString(text, -1) {
		if slices.Contains(fine, strings.TrimRight(a, ":")) || a == "10.2.0.20" || a == "2001:db8:2::20" || a == "2001:db8:2::99" || a == "10.2.0.99" {
			continue
		}
		for _, n := range way {
			if slices.Contains(n.addrs, a) {
				return a + " (" + n.name + ")"
			}
		}
	}
	return ""
}

// runAccusesFalsely says whom a finding about the run blames wrongly.
func runAccusesFalsely(c trial, fd finding, f facts, anyTouched, anyWorks bool) string {
	switch fd.Code {
	case "answers-for-all":
		return "nothing answers for all"
	case "name-not-found", "no-row", "other-plan", "other-shift", "wrong-key", "not-allowed", "other-version", "proxy-environment", "proxy-system":
		return "nothing of the kind is planted"
	case "ip4-black-hole", "ip6-black-hole":
		return "there is one family only"
	case "contact-lost":
		if !anyTouched && !strings.Contains(fd.Text, "window scale") { // which crawls, and is said to
			return "nothing is planted that could do that"
		}
	case "no-contact":
		if !anyTouched && anyWorks {
			return "every row works"
		}
	}
	return ""
}

// denied lists what a report says against its own evidence.
func denied(r report, exit int, c trial) []string {
	var out []string
	proved := func(p path) bool { return p.Initiator != nil && p.Initiator.Answer == "keyed" }
	anyProved, failed := "", 0
	seen := map[row]bool{}
	for _, p := range r.Paths {
		if (proved(p) || p.Proof == "keyed") && p.Direction == "forward" {
			anyProved = rowOf(p).String()
		}
		if p.Counted && !p.OK {
			failed++
		}
		if seen[rowOf(p)] {
			continue
		}
		seen[rowOf(p)] = true
		name := rowOf(p).String()
		text := ""
		if p.Finding != nil {
			text = p.Finding.Text + " " + p.Finding.Advice
		}
		if p.Verdict == "open" && p.Initiator != nil && p.Proof == "keyed" {
			for _, tm := range []*transfer{p.Initiator.Sent, p.Initiator.Received} {
				if tm != nil && tm.Outcome != "intact" {
					out = append(out, fmt.Sprintf("%s is open, and its payload %q", name, tm.Outcome))
				}
			}
		}
		if p.OK && p.Finding != nil {
			out = append(out, name+" is ok, and has a finding: "+p.Finding.Text)
		}
		if (p.Verdict == "silent" || p.Verdict == "filtered" || p.Verdict == "reply-lost") && p.Transport == "tcp" && p.Initiator != nil && p.Initiator.Connect == "open" && !strings.Contains(text, "Not every connection") {
			out = append(out, fmt.Sprintf("%s is %s, and the connection opened", name, p.Verdict))
		}
		if (p.Verdict == "silent" || p.Verdict == "filtered" || p.Verdict == "reply-lost" || p.Verdict == "rejected" || p.Verdict == "refused") && proved(p) && !strings.Contains(text, "proved") {
			out = append(out, fmt.Sprintf("%s is %s, and was proved by key: %s", name, p.Verdict, text))
		}
		if a := p.Acceptor; a != nil {
			if a.Port == "bound" && regexp.MustCompile(`(?i)nothing listens there|says that nothing listens|listener does not hold`).MatchString(text) {
				out = append(out, fmt.Sprintf("%s: the listener holds the port, and it is said: %s", name, text))
			}
			if a.Saw == "half-open" && regexp.MustCompile(`(?i)(saw nothing|nothing of it|never saw|nothing arrive)`).MatchString(text) {
				out = append(out, fmt.Sprintf("%s is half-open there, and it is said: %s", name, text))
			}
			if p.Verdict == "filtered" && (a.Saw == "half-open" || a.Saw == "accepted") {
				out = append(out, fmt.Sprintf("%s is filtered, and the acceptor saw it %s", name, a.Saw))
			}
		}
		if strings.Contains(text, "does not hold what was seen") {
			out = append(out, fmt.Sprintf("%s: its own report is said not to hold what was seen: %s", name, text))
		}
		if p.Attempts > 30 {
			out = append(out, fmt.Sprintf("%s was tried %d times", name, p.Attempts))
		}
		if strings.Contains(text, "hop 0") {
			out = append(out, name+" names a hop 0")
		}
		for _, n := range p.Notes {
			translated := c.Topology.NAT != "" || c.Topology.Pair || slices.ContainsFunc(c.Faults, func(f fault) bool { return f.nature == elsewhere || f.hosts != nil || f.translates })
			if n.Code == "nat" && !translated {
				out = append(out, fmt.Sprintf("%s: a NAT that is not there: %s", name, n.Text))
			}
		}
	}
	for _, fd := range r.Findings {
		if anyProved != "" && regexp.MustCompile(`(?i)nothing at .* proved the key|every path to it is blocked|neither got through`).MatchString(fd.Text+" "+fd.Advice) {
			out = append(out, fmt.Sprintf("%s was proved by key, and it is said: %s %s", anyProved, fd.Text, fd.Advice))
		}
	}
	if r.Summary.OK && failed > 0 {
		out = append(out, fmt.Sprintf("the summary is ok, and %d counted rows are not", failed))
	}
	if exit == 0 && !r.Summary.OK || exit == 1 && r.Summary.OK {
		out = append(out, fmt.Sprintf("exit status %d, and the summary's ok is %v", exit, r.Summary.OK))
	}
	return out
}
