package sock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"dialtone/internal/result"
)

// otherFamilyWithin is how long the addresses of the other family are waited for,
// once those of one are known: one name server that is silent, and the next.
const otherFamilyWithin = 6 * time.Second

// A saying is what a name server made of a question; of two the greater counts.
type saying int

const (
	saidNothing     saying = iota // within the time
	saidUnreachable               // an error came back, or nothing could be sent
	saidCut                       // an answer that was too long, and not the whole one over TCP
	saidFailure                   // an answer that is none, such as SERVFAIL
	saidNone                      // the name is there, and has no such address (NODATA)
	saidNoName                    // the name is not there (NXDOMAIN)
	saidAddress
)

// isAnswer reports whether it answers the question.
func (s saying) isAnswer() bool { return s >= saidNone }

// A question is what name servers are asked.
type question struct {
	name string // with its last dot
	kind dnsmessage.Type
}

// An asked is one question to one name server, and what came of it.
type asked struct {
	question
	server string
	times  int
	said   saying
	words  string // of a failure, for people
	alias  string // the last of the names that the answer leads through; "": none
}

// A nameWatch watches what the name servers say to a look-up by Go's resolver, and
// sees to it that those that say nothing cost no more time than they must.
type nameWatch struct {
	end     time.Time
	connect func(ctx context.Context, network, server string) (net.Conn, error)

	mu      sync.Mutex
	asked   []*asked             // in the order in which they were asked first
	settled map[string]time.Time // since when it is known of a name that it has addresses, or is not there
}

func newNameWatch(end time.Time) *nameWatch {
	return &nameWatch{end: end, connect: new(net.Dialer).DialContext, settled: map[string]time.Time{}}
}

// atMost is a deadline, or the end of the look-up if that is sooner.
func (w *nameWatch) atMost(t time.Time) time.Time {
	if t.After(w.end) {
		return w.end
	}
	return t
}

// errGivenUp is a question that is not asked any more.
var errGivenUp = errors.New("it was not asked")

// ask notes a question before it is asked, or refuses to: after the time is up,
// when the other family's addresses have been there for a while, or to a server
// that was silent to other questions while another answers, or twice.
func (w *nameWatch) ask(server string, q question) (*asked, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var a *asked
	silent, answers, others := 0, false, false
	for _, b := range w.asked {
		switch {
		case b.server == server && b.question == q:
			a = b
		case b.server == server && b.kind == q.kind && b.said == saidNothing:
			silent += b.times
		case b.server != server && b.kind == q.kind:
			others = others || b.said.isAnswer()
		}
		answers = answers || b.server == server && b.kind == q.kind && b.said > saidUnreachable
	}
	now := time.Now()
	since, known := w.settled[q.name]
	switch {
	case now.After(w.end), known && now.Sub(since) > otherFamilyWithin, known && a != nil && a.said == saidNothing,
		!answers && (silent > 1 || silent > 0 && others):
		return nil, errGivenUp
	case a == nil:
		a = &asked{question: q, server: server}
		w.asked = append(w.asked, a)
	}
	a.times++
	return a, nil
}

// note notes what came of a question.
func (w *nameWatch) note(a *asked, s saying, words, alias string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s > a.said {
		a.said, a.words, a.alias = s, words, alias
	}
	if s >= saidNoName && w.settled[a.name].IsZero() {
		w.settled[a.name] = time.Now()
	}
}

// dial opens a connection to a name server, and watches it.
func (w *nameWatch) dial(ctx context.Context, network, server string) (net.Conn, error) {
	if time.Now().After(w.end) {
		return nil, errGivenUp
	}
	ctx, cancel := context.WithDeadline(ctx, w.end)
	defer cancel()
	c, err := w.connect(ctx, network, server)
	host, _, _ := net.SplitHostPort(server)
	if err != nil {
		w.failed(host, network, err)
		return nil, err
	}
	u, ok := c.(*net.UDPConn)
	if !ok {
		return &watchedStream{Conn: c, of: conversation{watch: w, server: host}}, nil
	}
	return &watchedPackets{UDPConn: u, of: conversation{watch: w, server: host}}, nil
}

// failed notes a name server to which no connection could be opened. Over TCP that
// is after an answer that was cut off, which says it already, or where the options
// want it.
func (w *nameWatch) failed(server, network string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.asked {
		if a.server == server && network == "tcp" && a.said == saidCut {
			return
		}
	}
	a := &asked{server: server, times: 1}
	if Classify(err) != result.ConnectTimeout {
		a.said, a.words = saidUnreachable, unreachableWords(err)
	}
	w.asked = append(w.asked, a)
}

func unreachableWords(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		if Classify(err) == result.ConnectRST {
			return "runs no name server (it refuses on port 53)"
		}
		return fmt.Sprintf("cannot be reached (%v)", errno)
	}
	return fmt.Sprintf("cannot be reached (%v)", err)
}

