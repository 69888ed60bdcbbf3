package listener

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/result"
)

// A Journal writes every contact down: as a line for people or as JSON, and to
// a ledger file, flushed to the disk before the contact is answered. It counts
// who reached what for the summary. A stranger that knocks without end fills
// neither screen nor disk.
type Journal struct {
	Out    io.Writer // nil: nowhere
	JSON   bool      // Out gets JSON lines, not text
	Ledger *os.File  // nil: none; always JSON lines
	Err    io.Writer // where trouble with the ledger is told

	mu      sync.Mutex
	failed  bool
	reached map[netip.Addr]map[string]*tally
	quiet   map[netip.Addr]*knocks // by network, as limits counts them
	all     knocks                 // of everybody
}

// tally counts contacts of one kind.
type tally struct {
	count int
	last  time.Time
}

// knocks counts what was done without the key in the current minute.
type knocks struct {
	since  time.Time
	count  int
	hidden int
}

const (
	// maxKnocks is how many contacts without the key are written down for one
	// address in a minute.
	maxKnocks = 60
	// maxAllKnocks is how many are written down in a minute for all addresses.
	maxAllKnocks = 600
	// maxAddrs bounds the addresses that are counted.
	maxAddrs = 4096
)

// record is the JSON form of a contact: one line of the ledger.
type record struct {
	At        time.Time       `json:"at"`
	Kind      echo.Kind       `json:"kind"`
	Transport string          `json:"transport,omitempty"`
	Source    result.Endpoint `json:"source"`
	Local     result.Endpoint `json:"local"`
	Flow      string          `json:"flow,omitempty"`
	Run       string          `json:"run,omitempty"`
	Probe     string          `json:"probe,omitempty"`
	First     string          `json:"first,omitempty"` // first bytes, escaped
	Detail    string          `json:"detail,omitempty"`
	Host      string          `json:"host,omitempty"`
	Summary   *result.Summary `json:"summary,omitempty"`
	Broken    []string        `json:"broken,omitempty"`
}

// Write writes one contact down.
func (j *Journal) Write(c Contact) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.count(c)
	hidden, show := j.mayShow(c)
	if !show {
		return
	}
	rec := toRecord(c)
	if hidden > 0 {
		rec.Detail = strings.TrimSpace(fmt.Sprintf("%s (%d more from this address in the minute before were not written down)", rec.Detail, hidden))
	}
	line, err := json.Marshal(rec)
	if err != nil {
		return // a record holds nothing that cannot be marshalled
	}
	j.toLedger(append(line, '\n'))
	switch {
	case j.Out == nil:
	case j.JSON:
		_, _ = j.Out.Write(append(line, '\n'))
	default:
		_, _ = io.WriteString(j.Out, rec.text()+"\n")
	}
}

func toRecord(c Contact) record {
	r := record{
		At: c.At.Truncate(time.Millisecond), Kind: c.Kind, Transport: string(c.Peer.Transport),
		Source: result.EndpointFrom(c.Peer.Remote), Local: result.EndpointFrom(c.Peer.Local),
		Flow: c.Peer.Flow, Detail: c.Detail,
	}
	if c.Peer.Run != (echo.ID{}) {
		r.Run, r.Probe = c.Peer.Run.String(), c.Peer.Probe.String()
	}
	if len(c.First) > 0 {
		r.First = strconv.QuoteToASCII(string(c.First[:min(len(c.First), 64)]))
	}
	if s := c.Submission; s != nil {
		r.Host, r.Summary, r.Broken = s.Host, &s.Summary, s.Broken
	}
	return r
}

func (r record) text() string {
	s := fmt.Sprintf("%s  %-11s %s → %s/%d", r.At.Format("15:04:05Z"), r.Kind, r.Source, r.Transport, r.Local.Port())
	for _, more := range []string{r.Flow, r.First, r.Detail} {
		if more != "" {
			s += "  " + more
		}
	}
	if r.Summary != nil {
		s = fmt.Sprintf("%s  %-11s %s (%s): %d required paths, %d not ok", r.At.Format("15:04:05Z"), "report", r.Source.Addr(), strconv.QuoteToGraphic(r.Host), r.Summary.Counted, r.Summary.Failed)
		for _, b := range r.Broken {
			s += "\n           " + b
		}
	}
	return s
}

