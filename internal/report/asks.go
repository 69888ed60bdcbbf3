package report

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"dialtone/internal/clean"
	"dialtone/internal/dialect"
	"dialtone/internal/request"
	"dialtone/internal/result"
)

// renderRequests writes what to ask for by one report.
func renderRequests(r *result.Report, o Options) ([]byte, error) {
	return writeRequests(request.Of(o.Ask, r), testedWords(r), numbered(r), o)
}

// testedWords are when a report was made, between whom, and by what.
func testedWords(r *result.Report) string {
	s := strings.TrimPrefix(startedAt(r.Started.Time)+", from ", ", ") + endName(r.From) + " to " + endName(r.To)
	if r.Tool != "" {
		s += ", with " + r.Tool
	}
	return s + ", plan " + cmp.Or(r.Plan, "unknown")
}

// renderMatrixRequests writes what to ask for by several reports, each once.
func renderMatrixRequests(m *result.Matrix, o Options) ([]byte, error) {
	var first, last time.Time
	for _, r := range m.Reports {
		if at := r.Started.Time; !at.IsZero() {
			if first.IsZero() || at.Before(first) {
				first = at
			}
			if at.After(last) {
				last = at
			}
		}
	}
	when := fmt.Sprintf("%d reports", len(m.Reports))
	if !first.IsZero() {
		when += fmt.Sprintf(", begun from %s to %s", utc(first, time.DateTime), utc(last, time.DateTime))
	}
	return writeRequests(request.Of(o.Ask, m.Whole...), when, (&matrixText{Matrix: m}).numbered(), o)
}

// utc is a time as a firewall's log of that zone has it.
func utc(at time.Time, form string) string { return at.UTC().Format(form) + " UTC" }

// asksWidth is the widest that requests are: they are made to be sent. Rules are
// as long as they are, since a broken one is not to be pasted.
const asksWidth = 80

// asks is a list of requests on its way to a page.
type asks struct {
	request.List
	*page
	o       Options
	dialect dialect.Dialect
	tested  string   // when, and by whom
	names   []string // of the requests
}

// writeRequests writes requests in the order of the page that has them as entries,
// under the same names.
func writeRequests(l request.List, when string, entryOf func(*result.Path) int, o Options) ([]byte, error) {
	d, err := dialect.Find(cmp.Or(o.Dialect, dialect.Text))
	if err != nil {
		return nil, err
	}
	if o.Width == 0 || o.Width > asksWidth {
		o.Width = asksWidth
	}
	var names []string
	l.Requests, names = named(l.Requests, entryOf)
	t := asks{l, newPage(o), o, d, when, names}
	t.title(t.heading())
	t.blank()
	var fields [][2]string
	if len(l.Requests) == 0 { // else each has it
		fields = append(fields, [2]string{"Tested", when})
	}
	if t.isPasted() {
		fields = append(fields, [2]string{"Rules for", d.Title + ". " + d.Paste})
	}
	if len(fields) > 0 {
		t.fields(2, fields)
		t.blank()
	}
	if len(l.Requests) > 1 {
		var all [][2]string
		for i, q := range l.Requests {
			words := asked[q.Change] + " " + flowWords(q)
			if !q.Needed {
				words += " (only if this site uses the service)"
			}
			all = append(all, [2]string{names[i], words})
		}
		t.fields(2, all)
		t.blank()
	}
	for i, q := range l.Requests {
		if err := t.request(names[i], q); err != nil {
			return nil, err
		}
	}
	t.rest()
	return []byte(t.b.String()), nil
}

// isPasted reports whether there are rules for a product.
func (t *asks) isPasted() bool {
	if t.dialect.Name == dialect.Text {
		return false
	}
	for _, q := range t.Requests {
		if len(q.Tasks()) > 0 {
			return true
		}
	}
	return false
}

// heading says how much there is to ask for.
func (t *asks) heading() string {
	needed, more := t.count()
	switch {
	case t.Paths == 0 || t.Paths == t.Untested:
		return "Nothing to ask a firewall team for: no path was tested, so nothing is known."
	case len(t.Requests) == 0 && len(t.Left) == 0 && t.Untested == 0:
		return "Nothing to ask a firewall team for: no tested path needs a change."
	case len(t.Requests) == 0:
		return "Nothing to ask a firewall team for yet: see below what is not as it should be."
	case needed == 0:
		return fmt.Sprintf("Firewall requests: none that a required path needs, %d only if this site uses the service", more)
	case more == 0:
		return fmt.Sprintf("Firewall requests: %d", needed)
	}
	return fmt.Sprintf("Firewall requests: %d, and %d only if this site uses the service", needed, more)
}

