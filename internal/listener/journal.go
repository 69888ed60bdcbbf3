package listener

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dialtone/internal/clean"
	"dialtone/internal/echo"
	"dialtone/internal/result"
)

// A Journal writes every event down: as JSON, and to a ledger file, flushed to
// the disk before whoever came is answered; as text for people it says the same
// thing once (see screen). It counts who reached what for the summary. A
// stranger that knocks without end fills neither screen nor disk.
type Journal struct {
	Out    io.Writer // nil: nowhere
	JSON   bool      // Out gets a JSON line for each event, not text
	Ledger *os.File  // nil: none; always JSON lines
	Err    io.Writer // where trouble with the ledger is told

	book appender // to Ledger

	mu      sync.Mutex
	screen  screen
	reached map[netip.Addr]map[reached]*tally
	tallies int // in reached
	// unlisted counts the events of addresses beyond those that are listed.
	unlisted int
	quiet    map[netip.Prefix]*knocks // by network, as limits counts them
	all      knocks                   // of everybody
	keyed    map[netip.Prefix]*knocks // of who has the key
	guesses  guesses                  // of the key
}

// tally counts events of one kind.
type tally struct {
	count       int
	first, last time.Time
	kind        echo.Kind
	service     string // that the port is for
}

// knocks counts what was done without the key in the current minute.
type knocks struct {
	since  time.Time
	count  int
	hidden int
}

const (
	// maxKnocks is how many events without the key are written down for one
	// address in a minute.
	maxKnocks = 60
	// maxAllKnocks is how many are written down in a minute for all addresses.
	maxAllKnocks = 600
	// maxKeyed is how many events with the key are, for one address: those of two
	// hundred runs at once.
	maxKeyed = 30_000
	// maxDetail bounds the words that an event is written down with, in runes.
	maxDetail = 600
	// maxAddrs bounds the addresses that are counted, maxTallies what is counted of all
	// of them.
	maxAddrs, maxTallies = 4096, 16384
)

// record is the JSON form of an event: one line of the ledger.
type record struct {
	At        time.Time       `json:"at"`
	Kind      echo.Kind       `json:"kind"`
	Transport string          `json:"transport,omitempty"`
	Source    result.Endpoint `json:"source"`
	Local     result.Endpoint `json:"local"`
	Flow      string          `json:"flow,omitempty"`
	Run       string          `json:"run,omitempty"`
	Probe     string          `json:"probe,omitempty"`
	Service   string          `json:"service,omitempty"` // that the port is for, as people know it
	Words     string          `json:"words,omitempty"`   // what a stranger did there, in words of this program's alone
	Detail    string          `json:"detail,omitempty"`
	Host      string          `json:"host,omitempty"`
	Summary   *result.Summary `json:"summary,omitempty"`
	Broken    []string        `json:"broken,omitempty"`
}

// Write writes one event down.
func (j *Journal) Write(c Event) {
	if line := j.take(c); line != nil && j.Ledger != nil {
		j.book.append(j.Ledger, j.Err, line)
	}
}

// lastPatience is how long Close waits for the ledger.
const lastPatience = 200 * time.Millisecond

// Close closes the ledger, once what was not written in time is written, or that takes
// too long. Nothing is to be written down after it.
func (j *Journal) Close() {
	if j.Ledger != nil {
		j.book.flush(lastPatience)
		_ = j.Ledger.Close() // each line was flushed
	}
}

// take counts and shows an event, and returns its line for the ledger; nil: it is not
// written down.
func (j *Journal) take(c Event) []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.count(c)
	if c.Kind == echo.KindWrongKey { // counted whether or not it is written down
		if nth := j.guesses.add(c.Peer.Remote.Addr()); nth != "" {
			c.Detail = strings.TrimPrefix(c.Detail+"; "+nth, "; ")
		}
	}
	hidden, show := j.mayShow(c)
	if !show {
		return nil
	}
	rec := toRecord(c)
	if hidden > 0 {
		rec.Detail = strings.TrimSpace(fmt.Sprintf("%s (%d more from this address in the minute before were not written down)", rec.Detail, hidden))
	}
	line, err := json.Marshal(rec)
	if err != nil {
		return nil // a record holds nothing that cannot be marshalled
	}
	line = append(clean.JSON(line), '\n')
	switch {
	case j.Out == nil:
	case j.JSON:
		_, _ = j.Out.Write(line)
	default:
		j.screen.show(c, rec, j.say)
	}
	return line
}

// say writes a line for people. The lock is held.
func (j *Journal) say(line string) { _, _ = io.WriteString(j.Out, line+"\n") }

func toRecord(c Event) record {
	r := record{
		At: c.At.Truncate(time.Millisecond), Kind: c.Kind, Transport: string(c.Peer.Transport),
		Source: result.EndpointFrom(c.Peer.Remote), Local: result.EndpointFrom(c.Peer.Local),
		Flow: clean.Line(c.Peer.Flow, maxDetail), Detail: clean.Line(c.Detail, maxDetail),
	}
	if c.Peer.Run != (echo.ID{}) {
		r.Run, r.Probe = c.Peer.Run.String(), c.Peer.Probe.String()
	}
	r.Service, r.Words = c.Visit.Service, c.Visit.Words
	if s := c.Submission; s != nil {
		r.Host, r.Summary = clean.Line(s.Host, maxDetail), &s.Summary
		for _, b := range s.Broken {
			r.Broken = append(r.Broken, clean.Line(b, maxDetail))
		}
	}
	return r
}

