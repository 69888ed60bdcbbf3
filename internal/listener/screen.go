package listener

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/plan"
	"dialtone/internal/service"
)

// A screen decides what of the events somebody sees who looks on while others
// test: one line for each port and address and for each thing said there. One
// run of dial makes many connections to each port; they are counted, and told
// with its report. A stranger that does the same again is told of once a
// minute. Its zero value is ready for use.
type screen struct {
	shown map[showing]*shown
}

// A showing is what is said once.
type showing struct {
	transport plan.Transport
	remote    netip.Addr
	port      uint16
	run       echo.ID // zero: of a stranger
	what      string  // that a stranger did
}

type shown struct {
	at    time.Time
	count int
	since int // since it was shown
}

const (
	// showAgain is how long the same thing of a stranger's is not said again.
	showAgain = time.Minute
	// maxShown bounds what is remembered; then all of it is said anew.
	maxShown = 4096
)

// show says an event, or counts it.
func (s *screen) show(c Event, r record, say func(string)) {
	k := showing{transport: c.Peer.Transport, remote: c.Peer.Remote.Addr(), port: c.Peer.Local.Port()}
	switch c.Kind {
	case echo.KindSubmitted:
		say(r.reportText(s.tested(c.Peer.Run)))
		return
	case echo.KindDialBack, echo.KindDelivered, echo.KindBrowser:
		say(r.text())
		return
	case echo.KindAsked, echo.KindProved:
		k.run = c.Peer.Run
	case echo.KindService: // of which only the key is known, not the run
		if s.isTesting(k, c.At) {
			return
		}
		k.what = string(c.Kind)
	default:
		k.what = string(c.Kind) + r.Words
	}
	old := s.shown[k]
	switch {
	case old == nil:
		if s.shown == nil || len(s.shown) >= maxShown {
			s.shown = map[showing]*shown{}
		}
		s.shown[k] = &shown{at: c.At, count: 1}
		say(r.text())
	case k.run != (echo.ID{}):
		if c.Kind != echo.KindProved { // which comes on a connection that asked
			old.count++
		}
	case c.At.Sub(old.at) < showAgain:
		old.count++
		old.since++
	default:
		if old.since > 0 {
			r.Detail = strings.TrimSpace(fmt.Sprintf("%s (and %s in between)", r.Detail, counted(old.since, "time")))
		}
		old.at, old.since = c.At, 0
		old.count++
		say(r.text())
	}
}

// isTesting reports whether a run of dial's was shown of late on that port and
// from that address.
func (s *screen) isTesting(k showing, at time.Time) bool {
	for o, seen := range s.shown {
		if o.run != (echo.ID{}) && o.transport == k.transport && o.remote == k.remote && o.port == k.port && at.Sub(seen.at) < 10*showAgain {
			seen.count++
			return true
		}
	}
	return false
}

// tested counts what a run did.
func (s *screen) tested(run echo.ID) (connections, ports int) {
	type port struct {
		transport plan.Transport
		number    uint16
	}
	all := map[port]bool{}
	for k, seen := range s.shown {
		if k.run == run && run != (echo.ID{}) {
			connections += seen.count
			all[port{k.transport, k.port}] = true
		}
	}
	return connections, len(all)
}

// kindWords say a kind of event to people; one that is missing is its own word.
var kindWords = map[echo.Kind]string{
	echo.KindForeign: "client", echo.KindSilent: "client", echo.KindAsked: "key",
	echo.KindProved: "key", echo.KindService: "key", echo.KindPlain: "stun",
}

// kindSentences say what is not plain from a kind's word.
var kindSentences = map[echo.Kind]string{
	echo.KindAsked:     "dial with the key",
	echo.KindProved:    "dial with the key",
	echo.KindService:   "dial with the key, in the service's own language",
	echo.KindPlain:     "a STUN request without the key",
	echo.KindWrongKey:  "dial with another key",
	echo.KindForbidden: "dial with the key, from an address that --allow leaves out",
	echo.KindReplayed:  "a recording of dial's request, not answered",
	echo.KindBadOrder:  "a request out of turn, not answered",
}

// sentence says what a visit was, with the service in front.
func sentence(v service.Visit) string {
	if v.Service == "" || v.Words == "" {
		return v.Service + v.Words
	}
	return v.Service + ": " + v.Words
}

func (r record) text() string {
	word, ok := kindWords[r.Kind]
	if !ok {
		word = string(r.Kind)
	}
	s := fmt.Sprintf("%s  %-11s %s → %s/%d", r.At.Format("15:04:05Z"), word, r.Source, r.Transport, r.Local.Port())
	words := r.Words
	if words == "" {
		words = kindSentences[r.Kind]
	}
	what := []string{r.Detail}
	if words != "" {
		if r.Flow != "" && r.Kind != echo.KindService { // whose flow is the protocol's name
			words += " (" + r.Flow + ")"
		}
		what = []string{sentence(service.Visit{Service: r.Service, Words: words}), r.Detail}
	}
	for _, more := range what {
		if more != "" {
			s += "  " + more
		}
	}
	return s
}

// reportText is what is said of a run that tells how it ended.
func (r record) reportText(connections, ports int) string {
	s := fmt.Sprintf("%s  %-11s %s (\"%s\"): %d required paths, %d not ok", r.At.Format("15:04:05Z"), "report", r.Source.Addr(), r.Host, r.Summary.Counted, r.Summary.Failed)
	if connections > 0 {
		s += fmt.Sprintf("; %s to %s", counted(connections, "contact"), counted(ports, "port"))
	}
	for _, b := range r.Broken {
		s += "\n           " + b
	}
	return s
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