// A conversation is one question on one connection.
type conversation struct {
	watch  *nameWatch
	server string
	id     uint16
	asked  *asked // nil: nothing yet
}

// sends takes what is sent, a whole message.
func (c *conversation) sends(msg []byte) error {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil {
		return err
	}
	q, err := p.Question()
	if err != nil {
		return err
	}
	c.id = h.ID
	c.asked, err = c.watch.ask(c.server, question{q.Name.String(), q.Type})
	return err
}

// hears takes what came, a whole message; what answers something else is left to
// Go's resolver, which waits on.
func (c *conversation) hears(msg []byte, stream bool) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || c.asked == nil || h.ID != c.id || !h.Response {
		return
	}
	if p.SkipAllQuestions() != nil {
		c.watch.note(c.asked, saidFailure, "answers what cannot be read", "")
		return
	}
	alias, found := "", false
	for answers := 0; ; answers++ {
		r, err := p.AnswerHeader()
		if err != nil {
			if answers == 0 && h.RCode == dnsmessage.RCodeSuccess && !h.Authoritative && !h.RecursionAvailable && !h.Truncated {
				c.watch.note(c.asked, saidFailure, "only names other servers to ask", "") // a lame referral
				return
			}
			break
		}
		found = found || r.Type == c.asked.kind
		if r.Type == dnsmessage.TypeCNAME {
			if n, err := p.CNAMEResource(); err == nil {
				alias = strings.TrimSuffix(n.CNAME.String(), ".")
				continue
			}
			break
		}
		if p.SkipAnswer() != nil {
			break
		}
	}
	switch {
	case h.Truncated && !stream:
		c.watch.note(c.asked, saidCut, "cuts its answer off, and the whole one does not come over TCP port 53", "")
	case h.RCode == dnsmessage.RCodeNameError:
		c.watch.note(c.asked, saidNoName, "", alias)
	case h.RCode != dnsmessage.RCodeSuccess:
		c.watch.note(c.asked, saidFailure, rcodeWords(h.RCode), "")
	case found:
		c.watch.note(c.asked, saidAddress, "", alias)
	default:
		c.watch.note(c.asked, saidNone, "", alias)
	}
}

// ends takes an error of reading.
func (c *conversation) ends(err error) {
	if c.asked != nil && Classify(err) != result.ConnectTimeout && !errors.Is(err, net.ErrClosed) {
		c.watch.note(c.asked, saidUnreachable, unreachableWords(err), "")
	}
}

func rcodeWords(c dnsmessage.RCode) string {
	switch c {
	case dnsmessage.RCodeServerFailure:
		return "fails to find out (SERVFAIL)"
	case dnsmessage.RCodeRefused:
		return "refuses to answer this machine (REFUSED)"
	}
	return fmt.Sprintf("answers with an error (%s)", strings.TrimPrefix(c.String(), "RCode"))
}

// watchedPackets are a connection over UDP, as Go's resolver wants one.
type watchedPackets struct {
	*net.UDPConn
	of conversation
}

func (c *watchedPackets) SetDeadline(t time.Time) error {
	return c.UDPConn.SetDeadline(c.of.watch.atMost(t))
}

func (c *watchedPackets) Write(b []byte) (int, error) {
	if err := c.of.sends(b); err != nil {
		return 0, err
	}
	n, err := c.UDPConn.Write(b)
	if err != nil {
		c.of.ends(err)
	}
	return n, err
}

func (c *watchedPackets) Read(b []byte) (int, error) {
	n, err := c.UDPConn.Read(b)
	if err != nil {
		c.of.ends(err)
	} else {
		c.of.hears(b[:n], false)
	}
	return n, err
}

// watchedStream is a connection over TCP, where each message comes after its length
// (RFC 1035 section 4.2.2).
type watchedStream struct {
	net.Conn
	of   conversation
	came []byte
}

func (c *watchedStream) SetDeadline(t time.Time) error {
	return c.Conn.SetDeadline(c.of.watch.atMost(t))
}

func (c *watchedStream) Write(b []byte) (int, error) {
	if len(b) > 2 {
		if err := c.of.sends(b[2:]); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}

func (c *watchedStream) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.came = append(c.came, b[:n]...)
	if len(c.came) >= 2 {
		if long := int(c.came[0])<<8 | int(c.came[1]); len(c.came) >= 2+long {
			c.of.hears(c.came[2:2+long], true)
			c.came = c.came[2+long:]
		}
	}
	return n, err
}

// best is the greatest of what was said to a question.
func (w *nameWatch) best(q question) (s saying, alias string) {
	for _, a := range w.asked {
		if a.question == q && a.said >= s {
			s, alias = a.said, a.alias
		}
	}
	return s, alias
}

// kinds are what is asked for, and of which family it is.
var kinds = []struct {
	kind   dnsmessage.Type
	family result.Family
	words  string
}{
	{dnsmessage.TypeA, result.IP4, "IPv4 addresses (A)"},
	{dnsmessage.TypeAAAA, result.IP6, "IPv6 addresses (AAAA)"},
}

