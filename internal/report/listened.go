package report

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// How many of a kind are told of where people read it; JSON and CSV have them all.
const (
	maxGuests    = 60
	maxStrangers = 20
	maxHalf      = 30
	maxBrowsed   = 60
	maxFrom      = 6
)

// heard is what listen's own report says to people, whatever the form.
type heard struct {
	r        *result.Report
	Ports    []heardPort
	Guests   []labelledTexts // with the key, by address
	Lacking  []string        // those of them whose own dial found paths that are not ok, and which
	Browsed  []string        // browsers' tests, the newest first
	Half     []string        // what arrived and was not completed
	Strange  []string        // without the key
	Unbound  []string
	Commands []machine // to run where nobody came from yet
	Facts    [][2]string
}

// A heardPort is a port that is expected to be reached, in words.
type heardPort struct {
	Class, Mark, Port, Service, By, From string
	Optional                             bool // nobody has to reach it
}

func hear(r *result.Report) heard {
	h := heard{r: r}
	l := r.Listened
	if l == nil {
		l = &result.Listened{}
	}
	for _, e := range l.Expected {
		h.Ports = append(h.Ports, heardAt(l, e))
	}
	slices.SortStableFunc(h.Ports, func(a, b heardPort) int { return cmp.Compare(rankOf(a), rankOf(b)) })
	h.visitors(l)
	for i := len(l.Browsed) - 1; i >= 0; i-- {
		if n := len(l.Browsed) - i; n > maxBrowsed {
			h.Browsed = append(h.Browsed, fmt.Sprintf("and %d more before", i+1))
			break
		}
		b := l.Browsed[i]
		h.Browsed = append(h.Browsed, fmt.Sprintf("%s at %s: %s", b.Address, h.clock(b.At.Time), b.Says))
	}
	h.half(l)
	for _, p := range l.Ports {
		if p.State != result.PortBound {
			h.Unbound = addOnce(h.Unbound, unboundWords(p))
		}
	}
	h.commands(l)
	h.facts(l)
	return h
}

// rankOf puts those first that have to be reached.
func rankOf(p heardPort) int {
	if p.Optional {
		return 1
	}
	return 0
}

// heardAt says who reached a port, beside who has to.
func heardAt(l *result.Listened, e result.ExpectedPort) heardPort {
	m := markIgnored
	var from []string
	for _, v := range l.Visitors {
		if isKeyedAt(v, e.Port, e.Transport) {
			from = append(from, v.Address)
		}
	}
	switch {
	case len(e.Missing) == 0 && len(from) > 0:
		m = markOK
	case len(e.Must) > 0:
		m = markUnknown
	}
	by := machineList(e.Must)
	for _, r := range machineList(e.May) {
		by = append(by, "("+r+")")
	}
	p := heardPort{Class: classes[m.word], Mark: m.word, Port: fmt.Sprintf("%d/%s", e.Port, e.Transport), Service: e.Service, By: strings.Join(by, ", "), Optional: len(e.Must) == 0}
	if came, holder := cameToBusy(l, e); len(from) == 0 && holder != "" {
		p.From = "nobody with the key, since " + holder + " holds it"
		if len(came) > 0 {
			p.From += "; what became of the connections of " + few(came) + " is not known here"
		}
		return p
	}
	p.From = cmp.Or(few(from), "nobody yet")
	if len(from) > 0 && len(e.Missing) > 0 {
		p.From += "; no " + strings.Join(machineList(e.Missing), ", no ") + " yet"
	}
	return p
}

// few lists addresses, and counts those that are too many.
func few(addresses []string) string {
	if n := len(addresses) - maxFrom; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(addresses[:maxFrom], ", "), n)
	}
	return list(addresses)
}

// cameToBusy says which other software holds an expected port, and from where
// connections came to it; "" if none does.
func cameToBusy(l *result.Listened, e result.ExpectedPort) (from []string, holder string) {
	for _, p := range l.Ports {
		if p.Port == e.Port && p.Transport == e.Transport && p.State == result.PortBusy {
			holder = holderName(p)
		}
	}
	for _, a := range l.Arrivals {
		if a.Port == e.Port && a.Transport == e.Transport && isTakenElsewhere(l, a) {
			from = addOnce(from, a.Source.Addr().String())
		}
	}
	return from, holder
}

func holderName(p result.ListenedPort) string {
	if p.Holder != nil && p.Holder.Name != "" {
		return p.Holder.Name
	}
	return "other software"
}

// isTakenElsewhere reports whether an arrival was answered on a port that other software
// holds: that nobody accepted it is not known then, since listen is not who would.
func isTakenElsewhere(l *result.Listened, a result.Arrival) bool {
	return a.Saw == result.SawHalfOpen && a.Source.IsValid() && slices.ContainsFunc(l.Ports, func(p result.ListenedPort) bool {
		return p.State == result.PortBusy && p.Port == a.Port && p.Transport == a.Transport && p.Family == result.FamilyOf(a.Source.Addr())
	})
}

