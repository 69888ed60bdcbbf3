// Package request says which changes to ask for, of whom, as data: one for each
// change, whatever rows of the plan and machines need it.
//
// It judges nothing: that a path is not ok, and why, is in the report. It decides
// what is a change in the network at all. What the people at the two ends have to
// mend themselves, what was not tested, and what may as well be a service that does
// not run is no request, and stands in List.Left.
package request

import (
	"net/netip"
	"time"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

// A Change is what is asked for. Its zero value is nothing.
type Change string

// What can be asked for.
const (
	Allow   Change = "allow"            // a rule that lets the connection in or out
	Replies Change = "allow-replies"    // the rule is there for one way: the answers are lost
	Forward Change = "forward"          // a translation (NAT, port forwarding, load balancer) leads it elsewhere
	Exempt  Change = "exempt"           // something reads, answers, changes or ends what is allowed
	Large   Change = "large-packets"    // packets above a size vanish
	Idle    Change = "idle-timeout"     // connections are forgotten or ended too early
	Every   Change = "every-connection" // only some connections pass
	Route   Change = "route"            // packets go round in a loop, or use up their TTL otherwise
	Block   Change = "block"            // a port that must be closed is not
)

// HasRule reports whether a firewall's rule is what the change is made of. The
// other changes are to a device that lets the connection pass already, or that no
// rule tells where to.
func (c Change) HasRule() bool { return c == Allow || c == Replies || c == Block }

// A Request is one change to ask for.
type Request struct {
	Number int // from 1; those that are needed come first
	Change Change
	// OnHost: it is the accepting machine's own firewall, or a device right before
	// it, and not one that others run.
	OnHost bool
	Needed bool // a required path depends on it
	// First is what to make sure of before it is sent; "": the evidence is enough.
	First  string
	Whom   []string // who can make it, each once (see the function Whom)
	Causes []Cause  // what was seen, each kind once; never empty
	Needs  []Need   // what it is for; never empty
	// Advice are the report's own words for the first of its paths.
	Advice string

	Transport  plan.Transport
	Direction  plan.Direction // forward: the machine that ran dial opens the connection
	From       End            // who opens it
	To         End            // who accepts it
	Port       int            // of To; 0: any from 1024 on
	SourcePort int            // of From; 0: any
	// Named is the name of To where that is somebody else's host, whose address may
	// change; "": it is none.
	Named string
	IdleS int64 // seconds that a connection must survive without traffic; 0: nothing is known to need more than usual

	Paths []*result.Path // that need it; never empty

	Ours, Theirs Side // of the machine that ran dial, and of the other
	Log          []result.LogEntry
	Look         []Words // what to search a firewall's log for
}

// An End is the machines at one end, which all need the same.
type End struct {
	Role string
	Host string // as it was named; "": it was not, or they are several
	// Own are their own addresses, or the subnet that was asked for in their place.
	Own []netip.Prefix
	// Seen are the addresses that the other side has to do with: as it sees them
	// behind a NAT, or as it dialed them. The same as Own if there is no NAT.
	Seen []netip.Prefix
	// Temporary: addresses of these machines are temporary (RFC 8981), so that their
	// network stands for them.
	Temporary bool
}

// IsTranslated reports whether a NAT stands before the end.
func (e End) IsTranslated() bool { return !samePrefixes(e.Own, e.Seen) }

// A Side is the change as one party's firewall sees it.
type Side struct {
	Inbound  bool // for that party the connection comes in
	From, To []netip.Prefix
	// Behind are To's own addresses where To is what a NAT on this side shows: some
	// firewalls filter before the translation and some behind it.
	Behind []netip.Prefix
}

// A Cause is a finding, and the rows of the plan that it is about.
type Cause struct {
	Code    result.Code
	Verdict result.Verdict
	Text    string
	Flows   []string
	Paths   int // how many paths it was found on; Text is about the first
}

// A Need is a service that needs the change, and why.
type Need struct{ Service, Why string }

// A Left is a kind of trouble that is no request, and what to do instead.
type Left struct {
	Code    result.Code
	Verdict result.Verdict
	Flows   []string
	Text    string // what was seen
	Advice  string // "": there is nothing to do
}

// A List is all that there is to ask for.
type List struct {
	Requests []Request
	// Left is what is not ok and is asked of no firewall's people. What was not
	// tested is only counted.
	Left     []Left
	Untested int // paths
	Paths    int // all that there are, tested or not
	// Findings are about the runs as a whole, such as a wrong key.
	Findings    []result.Finding
	Interrupted bool // a run did not come to its end
}

// Needed counts the requests that a required path depends on.
func (l List) Needed() (n int) {
	for _, r := range l.Requests {
		if r.Needed {
			n++
		}
	}
	return n
}

// Options say for whom the requests are.
type Options struct {
	Asker Asker
	// Subnets stand in place of the addresses of the machines that ran dial.
	Subnets Subnets
	Until   string         // the last day on which it is needed, as 2006-01-02; "": for good
	Local   *time.Location // whose local time is given beside UTC; nil: none
}

// An Asker is who asks; fields that are not known are "".
type Asker struct {
	Name        string // of the site
	Institution string
	Contact     string // whom to ask back: a person, an address, a telephone
}