// lacking are the families of which nobody answered, of the name whose other
// addresses were found.
func (w *nameWatch) lacking() []result.Family {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []result.Family
	for _, a := range w.asked {
		if a.said != saidAddress {
			continue
		}
		for _, k := range kinds {
			if s, _ := w.best(question{a.name, k.kind}); !s.isAnswer() && !slices.Contains(out, k.family) {
				out = append(out, k.family)
			}
		}
	}
	return out
}

// trouble says of each name server that did not answer what it did instead.
func (w *nameWatch) trouble() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for i, a := range w.asked {
		if slices.ContainsFunc(w.asked[:i], func(b *asked) bool { return b.server == a.server }) {
			continue
		}
		var worst *asked
		var bad []string // kinds that it did not answer
		for _, k := range kinds {
			failed := false
			for _, b := range w.asked {
				if b.server != a.server || b.kind != k.kind && b.kind != 0 || b.said.isAnswer() {
					continue
				}
				failed = true
				if worst == nil || b.said > worst.said {
					worst = b
				}
			}
			if failed {
				bad = append(bad, k.words)
			}
		}
		if worst == nil {
			continue
		}
		words := worst.words
		if worst.said == saidNothing {
			words = "does not answer"
		}
		if len(bad) < len(kinds) {
			words += " when it is asked for " + bad[0]
		}
		out = append(out, a.server+" "+words)
	}
	return out
}

// found is what a look-up found, and what its watching tells.
func (w *nameWatch) found(ctx context.Context, host string, addrs []netip.Addr, err error) (Name, error) {
	n := Name{Trouble: w.trouble()}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return n, fmt.Errorf("%s: %w", host, context.Canceled)
	case len(addrs) == 0:
		return n, w.fault(host, err)
	}
	n.Lacking = w.lacking()
	for _, a := range addrs {
		n.Addrs = append(n.Addrs, a.Unmap())
	}
	return n, nil
}

// fault says why a name gave no address; err is what the look-up said.
func (w *nameWatch) fault(host string, err error) error {
	trouble := w.trouble()
	w.mu.Lock()
	defer w.mu.Unlock()
	e := &NameError{Host: host}
	if len(w.asked) == 0 {
		var dns *net.DNSError
		switch e.Words = "this machine does not know the name"; {
		case err != nil && !(errors.As(err, &dns) && dns.IsNotFound):
			e.Words = err.Error()
		case err == nil:
			e.Words = "the name has no address"
		}
		return e
	}
	s, alias := w.verdict(host)
	switch {
	case s == saidAddress:
		e.Words = fmt.Sprintf("this machine does not find it (%v), though a name server knows it", err)
	case isMulticast(host):
		e.Words = "a name in .local is found by multicast DNS, which was not asked; no name server knows it"
	case s == saidNoName && alias == "":
		e.Fault, e.Words = result.NameAbsent, "no such name"
	case s == saidNoName:
		e.Fault, e.Words = result.NameEmpty, fmt.Sprintf("it is an alias of %s, and there is no such name", alias)
	case s == saidNone && alias != "":
		e.Fault, e.Words = result.NameEmpty, fmt.Sprintf("it is an alias of %s, which has no address", alias)
	case s == saidNone:
		e.Fault, e.Words = result.NameEmpty, "the name has no address"
	case !namesServer():
		e.Fault, e.Words = result.NameNoServer, "this machine has no name server to ask (/etc/resolv.conf names none)"
	default:
		e.Fault, e.Words = result.NameUnanswered, "no name server could tell its address: "+strings.Join(trouble, "; ")
	}
	return e
}

// verdict is what the name servers said of the names that a host's may stand for:
// one with a dot for itself, any other for each that the search list makes of it. To
// have an address it would need one of a kind, so that both must be answered; that a
// name is not there is true of all kinds (RFC 2308 section 2.1).
func (w *nameWatch) verdict(host string) (saying, string) {
	whole := strings.ToLower(strings.TrimSuffix(host, ".")) + "."
	said, alias, meant := saidNoName, "", false
	for _, a := range w.asked {
		name := strings.ToLower(a.name)
		if name != whole && strings.Contains(strings.TrimSuffix(whole, "."), ".") {
			continue
		}
		meant = meant || a.name != ""
		best, nodata := saidNothing, 0
		for _, k := range kinds {
			s, to := w.best(question{a.name, k.kind})
			if s == saidNone {
				nodata++
			}
			if s > best {
				best = s
			}
			if to != "" {
				alias = to
			}
		}
		if best == saidNone && nodata < len(kinds) {
			best = saidFailure
		}
		said = min(said, best)
		if best == saidAddress {
			return saidAddress, ""
		}
	}
	if !meant {
		return saidNothing, ""
	}
	return said, alias
}