// count counts the requests, whatever parts they have, that a required path depends
// on, and the others.
func (t *asks) count() (needed, more int) {
	counted := map[string]bool{}
	for i, name := range t.names {
		for _, n := range aNumber.FindAllString(name, -1) {
			switch {
			case counted[n]:
				continue
			case t.Requests[i].Needed:
				needed++
			default:
				more++
			}
			counted[n] = true
		}
	}
	return needed, more
}

var aNumber = regexp.MustCompile(`\d+`)

func askerWords(a request.Asker) string {
	var parts []string
	for _, s := range []string{a.Institution, a.Name} {
		if s != "" {
			parts = addOnce(parts, s)
		}
	}
	s := strings.Join(parts, ", ")
	if a.Contact != "" {
		if s != "" {
			s += ". "
		}
		s += "Ask back: " + a.Contact
	}
	return s
}

// asked is what is asked for, to begin the title of a request.
var asked = map[request.Change]string{
	request.Allow:   "Allow",
	request.Replies: "Pass the answers of",
	request.Forward: "Forward",
	request.Exempt:  "Do not inspect or proxy",
	request.Large:   "Let large packets pass:",
	request.Idle:    "Keep idle connections:",
	request.Every:   "Let every connection pass:",
	request.Route:   "Mend the routing of",
	request.Block:   "Block",
}

// request writes one request, so that it can be sent alone.
func (t *asks) request(name string, q request.Request) error {
	t.title(fmt.Sprintf("Request %s. %s %s", name, asked[q.Change], flowWords(q)))
	if !q.Needed {
		t.hang("", "Only if this site uses the service: no path that the plan calls required depends on it.", 0, plain)
	}
	t.blank()
	var fields [][2]string
	add := func(label string, values ...string) {
		for _, v := range values {
			if v == "" {
				continue
			}
			fields = append(fields, [2]string{label, v})
			label = ""
		}
	}
	add("Before sending", q.First)
	add("Ask", q.Whom[:min(len(q.Whom), maxPrefixes)]...)
	add("Cause", causesOf(q)...)
	var needs []string
	for _, n := range q.Needs {
		needs = append(needs, strings.TrimSuffix(n.Service+": "+n.Why, ": "))
	}
	add("Why", needs...)
	add("Asked by", askerWords(t.o.Ask.Asker))
	add("Tested", t.tested)
	add("Source", endWords(q.From, q.SourcePort, "any port"))
	add("Destination", fmt.Sprintf("%s/%s", endWords(q.To, q.Port, "any port from 1024 on"), strings.ToUpper(string(q.Transport))))
	if q.Named != "" {
		add("Name", q.Named+" is somebody else's host, and its address may change: allow the name where the firewall can.")
	}
	if q.Change != request.Block {
		add("Direction", "the source opens the connection, and what belongs to it comes back: a stateful rule. Nothing new the other way.")
		add("Idle time", idleNeed(q))
	}
	day := t.o.Ask.Until
	if q.Change == request.Block { // what must be closed must be so for good
		day = ""
	}
	add("How long", until(day))
	for _, s := range []struct {
		side         request.Side
		whose, label string
	}{{q.Ours, "our", "Ours"}, {q.Theirs, "their", "Theirs"}} {
		if !q.OnHost || s.side.Inbound { // else nothing on the other side stands in its way
			add(side(q, s.side, s.whose, s.label))
		}
	}
	if q.Change == request.Allow && q.To.IsTranslated() {
		add("NAT", fmt.Sprintf("A rule alone is not enough: the NAT at %s has to forward the port to %s, too.", prefixWords(q.To.Seen), prefixWords(q.To.Own)))
	}
	add("Log", logWords(q, t.o.Ask.Local)...)
	add("Look for", lookWords(q.Look)...)
	if q.Change == request.Replies { // it may be the way back, and no rule
		add("What to do", adviceOf(q))
	}
	if !q.Change.HasRule() {
		add("What to do", adviceOf(q))
		add("Rule", noRule(q.Change))
	}
	t.fields(2, fields)
	if err := t.rules(q, day); err != nil {
		return err
	}
	t.blank()
	return nil
}