// isKeyedAt reports whether a visitor reached a port with the key.
func isKeyedAt(v result.Visitor, port int, t plan.Transport) bool {
	return slices.ContainsFunc(v.Visits, func(x result.Visit) bool {
		return x.Port == port && x.Transport == t && (x.Kind == "proved" || x.Kind == "asked" && v.Keyed)
	})
}

func machineList(roles []string) (out []string) {
	for _, r := range roles {
		out = append(out, MachineName(r))
	}
	return out
}

// visitors tells who came, with the key and without.
func (h *heard) visitors(l *result.Listened) {
	guests, strangers := 0, 0
	for _, v := range l.Visitors {
		if !v.Keyed {
			if strangers++; strangers <= maxStrangers {
				h.Strange = append(h.Strange, h.stranger(v))
			}
			continue
		}
		if guests++; guests <= maxGuests {
			h.Guests = append(h.Guests, h.guest(v))
		}
	}
	if n := guests - maxGuests; n > 0 {
		h.Guests = append(h.Guests, labelledTexts{"", []string{fmt.Sprintf("and %d addresses more", n)}})
	}
	if n := strangers - maxStrangers; n > 0 {
		h.Strange = append(h.Strange, fmt.Sprintf("and %d addresses more", n))
	}
	if l.Unlisted > 0 {
		h.Strange = append(h.Strange, fmt.Sprintf("and %d contacts of addresses that were too many to be remembered", l.Unlisted))
	}
}

func (h *heard) guest(v result.Visitor) labelledTexts {
	var ports []string
	for _, x := range v.Visits {
		if isKeyedAt(v, x.Port, x.Transport) {
			ports = addOnce(ports, fmt.Sprintf("%d/%s", x.Port, x.Transport))
		}
	}
	who := list(machineList(v.Roles))
	if who != "" {
		who += ", "
	}
	out := labelledTexts{v.Address, []string{fmt.Sprintf("%s%s: %s", who, h.span(v.First.Time, v.Last.Time), strings.Join(ports, ", "))}}
	for _, t := range v.Told {
		s := fmt.Sprintf("%s says at %s: %d required %s, ", cmp.Or(t.Host, "its dial"), h.clock(t.At.Time), t.Counted, one(t.Counted, "path", "paths"))
		switch {
		case t.Failed > 0:
			s += fmt.Sprintf("%d not ok: %s", t.Failed, brokenWords(t.Broken))
			who := v.Address
			if t.Host != "" {
				who += " (" + t.Host + ")"
			}
			h.Lacking = append(h.Lacking, fmt.Sprintf("%s has %d of %d required %s not ok: %s", who, t.Failed, t.Counted, one(t.Counted, "path", "paths"), brokenWords(t.Broken)))
		default:
			s += "all ok"
		}
		out.Texts = append(out.Texts, s)
	}
	return out
}

