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
	// Reach is how far a path with it got: of two paths that are not ok, the one
	// with the smaller Reach is the worse. Every row has one, from 1 on, so that a
	// verdict that has none is worse than all.
	Reach int
	// Becomes are the verdicts that it may turn out to be once the accepting end's
	// half is known; nil: it says all.
	Becomes []Verdict
}

// reachUnknown is the Reach of a path of which nothing is known: every known
// failure is worse.
const reachUnknown = 1000

// VerdictRows has every Verdict, in order of precedence.
var VerdictRows = []VerdictRow{
	{Verdict: Unresolved, Reach: 10},
	{Verdict: Unreachable, Reach: 20},
	{Verdict: BlockedLocally, Reach: 30},
	{Verdict: Rejected, Reach: 40},
	{Verdict: Refused, Reach: 50},
	{Verdict: ReplyLost, Reach: 80},
	{Verdict: Filtered, Reach: 60},
	{Verdict: Silent, Reach: 70, Becomes: []Verdict{Filtered, ReplyLost}},
	{Verdict: Redirected, Reach: 140},
	{Verdict: Corrupted, Reach: 150},
	{Verdict: MTUHole, Reach: 160},
	{Verdict: IdleDropped, Reach: 170},
	{Verdict: Unsteady, Reach: 180},
	{Verdict: Open, Reach: 200},
	{Verdict: Occupied, Reach: 130},
	{Verdict: Intercepted, Reach: 110},
	{Verdict: Answered, Reach: 120, Becomes: []Verdict{Occupied, Intercepted}},
	{Verdict: Reset, Reach: 100},
	{Verdict: Stalled, Reach: 90},
	{Verdict: Untested, Reach: reachUnknown},
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
	ProofKeyed   Proof = "keyed"   // a fresh transaction with the holder of the key
)