// adviceOf is the advice without why it is needed, which stands beside it.
func adviceOf(q request.Request) string {
	before, why, _ := strings.Cut(q.Advice, whyNeeded)
	for _, n := range q.Needs {
		if strings.TrimSuffix(why, ".") == strings.TrimSuffix(n.Why, ".") {
			return before
		}
	}
	return q.Advice
}

// noRule says why there is nothing to paste.
func noRule(c request.Change) string {
	if c == request.Forward {
		return "none to paste: a translation (NAT, port forwarding, load balancer) is to be set right."
	}
	if c == request.Route {
		return "none to paste: routes are to be set right."
	}
	return "none to paste: one that allows it is there already."
}

// flowWords is the flow as a rule has it.
func flowWords(q request.Request) string {
	side := q.Theirs
	if q.Ours.Inbound {
		side = q.Ours
	}
	s := strings.ToUpper(string(q.Transport)) + " from " + prefixWords(side.From)
	if q.SourcePort != 0 {
		s += fmt.Sprintf(" port %d", q.SourcePort)
	}
	s += " to " + prefixWords(side.To)
	if q.Port == 0 {
		return s + " port 1024-65535"
	}
	return s + fmt.Sprintf(" port %d", q.Port)
}

// maxPrefixes bounds the addresses of one line for people; a rule has them all.
const maxPrefixes = 12

func prefixWords(all []netip.Prefix) string {
	var out []string
	for i, p := range all {
		if i == maxPrefixes {
			out = append(out, fmt.Sprintf("%d more", len(all)-i))
			break
		}
		if p.IsSingleIP() {
			out = append(out, p.Addr().String())
			continue
		}
		out = append(out, p.String())
	}
	return list(out)
}

func causesOf(q request.Request) []string {
	var out []string
	for _, c := range q.Causes {
		s := fmt.Sprintf("%s (%s): %s", strings.Join(c.Flows, ", "), c.Verdict, c.Text)
		if c.Paths > len(c.Flows) {
			s += fmt.Sprintf(" That is of the first of %d paths on which it was found.", c.Paths)
		}
		out = append(out, s)
	}
	return out
}

// endWords is an end as the firewalls see it, and what it is.
func endWords(e request.End, port int, anyPort string) string {
	s := prefixWords(e.Seen)
	if e.IsTranslated() {
		s += fmt.Sprintf(" (behind a NAT; its own side sees %s)", prefixWords(e.Own))
	}
	if e.Temporary {
		s += " (the network: the machine's own address is a temporary one and another tomorrow, RFC 8981)"
	}
	if e.Role != "" {
		s += ", " + e.Role
	}
	if _, err := netip.ParseAddr(e.Host); e.Host != "" && err != nil { // an address stands there already
		s += " at " + e.Host
	}
	if port == 0 {
		return s + ", " + anyPort
	}
	return s + fmt.Sprintf(", port %d", port)
}

func idleNeed(q request.Request) string {
	if q.IdleS == 0 {
		return "no more than usual, as far as is known"
	}
	return fmt.Sprintf("%s without traffic must not end the connection: set the timeout of the rule or service so, or keep idle connections", idleWords(q.IdleS))
}

func until(day string) string {
	if day == "" {
		return "for good"
	}
	return "until " + day + ", for the test; then take it away again"
}

// side is the change as one party's firewall sees it, and what to call it.
func side(q request.Request, s request.Side, whose, label string) (string, string) {
	way := "outbound"
	if s.Inbound {
		way = "inbound"
	}
	words := fmt.Sprintf("%s %s from %s to %s port %s", way, strings.ToUpper(string(q.Transport)), prefixWords(s.From), prefixWords(s.To), targetPort(q.Port))
	if len(s.Behind) > 0 {
		words += fmt.Sprintf(", and on to %s", prefixWords(s.Behind))
	}
	if q.OnHost {
		words += ", in the machine's own firewall"
	}
	switch q.Change {
	case request.Allow, request.Replies:
		return label + " to open", words
	case request.Block:
		return label + " to close", words
	}
	return "On " + whose + " side", words
}

// targetPort is the port of a request, for people.
func targetPort(port int) string {
	if port == 0 {
		return "1024-65535"
	}
	return fmt.Sprint(port)
}