// brokenWords are the lines in which dial said which of its paths are not ok, as a
// sentence has them. What is no such line stays as it is.
func brokenWords(lines []string) string {
	var out []string
	for _, s := range lines {
		if m := brokenLine.FindStringSubmatch(s); m != nil {
			s = m[2]
			if m[1] == string(plan.Reverse) {
				s += " from here"
			}
			s += fmt.Sprintf(" over %s (%s)", familyName(result.Family(m[3])), m[4])
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

var brokenLine = regexp.MustCompile(`^(forward|reverse) (\S+) (ip4|ip6): (\S+)$`)

func (h *heard) stranger(v result.Visitor) string {
	var did []string
	for _, x := range v.Visits {
		did = append(did, fmt.Sprintf("%d/%s %s, %s", x.Port, x.Transport, strings.TrimPrefix(x.Service+": ", ": ")+cmp.Or(x.Words, x.Kind), times(x.Count)))
	}
	return fmt.Sprintf("%s, %s: %s", v.Address, h.span(v.First.Time, v.Last.Time), strings.Join(did, "; "))
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// span is the time from one moment to another.
func (h *heard) span(from, to time.Time) string {
	first, last := h.clock(from), h.clock(to)
	if first == last {
		return "at " + first
	}
	return strings.TrimSuffix(first, " UTC") + " to " + last
}

// clock is a time in UTC, with its date if that is not the day on which listen began.
func (h *heard) clock(t time.Time) string {
	t = t.UTC()
	if h.r.Listened != nil && t.Format(time.DateOnly) != h.r.Listened.Since.UTC().Format(time.DateOnly) {
		return t.Format("2006-01-02 15:04:05 UTC")
	}
	return t.Format("15:04:05 UTC")
}

// half tells of connections that began to arrive and never were: the answer got lost,
// or this machine's own firewall dropped them. From where the port was reached all the
// same it is only loss.
func (h *heard) half(l *result.Listened) {
	type key struct {
		from  netip.Addr
		port  int
		saw   result.Sighting
		words string
	}
	var order []key
	count := map[key]int{}
	last := map[key]time.Time{}
	for _, a := range l.Arrivals {
		if a.Saw == result.SawAccepted || !a.Source.IsValid() || isTakenElsewhere(l, a) {
			continue
		}
		from := a.Source.Addr()
		if slices.ContainsFunc(l.Visitors, func(v result.Visitor) bool {
			return v.Address == from.String() && isKeyedAt(v, a.Port, a.Transport)
		}) {
			continue
		}
		k := key{from, a.Port, a.Saw, a.Detail}
		if count[k] == 0 {
			order = append(order, k)
		}
		count[k] += a.Count
		if a.Last.After(last[k]) {
			last[k] = a.Last.Time
		}
	}
	for i, k := range order {
		if i == maxHalf {
			h.Half = append(h.Half, fmt.Sprintf("and %d more", len(order)-i))
			break
		}
		what := "arrived, was answered, and did not go on: the answer did not get back there"
		switch {
		case k.saw == result.SawNothing:
			what = cmp.Or(k.words, "arrived at the network interface, and was not answered")
		case k.words != "":
			what = "arrived, and did not go on: " + k.words
		}
		h.Half = append(h.Half, fmt.Sprintf("%s to %d/tcp, %s, last at %s: %s", k.from, k.port, times(count[k]), h.clock(last[k]), what))
	}
}

func unboundWords(p result.ListenedPort) string {
	s := fmt.Sprintf("%d/%s over %s: ", p.Port, p.Transport, familyName(p.Family))
	switch {
	case p.State != result.PortBusy:
		return s + "it could not be bound, so nothing is known of it"
	}
	return s + "held by " + holderName(p) + ", to which it was left"
}

// commands are what to run where nobody came from yet.
func (h *heard) commands(l *result.Listened) {
	shift := ""
	for _, e := range l.Expected {
		if n := e.Port - e.PlanPort; n != 0 && e.PlanPort > 0 {
			shift = fmt.Sprintf(" --port-shift %d", n)
		}
	}
	planned := ""
	if h.r.Plan != "" && h.r.Plan != "illiad" {
		planned = " --plan " + h.r.Plan
	}
	for _, role := range l.Waiting {
		m := machine{name: MachineName(role), command: "dial --key KEY" + planned + shift}
		switch plan.Role(role) {
		case plan.RolePeer:
			m.command = "dial odyssey --key KEY" + planned + shift
		case plan.RoleClient:
		default:
			m.command += " --role " + role
		}
		m.command += " " + hostOf(h.r.From)
		h.Commands = append(h.Commands, m)
	}
}

func (h *heard) facts(l *result.Listened) {
	until := l.Until.UTC().Format("2006-01-02 15:04:05 UTC")
	if l.GoesOn {
		until += ", and on"
	}
	h.Facts = [][2]string{
		{"Here", endName(h.r.From)},
		{"Plan", h.r.Plan},
		{"Listened", l.Since.UTC().Format("2006-01-02 15:04:05 UTC") + " to " + until},
		{"Watched", watchedWords(l)},
	}
}

// watchedWords say how much it would have seen.
func watchedWords(l *result.Listened) string {
	s := "what was accepted only: this system does not show what arrives and is not completed"
	switch l.Witness {
	case result.WitnessTable:
		s = "what was accepted, and the kernel's half-open connections"
	case result.WitnessCapture:
		s = "what was accepted, and every SYN that arrived"
	}
	if l.Blind != "" {
		s += "; it may have missed something: " + l.Blind
	}
	if l.Truncated {
		s += "; more arrived than is listed"
	}
	return s
}

// answer is the result in a sentence or two, and its style.
func (h heard) answer() (string, style) {
	l := h.r.Listened
	need, have, keyed := 0, 0, 0 // ports that nobody has to reach count for nobody
	if l != nil {
		for _, e := range l.Expected {
			if len(e.Must) > 0 {
				need++
				if len(e.Missing) == 0 {
					have++
				}
			}
		}
		for _, v := range l.Visitors {
			if v.Keyed {
				keyed++
			}
		}
	}
	waiting := ""
	if l != nil && len(l.Waiting) > 0 {
		waiting = " Still waiting for: " + strings.Join(machineList(l.Waiting), ", ") + "."
	}
	paths := ""
	switch n := len(h.Lacking); {
	case n == 1:
		paths = " " + h.Lacking[0] + "."
	case n > 1:
		paths = fmt.Sprintf(" By what their own dial says, %d machines have required paths that are not ok.", n)
	}
	switch {
	case need == 0:
		return fmt.Sprintf("Nobody has to come here by the plan; %d %s came with the key.", keyed, one(keyed, "address", "addresses")) + paths, pending
	case keyed == 0 && have < need:
		s := fmt.Sprintf("Nobody came with the key: others must reach %d %s here.", need, one(need, "port", "ports"))
		if len(h.Half) > 0 {
			s += " Some connections arrived, and were not completed."
		}
		return s + waiting, pending
	}
	ports := fmt.Sprintf("%d of %d ports that others must reach here %s", have, need, one(have, "was", "were"))
	look := pending
	switch {
	case need == 1 && have == 1:
		ports = "The one port that others must reach here was"
	case need == 1:
		ports = "The one port that others must reach here was not"
	case have == need:
		ports = fmt.Sprintf("All %d ports that others must reach here were", need)
	case have == 0:
		ports = fmt.Sprintf("None of the %d ports that others must reach here was", need)
	}
	if have == need && len(h.Lacking) == 0 {
		look = good
	}
	return ports + " reached, with the key, by all who must." + paths + waiting, look
}

const browsedTitle = "What browsers tested, with the link"

// What readers who did not start listen want to know.
const (
	heardLegend = "With the key: dial proved itself on that very port. In brackets: may not need it. ?: not reached by all who must. -: need not be reached."
	// halfAdvice is what to do about what was not completed.
	halfAdvice = "This is for this side: let the answers to these addresses out, by the same firewall that let them in, and see to this machine's own firewall."
)

// lackingAdvice is what to do about paths that a machine's own dial found not to be ok.
const lackingAdvice = "Where a path stops, and what to ask for, stands in the report of the machine that dialed: have it sent here (dial --out report.html)."

// heardLimits is what such a report does not speak for.
const heardLimits = "A port that nobody reached may be closed to them, or they did not try: their own dial tells which."

// Titles of what every form has.
const (
	portsTitle  = "Who must reach which port, and who did, with the key"
	guestsTitle = "Who came with the key"
)

// A heardList is one of the lists that every form has below the ports and guests.
type heardList struct {
	ID, Title string
	Texts     []string
	Advice    string // what to make of it; "": nothing
}

// lists are those that have anything.
func (h heard) lists() []heardList {
	all := []heardList{
		{"browsed", browsedTitle, h.Browsed, ""}, {"half", "What arrived, and was not completed", h.Half, halfAdvice},
		{"strange", "Who came without the key", h.Strange, ""}, {"closed", "Ports that were not bound here", h.Unbound, ""},
	}
	return slices.DeleteFunc(all, func(l heardList) bool { return len(l.Texts) == 0 })
}

func renderListenedText(r *result.Report, o Options) ([]byte, error) {
	h := hear(r)
	p := newPage(o)
	answer, look := h.answer()
	p.hang("", answer, 0, look)
	p.blank()
	section := func(title string, f func()) {
		p.title(title)
		p.blank()
		f()
		p.blank()
	}
	if len(h.Ports) > 0 {
		section(portsTitle, func() {
			for _, x := range h.Ports {
				p.hang(fmt.Sprintf("  %-2s  %-9s  ", x.Mark, x.Port), fmt.Sprintf("%s, by %s: %s", x.Service, x.By, x.From), 0, plain)
			}
			p.hang("  ", heardLegend, 0, faint)
		})
	}
	if len(h.Commands) > 0 {
		section("Still to be run", func() {
			for _, m := range h.Commands {
				p.whole("  "+m.name, m.command, 20)
			}
			p.hang("  ", "KEY is what listen printed.", 0, faint)
		})
	}
	if len(h.Guests) > 0 {
		section(guestsTitle, func() {
			for _, g := range h.Guests {
				for i, t := range g.Texts {
					lead := "    "
					if i == 0 {
						lead = strings.TrimRight("  "+g.Label, " ") + "  "
					}
					p.hang(lead, t, 4, plain)
				}
			}
			if len(h.Lacking) > 0 {
				p.hang("  ", lackingAdvice, 0, plain)
			}
		})
	}
	for _, l := range h.lists() {
		section(l.Title, func() {
			for _, t := range l.Texts {
				p.hang("  * ", t, 0, plain)
			}
			if l.Advice != "" {
				p.hang("  ", l.Advice, 0, plain)
			}
		})
	}
	section("This run", func() { p.fields(2, h.Facts) })
	p.hang("", heardLimits, 0, plain)
	p.blank()
	p.hang("", answer, 0, look)
	return []byte(p.b.String()), nil
}
