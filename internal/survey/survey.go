// Package survey is one run of dial from end to end: it chooses the paths,
// attempts them, asks the far end for its half and for the way back, joins both
// halves, and returns a report. It holds no flags and prints nothing.
package survey

import (
	"context"
	"net/netip"
	"time"

	"dialtone/internal/dialer"
	"dialtone/internal/echo"
	"dialtone/internal/listener"
	"dialtone/internal/plan"
	"dialtone/internal/result"
	"dialtone/internal/sock"
)

// A Config is what one run is to test, and how.
type Config struct {
	Key      echo.Key
	Software string // name and version of this program
	Hostname string // of this machine
	Plan     *plan.Plan
	Excluded []plan.Excluded // rows that the site leaves out, to be listed
	Host     string          // name or address of the far end
	// Also are further names and addresses of it, in order of preference: of
	// each family the first address counts that Host and they give.
	Also  []string
	Local []plan.Role // roles of this machine
	// Remote are the far end's roles; none means those that it says it plays,
	// else plan.DefaultRemote.
	Remote   []plan.Role
	All      bool // every row, as forward to Host
	BothWays bool
	Only     []string
	// Site says which hosts are the institution's own, and of which one address is
	// enough; nil: it says nothing.
	Site    *plan.Site
	Shift   int
	Timeout time.Duration // of each step of an attempt
	Bytes   int64         // payload each way; 0 means echo.PayloadSize
	Trace   bool          // find out where every path stops, not only the counted ones
	Bind    sock.Bind     // to dial from and to accept on
	// Gentle opens one connection after the other, and no more than needed: for a
	// network that shuts out whoever opens many.
	Gentle bool
	// Enter sends one empty line to live software that says nothing until it is spoken to
	// and whose protocol is not public.
	Enter bool
	// ContactPort is a TCP port of the far end's that no row has and where its listener
	// is asked before anything is attempted; 0: the rows' ports alone lead to it.
	ContactPort int
	// Hold is how long connections are kept idle, to find out which gap they
	// survive; 0 keeps none.
	Hold time.Duration
	Watch
}

// With is what runs of this end share. Its zero value is for a run of its own.
type With struct {
	ID   echo.ID        // of the run; zero: a new one
	Own  echo.ID        // this end's own listener, whether it runs yet or not; zero: a new one
	Door *listener.Door // for the reverse rows, and left open; nil: each run has its own
	// Conversations has a place for each conversation under way; nil: each run has places of
	// its own.
	Conversations chan struct{}
	// Waited is how long both ends dialed each other before this run.
	Waited time.Duration
	// Once: a run is not begun again where the far end's listener is started anew.
	Once bool
}

// Run makes a run that shares nothing (see Survey.Run).
func Run(ctx context.Context, c Config) (*result.Report, error) { return New(c, With{}).Run(ctx) }

// A Survey is one run, which is begun again where the far end's listener was started
// anew in its middle.
type Survey struct {
	c    Config
	with With
	last *survey // of several, the one that lasted; nil before
}

// New returns a Survey of what is asked, with what it shares with others.
func New(c Config, w With) *Survey { return &Survey{c: c, with: w} }

// Run makes the run. It returns an error only for a selection of rows that the
// plan cannot have; whatever the network does is in the report. When ctx ends
// the report holds what is known by then.
func (r *Survey) Run(ctx context.Context) (*result.Report, error) {
	fresh := func() *survey {
		r.close()
		r.last = begin(r.c, r.with)
		return r.last
	}
	defer r.close()
	most := maxBegun
	if r.with.Once {
		most = 1
	}
	return untilItLasts(ctx, most, fresh)
}

// NotRun is the report of a run that was not made, because of what f says: its
// paths are untested, and none of them is ok. The error is that of Run.
func NotRun(c Config, f result.Finding) (*result.Report, error) {
	s := begin(c, With{})
	remote := c.remote()
	if err := s.choose(remote); err != nil {
		return nil, err
	}
	for _, j := range s.attempts() {
		j.initiator = &result.Initiator{Probe: j.probe.String(), NotTried: f.Text}
	}
	r := s.report(context.Background(), remote, nil)
	r.Findings = []result.Finding{f}
	return r, nil
}

// close closes the door of the latest run, unless others share it.
func (r *Survey) close() {
	if r.last != nil && r.with.Door == nil {
		if r.last.door.IsLent() && r.c.OnPhase != nil {
			r.c.OnPhase(phaseLend)
		}
		r.last.door.Close()
	}
}

// Ask asks the far end after the run, over family f or
// another that has a contact.
func (r *Survey) Ask(ctx context.Context, f result.Family, say func(context.Context, *echo.Conn) error) error {
	return r.last.ask(ctx, f, false, r.c.Timeout, say)
}

// AskAt asks the far end over one way to it, before the run.
func (r *Survey) AskAt(ctx context.Context, at netip.AddrPort, say func(context.Context, *echo.Conn) error) error {
	return begin(r.c, r.with).contacts.Over(ctx, at, r.c.Timeout, r.c.Timeout, say)
}

const (
	// phasesLong is how many times as long as one attempt all phases take that
	// wait for attempts: the first, what is dialed back again, retries and studies.
	phasesLong = 4
	// gentleRows is how many rows a gentle run is given time for.
	gentleRows = 64
)

// Longest is how long a run takes at most: then it ends by itself, and what was
// not tried by then is untested.
func (c Config) Longest() time.Duration {
	long := sock.LookupWithin + phasesLong*dialer.Longest(c.Timeout) + conversingTime + c.Hold + 4*c.Timeout
	if c.Gentle {
		long += gentleRows * 2 * c.Timeout
	}
	return long
}