// mayShow says whether to write an event down, and how many like it were not.
func (j *Journal) mayShow(c Event) (hidden int, ok bool) {
	switch c.Kind {
	case echo.KindAsked, echo.KindProved, echo.KindSubmitted, echo.KindDelivered, echo.KindDialBack, echo.KindBrowser:
		return knocksOf(&j.keyed, c).knock(c.At, maxKeyed)
	}
	k := knocksOf(&j.quiet, c)
	hidden, ok = k.knock(c.At, maxKnocks)
	if !ok {
		return 0, false
	}
	if _, ok = j.all.knock(c.At, maxAllKnocks); !ok {
		k.hidden += hidden + 1
	}
	return hidden, ok
}

// knocksOf are the counts of who an event comes from.
func knocksOf(all *map[netip.Prefix]*knocks, c Event) *knocks {
	if *all == nil || len(*all) > maxAddrs {
		*all = map[netip.Prefix]*knocks{}
	}
	a := networkOf(c.Peer.Remote.Addr())
	k := (*all)[a]
	if k == nil {
		k = &knocks{since: c.At}
		(*all)[a] = k
	}
	return k
}

// knock counts one more and says whether it is among the first most of its
// minute, and at the first of a minute how many the one before hid. A clock that was
// set back begins another minute, or what came until it has caught up would be hidden.
func (k *knocks) knock(at time.Time, most int) (hidden int, ok bool) {
	if at.Sub(k.since).Abs() > time.Minute {
		hidden = k.hidden
		*k = knocks{since: at}
	}
	if k.count++; k.count > most {
		k.hidden++
		return 0, false
	}
	return hidden, true
}

func (j *Journal) count(c Event) {
	switch c.Kind {
	case echo.KindSubmitted, echo.KindDelivered, echo.KindDialBack, echo.KindBrowser:
		return
	}
	if j.reached == nil {
		j.reached = map[netip.Addr]map[reached]*tally{}
	}
	a := c.Peer.Remote.Addr()
	what := reached{port: fmt.Sprintf("%s/%d", c.Peer.Transport, c.Peer.Local.Port()), what: string(c.Kind)}
	if c.Visit.Words != "" {
		what.service, what.what = c.Visit.Service, c.Visit.Words
	}
	t := j.reached[a][what]
	if t == nil {
		isFull := j.tallies >= maxTallies || j.reached[a] == nil && len(j.reached) >= maxAddrs
		if isFull && !(isKeyed(c.Kind) && j.forgetStranger()) {
			j.unlisted++
			return
		}
		if j.reached[a] == nil {
			j.reached[a] = map[reached]*tally{}
		}
		j.tallies++
		t = &tally{first: c.At, kind: c.Kind, service: c.Visit.Service}
		j.reached[a][what] = t
	}
	t.count++
	t.last = c.At
}

// isKeyed reports whether an event is of who has the key, or of a recording of one's.
func isKeyed(k echo.Kind) bool {
	return k == echo.KindAsked || k == echo.KindProved || k == echo.KindService
}

// forgetStranger makes room in what is counted: an address from which nothing came with
// the key. False: there is none.
func (j *Journal) forgetStranger() bool {
	for a, all := range j.reached {
		known := false
		for r := range all {
			if known = isKeyed(echo.Kind(r.what)); known {
				break
			}
		}
		if !known {
			for _, t := range all {
				j.unlisted += t.count
			}
			delete(j.reached, a)
			j.tallies -= len(all)
			return true
		}
	}
	return false
}

// Summary says who reached what, for people.
func (j *Journal) Summary() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.reached) == 0 {
		return "Nobody reached any port.\n" + j.guesses.summary() + j.book.summary()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Who reached what:\n")
	for _, a := range slices.SortedFunc(maps.Keys(j.reached), netip.Addr.Compare) {
		var before reached
		for _, r := range slices.SortedFunc(maps.Keys(j.reached[a]), reached.compare) {
			what := r.port + " " + r.what
			switch {
			case r.service == "":
			case r.service == before.service && r.port == before.port:
				what = r.what
			case r.port == before.port:
				what = r.service + ": " + r.what
			default:
				what = r.port + " " + r.service + ": " + r.what
			}
			switch {
			case before.port == "":
				fmt.Fprintf(&b, "  %-15s  ", a)
			case r.port != before.port: // a line for each
				fmt.Fprintf(&b, "\n  %-15s  ", a)
			case r.service != "" && r.service == before.service:
				b.WriteString("; ") // there are commas in the words
			default:
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%s ×%d", what, j.reached[a][r].count)
			before = r
		}
		b.WriteByte('\n')
	}
	if j.unlisted > 0 {
		fmt.Fprintf(&b, "And %s more, which are too many to be listed.\n", counted(j.unlisted, "contact"))
	}
	b.WriteString(j.guesses.summary())
	b.WriteString(j.book.summary())
	return b.String()
}

// reached is a port and what was done there: a kind of event, or what a stranger
// did to the service.
type reached struct{ port, service, what string }

func (r reached) compare(s reached) int {
	transport, number, _ := strings.Cut(r.port, "/")
	other, its, _ := strings.Cut(s.port, "/")
	n, _ := strconv.Atoi(number) // both are ours
	m, _ := strconv.Atoi(its)
	// The proof comes first, since that is what most are there for.
	notProved := func(r reached) int {
		if r.what == string(echo.KindProved) {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(transport, other), cmp.Compare(n, m), cmp.Compare(r.service, s.service), cmp.Compare(notProved(r), notProved(s)), cmp.Compare(r.what, s.what))
}