// toLedger appends to the ledger and flushes it. A full disk is told once, and
// again when writing works after it.
func (j *Journal) toLedger(line []byte) {
	if j.Ledger == nil {
		return
	}
	if j.failed {
		line = append([]byte{'\n'}, line...) // the one that failed may have been written in part
	}
	_, err := j.Ledger.Write(line)
	if err == nil {
		err = j.Ledger.Sync()
	}
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil // a pipe or a device: it has no disk to be flushed to
	}
	switch {
	case err != nil && !j.failed:
		fmt.Fprintf(j.Err, "listen: the ledger cannot be written: %v\n  Contacts are still answered and shown here. Free space or mend the file; writing goes on by itself.\n", err)
	case err == nil && j.failed:
		fmt.Fprintf(j.Err, "listen: the ledger can be written again; what came in between is only shown above.\n")
	}
	j.failed = err != nil
}

// mayShow says whether to write a contact down, and how many like it were not.
func (j *Journal) mayShow(c Contact) (hidden int, ok bool) {
	switch c.Kind {
	case echo.KindAsked, echo.KindProved, echo.KindSubmitted, echo.KindDelivered, echo.KindDialBack:
		return 0, true
	}
	if j.quiet == nil || len(j.quiet) > maxAddrs {
		j.quiet = map[netip.Addr]*knocks{}
	}
	a := networkOf(c.Peer.Remote.Addr())
	k := j.quiet[a]
	if k == nil {
		k = &knocks{since: c.At}
		j.quiet[a] = k
	}
	hidden, ok = k.knock(c.At, maxKnocks)
	if !ok {
		return 0, false
	}
	if _, ok = j.all.knock(c.At, maxAllKnocks); !ok {
		k.hidden += hidden + 1
	}
	return hidden, ok
}

// knock counts one more and says whether it is among the first most of its
// minute, and at the first of a minute how many the one before hid.
func (k *knocks) knock(at time.Time, most int) (hidden int, ok bool) {
	if at.Sub(k.since) > time.Minute {
		hidden = k.hidden
		*k = knocks{since: at}
	}
	if k.count++; k.count > most {
		k.hidden++
		return 0, false
	}
	return hidden, true
}

func (j *Journal) count(c Contact) {
	switch c.Kind {
	case echo.KindSubmitted, echo.KindDelivered, echo.KindDialBack:
		return
	}
	if j.reached == nil {
		j.reached = map[netip.Addr]map[string]*tally{}
	}
	a := c.Peer.Remote.Addr()
	if j.reached[a] == nil {
		if len(j.reached) >= maxAddrs {
			return
		}
		j.reached[a] = map[string]*tally{}
	}
	what := fmt.Sprintf("%s/%d %s", c.Peer.Transport, c.Peer.Local.Port(), c.Kind)
	t := j.reached[a][what]
	if t == nil {
		if len(j.reached[a]) >= maxAddrs {
			return
		}
		t = &tally{}
		j.reached[a][what] = t
	}
	t.count++
	t.last = c.At
}

// Summary says who reached what, for people.
func (j *Journal) Summary() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.reached) == 0 {
		return "Nobody reached any port.\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Who reached what:\n")
	for _, a := range slices.SortedFunc(maps.Keys(j.reached), netip.Addr.Compare) {
		var parts []string
		for _, what := range slices.Sorted(maps.Keys(j.reached[a])) {
			parts = append(parts, fmt.Sprintf("%s ×%d", what, j.reached[a][what].count))
		}
		fmt.Fprintf(&b, "  %-15s  %s\n", a, strings.Join(parts, ", "))
	}
	return b.String()
}
