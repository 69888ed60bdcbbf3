package result

// A Verdict is what both halves of the evidence amount to. docs/verdicts.md
// says how each is reached.
type Verdict string

const (
	Unresolved     Verdict = "unresolved"      // the name does not resolve
	Unreachable    Verdict = "unreachable"     // no route
	BlockedLocally Verdict = "blocked-locally" // the dialing machine's own firewall or policy
	Rejected       Verdict = "rejected"        // ICMP unreachable or prohibited
	Refused        Verdict = "refused"         // RST to the SYN
	ReplyLost      Verdict = "reply-lost"      // silence here, half-open there
	Filtered       Verdict = "filtered"        // silence here, nothing there
	Silent         Verdict = "silent"          // silence here, and nobody to ask
	Redirected     Verdict = "redirected"      // proof came from another port or process
	Corrupted      Verdict = "corrupted"       // proof, but the payload changed
	MTUHole        Verdict = "mtu-hole"        // proof, but large segments vanish
	IdleDropped    Verdict = "idle-dropped"    // proof, but idle connections die
	Unsteady       Verdict = "unsteady"        // proof, and other connections of the same run failed
	Open           Verdict = "open"            // proof, and the payload crossed unchanged both ways
	Arrived        Verdict = "reached"         // live software there accepted it, and nothing was sent
	Occupied       Verdict = "occupied"        // other software holds the port there
	Intercepted    Verdict = "intercepted"     // something else answered in the listener's place
	Answered       Verdict = "answered"        // something answered; nobody to say what
	Reset          Verdict = "reset"           // connected, then FIN or RST before proof
	Stalled        Verdict = "stalled"         // connected, then no byte came back
	Untested       Verdict = "untested"        // not attempted
)

// A VerdictRow is a Verdict and what others must know of it.
type VerdictRow struct {
	Verdict Verdict
	// Means is what it says, in a few words. docs/verdicts.md has them in full.
	Means string
	// Reach is how far a path with it got: of two paths that are not ok, the one
	// with the smaller Reach is the worse. Every row has one, from 1 on, so that a
	// verdict that has none is worse than all.
	Reach int
	// Becomes are the verdicts that it may turn out to be once the accepting end's
	// half is known; nil: it says all.
	Becomes []Verdict
	// Closed: a port that must not be reachable is as it should be: silence, or a
	// refusal.
	Closed bool
	// Alike: every attempt of the path ended alike.
	Alike bool
	// Ends is where a path with it ends, where nothing more is known of it.
	Ends Place
}

// A Place is how far something got on a path. Its zero value is invalid.
type Place int

// The places of a path, from the machine that dialed.
const (
	_        Place = iota
	Nowhere        // it never left the machine that dialed
	OnTheWay       // between the two
	There          // at the other machine
	WayBack        // it arrived, and the answer ends between the two
)

// reachUnknown is the Reach of a path of which nothing is known: every known
// failure is worse.
const reachUnknown = 1000

// VerdictRows has every Verdict, in order of precedence.
var VerdictRows = []VerdictRow{
	{Verdict: Unresolved, Means: "the name has no address", Reach: 10, Ends: Nowhere},
	{Verdict: Unreachable, Means: "the machine that dialed has no route there", Reach: 20, Ends: Nowhere},
	{Verdict: BlockedLocally, Means: "the machine that dialed forbade it itself", Reach: 30, Ends: Nowhere},
	{Verdict: Rejected, Means: "sent, and turned away by an ICMP error", Reach: 40, Closed: true, Ends: OnTheWay},
	{Verdict: Refused, Means: "sent, and turned away by a reset (RST)", Reach: 50, Closed: true, Alike: true, Ends: OnTheWay},
	{Verdict: ReplyLost, Means: "sent, arrived there, but the answer never came back", Reach: 80, Closed: true, Alike: true, Ends: WayBack},
	{Verdict: Filtered, Means: "sent, never arrived", Reach: 60, Closed: true, Alike: true, Ends: OnTheWay},
	{Verdict: Silent, Means: "sent, no answer, and nobody at the far end to ask", Reach: 70, Becomes: []Verdict{Filtered, ReplyLost}, Closed: true, Alike: true, Ends: OnTheWay},
	{Verdict: Redirected, Means: "proved, but by another port or program than the one dialed", Reach: 140, Ends: There},
	{Verdict: Corrupted, Means: "proved, but the data arrived changed", Reach: 150, Ends: There},
	{Verdict: MTUHole, Means: "proved, but large packets vanish on the way", Reach: 160, Ends: There},
	{Verdict: IdleDropped, Means: "proved, but a connection that is idle for a while is cut", Reach: 170, Ends: There},
	{Verdict: Unsteady, Means: "proved, and not every connection gets through", Reach: 180, Ends: There},
	{Verdict: Open, Means: "proved end to end, data unchanged both ways", Reach: 200, Ends: There},
	{Verdict: Arrived, Means: "the live software there accepted it; nothing was sent over it", Reach: 190, Ends: There},
	{Verdict: Occupied, Means: "other software holds the port there", Reach: 130, Ends: There},
	{Verdict: Intercepted, Means: "something on the way answered or changed the data", Reach: 110, Ends: OnTheWay},
	{Verdict: Answered, Means: "something answered; nothing proves what", Reach: 120, Becomes: []Verdict{Occupied, Intercepted}, Ends: There},
	{Verdict: Reset, Means: "connected, then cut off", Reach: 100, Alike: true, Ends: OnTheWay},
	{Verdict: Stalled, Means: "connected, then no byte came back, or no more of them", Reach: 90, Alike: true, Ends: OnTheWay},
	{Verdict: Untested, Means: "no attempt was made", Reach: reachUnknown, Ends: Nowhere},
}

// Verdicts lists every Verdict in order of precedence.
var Verdicts = func() []Verdict {
	var all []Verdict
	for _, r := range VerdictRows {
		all = append(all, r.Verdict)
	}
	return all
}()

// Row is what others must know of a verdict; the zero VerdictRow for one that
// this release does not know.
func (v Verdict) Row() VerdictRow {
	for _, r := range VerdictRows {
		if r.Verdict == v {
			return r
		}
	}
	return VerdictRow{}
}

// Proof is what a verdict rests on.
type Proof string

const (
	ProofNone    Proof = "none"
	ProofPlain   Proof = "plain"   // something answered, without proving who it is
	ProofService Proof = "service" // the service's own conversation
	ProofBrowser Proof = "browser" // a browser's request brought a token of the listener's, and its answer arrived
	ProofSeen    Proof = "seen"    // the far end's kernel: live software there accepted this very connection
	ProofKeyed   Proof = "keyed"   // a fresh transaction with the holder of the key
)