// logWords is what to search a firewall's log for, by its clock.
func logWords(q request.Request, local *time.Location) []string {
	var out []string
	for _, e := range q.Log {
		s := fmt.Sprintf("%s %s -> %s", q.Transport, endpoint(e.Source), e.Target)
		if e.SeenAs.IsValid() && e.SeenAs != e.Source {
			s += ", arriving from " + e.SeenAs.String()
		}
		if e.At.IsZero() {
			out = append(out, s)
			continue
		}
		const form = "2006-01-02 15:04:05.000"
		at := utc(e.At.Time, form)
		if local != nil {
			if there := e.At.In(local); there.Format(form) != e.At.UTC().Format(form) {
				at += " (" + there.Format(form+" -07:00") + " local)"
			}
		}
		out = append(out, at+" "+s)
	}
	return out
}

// lookWords is what logs call what they saw.
func lookWords(all []request.Words) []string {
	var out []string
	for i, w := range all {
		s := w.Means + ". Palo Alto: " + w.PaloAlto + ". Cisco ASA: " + w.ASA
		if w.Elsewhere != "" {
			s += ". " + w.Elsewhere
		}
		if i > 0 {
			s = "or " + s
		}
		out = append(out, s)
	}
	return out
}

// ruleFor is for whom a rule is.
var ruleFor = map[request.Party]string{
	request.Either: "on each firewall on the way that denies it",
	request.Ours:   "on our side",
	request.Theirs: "on the other side",
	request.Host:   "on the accepting machine itself",
}

// where says on whose firewall a rule goes; "": it is not for this product.
func (t *asks) where(q request.Request, task request.Task) string {
	on := ruleFor[task.Whose]
	switch {
	case t.dialect.On != "" && !task.Inbound:
		return ""
	case t.dialect.On != "":
		on = t.dialect.On
	case task.Whose == request.Either && q.Change == request.Block:
		return "on one firewall on the way, or on the accepting machine itself"
	}
	if q.Change == request.Block {
		on, _, _ = strings.Cut(on, ", if") // nothing denies it
	}
	return on
}

// rules writes the rules to paste, for good or until a day. Nothing wraps them.
func (t *asks) rules(q request.Request, until string) error {
	for _, task := range q.Tasks() {
		where := t.where(q, task)
		if where == "" {
			continue
		}
		lines, err := t.dialect.Render(task.Rule)
		if err != nil {
			return err
		}
		for _, l := range lines {
			t.blank()
			if len(l.Add) == 0 {
				t.hang("  ", fmt.Sprintf("Rule, %s: %s has none for this; take the one that allows it away.", where, t.dialect.Title), 0, plain)
				continue
			}
			t.hang("  ", fmt.Sprintf("Rule (%s), %s:", t.dialect.Title, where), 0, plain)
			t.verbatim(l.Add)
			if t.dialect.Name == dialect.Text {
				continue // its words say it
			}
			again := "To take it away again:"
			if until != "" {
				again = "After " + until + ":"
			}
			t.hang("  ", again, 0, plain)
			t.verbatim(l.Remove)
		}
	}
	return nil
}

// maxRule bounds a line that is pasted, in runes: one with the addresses of every
// PC of a large site fits.
const maxRule = 64 << 10

func (t *asks) verbatim(lines []string) {
	for _, l := range lines {
		t.b.WriteString("    " + clean.Line(l, maxRule) + "\n")
	}
}

// rest says what is asked of nobody, and why.
func (t *asks) rest() {
	there := len(t.Findings) > 0 || len(t.Left) > 0 || t.Untested > 0 || t.Interrupted
	if there {
		t.title("Not asked for")
		t.blank()
	}
	for _, f := range t.Findings {
		t.hang("  ! ", strings.TrimSpace(sentence(f.Text)+" "+f.Advice), 0, plain)
	}
	for _, l := range t.Left {
		t.hang("  * ", fmt.Sprintf("%s (%s): %s", strings.Join(l.Flows, ", "), l.Verdict, cmp.Or(l.Advice, l.Text)), 0, plain)
	}
	if t.Untested > 0 {
		t.hang("  * ", fmt.Sprintf("%d %s not tested, so nothing is known of %s.", t.Untested, one(t.Untested, "path was", "paths were"), one(t.Untested, "it", "them")), 0, plain)
	}
	if t.Interrupted {
		t.hang("  * ", "A run was interrupted: there may be more to ask for.", 0, plain)
	}
	if there {
		t.blank()
	}
	t.hang("", "Each request speaks for the addresses and the time in it, and for the path, not for the software itself.", 0, plain)
}
